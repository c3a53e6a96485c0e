"""Runs that are kept, step by step: what the machine found, and readings of the contract that it leaves open.

A run that fails prints its steps as they stand here. Each ends with what the last step must come to; on the way the
rules in plain Python check every step.
"""

from collections.abc import Iterator
from datetime import date

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
