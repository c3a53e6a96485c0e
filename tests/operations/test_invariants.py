"""The check of the whole database: no violation in a sound hotel, and exactly the broken rule otherwise."""

import ast
import sys
from collections.abc import Callable
from datetime import date, timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import DatabaseError, connection, models

from common import clock
from common.room_numbers import key
from hotel import rights
from hotel.calendar import business_date
from hotel.models import Hotel
from housekeeping.models import Source
from housekeeping.services import set_room_status
from notifications.models import BOOKINGS, ROOMS, BookingMail, EventStream, RealtimeEvent
from notifications.relay import number
from operations import invariants
from operations.invariants import RULES, Rule, Violation, violations
from room_bookings.models import (
    BookingChange,
    BookingExtension,
    BookingStatus,
    Overbooking,
    OverstayIncident,
    RoomBooking,
)
from rooms.models import BlockReason, Room
from tests.factories import (
    BookingFactory,
    HotelFactory,
    NewRoomFactory,
    RoomTypeFactory,
    StaffFactory,
    TaskFactory,
    check_out,
    in_house,
    room_in,
)
from tests.races import Writer
from tests.refusals import check_deferred_constraints

pytestmark = pytest.mark.django_db

SOON = clock.now().date() + timedelta(days=30)
TONIGHT = business_date(Hotel())
# All constraints except foreign keys and plain unique columns, which nothing here breaks.
GUARDS = """
    SELECT format('ALTER TABLE %I DROP CONSTRAINT %I', conrelid::regclass::text, conname)
    FROM pg_constraint WHERE (contype IN ('c', 'x') OR conname = 'room_number_unique')
        AND connamespace = current_schema()::regnamespace
    UNION ALL
    SELECT format('DROP INDEX %I', indexrelid::regclass::text)
    FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
    WHERE indisunique AND indpred IS NOT NULL AND relnamespace = current_schema()::regnamespace
    UNION ALL
    SELECT DISTINCT format('ALTER TABLE %I DISABLE TRIGGER USER', tgrelid::regclass::text)
    FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
    WHERE NOT tgisinternal AND relnamespace = current_schema()::regnamespace
"""


def sql(statement: str, *values: object) -> int:
    """Run the statement; returns the number of affected rows."""
    with connection.cursor() as cursor:
        cursor.execute(statement, values or None)
        return cursor.rowcount


# So that a broken booking breaks no rule about claims.
CLAIMS_FOLLOW = "ALTER TABLE room_bookings_roombooking ENABLE TRIGGER pgtrigger_room_booking_claims_kept_322bd"


@pytest.fixture
def sound_hotel(hotel: Hotel) -> Hotel:
    """A sound hotel with rows in every table: rooms 101 to 106, bookings BK-1 to BK-10. Another hotel has room 901."""
    day, now = date(2026, 5, 4), clock.now()
    clerk = StaffFactory(hotel=hotel, role=rights.HOTEL_MANAGER)
    kind = RoomTypeFactory(hotel=hotel, code="A")
    ready, taken, faulty = (NewRoomFactory(hotel=hotel, room_type=kind, room_number=door) for door in (101, 102, 104))
    room_in("CLEANED_UNINSPECTED", hotel=hotel, room_type=kind, room_number=103)

    def booking(reference: str, status: str = BookingStatus.CONFIRMED, **fields):
        stay = {"check_in": day, "check_out": day.replace(day=6)} | fields
        return BookingFactory(hotel=hotel, booking_id=reference, status=status, **{"room_type": kind} | stay)

    for reference, room in (("BK-1", taken), ("BK-2", faulty)):
        in_house(room, booking_id=reference, check_in=day, check_out=day.replace(day=6))
        set_room_status(room=room, to_status="OCCUPIED", source=Source.SYSTEM)
    set_room_status(room=faulty, to_status="MAINTENANCE_REQUIRED", staff=clerk, note="shower drips")
    # Departed earlier than booked, so that BK-3 has the room for one of its nights.
    check_out(in_house(ready, booking_id="BK-5", check_in=day.replace(day=1), check_out=day.replace(day=5)))
    coming = booking("BK-3", assigned_room=ready)
    booking("BK-4", assigned_room=ready, check_in=day.replace(day=6))  # in and out on the day that BK-3 leaves
    booking("BK-6", BookingStatus.CANCELLED, cancelled_at=now)
    booking("BK-7", BookingStatus.EXPIRED, expired_at=now)
    paid = {"payment_provider": "stripe", "payment_reference": "pi_8", "payment_state": "CAPTURED", "paid_at": now}
    booking("BK-8", **paid)
    booking("BK-9", BookingStatus.DECLINED, **paid | {"payment_reference": "pi_9", "payment_state": "VOIDED"})
    booking("BK-10", BookingStatus.NO_SHOW)

    # One room, two guests on the same night: a supervisor allowed the second one.
    suite = NewRoomFactory(hotel=hotel, room_type=RoomTypeFactory(hotel=hotel, code="S"), room_number=105).room_type
    for reference in ("BK-12", "BK-13"):
        sold = booking(reference, room_type=suite, check_in=SOON, check_out=SOON + timedelta(days=1))
    nights = {"first_night": SOON, "free_from": SOON + timedelta(days=1)}
    Overbooking.objects.create(hotel=hotel, room_type=suite, booking=sold, staff=clerk, reason="a regular", **nights)
    Overbooking.objects.create(hotel=hotel, room_type=kind, room=ready, staff=clerk, reason="repairs", **nights)

    for before, after in (("", "PENDING_APPROVAL"), ("PENDING_APPROVAL", "CONFIRMED")):
        BookingChange.objects.create(
            hotel=hotel, booking=coming, action="EDITED", from_status=before, to_status=after, staff=clerk
        )
    OverstayIncident.objects.create(hotel=hotel, booking=coming, expected_checkout_date=day)
    BookingExtension.objects.create(
        hotel=hotel, booking=coming, old_check_out=day, new_check_out=day.replace(day=6), staff=clerk
    )
    TaskFactory(room=ready)
    gone = RoomBooking.objects.get(booking_id="BK-5")
    TaskFactory(room=ready, booking=gone, created_by=clerk)  # another turnover is requested
    TaskFactory(room=faulty, booking=gone)
    TaskFactory(room=ready, booking=gone, task_type="DEEP_CLEAN")
    TaskFactory(room=ready, booking=coming, task_type="AMENITY")
    staying = RoomBooking.objects.get(booking_id="BK-1")
    TaskFactory(room=taken, booking=staying, task_type="STAYOVER", for_date=day)
    over = {"status": "DONE", "started_at": now, "completed_at": now}
    TaskFactory(room=ready, booking=gone, **over)
    TaskFactory(room=ready, booking=gone, task_type="STAYOVER", for_date=day, **over)
    for state in ("SENT", "QUEUED"):
        waits = state == "QUEUED"
        mail = {"kind": "CONFIRMATION", "to_address": "ada@example.com", "queued_by": clerk, "state": state}
        BookingMail.objects.create(hotel=hotel, booking=coming, settled_at=None if waits else now, **mail)
    number(EventStream.objects.create(hotel=hotel, name=ROOMS))
    RealtimeEvent.objects.create(hotel=hotel, stream=BOOKINGS, type="booking_created", envelope={}, seq=1)
    EventStream.objects.create(hotel=hotel, name=BOOKINGS, last_seq=1)

    closed = NewRoomFactory(hotel=hotel, room_type=RoomTypeFactory(hotel=hotel, code="B"), room_number=106)
    next_door = HotelFactory(slug="next-door")
    other_room = NewRoomFactory(hotel=next_door, room_number=901)
    StaffFactory(hotel=next_door)
    BookingFactory(hotel=next_door, room_type=other_room.room_type, booking_id="BK-11")
    for each, shut in ((hotel, closed), (next_door, NewRoomFactory(hotel=next_door))):
        BlockReason.objects.create(hotel=each, code="REPAIR", label="Repair")
        set_room_status(room=shut, to_status="OUT_OF_ORDER", source=Source.SYSTEM, note="leak")
    check_deferred_constraints()
    return hotel


@pytest.fixture
def unguarded(sound_hotel: Hotel) -> Hotel:
    """The hotel without constraints and triggers; the rollback at the end of the test restores them."""
    with connection.cursor() as cursor:
        cursor.execute(GUARDS)
        for (statement,) in cursor.fetchall():
            cursor.execute(statement)
    return sound_hotel


def test_sound_hotel_has_no_violation(sound_hotel):
    assert violations() == []


def test_removing_the_constraints_causes_no_violation(unguarded):
    assert violations() == []


def room(number: int, changes: str) -> str:
    return f"UPDATE rooms_room SET {changes} WHERE number = '{number}'"


def booking(reference: str, changes: str) -> str:
    return f"UPDATE room_bookings_roombooking SET {changes} WHERE booking_id = '{reference}'"


def task(kind: str, reference: str, number: int, day: str = "NULL") -> str:
    return (
        "INSERT INTO housekeeping_housekeepingtask "
        "(hotel_id, room_id, booking_id, task_type, status, priority, note, created_at, for_date) "
        f"SELECT room.hotel_id, room.id, booking.id, '{kind}', 'OPEN', 'MED', '', now(), {day}::date "
        "FROM rooms_room room, room_bookings_roombooking booking "
        f"WHERE room.number = '{number}' AND booking.booking_id = '{reference}'"
    )


def audit(number: int, version: int, changes: str) -> str:
    return (
        f"UPDATE housekeeping_roomstatusevent SET {changes} WHERE version = {version} AND room_id = "
        f"(SELECT id FROM rooms_room WHERE number = '{number}')"
    )


def mail(state: str, changes: str) -> str:
    return f"UPDATE notifications_bookingmail SET {changes} WHERE state = '{state}'"


OF_106 = (
    "(SELECT block.id FROM rooms_roomblock block JOIN rooms_room room ON room.id = room_id WHERE room_number = 106)"
)
BROKEN: list[tuple[str, str, set[tuple[str, str]]]] = [
    # the statement, the violation that it causes, and further violations
    (
        room(101, "room_status = 'OUT_OF_ORDER'"),
        "is OUT_OF_ORDER at version 0",
        {("room_status_audited", "room 101"), ("out_of_order_blocked", "room 101")},
    ),
    (
        room(103, "room_status = 'CHECKOUT_DIRTY'"),
        "is CHECKOUT_DIRTY, but its audit row has CLEANED_UNINSPECTED",
        {("room_status_audited", "room 103")},
    ),
    (
        room(103, "status_version = 3"),
        "is CLEANED_UNINSPECTED, and version 3 has no audit row",
        {("room_status_audited", "room 103")},
    ),
    (
        room(103, "status_version = 1, room_status = 'CHECKOUT_DIRTY'"),
        "is at version 1, and an audit row at 2",
        {("room_status_audited", "room 103")},
    ),
    (
        "DELETE FROM housekeeping_roomstatusevent WHERE version = 2 AND to_status = 'MAINTENANCE_REQUIRED'",
        "is MAINTENANCE_REQUIRED, and version 2 has no audit row",
        {("room_status_audited", "room 104")},
    ),
    (
        "DELETE FROM housekeeping_roomstatusevent WHERE version = 1 AND to_status = 'CHECKOUT_DIRTY'",
        "audit row 2: follows version 0",
        {("audit_chain", "room 103")},
    ),
    (
        audit(103, 1, "to_status = 'OUT_OF_ORDER'"),
        "audit row 2: starts from CHECKOUT_DIRTY after OUT_OF_ORDER",
        {("audit_chain", "room 103")},
    ),
    (
        audit(103, 1, "from_status = 'OUT_OF_ORDER'"),
        "audit row 1: is the first and starts from OUT_OF_ORDER",
        {("audit_chain", "room 103")},
    ),
    (
        room(104, "maintenance_required = false"),
        "is in maintenance without a fault",
        {("room_fault", "room 104")},
    ),
    (
        room(101, "maintenance_required = true"),
        "is ready with an open fault",
        {("room_fault", "room 101")},
    ),
    (
        room(101, "(number, sort_key, room_number) = ('102', hotelmate_room_key('102'), 102)"),
        "shares its number with another",
        {("room_numbers", "room 102")},
    ),
    (
        room(103, "sort_key = hotelmate_room_key('12A')"),
        "is sorted and found as another number",
        {("room_numbers", "room 103")},
    ),
    (
        room(103, "connecting_rooms = ARRAY[(SELECT id FROM rooms_room WHERE number = '102')]"),
        "connects to room 102, which does not connect to it",
        {("connecting_rooms", "room 103")},
    ),
    (
        room(103, "connecting_rooms = ARRAY[999999]"),
        "connects to id 999999, which is no other room of the hotel",
        {("connecting_rooms", "room 103")},
    ),
    (
        room(103, "features = ARRAY['helipad']"),
        "has helipad, which the list of the hotel does not have",
        {("room_features", "room 103")},
    ),
    (room(103, "room_number = 301"), "has the integer 301", {("room_numbers", "room 103")}),
    (
        booking("BK-2", "assigned_room_id = (SELECT id FROM rooms_room WHERE number = '102')"),
        "BK-1, BK-2 are all in house",
        {("one_in_house", "room 102"), ("no_overlap", "room 102")},
    ),
    (
        booking("BK-1", "assigned_room_id = (SELECT id FROM rooms_room WHERE number = '103')"),
        "BK-1 is in house, and the room is CLEANED_UNINSPECTED",
        {("in_house_room", "room 103"), ("occupied_has_guest", "room 102"), ("stayovers", "room 102")},
    ),
    (
        booking("BK-1", "status = 'COMPLETED', checked_out_at = checked_in_at"),
        "is OCCUPIED, and nobody is in house",
        {("occupied_has_guest", "room 102"), ("stayovers", "room 102"), ("tasks_of_guests", "BK-1")},
    ),
    (
        booking("BK-3", "check_out = '2026-05-07'"),
        "BK-3 (2026-05-04 to 2026-05-07) and BK-4 (2026-05-06 to 2026-05-06)",
        {("no_overlap", "room 101")},
    ),
    (
        booking("BK-3", "check_in = '2026-05-06'"),  # two day uses of one day
        "BK-3 (2026-05-06 to 2026-05-06) and BK-4 (2026-05-06 to 2026-05-06)",
        {("no_overlap", "room 101")},
    ),
    (
        booking("BK-8", "assigned_room_id = (SELECT id FROM rooms_room WHERE number = '102')"),
        "BK-1 (2026-05-04 to 2026-05-06) and BK-8 (2026-05-04 to 2026-05-06)",
        {("no_overlap", "room 102")},
    ),
    (
        booking(
            "BK-8",  # it arrives after BK-3 departed, on the day of BK-4
            "check_in = '2026-05-06', check_out = '2026-05-07', "
            "assigned_room_id = (SELECT id FROM rooms_room WHERE number = '101')",
        ),
        "BK-4 (2026-05-06 to 2026-05-06) and BK-8 (2026-05-06 to 2026-05-07)",
        {("no_overlap", "room 101")},
    ),
    (
        (
            "DELETE FROM room_bookings_roomclaim WHERE booking_id = "
            "(SELECT id FROM room_bookings_roombooking WHERE booking_id = 'BK-4')"
        ),
        "holds room 101 from 2026-05-06 to 2026-05-07, and claims none",
        {("room_claims", "BK-4")},
    ),
    (
        (
            "INSERT INTO room_bookings_roomclaim (booking_id, hotel_id, room_id, nights) "
            "SELECT booking.id, room.hotel_id, room.id, '[2026-05-04,2026-05-05)' "
            "FROM room_bookings_roombooking booking, rooms_room room "
            "WHERE booking.booking_id = 'BK-8' AND room.number = '105'"
        ),
        "holds no room, and claims room 105 from 2026-05-04 to 2026-05-05",
        {("room_claims", "BK-8")},
    ),
    (
        booking("BK-1", "check_in = '2026-05-06', check_out = '2026-05-08', arrived_on = '2026-05-04'")
        + "; "
        + booking(
            "BK-8", "assigned_room_id = (SELECT id FROM rooms_room WHERE number = '102'), check_out = '2026-05-05'"
        ),
        "BK-1 (2026-05-06 to 2026-05-08) and BK-8 (2026-05-04 to 2026-05-05)",
        {("no_overlap", "room 102")},
    ),
    (
        f"DELETE FROM room_bookings_roomclaim WHERE block_id = {OF_106}",
        f"a block is ACTIVE and OUT_OF_ORDER from {TONIGHT} to ever, and claims none",
        {("block_claims", "room 106")},
    ),
    (
        (
            "INSERT INTO room_bookings_roomclaim (block_id, hotel_id, room_id, nights) "
            f"SELECT id, hotel_id, room_id, '[2026-05-04,2026-05-05)' FROM rooms_roomblock WHERE id = {OF_106}"
        ),
        f"a block is ACTIVE and OUT_OF_ORDER from {TONIGHT} to ever, and claims room 106 from 2026-05-04 to 2026-05-05",
        {("block_claims", "room 106")},
    ),
    (
        f"UPDATE rooms_roomblock SET kind = 'HOUSE_USE' WHERE id = {OF_106}",
        "is OUT_OF_ORDER, and no block is active",
        {("out_of_order_blocked", "room 106")},
    ),
    (
        (
            f"UPDATE rooms_roomblock SET version = 2, free_from = '2030-01-01' WHERE id = {OF_106}; "
            "UPDATE room_bookings_roomclaim SET nights = daterange(lower(nights), '2030-01-01') "
            f"WHERE block_id = {OF_106}"
        ),
        "a block is ACTIVE at version 2, and its history ends with ACTIVE at version 1",
        {("block_history", "room 106")},
    ),
    (
        booking(
            "BK-8",
            "check_in = '2030-01-01', check_out = '2030-01-02', "
            "assigned_room_id = (SELECT id FROM rooms_room WHERE room_number = 106)",
        ),
        f"a block ({TONIGHT} to ever) and BK-8",
        {("blocks_alone", "room 106")},
    ),
    (
        booking("BK-8", "check_out = '2026-05-03'"),
        "is CONFIRMED: check_out is before check_in",
        {("booking_times", "BK-8")},
    ),
    (
        booking("BK-1", "checked_in_at = NULL"),
        "is IN_HOUSE: was never checked in",
        {("booking_times", "BK-1")},
    ),
    (
        booking("BK-1", "checked_out_at = checked_in_at"),
        "is IN_HOUSE: was checked out",
        {("booking_times", "BK-1")},
    ),
    (
        booking("BK-5", "checked_in_at = NULL"),
        "is COMPLETED: was never checked in",
        {("booking_times", "BK-5"), ("tasks_of_guests", "BK-5")},
    ),
    (
        booking("BK-5", "checked_out_at = NULL"),
        "is COMPLETED: was never checked out",
        {("booking_times", "BK-5")},
    ),
    (
        booking("BK-5", "checked_out_at = checked_in_at - interval '1 hour'"),
        "is COMPLETED: was checked out before it was checked in",
        {("booking_times", "BK-5")},
    ),
    (
        booking("BK-3", "checked_in_at = created_at"),
        "is CONFIRMED: its times say checked in",
        {("booking_times", "BK-3")},
    ),
    (
        booking("BK-3", "checked_in_at = created_at, checked_out_at = created_at"),
        "is CONFIRMED: its times say checked out",
        {("booking_times", "BK-3")},
    ),
    (
        booking("BK-6", "checked_out_at = cancelled_at"),
        "is CANCELLED: was checked out without having been in",
        {("booking_times", "BK-6")},
    ),
    (
        booking("BK-6", "checked_in_at = cancelled_at, checked_out_at = cancelled_at + interval '1 hour'"),
        "is CANCELLED: its stay did not end when it was cancelled",
        {("booking_times", "BK-6")},
    ),
    (booking("BK-6", "cancelled_at = NULL"), "is CANCELLED: has no cancelled_at", {("booking_times", "BK-6")}),
    (
        booking("BK-3", "cancelled_at = created_at"),
        "is CONFIRMED: has a cancelled_at",
        {("booking_times", "BK-3")},
    ),
    (booking("BK-7", "expired_at = NULL"), "is EXPIRED: has no expired_at", {("booking_times", "BK-7")}),
    (
        booking("BK-3", "expired_at = created_at"),
        "is CONFIRMED: has an expired_at",
        {("booking_times", "BK-3")},
    ),
    (
        booking("BK-2", "assigned_room_id = NULL"),  # its room is in maintenance, which is allowed without a guest
        "is IN_HOUSE without a room",
        {("booking_room", "BK-2")},
    ),
    *(
        (
            booking(reference, "assigned_room_id = (SELECT id FROM rooms_room WHERE number = '103')"),
            f"is {status} and keeps room 103",
            {("booking_room", reference)},
        )
        for reference, status in (
            ("BK-6", "CANCELLED"),
            ("BK-7", "EXPIRED"),
            ("BK-9", "DECLINED"),
            ("BK-10", "NO_SHOW"),
        )
    ),
    (
        booking(
            "BK-10",
            "status = 'CANCELLED_DRAFT', assigned_room_id = (SELECT id FROM rooms_room WHERE number = '103')",
        ),
        "is CANCELLED_DRAFT and keeps room 103",
        {("booking_room", "BK-10")},
    ),
    (
        booking("BK-3", "status = 'PENDING_APPROVAL'"),
        "is PENDING_APPROVAL, and the newest change in its history led to CONFIRMED",
        {("booking_history", "BK-3")},
    ),
    (
        "DELETE FROM room_bookings_overbooking WHERE booking_id IS NOT NULL",
        f"{SOON}: 2 sold of 1, 0 of them as permitted overbookings",
        {("nights_sold", "type S")},
    ),
    (
        room(105, "is_active = false"),
        f"{SOON}: 2 sold of 0, 1 of them as permitted overbookings",
        {("nights_sold", "type S")},
    ),
    (
        booking("BK-3", "adults = 3"),
        "a party of 3 in a A that sleeps 2 and 0 more",
        {("party_fits", "BK-3")},
    ),
    (
        booking("BK-3", "arrived_on = check_in"),
        "is CONFIRMED: has an arrival and was never checked in",
        {("booking_times", "BK-3")},
    ),
    (booking("BK-8", "paid_at = NULL"), "is captured without paid_at", {("payments", "BK-8")}),
    (
        booking("BK-9", "payment_reference = 'pi_8'"),
        "shares payment pi_8 with another booking",
        {("payments", "BK-8"), ("payments", "BK-9")},
    ),
    (
        booking("BK-3", "payment_reference = 'pi_8'"),
        "shares payment pi_8 with another booking",
        {("payments", "BK-3"), ("payments", "BK-8")},
    ),
    *(
        (
            booking("BK-9", f"payment_state = '{state}'"),
            f"is DECLINED, and its payment {state}",
            {("payments", "BK-9")},
        )
        for state in ("AUTHORISED", "CAPTURING", "CAPTURED")
    ),
    (
        booking("BK-8", "status = 'EXPIRED', expired_at = paid_at"),
        "is EXPIRED, and its payment CAPTURED",
        {("payments", "BK-8")},
    ),
    *(
        (
            f"UPDATE hotel_hotel SET {changes} WHERE slug = 'grand'",
            f"ends its business day at {cutoff}, and lets guests in from {first}",
            {("hotel_day", "hotel grand")},
        )
        for changes, cutoff, first in (
            ("late_arrival_cutoff = '12:01', early_checkin_from = '13:00'", "12:01:00", "13:00:00"),
            ("early_checkin_from = '01:59'", "02:00:00", "01:59:00"),
        )
    ),
    *(
        (
            task("TURNOVER", "BK-5", number),
            f"is {status}, and the turnover after BK-5 is OPEN",
            {("turnovers", f"room {number}")},
        )
        for number, status in ((101, "READY_FOR_GUEST"), (103, "CLEANED_UNINSPECTED"))
    ),
    (
        task("STAYOVER", "BK-1", 104, "'2026-05-05'"),
        "the stayover of BK-1 on 2026-05-05 is OPEN, and the booking is IN_HOUSE in another room",
        {("stayovers", "room 104")},
    ),
    (
        task("STAYOVER", "BK-3", 101, "'2026-05-05'"),
        "the stayover of BK-3 on 2026-05-05 is OPEN, and the booking is CONFIRMED",
        {("stayovers", "room 101")},
    ),
    *(
        (
            task(kind, reference, 101),
            f"is {status}, but its task {kind} is OPEN",
            {("tasks_of_guests", reference)},
        )
        for kind, reference, status in (
            ("AMENITY", "BK-5", "COMPLETED"),
            ("STAYOVER", "BK-5", "COMPLETED"),
            ("AMENITY", "BK-6", "CANCELLED"),
            ("INSPECTION", "BK-7", "EXPIRED"),
            ("DEEP_CLEAN", "BK-9", "DECLINED"),
            ("AMENITY", "BK-10", "NO_SHOW"),
        )
    ),
    *(
        (statement, f"a mail is {detail}", {("booking_mails", "BK-3")})
        for statement, detail in (
            (mail("QUEUED", "settled_at = now()"), "QUEUED: its settled_at disagrees"),
            (mail("SENT", "settled_at = NULL"), "SENT: its settled_at disagrees"),
        )
    ),
    (
        "DELETE FROM notifications_realtimeevent WHERE stream = 'rooms' AND seq = 3",
        "number 4 follows number 2",
        {("event_numbers", "events of rooms")},
    ),
    (
        "UPDATE notifications_eventstream SET last_seq = last_seq + 1 WHERE name = 'room-bookings'",
        "number 1 is the newest, the last given is 2",
        {("event_numbers", "events of room-bookings")},
    ),
    (
        "UPDATE notifications_eventstream SET last_seq = 0 WHERE name = 'room-bookings'",
        "number 1 is the newest, the last given is 0",
        {("event_numbers", "events of room-bookings")},
    ),
    (
        "DELETE FROM notifications_eventstream WHERE name = 'room-bookings'",
        "number 1 is the newest, the last given is 0",
        {("event_numbers", "events of room-bookings")},
    ),
]


@pytest.mark.parametrize(("statement", "detail", "expected"), BROKEN, ids=[detail for _, detail, _ in BROKEN])
def test_broken_rule_is_named(unguarded, statement, detail, expected):
    sql(CLAIMS_FOLLOW)
    assert sql(statement) == 1
    found = violations()
    assert sorted((violation.rule, violation.subject) for violation in found) == sorted(expected)
    assert detail in [violation.detail for violation in found]
    assert {violation.hotel for violation in found} == {"grand"}


def test_second_queued_mail(unguarded):
    [waiting] = BookingMail.objects.filter(state="QUEUED")
    waiting.pk = None
    waiting.save(force_insert=True)
    detail = "a mail is QUEUED: another of the booking has the same state"
    assert violations() == [Violation("booking_mails", "grand", "BK-3", detail)] * 2


def test_every_rule_has_a_violating_case():
    shown = {rule for _, _, expected in BROKEN for rule, _ in expected}
    assert shown | {"one_hotel"} == {rule.name for rule in RULES}


LINKS = sorted(
    (model._meta.db_table, field.column, field.related_model._meta.db_table)
    for model in apps.get_models()
    for field in model._meta.get_fields()
    if isinstance(field, models.ForeignKey)
    and all("hotel" in {each.name for each in end._meta.get_fields()} for end in (model, field.related_model))
)


@pytest.mark.parametrize(("table", "column", "linked"), LINKS, ids=[f"{table}.{column}" for table, column, _ in LINKS])
def test_foreign_key_to_another_hotel(unguarded, table, column, linked):
    """Every foreign key of our models: a new one has to be added to the rule."""
    alone = "version = 9, " if column == "block_id" and table.endswith("event") else ""  # once in each block
    touched = sql(
        f"UPDATE {table} SET {alone}{column} = (SELECT min(id) FROM {linked} WHERE hotel_id <> %s) "
        f"WHERE id = (SELECT id FROM {table} WHERE hotel_id = %s ORDER BY id LIMIT 1)",
        unguarded.pk,
        unguarded.pk,
    )
    assert touched == 1, f"sound_hotel has no row of {table}"
    [crossed] = [violation for violation in violations() if violation.rule == "one_hotel"]
    assert (crossed.hotel, crossed.detail) == ("grand", f"{column} is of hotel next-door")


def test_an_audit_row_of_another_hotel(unguarded):
    assert sql(audit(103, 2, "hotel_id = %s"), Hotel.objects.get(slug="next-door").pk) == 1
    assert [violation for violation in violations() if violation.rule == "audit_chain"] == [
        Violation("audit_chain", "grand", "room 103", "audit row 2: is of another hotel")
    ]


def test_deleted_old_events_leave_no_gap(unguarded):
    assert sql("DELETE FROM notifications_realtimeevent WHERE stream = 'rooms' AND seq <= 2") == 2
    assert violations() == []
    assert sql("DELETE FROM notifications_realtimeevent WHERE stream = 'rooms'") > 0
    assert violations() == []


def test_one_statement_per_rule_for_any_size(sound_hotel, statements):
    with statements() as made:
        violations()
    assert len(made) == len(RULES)
    for door in range(200, 230):
        in_house(room_in("CHECKOUT_DIRTY", hotel=sound_hotel, room_number=door), booking_id=f"BK-{door}")
    with statements() as made:
        assert len(violations()) == 30
    assert len(made) == len(RULES)


def test_it_shares_no_code_with_the_services():
    tree = ast.parse(Path(invariants.__file__).read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names} | {
        node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
    }
    assert {name for name in imported if name.partition(".")[0] not in sys.stdlib_module_names} == {"django.db"}


# --- one snapshot for all rules ---------------------------------------------------------------------------------------


def during(act: Callable[[], object]) -> Callable[[Rule, list[Violation], float], None]:
    """A report that runs an action once, after the first rule."""

    def report(rule: Rule, broken: list[Violation], seconds: float) -> None:
        if rule == RULES[0]:
            act()

    return report


@pytest.mark.django_db(transaction=True)
def test_concurrent_change_is_not_seen_in_part():
    room = NewRoomFactory()

    def flag_without_an_event() -> None:
        Room.objects.filter(pk=room.pk).update(guest_fcm_token="changed")
        in_house(room)  # the room's status stays unchanged: a violation from now on

    def meanwhile() -> None:
        writer = Writer(flag_without_an_event)
        writer.start()
        assert writer.outcome() is None

    assert violations(report=during(meanwhile)) == []
    assert [violation.rule for violation in violations()] == ["in_house_room"]


@pytest.mark.django_db(transaction=True)
def test_it_cannot_write():
    room = NewRoomFactory()
    with pytest.raises(DatabaseError, match="read-only transaction"):
        violations(report=during(lambda: sql("DELETE FROM rooms_room WHERE id = %s", room.pk)))
    assert Room.objects.filter(pk=room.pk).exists()


# --- the command ------------------------------------------------------------------------------------------------------


def run() -> tuple[int, list[str]]:
    """The command's exit code and output."""
    said, code = StringIO(), 0
    try:
        call_command("check_invariants", stdout=said)
    except SystemExit as end:
        code = end.code
    return code, said.getvalue().splitlines()


def test_command_on_a_sound_hotel(sound_hotel):
    code, said = run()
    assert code == 0
    assert [line.split()[:2] for line in said[:-1]] == [[rule.name, "0"] for rule in RULES]
    assert said[-1] == "No violations."


def test_command_lists_violations(unguarded):
    sql(room(101, "maintenance_required = true"))
    sql(booking("BK-8", "paid_at = NULL"))
    code, said = run()
    assert code == 1
    counts = {line.split()[0]: int(line.split()[1]) for line in said[: len(RULES)]}
    assert {name for name, count in counts.items() if count} == {"room_fault", "payments"}
    assert said[len(RULES) :] == [
        "",
        "A room in maintenance has an open fault, a ready room has none (room_fault):",
        "  grand, room 101: is ready with an open fault",
        "",
        "A payment belongs to one booking and is not captured for a declined or expired one (payments):",
        "  grand, BK-8: is captured without paid_at",
        "",
        "2 violations in total.",
    ]


def test_command_truncates_a_long_list_but_counts_all_of_it(unguarded):
    for door in range(200, 223):
        fault = {"maintenance_required": True, "maintenance_priority": "LOW"}
        NewRoomFactory(hotel=unguarded, room_number=door, sort_key="\t".join(key(door)), **fault)
    code, said = run()
    assert code == 1
    assert next(line for line in said if line.startswith("room_fault")).split()[1] == "23"
    assert said[-24:-22] == [
        "A room in maintenance has an open fault, a ready room has none (room_fault):",
        "  grand, room 200: is ready with an open fault",
    ]
    assert said[-4:] == [
        "  grand, room 219: is ready with an open fault",
        "  … and 3 more",
        "",
        "23 violations in total.",
    ]
