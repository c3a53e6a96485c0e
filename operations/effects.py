"""The effects of a dry run, as its caller may see them (docs/api.md, Dry run)."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from django.db.models import Model, prefetch_related_objects

from common import clock
from common.dry_run import Rehearsal, Row
from common.views import etag
from hotel.models import Hotel, Staff
from hotel.serializers import AccessConfig
from housekeeping.models import HousekeepingTask
from housekeeping.snapshots import block_snapshot, task_snapshot
from notifications.mail import mail_row
from notifications.models import BOOKINGS, GUESTS, ROOMS, BookingMail, RealtimeEvent
from notifications.notification_manager import messages
from notifications.views import LISTENERS
from room_bookings.models import BookingGuest, RoomBooking
from room_bookings.snapshots import booking_detail
from rooms.models import Room, RoomBlock, RoomType
from rooms.serializers import RoomTypeOutput
from rooms.snapshots import room_snapshot

# The rights of which one shows the values. A caller without it sees which rows would change, but not how.
READERS = {
    Room: LISTENERS[ROOMS],
    RoomType: LISTENERS[ROOMS],
    RoomBlock: LISTENERS[ROOMS],
    HousekeepingTask: ["housekeeping.task_read", "housekeeping.dashboard_read"],
    RoomBooking: LISTENERS[BOOKINGS],
    BookingMail: LISTENERS[BOOKINGS],
    Hotel: LISTENERS[BOOKINGS],
}
READERS_OF_EVENTS = {ROOMS: LISTENERS[ROOMS], BOOKINGS: LISTENERS[BOOKINGS], GUESTS: LISTENERS[BOOKINGS]}
# The fields of each snapshot that are not listed as changes: they identify the row, follow from other fields, or are
# about other rows.
OMITTED: dict[type[Model], set[str]] = {
    Room: {
        *("id", "hotel_slug", "room_type_info", "current_price", "room_status_display", "is_occupied", "is_bookable"),
        *("is_out_of_order", "cleaned_by_staff_name", "inspected_by_staff_name", "allowed_transitions"),
        *("block", "next_block"),
    },
    RoomType: {"id"},
    RoomBlock: {"id", "kind_display", "reason_label", "status_display"},
    HousekeepingTask: {"id", "task_type_display", "status_display", "is_overdue"},
    RoomBooking: {
        *("booking_id", "nights", "guest_name", "guest_display_name", "party_primary_full_name", "party_total_count"),
        *("party_complete", "party_missing_count", "assigned_room_number", "room_number", "is_new_for_staff"),
        *("is_late_arrival", "approval_risk_level", "approval_overdue_minutes", "is_approval_due_soon"),
        *("is_approval_overdue", "checkout_deadline_at", "overstay_risk_level", "overstay_minutes", "is_overstay"),
        *("room", "is_upgraded", "flags", "payment_parked_at"),
    },
    BookingMail: {"id", "kind_display", "state_display", "can_send_again", "next_try_at", "sent_at"},
    Hotel: set(),
}


class Pair(NamedTuple):
    """A changed row before and after, as model instances; ``None`` if there is none."""

    before: Any
    after: Any

    @property
    def row(self) -> Any:
        return self.after or self.before


def show_effects(rehearsal: Rehearsal, staff: Staff) -> dict[str, Any]:
    """What the dry run changed in the hotel of ``staff``, JSON-safe; a constant number of queries.

    ``changes`` has the fields of the API's own snapshots that differ, as ``{field: [before, after]}``.
    """
    return _Effects(rehearsal, staff).all()


class _Effects:
    def __init__(self, rehearsal: Rehearsal, staff: Staff) -> None:
        self.rehearsal, self.staff, self.now = rehearsal, staff, clock.now()

    def all(self) -> dict[str, Any]:
        bookings = self._bookings()
        return {
            "rooms": [
                {
                    "id": pair.row.pk,
                    "room_number": pair.row.room_number,
                    "changes": self._changes(pair, room_snapshot),
                    "if_match": etag(pair.before.status_version) if pair.before else None,
                }
                for pair in self._rooms()
            ],
            "bookings": [
                {
                    "booking_id": pair.row.booking_id,
                    "changes": self._changes(pair, booking_detail),
                    "if_match": etag(pair.before.version) if pair.before else None,
                }
                for pair in bookings
            ],
            "blocks": [
                {
                    "id": pair.row.pk,
                    "room_number": pair.row.room.room_number,
                    "changes": self._changes(pair, block_snapshot),
                }
                for pair in self._pairs(RoomBlock, "room", "reason", "created_by__user")
            ],
            "tasks": [
                {
                    "id": pair.row.pk,
                    "room_number": pair.row.room.room_number,
                    "task_type": pair.row.task_type,
                    "changes": self._changes(pair, lambda task: task_snapshot(task, self.now)),
                }
                for pair in self._pairs(HousekeepingTask, "room", "booking", "assigned_to__user", "created_by__user")
            ],
            "room_types": [
                {
                    "id": pair.row.pk,
                    "name": pair.row.name,
                    "changes": self._changes(pair, lambda room_type: RoomTypeOutput(room_type).data),
                }
                for pair in self._pairs(RoomType)
            ],
            "settings": [
                {"changes": self._changes(pair, lambda hotel: AccessConfig(hotel).data)} for pair in self._pairs(Hotel)
            ],
            "events": list(self._events()),
            "mails": [
                {
                    "id": pair.row.pk,
                    "booking_id": pair.row.booking.booking_id,
                    "kind": pair.row.kind,
                    "changes": self._changes(pair, mail_row),
                }
                for pair in self._mails({pair.row.pk: pair.row for pair in bookings})
            ],
            "payments": self.rehearsal.payments,
        }

    def _pairs(self, model: type[Model], *related: str) -> list[Pair]:
        """The changed rows of ``model``, with their ``related`` rows."""
        pairs = [Pair(*(_instance(model, row) for row in change)) for change in self._changed(model)]
        prefetch_related_objects([row for pair in pairs for row in pair if row], *related)
        return pairs

    def _changed(self, model: type[Model]) -> Any:
        return self.rehearsal.changes.get(model._meta.db_table, ())

    def _changes(self, pair: Pair, snapshot: Callable[[Any], Any]) -> dict[str, list[Any]]:
        model = type(pair.row)
        if not any(self.staff.can(right) for right in READERS[model]):
            return {}
        before, after = (snapshot(row) if row else {} for row in pair)
        return {
            name: [before.get(name), after.get(name)]
            for name in after or before
            if name not in OMITTED[model] and before.get(name) != after.get(name)
        }

    def _rooms(self) -> list[Pair]:
        pairs = self._pairs(Room, "room_type", "cleaned_by_staff__user", "inspected_by_staff__user")
        for room in (row for pair in pairs for row in pair if row):
            room.hotel = self.staff.hotel
            room.stay_id, room.blocks_json = None, []  # neither guest nor blocks are the room's own; see OMITTED
        return pairs

    def _bookings(self) -> list[Pair]:
        pairs = self._pairs(
            RoomBooking, "room_type", "assigned_room__room_type", "staff_seen_by__user", "payment_retry"
        )
        parties: dict[int, Pair] = defaultdict(lambda: Pair([], []))
        for pair in self._pairs(BookingGuest):  # a changed party is replaced as a whole
            for guest, party in zip(pair, parties[pair.row.booking_id], strict=True):
                party += [guest] if guest else []
        same = [pair.row.pk for pair in pairs if pair.row.pk not in parties]
        for guest in BookingGuest.objects.filter(booking__in=same).order_by("pk"):
            for party in parties[guest.booking_id]:
                party.append(guest)
        for pair in pairs:
            for booking, party in zip(pair, parties[pair.row.pk], strict=True):
                if booking:
                    booking.hotel = self.staff.hotel
                    booking.party = [_person(guest) for guest in party]
        return pairs

    def _mails(self, bookings: dict[int, RoomBooking]) -> list[Pair]:
        """The changed mails; ``bookings`` has those that the dry run changed or created."""
        pairs = self._pairs(BookingMail, "queued_by__user")
        mails = [mail for pair in pairs for mail in pair if mail]
        for mail in mails:
            if mail.booking_id in bookings:
                mail.booking = bookings[mail.booking_id]
        prefetch_related_objects(mails, "booking")
        return pairs

    def _events(self) -> Iterator[dict[str, Any]]:
        for _, event in self._pairs(RealtimeEvent):
            is_readable = any(self.staff.can(right) for right in READERS_OF_EVENTS[event.stream])
            for message in messages(event):
                payload = json.loads(message["data"])["payload"]
                yield {
                    "channel": message["channel"],
                    "type": message["name"],
                    "payload": payload if is_readable else None,
                }


def _instance(model: type[Model], row: Row | None) -> Any:
    """The stored ``row`` as an instance of ``model``."""
    if row is None:
        return None
    fields: Any = model._meta.concrete_fields
    return model(**{field.attname: field.to_python(row[field.column]) for field in fields})


def _person(guest: BookingGuest) -> dict[str, Any]:
    return {name: getattr(guest, name) for name in ("id", "first_name", "last_name", "email", "phone")}
