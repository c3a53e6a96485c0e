"""``python -m tools.harness.recording_pusher RECORD …``: the embedded Pusher server, recording everything it publishes.

A client that catches up from the event log would hide an event that the relay never sent. So the server records them:
it appends a line of JSON, ``[seconds since 1970, channel, data]``, to RECORD for each event; the file survives SIGKILL.
"""

import json
import os
import sys
import time

from local.pusher_server import server
from local.pusher_server.hub import Event, Hub


def main(record: str, arguments: list[str]) -> int:
    """Serve with the ``arguments`` of ``local.pusher_server``; returns the exit code."""
    file = os.open(record, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    class RecordingHub(Hub):
        """Records what it publishes."""

        def publish(self, event: Event) -> None:
            for channel in event.channels:
                os.write(file, json.dumps([time.time(), channel, event.data]).encode() + b"\n")
            super().publish(event)

    setattr(server, "Hub", RecordingHub)  # noqa: B010 - the server creates its only hub itself
    return server.main(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
