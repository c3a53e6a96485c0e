"""Concurrent actions on one booking or room: each overlap is forced, and a twin shows the race without the lock."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import IntegrityError, connection

from common import clock
from common.errors import HotelMateError
from hotel.models import Hotel
from hotel.services import update_access_config
from housekeeping.models import HousekeepingTask, RoomStatusEvent, Source
from housekeeping.services import set_room_status
from housekeeping.task_services import complete_task, create_task, open_stayover_tasks, start_task
from notifications.models import BookingMail, RealtimeEvent
from operations.invariants import violations
from operations.periodic import tick
from room_bookings.models import BookingChange, BookingExtension, Overbooking, OverstayIncident, RoomBooking
from room_bookings.services.approval import approve_booking, confirm_booking, decline_booking
from room_bookings.services.cancel import cancel_booking
from room_bookings.services.check_in import check_in, check_in_rooms
from room_bookings.services.checkout import check_out, check_out_rooms
from room_bookings.services.create import create_booking
from room_bookings.services.edit import edit_booking, mark_seen, set_companions
from room_bookings.services.expire import expire_approvals
from room_bookings.services.no_show import mark_no_show
from room_bookings.services.overstay import acknowledge_overstay, extend_stay
from room_bookings.services.reinstate import reinstate_booking
from room_bookings.services.room_assignment import assign_room, unassign_room
from room_bookings.services.room_move import move_room
from room_bookings.services.room_removal import force_room_status
from room_bookings.services.undo_check_in import undo_check_in
from room_bookings.services.undo_check_out import undo_check_out
from rooms.models import Room
from rooms.selectors import room_lock
from rooms.services import update_room, update_room_type
from tests.factories import BookingFactory, NewRoomFactory, RoomTypeFactory, StaffFactory, booking_in
from tests.races import Writer, locks_removed, overlap
from tests.room_bookings.small_hotel import NOW, SmallHotel, assert_invariants_hold, day
from tools.harness.stripe_server import StripeServer

pytestmark = pytest.mark.django_db(transaction=True)

OVERLAP, OCCUPIED, NOT_READY = "ROOM_OVERLAP_CONFLICT", "ROOM_OCCUPIED", "ROOM_NOT_READY"


def in_own_process(work: Callable[[], Any]) -> Callable[[], Any]:
    """``work`` as another process runs it: on the test's clock, with a lock timeout that fits a queue of twenty."""

    def run() -> Any:
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '30s'")
        with clock.set_to(NOW):
            return work()

    return run


def race(first: Callable[[], Any], *others: Callable[[], Any], sound: bool = True) -> list[str]:
    """The outcome of each: the booking's status afterwards, or the error code."""
    result, outcomes = overlap(first, *[in_own_process(other) for other in others])
    if sound:
        assert_invariants_hold()
    return [word(outcome) for outcome in (result, *outcomes)]


def word(outcome: Any) -> str:
    if isinstance(outcome, HotelMateError):
        return outcome.code
    if isinstance(outcome, Exception):
        return type(outcome).__name__
    return str(outcome.status) if isinstance(outcome, RoomBooking) else repr(outcome)


def coming(small_hotel: SmallHotel, first: int = 0, last: int = 2, **fields: Any) -> RoomBooking:
    hotel_fields = {"hotel": small_hotel.hotel, "room_type": small_hotel.room_type}
    return BookingFactory(**hotel_fields | {"check_in": day(first), "check_out": day(last)} | fields)


def guest(small_hotel: SmallHotel, room: int, first: int = 0, last: int = 2) -> RoomBooking:
    """A guest in house in the hotel's room at this index."""
    came = {"check_in": day(first), "checked_in_at": NOW + timedelta(days=first)} if first < 0 else {}
    return booking_in(
        "IN_HOUSE", assigned_room=small_hotel.rooms[room], **{"check_in": day(first), **came}, check_out=day(last)
    )


def on(step: Callable[..., Any], booking: RoomBooking, staff: Any, **more: Any) -> Callable[[], Any]:
    """The action as a separate request takes it, with an instance read beforehand."""
    stale = RoomBooking.objects.get(pk=booking.pk)
    return partial(step, booking=stale, staff=staff, **more)


def third_room(small_hotel: SmallHotel) -> Room:
    small_hotel.rooms.append(NewRoomFactory(hotel=small_hotel.hotel, room_type=small_hotel.room_type, room_number=103))
    return small_hotel.rooms[2]


def statuses(small_hotel: SmallHotel) -> list[str]:
    return [room.room_status for room in Room.objects.filter(hotel=small_hotel.hotel).order_by("pk")]


def actions(booking: RoomBooking) -> list[str]:
    return list(BookingChange.objects.filter(booking=booking).order_by("pk").values_list("action", flat=True))


def sent(event_type: str) -> int:
    return RealtimeEvent.objects.filter(type=event_type).count()


# --- one booking ------------------------------------------------------------------------------------------------------


def test_twenty_cancels_of_one_booking(small_hotel):
    booking = coming(small_hotel, assigned_room=small_hotel.rooms[0], primary_email="ada@example.com")
    cancels = [on(cancel_booking, booking, small_hotel.agent, reason=f"reason {n}") for n in range(20)]
    assert race(*cancels) == ["CANCELLED"] * 20
    stored = RoomBooking.objects.get()
    assert (stored.version, stored.cancellation_reason, stored.special_requests.count("[CANCELLED")) == (
        *(1, "reason 0"),
        1,
    )
    assert actions(booking) == ["CANCELLED"]
    assert BookingMail.objects.count() == 1
    assert RealtimeEvent.objects.count() == 2  # one for staff, one for the guest


def test_two_cancels_without_the_lock_send_two_mails(small_hotel):
    booking = coming(small_hotel, primary_email="ada@example.com")
    with locks_removed():
        race(*[on(cancel_booking, booking, small_hotel.agent) for _ in range(2)])
    assert (BookingMail.objects.count(), sent("booking_cancelled")) == (2, 4)
    assert actions(booking) == ["CANCELLED", "CANCELLED"]


def test_a_cancel_before_a_check_in(small_hotel):
    booking = coming(small_hotel, assigned_room=small_hotel.rooms[0])
    outcomes = race(on(cancel_booking, booking, small_hotel.agent), on(check_in, booking, small_hotel.agent))
    assert outcomes == ["CANCELLED", "BOOKING_NOT_ELIGIBLE"]
    assert statuses(small_hotel) == ["READY_FOR_GUEST", "READY_FOR_GUEST"]


@pytest.mark.parametrize(
    ("who", "outcome", "room"),
    [("agent", "BOOKING_ALREADY_CHECKED_IN", "OCCUPIED"), ("manager", "CANCELLED", "CHECKOUT_DIRTY")],
)
def test_a_cancel_after_a_check_in(who, outcome, room, small_hotel):
    booking = coming(small_hotel, assigned_room=small_hotel.rooms[0])
    cancel = on(cancel_booking, booking, getattr(small_hotel, who), reason="Ferry cancelled")
    assert race(on(check_in, booking, small_hotel.agent), cancel) == ["IN_HOUSE", outcome]
    assert statuses(small_hotel)[0] == room


def test_a_cancel_against_a_check_in_without_the_lock_frees_an_occupied_room(small_hotel):
    """The twin: only the database constraints are left to stop it."""
    booking = coming(small_hotel, assigned_room=small_hotel.rooms[0])
    with locks_removed():
        outcomes = race(
            on(check_in, booking, small_hotel.agent), on(cancel_booking, booking, small_hotel.agent), sound=False
        )
    assert outcomes == ["IN_HOUSE", "IntegrityError"]


def test_two_check_ins_of_one_booking(small_hotel):
    booking = coming(small_hotel, assigned_room=small_hotel.rooms[0])
    assert race(*[on(check_in, booking, small_hotel.agent) for _ in range(3)]) == ["IN_HOUSE"] * 3
    assert (actions(booking), RoomStatusEvent.objects.count()) == (["CHECKED_IN"], 1)
    assert sent("booking_checked_in") == 2


def test_two_check_ins_of_one_booking_into_two_rooms(small_hotel):
    booking = coming(small_hotel)
    check_ins = [on(check_in, booking, small_hotel.agent, room_id=room.pk) for room in small_hotel.rooms]
    assert race(*check_ins) == ["IN_HOUSE", "IN_HOUSE"]
    assert statuses(small_hotel) == ["OCCUPIED", "READY_FOR_GUEST"]


def test_two_check_outs_of_one_booking(small_hotel):
    booking = guest(small_hotel, 0)
    assert race(*[on(check_out, booking, small_hotel.agent) for _ in range(3)]) == ["COMPLETED"] * 3
    assert (actions(booking), sent("booking_checked_out")) == (["CHECKED_OUT"], 2)
    assert HousekeepingTask.objects.count() == 1


def test_two_check_outs_without_the_lock_publish_twice(small_hotel):
    booking = guest(small_hotel, 0)
    with locks_removed():
        race(*[on(check_out, booking, small_hotel.agent) for _ in range(2)])
    assert (actions(booking), sent("booking_checked_out")) == (["CHECKED_OUT", "CHECKED_OUT"], 4)


STEPS = {
    "cancel_stay": lambda small_hotel: (cancel_booking, small_hotel.manager, {"reason": "Gas leak"}),
    "check_out": lambda small_hotel: (check_out, small_hotel.agent, {}),
    "undo": lambda small_hotel: (undo_check_in, small_hotel.manager, {"reason": "Wrong guest"}),
    "move": lambda small_hotel: (
        move_room,
        small_hotel.agent,
        {"to_room_id": small_hotel.rooms[1].pk, "reason": "Noise"},
    ),
    "extend": lambda small_hotel: (extend_stay, small_hotel.agent, {"add_nights": 1}),
}


@pytest.mark.parametrize(
    ("first", "second", "outcomes", "rooms"),
    [
        (
            "cancel_stay",
            "check_out",
            ["CANCELLED", "BOOKING_ALREADY_CHECKED_OUT"],
            ["CHECKOUT_DIRTY", "READY_FOR_GUEST"],
        ),
        ("check_out", "cancel_stay", ["COMPLETED", "BOOKING_NOT_ELIGIBLE"], ["CHECKOUT_DIRTY", "READY_FOR_GUEST"]),
        ("undo", "check_out", ["CONFIRMED", "BOOKING_NOT_CHECKED_IN"], ["CHECKOUT_DIRTY", "READY_FOR_GUEST"]),
        ("check_out", "undo", ["COMPLETED", "BOOKING_ALREADY_CHECKED_OUT"], ["CHECKOUT_DIRTY", "READY_FOR_GUEST"]),
        ("move", "check_out", ["IN_HOUSE", "COMPLETED"], ["CHECKOUT_DIRTY", "CHECKOUT_DIRTY"]),
        ("check_out", "move", ["COMPLETED", "BOOKING_ALREADY_CHECKED_OUT"], ["CHECKOUT_DIRTY", "READY_FOR_GUEST"]),
        ("move", "cancel_stay", ["IN_HOUSE", "CANCELLED"], ["CHECKOUT_DIRTY", "CHECKOUT_DIRTY"]),
        ("cancel_stay", "move", ["CANCELLED", "BOOKING_ALREADY_CHECKED_OUT"], ["CHECKOUT_DIRTY", "READY_FOR_GUEST"]),
        ("undo", "move", ["CONFIRMED", "BOOKING_NOT_CHECKED_IN"], ["CHECKOUT_DIRTY", "READY_FOR_GUEST"]),
        ("check_out", "extend", ["COMPLETED", "BOOKING_ALREADY_CHECKED_OUT"], ["CHECKOUT_DIRTY", "READY_FOR_GUEST"]),
        ("extend", "check_out", ["IN_HOUSE", "COMPLETED"], ["CHECKOUT_DIRTY", "READY_FOR_GUEST"]),
        ("move", "move", ["IN_HOUSE", "IN_HOUSE"], ["CHECKOUT_DIRTY", "OCCUPIED"]),
    ],
)
def test_two_endings_of_one_stay(first, second, outcomes, rooms, small_hotel):
    booking = guest(small_hotel, 0)
    ways = []
    for name in (first, second):
        step, staff, more = STEPS[name](small_hotel)
        ways.append(on(step, booking, staff, **more))
    assert race(*ways) == outcomes
    assert statuses(small_hotel) == rooms


def left(small_hotel: SmallHotel) -> RoomBooking:
    """A guest checked out of room 101, which is clean again, two nights early."""
    booking = guest(small_hotel, 0)
    check_out(booking=booking, staff=small_hotel.agent)
    for status in ("CLEANED_UNINSPECTED", "READY_FOR_GUEST"):
        set_room_status(room=small_hotel.rooms[0], to_status=status, source=Source.SYSTEM)
    return booking


def undoing(small_hotel: SmallHotel, booking: RoomBooking) -> Callable[[], Any]:
    return on(undo_check_out, booking, small_hotel.manager, reason="Wrong guest")


def test_two_undone_check_outs_of_one_booking(small_hotel):
    booking = left(small_hotel)
    assert race(undoing(small_hotel, booking), undoing(small_hotel, booking)) == ["IN_HOUSE", "BOOKING_NOT_CHECKED_OUT"]
    assert actions(booking) == ["CHECKED_OUT", "CHECK_OUT_UNDONE"]


def test_two_undone_check_outs_without_the_lock_are_both_recorded(small_hotel):
    booking = left(small_hotel)
    with locks_removed():
        race(undoing(small_hotel, booking), undoing(small_hotel, booking), sound=False)
    assert actions(booking) == ["CHECKED_OUT", "CHECK_OUT_UNDONE", "CHECK_OUT_UNDONE"]


@pytest.mark.parametrize("undo_first", [True, False])
def test_an_undone_check_out_against_the_next_guests_check_in(undo_first, small_hotel):
    """The next guest stays on nights that the first one does not have: only the room itself is left to decide."""
    booking = left(small_hotel)
    RoomBooking.objects.filter(pk=booking.pk).update(check_in=day(-2), arrived_on=day(-2), check_out=day(0))
    arrival = coming(small_hotel, 0, 1, assigned_room=small_hotel.rooms[0])
    ways = [undoing(small_hotel, booking), on(check_in, arrival, small_hotel.agent)]
    if undo_first:
        assert race(*ways) == ["IN_HOUSE", NOT_READY]
    else:
        assert race(*reversed(ways)) == ["IN_HOUSE", OCCUPIED]
    assert RoomBooking.objects.filter(status="IN_HOUSE").count() == 1


def test_an_undone_check_out_and_a_sale_of_its_night(small_hotel):
    booking = left(small_hotel)
    coming(small_hotel)
    assert race(creating(small_hotel), undoing(small_hotel, booking), sound=True) == ["CONFIRMED", "IN_HOUSE"]
    assert [row.booking_id for row in Overbooking.objects.all()] == [booking.pk]


def test_no_show_against_a_check_in(small_hotel):
    booking = coming(small_hotel, -1, 1, assigned_room=small_hotel.rooms[0])
    assert race(on(mark_no_show, booking, small_hotel.agent), on(check_in, booking, small_hotel.agent)) == [
        "NO_SHOW",
        "BOOKING_NOT_ELIGIBLE",
    ]


def test_check_in_against_a_no_show(small_hotel):
    booking = coming(small_hotel, -1, 1, assigned_room=small_hotel.rooms[0])
    assert race(on(check_in, booking, small_hotel.agent), on(mark_no_show, booking, small_hotel.agent)) == [
        "IN_HOUSE",
        "BOOKING_NOT_ELIGIBLE",
    ]


@pytest.mark.parametrize(
    ("first", "second", "outcomes", "recorded"),
    [
        (approve_booking, decline_booking, ["CONFIRMED", "BOOKING_NOT_ELIGIBLE"], ["APPROVED"]),
        (decline_booking, approve_booking, ["DECLINED", "BOOKING_NOT_ELIGIBLE"], ["DECLINED"]),
        (approve_booking, approve_booking, ["CONFIRMED", "CONFIRMED"], ["APPROVED"]),
        (confirm_booking, approve_booking, ["CONFIRMED", "CONFIRMED"], ["CONFIRMED"]),
        (decline_booking, decline_booking, ["DECLINED", "DECLINED"], ["DECLINED"]),
        (confirm_booking, cancel_booking, ["CONFIRMED", "CANCELLED"], ["CONFIRMED", "CANCELLED"]),
    ],
)
def test_two_decisions_on_one_request(first, second, outcomes, recorded, small_hotel):
    booking = booking_in(
        "PENDING_APPROVAL", hotel=small_hotel.hotel, room_type=small_hotel.room_type, primary_email="ada@example.com"
    )
    assert race(on(first, booking, small_hotel.agent), on(second, booking, small_hotel.manager)) == outcomes
    assert actions(booking) == recorded
    assert BookingMail.objects.count() == len(recorded)


def test_request_expires_during_its_approval(small_hotel):
    booking = booking_in(
        "PENDING_APPROVAL",
        hotel=small_hotel.hotel,
        room_type=small_hotel.room_type,
        approval_deadline_at=NOW - timedelta(seconds=1),
    )
    assert race(partial(expire_approvals, small_hotel.hotel), on(approve_booking, booking, small_hotel.agent)) == [
        "1",
        "BOOKING_EXPIRED",
    ]


def test_request_is_declined_while_it_expires(small_hotel):
    booking = booking_in(
        "PENDING_APPROVAL",
        hotel=small_hotel.hotel,
        room_type=small_hotel.room_type,
        approval_deadline_at=NOW - timedelta(seconds=1),
    )
    assert race(on(decline_booking, booking, small_hotel.agent), partial(expire_approvals, small_hotel.hotel)) == [
        "DECLINED",
        "0",
    ]
    assert actions(booking) == ["DECLINED"]


def test_two_edits_of_one_booking_lose_nothing(small_hotel):
    booking = coming(small_hotel)
    edits = [
        on(edit_booking, booking, small_hotel.agent, **fields) for fields in ({"adults": 2}, {"internal_notes": "x"})
    ]
    assert race(*edits) == ["CONFIRMED", "CONFIRMED"]
    stored = RoomBooking.objects.get()
    assert (stored.adults, stored.internal_notes, stored.version) == (2, "x", 2)


def test_one_of_two_edits_of_the_same_version_is_refused(small_hotel):
    booking = coming(small_hotel)
    edits = [
        on(edit_booking, booking, small_hotel.agent, expected_versions=[0], **fields)
        for fields in ({"adults": 2}, {"children": 1})
    ]
    assert race(*edits) == ["CONFIRMED", "PRECONDITION_FAILED"]


def test_two_parties_for_one_booking(small_hotel):
    booking = coming(small_hotel, adults=2)  # a larger party would also wait for the type
    stale = RoomBooking.objects.get()
    parties = [[{"first_name": name, "last_name": "Babbage"}] for name in ("Charles", "Georgiana")]
    race(*[partial(set_companions, booking=stale, companions=party) for party in parties])
    assert list(booking.companions.values_list("first_name", flat=True)) == ["Georgiana"]


def test_first_viewer_is_recorded(small_hotel):
    booking = coming(small_hotel)
    race(on(mark_seen, booking, small_hotel.agent), on(mark_seen, booking, small_hotel.manager))
    stored = RoomBooking.objects.get()
    assert (stored.staff_seen_by, stored.version) == (small_hotel.agent, 1)


# --- one room ---------------------------------------------------------------------------------------------------------


def test_two_bookings_assigned_to_one_room(small_hotel):
    assigns = [
        on(assign_room, coming(small_hotel), small_hotel.agent, room_id=small_hotel.rooms[0].pk) for _ in range(2)
    ]
    assert race(*assigns) == ["CONFIRMED", OVERLAP]
    assert RoomBooking.objects.filter(assigned_room=small_hotel.rooms[0]).count() == 1


def test_two_bookings_assigned_to_one_room_without_the_lock(small_hotel):
    assigns = [
        on(assign_room, coming(small_hotel), small_hotel.agent, room_id=small_hotel.rooms[0].pk) for _ in range(2)
    ]
    with locks_removed():
        _, [second] = overlap(assigns[0], in_own_process(assigns[1]))
    # It passed the check, and the database constraint stopped it.
    assert isinstance(second, IntegrityError)
    assert second.__cause__.diag.constraint_name == "room_claim_no_overlap"


def test_two_bookings_checked_in_to_one_room(small_hotel):
    check_ins = [
        on(check_in, coming(small_hotel), small_hotel.agent, room_id=small_hotel.rooms[0].pk) for _ in range(2)
    ]
    assert race(*check_ins) == ["IN_HOUSE", OVERLAP]
    assert sent("booking_checked_in") == 2


def test_two_bookings_of_different_nights_checked_in_to_one_room(small_hotel):
    today = coming(small_hotel, 0, 1, assigned_room=small_hotel.rooms[0])
    tomorrow = coming(small_hotel, 1, 2, assigned_room=small_hotel.rooms[0])
    early = on(check_in, tomorrow, small_hotel.manager, override_reason="Regular guest")
    assert race(on(check_in, today, small_hotel.agent), early) == ["IN_HOUSE", OVERLAP]


def test_two_bookings_of_different_nights_checked_in_to_one_room_the_other_way(small_hotel):
    yesterday = coming(small_hotel, -1, 1)
    day_use = coming(small_hotel, 0, 0)
    room = {"room_id": small_hotel.rooms[0].pk}
    assert race(
        on(check_in, day_use, small_hotel.agent, **room), on(check_in, yesterday, small_hotel.agent, **room)
    ) == [
        "IN_HOUSE",
        OVERLAP,
    ]


def test_two_opposite_moves_do_not_deadlock(small_hotel):
    """Each wants the other's room. Both lock the room with the lower pk first."""
    first, second = guest(small_hotel, 0), guest(small_hotel, 1)
    moves = [
        on(move_room, first, small_hotel.agent, to_room_id=small_hotel.rooms[1].pk, reason="x"),
        on(move_room, second, small_hotel.agent, to_room_id=small_hotel.rooms[0].pk, reason="x"),
    ]
    _, outcomes = overlap(partial(room_lock, [small_hotel.rooms[0].pk]), *[in_own_process(move) for move in moves])
    assert [word(outcome) for outcome in outcomes] == [OCCUPIED, OCCUPIED]
    assert statuses(small_hotel) == ["OCCUPIED", "OCCUPIED"]
    assert_invariants_hold()


def test_two_moves_in_a_row_do_not_deadlock(small_hotel):
    """Out of 101 into 103, and out of 102 into 101."""
    third_room(small_hotel)
    moves = [
        on(move_room, guest(small_hotel, 0), small_hotel.agent, to_room_id=small_hotel.rooms[2].pk, reason="x"),
        on(move_room, guest(small_hotel, 1), small_hotel.agent, to_room_id=small_hotel.rooms[0].pk, reason="x"),
    ]
    assert race(*moves) == ["IN_HOUSE", NOT_READY]
    assert statuses(small_hotel) == ["CHECKOUT_DIRTY", "OCCUPIED", "OCCUPIED"]


def test_two_guests_moving_into_one_room(small_hotel):
    third_room(small_hotel)
    moves = [
        on(move_room, guest(small_hotel, room), small_hotel.agent, to_room_id=small_hotel.rooms[2].pk, reason="x")
        for room in (0, 1)
    ]
    assert race(*moves) == ["IN_HOUSE", OCCUPIED]
    assert statuses(small_hotel) == ["CHECKOUT_DIRTY", "OCCUPIED", "OCCUPIED"]


def test_a_move_before_a_check_in_into_the_same_room(small_hotel):
    move = on(move_room, guest(small_hotel, 0), small_hotel.agent, to_room_id=small_hotel.rooms[1].pk, reason="x")
    arrival = on(check_in, coming(small_hotel), small_hotel.agent, room_id=small_hotel.rooms[1].pk)
    assert race(move, arrival) == ["IN_HOUSE", OVERLAP]
    assert statuses(small_hotel) == ["CHECKOUT_DIRTY", "OCCUPIED"]


def test_a_move_after_a_check_in_into_the_same_room(small_hotel):
    move = on(move_room, guest(small_hotel, 0), small_hotel.agent, to_room_id=small_hotel.rooms[1].pk, reason="x")
    arrival = on(check_in, coming(small_hotel), small_hotel.agent, room_id=small_hotel.rooms[1].pk)
    assert race(arrival, move) == ["IN_HOUSE", OCCUPIED]
    assert statuses(small_hotel) == ["OCCUPIED", "OCCUPIED"]


def test_a_move_against_a_check_in_without_the_lock(small_hotel):
    move = on(move_room, guest(small_hotel, 0), small_hotel.agent, to_room_id=small_hotel.rooms[1].pk, reason="x")
    arrival = on(check_in, coming(small_hotel), small_hotel.agent, room_id=small_hotel.rooms[1].pk)
    with locks_removed():
        assert race(arrival, move) == ["IN_HOUSE", "IntegrityError"]


def test_check_out_before_the_next_guests_check_in(small_hotel):
    leaving = guest(small_hotel, 0, -1, 0)
    arriving = coming(small_hotel, 0, 2, assigned_room=small_hotel.rooms[0])
    assert race(on(check_out, leaving, small_hotel.agent), on(check_in, arriving, small_hotel.agent)) == [
        "COMPLETED",
        NOT_READY,
    ]


def nights(small_hotel: SmallHotel, *, extend: bool) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """One booking gets more nights in room 101, another is assigned the room for one of those nights."""
    if extend:
        longer = on(extend_stay, guest(small_hotel, 0, 0, 1), small_hotel.agent, new_checkout_date=day(3))
    else:
        booked = coming(small_hotel, 0, 1, assigned_room=small_hotel.rooms[0])
        longer = on(edit_booking, booked, small_hotel.agent, check_out=day(3))
    return longer, on(assign_room, coming(small_hotel, 1, 3), small_hotel.agent, room_id=small_hotel.rooms[0].pk)


@pytest.mark.parametrize("extend", [True, False])
@pytest.mark.parametrize("assign_first", [True, False])
def test_more_nights_against_an_assignment(extend, assign_first, small_hotel):
    longer, assign = nights(small_hotel, extend=extend)
    outcomes = race(assign, longer) if assign_first else race(longer, assign)
    assert outcomes == ["CONFIRMED" if assign_first or not extend else "IN_HOUSE", OVERLAP]


@pytest.mark.parametrize("extend", [True, False])
def test_more_nights_against_an_assignment_without_the_lock(extend, small_hotel):
    longer, assign = nights(small_hotel, extend=extend)
    with locks_removed():
        assert race(assign, longer)[1] == "IntegrityError"


def test_two_extensions(small_hotel):
    """Each extends from the current departure; a client that wants only one sends an Idempotency-Key."""
    booking = guest(small_hotel, 0)
    assert race(*[on(extend_stay, booking, small_hotel.agent, add_nights=1) for _ in range(2)]) == [
        "IN_HOUSE",
        "IN_HOUSE",
    ]
    assert list(BookingExtension.objects.order_by("pk").values_list("old_check_out", "new_check_out")) == [
        (day(2), day(3)),
        (day(3), day(4)),
    ]


def test_room_is_unassigned_and_assigned_again(small_hotel):
    first, second = coming(small_hotel, assigned_room=small_hotel.rooms[0]), coming(small_hotel)
    # Unassigning does not lock the room: the second does not wait and still finds the room taken.
    _, [outcome] = overlap(
        on(unassign_room, first, small_hotel.agent),
        in_own_process(on(assign_room, second, small_hotel.agent, room_id=small_hotel.rooms[0].pk)),
        waits=False,
    )
    assert word(outcome) == OVERLAP
    assert_invariants_hold()


# --- the last room of a type ------------------------------------------------------------------------------------------


def creating(small_hotel: SmallHotel, first: int = 0, last: int = 2, **more: Any) -> Callable[[], Any]:
    hotel_fields = {"hotel": small_hotel.hotel, "staff": small_hotel.agent, "room_type_id": small_hotel.room_type.pk}
    name = {"primary_first_name": "Ada", "primary_last_name": "Lovelace"}
    return partial(create_booking, **hotel_fields | name | {"check_in": day(first), "check_out": day(last)} | more)


def test_two_bookings_of_the_last_room(small_hotel):
    coming(small_hotel)
    assert race(creating(small_hotel), creating(small_hotel, 1, 3)) == ["CONFIRMED", "NO_AVAILABILITY"]
    assert RoomBooking.objects.count() == 2


def test_two_bookings_of_the_last_room_without_the_lock_oversell(small_hotel):
    coming(small_hotel)
    with locks_removed():
        assert race(creating(small_hotel), creating(small_hotel), sound=False) == ["CONFIRMED", "CONFIRMED"]
    assert RoomBooking.objects.filter(check_in=day(0)).count() > len(small_hotel.rooms)


def test_new_booking_against_a_reinstatement_or_extension(small_hotel):
    for _ in small_hotel.rooms[1:]:
        coming(small_hotel)
    cancelled = booking_in("CANCELLED", hotel=small_hotel.hotel, room_type=small_hotel.room_type)
    before = coming(small_hotel, -1, 0)
    back = on(reinstate_booking, cancelled, small_hotel.manager, reason="x")
    longer = on(edit_booking, before, small_hotel.agent, check_out=day(1))
    assert race(creating(small_hotel), back, longer) == ["CONFIRMED", "NO_AVAILABILITY", "NO_AVAILABILITY"]


def test_bookings_of_another_type_do_not_wait(small_hotel):
    """Selling a night locks the row of its type, and no other rows until the end."""
    other = RoomTypeFactory(hotel=small_hotel.hotel)
    NewRoomFactory(hotel=small_hotel.hotel, room_type=other)
    cancelled = booking_in("CANCELLED", hotel=small_hotel.hotel, room_type=other)
    _, [outcome] = overlap(
        creating(small_hotel),
        in_own_process(on(reinstate_booking, cancelled, small_hotel.manager, reason="x")),
        waits=False,
    )
    assert word(outcome) == "CONFIRMED"


def waiting(small_hotel: SmallHotel, **fields: Any) -> RoomBooking:
    return booking_in("PENDING_APPROVAL", hotel=small_hotel.hotel, room_type=small_hotel.room_type, **fields)


def one_left(small_hotel: SmallHotel, first: int = 0, last: int = 2) -> None:
    for _ in small_hotel.rooms[1:]:
        coming(small_hotel, first, last)


def extending(small_hotel: SmallHotel) -> Callable[[], Any]:
    return on(extend_stay, guest(small_hotel, 0, -1, 1), small_hotel.agent, add_nights=1)


# Two actions that each take the last room, prepared before either starts, and the nights in question.
LAST_ROOM: dict[str, tuple[Callable[[SmallHotel], tuple[Callable[[], Any], Callable[[], Any]]], int, int]] = {
    "approve, create": (
        lambda small_hotel: (on(approve_booking, waiting(small_hotel), small_hotel.agent), creating(small_hotel)),
        0,
        2,
    ),
    "create, approve": (
        lambda small_hotel: (creating(small_hotel), on(approve_booking, waiting(small_hotel), small_hotel.agent)),
        0,
        2,
    ),
    "confirm, approve": (
        lambda small_hotel: (
            on(confirm_booking, waiting(small_hotel), small_hotel.agent),
            on(approve_booking, waiting(small_hotel), small_hotel.agent),
        ),
        *(0, 2),
    ),
    "approve, approve": (
        lambda small_hotel: (
            on(approve_booking, waiting(small_hotel), small_hotel.agent),
            on(approve_booking, waiting(small_hotel), small_hotel.manager),
        ),
        *(0, 2),
    ),
    "extend, create": (lambda small_hotel: (extending(small_hotel), creating(small_hotel, 1, 3)), 1, 3),
    "create, extend": (lambda small_hotel: (creating(small_hotel, 1, 3), extending(small_hotel)), 1, 3),
    "early check-in, create": (
        lambda small_hotel: (
            on(
                check_in,
                coming(small_hotel, 1, 3, assigned_room=small_hotel.rooms[0]),
                small_hotel.manager,
                override_reason="a regular guest",
            ),
            creating(small_hotel, 0, 1),
        ),
        *(0, 1),
    ),
}


@pytest.mark.parametrize("name", LAST_ROOM)
def test_two_actions_for_the_last_room(name, small_hotel):
    steps, first, last = LAST_ROOM[name]
    taken = steps(small_hotel)
    one_left(small_hotel, first, last)
    assert race(*taken)[1] == "NO_AVAILABILITY"
    assert not Overbooking.objects.exists()


@pytest.mark.parametrize("name", ["approve, create", "approve, approve", "create, extend"])
def test_two_actions_for_the_last_room_without_the_lock_oversell(name, small_hotel):
    steps, first, last = LAST_ROOM[name]
    taken = steps(small_hotel)
    one_left(small_hotel, first, last)
    assert meanwhile_without_locks(*taken) in ("CONFIRMED", "IN_HOUSE")
    assert "nights_sold" in broken_rules()


def meanwhile_without_locks(first: Callable[[], Any], second: Callable[[], Any]) -> str:
    """The outcome of the second, which runs to its end while the first is open."""
    with locks_removed():
        _, [outcome] = overlap(first, in_own_process(second), waits=False)
    return word(outcome)


def broken_rules() -> set[str]:
    return {found.rule for found in violations(now=NOW)}


def card(small_hotel: SmallHotel, stripe: StripeServer) -> RoomBooking:
    request = waiting(small_hotel, card="AUTHORISED")
    stripe.authorise(request.payment_reference)
    return request


def alone(work: Callable[[], Any]) -> str:
    """The outcome of ``work`` in another process."""
    writer = Writer(in_own_process(work))
    writer.start()
    return word(writer.outcome())


def approving(booking: RoomBooking, staff: Any) -> Callable[[], Any]:
    return in_own_process(on(approve_booking, booking, staff))


@pytest.mark.parametrize("paid", [True, False])
def test_room_counts_as_sold_during_the_card_charge(paid, small_hotel, stripe):
    """Stripe hangs on the capture; meanwhile nobody else gets the room, and no second card is charged."""
    one_left(small_hotel)
    first, second = card(small_hotel, stripe), card(small_hotel, stripe) if paid else waiting(small_hotel)
    steps, late = (creating(small_hotel), on(approve_booking, second, small_hotel.agent)), list[str]()

    def meanwhile(_call: Any) -> None:
        late.extend(alone(step) for step in steps)

    stripe.before_work = meanwhile
    assert approve_booking(booking=first, staff=small_hotel.agent).status == "CONFIRMED"
    assert late == ["NO_AVAILABILITY", "NO_AVAILABILITY"]
    assert {call.reference for call in stripe.calls} == {first.payment_reference}
    assert_invariants_hold()


def test_two_cards_for_the_last_room_at_once_are_one_charge(small_hotel, stripe):
    one_left(small_hotel)
    cards = [card(small_hotel, stripe) for _ in range(2)]
    writers = [Writer(approving(booking, small_hotel.agent)) for booking in cards]
    for writer in writers:
        writer.start()
    assert sorted(word(writer.outcome()) for writer in writers) == ["CONFIRMED", "NO_AVAILABILITY"]
    [charged] = {call.reference for call in stripe.calls}
    assert RoomBooking.objects.get(payment_reference=charged).status == "CONFIRMED"
    assert stripe.moved(charged) == {"captured": 1}
    assert_invariants_hold()


def test_failed_card_charge_releases_the_room(small_hotel, stripe):
    one_left(small_hotel)
    request = card(small_hotel, stripe)
    stripe.fail("capture", "refuse")
    outcomes = [
        alone(step)
        for step in (
            approving(request, small_hotel.agent),
            creating(small_hotel),
            approving(request, small_hotel.agent),
        )
    ]
    assert outcomes == ["PAYMENT_CAPTURE_FAILED", "CONFIRMED", "NO_AVAILABILITY"]
    assert stripe.count("capture") == 1
    assert_invariants_hold()


def test_disabling_overbooking_against_a_new_booking(small_hotel):
    """A booking that read the old setting and then waits is refused; one that came first is recorded as oversold."""
    small_hotel.hotel.allow_overbooking = True
    small_hotel.hotel.save()
    sales = [creating(small_hotel, hotel=Hotel.objects.get(pk=small_hotel.hotel.pk)) for _ in range(2)]
    one_left(small_hotel)
    assert race(creating(small_hotel), partial(stop_overbooking, small_hotel.hotel)) == ["CONFIRMED", "'stopped'"]
    Hotel.objects.update(allow_overbooking=True)
    assert race(partial(stop_overbooking, small_hotel.hotel), sales[0]) == ["'stopped'", "NO_AVAILABILITY"]


def stop_overbooking(hotel: Hotel) -> str:
    update_access_config(hotel=hotel, allow_overbooking=False)
    return "stopped"


# --- taking a room away -----------------------------------------------------------------------------------------------


def out_of_order(small_hotel: SmallHotel, room: int = 0) -> Callable[[], str]:
    stale = Room.objects.get(pk=small_hotel.rooms[room].pk)
    return lambda: (
        set_room_status(room=stale, to_status="OUT_OF_ORDER", staff=small_hotel.manager, note="leak").room_status
    )


def forced(small_hotel: SmallHotel) -> Callable[[], str]:
    stale = Room.objects.get(pk=small_hotel.rooms[0].pk)
    return lambda: (
        force_room_status(room=stale, to_status="OUT_OF_ORDER", staff=small_hotel.manager, note="leak").room_status
    )


def change_room_type(small_hotel: SmallHotel) -> Callable[[], str]:
    other, stale = RoomTypeFactory(hotel=small_hotel.hotel), Room.objects.get(pk=small_hotel.rooms[0].pk)
    return lambda: str(update_room(room=stale, staff=small_hotel.manager, room_type_id=other.pk).room_type == other)


def assigning(small_hotel: SmallHotel) -> Callable[[], Any]:
    return on(assign_room, coming(small_hotel), small_hotel.agent, room_id=small_hotel.rooms[0].pk)


NEEDED = "ROOM_NEEDED"
TAKEN_AWAY: dict[str, tuple[Callable[[SmallHotel], list[Callable[[], Any]]], list[str]]] = {
    "out of order, assign": (
        lambda small_hotel: [out_of_order(small_hotel), assigning(small_hotel)],
        ["'OUT_OF_ORDER'", "ROOM_NOT_BOOKABLE"],
    ),
    "assign, out of order": (
        lambda small_hotel: [assigning(small_hotel), out_of_order(small_hotel)],
        ["CONFIRMED", NEEDED],
    ),
    "retype, assign": (
        lambda small_hotel: [change_room_type(small_hotel), assigning(small_hotel)],
        ["'True'", "ROOM_TYPE_MISMATCH"],
    ),
    "assign, retype": (
        lambda small_hotel: [assigning(small_hotel), change_room_type(small_hotel)],
        ["CONFIRMED", NEEDED],
    ),
    "out of order, create": (
        lambda small_hotel: [out_of_order(small_hotel), coming(small_hotel) and creating(small_hotel)],
        ["'OUT_OF_ORDER'", "NO_AVAILABILITY"],
    ),
    "create, out of order": (
        lambda small_hotel: [creating(small_hotel), coming(small_hotel) and out_of_order(small_hotel)],
        ["CONFIRMED", NEEDED],
    ),
    "assign, force": (lambda small_hotel: [assigning(small_hotel), forced(small_hotel)], ["CONFIRMED", NEEDED]),
    "force, assign": (
        lambda small_hotel: [forced(small_hotel), assigning(small_hotel)],
        ["'OUT_OF_ORDER'", "ROOM_NOT_BOOKABLE"],
    ),
    "two, of which one may be spared": (
        lambda small_hotel: [out_of_order(small_hotel, 1), coming(small_hotel) and out_of_order(small_hotel, 0)],
        ["'OUT_OF_ORDER'", NEEDED],
    ),
}


@pytest.mark.parametrize("name", TAKEN_AWAY)
def test_removing_a_room_against_a_booking_that_needs_it(name, small_hotel):
    steps, outcomes = TAKEN_AWAY[name]
    assert race(*steps(small_hotel)) == outcomes


@pytest.mark.parametrize("name", ["out of order, create", "two, of which one may be spared"])
def test_removing_a_room_without_the_lock_oversells(name, small_hotel):
    steps, _ = TAKEN_AWAY[name]
    assert meanwhile_without_locks(*steps(small_hotel)) in ("CONFIRMED", "'OUT_OF_ORDER'")
    assert "nights_sold" in broken_rules()


@pytest.mark.parametrize("step", ["move", "longer"])
def test_extension_while_the_room_changes_its_type(step, small_hotel):
    """The extra nights are checked against the room's type once it is locked; the old type is sold out."""
    third_room(small_hotel)
    stay = guest(small_hotel, 0, 0, 1)
    change = {
        "move": on(move_room, stay, small_hotel.agent, to_room_id=small_hotel.rooms[1].pk, reason="noise"),
        "longer": on(edit_booking, stay, small_hotel.agent, check_out=day(2)),
    }[step]
    for nights in ((0, 1), (1, 2)):
        for _ in range(2):
            coming(small_hotel, *nights)
    assert race(change_room_type(small_hotel), change) == [
        "'True'",
        "NO_AVAILABILITY" if step == "move" else "IN_HOUSE",
    ]


def test_another_booked_type_and_a_sale_of_its_last_room(small_hotel):
    better = NewRoomFactory(hotel=small_hotel.hotel, room_number=201).room_type
    change = on(edit_booking, coming(small_hotel), small_hotel.agent, room_type_id=better.pk)
    assert race(change, creating(small_hotel, room_type_id=better.pk)) == ["CONFIRMED", "NO_AVAILABILITY"]


def upgrading(small_hotel: SmallHotel, better: Room, **fields: Any) -> Callable[[], Any]:
    return on(assign_room, coming(small_hotel, **fields), small_hotel.agent, room_id=better.pk, upgrade=True)


def test_an_upgrade_and_a_sale_of_the_last_better_room(small_hotel):
    better = NewRoomFactory(hotel=small_hotel.hotel, room_number=201)
    sale = creating(small_hotel, room_type_id=better.room_type_id)
    assert race(upgrading(small_hotel, better), sale) == ["CONFIRMED", "NO_AVAILABILITY"]


def test_another_better_room_while_the_first_becomes_one_of_the_booked_type(small_hotel):
    """The nights then count under the booked type: the better type, with one room less, must have one left."""
    better = RoomTypeFactory(hotel=small_hotel.hotel)
    first, second = (
        NewRoomFactory(hotel=small_hotel.hotel, room_type=better, room_number=number) for number in (201, 202)
    )
    coming(small_hotel, room_type=better)
    change = upgrading(small_hotel, second, assigned_room=first)
    retype = partial(update_room, room=first, staff=small_hotel.manager, room_type_id=small_hotel.room_type.pk)
    assert race(lambda: str(retype().room_type), change) == [repr(str(small_hotel.room_type)), "NO_AVAILABILITY"]


@pytest.mark.parametrize("step", ["grow", "companions", "move", "upgrade", "another type"])
def test_larger_party_against_a_smaller_room_type(step, small_hotel):
    large = NewRoomFactory(hotel=small_hotel.hotel, room_type=RoomTypeFactory(hotel=small_hotel.hotel, max_occupancy=3))
    smaller = RoomTypeFactory(hotel=small_hotel.hotel, max_occupancy=4)
    if step == "move":
        own = NewRoomFactory(hotel=small_hotel.hotel, room_type=smaller)
        stay = booking_in("IN_HOUSE", assigned_room=own, adults=3, check_in=day(0), check_out=day(2))
        change = on(move_room, stay, small_hotel.agent, to_room_id=large.pk, reason="noise")
    elif step in ("upgrade", "another type"):
        NewRoomFactory(hotel=small_hotel.hotel, room_type=smaller)
        stay = coming(small_hotel, room_type=smaller, adults=3)
        change = {
            "upgrade": on(assign_room, stay, small_hotel.agent, room_id=large.pk, upgrade=True),
            "another type": on(edit_booking, stay, small_hotel.agent, room_type_id=large.room_type_id),
        }[step]
    else:
        stay = coming(small_hotel, room_type=large.room_type, adults=2)
        people = [{"first_name": name, "last_name": "Babbage"} for name in ("Charles", "Georgiana")]
        change = {
            "grow": on(edit_booking, stay, small_hotel.agent, adults=3),
            "companions": on(set_companions, stay, small_hotel.agent, companions=people),
        }[step]
    shrink = partial(update_room_type, room_type=large.room_type, max_occupancy=2)
    assert race(change, shrink) == [stay.status, "ROOM_CAPACITY_EXCEEDED"]


def test_twenty_new_bookings_have_twenty_references_without_a_gap(small_hotel):
    small_hotel.hotel.allow_overbooking = True
    small_hotel.hotel.save()
    types = [small_hotel.room_type, *RoomTypeFactory.create_batch(4, hotel=small_hotel.hotel)]
    creates = [creating(small_hotel, room_type_id=types[number % 5].pk) for number in range(20)]
    assert race(*creates) == ["CONFIRMED"] * 20
    references = sorted(RoomBooking.objects.values_list("booking_id", flat=True))
    assert references == [f"BK-2026-{number:04d}" for number in range(1, 21)]


def test_refused_booking_leaves_no_gap_in_references(small_hotel):
    small_hotel.hotel.allow_overbooking = True  # the order of the two waiting calls is not defined
    small_hotel.hotel.save()
    booking_in("PENDING_APPROVAL", card="AUTHORISED", hotel=small_hotel.hotel)
    taken = {"payment_provider": "stripe", "payment_reference": RoomBooking.objects.get().payment_reference}
    assert race(creating(small_hotel), creating(small_hotel, **taken), creating(small_hotel)) == [
        "CONFIRMED",
        "PAYMENT_REFERENCE_TAKEN",
        "CONFIRMED",
    ]
    assert set(RoomBooking.objects.values_list("booking_id", flat=True)) >= {"BK-2026-0001", "BK-2026-0002"}


# --- bulk actions and the periodic work -------------------------------------------------------------------------------


def bulk(step: Callable[..., Any], small_hotel: SmallHotel) -> Callable[[], str]:
    """The outcome of a bulk call: the number of successes, and the error codes."""

    def run() -> str:
        result = step(
            hotel=small_hotel.hotel, room_ids=[room.pk for room in small_hotel.rooms[::-1]], staff=small_hotel.agent
        )
        return " ".join([str(len(result.bookings)), *[refusal.code for _, refusal in result.failed]])

    return run


def test_check_out_against_a_bulk_check_out(small_hotel):
    first, _ = guest(small_hotel, 0), guest(small_hotel, 1)
    assert race(on(check_out, first, small_hotel.agent), bulk(check_out_rooms, small_hotel)) == [
        "COMPLETED",
        "'1 NOBODY_IN_HOUSE'",
    ]
    assert sent("booking_checked_out") == 4


def test_bulk_check_out_against_a_check_out(small_hotel):
    first, _ = guest(small_hotel, 0), guest(small_hotel, 1)
    assert race(bulk(check_out_rooms, small_hotel), on(check_out, first, small_hotel.agent)) == ["'2'", "COMPLETED"]
    assert sent("booking_checked_out") == 4


def test_two_bulk_check_outs(small_hotel):
    for room in (0, 1):
        coming(small_hotel, assigned_room=small_hotel.rooms[room])
    assert race(*[bulk(check_in_rooms, small_hotel)] * 2) == ["'2'", "'0 NO_ARRIVAL_DUE NO_ARRIVAL_DUE'"]
    assert race(*[bulk(check_out_rooms, small_hotel)] * 2) == ["'2'", "'0 NOBODY_IN_HOUSE NOBODY_IN_HOUSE'"]
    assert HousekeepingTask.objects.count() == 2


def test_room_move_during_a_bulk_check_out(small_hotel):
    booking = guest(small_hotel, 0)
    third_room(small_hotel)
    away = on(move_room, booking, small_hotel.agent, to_room_id=small_hotel.rooms[2].pk, reason="x")
    small_hotel.rooms.pop()
    assert race(away, bulk(check_out_rooms, small_hotel)) == ["IN_HOUSE", "'0 NOBODY_IN_HOUSE NOBODY_IN_HOUSE'"]
    booking.refresh_from_db()
    assert booking.status == "IN_HOUSE"


def test_two_ticks(small_hotel):
    hotel_fields = {"hotel": small_hotel.hotel, "room_type": small_hotel.room_type}
    booking_in("PENDING_APPROVAL", **hotel_fields, approval_deadline_at=NOW - timedelta(seconds=1))
    booking_in("PENDING_PAYMENT", **hotel_fields, created_at=NOW - timedelta(hours=25))
    guest(small_hotel, 0, -2, 0)
    guest(small_hotel, 1, -1, 1)

    def run() -> list[int]:
        done = tick()
        return [done[name] for name in ("expired", "drafts_dropped", "overstays_flagged", "stayovers_opened")]

    assert race(run, run) == ["[1, 1, 1, 1]", "[0, 0, 0, 0]"]
    assert (sent("booking_expired"), sent("booking_overstay_flagged")) == (1, 1)
    assert HousekeepingTask.objects.count() == 1


def test_two_ticks_open_one_stayover_task(small_hotel):
    guest(small_hotel, 0, -1, 2)
    overlap(*[in_own_process(partial(open_stayover_tasks, small_hotel.hotel, day(0)))] * 2)
    assert HousekeepingTask.objects.count() == 1
    assert_invariants_hold()


def test_flagging_an_overstay_against_its_acknowledgement(small_hotel):
    booking = guest(small_hotel, 0, -2, 0)
    acknowledge = on(acknowledge_overstay, booking, small_hotel.agent)
    assert race(acknowledge, lambda: tick()["overstays_flagged"]) == ["IN_HOUSE", "0"]
    assert OverstayIncident.objects.get().status == "ACKED"


# --- tasks ------------------------------------------------------------------------------------------------------------


def new_task(small_hotel: SmallHotel, booking: RoomBooking) -> Callable[[], Any]:
    asked = {"room": small_hotel.rooms[0].pk, "booking": booking.booking_id, "task_type": "AMENITY"}
    return partial(create_task, hotel=small_hotel.hotel, staff=small_hotel.agent, **asked)


def task_statuses() -> list[tuple[str, str]]:
    return list(HousekeepingTask.objects.order_by("task_type").values_list("task_type", "status"))


def test_new_task_against_a_cancellation(small_hotel):
    booking = coming(small_hotel)
    assert race(on(cancel_booking, booking, small_hotel.agent), new_task(small_hotel, booking)) == [
        "CANCELLED",
        "BOOKING_IS_OVER",
    ]
    assert not HousekeepingTask.objects.exists()


def test_cancelling_ends_a_task_created_concurrently(small_hotel):
    booking = coming(small_hotel)
    overlap(new_task(small_hotel, booking), in_own_process(on(cancel_booking, booking, small_hotel.agent)))
    assert task_statuses() == [("AMENITY", "CANCELLED")]
    assert_invariants_hold()


def test_new_task_survives_a_cancellation_without_the_lock(small_hotel):
    booking = coming(small_hotel)
    with locks_removed():
        overlap(
            on(cancel_booking, booking, small_hotel.agent), in_own_process(new_task(small_hotel, booking)), waits=False
        )
    assert task_statuses() == [("AMENITY", "OPEN")]
    assert [violation.rule for violation in violations()] == ["tasks_of_guests"]


def morning(small_hotel: SmallHotel) -> Callable[[], Any]:
    return partial(open_stayover_tasks, small_hotel.hotel, day(0))


def test_check_out_while_stayover_tasks_are_opened(small_hotel):
    booking = guest(small_hotel, 0, -1, 2)
    assert race(on(check_out, booking, small_hotel.agent), morning(small_hotel)) == ["COMPLETED", "0"]
    assert task_statuses() == [("TURNOVER", "OPEN")]


def test_check_out_ends_a_stayover_task_opened_concurrently(small_hotel):
    booking = guest(small_hotel, 0, -1, 2)
    assert race(morning(small_hotel), on(check_out, booking, small_hotel.agent)) == ["1", "COMPLETED"]
    assert task_statuses() == [("STAYOVER", "CANCELLED"), ("TURNOVER", "OPEN")]


def test_departed_guest_gets_a_stayover_task_without_the_lock(small_hotel):
    booking = guest(small_hotel, 0, -1, 2)
    with locks_removed():
        overlap(on(check_out, booking, small_hotel.agent), in_own_process(morning(small_hotel)), waits=False)
    assert task_statuses() == [("STAYOVER", "OPEN"), ("TURNOVER", "OPEN")]
    assert {violation.rule for violation in violations()} == {"stayovers", "tasks_of_guests"}


def test_completing_a_turnover_while_the_room_is_reported_clean(small_hotel):
    """It is completed once, by the first caller."""
    booking = guest(small_hotel, 0)
    check_out(booking=booking, staff=small_hotel.agent)
    task = HousekeepingTask.objects.get()
    housekeeper = StaffFactory(hotel=small_hotel.hotel)
    start_task(task=task, staff=housekeeper)
    cleaned = partial(set_room_status, room=small_hotel.rooms[0], to_status="CLEANED_UNINSPECTED", source="SYSTEM")
    overlap(partial(complete_task, task=task, staff=housekeeper), in_own_process(cleaned))
    task.refresh_from_db()
    assert (task.status, task.assigned_to, task.completed_at) == ("DONE", housekeeper, NOW)
    assert statuses(small_hotel)[0] == "CLEANED_UNINSPECTED"
    assert_invariants_hold()
