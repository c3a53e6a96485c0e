"""Tasks follow their room and their booking: what a change of either means for those that are still open.

The services that make the change call this in its transaction, when they have locked the bookings and rooms: tasks are
locked after both (docs/locking.md). It makes no difference who opened a task, or whether somebody has begun it.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from django.db.models import DateTimeField, F, Q, QuerySet, Value
from django.db.models.functions import Coalesce

from common import clock
from hotel.models import Staff
from housekeeping.models import OPEN_TASK_STATUSES, HousekeepingTask, TaskStatus, TaskType
from room_bookings.models import ROOMLESS_STATUSES, BookingStatus, RoomBooking
from rooms.models import Room

# What is done for a guest: it goes where the guest goes, and ends with the stay.
FOR_THE_GUEST = (TaskType.STAYOVER, TaskType.AMENITY)
# What is done for a guest who has not come yet. A turnover is the room's own, whoever left it or comes next.
FOR_THE_ARRIVAL = (*FOR_THE_GUEST, TaskType.INSPECTION, TaskType.DEEP_CLEAN)


def finish_turnovers(rooms: Sequence[Room], staff: Staff | None, moment: datetime) -> None:
    """The locked rooms are clean: their open turnovers are done, by whom they were given to, otherwise by ``staff``."""
    turnovers = _locked(Q(room__in=rooms, task_type=TaskType.TURNOVER))
    turnovers.update(
        status=TaskStatus.DONE,
        started_at=Coalesce("started_at", Value(moment, DateTimeField())),
        completed_at=moment,
        assigned_to=Coalesce("assigned_to", Value(staff and staff.pk)) if staff else F("assigned_to"),
    )


def end_stays(left: Iterable[tuple[RoomBooking, Room]], *, for_good: bool) -> None:
    """The guests have left the locked rooms: there the stayovers are cancelled, and those of the bookings.

    ``for_good``: they left the hotel, and whatever was to be done for them is cancelled.
    """
    pairs = list(left)
    bookings, rooms = [booking for booking, _ in pairs], [room for _, room in pairs]
    ended = FOR_THE_GUEST if for_good else (TaskType.STAYOVER,)
    cancel_tasks(Q(room__in=rooms, task_type=TaskType.STAYOVER) | Q(booking__in=bookings, task_type__in=ended))


def end_arrivals(bookings: Iterable[RoomBooking]) -> None:
    """The guests of the locked bookings do not come: what was to be done for them is cancelled."""
    cancel_tasks(Q(booking__in=list(bookings), task_type__in=FOR_THE_ARRIVAL))


def follow_arrival(booking: RoomBooking, room: Room) -> None:
    """The locked booking of a guest who has not come has that room now: what is to be done for it is done there."""
    _locked(Q(booking=booking, task_type__in=FOR_THE_ARRIVAL) & ~Q(room=room)).update(room=room)


def follow_guest(booking: RoomBooking, room: Room) -> None:
    """The guest of the locked booking has moved to that room: what is to be done for the guest is done there."""
    _locked(Q(booking=booking, task_type__in=FOR_THE_GUEST) & ~Q(room=room)).update(room=room)


def is_over(booking: RoomBooking, task_type: str) -> bool:
    """Whether nothing of that type is to be done for the booking any more, as its guest has left or does not come."""
    if booking.status != BookingStatus.COMPLETED and booking.status not in ROOMLESS_STATUSES:
        return False
    return task_type in (FOR_THE_ARRIVAL if booking.checked_in_at is None else FOR_THE_GUEST)


def cancel_tasks(which: Q) -> None:
    """Call off those of the open tasks."""
    _locked(which).update(status=TaskStatus.CANCELLED, cancelled_at=clock.now())


def _locked(which: Q) -> QuerySet[HousekeepingTask]:
    """The open tasks ``which``, to be updated; locked in pk order by the same statement."""
    tasks = HousekeepingTask.objects.filter(which, status__in=OPEN_TASK_STATUSES)
    return HousekeepingTask.objects.filter(pk__in=tasks.select_for_update(no_key=True).order_by("pk").values("pk"))
