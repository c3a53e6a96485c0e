"""Tasks follow their booking: moved with its room, cancelled when the stay ends or the guest does not arrive."""

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from django.db import IntegrityError, transaction

from common import clock
from housekeeping.models import HousekeepingTask, TaskStatus, TaskType
from housekeeping.task_services import (
    BookingIsOver,
    TaskStepNotAllowed,
    create_task,
    open_stayover_tasks,
    start_task,
    update_task,
)
from operations.periodic import tick
from room_bookings.models import BookingStatus, RoomBooking
from room_bookings.payments import Standing
from room_bookings.services.approval import decline_booking
from room_bookings.services.cancel import cancel_booking
from room_bookings.services.check_in import check_in
from room_bookings.services.checkout import check_out, check_out_rooms
from room_bookings.services.expire import drop_drafts, expire_approvals
from room_bookings.services.no_show import mark_no_show
from room_bookings.services.overstay import extend_stay
from room_bookings.services.room_assignment import assign_room, unassign_room
from room_bookings.services.room_move import move_room
from room_bookings.services.settlement import settle
from room_bookings.services.undo_check_in import undo_check_in
from tests.factories import NewRoomFactory, TaskFactory, booking_in
from tests.refusals import check_deferred_constraints as at_commit
from tests.room_bookings.small_hotel import NOW, SmallHotel, assert_invariants_hold, day, locks_and_writes, refusal_of

pytestmark = pytest.mark.django_db

STAYOVER, AMENITY, INSPECTION = TaskType.STAYOVER, TaskType.AMENITY, TaskType.INSPECTION
DEEP_CLEAN, TURNOVER = TaskType.DEEP_CLEAN, TaskType.TURNOVER
BY_HAND = (AMENITY, INSPECTION, DEEP_CLEAN, TURNOVER)
MORNING = datetime(2026, 7, 1, 5, 0, tzinfo=UTC)  # 6 a.m. in Dublin


def guest(small_hotel: SmallHotel, room: int = 0, first: int = -2, last: int = 2, **fields) -> RoomBooking:
    """A guest in house since the evening of the first day."""
    came = {"checked_in_at": NOW + timedelta(days=first)} | fields
    return booking_in(
        "IN_HOUSE", assigned_room=small_hotel.rooms[room], check_in=day(first), check_out=day(last), **came
    )


def coming(small_hotel: SmallHotel, status: str = "CONFIRMED", first: int = 0, **fields) -> RoomBooking:
    fields = {"hotel": small_hotel.hotel, "room_type": small_hotel.room_type} | fields
    return booking_in(status, check_in=day(first), check_out=day(first + 2), **fields)


def tasks_of(
    booking: RoomBooking, small_hotel: SmallHotel, *kinds: TaskType, room: int = 0
) -> dict[TaskType, HousekeepingTask]:
    """One task of each kind, created by hand for the booking in the room at this index."""
    fields = {"room": small_hotel.rooms[room], "booking": booking, "created_by": small_hotel.agent}
    return {kind: TaskFactory(task_type=kind, **fields) for kind in kinds}


def now(tasks: dict[TaskType, HousekeepingTask]) -> dict[TaskType, str]:
    """The statuses of the tasks that are no longer open."""
    found = {kind: HousekeepingTask.objects.get(pk=task.pk) for kind, task in tasks.items()}
    assert all((task.cancelled_at == NOW) is (task.status == "CANCELLED") for task in found.values())
    return {kind: task.status for kind, task in found.items() if task.status != tasks[kind].status}


def rooms_of(tasks: dict[TaskType, HousekeepingTask]) -> dict[TaskType, int]:
    return {kind: HousekeepingTask.objects.get(pk=task.pk).room.room_number for kind, task in tasks.items()}


def morning(small_hotel: SmallHotel) -> HousekeepingTask:
    """This morning's stayover task of the first room."""
    tick()
    return HousekeepingTask.objects.get(room=small_hotel.rooms[0], task_type=STAYOVER, for_date=day(0))


# --- departures -------------------------------------------------------------------------------------------------------

DEPARTURES = {
    "check-out": lambda small_hotel, booking: check_out(booking=booking, staff=small_hotel.agent),
    "check-out of several": lambda small_hotel, booking: check_out_rooms(
        hotel=small_hotel.hotel, room_ids=[booking.assigned_room_id], staff=small_hotel.agent
    ),
    "cancelled in house": lambda small_hotel, booking: cancel_booking(
        booking=booking, staff=small_hotel.manager, reason="a quarrel"
    ),
}


@pytest.mark.parametrize("departure", DEPARTURES)
@pytest.mark.parametrize("status", ["OPEN", "IN_PROGRESS"])
def test_check_out_cancels_the_stayover(small_hotel, departure, status):
    booking = guest(small_hotel)
    task = morning(small_hotel)
    if status == "IN_PROGRESS":
        start_task(task=task, staff=small_hotel.agent)
    DEPARTURES[departure](small_hotel, booking)
    task.refresh_from_db()
    assert (task.status, task.cancelled_at) == ("CANCELLED", NOW)
    assert (task.started_at, task.assigned_to) == (
        (NOW, small_hotel.agent) if status == "IN_PROGRESS" else (None, None)
    )
    assert HousekeepingTask.objects.get(status="OPEN").task_type == TURNOVER
    assert_invariants_hold()


@pytest.mark.parametrize("departure", DEPARTURES)
def test_check_out_cancels_the_guests_tasks_but_not_the_rooms(small_hotel, departure):
    booking, neighbour = guest(small_hotel), guest(small_hotel, 1)
    own = tasks_of(booking, small_hotel, *BY_HAND)
    without_booking = {STAYOVER: TaskFactory(room=small_hotel.rooms[0], task_type=STAYOVER)}
    theirs = tasks_of(neighbour, small_hotel, STAYOVER, *BY_HAND, room=1)
    of_the_room = {AMENITY: TaskFactory(room=small_hotel.rooms[0], task_type=AMENITY)}
    DEPARTURES[departure](small_hotel, booking)
    assert now(own) == {AMENITY: "CANCELLED"}
    assert now(without_booking) == {STAYOVER: "CANCELLED"}
    assert now(theirs) == now(of_the_room) == {}
    assert_invariants_hold()


def test_undoing_a_check_in_cancels_only_the_stayover(small_hotel):
    booking = guest(small_hotel, first=0, checked_in_at=NOW)
    tasks = tasks_of(booking, small_hotel, STAYOVER, *BY_HAND)
    undo_check_in(booking=booking, staff=small_hotel.manager, reason="the wrong guest")
    assert now(tasks) == {STAYOVER: "CANCELLED"}
    assert_invariants_hold()


# --- moves ------------------------------------------------------------------------------------------------------------


def test_room_move_cancels_the_stayover_and_moves_the_guests_tasks(small_hotel):
    """The new room was already made up; inspections and cleaning stay with the old room."""
    booking = guest(small_hotel)
    task = morning(small_hotel)
    own = tasks_of(booking, small_hotel, *BY_HAND)
    move_room(booking=booking, to_room_id=small_hotel.rooms[1].pk, staff=small_hotel.agent, reason="noise")
    task.refresh_from_db()
    assert (task.status, task.room) == ("CANCELLED", small_hotel.rooms[0])
    assert now(own) == {}
    assert rooms_of(own) == {AMENITY: 102, INSPECTION: 101, DEEP_CLEAN: 101, TURNOVER: 101}
    with clock.set_to(NOW + timedelta(hours=1)):
        assert tick()["stayovers_opened"] == 0
    with clock.set_to(NOW + timedelta(days=1)):
        assert tick()["stayovers_opened"] == 1
    assert HousekeepingTask.objects.get(task_type=STAYOVER, status="OPEN").room == small_hotel.rooms[1]
    assert_invariants_hold()


def test_finished_tasks_keep_their_room(small_hotel):
    booking = guest(small_hotel)
    done = TaskFactory(
        room=small_hotel.rooms[0], booking=booking, task_type=AMENITY, status="DONE", started_at=NOW, completed_at=NOW
    )
    move_room(booking=booking, to_room_id=small_hotel.rooms[1].pk, staff=small_hotel.agent, reason="noise")
    done.refresh_from_db()
    assert (done.status, done.room) == ("DONE", small_hotel.rooms[0])


@pytest.mark.parametrize(
    "step",
    [
        lambda small_hotel, booking: assign_room(
            booking=booking, room_id=small_hotel.rooms[1].pk, staff=small_hotel.agent
        ),
        lambda small_hotel, booking: check_in(
            booking=booking, room_id=small_hotel.rooms[1].pk, staff=small_hotel.agent
        ),
    ],
    ids=["assign", "check-in"],
)
@pytest.mark.parametrize("had", [True, False])
def test_tasks_for_an_arrival_move_to_the_assigned_room(small_hotel, step, had):
    booking = coming(small_hotel)
    own, other = tasks_of(booking, small_hotel, *BY_HAND), tasks_of(coming(small_hotel, first=3), small_hotel, *BY_HAND)
    if had:
        assign_room(booking=booking, room_id=small_hotel.rooms[0].pk, staff=small_hotel.agent)
        assert set(rooms_of(own).values()) == {101}
    step(small_hotel, booking)
    assert rooms_of(own) == {AMENITY: 102, INSPECTION: 102, DEEP_CLEAN: 102, TURNOVER: 101}
    assert set(rooms_of(other).values()) == {101}
    assert now(own) == now(other) == {}
    assert_invariants_hold()


def test_tasks_are_kept_while_a_booking_has_no_room(small_hotel):
    """They move to the next assigned room."""
    booking = coming(small_hotel, assigned_room=small_hotel.rooms[0])
    own = tasks_of(booking, small_hotel, AMENITY)
    unassign_room(booking=booking, staff=small_hotel.agent)
    assert now(own) == {}
    assign_room(booking=booking, room_id=small_hotel.rooms[1].pk, staff=small_hotel.agent)
    assert rooms_of(own) == {AMENITY: 102}


# --- cancelled arrivals -----------------------------------------------------------------------------------------------


def _provider_says_voided(small_hotel: SmallHotel, booking: RoomBooking) -> None:
    with transaction.atomic():
        settle.__wrapped__(booking, Standing.VOIDED)


NO_ARRIVALS = {
    "cancelled": (
        {},
        lambda small_hotel, booking: cancel_booking(booking=booking, staff=small_hotel.agent, reason="ill"),
    ),
    "no-show": ({"first": -1}, lambda small_hotel, booking: mark_no_show(booking=booking, staff=small_hotel.agent)),
    "declined": (
        {"status": "PENDING_APPROVAL"},
        lambda small_hotel, booking: decline_booking(booking=booking, staff=small_hotel.agent),
    ),
    "declined, by card": (
        {"status": "PENDING_APPROVAL", "card": "VOIDING", "payment_requested_at": NOW},
        _provider_says_voided,
    ),
    "expired": (
        {"status": "PENDING_APPROVAL", "approval_deadline_at": NOW - timedelta(minutes=1)},
        lambda small_hotel, _: expire_approvals(small_hotel.hotel),
    ),
    "dropped": (
        {"status": "PENDING_PAYMENT", "created_at": NOW - timedelta(days=2)},
        lambda small_hotel, _: drop_drafts(small_hotel.hotel),
    ),
}
ENDED = {"CANCELLED", "NO_SHOW", "DECLINED", "EXPIRED", "CANCELLED_DRAFT"}


@pytest.mark.parametrize("way", NO_ARRIVALS)
def test_cancelled_arrival_keeps_only_the_rooms_turnover(small_hotel, way):
    fields, step = NO_ARRIVALS[way]
    booking, other = coming(small_hotel, **fields), coming(small_hotel, first=3)
    own, theirs = tasks_of(booking, small_hotel, STAYOVER, *BY_HAND), tasks_of(other, small_hotel, *BY_HAND)
    step(small_hotel, booking)
    booking.refresh_from_db()
    assert booking.status in ENDED
    assert now(own) == dict.fromkeys((STAYOVER, AMENITY, INSPECTION, DEEP_CLEAN), "CANCELLED")
    assert now(theirs) == {}
    at_commit()
    assert_invariants_hold()


def test_every_ending_status_is_covered():
    """Each status that ends a booking is reached by a test above, so that its tasks are checked."""
    ends = {status.value for status in BookingStatus} - {
        "PENDING_PAYMENT",
        "PENDING_APPROVAL",
        "CONFIRMED",
        "IN_HOUSE",
        "COMPLETED",
    }
    assert ends == ENDED


# --- new tasks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["COMPLETED", "CANCELLED", "DECLINED", "EXPIRED", "NO_SHOW"])
@pytest.mark.parametrize("kind", [STAYOVER, *BY_HAND])
def test_no_task_for_a_booking_that_is_over(small_hotel, status, kind):
    booking = coming(small_hotel, status)
    ask = partial(
        create_task, hotel=small_hotel.hotel, staff=small_hotel.agent, room=small_hotel.rooms[0].pk, task_type=kind
    )
    task = TaskFactory(room=small_hotel.rooms[0], task_type=kind, created_by=small_hotel.agent)
    give = partial(update_task, task=task, booking=booking.booking_id)
    goes_on = kind == TURNOVER or (status == "COMPLETED" and kind in (INSPECTION, DEEP_CLEAN))
    if goes_on:
        assert ask(booking=booking.booking_id).booking == give().booking == booking
        assert_invariants_hold()
        return
    for work in (partial(ask, booking=booking.booking_id), give):
        refusal = refusal_of(work)
        assert (refusal.code, refusal.status) == (BookingIsOver.code, 409)
        assert refusal.details == {"booking_id": booking.booking_id, "status": status}


def test_turnover_cannot_be_linked_to_a_departed_guest(small_hotel):
    booking = guest(small_hotel)
    check_out(booking=booking, staff=small_hotel.agent)
    turnover = HousekeepingTask.objects.get(task_type=TURNOVER)
    assert refusal_of(partial(update_task, task=turnover, task_type=AMENITY)).code == BookingIsOver.code
    assert update_task(task=turnover, task_type=DEEP_CLEAN, priority="HIGH").task_type == DEEP_CLEAN
    assert_invariants_hold()


def test_task_whose_booking_changed_concurrently_is_checked_again(small_hotel):
    booking = coming(small_hotel, "CANCELLED")
    task = TaskFactory(room=small_hotel.rooms[0], task_type=TURNOVER, created_by=small_hotel.agent)
    stale = HousekeepingTask.objects.get(pk=task.pk)
    update_task(task=task, booking=booking.booking_id)
    assert refusal_of(partial(update_task, task=stale, task_type=AMENITY)).code == TaskStepNotAllowed.code


def test_stayover_task_keeps_its_room_and_booking(small_hotel):
    leaving, staying = guest(small_hotel), guest(small_hotel, 1)
    stayover = morning(small_hotel)
    check_out(booking=leaving, staff=small_hotel.agent)
    turnover = HousekeepingTask.objects.get(task_type=TURNOVER)
    theirs = HousekeepingTask.objects.get(task_type=STAYOVER, booking=staying)
    assert stayover.pk != theirs.pk
    for task in (turnover, theirs):
        other = NewRoomFactory(hotel=small_hotel.hotel)
        for change in ({"room": other.pk}, {"booking": None}, {"booking": coming(small_hotel, first=5).booking_id}):
            assert refusal_of(partial(update_task, task=task, **change)).code == TaskStepNotAllowed.code
        same = {"room": task.room_id, "booking": task.booking.booking_id, "task_type": task.task_type}
        assert update_task(task=task, **same, note="two beds").note == "two beds"
    assert_invariants_hold()


def test_database_allows_one_open_stayover_per_stay_and_day(small_hotel):
    booking = guest(small_hotel)
    task = morning(small_hotel)
    again = {"room": small_hotel.rooms[1], "booking": booking, "task_type": STAYOVER, "for_date": day(0)}
    with pytest.raises(IntegrityError, match="task_once_a_stay_and_day"), transaction.atomic():
        TaskFactory(**again)
    TaskFactory(**again | {"for_date": day(1)})
    TaskFactory(**again | {"for_date": None})
    task.status, task.cancelled_at = TaskStatus.CANCELLED, NOW
    task.save()
    TaskFactory(**again)


# --- stayovers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("came", "moved", "opened"),
    [
        (MORNING - timedelta(days=1), None, 1),
        (MORNING - timedelta(seconds=1), None, 1),
        (MORNING, None, 0),  # late arrivals of today: their room was made up
        (NOW, None, 0),
        (MORNING - timedelta(days=1), MORNING - timedelta(seconds=1), 1),
        (MORNING - timedelta(days=1), MORNING, 0),
    ],
)
def test_stayover_is_for_the_guest_who_woke_up_in_the_room(small_hotel, came, moved, opened):
    guest(small_hotel, first=-1, checked_in_at=came, room_moved_at=moved)
    with clock.set_to(NOW + timedelta(hours=1)):
        assert open_stayover_tasks(small_hotel.hotel, day(0)) == opened


def test_early_guest_has_stayovers_too(small_hotel):
    guest(small_hotel, first=1, last=3, checked_in_at=NOW - timedelta(days=1))
    assert open_stayover_tasks(small_hotel.hotel, day(0)) == 1


def test_opening_stayovers_locks_the_stays_and_writes_the_tasks_last(small_hotel, statements):
    for place in (0, 1):
        guest(small_hotel, place)
    TaskFactory(room=small_hotel.rooms[0], task_type=STAYOVER, for_date=day(-1))
    with statements() as made:
        assert tick()["stayovers_opened"] == 2
    steps = [step for step in locks_and_writes(made.sql()) if "Task" in step or "RoomBooking" in step]
    assert steps == ["lock RoomBooking", "UPDATE HousekeepingTask", "INSERT HousekeepingTask"]


@pytest.mark.parametrize(
    ("hour", "fields", "opened"),
    [
        (15, {}, 1),
        (5, {}, 0),  # the morning will open it
        (15, {"room_moved_at": NOW - timedelta(hours=1)}, 0),  # the new room is made up
    ],
)
def test_guest_who_was_to_leave_and_stays_has_a_stayover(small_hotel, hour, fields, opened):
    """Although the day's tasks have been opened: nobody looks for more until the next morning."""
    booking = booking_in(
        "IN_HOUSE",
        assigned_room=small_hotel.rooms[0],
        check_in=day(-2),
        checked_in_at=NOW - timedelta(days=2),
        check_out=day(0),
        **fields,
    )
    tick()
    with clock.set_to(NOW.replace(hour=hour - 1)):
        extend_stay(booking=booking, staff=small_hotel.agent, add_nights=1)
        assert tick()["stayovers_opened"] == 0
        tasks = HousekeepingTask.objects.filter(task_type=STAYOVER, for_date=day(0), booking=booking)
        assert tasks.count() == opened
        extend_stay(booking=booking, staff=small_hotel.agent, add_nights=1)
        assert tasks.count() == opened
