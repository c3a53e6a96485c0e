"""The embedded server with Pusher's protocol, used when no Pusher account is configured.

It implements the Pusher Channels protocol (WebSocket and HTTP API) for public and private channels, so that any Pusher
client library works with it unchanged. It is one process that keeps its subscriptions in memory, for demos, tests and
hotels on a single machine. It imports neither Django nor the project, so it starts fast and fails independently.

It does not support presence, encrypted and cache channels, client events, user sign-in and webhooks, and refuses each
with an error that says so.
"""
