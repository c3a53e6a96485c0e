"""``python -m local.pusher_server``: run the embedded Pusher-protocol server."""

import sys

from local.pusher_server.server import main

if __name__ == "__main__":
    sys.exit(main())
