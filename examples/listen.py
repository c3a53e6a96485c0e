#!/usr/bin/env python
"""Follows a hotel's rooms live, as any Pusher client can: signs in, subscribes to the channel, prints the events.

While ``make run`` runs:  .venv/bin/python -m local exec -- examples/listen.py resort-housekeeper
"""

import json
import os
import sys
import time
from typing import Any

import pysher
import requests

API = f"http://127.0.0.1:{os.environ.get('PORT', '8000')}/api"


def show(data: str) -> None:
    """Print one room_updated event."""
    envelope: dict[str, Any] = json.loads(data)
    room, number = envelope["payload"], envelope["meta"]["seq"]
    who = room["changed_by_name"] or "the system"
    print(f"#{number}  room {room['room_number']}: {room['from_status']} -> {room['to_status']}, by {who}", flush=True)


def main(username: str) -> None:
    """Sign in as ``username`` and listen until Ctrl-C."""
    sys.stdout.reconfigure(errors="backslashreplace")  # a terminal may not support all letters in names
    login = requests.post(
        f"{API}/staff/login/", json={"username": username, "password": os.environ["DEMO_PASSWORD"]}, timeout=10
    )
    if login.status_code != 200:
        sys.exit(login.json()["message"])
    member = login.json()
    client = pysher.Pusher(
        os.environ["PUSHER_KEY"],
        secure=False,
        custom_host=os.environ["PUSHER_HOST"],
        port=int(os.environ["PUSHER_PORT"]),
        auth_endpoint=f"{API}/pusher/auth/",
        auth_endpoint_headers={"Authorization": f"Token {member['token']}"},
    )
    channel = f"private-{member['hotel_slug']}.rooms"

    def connected(_data: str) -> None:
        client.subscribe(channel).bind("room_updated", show)
        print(f"Listening on {channel}; Ctrl-C ends it.", flush=True)

    client.connection.bind("pusher:connection_established", connected)
    client.connect()
    try:
        while True:
            time.sleep(1)
    except KeyboardInterrupt:
        client.disconnect(timeout=0)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "resort-housekeeper")
