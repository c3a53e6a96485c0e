"""Compares the event log with the audit log and the bookings."""

from typing import Any

LISTED = 5
# Each status change has one event with the same statuses, and no event lacks a change.
STATUSES = """
    SELECT coalesce(audited.room_id, sent.room_id), coalesce(audited.version, sent.version),
           count(audited.id), count(sent.id)
    FROM housekeeping_roomstatusevent audited
    FULL JOIN (
        SELECT event.id, (envelope->'payload'->>'id')::bigint AS room_id,
               (envelope->'payload'->>'status_version')::int AS version,
               envelope->'payload'->>'from_status' AS from_status, envelope->'payload'->>'room_status' AS to_status
        FROM notifications_realtimeevent event
        WHERE stream = 'rooms' AND type = 'room_updated'
          AND envelope->'payload'->>'from_status' <> envelope->'payload'->>'room_status'
    ) sent ON (sent.room_id, sent.version, sent.from_status, sent.to_status)
            = (audited.room_id, audited.version, audited.from_status, audited.to_status)
    GROUP BY 1, 2
    HAVING count(*) <> 1 OR count(audited.id) <> 1 OR count(sent.id) <> 1
    ORDER BY 1, 2
"""
# The last event of each booking has its current status.
BOOKINGS = """
    SELECT booking.booking_id, booking.status, sent.status
    FROM room_bookings_roombooking booking
    LEFT JOIN LATERAL (
        SELECT envelope->'payload'->>'status' AS status FROM notifications_realtimeevent event
        WHERE event.stream = 'room-bookings' AND event.hotel_id = booking.hotel_id
          AND envelope->'payload'->>'booking_id' = booking.booking_id
        ORDER BY event.id DESC LIMIT 1
    ) sent ON true
    WHERE sent.status IS DISTINCT FROM booking.status
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
    """The number of events not yet sent."""
    return int(rows(connection, WAITING)[0][0])


def problems(connection: Any) -> list[str]:
    """The disagreements as sentences, a few of each kind."""
    wrong = [
        f"version {version} of the room with pk {room}: {audited} in the audit log, {sent} events, or they differ"
        for room, version, audited, sent in rows(connection, STATUSES)[:LISTED]
    ]
    wrong += [
        f"booking {booking} is {status}, its last event has {sent}"
        for booking, status, sent in rows(connection, BOOKINGS)[:LISTED]
    ]
    if parked := rows(connection, PARKED)[0][0]:
        wrong.append(f"{parked} events are parked: Pusher refused them")
    return wrong
