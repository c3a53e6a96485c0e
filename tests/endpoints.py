"""Every endpoint of the staff API: a call that succeeds, the roles that can make it, and the rows it needs."""

import re
from dataclasses import dataclass
from datetime import date, time, timedelta
from types import SimpleNamespace
from typing import Any

from hotel import calendar, rights
from hotel.models import Hotel, Staff
from housekeeping.blocks import NewBlock, create_blocks
from housekeeping.models import TaskStatus
from notifications.mail import queue_booking_mail
from notifications.models import BookingMail, MailKind
from room_bookings.models import RoomBooking
from rooms.models import BlockReason, Room, RoomBlock, RoomType
from tests.factories import NewRoomFactory, RoomTypeFactory, StaffFactory, TaskFactory, booking_in, in_house, room_in

AGENT, OFFICE = rights.FRONT_DESK_AGENT, rights.FRONT_OFFICE_MANAGER
HOUSEKEEPER, SUPERVISOR, MANAGER = rights.HOUSEKEEPER, rights.HOUSEKEEPING_SUPERVISOR, rights.HOTEL_MANAGER
ROLES = (AGENT, OFFICE, HOUSEKEEPER, SUPERVISOR, MANAGER)
NOBODY = "no rights at all"


@dataclass(frozen=True)
class Endpoint:
    """One endpoint and a call to it that succeeds.

    ``target`` names the attribute of ``endpoint_targets()`` whose value fills the route; ``$name`` in the body is
    replaced likewise. ``roles`` are those with permission, ``status`` is the response to them, and ``query`` is the
    query string.
    """

    method: str
    route: str
    roles: tuple[str, ...]
    target: str = ""
    body: Any = None
    status: int = 200
    query: str = ""

    @property
    def name(self) -> str:
        return f"{self.method} {self.route}"

    def path(self, slug: str, things: SimpleNamespace) -> str:
        number = str(getattr(things, self.target)) if self.target else ""
        route = self.route.replace("<int:mail>", str(things.mail))
        return f"/api/staff/hotel/{slug}/" + re.sub(r"<\w+:\w+>", number, route) + self.query

    def filled_body(self, things: SimpleNamespace) -> Any:
        return None if self.body is None else {key: filled(value, things) for key, value in self.body.items()}

    def call(self, client: Any, slug: str, things: SimpleNamespace, **extra: Any) -> Any:
        return getattr(client, self.method.lower())(self.path(slug, things), self.filled_body(things), **extra)


def filled(value: Any, things: SimpleNamespace) -> Any:
    """``value`` with each ``$name`` replaced by the id of that target."""
    if isinstance(value, list):
        return [filled(item, things) for item in value]
    return getattr(things, value[1:]) if isinstance(value, str) and value.startswith("$") else value


STATUS = {"to_status": "CHECKOUT_DIRTY"}
TASK = {"room": "$ready", "task_type": "DEEP_CLEAN"}
NEW_TYPE = {"name": "Suite", "code": "S", "starting_price_from": "250.00", "max_occupancy": 4}
NEW_BOOKING = {
    "room_type_id": "$room_type",
    "check_in": "2100-07-01",
    "check_out": "2100-07-04",
    "primary_first_name": "Grace",
    "primary_last_name": "Hopper",
}
# The roles that work on bookings, and the senior ones.
DESK, SENIOR = (AGENT, OFFICE, MANAGER), (OFFICE, MANAGER)
BLOCKING = (OFFICE, SUPERVISOR, MANAGER)
NEW_BLOCK = {"room_ids": ["$unblocked"], "reason": "REPAIR", "from": "2100-07-01", "to": "2100-07-04"}
BOOKING = "room-bookings/<str:bid>/"
WHY = {"reason": "a mistake"}

ENDPOINTS = (
    Endpoint("GET", "me/", (*ROLES, NOBODY)),
    Endpoint("GET", "access-config/", DESK),
    Endpoint("PATCH", "access-config/", SENIOR, "", {"late_checkout_grace_minutes": 45}),
    Endpoint("GET", "turnover/rooms/", ROLES),
    Endpoint("GET", "turnover/stats/", ROLES),
    Endpoint("POST", "rooms/<number:rno>/start-cleaning/", (HOUSEKEEPER, SUPERVISOR, MANAGER), "dirty_no"),
    Endpoint("POST", "rooms/<number:rno>/mark-cleaned/", (HOUSEKEEPER, SUPERVISOR, MANAGER), "dirty_no"),
    Endpoint("POST", "rooms/<number:rno>/inspect/", (SUPERVISOR, MANAGER), "cleaned_no"),
    Endpoint("POST", "rooms/<number:rno>/mark-maintenance/", ROLES, "ready_no"),
    Endpoint("POST", "rooms/<number:rno>/complete-maintenance/", (OFFICE, SUPERVISOR, MANAGER), "broken_no"),
    Endpoint("GET", "room-management/", ROLES),
    Endpoint("POST", "room-management/", (MANAGER,), "", {"room_number": 700, "room_type_id": "$room_type"}, 201),
    Endpoint("GET", "room-management/<number:room>/", ROLES, "ready_no"),
    Endpoint("PATCH", "room-management/<number:room>/", (OFFICE, MANAGER), "ready", {"is_active": False}),
    Endpoint("DELETE", "room-management/<number:room>/", (MANAGER,), "unused", None, 204),
    Endpoint("GET", "room-types/", ROLES),
    Endpoint("POST", "room-types/", (MANAGER,), "", NEW_TYPE, 201),
    Endpoint("PATCH", "room-types/<int:pk>/", (MANAGER,), "room_type", {"max_occupancy": 3}),
    Endpoint("DELETE", "room-types/<int:pk>/", (MANAGER,), "unused_type", None, 204),
    Endpoint("POST", "room-types/<int:pk>/rooms/bulk-create/", (MANAGER,), "room_type", {"room_numbers": [700]}, 201),
    Endpoint("POST", "rooms/<int:rid>/status/", (AGENT, OFFICE, MANAGER), "ready", STATUS),
    Endpoint("POST", "housekeeping/rooms/<int:rid>/status/", (AGENT, OFFICE, MANAGER), "ready", STATUS),
    Endpoint("GET", "rooms/<int:rid>/actions/", ROLES, "ready"),
    Endpoint("GET", "rooms/<int:rid>/status-history/", (AGENT, OFFICE, SUPERVISOR, MANAGER), "dirty"),
    Endpoint("GET", "housekeeping/rooms/<int:rid>/status-history/", (AGENT, OFFICE, SUPERVISOR, MANAGER), "dirty"),
    Endpoint(
        "POST",
        "housekeeping/rooms/<int:rid>/manager_override/",
        (MANAGER,),
        "dirty",
        {"to_status": "READY_FOR_GUEST", "note": "looked myself"},
    ),
    Endpoint("GET", "room-blocks/", ROLES),
    Endpoint("POST", "room-blocks/", BLOCKING, "", NEW_BLOCK, 201),
    Endpoint("GET", "room-blocks/export/", ROLES, query="?from=2100-07-01&to=2100-07-04"),
    Endpoint("GET", "room-blocks/nights/", ROLES, query="?from=2100-07-01&to=2100-07-04"),
    Endpoint("GET", "room-blocks/<int:pk>/", ROLES, "planned_block"),
    Endpoint("POST", "room-blocks/<int:pk>/extend/", BLOCKING, "planned_block", {"to": "2100-07-06"}),
    Endpoint("POST", "room-blocks/<int:pk>/complete/", BLOCKING, "active_block"),
    Endpoint("POST", "room-blocks/<int:pk>/cancel/", BLOCKING, "planned_block"),
    Endpoint("GET", "block-reasons/", ROLES),
    Endpoint("GET", "housekeeping/dashboard/", ROLES),
    Endpoint("GET", "housekeeping/tasks/", ROLES),
    Endpoint("POST", "housekeeping/tasks/", (AGENT, OFFICE, SUPERVISOR, MANAGER), "", TASK, 201),
    Endpoint("GET", "housekeeping/tasks/<int:pk>/", ROLES, "task"),
    Endpoint("PATCH", "housekeeping/tasks/<int:pk>/", (SUPERVISOR, MANAGER), "task", {"priority": "HIGH"}),
    Endpoint("PUT", "housekeeping/tasks/<int:pk>/", (SUPERVISOR, MANAGER), "task", TASK),
    Endpoint("DELETE", "housekeeping/tasks/<int:pk>/", (SUPERVISOR, MANAGER), "task", None, 204),
    Endpoint(
        "POST", "housekeeping/tasks/<int:pk>/assign/", (OFFICE, SUPERVISOR, MANAGER), "task", {"assigned_to_id": None}
    ),
    Endpoint("POST", "housekeeping/tasks/<int:pk>/start/", (HOUSEKEEPER, SUPERVISOR, MANAGER), "task"),
    Endpoint("POST", "housekeeping/tasks/<int:pk>/complete/", (HOUSEKEEPER, SUPERVISOR, MANAGER), "started_task"),
    Endpoint("POST", "housekeeping/tasks/<int:pk>/cancel/", (SUPERVISOR, MANAGER), "task"),
    Endpoint("POST", "rooms/checkin/", DESK, "", {"room_ids": ["$due"]}),
    Endpoint("POST", "rooms/checkout/", DESK, "", {"room_ids": ["$left"]}),
    Endpoint("GET", "availability/", ROLES, query="?from=2100-07-01&to=2100-07-04"),
    Endpoint("GET", "room-bookings/", DESK),
    Endpoint("POST", "room-bookings/", DESK, "", NEW_BOOKING, 201),
    Endpoint("GET", BOOKING, DESK, "arrival"),
    Endpoint("GET", f"{BOOKING}actions/", DESK, "arrival"),
    Endpoint("PATCH", BOOKING, DESK, "arrival", {"adults": 2}),
    Endpoint("POST", f"{BOOKING}mark-seen/", DESK, "arrival"),
    Endpoint("GET", f"{BOOKING}party/", DESK, "arrival"),
    Endpoint("PUT", f"{BOOKING}party/companions/", DESK, "arrival", {"companions": []}),
    Endpoint("POST", f"{BOOKING}confirm/", DESK, "request"),
    Endpoint("POST", f"{BOOKING}approve/", DESK, "request"),
    Endpoint("POST", f"{BOOKING}decline/", DESK, "request"),
    Endpoint("POST", f"{BOOKING}cancel/", DESK, "arrival"),
    Endpoint("POST", f"{BOOKING}no-show/", DESK, "late"),
    Endpoint("POST", f"{BOOKING}reinstate/", SENIOR, "cancelled", WHY),
    Endpoint("GET", f"{BOOKING}available-rooms/", DESK, "arrival"),
    Endpoint("POST", f"{BOOKING}safe-assign-room/", DESK, "arrival", {"room_id": "$ready"}),
    Endpoint("POST", f"{BOOKING}unassign-room/", DESK, "arrival"),
    Endpoint("POST", f"{BOOKING}move-room/", DESK, "overdue", {"to_room_id": "$ready", **WHY}),
    Endpoint("POST", f"{BOOKING}check-in/", DESK, "arrival"),
    Endpoint("POST", f"{BOOKING}undo-check-in/", SENIOR, "overdue", WHY),
    Endpoint("POST", f"{BOOKING}check-out/", DESK, "overdue"),
    Endpoint("POST", f"{BOOKING}undo-check-out/", SENIOR, "departed", WHY),
    Endpoint("GET", f"{BOOKING}overstay/status/", DESK, "overdue"),
    Endpoint("POST", f"{BOOKING}overstay/acknowledge/", DESK, "overdue"),
    Endpoint("POST", f"{BOOKING}overstay/extend/", DESK, "overdue", {"add_nights": 3}),
    Endpoint("GET", f"{BOOKING}mails/", DESK, "arrival"),
    Endpoint("POST", f"{BOOKING}mails/<int:mail>/send-again/", DESK, "arrival"),
    Endpoint("GET", "events/", ROLES, query="?channel=rooms"),
    Endpoint("GET", "events/", DESK, query="?channel=room-bookings"),
)
# Routes that are not under a hotel's path.
OTHER_ROUTES = {
    "api/staff/login/",
    "api/staff/logout/",
    "api/pusher/auth/",
    "api/pusher/auth",
    "api/schema/",
    "api/docs/",
}

WITH_OBJECT = [endpoint for endpoint in ENDPOINTS if endpoint.target]
WRITING = [endpoint for endpoint in ENDPOINTS if endpoint.method != "GET"]


def endpoint_targets(hotel: Hotel, staff: Staff | None = None, first: int = 101) -> SimpleNamespace:
    """Create a row for every endpoint to act on; returns ids, room numbers (``…_no``) and booking references by name.

    Rooms are numbered from ``first``. The started task is assigned to ``staff``. Check-in is open at any hour.
    """
    hotel.early_checkin_from = hotel.late_arrival_cutoff = time(0, 0)
    hotel.save(update_fields=["early_checkin_from", "late_arrival_cutoff"])
    room_type = RoomTypeFactory(hotel=hotel)
    statuses = {
        "dirty": "CHECKOUT_DIRTY",
        "cleaned": "CLEANED_UNINSPECTED",
        "ready": "READY_FOR_GUEST",
        "broken": "MAINTENANCE_REQUIRED",
    }
    rooms = {
        name: room_in(status, hotel=hotel, room_type=room_type, room_number=first + place)
        for place, (name, status) in enumerate(statuses.items())
    }
    rooms["unused"] = NewRoomFactory(hotel=hotel, room_type=room_type, room_number=first + 4)
    occupied = NewRoomFactory(hotel=hotel, room_type=room_type, room_number=first + 5)
    in_house(occupied)
    task = TaskFactory(room=rooms["dirty"])
    started = TaskFactory(
        room=rooms["dirty"], status=TaskStatus.IN_PROGRESS, started_at=task.created_at, assigned_to=staff
    )
    rooms["due"] = NewRoomFactory(hotel=hotel, room_type=room_type, room_number=first + 6)
    rooms["left"] = NewRoomFactory(hotel=hotel, room_type=room_type, room_number=first + 7)
    for place, name in enumerate(("unblocked", "planned", "closed")):
        rooms[name] = NewRoomFactory(hotel=hotel, room_type=room_type, room_number=first + 300 + place)
    blocks = target_blocks(hotel, rooms)
    bookings = target_bookings(hotel, room_type, rooms)
    mail: Any = queue_booking_mail(bookings["arrival"], MailKind.CONFIRMATION)
    BookingMail.objects.update(tries=1)
    return SimpleNamespace(
        mail=mail.pk,
        room_type=room_type.pk,
        unused_type=RoomTypeFactory(hotel=hotel).pk,
        task=task.pk,
        started_task=started.pk,
        **{name: room.pk for name, room in rooms.items()},
        **{f"{name}_no": room.room_number for name, room in rooms.items()},
        **{name: booking.booking_id for name, booking in bookings.items()},
        **{name: block.pk for name, block in blocks.items()},
    )


def target_blocks(hotel: Hotel, rooms: dict[str, Room]) -> dict[str, RoomBlock]:
    """A block that is planned and one that is active."""
    reason = BlockReason.objects.create(hotel=hotel, code="REPAIR", label="Repair")
    boss, today = StaffFactory(hotel=hotel, role=MANAGER), calendar.business_date(hotel)
    stays = {"planned_block": ("planned", date(2100, 7, 1), date(2100, 7, 4)), "active_block": ("closed", today, None)}
    made = {}
    for name, (room, first, free) in stays.items():
        wanted = NewBlock("OUT_OF_ORDER", reason, first, free, "CHECKOUT_DIRTY")
        [outcome] = create_blocks(rooms=[rooms[room]], wanted=wanted, staff=boss)
        assert outcome.block is not None
        made[name] = outcome.block
    return made


def target_bookings(hotel: Hotel, room_type: RoomType, rooms: dict[str, Room]) -> dict[str, RoomBooking]:
    """One booking for each kind of booking action; ``overdue`` is checked in after its departure date."""
    today, one_day = calendar.business_date(hotel), timedelta(days=1)
    stay = {"hotel": hotel, "room_type": room_type, "check_in": today, "check_out": today + 2 * one_day}
    yesterday = {"check_in": today - one_day, "check_out": today + one_day}
    past = {"check_in": today - 2 * one_day, "check_out": today - one_day}
    return {
        "arrival": booking_in("CONFIRMED", **stay, assigned_room=rooms["due"], primary_email="ada@example.com"),
        "late": booking_in("CONFIRMED", **stay | yesterday),
        "request": booking_in("PENDING_APPROVAL", **stay),
        "cancelled": booking_in("CANCELLED", **stay),
        "overdue": booking_in("IN_HOUSE", **stay | past, assigned_room=rooms["left"]),
        "departed": booking_in("COMPLETED", **stay, assigned_room=rooms["cleaned"]),
    }
