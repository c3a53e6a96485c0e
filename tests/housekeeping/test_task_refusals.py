"""The guards of task actions list every refusal, in order, with what lifts it and what stands in the way."""

import pytest

from common import clock
from common.errors import Blocker, Lift
from common.guards import examine
from housekeeping.selectors import task_list
from housekeeping.task_services import completion_refusals, creation_refusals, start_refusals, update_refusals
from tests.factories import NewRoomFactory, StaffFactory, TaskFactory, booking_in

pytestmark = pytest.mark.django_db


def cancelled_task(hotel, **fields):
    """A task as pre-flight reads it."""
    room = NewRoomFactory(hotel=hotel)
    task = TaskFactory(room=room, status="CANCELLED", cancelled_at=clock.now(), **fields)
    return task_list(hotel).get(pk=task.pk)


@pytest.mark.parametrize("guard", [start_refusals, completion_refusals])
def test_somebody_elses_closed_task(hotel, housekeeper, django_assert_num_queries, guard):
    other = StaffFactory(hotel=hotel)
    task = cancelled_task(hotel, assigned_to=other)
    assert housekeeper.can("housekeeping.task_execute")  # has read the rights
    with django_assert_num_queries(0):
        taken, closed = examine(guard(task, housekeeper)).refusals
    assert (taken.code, closed.code) == ("TASK_ASSIGNED_TO_OTHER", "INVALID_TASK_STEP")
    assert taken.lift == Lift(("housekeeping.task_assign",))
    assert taken.blocker == Blocker("staff", other.pk, other.name)


def test_a_closed_automatic_task_of_a_guest_who_will_not_arrive(hotel):
    booking = booking_in("CANCELLED", hotel=hotel)
    task = cancelled_task(hotel, booking=booking, created_by=None)
    change = {"room": NewRoomFactory(hotel=hotel), "task_type": "AMENITY"}
    refusals = examine(update_refusals(task, change, booking)).refusals
    assert [refusal.code for refusal in refusals] == ["INVALID_TASK_STEP", "INVALID_TASK_STEP", "BOOKING_IS_OVER"]
    assert refusals[-1].blocker == Blocker("booking", booking.booking_id, f"booking {booking.booking_id}")
    [over] = examine(creation_refusals(booking, "AMENITY")).refusals
    assert over.code == "BOOKING_IS_OVER"
