"""The Pusher server's fixtures, which the tests of what is sent to it use, too."""

from tests.notifications.conftest import channel, launch, server, start, unused_port

__all__ = ["channel", "launch", "server", "start", "unused_port"]
