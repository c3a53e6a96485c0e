"""A model of one hotel in plain Python, written from the API's documentation and not from the code.

It shares no code with the product: every status, right, error code and time is defined here again. Each step is a
method that either raises ``Refused`` without changing anything, or changes the model and appends to ``published``.
Where the documentation is silent or ambiguous, a comment gives the reading chosen here ("read as").
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

DAY = timedelta(days=1)

# --- rights, and the transitions of a room's status -------------------------------------------------------------------

_AGENT = [
    *("rooms.maintenance_flag", "rooms.checkout_bulk", "housekeeping.status_front_desk", "housekeeping.task_create"),
    *("bookings.create", "bookings.update", "bookings.cancel", "bookings.assign_room", "bookings.checkin"),
    *("bookings.checkout", "bookings.resolve_overstay", "bookings.extend"),
]
_HOUSEKEEPER = [
    *("rooms.status_transition", "rooms.maintenance_flag"),
    *("housekeeping.status_transition", "housekeeping.task_execute"),
]
RIGHTS: dict[str, frozenset[str]] = {
    "agent": frozenset(_AGENT),
    "office": frozenset(
        [
            *_AGENT,
            "bookings.supervise",
            "bookings.manage_rules",
            "rooms.maintenance_clear",
            "rooms.inventory_update",
            "housekeeping.task_assign",
        ]
    ),
    "housekeeper": frozenset(_HOUSEKEEPER),
    "supervisor": frozenset(
        [
            *_HOUSEKEEPER,
            "rooms.inspect",
            "rooms.maintenance_clear",
            "housekeeping.task_create",
            "housekeeping.task_assign",
            "housekeeping.task_cancel",
        ]
    ),
}
RIGHTS["manager"] = frozenset().union(*RIGHTS.values(), ["housekeeping.status_override", "rooms.type_manage"])
ROLES = tuple(RIGHTS)

OCC, DIRTY, CLEANING, CLEANED = "OCCUPIED", "CHECKOUT_DIRTY", "CLEANING_IN_PROGRESS", "CLEANED_UNINSPECTED"
READY, MAINT, OOO = "READY_FOR_GUEST", "MAINTENANCE_REQUIRED", "OUT_OF_ORDER"
STATUSES = (OCC, DIRTY, CLEANING, CLEANED, READY, MAINT, OOO)
MAP = {
    OCC: {DIRTY, MAINT},
    DIRTY: {CLEANING, CLEANED, READY, MAINT},
    CLEANING: {CLEANED, DIRTY, READY, MAINT},
    CLEANED: {READY, CLEANING, DIRTY, MAINT},
    READY: {OCC, DIRTY, MAINT, OOO},
    MAINT: {OCC, DIRTY, OOO, READY},
    OOO: {DIRTY, MAINT, READY},
}
PRIORITIES = ("LOW", "MED", "HIGH")
# Any one of these rights lets a member of staff use the source.
SOURCES = {
    "HOUSEKEEPING": {
        "housekeeping.status_transition",
        "rooms.inspect",
        "rooms.maintenance_flag",
        "rooms.maintenance_clear",
        "housekeeping.status_override",
    },
    "FRONT_DESK": {
        "housekeeping.status_front_desk",
        "bookings.checkin",
        "bookings.assign_room",
        "housekeeping.status_override",
    },
}

PENDING, CONFIRMED, IN_HOUSE, COMPLETED = "PENDING_APPROVAL", "CONFIRMED", "IN_HOUSE", "COMPLETED"
DECLINED, CANCELLED, EXPIRED, NO_SHOW = "DECLINED", "CANCELLED", "EXPIRED", "NO_SHOW"
OPEN, IN_PROGRESS, DONE = "OPEN", "IN_PROGRESS", "DONE"
FOR_THE_ARRIVAL = ("AMENITY", "INSPECTION", "DEEP_CLEAN")

# A hotel's settings and their defaults.
DEFAULTS: dict[str, Any] = {
    "checkout_time": time(11),
    "grace": timedelta(minutes=30),
    "earliest_check_in": time(8),
    "cutoff": time(2),
    "approval_cutoff": time(23),
    "overbooking": False,
    "whole_party": False,
}
MORNING = time(6)  # read as: "each morning" is 6 a.m. in the hotel's local time


class Refused(Exception):
    """A step is refused with this error code."""

    def __init__(self, code: str):
        super().__init__(code)
        self.code = code


class Oversold(NamedTuple):
    """A night on which a room type is knowingly oversold: for a booking, or because a room was taken away."""

    type: str
    night: date
    booking: int | None
    room: int | None
    who: str | None


@dataclass
class Room:
    number: int
    type: str
    active: bool = True
    status: str = READY
    version: int = 0
    flag: bool = False
    priority: str = ""
    fault_notes: str = ""
    turnover_notes: str = ""
    cleaned: tuple[datetime, str | None] | None = None
    inspected: tuple[datetime, str | None] | None = None
    unclean_since: datetime | None = None
    set_by: str | None = None

    @property
    def bookable(self) -> bool:
        return self.status == READY and self.active and not self.flag


@dataclass
class Booking:
    number: int
    type: str
    status: str
    check_in: date
    check_out: date
    adults: int = 1
    children: int = 0
    card: bool = False
    deadline: datetime | None = None
    room: Room | None = None
    named: int = 0
    notes: str = ""
    seen: tuple[datetime, str] | None = None
    extra: int = 0  # extra beds that a supervisor has allowed
    arrived: date | None = None
    checked_in_at: datetime | None = None
    checked_out_at: datetime | None = None
    checked_out_by: str = ""
    cancelled_at: datetime | None = None
    expired_at: datetime | None = None
    moved_at: datetime | None = None
    flagged_at: datetime | None = None
    acknowledged_at: datetime | None = None
    overstays: dict[date, tuple[str, str]] = field(default_factory=dict)

    @property
    def party(self) -> int:
        """The guests booked or the guests named, whichever are more."""
        return max(self.adults + self.children, 1 + self.named)

    @property
    def counts_as(self) -> str:
        """The room type that the nights are counted under: the assigned room's, else the booked one."""
        return self.room.type if self.room else self.type

    @property
    def free_from(self) -> date:
        """The first free day: the departure day, or the day after for day use."""
        return first_free(self.check_in, self.check_out)


@dataclass
class Task:
    room: Room
    type: str
    status: str = OPEN
    assigned_to: str | None = None
    for_date: date | None = None
    booking: Booking | None = None
    started: bool = False
    cancelled_at: datetime | None = None
    gone: bool = False

    @property
    def waits(self) -> bool:
        return self.status in (OPEN, IN_PROGRESS) and not self.gone


def first_free(check_in: date, check_out: date) -> date:
    return max(check_out, check_in + DAY)


def joined(text: str, note: str) -> str:
    return "\n".join(part for part in (text, note) if part)


class ReferenceHotel:
    """One hotel: its rooms, bookings, tasks and clock."""

    def __init__(
        self,
        *,
        now: datetime,
        timezone: str,
        rooms: dict[int, str],
        beds: dict[str, int],
        **settings: Any,
    ):
        self.now, self.zone, self.beds = now, ZoneInfo(timezone), dict(beds)
        self.settings = {**DEFAULTS, **settings}
        self.rooms = {number: Room(number, room_type) for number, room_type in rooms.items()}
        self.bookings: list[Booking] = []
        self.tasks: list[Task] = []
        self.stayover_day: date | None = None
        self.begin()

    def begin(self) -> None:
        """Start a step: nothing is published or written yet."""
        self.published: list[tuple[Any, ...]] = []
        self.audit: list[tuple[Any, ...]] = []
        self.steps: list[tuple[int, str, str]] = []
        self.saved: set[int] = set()
        self.oversold: Counter[Oversold] = Counter()

    # --- the clock ----------------------------------------------------------------------------------------------------

    @property
    def local_time(self) -> datetime:
        return self.now.astimezone(self.zone).replace(tzinfo=None)

    def at(self, day: date, when: time) -> datetime:
        return datetime.combine(day, when, tzinfo=self.zone).astimezone(UTC)

    def business_day(self, moment: datetime | None = None) -> date:
        local_time = (moment or self.now).astimezone(self.zone).replace(tzinfo=None)
        return (local_time - timedelta(hours=self.settings["cutoff"].hour)).date()

    def overdue(self, booking: Booking) -> bool:
        if booking.check_in == booking.check_out:  # read as: day use holds the room for the whole business day
            deadline = self.at(booking.check_out + DAY, self.settings["cutoff"])
        else:
            deadline = self.at(booking.check_out, self.settings["checkout_time"])
        return self.now > deadline + self.settings["grace"]

    # --- queries and checks -------------------------------------------------------------------------------------------

    def guest(self, room: Room) -> Booking | None:
        return next((each for each in self.bookings if each.status == IN_HOUSE and each.room is room), None)

    def held(self, it: Booking, *, in_house: bool = False) -> set[date]:
        """The nights that a stay currently holds: those booked and, for a guest who is in house (or checking in), the
        nights since an early arrival, and tonight once overdue."""
        first, free = it.check_in, it.free_from
        if in_house or it.status == IN_HOUSE:
            today = self.business_day()
            first = min(first, it.arrived or today)
            if self.overdue(it):
                free = max(free, today + DAY)
        return set(stay_nights(first, free))

    def stays(self) -> list[Booking]:
        return [each for each in self.bookings if each.status in (CONFIRMED, IN_HOUSE)]

    def require_free(self, room: Room, nights: set[date], without: Booking) -> None:
        if any(each is not without and each.room is room and self.held(each) & nights for each in self.stays()):
            raise Refused("ROOM_OVERLAP_CONFLICT")

    def sellable(self, kind: str) -> int:
        return sum(room.type == kind and room.active and room.status != OOO for room in self.rooms.values())

    def sold(self, kind: str, night: date, without: Booking | None = None) -> int:
        return sum(each is not without and each.counts_as == kind and night in self.held(each) for each in self.stays())

    def require_left(
        self, it: Booking | None, kind: str, nights: Iterable[date], who: str = "", reason: str = ""
    ) -> None:
        """Require a free room of the type on each night, or a supervisor's reason to oversell."""
        if self.settings["overbooking"]:
            return
        missing = [
            night
            for night in nights
            if night >= self.business_day() and self.sold(kind, night, it) >= self.sellable(kind)
        ]
        if missing and not (it and self.supervises(who, reason)):
            raise Refused("NO_AVAILABILITY")
        self.oversold.update(Oversold(kind, night, it.number, None, who) for night in missing if it)

    def require_beds(self, it: Booking, kind: str, who: str = "", reason: str = "") -> None:
        """Require that the party fits into a room of the type, counting extra beds that were already allowed."""
        if it.party > self.beds[kind] + it.extra and not self.supervises(who, reason):
            raise Refused("ROOM_CAPACITY_EXCEEDED")

    def put_up_beds(self, it: Booking) -> None:
        it.extra = max(0, it.party - self.beds[it.counts_as])

    @staticmethod
    def supervises(who: str, reason: str) -> bool:
        return bool(reason.strip()) and "bookings.supervise" in RIGHTS.get(who, ())

    def require_dates(self, check_in: date, check_out: date) -> None:
        if check_out < check_in or check_out < self.business_day():
            raise Refused("VALIDATION_ERROR")

    @staticmethod
    def require(who: str, right: str) -> None:
        if right not in RIGHTS[who]:
            raise Refused("PERMISSION_DENIED")

    # --- events -------------------------------------------------------------------------------------------------------

    def publish_room(self, room: Room, was: str, source: str) -> None:
        occupied = self.guest(room) is not None
        self.published.append(("rooms", "room_updated", room.number, was, room.status, source, occupied))

    def publish(self, booking: Booking, kind: str, guest: str = "", moved: Sequence[Room] = ()) -> None:
        for room in moved:
            self.published.append(("rooms", "room_occupancy_updated", room.number, self.guest(room) is not None))
        self.published.append(("room-bookings", kind, booking.number, booking.status))
        if guest:
            self.published.append(("guest", guest, booking.number, booking.status))
        self.saved.add(booking.number)

    def become(self, booking: Booking, status: str) -> None:
        self.steps.append((booking.number, booking.status, status))
        booking.status = status

    # --- room status --------------------------------------------------------------------------------------------------

    @staticmethod
    def may_change(who: str, was: str, to: str, source: str) -> bool:
        has = RIGHTS[who]
        if source == "MANAGER_OVERRIDE":
            return "housekeeping.status_override" in has
        if not SOURCES[source] & has:
            return False
        if "housekeeping.status_override" in has:
            return True
        if to == OCC and {"bookings.checkin", "bookings.assign_room"} & has and was != MAINT:
            return True
        steps = {
            "housekeeping.status_transition": {
                (DIRTY, CLEANING),
                (DIRTY, CLEANED),
                (CLEANING, CLEANED),
                (CLEANING, DIRTY),
                (CLEANED, DIRTY),
                (CLEANED, CLEANING),
            },
            "rooms.inspect": {(CLEANED, READY)},
            "rooms.maintenance_flag": {(each, MAINT) for each in STATUSES},
            "rooms.maintenance_clear": {(each, target) for each in (MAINT, OOO) for target in STATUSES}
            | {(each, OOO) for each in STATUSES},
            "housekeeping.status_front_desk": {(READY, DIRTY)},
        }
        granted = {step for right, allowed in steps.items() if right in has for step in allowed}
        # Read as: setting the status that a room already has takes the right to set it from any other status.
        return (was, to) in granted or (was == to and any(target == to for _, target in granted))

    def change(
        self,
        room: Room,
        to: str,
        who: str,
        source: str,
        note: str = "",
        *,
        priority: str = "",
        inspected: bool = False,
        clears: bool = False,
        force: bool = False,
        returning: bool = False,
    ) -> None:
        """Change the status, with the checks in the documented order."""
        was = room.status
        if source != "SYSTEM" and not self.may_change(who, was, to, source):
            raise Refused("PERMISSION_DENIED")
        if was == to:
            return
        if source != "MANAGER_OVERRIDE" and not returning and to not in MAP[was]:
            raise Refused("INVALID_TRANSITION")
        occupied = self.guest(room) is not None
        if to == OCC and not occupied:
            raise Refused("NOBODY_IN_HOUSE")
        if to not in (OCC, MAINT) and occupied:
            raise Refused("ROOM_OCCUPIED")
        ends_fault = room.flag and (clears or to == READY or (to == OCC and was in (MAINT, OOO)))
        may_end = source == "MANAGER_OVERRIDE" or (was in (MAINT, OOO) and "rooms.maintenance_clear" in RIGHTS[who])
        if ends_fault and not may_end:
            raise Refused("MAINTENANCE_OPEN")
        if to == OOO:
            self.take_away(room, who, force=force)
        room.status, room.version, room.set_by = to, room.version + 1, who
        self.audit.append((room.number, room.version, was, to, who, source))
        if to in (CLEANING, CLEANED):
            room.turnover_notes = joined(room.turnover_notes, note)
        if to in (CLEANING, DIRTY):
            room.unclean_since = self.now
        if to == CLEANED:
            room.cleaned = (self.now, who)
        if inspected or (was, to) == (CLEANED, READY):
            room.inspected = (self.now, who)
        if to == DIRTY and (was == OCC or source == "SYSTEM"):
            room.turnover_notes = ""
        if to == MAINT:
            self.flag(room, priority, note)
        elif ends_fault:
            room.flag, room.priority, room.fault_notes = False, "", ""
        if to in (CLEANED, READY):
            for task in self.tasks:
                if task.room is room and task.type == "TURNOVER" and task.waits:
                    task.status, task.started, task.assigned_to = DONE, True, task.assigned_to or who
        self.publish_room(room, was, source)

    @staticmethod
    def flag(room: Room, priority: str, note: str) -> None:
        new = priority or room.priority or "MED"
        room.flag, room.priority = True, max([room.priority, new], key=["", *PRIORITIES].index)
        room.fault_notes = joined(room.fault_notes, note)

    def set_status(
        self,
        who: str,
        *,
        room: int,
        to: str,
        source: str = "",
        expected: str = "",
        version: int | None = None,
        force: bool = False,
    ) -> None:
        target = self.rooms[room]
        if force and to == OOO:  # read as: the right to force is checked before anything else
            self.require(who, "bookings.supervise")
        if expected and expected != target.status:
            raise Refused("STATUS_CHANGED")
        if version is not None and version != target.version:
            raise Refused("PRECONDITION_FAILED")
        if not source:
            only_desk = not SOURCES["HOUSEKEEPING"] & {
                "housekeeping.status_transition",
                "housekeeping.status_override",
            } & (RIGHTS[who]) and ("housekeeping.status_front_desk" in RIGHTS[who])
            source = "FRONT_DESK" if only_desk else "HOUSEKEEPING"
        self.change(target, to, who, source, "a note", force=force)

    def override(self, who: str, *, room: int, to: str, note: str, force: bool = False) -> None:
        self.require(who, "housekeeping.status_override")
        if not note.strip():
            raise Refused("NOTE_REQUIRED")
        self.change(self.rooms[room], to, who, "MANAGER_OVERRIDE", note, force=force)

    def take_away(self, room: Room, who: str, *, to_type: str = "", force: bool) -> None:
        """Take a room away from its type: put it out of order or out of service, or change its type."""
        today, kind = self.business_day(), room.type
        there = [each for each in self.stays() if each.room is room]
        # A guest in house, or one who has booked the room's new type, keeps the room.
        leave = [
            each
            for each in there
            if each.status == CONFIRMED and each.type != to_type and max(self.held(each)) >= today
        ]
        keep = [each for each in there if to_type and each not in leave]
        served = room.active and room.status != OOO
        later = {night for each in self.stays() for night in self.held(each) if night >= today}

        def beyond(night: date, lost: int, gone: int) -> int:
            return self.sold(kind, night) - gone - (self.sellable(kind) - lost)

        kept = {night for each in keep for night in self.held(each)}
        worse = {night for night in later if served and night not in kept and self.sold(kind, night)}
        needed = {night for night in worse if beyond(night, 1, 0) > 0 and not self.settings["overbooking"]}
        if not force and (leave or needed):
            raise Refused("ROOM_NEEDED")
        # Read as: the room must still fit the parties that keep it, even with force.
        if any(each.party > self.beds[to_type] + each.extra for each in keep):
            raise Refused("ROOM_CAPACITY_EXCEEDED")
        upgraded = [each for each in leave if each.type != kind]
        for each in leave:
            each.room = None
            self.put_up_beds(each)
            self.publish(each, "booking_updated")
        if served and not self.settings["overbooking"]:
            for night in later:
                if self.sold(kind, night) and beyond(night, 1, int(night in kept)) > 0:
                    self.oversold[Oversold(kind, night, None, room.number, who)] += 1
        for each in upgraded:
            self.require_left(each, each.type, self.held(each), who, "forced")

    # --- turnover -----------------------------------------------------------------------------------------------------

    def start_cleaning(self, who: str, *, room: int) -> None:
        self.require(who, "rooms.status_transition")
        target = self.rooms[room]
        if target.status == CLEANING and target.set_by != who:
            raise Refused("ALREADY_IN_PROGRESS")
        self.change(target, CLEANING, who, "HOUSEKEEPING", "began")

    def mark_cleaned(self, who: str, *, room: int) -> None:
        self.require(who, "rooms.status_transition")
        self.change(self.rooms[room], CLEANED, who, "HOUSEKEEPING", "towels")

    def inspect(self, who: str, *, room: int, passed: bool) -> None:
        self.require(who, "rooms.inspect")
        target = self.rooms[room]
        to = (MAINT if target.flag else READY) if passed else DIRTY
        if target.status not in (
            CLEANED,
            to,
        ):  # read as: only a cleaned room is inspected; the same call again is a retry
            raise Refused("INVALID_TRANSITION")
        self.change(target, to, who, "HOUSEKEEPING", inspected=passed)

    def flag_fault(self, who: str, *, room: int, priority: str, note: str) -> None:
        self.require(who, "rooms.maintenance_flag")
        target = self.rooms[room]
        if target.status != MAINT:
            self.change(target, MAINT, who, "HOUSEKEEPING", note, priority=priority)
            return
        before = (target.priority, target.fault_notes)
        self.flag(target, priority, note)
        if before != (target.priority, target.fault_notes):
            self.publish_room(target, MAINT, "HOUSEKEEPING")

    def complete_fault(self, who: str, *, room: int) -> None:
        self.require(who, "rooms.maintenance_clear")
        target = self.rooms[room]
        if target.status == MAINT:
            turned_over = (
                target.cleaned is not None
                and target.inspected is not None
                and (target.unclean_since is None or target.unclean_since <= target.cleaned[0])
                and target.cleaned[0] <= target.inspected[0]
            )
            to = OCC if self.guest(target) else READY if turned_over else DIRTY
            self.change(target, to, who, "HOUSEKEEPING", "mended", clears=True)
        elif target.flag:
            target.flag, target.priority, target.fault_notes = False, "", ""
            target.turnover_notes = joined(target.turnover_notes, "mended")
            self.publish_room(target, target.status, "HOUSEKEEPING")

    def set_active(self, who: str, *, room: int, is_active: bool, force: bool = False) -> None:
        self.require(who, "rooms.inventory_update")
        target = self.rooms[room]
        if target.active == is_active:
            return
        if self.guest(target):
            raise Refused("ROOM_OCCUPIED")
        if not is_active:
            self.take_away(target, who, force=force)
        target.active = is_active
        self.publish_room(target, target.status, "SYSTEM")

    def set_type(self, who: str, *, room: int, kind: str, force: bool = False) -> None:
        self.require(who, "rooms.inventory_update")
        target = self.rooms[room]
        if target.type != kind:
            self.take_away(target, who, to_type=kind, force=force)
            target.type = kind
            self.publish_room(target, target.status, "SYSTEM")

    def set_beds(self, who: str, *, kind: str, beds: int) -> None:
        """Set the maximum occupancy of a room type."""
        self.require(who, "rooms.type_manage")
        for each in self.bookings:
            if (
                each.status in (PENDING, CONFIRMED, IN_HOUSE)
                and each.counts_as == kind
                and beds + each.extra < each.party
            ):
                raise Refused("ROOM_CAPACITY_EXCEEDED")
        self.beds[kind] = beds

    def set_rules(self, who: str, **settings: Any) -> None:
        """Change the hotel's settings; existing bookings keep their approval deadlines."""
        self.require(who, "bookings.manage_rules")
        stops = self.settings["overbooking"] and not settings.get("overbooking", True)
        self.settings.update(settings)
        if stops:
            later = {night for each in self.stays() for night in self.held(each) if night >= self.business_day()}
            for kind in self.beds:
                for night in later:
                    if (beyond := self.sold(kind, night) - self.sellable(kind)) > 0 and self.sold(kind, night):
                        self.oversold[Oversold(kind, night, None, None, None)] += beyond

    # --- tasks --------------------------------------------------------------------------------------------------------

    def task(self, number: int) -> Task:
        if self.tasks[number].gone:
            raise Refused("TASK_NOT_FOUND")
        return self.tasks[number]

    def open_task(self, who: str, *, room: int, kind: str, booking: int | None = None) -> None:
        self.require(who, "housekeeping.task_create")
        it = None if booking is None else self.bookings[booking]
        over = it is not None and it.status in (COMPLETED, DECLINED, CANCELLED, EXPIRED, NO_SHOW)
        # Read as: after the stay began, a room may be inspected or cleaned for that booking.
        if over and (kind == "AMENITY" or (kind != "TURNOVER" and it.checked_in_at is None)):
            raise Refused("BOOKING_IS_OVER")
        self.tasks.append(Task(self.rooms[room], kind, booking=it))

    def _of(self, it: Booking, *kinds: str) -> list[Task]:
        return [task for task in self.tasks if task.booking is it and task.waits and task.type in kinds]

    def _call_off(self, it: Booking) -> None:
        """Cancel the tasks of a guest who does not arrive; a turnover belongs to the room and stays."""
        for task in self._of(it, *FOR_THE_ARRIVAL):
            task.status, task.cancelled_at = CANCELLED, self.now

    def _follow(self, it: Booking, room: Room, *kinds: str) -> None:
        for task in self._of(it, *kinds):
            task.room = room

    def assign_task(self, who: str, *, task: int, to: str | None) -> None:
        self.require(who, "housekeeping.task_assign")
        found = self.task(task)
        if found.status not in (OPEN, IN_PROGRESS):
            raise Refused("INVALID_TASK_STEP")
        found.assigned_to = to

    def delete_task(self, who: str, *, task: int) -> None:
        self.require(who, "housekeeping.task_cancel")
        found = self.task(task)
        if found.started:
            raise Refused("INVALID_TASK_STEP")
        found.gone = True

    def start_task(self, who: str, *, task: int) -> None:
        self.require(who, "housekeeping.task_execute")
        found = self.task(task)
        self._require_mine(who, found)
        if found.status not in (OPEN, IN_PROGRESS):
            raise Refused("INVALID_TASK_STEP")
        found.status, found.started, found.assigned_to = IN_PROGRESS, True, found.assigned_to or who

    def complete_task(self, who: str, *, task: int) -> None:
        self.require(who, "housekeeping.task_execute")
        found = self.task(task)
        self._require_mine(who, found)
        if found.status not in (IN_PROGRESS, DONE):
            raise Refused("INVALID_TASK_STEP")
        found.status = DONE

    def cancel_task(self, who: str, *, task: int) -> None:
        self.require(who, "housekeeping.task_cancel")
        found = self.task(task)
        if found.status == DONE:
            raise Refused("INVALID_TASK_STEP")
        found.status, found.cancelled_at = CANCELLED, self.now

    @staticmethod
    def _require_mine(who: str, task: Task) -> None:
        if task.assigned_to not in (None, who) and "housekeeping.task_assign" not in RIGHTS[who]:
            raise Refused("TASK_ASSIGNED_TO_OTHER")

    # --- bookings -----------------------------------------------------------------------------------------------------

    def create(self, who: str, *, card: bool = False, **stay: Any) -> None:
        self._create(who, status=PENDING if card else CONFIRMED, card=card, **stay)

    def request(self, who: str, **stay: Any) -> None:
        """A guest's request without a card, which needs approval."""
        self._create(who, status=PENDING, **stay)

    def _create(
        self, who: str, *, kind: str, check_in: date, check_out: date, status: str, reason: str = "", **party: Any
    ) -> None:
        self.require(who, "bookings.create")
        self.require_dates(check_in, check_out)
        booking = Booking(len(self.bookings), kind, status, check_in, check_out, **party)
        self.require_beds(booking, kind, who, reason)
        self.put_up_beds(booking)
        self.require_left(None, kind, stay_nights(check_in, check_out))
        if status == PENDING:
            today, cutoff = self.local_time.date(), self.settings["approval_cutoff"]
            late = self.at(today, cutoff) <= self.now
            booking.deadline = self.at(today + DAY if late else today, cutoff)
        self.bookings.append(booking)
        self.steps.append((booking.number, "", booking.status))
        self.publish(booking, "booking_created")

    def edit(
        self,
        who: str,
        *,
        booking: int,
        check_in: date | None = None,
        check_out: date | None = None,
        notes: str | None = None,
        adults: int | None = None,
        children: int | None = None,
        kind: str | None = None,
        stale: bool = False,
        reason: str = "",
    ) -> None:
        self.require(who, "bookings.update")
        it = self.bookings[booking]
        if stale:
            raise Refused("PRECONDITION_FAILED")
        begins, ends = check_in or it.check_in, check_out or it.check_out
        moves = (begins, ends) != (it.check_in, it.check_out)
        grows = adults not in (None, it.adults) or children not in (None, it.children)
        retypes = kind not in (None, it.type)
        if not moves and not grows and not retypes and notes in (None, it.notes):
            return
        if (moves or grows or retypes) and it.status not in (PENDING, CONFIRMED, IN_HOUSE):
            raise Refused("BOOKING_NOT_ELIGIBLE")
        if it.status == IN_HOUSE and (begins != it.check_in or retypes):
            raise Refused("BOOKING_ALREADY_CHECKED_IN")
        then = replace(it, check_in=begins, check_out=ends, type=kind or it.type)
        if moves:
            self.require_dates(begins, ends)
            if it.room:
                self.require_free(it.room, self.held(then), it)
        if retypes and it.room and it.room.type != kind:
            raise Refused("ROOM_ASSIGNED")
        if moves or retypes:
            # Read as: a booking keeps the nights that it already has, even if the hotel has sold out since. A request
            # holds none yet, but cannot ask for nights that are not available.
            had = set(stay_nights(it.check_in, it.check_out)) if then.counts_as == it.counts_as else set()
            self.require_left(
                it, then.counts_as, [day for day in stay_nights(begins, ends) if day not in had], who, reason
            )
        party = it.party
        then = replace(
            then,
            adults=it.adults if adults is None else adults,
            children=it.children if children is None else children,
        )
        if then.party > party or then.counts_as != it.counts_as:
            self.require_beds(then, then.counts_as, who, reason)
        it.type = then.type
        if moves:
            was_leaving = it.check_out <= self.local_time.date()
            if it.status == IN_HOUSE:
                self._settle_overstay(it)
                it.flagged_at = it.acknowledged_at = None
            it.check_in, it.check_out = begins, ends
            if it.status == IN_HOUSE and was_leaving:
                self._open_stayover(it)
        it.notes = it.notes if notes is None else notes
        it.adults, it.children = then.adults, then.children
        if it.party != party or retypes:
            self.put_up_beds(it)
        self.publish(it, "booking_updated")

    def mark_seen(self, who: str, *, booking: int) -> None:
        self.require(who, "bookings.update")
        it = self.bookings[booking]
        if it.seen is None:
            it.seen = (self.now, who)
            self.publish(it, "booking_updated")

    def companions(self, who: str, *, booking: int, count: int, reason: str = "") -> None:
        self.require(who, "bookings.update")
        it = self.bookings[booking]
        if it.status not in (PENDING, CONFIRMED, IN_HOUSE):
            raise Refused("BOOKING_NOT_ELIGIBLE")
        if it.named != count:
            then = replace(it, named=count)
            if then.party > it.party:
                self.require_beds(then, it.counts_as, who, reason)
            other = then.party != it.party
            it.named = count
            if other:
                self.put_up_beds(it)
            self.publish(it, "booking_party_updated")

    def _require_open(self, it: Booking) -> None:
        if it.status == EXPIRED or (it.status == PENDING and it.deadline is not None and it.deadline < self.now):
            raise Refused("BOOKING_EXPIRED")
        if it.status != PENDING:
            raise Refused("BOOKING_NOT_ELIGIBLE")

    def confirm(self, who: str, *, booking: int) -> None:
        self.require(who, "bookings.update")
        it = self.bookings[booking]
        if it.status == CONFIRMED:
            return
        if it.card:
            raise Refused("STRIPE_BOOKING")
        self._require_open(it)
        self.require_left(it, it.type, self.held(it))
        self.become(it, CONFIRMED)
        self.publish(it, "booking_confirmed", "booking_confirmed")

    def approve(self, who: str, *, booking: int) -> None:
        self.require(who, "bookings.update")
        it = self.bookings[booking]
        if it.status == CONFIRMED:
            return
        self._require_open(it)
        if it.card:
            raise Refused("PAYMENTS_NOT_CONFIGURED")
        self.require_left(it, it.type, self.held(it))
        self.become(it, CONFIRMED)
        it.seen = it.seen or (self.now, who)
        self.publish(it, "booking_confirmed", "booking_confirmed")

    def decline(self, who: str, *, booking: int) -> None:
        self.require(who, "bookings.cancel")
        it = self.bookings[booking]
        if it.status == DECLINED:
            return
        if it.status != PENDING:
            raise Refused("BOOKING_NOT_ELIGIBLE")
        if it.card:
            raise Refused("PAYMENTS_NOT_CONFIGURED")
        self.become(it, DECLINED)
        self._call_off(it)
        it.seen = it.seen or (self.now, who)
        self.publish(it, "booking_updated", "booking_declined")

    def cancel(self, who: str, *, booking: int, reason: str) -> None:
        self.require(who, "bookings.cancel")
        it = self.bookings[booking]
        if it.card:
            raise Refused("STRIPE_BOOKING")
        if it.status == CANCELLED:
            return
        if it.status == IN_HOUSE:
            if not (reason.strip() and "bookings.supervise" in RIGHTS[who]):
                raise Refused("BOOKING_ALREADY_CHECKED_IN")
        elif it.status != CONFIRMED:
            raise Refused("BOOKING_NOT_ELIGIBLE")
        left = [it.room] if it.status == IN_HOUSE and it.room else []
        self.become(it, CANCELLED)
        it.cancelled_at, it.room = self.now, None
        self.put_up_beds(it)
        if left:
            it.checked_out_at = self.now
            self._settle_overstay(it)
        else:
            self._call_off(it)
        self._vacate([(it, room) for room in left], who)
        self.publish(it, "booking_cancelled", "booking_cancelled", left)

    def no_show(self, who: str, *, booking: int) -> None:
        self.require(who, "bookings.cancel")
        it = self.bookings[booking]
        if it.status == NO_SHOW:
            return
        if it.status != CONFIRMED:
            raise Refused("BOOKING_NOT_ELIGIBLE")
        if self.business_day() <= it.check_in:
            raise Refused("ARRIVAL_NOT_OVER")
        self.become(it, NO_SHOW)
        it.room = None
        self.put_up_beds(it)
        self._call_off(it)
        self.publish(it, "booking_no_show")

    def reinstate(self, who: str, *, booking: int) -> None:
        self.require(who, "bookings.supervise")
        it = self.bookings[booking]
        # Read as: a stay whose departure has passed cannot be reinstated, just as it could not be booked.
        if it.status not in (CANCELLED, NO_SHOW) or it.check_out < self.business_day():
            raise Refused("BOOKING_NOT_ELIGIBLE")
        self.require_left(it, it.type, stay_nights(it.check_in, it.check_out))
        self.become(it, CONFIRMED)
        # Read as: a supervisor's reason also allows a party that no longer fits the room type.
        self.put_up_beds(it)
        it.arrived = None
        it.cancelled_at = it.checked_in_at = it.checked_out_at = it.moved_at = None
        it.flagged_at = it.acknowledged_at = None
        self.publish(it, "booking_updated")

    def undo_check_in(self, who: str, *, booking: int) -> None:
        self.require(who, "bookings.supervise")
        it = self.bookings[booking]
        self._require_in_house(it)
        if self.business_day(it.checked_in_at) != self.business_day():
            raise Refused("CHECKIN_TOO_LONG_AGO")
        left = [it.room] if it.room else []
        self._settle_overstay(it)
        self.become(it, CONFIRMED)
        it.arrived = it.checked_in_at = it.flagged_at = it.acknowledged_at = it.moved_at = None
        self._vacate([(it, room) for room in left], who)
        self.publish(it, "booking_updated", moved=left)

    @staticmethod
    def _require_assignable(it: Booking) -> None:
        if it.status == IN_HOUSE:
            raise Refused("BOOKING_ALREADY_CHECKED_IN")
        if it.status != CONFIRMED:
            raise Refused("BOOKING_NOT_ELIGIBLE")

    def _require_fitting(self, it: Booking, room: Room, who: str, reason: str, upgrade: bool) -> None:
        if self.settings["whole_party"] and it.adults - 1 > it.named:
            raise Refused("PARTY_INCOMPLETE")
        if room.type != it.type and not (upgrade or self.supervises(who, reason)):
            raise Refused("ROOM_TYPE_MISMATCH")
        if not room.active or room.status == OOO:
            raise Refused("ROOM_NOT_BOOKABLE")
        self.require_beds(it, room.type, who, reason)
        self.require_free(room, self.held(it), it)
        self._require_other_type(it, room.type, who, reason)

    def _require_other_type(self, it: Booking, kind: str, who: str, reason: str) -> None:
        if it.counts_as != kind:
            self.require_left(it, kind, self.held(it), who, reason)

    def assign(self, who: str, *, booking: int, room: int, reason: str = "", upgrade: bool = False) -> None:
        self.require(who, "bookings.assign_room")
        it, target = self.bookings[booking], self.rooms[room]
        self._require_assignable(it)
        if it.room is target:
            return
        self._require_fitting(it, target, who, reason, upgrade)
        it.room = target
        self.put_up_beds(it)
        self._follow(it, target, *FOR_THE_ARRIVAL)
        self.publish(it, "booking_updated", "booking_room_assigned")

    def unassign(self, who: str, *, booking: int, reason: str = "") -> None:
        self.require(who, "bookings.assign_room")
        it = self.bookings[booking]
        if it.room is None:
            return
        self._require_assignable(it)
        # Read as: an upgraded party needs a room of the booked type again, with enough beds.
        if it.counts_as != it.type:
            self.require_beds(it, it.type, who, reason)
        self._require_other_type(it, it.type, who, reason)
        it.room = None
        self.put_up_beds(it)
        self.publish(it, "booking_updated")

    def _window(self, it: Booking) -> str:
        if self.local_time.date() < it.check_in:
            return "CHECKIN_WRONG_DATE"
        if self.now < self.at(it.check_in, self.settings["earliest_check_in"]):
            return "CHECKIN_TOO_EARLY"
        # Read as: a guest may arrive until the business day of the last night ends.
        return "CHECKIN_TOO_LATE" if self.now >= self.at(it.free_from, self.settings["cutoff"]) else ""

    def _require_ready(self, room: Room) -> None:
        if self.guest(room) or not room.bookable:
            raise Refused("ROOM_NOT_READY")

    def check_in(
        self, who: str, *, booking: int, room: int | None = None, reason: str = "", upgrade: bool = False
    ) -> None:
        self.require(who, "bookings.checkin")
        it = self.bookings[booking]
        if it.status == IN_HOUSE:
            return
        if it.status != CONFIRMED:
            raise Refused("BOOKING_NOT_ELIGIBLE")
        outside = self._window(it)
        if outside and not (reason.strip() and "bookings.supervise" in RIGHTS[who]):
            raise Refused(outside)
        target = self.rooms[room] if room else it.room
        if target is None:
            raise Refused("BOOKING_NOT_ELIGIBLE")
        if target is it.room:
            self.require_beds(it, target.type, who, reason)
        else:
            self._require_fitting(it, target, who, reason, upgrade)
        # A guest who arrives early, or after the departure date, needs nights that were not booked.
        held = self.held(it, in_house=True)
        if more := held - self.held(it):
            self.require_free(target, held, it)
            self.require_left(it, target.type, more, who, reason)
        self._require_ready(target)
        if target is not it.room:
            self._follow(it, target, *FOR_THE_ARRIVAL)
        self._move_in([(it, target)], who, "FRONT_DESK")

    def _move_in(self, arrivals: Sequence[tuple[Booking, Room]], who: str, source: str) -> None:
        for it, room in arrivals:
            self.become(it, IN_HOUSE)
            it.checked_in_at, it.room, it.arrived = self.now, room, self.business_day()
            self.put_up_beds(it)
        for _, room in arrivals:
            self.change(room, OCC, who, source)
        for it, room in arrivals:
            self.publish(it, "booking_checked_in", "booking_checked_in", [room])

    def check_in_rooms(self, who: str, *, rooms: Sequence[int]) -> None:
        self.require(who, "bookings.checkin")
        going = []
        for number in rooms:
            room = self.rooms[number]
            due = [
                each
                for each in self.bookings
                if each.status == CONFIRMED
                and each.room is room
                # Late arrivals are included, until the business day of the last night ends.
                and each.check_in <= self.business_day() < each.free_from
            ]
            fits = due and due[0].party <= self.beds[room.type] + due[0].extra
            if due and fits and not self._window(due[0]) and not self.guest(room) and room.bookable:
                going.append((due[0], room))
        if not going:
            raise Refused("NOTHING_DONE")
        self._move_in(going, who, "SYSTEM")

    @staticmethod
    def _require_in_house(it: Booking) -> None:
        if it.status != IN_HOUSE:
            raise Refused("BOOKING_ALREADY_CHECKED_OUT" if it.checked_out_at else "BOOKING_NOT_CHECKED_IN")

    def _vacate(self, left: Sequence[tuple[Booking, Room]], who: str) -> None:
        for it, room in left:
            self.change(room, DIRTY, who, "SYSTEM")
            for task in self.tasks:
                if task.waits and task.type == "STAYOVER" and (task.room is room or task.booking is it):
                    task.status, task.cancelled_at = CANCELLED, self.now
            if it.status in (COMPLETED, CANCELLED):  # neither moved nor expected back
                for task in self._of(it, "AMENITY"):
                    task.status, task.cancelled_at = CANCELLED, self.now
            if not any(task.room is room and task.type == "TURNOVER" and task.waits for task in self.tasks):
                self.tasks.append(Task(room, "TURNOVER", booking=it))

    def _leave(self, leaving: Sequence[Booking], who: str) -> None:
        for it in leaving:
            self.become(it, COMPLETED)
            it.checked_out_at, it.checked_out_by = self.now, who
            self._settle_overstay(it)
        self._vacate([(it, it.room) for it in leaving if it.room], who)
        for it in leaving:
            self.publish(it, "booking_checked_out", "booking_checked_out", [it.room] if it.room else [])

    def check_out(self, who: str, *, booking: int) -> None:
        self.require(who, "bookings.checkout")
        it = self.bookings[booking]
        if it.status == COMPLETED:
            return
        self._require_in_house(it)
        self._leave([it], who)

    def undo_check_out(self, who: str, *, booking: int, room: int | None = None, reason: str = "") -> None:
        if not {"bookings.checkout", "bookings.supervise"} & RIGHTS[who]:
            raise Refused("PERMISSION_DENIED")
        it = self.bookings[booking]
        left_at, old = it.checked_out_at, it.room
        if it.status != COMPLETED or left_at is None or old is None:
            raise Refused("BOOKING_NOT_CHECKED_OUT")
        is_own = it.checked_out_by == who and self.now <= left_at + timedelta(minutes=15)
        if not is_own and not self.supervises(who, reason):
            raise Refused("PERMISSION_DENIED")
        if self.business_day(left_at) != self.business_day():
            raise Refused("CHECKOUT_TOO_LONG_AGO")
        new = self.rooms[room] if room else old
        if not new.active or new.status == OOO:
            raise Refused("ROOM_OUT_OF_ORDER")
        if self.guest(new):
            raise Refused("ROOM_OCCUPIED")
        # Read as: a fault that was open before the check-out, so that the room is not in maintenance, is accepted.
        if new.status == MAINT if new is old else not new.bookable:
            raise Refused("ROOM_NOT_READY")
        self.require_beds(it, new.type, who, reason)
        nights = self.held(it, in_house=True)
        if new is old:  # without tonight, if the guest is overdue
            nights = {night for night in nights if night < it.free_from}
        self.require_free(new, nights, it)
        self.require_left(it, new.type, nights, who, reason)
        self.become(it, IN_HOUSE)
        it.checked_out_at = None
        if new is not old:
            it.room, it.moved_at = new, self.now
        self.put_up_beds(it)
        if it.flagged_at:
            _, note = it.overstays[it.check_out]
            it.overstays[it.check_out] = ("ACKED" if it.acknowledged_at else "OPEN", note)
        self.change(new, OCC, who, "SYSTEM", returning=True)
        self._resume(it, new, left_at)
        self.publish(it, "booking_updated", "booking_checked_in", [new])

    def _resume(self, it: Booking, room: Room, left_at: datetime) -> None:
        """The turnover for a guest who is back ends, and the tasks for them that the check-out cancelled go on."""
        for task in self.tasks:
            if task.gone or task.booking is not it:
                continue
            if task.type == "TURNOVER" and task.room is room and task.waits:
                task.status, task.cancelled_at = CANCELLED, self.now
            stale = task.for_date is not None and task.for_date < self.local_time.date()
            here = task.type == "STAYOVER" and task.room is room and not stale
            cancelled = task.status == CANCELLED and task.cancelled_at is not None and task.cancelled_at >= left_at
            if cancelled and (here or task.type == "AMENITY"):
                task.room, task.cancelled_at = room, None
                task.status = IN_PROGRESS if task.started else OPEN
        self._open_stayover(it)

    def check_out_rooms(self, who: str, *, rooms: Sequence[int]) -> None:
        self.require(who, "rooms.checkout_bulk")
        leaving = [
            each for each in self.bookings if each.status == IN_HOUSE and each.room and each.room.number in rooms
        ]
        if not leaving:
            raise Refused("NOTHING_DONE")
        self._leave(leaving, who)

    def move(self, who: str, *, booking: int, room: int) -> None:
        self.require(who, "bookings.assign_room")
        it, new = self.bookings[booking], self.rooms[room]
        self._require_in_house(it)
        old = it.room
        if old is None or old is new:
            return
        if not new.active or new.status == OOO:
            raise Refused("ROOM_OUT_OF_ORDER")
        if self.guest(new):
            raise Refused("ROOM_OCCUPIED")
        if not new.bookable:
            raise Refused("ROOM_NOT_READY")
        reason = "the shower drips"  # the reason that RealHotel always gives
        if self.beds[new.type] < self.beds[old.type]:
            self.require_beds(it, new.type, who, reason)
        # Read as: the room is needed from tonight, even for a guest who came early or is overdue.
        self.require_free(new, self.held(it), it)
        self._require_other_type(it, new.type, who, reason)
        it.room, it.moved_at = new, self.now
        self.put_up_beds(it)
        self._vacate([(it, old)], who)
        self._follow(it, new, "AMENITY")
        self.change(new, OCC, who, "SYSTEM")
        self.publish(it, "booking_updated", "booking_room_moved", [old, new])

    # --- overstays ----------------------------------------------------------------------------------------------------

    def _flag(self, it: Booking) -> None:
        it.flagged_at = self.now
        _, note = it.overstays.get(it.check_out, ("", ""))
        it.overstays[it.check_out] = ("OPEN", note)
        self.publish(it, "booking_overstay_flagged")

    @staticmethod
    def _settle_overstay(it: Booking) -> None:
        if it.flagged_at:
            it.overstays = {day: ("RESOLVED", note) for day, (_, note) in it.overstays.items()}

    def acknowledge(self, who: str, *, booking: int, note: str, dismiss: bool) -> None:
        self.require(who, "bookings.resolve_overstay")
        it = self.bookings[booking]
        self._require_in_house(it)
        if not self.overdue(it):
            raise Refused("NO_OVERSTAY")
        if it.flagged_at is None:
            self._flag(it)
        status, said = it.overstays[it.check_out]
        status_after = "DISMISSED" if dismiss else "ACKED"
        if status == status_after and note in ("", said):
            return
        it.overstays[it.check_out] = (status_after, note or said)
        it.acknowledged_at = self.now
        self.publish(it, "booking_overstay_acknowledged")

    def extend(self, who: str, *, booking: int, nights: int = 0, until: date | None = None, reason: str = "") -> None:
        self.require(who, "bookings.extend")
        it = self.bookings[booking]
        self._require_in_house(it)
        until = until or it.check_out + nights * DAY
        if until <= it.check_out:
            raise Refused("VALIDATION_ERROR")
        then = replace(it, check_out=until)
        if it.room:
            self.require_free(it.room, self.held(then), it)
            had = set(stay_nights(it.check_in, it.check_out))
            more = [day for day in stay_nights(it.check_in, until) if day not in had]
            self.require_left(it, it.room.type, more, who, reason)
        self._settle_overstay(it)
        was_leaving = it.check_out <= self.local_time.date()
        it.check_out, it.flagged_at, it.acknowledged_at = until, None, None
        if was_leaving:
            self._open_stayover(it)
        self.publish(it, "booking_overstay_extended")

    # --- time ---------------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """The periodic work."""
        for it in self.bookings:
            if it.status == PENDING and it.deadline and it.deadline < self.now:
                self.become(it, EXPIRED)
                self._call_off(it)
                it.expired_at = self.now
                self.publish(it, "booking_expired")
        for it in self.bookings:
            if it.status == IN_HOUSE and it.flagged_at is None and self.overdue(it):
                self._flag(it)
        today = self.local_time.date()
        if self.local_time.time() >= MORNING and self.stayover_day != today:
            for task in self.tasks:
                if task.status == OPEN and not task.gone and task.for_date and task.for_date < today:
                    task.status, task.cancelled_at = CANCELLED, self.now
            for it in self.bookings:
                if it.status == IN_HOUSE:
                    self._open_stayover(it)
            # Read as: the day's stayovers are opened once, when check-ins from before the morning are all stored.
            if self.local_time.time() >= time(MORNING.hour, MORNING.minute + 1):
                self.stayover_day = today

    def _open_stayover(self, it: Booking) -> None:
        """Today's task for a guest in house. Read as: for a guest who woke up in the room and stays another night."""
        today, since = self.local_time.date(), it.moved_at or it.checked_in_at
        if self.local_time.time() < MORNING or not (it.room and since) or it.check_out <= today:
            return
        has_one = any(task.room is it.room and task.for_date == today and not task.gone for task in self.tasks)
        if since < self.at(today, MORNING) and not has_one:
            self.tasks.append(Task(it.room, "STAYOVER", for_date=today, booking=it))


def stay_nights(check_in: date, check_out: date) -> list[date]:
    return [check_in + number * DAY for number in range((first_free(check_in, check_out) - check_in).days)]
