"""Whether the event log says what the audit trail says, after whatever was thrown at both."""

from typing import Any

LISTED = 5
# Each change of a status was told once and as it was, and no other was told.
STATUSES = """
    SELECT coalesce(audited.room_id, told.room_id), coalesce(audited.version, told.version),
           count(audited.id), count(told.id)
    FROM housekeeping_roomstatusevent audited
    FULL JOIN (
        SELECT event.id, (envelope->'payload'->>'id')::bigint AS room_id,
               (envelope->'payload'->>'status_version')::int AS version,
               envelope->'payload'->>'from_status' AS from_status, envelope->'payload'->>'room_status' AS to_status
        FROM notifications_realtimeevent event
        WHERE stream = 'rooms' AND type = 'room_updated'
          AND envelope->'payload'->>'from_status' <> envelope->'payload'->>'room_status'
    ) told ON (told.room_id, told.version, told.from_status, told.to_status)
            = (audited.room_id, audited.version, audited.from_status, audited.to_status)
    GROUP BY 1, 2
    HAVING count(*) <> 1 OR count(audited.id) <> 1 OR count(told.id) <> 1
    ORDER BY 1, 2
"""
# What was told last of a booking is what it is.
BOOKINGS = """
    SELECT booking.booking_id, booking.status, told.status
    FROM room_bookings_roombooking booking
    LEFT JOIN LATERAL (
        SELECT envelope->'payload'->>'status' AS status FROM notifications_realtimeevent event
        WHERE event.stream = 'room-bookings' AND event.hotel_id = booking.hotel_id
          AND envelope->'payload'->>'booking_id' = booking.booking_id
        ORDER BY event.id DESC LIMIT 1
    ) told ON true
    WHERE told.status IS DISTINCT FROM booking.status
      AND EXISTS (SELECT FROM notifications_realtimeevent event
                  WHERE event.stream = 'room-bookings' AND envelope->'payload'->>'booking_id' = booking.booking_id)
"""
WAITING = "SELECT count(*) FROM notifications_realtimeevent WHERE sent_at IS NULL AND parked_at IS NULL"
PARKED = "SELECT count(*) FROM notifications_realtimeevent WHERE parked_at IS NOT NULL"


def rows(connection: Any, statement: str) -> list[Any]:
    """The rows of one statement."""
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())


def waiting(connection: Any) -> int:
    """Events that were not sent yet."""
    return int(rows(connection, WAITING)[0][0])


def problems(connection: Any) -> list[str]:
    """Where the two disagree, as sentences; a few of each kind."""
    wrong = [
        f"version {version} of the room with pk {room}: {audited} in the audit trail, told {told}×, or told otherwise"
        for room, version, audited, told in rows(connection, STATUSES)[:LISTED]
    ]
    wrong += [
        f"booking {booking} is {status} and was last told to be {told}"
        for booking, status, told in rows(connection, BOOKINGS)[:LISTED]
    ]
    if parked := rows(connection, PARKED)[0][0]:
        wrong.append(f"{parked} events are parked: Pusher would not take them")
    return wrong
