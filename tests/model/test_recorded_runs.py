"""Recorded runs: failures that the random runs found, and how an ambiguity of the documentation is read.

A failing run prints its steps in this form. Each test asserts the outcome of the last steps; ``Lockstep`` also compares
the hotels after every step.
"""

from collections.abc import Iterator
from datetime import date, time

import pytest

from tests.model.lockstep import Lockstep, RealHotel

pytestmark = pytest.mark.django_db

TODAY, TOMORROW = date(2026, 3, 28), date(2026, 3, 29)


@pytest.fixture
def lockstep(db: None) -> Iterator[Lockstep]:
    """2 p.m. on 28 March 2026 in Dublin, where the clocks go forward that night."""
    lockstep = Lockstep(RealHotel("dublin"))
    yield lockstep
    lockstep.close()


def book(lockstep: Lockstep, check_in: date, check_out: date, kind: str = "A") -> None:
    lockstep.do("create", "agent", kind=kind, check_in=check_in, check_out=check_out, adults=1)


def test_the_last_night_ends_by_the_new_clock(lockstep):
    """Ambiguous: how late a guest may arrive. Until the business day of the last night ends: at 2 a.m., which on this
    night comes an hour sooner because the clocks skip an hour."""
    book(lockstep, TODAY, TOMORROW)
    lockstep.do("assign", "agent", booking=0, room=101)
    lockstep.wait(11)  # 01:00 UTC, when local time jumps from one to two
    assert lockstep.do("check_in", "agent", booking=0) == "CHECKIN_TOO_LATE"
    assert lockstep.do("check_in", "office", booking=0, reason="the ferry was late") == ""


def test_reinstated_stay_is_no_longer_in_house(lockstep):
    """Ambiguous: what a booking that was cancelled in house keeps when reinstated. Nothing of the earlier stay."""
    book(lockstep, TODAY, TOMORROW)
    lockstep.do("check_in", "agent", booking=0, room=101)
    lockstep.do("cancel", "office", booking=0, reason="the wrong hotel")
    assert lockstep.do("check_out", "agent", booking=0) == "BOOKING_ALREADY_CHECKED_OUT"
    lockstep.do("reinstate", "office", booking=0)
    assert lockstep.do("check_out", "agent", booking=0) == "BOOKING_NOT_CHECKED_IN"
    assert lockstep.do("check_in", "agent", booking=0) == "BOOKING_NOT_ELIGIBLE"


def test_already_in_progress_depends_on_the_cleaner(lockstep):
    """Ambiguous: ALREADY_IN_PROGRESS or a no-op when the room is already being cleaned. It depends on the caller."""
    lockstep.do("set_status", "manager", room=101, to="CHECKOUT_DIRTY")
    lockstep.do("start_cleaning", "housekeeper", room=101)
    assert lockstep.do("start_cleaning", "supervisor", room=101) == "ALREADY_IN_PROGRESS"
    assert lockstep.do("start_cleaning", "housekeeper", room=101) == ""


def test_setting_the_current_status_takes_the_right_to_set_it(lockstep):
    """Ambiguous: which right it takes to set the status that the room already has, as rights are checked first. The
    right to set it from some other status."""
    assert lockstep.do("set_status", "agent", room=101, to="READY_FOR_GUEST") == "PERMISSION_DENIED"
    assert lockstep.do("set_status", "supervisor", room=101, to="READY_FOR_GUEST") == ""


def test_overdue_guest_keeps_the_room_from_todays_arrival(lockstep):
    """Ambiguous: whether nights that were never booked hold a room. Not when the arrival is booked, but when it is
    assigned."""
    book(lockstep, TODAY, TOMORROW)
    lockstep.do("check_in", "agent", booking=0, room=101)
    lockstep.wait(24)
    lockstep.tick()
    book(lockstep, TOMORROW, date(2026, 3, 30))
    assert lockstep.do("assign", "agent", booking=1, room=101) == "ROOM_OVERLAP_CONFLICT"
    assert lockstep.do("extend", "agent", booking=0, nights=1) == ""


def test_fault_outlives_the_stay(lockstep):
    """Check-out and cleaning leave a fault flagged."""
    book(lockstep, TODAY, TOMORROW)
    lockstep.do("check_in", "agent", booking=0, room=101)
    lockstep.do("flag_fault", "housekeeper", room=101, priority="HIGH", note="it drips")
    lockstep.do("check_out", "agent", booking=0)
    lockstep.do("mark_cleaned", "housekeeper", room=101)
    assert lockstep.do("set_status", "supervisor", room=101, to="READY_FOR_GUEST") == "MAINTENANCE_OPEN"
    lockstep.do("inspect", "supervisor", room=101, passed=True)
    assert lockstep.reference.rooms[101].status == "MAINTENANCE_REQUIRED"
    lockstep.do("complete_fault", "supervisor", room=101)
    assert lockstep.reference.rooms[101].status == "READY_FOR_GUEST"


def test_forced_change_keeps_arrivals_if_the_room_stays(lockstep):
    """Found: putting a room into service with ``force`` unassigned its arrivals."""
    book(lockstep, TODAY, TOMORROW)
    lockstep.do("assign", "agent", booking=0, room=101)
    lockstep.do("set_active", "office", room=101, is_active=True, force=True)
    lockstep.do("set_type", "office", room=101, kind="A", force=True)
    assert lockstep.reference.bookings[0].room is lockstep.reference.rooms[101]


def upgrade(lockstep: Lockstep) -> None:
    """Booking 0, not in house, booked a room for two and is assigned a room for three."""
    book(lockstep, TODAY, TOMORROW)
    lockstep.do("check_in", "agent", booking=0, room=101)
    lockstep.do("move", "office", booking=0, room=201)
    lockstep.do("undo_check_in", "office", booking=0)


def test_party_that_fits_only_the_upgrade_keeps_it(lockstep):
    """Ambiguous: an upgraded party grows and is then unassigned, back to the booked type. It would get extra beds
    there without a supervisor's decision."""
    upgrade(lockstep)
    lockstep.do("companions", "agent", booking=0, count=2)
    assert lockstep.do("unassign", "agent", booking=0) == "ROOM_CAPACITY_EXCEEDED"
    assert lockstep.do("unassign", "office", booking=0, reason="a cot") == ""
    assert lockstep.reference.bookings[0].extra == 1


def test_room_type_change_must_fit_the_party(lockstep):
    """Ambiguous: a room gets another type that its current or arriving party does not fit. Refused, even with force."""
    upgrade(lockstep)
    lockstep.do("companions", "agent", booking=0, count=2)
    for force in (False, True):
        assert lockstep.do("set_type", "office", room=201, kind="A", force=force) == "ROOM_CAPACITY_EXCEEDED"
    lockstep.do("check_in", "agent", booking=0)
    assert lockstep.do("set_type", "office", room=201, kind="A", force=True) == "ROOM_CAPACITY_EXCEEDED"


def test_reinstating_counts_extra_beds_after_the_type_shrank(lockstep):
    """Found: the booking came back too large for the type, without an extra bed."""
    lockstep.do("create", "agent", kind="A", check_in=TODAY, check_out=TOMORROW, adults=2)
    lockstep.do("cancel", "office", booking=0, reason="fog")
    lockstep.do("set_beds", "manager", kind="A", beds=1)
    lockstep.do("reinstate", "office", booking=0)
    assert lockstep.reference.bookings[0].extra == 1


def test_room_leaves_an_oversold_type_with_its_guest(lockstep):
    """Found: nights oversold with permission lost their record when the guest's room moved to another type."""
    lockstep.do("create", "agent", kind="A", check_in=TOMORROW, check_out=date(2026, 3, 30), adults=1)
    book(lockstep, TODAY, TOMORROW)
    book(lockstep, TODAY, TOMORROW)
    lockstep.do("check_in", "agent", booking=1, room=101)
    lockstep.do("check_in", "office", booking=0, room=102, reason="came a day early")
    assert lockstep.reference.oversold
    lockstep.do("set_type", "office", room=102, kind="B")


def test_later_cutoff_can_set_the_business_day_back(lockstep):
    """Found: after the cutoff was set later, a guest who came early held a night before their arrival."""
    book(lockstep, TODAY, TOMORROW)
    book(lockstep, TODAY, TOMORROW)
    book(lockstep, date(2026, 3, 30), date(2026, 3, 31))
    lockstep.wait(13)  # 3 a.m. summer time
    lockstep.do("check_in", "office", booking=2, room=101, reason="came a day early")
    lockstep.do("set_rules", "office", cutoff=time(4))


def test_room_taken_on_the_booked_nights_is_refused_to_a_late_guest(lockstep):
    """Found: the service took the room as free, and the database constraint refused it."""
    book(lockstep, date(2026, 3, 30), date(2026, 3, 31))
    lockstep.do("create", "agent", kind="A", check_in=TODAY, check_out=TOMORROW, adults=1)
    lockstep.do("check_in", "office", booking=0, room=101, reason="came two days early")
    lockstep.wait(20)
    assert lockstep.do("assign", "agent", booking=1, room=101) == "ROOM_OVERLAP_CONFLICT"
