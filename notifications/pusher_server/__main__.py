"""``python -m notifications.pusher_server``: run the embedded Pusher-protocol server."""

import sys

from notifications.pusher_server.server import main

if __name__ == "__main__":
    sys.exit(main())
