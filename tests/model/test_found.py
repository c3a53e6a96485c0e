"""Runs that are kept, step by step: what the machine found, and readings of the contract that it leaves open.

A run that fails prints its steps as they stand here. Each ends with what the last step must come to; on the way the
rules in plain Python check every step.
"""

from collections.abc import Iterator
from datetime import date, time

import pytest

from tests.model.world import RealHouse, World

pytestmark = pytest.mark.django_db

TODAY, TOMORROW = date(2026, 3, 28), date(2026, 3, 29)


@pytest.fixture
def world(db: None) -> Iterator[World]:
    """Two in the afternoon of 28 March 2026 in Dublin, whose clocks go forward in the night."""
    world = World(RealHouse("dublin"))
    yield world
    world.close()


def book(world: World, check_in: date, check_out: date, kind: str = "A") -> None:
    world.do("create", "agent", kind=kind, check_in=check_in, check_out=check_out, adults=1)


def test_the_last_night_ends_by_the_new_clock(world):
    """Open in the contract: how long a guest may come. Until the business day of the last night ends; in this night
    its two o'clock comes an hour sooner, as the wall clock skips one of its hours."""
    book(world, TODAY, TOMORROW)
    world.do("assign", "agent", booking=0, room=101)
    world.wait(11)  # 01:00 UTC, when the wall clock jumps from one to two
    assert world.do("check_in", "agent", booking=0) == "CHECKIN_TOO_LATE"
    assert world.do("check_in", "office", booking=0, reason="the ferry was late") == ""


def test_a_stay_reinstated_after_its_room_was_let_has_none(world):
    """Open in the contract: what a reinstated booking, cancelled in house, keeps. Nothing of the stay that was."""
    book(world, TODAY, TOMORROW)
    world.do("check_in", "agent", booking=0, room=101)
    world.do("cancel", "office", booking=0, reason="the wrong hotel")
    assert world.do("check_out", "agent", booking=0) == "BOOKING_ALREADY_CHECKED_OUT"
    world.do("reinstate", "office", booking=0)
    assert world.do("check_out", "agent", booking=0) == "BOOKING_NOT_CHECKED_IN"
    assert world.do("check_in", "agent", booking=0) == "BOOKING_NOT_ELIGIBLE"


def test_somebody_else_cleaning_is_told_before_anything(world):
    """Open in the contract: which comes first, ALREADY_IN_PROGRESS or the same status again. The person decides."""
    world.do("set_status", "manager", room=101, to="CHECKOUT_DIRTY")
    world.do("start_cleaning", "housekeeper", room=101)
    assert world.do("start_cleaning", "supervisor", room=101) == "ALREADY_IN_PROGRESS"
    assert world.do("start_cleaning", "housekeeper", room=101) == ""


def test_who_may_bring_a_room_to_a_status_may_find_it_there(world):
    """Open in the contract: the right to the same status again, which is asked before it. Whoever may bring a room
    there from anywhere has it."""
    assert world.do("set_status", "agent", room=101, to="READY_FOR_GUEST") == "PERMISSION_DENIED"
    assert world.do("set_status", "supervisor", room=101, to="READY_FOR_GUEST") == ""


def test_an_overdue_guest_keeps_the_room_from_todays_arrival(world):
    """Open in the contract: whether nights that were never booked hold a room. Not in the calendar, but at the desk."""
    book(world, TODAY, TOMORROW)
    world.do("check_in", "agent", booking=0, room=101)
    world.wait(24)
    world.tick()
    book(world, TOMORROW, date(2026, 3, 30))
    assert world.do("assign", "agent", booking=1, room=101) == "ROOM_OVERLAP_CONFLICT"
    assert world.do("extend", "agent", booking=0, nights=1) == ""


def test_a_fault_reported_in_a_guests_room_outlives_the_stay(world):
    """The contract: a fault is never forgotten. Check-out and cleaning leave it flagged."""
    book(world, TODAY, TOMORROW)
    world.do("check_in", "agent", booking=0, room=101)
    world.do("flag_fault", "housekeeper", room=101, priority="HIGH", note="it drips")
    world.do("check_out", "agent", booking=0)
    world.do("mark_cleaned", "housekeeper", room=101)
    assert world.do("set_status", "supervisor", room=101, to="READY_FOR_GUEST") == "MAINTENANCE_OPEN"
    world.do("inspect", "supervisor", room=101, passed=True)
    assert world.house.rooms[101].status == "MAINTENANCE_REQUIRED"
    world.do("complete_fault", "supervisor", room=101)
    assert world.house.rooms[101].status == "READY_FOR_GUEST"


def test_a_forced_change_that_takes_no_room_away_leaves_its_arrivals(world):
    """Found: a room that is put into service, with ``force``, lost its arrivals."""
    book(world, TODAY, TOMORROW)
    world.do("assign", "agent", booking=0, room=101)
    world.do("set_active", "office", room=101, is_active=True, force=True)
    world.do("set_type", "office", room=101, kind="A", force=True)
    assert world.house.bookings[0].room is world.house.rooms[101]


def upgrade(world: World) -> None:
    """Booked is a room for two; a room for three is what booking 0 has, whose guest is not in house."""
    book(world, TODAY, TOMORROW)
    world.do("check_in", "agent", booking=0, room=101)
    world.do("move", "office", booking=0, room=201)
    world.do("undo_check_in", "office", booking=0)


def test_a_party_that_fits_only_into_its_upgrade_keeps_it(world):
    """Open in the contract: an upgraded party that has grown, and is to go back to the booked type. It would have got
    its extra beds there unasked."""
    upgrade(world)
    world.do("companions", "agent", booking=0, count=2)
    assert world.do("unassign", "agent", booking=0) == "ROOM_CAPACITY_EXCEEDED"
    assert world.do("unassign", "office", booking=0, reason="a cot") == ""
    assert world.house.bookings[0].extra == 1


def test_a_room_does_not_shrink_under_its_guests(world):
    """Open in the contract: a room of another type from now on, with a party in it, or about to be, that does not fit
    in. No force changes that."""
    upgrade(world)
    world.do("companions", "agent", booking=0, count=2)
    for force in (False, True):
        assert world.do("set_type", "office", room=201, kind="A", force=force) == "ROOM_CAPACITY_EXCEEDED"
    world.do("check_in", "agent", booking=0)
    assert world.do("set_type", "office", room=201, kind="A", force=True) == "ROOM_CAPACITY_EXCEEDED"


def test_a_type_may_shrink_while_a_booking_is_cancelled(world):
    """Found: it came back too large for the type, with no extra bed noted."""
    world.do("create", "agent", kind="A", check_in=TODAY, check_out=TOMORROW, adults=2)
    world.do("cancel", "office", booking=0, reason="fog")
    world.do("set_beds", "manager", kind="A", beds=1)
    world.do("reinstate", "office", booking=0)
    assert world.house.bookings[0].extra == 1


def test_a_room_leaves_an_oversold_type_with_its_guest(world):
    """Found: what was oversold with leave, for a guest whose room then went to another type, was nobody's any more."""
    world.do("create", "agent", kind="A", check_in=TOMORROW, check_out=date(2026, 3, 30), adults=1)
    book(world, TODAY, TOMORROW)
    book(world, TODAY, TOMORROW)
    world.do("check_in", "agent", booking=1, room=101)
    world.do("check_in", "office", booking=0, room=102, reason="came a day early")
    assert world.house.oversold
    world.do("set_type", "office", room=102, kind="B")


def test_the_business_day_may_become_the_one_before(world):
    """Found: a guest who came early held, by a later cutoff, a night before they came."""
    book(world, TODAY, TOMORROW)
    book(world, TODAY, TOMORROW)
    book(world, date(2026, 3, 30), date(2026, 3, 31))
    world.wait(13)  # three o'clock by the new clock
    world.do("check_in", "office", booking=2, room=101, reason="came a day early")
    world.do("set_rules", "office", cutoff=time(4))


def test_a_late_guest_whose_nights_are_over_is_no_arrival_in_a_room_that_was_taken_then(world):
    """Found: the service saw the room as free for them, and the database did not."""
    book(world, date(2026, 3, 30), date(2026, 3, 31))
    world.do("create", "agent", kind="A", check_in=TODAY, check_out=TOMORROW, adults=1)
    world.do("check_in", "office", booking=0, room=101, reason="came two days early")
    world.wait(20)
    assert world.do("assign", "agent", booking=1, room=101) == "ROOM_OVERLAP_CONFLICT"
