"""``manage.py watch {slug}``: prints a hotel's live stream, as staff clients receive it.

Signs in to the private channels with the server's own credentials, and reads missed events from the log. Shows which
staff member acted, but nothing about guests except the booking reference.
"""

import json
import os
import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import Error as DatabaseError
from django.db import close_old_connections
from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from common.formats import printable
from hotel.calendar import local_time
from hotel.models import Hotel
from notifications import transport
from notifications.catch_up import EventsExpired, events_after, latest_seq
from notifications.models import BOOKINGS, ROOMS
from notifications.notification_manager import envelope_of, staff_channel

PATIENCE = 10  # seconds to open a connection
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0  # seconds between two attempts
AT_ONCE = 500  # events per read of the log
# Pusher close codes after which reconnecting would fail again: a wrong key, an unknown app.
REFUSED_FOR_GOOD = range(4000, 4100)


class Command(BaseCommand):
    help = "Print the live stream of a hotel, one line per event, until Ctrl-C."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", help="the hotel's slug, such as resort")

    def handle(self, *args: Any, slug: str, **options: Any) -> None:
        hotel = Hotel.objects.filter(slug=slug).first()
        if hotel is None:
            known = ", ".join(Hotel.objects.order_by("slug").values_list("slug", flat=True)[:20]) or "none yet"
            raise CommandError(f'There is no hotel "{slug}". Known hotels: {known}.')
        try:
            Watch(hotel, self._write).run()
        except transport.PusherNotConfigured as error:
            raise CommandError(f"Live events are not configured. {error}") from error
        except KeyboardInterrupt:
            pass
        except BrokenPipeError:
            # The reader has closed the pipe; discard what Python still writes on exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def _write(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


class Watch:
    """One terminal session; remembers the last number shown of each stream."""

    def __init__(self, hotel: Hotel, say: Callable[[str], None]) -> None:
        self._hotel = hotel
        self._write = say
        self._streams = {staff_channel(hotel.slug, stream): stream for stream in (ROOMS, BOOKINGS)}
        self._shown = {stream: latest_seq(hotel, stream) for stream in self._streams.values()}
        self._pause = FIRST_PAUSE
        self._listening: set[str] = set()

    def run(self) -> None:
        """Print events, reconnecting whenever the connection breaks; ends only by an exception."""
        url = transport.websocket_url()
        self._write(
            f"Watching {self._hotel.slug}: rooms and room bookings, in the hotel's local time. Ctrl-C stops it."
        )
        connected = True
        while True:
            try:
                with connect(url, open_timeout=PATIENCE, close_timeout=1) as socket:
                    for text in socket:
                        self._handle(socket, json.loads(text))
                        if not connected and len(self._listening) == len(self._streams):
                            self._write("Reconnected.")
                            connected = True
                reason = "closed"
            except BrokenPipeError:
                raise
            except (OSError, WebSocketException, DatabaseError) as error:
                reason = type(error).__name__
            self._listening.clear()
            if connected:
                self._write(f"Connection lost ({reason}); reconnecting.")
                connected = False
            time.sleep(self._pause)
            self._pause = min(self._pause * 2, LONGEST_PAUSE)

    def _handle(self, socket: ClientConnection, message: Mapping[str, Any]) -> None:
        event: str = message["event"]
        data: Any = message.get("data")
        stream = self._streams.get(message.get("channel", ""))
        if event == "pusher:connection_established":
            for channel in self._streams:
                signed = transport.sign(channel, json.loads(data)["socket_id"])
                socket.send(json.dumps({"event": "pusher:subscribe", "data": {"channel": channel, **signed}}))
        elif event == "pusher:ping":
            socket.send(json.dumps({"event": "pusher:pong", "data": {}}))
        elif event == "pusher:error":
            # No code: our message was refused, not the connection. With any other code a later connection may succeed.
            if data["code"] is None or data["code"] in REFUSED_FOR_GOOD:
                reason = printable(data["message"])
                raise CommandError(
                    f"The Pusher server refused the connection: check PUSHER_KEY and PUSHER_SECRET. {reason}"
                )
        elif event == "pusher_internal:subscription_succeeded" and stream:
            self._listening.add(stream)
            self._pause = FIRST_PAUSE
            self._show_missed(stream)
        elif stream:
            self._show_next(stream, json.loads(data))

    def _show_next(self, stream: str, envelope: Mapping[str, Any]) -> None:
        number = envelope["meta"]["seq"]
        if number > self._shown[stream] + 1:
            self._show_missed(stream)
        if number > self._shown[stream]:  # otherwise a redelivery
            self._show(stream, envelope)

    def _show_missed(self, stream: str) -> None:
        """Print the events in the log after the last number shown."""
        close_old_connections()  # it may have been idle for hours
        while True:
            try:
                missed = events_after(self._hotel, stream, after=self._shown[stream], limit=AT_ONCE).events
            except EventsExpired as error:
                last = error.details["oldest_seq"] - 1
                self._write(f"{stream} #{self._shown[stream] + 1} to #{last} are no longer available.")
                self._shown[stream] = last
                continue
            if not missed:
                return
            for event in missed:
                self._show(stream, envelope_of(event))

    def _show(self, stream: str, envelope: Mapping[str, Any]) -> None:
        meta = envelope["meta"]
        moment = local_time(self._hotel, datetime.fromisoformat(meta["ts"]))
        self._write(f"{moment:%H:%M:%S}  {stream} #{meta['seq']}  {printable(described(envelope))}")
        self._shown[stream] = meta["seq"]


def described(envelope: Mapping[str, Any]) -> str:
    """The event in a few words, without any guest's name, address or notes."""
    payload, kind = envelope["payload"], envelope["type"]
    if kind == "room_updated":
        before, after = payload["from_status"], payload["to_status"]
        change = f"{before} -> {after}" if before != after else f"changed: {', '.join(payload['changed_fields'])}"
        return f"room {payload['room_number']}: {change}, by {payload['changed_by_name'] or 'HotelMate'}"
    if kind == "room_occupancy_updated":
        return f"room {payload['room_number']}: {'guests in house' if payload['is_occupied'] else 'no guests in house'}"
    room = f", room {payload['room_number']}" if payload["room_number"] else ""
    return f"{payload['booking_id']}: {kind.removeprefix('booking_').replace('_', ' ')} ({payload['status']}{room})"
