"""Updates open tasks when their room or booking changes.

The services that make the change call this in their transaction, after they have locked the bookings and rooms: tasks
are locked last (docs/locking.md). Applies to all open tasks, whoever opened them and whether or not they are started.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import reduce
from operator import or_

from django.db.models import Case, DateTimeField, F, Q, QuerySet, Value, When
from django.db.models.functions import Coalesce

from common import clock
from hotel import calendar
from hotel.models import Staff
from housekeeping.models import OPEN_TASK_STATUSES, HousekeepingTask, TaskStatus, TaskType
from room_bookings.models import ROOMLESS_STATUSES, BookingStatus, RoomBooking
from rooms.models import Room

# Tasks for an in-house guest: they move with the guest and end with the stay.
FOR_THE_GUEST = (TaskType.STAYOVER, TaskType.AMENITY)
# Tasks for a guest who has not arrived yet. A turnover belongs to the room, not to a guest.
FOR_THE_ARRIVAL = (*FOR_THE_GUEST, TaskType.INSPECTION, TaskType.DEEP_CLEAN)


def finish_turnovers(rooms: Sequence[Room], staff: Staff | None, moment: datetime) -> None:
    """Complete the open turnovers of the locked rooms, which are clean; unassigned ones are assigned to ``staff``."""
    turnovers = _locked(Q(room__in=rooms, task_type=TaskType.TURNOVER))
    turnovers.update(
        status=TaskStatus.DONE,
        started_at=Coalesce("started_at", Value(moment, DateTimeField())),
        completed_at=moment,
        assigned_to=Coalesce("assigned_to", Value(staff and staff.pk)) if staff else F("assigned_to"),
    )


def end_stays(left: Iterable[tuple[RoomBooking, Room]], *, for_good: bool) -> None:
    """The guests have left the locked rooms: cancel the stayovers of the rooms and of the bookings.

    ``for_good``: they have left the hotel, so all other tasks for them are cancelled too.
    """
    pairs = list(left)
    bookings, rooms = [booking for booking, _ in pairs], [room for _, room in pairs]
    ended = FOR_THE_GUEST if for_good else (TaskType.STAYOVER,)
    cancel_tasks(Q(room__in=rooms, task_type=TaskType.STAYOVER) | Q(booking__in=bookings, task_type__in=ended))


def end_arrivals(bookings: Iterable[RoomBooking]) -> None:
    """The guests of the locked bookings will not arrive: cancel the tasks for them."""
    cancel_tasks(Q(booking__in=list(bookings), task_type__in=FOR_THE_ARRIVAL))


def follow_arrival(booking: RoomBooking, room: Room) -> None:
    """The locked booking, not yet checked in, is now assigned to ``room``: move its tasks there."""
    follow_arrivals([(booking, room)])


def follow_arrivals(moved: Sequence[tuple[RoomBooking, Room]]) -> None:
    """The same for many bookings; one statement, or none."""
    if moved:
        rooms = Case(*(When(booking=booking, then=Value(room.pk)) for booking, room in moved))
        elsewhere = reduce(or_, (Q(booking=booking) & ~Q(room=room) for booking, room in moved))
        _locked(Q(task_type__in=FOR_THE_ARRIVAL) & elsewhere).update(room=rooms)


def follow_guest(booking: RoomBooking, room: Room) -> None:
    """The guest of the locked booking has moved to ``room``: move the guest's tasks there."""
    _locked(Q(booking=booking, task_type__in=FOR_THE_GUEST) & ~Q(room=room)).update(room=room)


def resume_stay(booking: RoomBooking, room: Room, left_at: datetime | None) -> None:
    """The guest of the locked booking, checked out at ``left_at``, is back, in ``room``.

    Its turnover for them is cancelled. The tasks for them that the check-out cancelled are open again: today's stayover
    if the room is the same, all others in their room of now.
    """
    cancel_tasks(Q(booking=booking, room=room, task_type=TaskType.TURNOVER))
    stayovers = Q(task_type=TaskType.STAYOVER, room=room) & ~Q(for_date__lt=calendar.local_now(booking.hotel).date())
    others = Q(task_type__in=[kind for kind in FOR_THE_GUEST if kind != TaskType.STAYOVER])
    cancelled = Q(booking=booking, cancelled_at__gte=left_at)
    _locked(cancelled & (stayovers | others), (TaskStatus.CANCELLED,)).update(
        room=room,
        status=Case(When(started_at=None, then=Value(TaskStatus.OPEN)), default=Value(TaskStatus.IN_PROGRESS)),
        cancelled_at=None,
    )


def is_over(booking: RoomBooking, task_type: str) -> bool:
    """Whether the booking needs no more tasks of this type, because its guest has left or will not arrive."""
    if booking.status != BookingStatus.COMPLETED and booking.status not in ROOMLESS_STATUSES:
        return False
    return task_type in (FOR_THE_ARRIVAL if booking.checked_in_at is None else FOR_THE_GUEST)


def cancel_tasks(which: Q) -> None:
    """Cancel the open tasks that match."""
    _locked(which).update(status=TaskStatus.CANCELLED, cancelled_at=clock.now())


def _locked(which: Q, statuses: Sequence[str] = OPEN_TASK_STATUSES) -> QuerySet[HousekeepingTask]:
    """The tasks that match, by default the open ones, for an update; the same statement locks them in pk order."""
    tasks = HousekeepingTask.objects.filter(which, status__in=statuses)
    return HousekeepingTask.objects.filter(pk__in=tasks.select_for_update(no_key=True).order_by("pk").values("pk"))
