"""``python -m tools.harness.pusher RECORD …``: the embedded Pusher server, which also records all that it publishes.

What a screen catches up from the log would hide an event that the relay forgot to send. So the drill asks the server: a
line of JSON for each event, ``[seconds since 1970, channel, data]``, added to RECORD, which outlives SIGKILL.
"""

import json
import os
import sys
import time

from local.pusher_server import server
from local.pusher_server.hub import Event, Hub


def main(record: str, arguments: list[str]) -> int:
    """Serve with ``arguments`` as ``local.pusher_server`` does; returns the exit code."""
    file = os.open(record, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    class RecordingHub(Hub):
        """Writes down what it publishes."""

        def publish(self, event: Event) -> None:
            for channel in event.channels:
                os.write(file, json.dumps([time.time(), channel, event.data]).encode() + b"\n")
            super().publish(event)

    setattr(server, "Hub", RecordingHub)  # noqa: B010 - there is one hub, and the server makes it itself
    return server.main(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
