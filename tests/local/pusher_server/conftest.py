"""The Pusher server's fixtures, shared with the tests of notifications."""

from tests.notifications.conftest import channel, launch, server, start, unused_port

__all__ = ["channel", "launch", "server", "start", "unused_port"]
