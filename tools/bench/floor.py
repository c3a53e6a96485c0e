"""The floor: a status change in hand-written SQL, in psycopg2 alone and behind a bare DRF view.

It does only what the database requires: no sign-in, no rights, no workflow map, no physical facts.
"""

import functools
import uuid
from typing import Any

from django.db import connection
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from notifications import wakeup

STATEMENTS = 4  # BEGIN and COMMIT are never counted
LOCK = "SELECT hotel_id, room_status, status_version FROM rooms_room WHERE id = %s FOR NO KEY UPDATE"
UPDATE = """
    UPDATE rooms_room SET room_status = %s, status_version = %s, status_changed_at = now(), updated_at = now()
    WHERE id = %s
"""
AUDIT = """
    INSERT INTO housekeeping_roomstatusevent
        (hotel_id, room_id, version, from_status, to_status, changed_by_id, source, note, created_at)
    VALUES (%s, %s, %s, %s, %s, %s, 'HOUSEKEEPING', '', now())
"""
EVENT = """
    INSERT INTO notifications_realtimeevent
        (event_id, hotel_id, stream, channel, type, envelope, created_at, last_error)
    VALUES (%s, %s, 'rooms', 'private-floor.rooms', 'room_updated', %s, now(), '')
"""


def change_status(connection: Any, *, room: int, to_status: str, staff: int, envelope: str) -> int:
    """Lock, update, two inserts, commit, on a psycopg2 connection; returns the room's new version.

    ``envelope`` is the event's JSON, built in advance.
    """
    connection.autocommit = False
    with connection, connection.cursor() as cursor:
        cursor.execute(LOCK, [room])
        hotel, from_status, version = cursor.fetchone()
        cursor.execute(UPDATE, [to_status, version + 1, room])
        cursor.execute(AUDIT, [hotel, room, version + 1, from_status, to_status, staff])
        cursor.execute(EVENT, [str(uuid.uuid4()), hotel, envelope])
    connection.autocommit = True
    return int(version) + 1


@functools.cache
def sample_envelope() -> str:
    """The JSON of a stored event, so that the floor's events have a realistic size."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT envelope::text FROM notifications_realtimeevent WHERE type = 'room_updated' LIMIT 1")
        [envelope] = cursor.fetchone()
    return str(envelope)


class BareView(APIView):
    """A view without sign-in or permissions."""

    authentication_classes = ()
    permission_classes = ()


class NothingView(BareView):
    """Does nothing: the cost of Django, DRF and the server alone."""

    def get(self, request: Request) -> Response:
        return Response({"message": "Nothing."})


class StatusView(BareView):
    """A status change in hand-written SQL."""

    def post(self, request: Request, room: int) -> Response:
        body: Any = request.data
        connection.ensure_connection()
        version = change_status(
            connection.connection,
            room=room,
            to_status=body["to_status"],
            staff=body["staff"],
            envelope=sample_envelope(),
        )
        wakeup.wake()
        return Response({"room": room, "version": version})
