"""Check-in: the arrival window, the room, and what is written."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db import transaction

from common import clock
from common.errors import HotelMateError
from hotel import rights
from housekeeping.models import RoomStatusEvent
from room_bookings.models import BookingChange, RoomBooking
from room_bookings.services.cancel import cancel_booking
from room_bookings.services.check_in import check_in, check_in_rooms
from rooms.models import Room
from tests.factories import BookingFactory, NewRoomFactory, StaffFactory, room_in
from tests.room_bookings.small_hotel import (
    NOW,
    assert_invariants_hold,
    day,
    last_event,
    locks_and_writes,
    nothing_written,
    open_small_hotel,
    published_events,
    refusal_of,
)

pytestmark = pytest.mark.django_db

GUEST = [("rooms", "room_updated"), ("rooms", "room_occupancy_updated"), ("room-bookings", "booking_checked_in")]


def arriving(small_hotel, first=0, last=2, **fields) -> RoomBooking:
    """A confirmed booking for today, with room 101."""
    hotel_fields = {
        "hotel": small_hotel.hotel,
        "room_type": small_hotel.room_type,
        "assigned_room": small_hotel.rooms[0],
    }
    return BookingFactory(check_in=day(first), check_out=day(last), **hotel_fields | fields)


def test_it_is_recorded_and_published(small_hotel):
    booking = arriving(small_hotel)
    arrived = check_in(booking=booking, staff=small_hotel.agent)
    stored, room = RoomBooking.objects.get(), Room.objects.get(pk=small_hotel.rooms[0].pk)
    assert (stored.status, stored.checked_in_at, stored.assigned_room, stored.version) == ("IN_HOUSE", NOW, room, 1)
    assert (arrived.status, arrived.version) == ("IN_HOUSE", 1)
    assert room.room_status == "OCCUPIED"
    [audit] = RoomStatusEvent.objects.all()
    assert (audit.source, audit.changed_by, audit.note) == (
        "FRONT_DESK",
        small_hotel.agent,
        f"check-in of {booking.booking_id}",
    )
    [change] = BookingChange.objects.all()
    assert (change.action, change.from_status, change.to_status) == ("CHECKED_IN", "CONFIRMED", "IN_HOUSE")
    assert (change.staff, change.to_room, change.reason) == (small_hotel.agent, room, "")
    assert published_events() == [*GUEST, ("guest", "booking_checked_in")]
    assert_invariants_hold()


@pytest.mark.parametrize("assigned", [True, False])
def test_given_room_is_assigned(assigned, small_hotel):
    booking = arriving(small_hotel, **({} if assigned else {"assigned_room": None}))
    check_in(booking=booking, staff=small_hotel.agent, room_id=small_hotel.rooms[1].pk)
    stored = RoomBooking.objects.get()
    assert (stored.assigned_room, stored.room_assigned_by, stored.room_assigned_at) == (
        small_hotel.rooms[1],
        small_hotel.agent,
        NOW,
    )
    assert [room.room_status for room in Room.objects.order_by("pk")] == ["READY_FOR_GUEST", "OCCUPIED"]
    assert [change.action for change in BookingChange.objects.all()] == ["CHECKED_IN"]
    assert published_events() == [*GUEST, ("guest", "booking_checked_in")]
    assert_invariants_hold()


def test_check_in_of_a_guest_in_house_changes_nothing(small_hotel):
    booking = arriving(small_hotel)
    check_in(booking=booking, staff=small_hotel.agent)
    with nothing_written():
        check_in(booking=booking, staff=small_hotel.agent)
        check_in(booking=booking, staff=small_hotel.agent, room_id=small_hotel.rooms[1].pk)


def test_it_decides_on_the_row(small_hotel):
    stale = arriving(small_hotel)
    cancel_booking(booking=RoomBooking.objects.get(), staff=small_hotel.agent)
    assert refusal_of(lambda: check_in(booking=stale, staff=small_hotel.agent)).code == "BOOKING_NOT_ELIGIBLE"
    moved = arriving(small_hotel)
    RoomBooking.objects.filter(pk=moved.pk).update(assigned_room=small_hotel.rooms[1])
    assert check_in(booking=moved, staff=small_hotel.agent).assigned_room == small_hotel.rooms[1]


def test_it_locks_booking_then_room_and_writes_in_this_order(small_hotel, statements):
    booking = arriving(small_hotel)
    with statements() as made:
        check_in(booking=booking, staff=small_hotel.agent)
    assert locks_and_writes(made.sql()) == [
        "lock RoomBooking",
        "lock Room",
        "UPDATE RoomBooking",
        "INSERT BookingChange",
        "lock Room",
        "UPDATE Room",
        "INSERT RealtimeEvent",
        "INSERT RoomStatusEvent",
        "INSERT RealtimeEvent",
    ]


# --- the arrival window -----------------------------------------------------------------------------------------------

EARLY, WRONG, LATE = "CHECKIN_TOO_EARLY", "CHECKIN_WRONG_DATE", "CHECKIN_TOO_LATE"
# Nights, the hotel's local time (day after the arrival day, hour, minute), and the outcome. Check-in from 08:00; the
# business day ends at 02:00.
WINDOW = [
    (1, -1, "23:59", WRONG),
    (1, 0, "00:00", EARLY),
    (1, 0, "01:59", EARLY),
    (1, 0, "07:59", EARLY),
    (1, 0, "08:00", None),
    (1, 0, "15:00", None),
    (1, 0, "23:59", None),
    (1, 1, "00:00", None),  # still the night of the arrival
    (1, 1, "01:59", None),
    (1, 1, "02:00", LATE),
    (1, 1, "08:00", LATE),
    (2, 1, "02:00", None),  # the second night of two
    (2, 1, "07:00", None),
    (2, 1, "20:00", None),
    (2, 2, "01:59", None),
    (2, 2, "02:00", LATE),
    (2, 30, "12:00", LATE),
    (0, 0, "07:59", EARLY),  # day use
    (0, 0, "08:00", None),
    (0, 0, "23:00", None),
    (0, 1, "01:59", None),
    (0, 1, "02:00", LATE),
]
# Arrival days in zones east and west, in summer and winter, and on the days on which the clocks change.
PLACES = [
    ("Europe/Dublin", date(2026, 7, 1)),
    ("Europe/Dublin", date(2026, 1, 15)),
    ("Europe/Dublin", date(2026, 3, 28)),  # the clocks go forward in the night after
    ("Europe/Dublin", date(2026, 3, 29)),
    ("Europe/Dublin", date(2026, 10, 24)),  # the clocks go back in the night after
    ("Europe/Dublin", date(2026, 10, 25)),
    ("Pacific/Auckland", date(2026, 7, 1)),
    ("Pacific/Auckland", date(2026, 9, 26)),
    ("America/St_Johns", date(2026, 7, 1)),
]


def answer(work) -> str | None:
    """The error code of ``work``, or ``None``; its writes are rolled back."""
    with transaction.atomic():
        try:
            work()
        except HotelMateError as refusal:
            return refusal.code
        finally:
            transaction.set_rollback(True)
    return None


@pytest.mark.parametrize(("zone", "arrival"), PLACES)
def test_when_a_guest_may_arrive(zone, arrival, db):
    small_hotel = open_small_hotel(timezone=zone)
    asked, answers = [], []
    for nights, days, wall, expected in WINDOW:
        moment = datetime.combine(arrival + timedelta(days=days), time.fromisoformat(wall), tzinfo=ZoneInfo(zone))
        booking = BookingFactory(
            hotel=small_hotel.hotel,
            room_type=small_hotel.room_type,
            check_in=arrival,
            check_out=arrival + timedelta(days=nights),
        )
        if moment.astimezone(UTC).astimezone(ZoneInfo(zone)) != moment:
            continue  # the clocks skip it that night
        with clock.set_to(moment.astimezone(UTC)):
            came = answer(lambda: check_in(booking=booking, staff=small_hotel.agent, room_id=small_hotel.rooms[0].pk))  # noqa: B023
        asked.append((nights, days, wall, expected))
        answers.append((nights, days, wall, came))
    assert len(asked) >= len(WINDOW) - 4
    assert answers == asked


@pytest.mark.parametrize(
    ("settings", "wall", "expected"),
    [
        ({"early_checkin_from": time(12)}, "2026-07-01T11:59", EARLY),
        ({"early_checkin_from": time(12)}, "2026-07-01T12:00", None),
        ({"early_checkin_from": time(0), "late_arrival_cutoff": time(0)}, "2026-07-01T00:00", None),
        ({"late_arrival_cutoff": time(0)}, "2026-07-01T23:59", None),
        ({"late_arrival_cutoff": time(0)}, "2026-07-02T00:00", LATE),
        ({"late_arrival_cutoff": time(4, 30)}, "2026-07-02T04:29", None),
        ({"late_arrival_cutoff": time(4, 30)}, "2026-07-02T04:30", LATE),
    ],
)
def test_window_follows_the_hotels_settings(settings, wall, expected, db):
    small_hotel = open_small_hotel(**settings)
    booking = arriving(small_hotel, 0, 1)
    with clock.set_to(datetime.fromisoformat(wall).replace(tzinfo=ZoneInfo("Europe/Dublin")).astimezone(UTC)):
        assert answer(lambda: check_in(booking=booking, staff=small_hotel.agent)) == expected


@pytest.mark.parametrize(
    ("role", "reason", "expected"),
    [
        (rights.FRONT_OFFICE_MANAGER, "Regular guest", None),
        (rights.HOTEL_MANAGER, "Regular guest", None),
        (rights.FRONT_OFFICE_MANAGER, " ", WRONG),
        (rights.FRONT_OFFICE_MANAGER, "", WRONG),
        (rights.FRONT_DESK_AGENT, "Regular guest", WRONG),
    ],
)
def test_supervisors_reason_overrides_the_window(role, reason, expected, small_hotel):
    booking = arriving(small_hotel, 1, 3)
    staff = StaffFactory(hotel=small_hotel.hotel, role=role)
    assert answer(lambda: check_in(booking=booking, staff=staff, override_reason=reason)) == expected


def test_override_reason_is_recorded(small_hotel):
    check_in(booking=arriving(small_hotel, 1, 3), staff=small_hotel.manager, override_reason="Regular guest")
    assert BookingChange.objects.get().reason == "Regular guest"


# Days of the stay, and days of another booking of the room; today is day 0, and the guest sleeps here tonight.
LIFTED = [
    ((1, 3), (0, 1), True),
    ((2, 3), (0, 1), True),
    ((2, 3), (1, 2), True),
    ((1, 3), (-2, 0), False),  # departed or a no-show
    ((1, 3), (3, 5), False),
    ((1, 3), (0, 0), True),
    ((-2, 0), (0, 2), True),  # arrived a day late: tonight belongs to another booking
    ((-3, -1), (0, 2), True),
    ((-3, -1), (-1, 0), True),
    ((-2, 0), (1, 2), False),
    ((-1, -1), (0, 1), True),
]


@pytest.mark.parametrize(("nights", "other", "taken"), LIFTED)
def test_reason_does_not_override_another_bookings_night(nights, other, taken, small_hotel):
    booking = arriving(small_hotel, *nights)
    arriving(small_hotel, *other)
    came = answer(lambda: check_in(booking=booking, staff=small_hotel.manager, override_reason="Regular guest"))
    assert came == ("ROOM_OVERLAP_CONFLICT" if taken else None)


# --- the room ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "fault"),
    [
        ("OCCUPIED", False),
        ("CHECKOUT_DIRTY", False),
        ("CLEANING_IN_PROGRESS", False),
        ("CLEANED_UNINSPECTED", False),
        ("CLEANED_UNINSPECTED", True),
        ("MAINTENANCE_REQUIRED", True),
    ],
)
@pytest.mark.parametrize("staff", ["agent", "manager"])
def test_room_must_be_ready(status, fault, staff, small_hotel):
    room = room_in(status, fault=fault, hotel=small_hotel.hotel, room_type=small_hotel.room_type, room_number=201)
    RoomBooking.objects.update(check_in=day(-1), check_out=day(0))
    booking = arriving(small_hotel, assigned_room=room)
    refusal = refusal_of(
        lambda: check_in(booking=booking, staff=getattr(small_hotel, staff), override_reason="They are tired")
    )
    assert (refusal.code, refusal.status) == ("ROOM_NOT_READY", 409)
    assert refusal.message.startswith("Room not ready")
    assert refusal.details == {"room_id": room.pk, "room_number": 201, "current_status": status}


def test_room_must_be_in_service(small_hotel):
    Room.objects.update(is_active=False)
    booking = arriving(small_hotel)
    assert refusal_of(lambda: check_in(booking=booking, staff=small_hotel.agent)).code == "ROOM_NOT_READY"


@pytest.mark.parametrize(
    ("room", "code", "status"),
    [
        (lambda _: NewRoomFactory(), "ROOM_NOT_FOUND", 404),
        (lambda small_hotel: NewRoomFactory(hotel=small_hotel.hotel), "ROOM_TYPE_MISMATCH", 400),
        (
            lambda small_hotel: NewRoomFactory(
                hotel=small_hotel.hotel, room_type=small_hotel.room_type, is_active=False
            ),
            "ROOM_NOT_BOOKABLE",
            409,
        ),
        (
            lambda small_hotel: arriving(small_hotel, 1, 2, assigned_room=small_hotel.rooms[1]).assigned_room,
            "ROOM_OVERLAP_CONFLICT",
            409,
        ),
    ],
)
def test_room_given_at_check_in_must_be_assignable(room, code, status, small_hotel):
    booking, other = arriving(small_hotel), room(small_hotel)
    refusal = refusal_of(lambda: check_in(booking=booking, staff=small_hotel.agent, room_id=other.pk))
    assert (refusal.code, refusal.status) == (code, status)


def test_incomplete_party_gets_no_room_if_names_are_required(small_hotel):
    small_hotel.hotel.require_complete_party = True
    small_hotel.hotel.save()
    booking = arriving(small_hotel, adults=2, assigned_room=None)
    assert refusal_of(
        lambda: check_in(booking=booking, staff=small_hotel.agent, room_id=small_hotel.rooms[0].pk)
    ).code == ("PARTY_INCOMPLETE")


def test_status_writer_refuses_roles_without_the_right_to_occupied(small_hotel):
    booking, housekeeper = arriving(small_hotel), StaffFactory(hotel=small_hotel.hotel, role=rights.HOUSEKEEPER)
    assert refusal_of(lambda: check_in(booking=booking, staff=housekeeper)).status == 403


# --- bulk actions -----------------------------------------------------------------------------------------------------


def test_bulk_check_in_of_todays_arrivals(small_hotel):
    first, second = small_hotel.rooms
    dirty = room_in("CHECKOUT_DIRTY", hotel=small_hotel.hotel, room_type=small_hotel.room_type, room_number=103)
    empty = NewRoomFactory(hotel=small_hotel.hotel, room_number=104)
    tomorrow = arriving(small_hotel, 1, 2, assigned_room=empty)
    foreign = NewRoomFactory()
    going = [arriving(small_hotel, assigned_room=room) for room in (first, second)]
    arriving(small_hotel, assigned_room=dirty)
    since = last_event()
    wanted = [second.pk, first.pk, dirty.pk, empty.pk, foreign.pk, 0, first.pk]
    result = check_in_rooms(hotel=small_hotel.hotel, room_ids=wanted, staff=small_hotel.agent)
    assert [booking.pk for booking in result.bookings] == [going[1].pk, going[0].pk]
    assert [room.room_status for room in result.rooms] == ["OCCUPIED", "OCCUPIED"]
    assert [(room_id, refusal.code) for room_id, refusal in result.failed] == [
        (dirty.pk, "ROOM_NOT_READY"),
        (empty.pk, "NO_ARRIVAL_DUE"),
        (foreign.pk, "ROOM_NOT_FOUND"),
        (0, "ROOM_NOT_FOUND"),
    ]
    assert set(RoomStatusEvent.objects.filter(to_status="OCCUPIED").values_list("source", "changed_by")) == {
        ("SYSTEM", small_hotel.agent.pk)
    }
    assert published_events(since) == [
        *[("rooms", "room_updated")] * 2,
        *[("rooms", "room_occupancy_updated")] * 2,
        *[("room-bookings", "booking_checked_in")] * 2,
        *[("guest", "booking_checked_in")] * 2,
    ]
    assert RoomBooking.objects.get(pk=tomorrow.pk).status == "CONFIRMED"
    assert_invariants_hold()
    with nothing_written():
        again = check_in_rooms(hotel=small_hotel.hotel, room_ids=[first.pk], staff=small_hotel.agent)
    assert [refusal.code for _, refusal in again.failed] == ["NO_ARRIVAL_DUE"]


def test_bulk_check_in_uses_the_business_date(small_hotel):
    booking = arriving(small_hotel, 0, 1)
    with clock.set_to(NOW + timedelta(hours=10)):  # 1 a.m. in Dublin: still the previous business date
        assert check_in_rooms(
            hotel=small_hotel.hotel, room_ids=[small_hotel.rooms[0].pk], staff=small_hotel.agent
        ).bookings == [booking]


def test_bulk_check_in_too_early(small_hotel):
    arriving(small_hotel)
    with clock.set_to(NOW - timedelta(hours=8)):
        result = check_in_rooms(hotel=small_hotel.hotel, room_ids=[small_hotel.rooms[0].pk], staff=small_hotel.manager)
    assert [refusal.code for _, refusal in result.failed] == [EARLY]


def test_early_guest_holds_the_room_tonight(small_hotel):
    """A guest booked from tomorrow is already in house: none of today's arrivals gets the room."""
    check_in(booking=arriving(small_hotel, 1, 3), staff=small_hotel.manager, override_reason="Regular guest")
    booking = arriving(small_hotel, 0, 1, assigned_room=None)
    refusal = refusal_of(lambda: check_in(booking=booking, staff=small_hotel.agent, room_id=small_hotel.rooms[0].pk))
    assert refusal.code == "ROOM_OVERLAP_CONFLICT"
