"""Writes of housekeeping tasks: OPEN → IN_PROGRESS → DONE, or CANCELLED; every action is idempotent."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, time, timedelta
from typing import Any

from django.db import transaction
from django.db.models import DateField, Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce

from common import clock
from common.errors import Blocker, Conflict, FieldError, Lift, NotFound
from common.guards import Guard, require
from common.joins import join_rows
from hotel import calendar
from hotel.models import Hotel, Staff
from hotel.selectors import staff_list
from housekeeping.models import OPEN_TASK_STATUSES, HousekeepingTask, StayoverDay, TaskStatus, TaskType
from housekeeping.task_following import cancel_tasks, is_over
from room_bookings.inventory import blocked_by
from room_bookings.models import BookingStatus, RoomBooking
from rooms.models import Room

ASSIGN = "housekeeping.task_assign"
LONGEST_ID = 18  # digits that always fit a bigint
# A check-in from before the morning has committed by then.
LAST_COMMITS = timedelta(minutes=1)
MORNING = time(6)  # hotel local time at which the day's stayover tasks are opened


class TaskNotFound(NotFound):
    code = "TASK_NOT_FOUND"


class TaskStepNotAllowed(Conflict):
    """The task's status does not allow this."""

    code = "INVALID_TASK_STEP"


class BookingIsOver(Conflict):
    """The guest that the task is for has left or will not arrive."""

    code = "BOOKING_IS_OVER"


class TaskTaken(Conflict):
    """The task is assigned to somebody else."""

    code = "TASK_ASSIGNED_TO_OTHER"


@transaction.atomic
def create_task(*, hotel: Hotel, staff: Staff, **fields: Any) -> HousekeepingTask:
    """Open a task; ``fields`` are those of ``TaskInput``, with ids as sent by the client. Raises BookingIsOver."""
    task = HousekeepingTask(hotel=hotel, created_by=staff)
    for name, value in _resolved(hotel, fields).items():
        setattr(task, name, value)
    require(creation_refusals(_lock_booking(task.booking_id), task.task_type))
    task.save(force_insert=True)
    return task


def creation_refusals(booking: RoomBooking | None, task_type: str) -> Guard[None]:
    """The refusals of ``create_task``: its guest, if it is for one, has left or will not arrive."""
    if booking and is_over(booking, task_type):
        status = BookingStatus(booking.status).label.lower()
        yield BookingIsOver(
            f"Booking {booking.booking_id} is {status}: there is nothing left to do for its guest.",
            details={"booking_id": booking.booking_id, "status": str(booking.status)},
            blocker=blocked_by(booking),
        )


# The fields that decide whether a task still has a guest.
GUEST = {"booking", "task_type"}


@transaction.atomic
def update_task(*, task: HousekeepingTask, **fields: Any) -> HousekeepingTask:
    """Change fields of an open task; one that was opened automatically keeps its room and its booking.

    Raises BookingIsOver.
    """
    resolved = _resolved(task.hotel, fields)
    booking = resolved.get("booking", task.booking)
    held = _lock_booking(booking and booking.pk) if GUEST & set(resolved) else None
    locked = _lock(task)
    require(update_refusals(locked, resolved, held))
    for name, value in resolved.items():
        setattr(locked, name, value)
    locked.save(update_fields=list(resolved))
    return locked


def update_refusals(task: HousekeepingTask, fields: Mapping[str, Any], booking: RoomBooking | None) -> Guard[None]:
    """The refusals of ``update_task``; ``booking`` is the one that the task would then be for, if ``fields`` contain
    one of ``GUEST``."""
    yield from _closed_refusals(task, "changed")
    yield from _place_refusals(task, fields)
    if GUEST & set(fields):
        booking_id = fields["booking"] and fields["booking"].pk if "booking" in fields else task.booking_id
        if booking_id != (booking and booking.pk):
            yield TaskStepNotAllowed("Somebody else has just changed this task. Try again.")
        yield from creation_refusals(booking, fields.get("task_type", task.task_type))


def _place_refusals(task: HousekeepingTask, fields: Mapping[str, Any]) -> Guard[None]:
    """Refused if an automatically opened task would change its room or booking."""
    automatic = task.created_by_id is None and task.booking_id is not None
    if automatic and any(name in fields and fields[name] != getattr(task, name) for name in ("room", "booking")):
        yield TaskStepNotAllowed(
            "An automatically opened task keeps its room and its booking: cancel it and open another.",
            details={"status": str(task.status)},
        )


@transaction.atomic
def assign_task(*, task: HousekeepingTask, assigned_to_id: int | None, note: str = "") -> HousekeepingTask:
    """Assign an open task to a member of staff, or unassign it; a note is appended to the task's note."""
    locked = _lock(task)
    require(assignment_refusals(locked))
    locked.assigned_to = _member(locked.hotel, "assigned_to_id", assigned_to_id)
    if note:
        locked.note = "\n".join(part for part in (locked.note, note) if part)
    locked.save(update_fields=["assigned_to", "note"])
    return locked


def assignment_refusals(task: HousekeepingTask) -> Guard[None]:
    """The refusals of ``assign_task``."""
    yield from _closed_refusals(task, "assigned")


@transaction.atomic
def start_task(*, task: HousekeepingTask, staff: Staff) -> HousekeepingTask:
    """Start a task; an unassigned one is assigned to the caller."""
    locked = _lock(task)
    if not require(start_refusals(locked, staff)):
        return locked
    if locked.status == TaskStatus.OPEN:
        locked.status, locked.started_at = TaskStatus.IN_PROGRESS, clock.now()
    locked.assigned_to = locked.assigned_to or staff
    locked.save(update_fields=["status", "started_at", "assigned_to"])
    return locked


def start_refusals(task: HousekeepingTask, staff: Staff) -> Guard[bool]:
    """The refusals of ``start_task``; returns whether there is anything to start."""
    yield from _others_refusals(task, staff)
    if task.status == TaskStatus.IN_PROGRESS and task.assigned_to_id is not None:
        return False
    yield from _closed_refusals(task, "started")
    return True


@transaction.atomic
def complete_task(*, task: HousekeepingTask, staff: Staff) -> HousekeepingTask:
    """Complete a started task."""
    locked = _lock(task)
    if not require(completion_refusals(locked, staff)):
        return locked
    locked.status, locked.completed_at = TaskStatus.DONE, clock.now()
    locked.save(update_fields=["status", "completed_at"])
    return locked


def completion_refusals(task: HousekeepingTask, staff: Staff) -> Guard[bool]:
    """The refusals of ``complete_task``; returns whether there is anything to complete."""
    yield from _others_refusals(task, staff)
    if task.status == TaskStatus.DONE:
        return False
    yield from _status_refusals(task, {TaskStatus.IN_PROGRESS}, "completed")
    return True


@transaction.atomic
def cancel_task(*, task: HousekeepingTask) -> HousekeepingTask:
    """Cancel a task."""
    locked = _lock(task)
    if not require(cancellation_refusals(locked)):
        return locked
    locked.status, locked.cancelled_at = TaskStatus.CANCELLED, clock.now()
    locked.save(update_fields=["status", "cancelled_at"])
    return locked


def cancellation_refusals(task: HousekeepingTask) -> Guard[bool]:
    """The refusals of ``cancel_task``; returns whether there is anything to cancel."""
    if task.status == TaskStatus.CANCELLED:
        return False
    yield from _closed_refusals(task, "cancelled")
    return True


@transaction.atomic
def delete_task(*, task: HousekeepingTask) -> None:
    """Delete a task that was never started."""
    locked = _lock(task)
    require(deletion_refusals(locked))
    locked.delete()


def deletion_refusals(task: HousekeepingTask) -> Guard[None]:
    """The refusals of ``delete_task``."""
    if task.started_at is not None:
        yield TaskStepNotAllowed("A task that was started can't be deleted; cancel it instead.")


def _lock(task: HousekeepingTask) -> HousekeepingTask:
    locked = HousekeepingTask.objects.select_for_update(no_key=True).filter(pk=task.pk).first()
    if locked is None:
        raise TaskNotFound("There is no such task.")
    return locked


def _lock_booking(booking_id: int | None) -> RoomBooking | None:
    """Lock and re-read a task's booking; must come before locking the task."""
    if booking_id is None:
        return None
    return RoomBooking.objects.select_for_update(no_key=True).order_by("pk").get(pk=booking_id)


def _closed_refusals(task: HousekeepingTask, what: str) -> Guard[None]:
    """Refused once the task is done or cancelled."""
    yield from _status_refusals(task, OPEN_TASK_STATUSES, what)


def _status_refusals(task: HousekeepingTask, statuses: Collection[str], what: str) -> Guard[None]:
    """Refused unless the task has one of ``statuses``; ``what`` is a past participle."""
    if task.status not in statuses:
        label = TaskStatus(task.status).label.lower()
        yield TaskStepNotAllowed(f"A task that is {label} can't be {what}.", details={"status": str(task.status)})


def _others_refusals(task: HousekeepingTask, staff: Staff) -> Guard[None]:
    """Refused if the task is somebody else's, unless the caller may assign tasks."""
    if task.assigned_to_id not in (None, staff.pk) and not staff.can(ASSIGN):
        assignee = task.assigned_to
        yield TaskTaken(
            "This task is assigned to somebody else.",
            lift=Lift((ASSIGN,)),
            blocker=Blocker("staff", assignee.pk, assignee.name) if assignee else None,
        )


def _resolved(hotel: Hotel, fields: dict[str, Any]) -> dict[str, Any]:
    """The fields with ids replaced by objects of this hotel."""
    resolved = dict(fields)
    if "room" in fields:
        resolved["room"] = Room.objects.filter(hotel=hotel, pk=fields["room"]).first()
        if resolved["room"] is None:
            raise FieldError("room", "This hotel has no such room.")
    if fields.get("booking") is not None:
        reference = str(fields["booking"])
        matches = Q(booking_id=reference)
        if reference.isascii() and reference.isdigit() and len(reference) <= LONGEST_ID:
            matches |= Q(pk=int(reference))  # older clients send the primary key
        resolved["booking"] = RoomBooking.objects.filter(matches, hotel=hotel).first()
        if resolved["booking"] is None:
            raise FieldError("booking", "This hotel has no such booking.")
    if "assigned_to" in fields:
        resolved["assigned_to"] = _member(hotel, "assigned_to", fields["assigned_to"])
    return resolved


def _member(hotel: Hotel, field: str, staff_id: int | None) -> Staff | None:
    if staff_id is None:
        return None
    member = staff_list(hotel).filter(pk=staff_id).first()
    if member is None:
        raise FieldError(field, "This hotel has no active staff member with this id.")
    return member


def open_turnover_tasks(departures: Sequence[tuple[Room, RoomBooking]]) -> None:
    """Open a TURNOVER task for each vacated room that has none open.

    The rooms come from ``room_lock``, which sets ``has_turnover``.
    """
    now = clock.now()
    HousekeepingTask.objects.bulk_create(
        HousekeepingTask(
            hotel_id=room.hotel_id, room=room, booking=booking, task_type=TaskType.TURNOVER, created_at=now
        )
        for room, booking in departures
        if not room.has_turnover  # type: ignore[attr-defined]
    )


@transaction.atomic
def open_stayover_tasks(hotel: Hotel, day: date) -> int:
    """Open a STAYOVER task for each guest who was in their room by the morning of ``day`` and stays another night.

    Idempotent for each ``day``: a guest who moves later in the day gets no second task, as the new room is made up.
    Tasks of earlier days that nobody has started are cancelled. Returns the number of tasks opened.
    """
    existing_tasks = HousekeepingTask.objects.filter(hotel=hotel, task_type=TaskType.STAYOVER, for_date=day)
    staying = RoomBooking.objects.filter(hotel=hotel, status=BookingStatus.IN_HOUSE, check_out__gt=day).alias(
        since=Coalesce("room_moved_at", "checked_in_at")
    )
    here_this_morning = staying.filter(since__lt=calendar.at(hotel, day, MORNING))
    without_task = here_this_morning.exclude(assigned_room__in=existing_tasks.values("room")).order_by("pk")
    # Locked, so that the task follows a guest who leaves or moves concurrently; then re-read.
    locked = list(without_task.select_for_update(no_key=True).values_list("pk", flat=True))
    stays = without_task.filter(pk__in=locked).values_list("pk", "assigned_room_id") if locked else []
    now = clock.now()
    tasks = [_stayover(hotel, day, booking_id=booking_id, room_id=room_id) for booking_id, room_id in stays]
    cancel_tasks(Q(hotel=hotel, task_type=TaskType.STAYOVER, status=TaskStatus.OPEN, for_date__lt=day))
    # Another tick may run concurrently: a unique constraint allows one task per room and day.
    HousekeepingTask.objects.bulk_create(tasks, ignore_conflicts=True)
    if now >= calendar.at(hotel, day, MORNING) + LAST_COMMITS:
        StayoverDay.objects.bulk_create(
            [StayoverDay(hotel=hotel, day=day)],
            update_conflicts=True,
            unique_fields=["hotel"],
            update_fields=["day"],
        )
    return len(tasks)


def _stayover(hotel: Hotel, day: date, *, booking_id: int, room_id: int) -> HousekeepingTask:
    """The stayover task of ``day``, not yet stored."""
    return HousekeepingTask(
        hotel=hotel,
        room_id=room_id,
        booking_id=booking_id,
        task_type=TaskType.STAYOVER,
        for_date=day,
        created_at=clock.now(),
    )


def open_postponed_stayover(booking: RoomBooking) -> None:
    """Open today's stayover task for a locked guest in house who was to leave today or earlier and now stays.

    The morning's run opened none for them. Before ``MORNING`` nothing happens: the run is still to come.
    """
    now = calendar.local_now(booking.hotel)
    since = booking.room_moved_at or booking.checked_in_at
    if since is None or now.time() < MORNING or booking.check_out <= now.date():
        return
    if since < calendar.at(booking.hotel, now.date(), MORNING):
        room_id: int = booking.assigned_room_id  # type: ignore[assignment]  # a guest in house has a room
        task = _stayover(booking.hotel, now.date(), booking_id=booking.pk, room_id=room_id)
        HousekeepingTask.objects.bulk_create([task], ignore_conflicts=True)


def hotels_without_stayovers() -> QuerySet[Hotel]:
    """The hotels where it is past ``MORNING`` and today's stayover tasks are yet to be opened.

    Hotels with an unknown timezone are left out.
    """
    moment, mornings = clock.now(), []
    for timezone in Hotel.objects.order_by().values_list("timezone", flat=True).distinct():
        if calendar.has_clock(hotel := Hotel(timezone=timezone)):
            now = calendar.local_time(hotel, moment)
            if now.time() >= MORNING:
                mornings.append({"timezone": timezone, "today": now.date()})
    hotels = join_rows(Hotel.objects.order_by(), mornings, on="timezone", columns={"today": DateField()})
    opened = StayoverDay.objects.filter(hotel=OuterRef("pk"), day=OuterRef("today"))
    return hotels.filter(~Exists(opened))
