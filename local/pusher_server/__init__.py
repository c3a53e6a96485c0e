"""The embedded Pusher-protocol server: what carries the events when no Pusher account is configured.

It speaks the Pusher Channels protocol (WebSocket and HTTP API) for public and private channels, so that any Pusher
client library works with it unchanged. It is one process that keeps its subscriptions in memory, for demos, tests and
houses that run on a single machine. It knows nothing of Django or of the project, so it starts fast and fails alone.

What it leaves out, it refuses with an error that says so: presence, encrypted and cache channels, client events, user
sign-in, webhooks.
"""
