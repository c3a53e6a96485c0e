"""What each step tells whom, in which order: the operation table of the contract, section 7, asserted whole."""

import json
from functools import partial
from typing import Any

import pytest
from django.db import transaction

from housekeeping.selectors import room_list
from housekeeping.snapshots import NOBODY, room_snapshot
from notifications import notification_manager, relay
from notifications.models import EventStream, RealtimeEvent
from room_bookings.models import RoomBooking
from room_bookings.selectors import booking_list
from room_bookings.services.cancel import cancel_booking
from room_bookings.services.check_in import check_in
from room_bookings.services.checkout import check_out
from room_bookings.services.create import create_booking
from room_bookings.services.edit import set_companions
from room_bookings.services.expire import expire_approvals
from room_bookings.services.overstay import flag_overstays
from room_bookings.services.undo_check_in import undo_check_in
from room_bookings.snapshots import booking_row
from tests.factories import booking_in
from tests.room_bookings.desk import Desk, day, last_event, told
from tests.room_bookings.test_states import bookings, steps

pytestmark = pytest.mark.django_db

# What identifies a guest; "Byrne" is staff. No event for the rooms' screens or for the guest may have it.
PERSONAL = {
    "primary_first_name": "Wilhelmina",
    "primary_last_name": "Harkness",
    "primary_email": "wilhelmina@example.com",
    "primary_phone": "+353 86 0000001",
    "special_requests": "Allergic to down",
    "internal_notes": "Complained in May",
}
GUEST = PERSONAL | {"booker_email": "booker@example.com", "total_amount": "240.50"}

U, O = ("rooms", "room_updated"), ("rooms", "room_occupancy_updated")  # noqa: E741 - a table is easier to read so


def b(event_type: str) -> tuple[str, str]:
    return "room-bookings", f"booking_{event_type}"


def g(event_type: str) -> tuple[str, str]:
    return "guest", f"booking_{event_type}"


# The step (its name in ``steps_of``), the booking's state before, and all that is sent.
TABLE = [
    ("create", None, [b("created")]),
    ("check_in", "conr", [U, O, b("checked_in"), g("checked_in")]),
    ("check_in_102", "con", [U, O, b("checked_in"), g("checked_in")]),
    ("check_out", "in", [U, O, b("checked_out"), g("checked_out")]),
    ("move", "in", [U, U, O, O, b("updated"), g("room_moved")]),
    ("assign", "con", [b("updated"), g("room_assigned")]),
    ("unassign", "conr", [b("updated")]),
    ("cancel", "con", [b("cancelled"), g("cancelled")]),
    ("cancel", "conr", [b("cancelled"), g("cancelled")]),
    ("cancel_stay", "in", [U, O, b("cancelled"), g("cancelled")]),
    ("undo", "in", [U, O, b("updated")]),
    ("edit_dates", "con", [b("updated")]),
    ("edit_notes", "can", [b("updated")]),
    ("reinstate", "can", [b("updated")]),
    ("reinstate", "nos", [b("updated")]),
    ("confirm", "ask", [b("confirmed"), g("confirmed")]),
    ("approve", "ask", [b("confirmed"), g("confirmed")]),
    ("decline", "ask", [b("updated"), g("declined")]),
    ("expire", "late", [b("expired")]),
    ("no_show", "past", [b("no_show")]),
    ("mark_seen", "con", [b("updated")]),
    ("companions", "con", [b("party_updated")]),
    ("flag", "over", [b("overstay_flagged")]),
    ("acknowledge", "over", [b("overstay_flagged"), b("overstay_acknowledged")]),
    ("extend", "over", [b("overstay_extended")]),
]
CASES = pytest.mark.parametrize(("step", "state", "sent"), TABLE, ids=[f"{step}-{state}" for step, state, _ in TABLE])


def prepared(desk: Desk, step: str, state: str | None) -> tuple[RoomBooking | None, Any]:
    """The booking in that state, with its guest's name and address on it, and the step."""
    if state is None:
        house = {"hotel": desk.hotel, "staff": desk.agent, "room_type_id": desk.room_type.pk}
        return None, partial(create_booking, **house, check_in=day(0), check_out=day(1), **PERSONAL_INPUT)
    booking = bookings(desk)[state]()
    RoomBooking.objects.filter(pk=booking.pk).update(**GUEST)
    more = {"expire": partial(expire_approvals, desk.hotel), "flag": partial(flag_overstays, desk.hotel)}
    return booking, (steps(desk, booking) | more)[step]


PERSONAL_INPUT = {name: value for name, value in PERSONAL.items() if name != "internal_notes"}


@CASES
def test_exactly_these_events_in_this_order(step, state, sent, desk):
    booking, work = prepared(desk, step, state)
    since = last_event()
    work()
    assert told(since) == sent
    booking = booking or RoomBooking.objects.get()
    for event in RealtimeEvent.objects.filter(pk__gt=since):
        envelope = event.envelope
        assert set(envelope) == {"category", "type", "payload", "meta"}
        assert (envelope["type"], envelope["meta"]["event_id"]) == (event.type, str(event.event_id))
        assert (envelope["meta"]["hotel_slug"], envelope["meta"]["ts"]) == (desk.hotel.slug, "2026-07-01T14:00:00Z")
        if event.stream == "rooms":
            assert (event.channel, envelope["category"]) == (f"private-{desk.hotel.slug}.rooms", "rooms")
            assert envelope["meta"]["scope"] == {"room_number": envelope["payload"]["room_number"]}
            continue
        staff = event.stream == "room-bookings"
        channel = f"private-{desk.hotel.slug}.room-bookings" if staff else f"private-guest-booking.{booking.booking_id}"
        assert (event.channel, envelope["category"]) == (channel, "room_booking")
        assert envelope["meta"]["scope"] == {"booking_id": booking.booking_id}


@CASES
def test_the_house_gets_the_row_as_a_list_shows_it(step, state, sent, desk):
    _, work = prepared(desk, step, state)
    work()
    row = booking_row(booking_list().get())
    last = RealtimeEvent.objects.filter(stream="room-bookings").latest("pk")
    assert last.envelope["payload"] == row


@CASES
def test_the_guest_gets_what_is_for_their_eyes(step, state, sent, desk):
    booking, work = prepared(desk, step, state)
    work()
    guest = RealtimeEvent.objects.filter(stream="guest-bookings")
    assert guest.count() == sum(channel == "guest" for channel, _ in sent)
    for event in guest:
        stored = RoomBooking.objects.get(pk=booking.pk)
        assert event.envelope["payload"] == {
            "booking_id": stored.booking_id,
            "status": stored.status,
            "changed_at": "2026-07-01T14:00:00Z",
            "reason": {"move": "Shower drips", "cancel_stay": "Ferry cancelled"}.get(step, ""),
            "room_number": stored.assigned_room.room_number if stored.assigned_room else None,
            "hotel_name": desk.hotel.name,
            "hotel_phone": "+353 1 555 0000",
        }


@CASES
def test_nobody_s_name_or_address_is_in_what_rooms_and_guests_hear(step, state, sent, desk):
    _, work = prepared(desk, step, state)
    since = last_event()
    work()
    for event in RealtimeEvent.objects.filter(pk__gt=since).exclude(stream="room-bookings"):
        text = json.dumps(event.envelope)
        assert [value for value in GUEST.values() if value in text] == []
        assert not {"guest_token_hash", "guest_fcm_token", "special_requests"} & set(event.envelope["payload"])


@CASES
def test_rooms_are_shown_as_they_are_afterwards_and_forget_who_has_left(step, state, sent, desk):
    _, work = prepared(desk, step, state)
    since = last_event()
    work()
    rooms = {room.room_number: room_snapshot(room) for room in room_list(desk.hotel)}
    events = RealtimeEvent.objects.filter(pk__gt=since, stream="rooms")
    assert events.count() == sum(channel == "rooms" for channel, _ in sent)
    for event in events:
        payload = event.envelope["payload"]
        snapshot = rooms[payload["room_number"]]
        change = {"changed_fields", "source", "from_status", "to_status", "changed_by_name"}
        more = change if event.type == "room_updated" else set()
        expected = snapshot if snapshot["is_occupied"] else snapshot | NOBODY
        assert {name: value for name, value in payload.items() if name not in more} == expected
        assert more <= set(payload)


def test_the_source_of_each_change_of_a_room(desk):
    """Check-in is the front desk's, everything else that a booking does to a room the system's, by whom is told."""
    booking = booking_in("CONFIRMED", assigned_room=desk.rooms[0])
    it = {"booking": booking, "staff": desk.manager}
    check_in(**it)
    undo_check_in(**it, reason="x")
    check_in(**it, room_id=desk.rooms[1].pk)
    check_out(**it)
    sources = [
        (event.envelope["payload"]["source"], event.envelope["payload"]["changed_by_name"])
        for event in RealtimeEvent.objects.filter(type="room_updated").order_by("pk")
    ]
    name = desk.manager.name
    assert sources == [("FRONT_DESK", name), ("SYSTEM", name), ("FRONT_DESK", name), ("SYSTEM", name)]


# --- nothing is told of what did not happen ---------------------------------------------------------------------------


@pytest.mark.parametrize(("step", "state"), [(step, state) for step, state, _ in TABLE if state])
def test_what_is_rolled_back_is_not_told(step, state, desk, django_capture_on_commit_callbacks):
    _, work = prepared(desk, step, state)
    since = last_event()
    with django_capture_on_commit_callbacks() as callbacks, pytest.raises(ZeroDivisionError), transaction.atomic():
        work()
        raise ZeroDivisionError
    assert told(since) == []
    assert callbacks == []


REPEATABLE = [
    ("check_in", "conr"),
    ("check_out", "in"),
    ("move", "in"),
    ("assign", "con"),
    ("unassign", "conr"),
    ("cancel", "conr"),
    ("cancel_stay", "in"),
    ("confirm", "ask"),
    ("approve", "ask"),
    ("decline", "ask"),
    ("expire", "late"),
    ("no_show", "past"),
    ("mark_seen", "con"),
    ("companions", "con"),
    ("edit_dates", "con"),
    ("flag", "over"),
    ("acknowledge", "over"),
]


@pytest.mark.parametrize(("step", "state"), REPEATABLE)
def test_the_same_again_is_not_told(step, state, desk):
    _, work = prepared(desk, step, state)
    work()
    since = last_event()
    work()
    assert told(since) == []


# --- numbers ----------------------------------------------------------------------------------------------------------


def test_the_house_s_events_are_numbered_and_the_guest_s_show_no_number(desk):
    booking = booking_in("CONFIRMED", assigned_room=desk.rooms[0])
    check_in(booking=booking, staff=desk.agent)
    check_out(booking=booking, staff=desk.agent)
    for name in ("rooms", "room-bookings", "guest-bookings"):
        relay.number(EventStream.objects.create(hotel=desk.hotel, name=name))
    numbers = {
        name: [
            notification_manager.envelope_of(event)["meta"]["seq"]
            for event in RealtimeEvent.objects.filter(stream=name).order_by("pk")
        ]
        for name in ("rooms", "room-bookings", "guest-bookings")
    }
    assert numbers == {"rooms": [1, 2, 3, 4], "room-bookings": [1, 2], "guest-bookings": [None, None]}


def test_a_booking_s_events_fit_into_what_pusher_takes(desk):
    """The row has no long text of the guest's or of staff."""
    booking = booking_in(
        "CONFIRMED",
        assigned_room=desk.rooms[0],
        special_requests="é" * 20_000,
        internal_notes="é" * 20_000,
        primary_first_name="é" * 100,
        primary_last_name="é" * 100,
    )
    set_companions(booking=booking, companions=[{"first_name": "é" * 100, "last_name": "é" * 100}] * 20)
    cancel_booking(booking=booking, staff=desk.agent, reason="é" * 2000)
    for event in RealtimeEvent.objects.all():
        assert len(json.dumps(event.envelope, ensure_ascii=False).encode()) <= 10_000


def test_a_long_reason_is_cut_for_the_guest_and_kept_in_the_book(desk):
    booking = booking_in("CONFIRMED", hotel=desk.hotel)
    cancel_booking(booking=booking, staff=desk.agent, reason="é" * 9_000)
    guest = RealtimeEvent.objects.get(stream="guest-bookings").envelope["payload"]
    assert guest["reason"].endswith("[cut]")
    assert RoomBooking.objects.get().cancellation_reason == "é" * 9_000
