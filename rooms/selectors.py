"""Queries for rooms with their in-house guests, and the room lock."""

from collections.abc import Iterable
from functools import reduce
from operator import or_

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import PROTECT, Exists, F, FilteredRelation, ManyToOneRel, OuterRef, Q, QuerySet
from django.db.models.functions import JSONObject

from common.prepared import PreparedRead
from hotel.models import Hotel
from housekeeping.models import OPEN_TASK_STATUSES, HousekeepingTask, TaskType
from room_bookings.models import BookingGuest, BookingStatus
from rooms.live_blocks import blocks_as_json
from rooms.models import Room, RoomStatus, RoomType


def room_list(hotel: Hotel | None = None) -> QuerySet[Room]:
    """Rooms with everything a snapshot shows, in one statement.

    Each carries its in-house stay, if any, as ``stay_id``, ``stay_booking_id``, ``stay_check_in``, ``stay_check_out``,
    ``stay_first_name``, ``stay_last_name`` and ``stay_companions`` (a list of ``{id, first_name, last_name}``); and its
    live blocks as ``blocks_json`` (``rooms.live_blocks``).
    """
    rooms = Room.objects.all() if hotel is None else Room.objects.filter(hotel=hotel)
    companions = BookingGuest.objects.filter(booking=OuterRef("in_house__pk")).order_by("pk")
    return rooms.select_related("hotel", "room_type", "cleaned_by_staff__user", "inspected_by_staff__user").annotate(
        in_house=FilteredRelation("bookings", condition=Q(bookings__status=BookingStatus.IN_HOUSE)),
        stay_id=F("in_house__pk"),
        stay_booking_id=F("in_house__booking_id"),
        stay_check_in=F("in_house__check_in"),
        stay_check_out=F("in_house__check_out"),
        stay_first_name=F("in_house__primary_first_name"),
        stay_last_name=F("in_house__primary_last_name"),
        stay_companions=ArraySubquery(
            companions.values(person=JSONObject(id="pk", first_name="first_name", last_name="last_name"))
        ),
        blocks_json=blocks_as_json(),
    )


def bookable(room: str = "") -> Q:
    """``Room.is_bookable`` in SQL; ``room`` is the lookup prefix of the room, empty for the row itself."""
    facts = {"room_status": RoomStatus.READY_FOR_GUEST, "is_active": True, "maintenance_required": False}
    return Q(**{f"{room}{name}": value for name, value in facts.items()})


def room_with_feature(hotel: Hotel, features: Iterable[str]) -> Room | None:
    """The first of the hotel's rooms that has any of the features."""
    return Room.objects.filter(hotel=hotel, features__overlap=list(features)).order_by("sort_key").first()


def in_use(model: type[Room | RoomType]) -> Q:
    """Rows of the model that others refer to, so that they cannot be deleted."""
    fields = model._meta.get_fields(include_hidden=True)
    protecting = [field for field in fields if isinstance(field, ManyToOneRel) and field.on_delete is PROTECT]
    rows = (
        relation.related_model._base_manager.filter(**{relation.field.name: OuterRef("pk")}) for relation in protecting
    )
    return reduce(or_, (Q(Exists(referring)) for referring in rows))


def room_lock(room_ids: Iterable[int], *, hotel: Hotel | int | None = None) -> list[Room]:
    """Lock rooms in pk order and read their current state; call within a transaction (docs/locking.md).

    With ``hotel`` (or its id), rooms of other hotels are neither locked nor returned. Each room has ``has_turnover``:
    whether it has an open turnover task.

    Two statements, the lock first: after a lock wait PostgreSQL re-reads the locked row, but not the rows joined to it.
    """
    ids = list(room_ids)
    locked = _lock.read(pk__any=ids) if hotel is None else _lock.read(pk__any=ids, hotel=getattr(hotel, "pk", hotel))
    return _rooms.read(pk__any=locked) if locked else []


def _room_ids() -> QuerySet[Room, int]:
    return Room.objects.select_for_update(no_key=True).order_by("pk").values_list("pk", flat=True)


def _locked_rooms() -> QuerySet[Room]:
    turnovers = HousekeepingTask.objects.filter(
        room=OuterRef("pk"), task_type=TaskType.TURNOVER, status__in=OPEN_TASK_STATUSES
    )
    return room_list().annotate(has_turnover=Exists(turnovers)).order_by("pk")


_lock = PreparedRead(_room_ids)
_rooms = PreparedRead(_locked_rooms)
