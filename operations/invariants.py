"""The rules that must always hold in the database, each checked over all rows by one SQL statement.

An independent check: it shares no code with services, models or triggers and spells out every table, column and status
itself, so that it does not repeat their mistakes.
"""

import time
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from django.db import connection, transaction


class Rule(NamedTuple):
    """A rule and the statement that finds its violations: rows of hotel slug, subject, detail."""

    name: str
    sentence: str
    sql: str


class Violation(NamedTuple):
    """One violation of a rule: the hotel, the subject (``room 101``, ``BK-2026-0005``) and the detail."""

    rule: str
    hotel: str
    subject: str
    detail: str


# Called after each rule with the rule, its violations and the seconds it took.
Report = Callable[[Rule, list[Violation], float], None]


def violations(*, report: Report | None = None, now: datetime | None = None) -> list[Violation]:
    """All violations of all rules, in the order of ``RULES``. ``now`` (aware) replaces the current time.

    All rules see the same snapshot (REPEATABLE READ): otherwise a guest who checks in between two statements would be
    in house for one and not for the other, and a consistent database would be reported as broken. READ ONLY takes no
    lock that the front desk could wait for. Within the caller's transaction, that transaction is checked, including its
    uncommitted changes.
    """
    if connection.in_atomic_block:
        return _check_all(report, now)
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        return _check_all(report, now)


def _check_all(report: Report | None, now: datetime | None) -> list[Violation]:
    found: list[Violation] = []
    with connection.cursor() as cursor:
        for rule in RULES:
            began = time.perf_counter()
            cursor.execute(rule.sql, {"now": now} if "%(now)s" in rule.sql else None)
            broken = [Violation(rule.name, *row) for row in cursor.fetchall()]
            if report is not None:
                report(rule, broken, time.perf_counter() - began)
            found += broken
    return found


# --- rooms and their audit log ----------------------------------------------------------------------------------------

ROOM_STATUS_AUDITED = """
    SELECT hotel.slug, 'room ' || room.number, found.detail
    FROM rooms_room room
    JOIN hotel_hotel hotel ON hotel.id = room.hotel_id
    LEFT JOIN housekeeping_roomstatusevent event ON event.room_id = room.id AND event.version = room.status_version
    LEFT JOIN (
        SELECT room_id, max(version) AS newest FROM housekeeping_roomstatusevent GROUP BY room_id
    ) trail ON trail.room_id = room.id
    CROSS JOIN LATERAL (SELECT concat_ws(
        '; ',
        CASE WHEN room.status_version = 0 AND room.room_status NOT IN ('READY_FOR_GUEST', 'CHECKOUT_DIRTY')
            THEN 'is ' || room.room_status || ' at version 0' END,
        CASE WHEN room.status_version > 0 AND event.id IS NULL
            THEN 'is ' || room.room_status || ', and version ' || room.status_version || ' has no audit row' END,
        CASE WHEN event.to_status <> room.room_status
            THEN 'is ' || room.room_status || ', but its audit row has ' || event.to_status END,
        CASE WHEN trail.newest > room.status_version
            THEN 'is at version ' || room.status_version || ', and an audit row at ' || trail.newest END
    ) AS detail) found
    WHERE found.detail <> ''
    ORDER BY 1, room.sort_key
"""

AUDIT_CHAIN = """
    SELECT hotel.slug, 'room ' || room.number, 'audit row ' || event.version || ': ' || found.detail
    FROM (
        SELECT room_id, hotel_id, version, from_status,
            lag(version, 1, 0) OVER history AS version_before, lag(to_status) OVER history AS status_before
        FROM housekeeping_roomstatusevent
        WINDOW history AS (PARTITION BY room_id ORDER BY version)
    ) event
    JOIN rooms_room room ON room.id = event.room_id
    JOIN hotel_hotel hotel ON hotel.id = room.hotel_id
    CROSS JOIN LATERAL (SELECT concat_ws(
        '; ',
        CASE WHEN event.version <> event.version_before + 1
            THEN 'follows version ' || event.version_before END,
        CASE WHEN event.status_before <> event.from_status
            THEN 'starts from ' || event.from_status || ' after ' || event.status_before END,
        CASE WHEN event.status_before IS NULL AND event.from_status NOT IN ('READY_FOR_GUEST', 'CHECKOUT_DIRTY')
            THEN 'is the first and starts from ' || event.from_status END,
        CASE WHEN event.hotel_id <> room.hotel_id THEN 'is of another hotel' END
    ) AS detail) found
    WHERE found.detail <> ''
    ORDER BY 1, room.sort_key, event.version
"""

ROOM_FAULT = """
    SELECT hotel.slug, 'room ' || room.number,
        CASE WHEN room.maintenance_required THEN 'is ready with an open fault'
            ELSE 'is in maintenance without a fault' END
    FROM rooms_room room
    JOIN hotel_hotel hotel ON hotel.id = room.hotel_id
    WHERE (room.room_status = 'MAINTENANCE_REQUIRED' AND NOT room.maintenance_required)
        OR (room.room_status = 'READY_FOR_GUEST' AND room.maintenance_required)
    ORDER BY 1, room.sort_key
"""

# The integer is the previous release's: see rooms.models.NumberInStep.
ROOM_NUMBERS = r"""
    SELECT hotel.slug, 'room ' || room.number, found.detail
    FROM (
        SELECT *, row_number() OVER (PARTITION BY hotel_id, lower(number) ORDER BY id) AS nth FROM rooms_room
    ) room
    JOIN hotel_hotel hotel ON hotel.id = room.hotel_id
    CROSS JOIN LATERAL (SELECT concat_ws(
        '; ',
        CASE WHEN room.nth > 1 THEN 'shares its number with another' END,
        CASE WHEN room.sort_key <> hotelmate_room_key(room.number) THEN 'is sorted and found as another number' END,
        CASE WHEN room.room_number::text <> room.number THEN 'has the integer ' || room.room_number END
    ) AS detail) found
    WHERE found.detail <> ''
    ORDER BY 1, room.sort_key
"""

CONNECTING_ROOMS = """
    SELECT hotel.slug, 'room ' || room.number, 'connects to ' || coalesce('room ' || other.number || ', which does not '
        'connect to it', 'id ' || named || ', which is no other room of the hotel')
    FROM rooms_room room
    JOIN hotel_hotel hotel ON hotel.id = room.hotel_id
    CROSS JOIN LATERAL unnest(room.connecting_rooms) named
    LEFT JOIN rooms_room other ON other.id = named AND other.hotel_id = room.hotel_id AND other.id <> room.id
    WHERE other.id IS NULL OR NOT room.id = ANY(other.connecting_rooms)
    ORDER BY 1, room.sort_key, named
"""

ROOM_FEATURES = """
    SELECT hotel.slug, 'room ' || room.number, 'has ' || feature || ', which the list of the hotel does not have'
    FROM rooms_room room
    JOIN hotel_hotel hotel ON hotel.id = room.hotel_id
    CROSS JOIN LATERAL unnest(room.features) feature
    WHERE NOT feature = ANY(hotel.room_features)
    ORDER BY 1, room.sort_key, feature
"""

# --- guests in rooms --------------------------------------------------------------------------------------------------

ONE_IN_HOUSE = """
    SELECT hotel.slug, 'room ' || room.number,
        string_agg(booking.booking_id, ', ' ORDER BY booking.booking_id) || ' are all in house'
    FROM room_bookings_roombooking booking
    JOIN rooms_room room ON room.id = booking.assigned_room_id
    JOIN hotel_hotel hotel ON hotel.id = room.hotel_id
    WHERE booking.status = 'IN_HOUSE'
    GROUP BY hotel.slug, room.id
    HAVING count(*) > 1
    ORDER BY 1, room.sort_key
"""

IN_HOUSE_ROOM = """
    SELECT hotel.slug, 'room ' || room.number,
        booking.booking_id || ' is in house, and the room is ' || room.room_status
    FROM room_bookings_roombooking booking
    JOIN rooms_room room ON room.id = booking.assigned_room_id
    JOIN hotel_hotel hotel ON hotel.id = room.hotel_id
    WHERE booking.status = 'IN_HOUSE' AND room.room_status NOT IN ('OCCUPIED', 'MAINTENANCE_REQUIRED')
    ORDER BY 1, room.sort_key
"""

OCCUPIED_HAS_GUEST = """
    SELECT hotel.slug, 'room ' || room.number, 'is OCCUPIED, and nobody is in house'
    FROM rooms_room room
    JOIN hotel_hotel hotel ON hotel.id = room.hotel_id
    WHERE room.room_status = 'OCCUPIED' AND NOT EXISTS (
        SELECT FROM room_bookings_roombooking booking
        WHERE booking.assigned_room_id = room.id AND booking.status = 'IN_HOUSE'
    )
    ORDER BY 1, room.sort_key
"""

# The nights for which a booking holds its room: the departure day is free, but day use (in and out on the same day)
# takes its day, and an early arrival counts from the day of the arrival.
STAY = """
    SELECT id, hotel_id, booking_id, assigned_room_id, check_in, check_out,
        CASE WHEN arrived_on < check_in THEN arrived_on ELSE check_in END AS first_night,
        check_out + CASE WHEN check_out = check_in THEN 1 ELSE 0 END AS free_from
    FROM room_bookings_roombooking
    WHERE status IN ('CONFIRMED', 'IN_HOUSE') AND assigned_room_id IS NOT NULL
"""

# Only stays that begin before an earlier stay in the same room has ended are compared with the others; in a consistent
# database there are none.
NO_OVERLAP = f"""
    WITH stay AS ({STAY}), in_order AS (
        SELECT stay.*, max(free_from) OVER (
            PARTITION BY assigned_room_id ORDER BY first_night, id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS taken_until
        FROM stay
    )
    SELECT hotel.slug, 'room ' || room.number,
        earlier.booking_id || ' (' || earlier.check_in || ' to ' || earlier.check_out || ') and '
        || later.booking_id || ' (' || later.check_in || ' to ' || later.check_out || ')'
    FROM in_order later
    JOIN stay earlier ON earlier.assigned_room_id = later.assigned_room_id
        AND (earlier.first_night, earlier.id) < (later.first_night, later.id)
        AND earlier.free_from > later.first_night
    JOIN rooms_room room ON room.id = later.assigned_room_id
    JOIN hotel_hotel hotel ON hotel.id = room.hotel_id
    WHERE later.taken_until > later.first_night
    ORDER BY 1, room.sort_key, later.first_night, later.id
"""  # noqa: S608 - the statement above

# A claim without its stay, a stay without its claim, or one that says something else.
ROOM_CLAIMS = f"""
    WITH stay AS ({STAY})
    SELECT hotel.slug, booking.booking_id, concat_ws(
        ', ',
        CASE WHEN stay.id IS NULL THEN 'holds no room'
            ELSE 'holds room ' || held.number || ' from ' || stay.first_night || ' to ' || stay.free_from END,
        CASE WHEN claim.id IS NULL THEN 'and claims none'
            ELSE 'and claims room ' || claimed.number || ' from ' || coalesce(lower(claim.nights)::text, 'ever')
                || ' to ' || coalesce(upper(claim.nights)::text, 'ever') END
    )
    FROM stay
    FULL JOIN room_bookings_roomclaim claim
        ON claim.booking_id = stay.id AND claim.room_id = stay.assigned_room_id AND claim.hotel_id = stay.hotel_id
        AND lower(claim.nights) = stay.first_night AND upper(claim.nights) = stay.free_from
    JOIN room_bookings_roombooking booking ON booking.id = coalesce(stay.id, claim.booking_id)
    JOIN hotel_hotel hotel ON hotel.id = booking.hotel_id
    LEFT JOIN rooms_room held ON held.id = stay.assigned_room_id
    LEFT JOIN rooms_room claimed ON claimed.id = claim.room_id
    WHERE stay.id IS NULL OR claim.id IS NULL
    ORDER BY 1, 2, 3
"""  # noqa: S608 - the statement above

# --- blocks -----------------------------------------------------------------------------------------------------------

# A claim without its block, a block without its claim, or one that says something else.
BLOCK_CLAIMS = """
    SELECT hotel.slug, 'room ' || room.number, concat_ws(
        ', ',
        'a block is ' || block.status || ' and ' || block.kind || ' from ' || block.first_night || ' to '
            || coalesce(block.free_from::text, 'ever'),
        CASE WHEN claim.id IS NULL THEN 'and claims none'
            ELSE 'and claims room ' || claimed.number || ' from ' || coalesce(lower(claim.nights)::text, 'ever')
                || ' to ' || coalesce(upper(claim.nights)::text, 'ever') END
    )
    FROM (
        SELECT * FROM rooms_roomblock WHERE status IN ('PLANNED', 'ACTIVE') AND kind <> 'OUT_OF_SERVICE'
    ) live
    FULL JOIN (SELECT * FROM room_bookings_roomclaim WHERE block_id IS NOT NULL) claim
        ON claim.block_id = live.id AND claim.room_id = live.room_id AND claim.hotel_id = live.hotel_id
        AND lower(claim.nights) = live.first_night AND upper(claim.nights) IS NOT DISTINCT FROM live.free_from
    JOIN rooms_roomblock block ON block.id = coalesce(live.id, claim.block_id)
    JOIN hotel_hotel hotel ON hotel.id = block.hotel_id
    JOIN rooms_room room ON room.id = block.room_id
    LEFT JOIN rooms_room claimed ON claimed.id = claim.room_id
    WHERE live.id IS NULL OR claim.id IS NULL
    ORDER BY 1, room.sort_key, block.id
"""

OUT_OF_ORDER_BLOCKED = """
    SELECT hotel.slug, 'room ' || room.number,
        'is ' || room.room_status || ', and ' || coalesce('a block is active: ' || block.kind, 'no block is active')
    FROM rooms_room room
    JOIN hotel_hotel hotel ON hotel.id = room.hotel_id
    LEFT JOIN rooms_roomblock block
        ON block.room_id = room.id AND block.status = 'ACTIVE' AND block.kind IN ('OUT_OF_ORDER', 'OUT_OF_INVENTORY')
    WHERE (room.room_status = 'OUT_OF_ORDER') <> (block.id IS NOT NULL)
    ORDER BY 1, room.sort_key
"""

# No two blocks take a room off sale for one night; none does on a night that a stay has.
BLOCKS_ALONE = f"""
    WITH stay AS ({STAY})
    SELECT hotel.slug, 'room ' || room.number,
        'a block (' || block.first_night || ' to ' || coalesce(block.free_from::text, 'ever')
        || ') and ' || coalesce(booking.booking_id, 'another (' || other.first_night || ')')
    FROM rooms_roomblock block
    JOIN rooms_room room ON room.id = block.room_id
    JOIN hotel_hotel hotel ON hotel.id = room.hotel_id
    LEFT JOIN stay ON stay.assigned_room_id = block.room_id AND stay.free_from > block.first_night
        AND (block.free_from IS NULL OR stay.first_night < block.free_from)
    LEFT JOIN room_bookings_roombooking booking ON booking.id = stay.id
    LEFT JOIN rooms_roomblock other ON other.room_id = block.room_id AND other.id > block.id
        AND other.status IN ('PLANNED', 'ACTIVE') AND other.kind <> 'OUT_OF_SERVICE'
        AND (other.free_from IS NULL OR other.free_from > block.first_night)
        AND (block.free_from IS NULL OR other.first_night < block.free_from)
    WHERE block.status IN ('PLANNED', 'ACTIVE') AND block.kind <> 'OUT_OF_SERVICE'
        AND (stay.id IS NOT NULL OR other.id IS NOT NULL)
    ORDER BY 1, room.sort_key, block.id
"""  # noqa: S608 - the statement above

BLOCK_HISTORY = """
    SELECT hotel.slug, 'room ' || room.number,
        'a block is ' || block.status || ' at version ' || block.version || ', and its history ends '
        || coalesce('with ' || newest.to_status || ' at version ' || newest.version, 'before it begins')
    FROM rooms_roomblock block
    JOIN hotel_hotel hotel ON hotel.id = block.hotel_id
    JOIN rooms_room room ON room.id = block.room_id
    LEFT JOIN LATERAL (
        SELECT * FROM rooms_roomblockevent event WHERE event.block_id = block.id ORDER BY version DESC LIMIT 1
    ) newest ON true
    WHERE newest.id IS NULL OR newest.version <> block.version OR newest.to_status <> block.status
        OR newest.to_free IS DISTINCT FROM block.free_from OR newest.to_return_status <> block.return_status
    ORDER BY 1, room.sort_key, block.id
"""

# --- bookings ---------------------------------------------------------------------------------------------------------

BOOKING_TIMES = """
    SELECT hotel.slug, booking.booking_id, 'is ' || booking.status || ': ' || found.detail
    FROM room_bookings_roombooking booking
    JOIN hotel_hotel hotel ON hotel.id = booking.hotel_id
    CROSS JOIN LATERAL (SELECT concat_ws(
        '; ',
        CASE WHEN booking.check_out < booking.check_in THEN 'check_out is before check_in' END,
        CASE WHEN booking.status IN ('IN_HOUSE', 'COMPLETED') AND booking.checked_in_at IS NULL
            THEN 'was never checked in' END,
        CASE WHEN booking.status = 'IN_HOUSE' AND booking.checked_out_at IS NOT NULL
            THEN 'was checked out' END,
        CASE WHEN booking.status = 'COMPLETED' AND booking.checked_out_at IS NULL
            THEN 'was never checked out' END,
        CASE WHEN booking.status NOT IN ('IN_HOUSE', 'COMPLETED')
            AND booking.checked_in_at IS NOT NULL AND booking.checked_out_at IS NULL
            THEN 'its times say checked in' END,
        CASE WHEN booking.status NOT IN ('IN_HOUSE', 'COMPLETED', 'CANCELLED') AND booking.checked_out_at IS NOT NULL
            THEN 'its times say checked out' END,
        CASE WHEN booking.status NOT IN ('IN_HOUSE', 'COMPLETED')
            AND booking.checked_in_at IS NULL AND booking.checked_out_at IS NOT NULL
            THEN 'was checked out without having been in' END,
        CASE WHEN booking.arrived_on IS NOT NULL AND booking.checked_in_at IS NULL
            THEN 'has an arrival and was never checked in' END,
        CASE WHEN booking.checked_out_at < booking.checked_in_at THEN 'was checked out before it was checked in' END,
        CASE WHEN booking.status = 'CANCELLED' AND booking.cancelled_at IS NULL THEN 'has no cancelled_at' END,
        CASE WHEN booking.status <> 'CANCELLED' AND booking.cancelled_at IS NOT NULL THEN 'has a cancelled_at' END,
        CASE WHEN booking.status = 'CANCELLED' AND booking.checked_out_at <> booking.cancelled_at
            THEN 'its stay did not end when it was cancelled' END,
        CASE WHEN booking.status = 'EXPIRED' AND booking.expired_at IS NULL THEN 'has no expired_at' END,
        CASE WHEN booking.status <> 'EXPIRED' AND booking.expired_at IS NOT NULL THEN 'has an expired_at' END
    ) AS detail) found
    WHERE found.detail <> ''
    ORDER BY 1, 2
"""

BOOKING_ROOM = """
    SELECT hotel.slug, booking.booking_id,
        'is ' || booking.status || CASE WHEN booking.assigned_room_id IS NULL THEN ' without a room'
            ELSE ' and keeps room ' || room.number END
    FROM room_bookings_roombooking booking
    JOIN hotel_hotel hotel ON hotel.id = booking.hotel_id
    LEFT JOIN rooms_room room ON room.id = booking.assigned_room_id
    WHERE (booking.status = 'IN_HOUSE' AND booking.assigned_room_id IS NULL)
        OR (booking.status IN ('DECLINED', 'CANCELLED', 'CANCELLED_DRAFT', 'EXPIRED', 'NO_SHOW')
            AND booking.assigned_room_id IS NOT NULL)
    ORDER BY 1, 2
"""

BOOKING_HISTORY = """
    SELECT hotel.slug, booking.booking_id,
        'is ' || booking.status || ', and the newest change in its history led to ' || change.to_status
    FROM (SELECT booking_id, max(id) AS id FROM room_bookings_bookingchange GROUP BY booking_id) newest
    JOIN room_bookings_bookingchange change ON change.id = newest.id
    JOIN room_bookings_roombooking booking ON booking.id = newest.booking_id
    JOIN hotel_hotel hotel ON hotel.id = booking.hotel_id
    WHERE change.to_status <> booking.status
    ORDER BY 1, 2
"""

PAYMENTS = """
    SELECT hotel.slug, booking.booking_id, found.detail
    FROM (
        SELECT id, hotel_id, booking_id, status, payment_state, payment_reference, paid_at,
            count(nullif(payment_reference, '')) OVER (PARTITION BY payment_reference) AS sharing
        FROM room_bookings_roombooking
        WHERE payment_state <> '' OR payment_reference <> ''
    ) booking
    JOIN hotel_hotel hotel ON hotel.id = booking.hotel_id
    LEFT JOIN room_bookings_paymentretry retry ON retry.booking_id = booking.id
    CROSS JOIN LATERAL (SELECT concat_ws(
        '; ',
        CASE WHEN booking.payment_state = 'CAPTURED' AND booking.paid_at IS NULL
            THEN 'is captured without paid_at' END,
        CASE WHEN booking.sharing > 1
            THEN 'shares payment ' || booking.payment_reference || ' with another booking' END,
        CASE WHEN (booking.status = 'DECLINED' AND booking.payment_state IN ('AUTHORISED', 'CAPTURING', 'CAPTURED'))
            OR (booking.status = 'EXPIRED' AND booking.payment_state = 'CAPTURED')
            THEN 'is ' || booking.status || ', and its payment ' || booking.payment_state END,
        CASE WHEN retry.booking_id IS NOT NULL AND booking.payment_state NOT IN ('CAPTURING', 'VOIDING', 'REFUNDING')
            THEN 'has a payment retry, but its payment is ' || booking.payment_state END
    ) AS detail) found
    WHERE found.detail <> ''
    ORDER BY 1, 2
"""

# --- what is sold -----------------------------------------------------------------------------------------------------

# Each hotel with its business date: the last day whose cutoff has passed. Where a local time occurs twice, PostgreSQL
# takes the second, but the first one counts: the one by the previous day's UTC offset, if that gives the same local
# time.
TODAY = """
    SELECT hotel.*, begun.today
    FROM hotel_hotel hotel
    JOIN pg_timezone_names zone ON zone.name = hotel.timezone
    CROSS JOIN LATERAL (SELECT coalesce(%(now)s::timestamptz, now()) AS now) moment
    CROSS JOIN LATERAL (
        SELECT max(wall.clock::date) AS today
        FROM generate_series(-2, 2) days
        CROSS JOIN LATERAL (
            SELECT (moment.now AT TIME ZONE zone.name)::date + days + hotel.late_arrival_cutoff AS clock
        ) wall
        CROSS JOIN LATERAL (SELECT wall.clock AT TIME ZONE zone.name AS usual) second
        CROSS JOIN LATERAL (
            SELECT wall.clock AT TIME ZONE 'UTC'
                - ((second.usual - interval '24 hours') AT TIME ZONE zone.name
                    - (second.usual - interval '24 hours') AT TIME ZONE 'UTC') AS by_old_offset
        ) first
        WHERE moment.now >= CASE
            WHEN first.by_old_offset AT TIME ZONE zone.name = wall.clock THEN least(first.by_old_offset, second.usual)
            ELSE second.usual END
    ) begun
"""

# The nights of the next year, from tonight. An overdue guest does not count as sold tonight; an early arrival counts
# from the arrival. Hotels that allow overbooking are not checked. A permitted overbooking counts for as long as its
# booking is still of that room type, or its room is still missing from it.
NIGHTS_SOLD = f"""
    WITH house AS (
        SELECT id, slug, today FROM ({TODAY}) hotel WHERE NOT allow_overbooking
    ), stay AS (
        SELECT booking.id, booking.hotel_id, coalesce(room.room_type_id, booking.room_type_id) AS room_type_id,
            greatest(house.today, CASE WHEN booking.status = 'IN_HOUSE'
                THEN least(booking.check_in, booking.arrived_on) ELSE booking.check_in END) AS first_night,
            least(house.today + 365, CASE WHEN booking.check_out = booking.check_in
                THEN booking.check_out + 1 ELSE booking.check_out END) AS free_from
        FROM room_bookings_roombooking booking
        JOIN house ON house.id = booking.hotel_id
        LEFT JOIN rooms_room room ON room.id = booking.assigned_room_id
        WHERE booking.status IN ('CONFIRMED', 'IN_HOUSE')
    ), sold AS (
        SELECT hotel_id, room_type_id, night::date AS night, count(*) AS bookings, array_agg(stay.id) AS ids
        FROM stay CROSS JOIN LATERAL generate_series(first_night, free_from - 1, interval '1 day') night
        GROUP BY hotel_id, room_type_id, night
    ), room_count AS (
        SELECT room_type_id, count(*) AS rooms FROM rooms_room WHERE is_active GROUP BY room_type_id
    ), blocked AS (
        SELECT room.room_type_id, night::date AS night, count(DISTINCT room.id) AS rooms
        FROM rooms_roomblock block
        JOIN rooms_room room ON room.id = block.room_id AND room.is_active
        JOIN house ON house.id = block.hotel_id
        CROSS JOIN LATERAL generate_series(
            greatest(block.first_night, house.today),
            least(coalesce(block.free_from, house.today + 365), house.today + 365) - 1,
            interval '1 day'
        ) night
        WHERE block.status IN ('PLANNED', 'ACTIVE') AND block.kind <> 'OUT_OF_SERVICE'
        GROUP BY room.room_type_id, night
    ), oversold AS (
        SELECT sold.*, coalesce(room_count.rooms, 0) - coalesce(blocked.rooms, 0) AS rooms
        FROM sold LEFT JOIN room_count USING (room_type_id) LEFT JOIN blocked USING (room_type_id, night)
        WHERE sold.bookings > coalesce(room_count.rooms, 0) - coalesce(blocked.rooms, 0)
    )
    SELECT house.slug, 'type ' || room_type.code,
        oversold.night || ': ' || oversold.bookings || ' sold of ' || oversold.rooms || ', '
        || leave.rooms || ' of them as permitted overbookings'
    FROM oversold
    JOIN house ON house.id = oversold.hotel_id
    JOIN rooms_roomtype room_type ON room_type.id = oversold.room_type_id
    CROSS JOIN LATERAL (
        SELECT count(DISTINCT allowed.booking_id) FILTER (WHERE allowed.booking_id = ANY (oversold.ids))
            + count(DISTINCT allowed.room_id) FILTER (
                WHERE NOT gone.is_active OR gone.room_type_id <> allowed.room_type_id
                    OR EXISTS (
                        SELECT FROM rooms_roomblock block
                        WHERE block.room_id = gone.id AND block.status IN ('PLANNED', 'ACTIVE')
                            AND block.kind <> 'OUT_OF_SERVICE' AND block.first_night <= oversold.night
                            AND (block.free_from IS NULL OR block.free_from > oversold.night)
                    ))
            + coalesce(max(allowed.rooms) FILTER (
                WHERE allowed.booking_id IS NULL AND allowed.room_id IS NULL), 0) AS rooms
        FROM room_bookings_overbooking allowed
        LEFT JOIN rooms_room gone ON gone.id = allowed.room_id
        WHERE allowed.room_type_id = oversold.room_type_id
            AND allowed.first_night <= oversold.night AND allowed.free_from > oversold.night
    ) leave
    WHERE oversold.bookings - oversold.rooms > leave.rooms
    ORDER BY 1, 2, oversold.night
"""  # noqa: S608 - the statement above

PARTY_FITS = """
    SELECT hotel.slug, booking.booking_id,
        'a party of ' || party.guests || ' in a ' || room_type.code || ' that sleeps ' || room_type.max_occupancy
        || ' and ' || booking.extra_beds || ' more'
    FROM room_bookings_roombooking booking
    JOIN hotel_hotel hotel ON hotel.id = booking.hotel_id
    LEFT JOIN rooms_room room ON room.id = booking.assigned_room_id
    JOIN rooms_roomtype room_type ON room_type.id = coalesce(room.room_type_id, booking.room_type_id)
    LEFT JOIN (
        SELECT booking_id, count(*) AS companions FROM room_bookings_bookingguest GROUP BY booking_id
    ) named ON named.booking_id = booking.id
    CROSS JOIN LATERAL (
        SELECT greatest(booking.adults + booking.children, 1 + coalesce(named.companions, 0)) AS guests
    ) party
    WHERE booking.status IN ('CONFIRMED', 'IN_HOUSE')
        AND party.guests > room_type.max_occupancy + booking.extra_beds
    ORDER BY 1, 2
"""

# --- hotels -----------------------------------------------------------------------------------------------------------

HOTEL_DAY = """
    SELECT hotel.slug, 'hotel ' || hotel.slug,
        'ends its business day at ' || hotel.late_arrival_cutoff || ', and lets guests in from '
            || hotel.early_checkin_from
    FROM hotel_hotel hotel
    WHERE hotel.late_arrival_cutoff > '12:00' OR hotel.late_arrival_cutoff > hotel.early_checkin_from
    ORDER BY 1
"""

# --- tasks ------------------------------------------------------------------------------------------------------------

# Turnovers opened by staff are exempt: they may request a second cleaning of a clean room.
TURNOVERS = """
    SELECT hotel.slug, 'room ' || room.number,
        'is ' || room.room_status || ', and the turnover after ' || booking.booking_id || ' is ' || task.status
    FROM housekeeping_housekeepingtask task
    JOIN room_bookings_roombooking booking ON booking.id = task.booking_id
    JOIN rooms_room room ON room.id = task.room_id
    JOIN hotel_hotel hotel ON hotel.id = task.hotel_id
    WHERE task.task_type = 'TURNOVER' AND task.status IN ('OPEN', 'IN_PROGRESS') AND task.created_by_id IS NULL
        AND room.room_status IN ('CLEANED_UNINSPECTED', 'READY_FOR_GUEST')
    ORDER BY 1, room.sort_key, task.id
"""

STAYOVERS = """
    SELECT hotel.slug, 'room ' || room.number,
        'the stayover of ' || booking.booking_id || ' on ' || task.for_date || ' is ' || task.status
        || ', and the booking is ' || booking.status
        || CASE WHEN booking.status = 'IN_HOUSE' THEN ' in another room' ELSE '' END
    FROM housekeeping_housekeepingtask task
    JOIN room_bookings_roombooking booking ON booking.id = task.booking_id
    JOIN rooms_room room ON room.id = task.room_id
    JOIN hotel_hotel hotel ON hotel.id = task.hotel_id
    WHERE task.task_type = 'STAYOVER' AND task.status IN ('OPEN', 'IN_PROGRESS') AND task.for_date IS NOT NULL
        AND (booking.status <> 'IN_HOUSE' OR booking.assigned_room_id IS DISTINCT FROM task.room_id)
    ORDER BY 1, room.sort_key, task.id
"""

# Inspections and deep cleans belong to the room once the guest has arrived; turnovers always do.
TASKS_OF_GUESTS = """
    SELECT hotel.slug, booking.booking_id,
        'is ' || booking.status || ', but its task ' || task.task_type || ' is ' || task.status
    FROM housekeeping_housekeepingtask task
    JOIN room_bookings_roombooking booking ON booking.id = task.booking_id
    JOIN hotel_hotel hotel ON hotel.id = task.hotel_id
    WHERE task.status IN ('OPEN', 'IN_PROGRESS')
        AND booking.status IN ('COMPLETED', 'DECLINED', 'CANCELLED', 'CANCELLED_DRAFT', 'EXPIRED', 'NO_SHOW')
        AND (task.task_type IN ('AMENITY', 'STAYOVER')
            OR task.task_type IN ('INSPECTION', 'DEEP_CLEAN') AND booking.checked_in_at IS NULL)
    ORDER BY 1, 2, task.id
"""

# --- mail -------------------------------------------------------------------------------------------------------------

BOOKING_MAILS = """
    SELECT hotel.slug, booking.booking_id, 'a mail is ' || mail.state || ': ' || found.detail
    FROM (
        SELECT mail.*, mail.state IN ('QUEUED', 'SENDING') AS is_open,
            count(*) OVER (PARTITION BY mail.booking_id, mail.state) AS alike
        FROM notifications_bookingmail mail
    ) mail
    JOIN room_bookings_roombooking booking ON booking.id = mail.booking_id
    JOIN hotel_hotel hotel ON hotel.id = mail.hotel_id
    CROSS JOIN LATERAL (SELECT concat_ws(
        '; ',
        CASE WHEN mail.is_open AND mail.alike > 1 THEN 'another of the booking has the same state' END,
        CASE WHEN mail.is_open = (mail.settled_at IS NOT NULL) THEN 'its settled_at disagrees' END
    ) AS detail) found
    WHERE found.detail <> ''
    ORDER BY 1, 2, mail.id
"""

# --- links and numbers ------------------------------------------------------------------------------------------------


def _links_across(table: str, subject: str, links: dict[str, str]) -> str:
    """SQL for the rows of ``table`` whose ``links`` (column → table) point to another hotel."""
    return " UNION ALL ".join(
        f"SELECT hotel.slug, {subject}, '{column} is of hotel ' || other.slug "  # noqa: S608 - the names below
        f"FROM {table} this JOIN {linked} linked ON linked.id = this.{column} "
        "JOIN hotel_hotel hotel ON hotel.id = this.hotel_id JOIN hotel_hotel other ON other.id = linked.hotel_id "
        "WHERE linked.hotel_id <> this.hotel_id"
        for column, linked in links.items()
    )


ROOM, TYPE, BOOKING, STAFF = "rooms_room", "rooms_roomtype", "room_bookings_roombooking", "hotel_staff"
ONE_HOTEL = " UNION ALL ".join(
    [
        _links_across(
            ROOM,
            "'room ' || this.number",
            {"room_type_id": TYPE, "cleaned_by_staff_id": STAFF, "inspected_by_staff_id": STAFF},
        ),
        _links_across(
            BOOKING,
            "this.booking_id",
            {
                "room_type_id": TYPE,
                "assigned_room_id": ROOM,
                "room_assigned_by_id": STAFF,
                "staff_seen_by_id": STAFF,
                "decided_by_id": STAFF,
                "cancelled_by_id": STAFF,
                "payment_requested_by_id": STAFF,
            },
        ),
        _links_across(
            "housekeeping_roomstatusevent", "'audit row id ' || this.id", {"room_id": ROOM, "changed_by_id": STAFF}
        ),
        _links_across(
            "housekeeping_housekeepingtask",
            "'task id ' || this.id",
            {"room_id": ROOM, "booking_id": BOOKING, "assigned_to_id": STAFF, "created_by_id": STAFF},
        ),
        _links_across(
            "room_bookings_bookingchange",
            "'booking change id ' || this.id",
            {"booking_id": BOOKING, "from_room_id": ROOM, "to_room_id": ROOM, "staff_id": STAFF},
        ),
        _links_across(
            "room_bookings_overstayincident",
            "'overstay id ' || this.id",
            {"booking_id": BOOKING, "acknowledged_by_id": STAFF},
        ),
        _links_across(
            "room_bookings_roomclaim",
            "'room claim id ' || this.id",
            {"booking_id": BOOKING, "block_id": "rooms_roomblock", "room_id": ROOM},
        ),
        _links_across(
            "rooms_roomblock",
            "'block id ' || this.id",
            {"room_id": ROOM, "reason_id": "rooms_blockreason", "created_by_id": STAFF},
        ),
        _links_across(
            "rooms_roomblockevent",
            "'block event id ' || this.id",
            {"block_id": "rooms_roomblock", "staff_id": STAFF},
        ),
        _links_across(
            "room_bookings_overbooking",
            "'overbooking id ' || this.id",
            {"room_type_id": TYPE, "booking_id": BOOKING, "room_id": ROOM, "staff_id": STAFF},
        ),
        _links_across(
            "notifications_bookingmail", "'mail id ' || this.id", {"booking_id": BOOKING, "queued_by_id": STAFF}
        ),
        _links_across(
            "room_bookings_bookingextension", "'extension id ' || this.id", {"booking_id": BOOKING, "staff_id": STAFF}
        ),
    ]
)

# The oldest events may be missing, as they are deleted after the retention period. After a failover numbers jump.
EVENT_NUMBERS = """
    SELECT hotel.slug, 'events of ' || event.stream, 'number ' || event.seq || ' follows number ' || event.seq_before
    FROM (
        SELECT hotel_id, stream, seq, lag(seq) OVER (PARTITION BY hotel_id, stream ORDER BY seq) AS seq_before
        FROM notifications_realtimeevent
        WHERE seq IS NOT NULL
    ) event
    JOIN hotel_hotel hotel ON hotel.id = event.hotel_id
    WHERE event.seq <> event.seq_before + 1
        AND NOT EXISTS (SELECT FROM notifications_timeline timeline WHERE timeline.jumped_to + 1 = event.seq)
    UNION ALL
    SELECT hotel.slug, 'events of ' || event.stream,
        'number ' || event.newest || ' is the newest, the last given is ' || coalesce(given.last_seq, 0)
    FROM (
        SELECT hotel_id, stream, max(seq) AS newest FROM notifications_realtimeevent
        WHERE seq IS NOT NULL
        GROUP BY hotel_id, stream
    ) event
    JOIN hotel_hotel hotel ON hotel.id = event.hotel_id
    LEFT JOIN notifications_eventstream given ON given.hotel_id = event.hotel_id AND given.name = event.stream
    WHERE event.newest IS DISTINCT FROM given.last_seq
        AND NOT EXISTS (SELECT FROM notifications_timeline timeline WHERE timeline.jumped_to = given.last_seq)
    ORDER BY 1, 2, 3
"""

RULES = (
    Rule("room_status_audited", "A room's status is that of its newest audit row", ROOM_STATUS_AUDITED),
    Rule(
        "audit_chain", "A room's audit rows are numbered without gaps, each starting where the last ended", AUDIT_CHAIN
    ),
    Rule("room_fault", "A room in maintenance has an open fault, a ready room has none", ROOM_FAULT),
    Rule("room_numbers", "A hotel has no two rooms of the same number, whatever the case", ROOM_NUMBERS),
    Rule("connecting_rooms", "Connecting rooms are of one hotel and name each other", CONNECTING_ROOMS),
    Rule("room_features", "A room's features are in its hotel's list", ROOM_FEATURES),
    Rule("one_in_house", "No two bookings are in house in the same room", ONE_IN_HOUSE),
    Rule("in_house_room", "A guest in house is in a room that is occupied or in maintenance", IN_HOUSE_ROOM),
    Rule("occupied_has_guest", "An occupied room has a guest in house", OCCUPIED_HAS_GUEST),
    Rule("no_overlap", "No two active bookings have the same room on the same night", NO_OVERLAP),
    Rule("room_claims", "The claims of rooms and nights are those of the bookings", ROOM_CLAIMS),
    Rule("block_claims", "The claims of blocked nights are those of the blocks", BLOCK_CLAIMS),
    Rule("out_of_order_blocked", "A room is out of order while a block that closes it is active", OUT_OF_ORDER_BLOCKED),
    Rule("blocks_alone", "No night of a room is blocked twice, or blocked and taken by a stay", BLOCKS_ALONE),
    Rule("block_history", "A block's history ends with its current state", BLOCK_HISTORY),
    Rule("booking_times", "A booking's times agree with each other and with its status", BOOKING_TIMES),
    Rule("booking_room", "An in-house booking has a room, a booking without a stay has none", BOOKING_ROOM),
    Rule("booking_history", "A booking's history ends with its current status", BOOKING_HISTORY),
    Rule("payments", "A payment belongs to one booking and is not captured for a declined or expired one", PAYMENTS),
    Rule("nights_sold", "No night is sold beyond the rooms without a recorded override", NIGHTS_SOLD),
    Rule("party_fits", "A party fits its room, including extra beds", PARTY_FITS),
    Rule("hotel_day", "A business day ends by noon, and before check-in opens for the next one", HOTEL_DAY),
    Rule("turnovers", "A clean room has no open turnover of a departure", TURNOVERS),
    Rule("stayovers", "An open stayover of a morning is for a guest in that room", STAYOVERS),
    Rule("tasks_of_guests", "No task is open for guests who have left or will not arrive", TASKS_OF_GUESTS),
    Rule("booking_mails", "A waiting mail is the only one of its booking, and is not settled", BOOKING_MAILS),
    Rule("one_hotel", "Linked rows belong to the same hotel", ONE_HOTEL),
    Rule("event_numbers", "A channel's events are numbered without gaps up to its last number", EVENT_NUMBERS),
)
