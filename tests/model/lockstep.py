"""Takes each step on the real hotel and on the reference hotel, and compares everything that it changed."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

from django.db import transaction

from common import clock
from common.dry_run import Rehearsal
from common.errors import HotelMateError, NotAllowed
from hotel import rights
from hotel.models import Hotel, Staff
from hotel.services import update_access_config
from hotel.staff_views import (
    StaffBookingApprovalView,
    StaffBookingCancelView,
    StaffBookingOverstayView,
    StaffBookingRoomView,
    StaffBookingStayView,
    StaffBookingView,
)
from hotel.views import AccessConfigViewSet
from housekeeping import turnover
from housekeeping.models import HousekeepingTask
from housekeeping.policy import default_source
from housekeeping.services import set_room_status
from housekeeping.task_services import (
    assign_task,
    cancel_task,
    complete_task,
    create_task,
    delete_task,
    start_task,
)
from housekeeping.views import RoomStatusViewSet, TaskViewSet
from operations.periodic import tick
from room_bookings.models import RoomBooking
from room_bookings.services.approval import approve_booking, confirm_booking, decline_booking
from room_bookings.services.bulk import BulkResult, NothingDone
from room_bookings.services.cancel import cancel_booking
from room_bookings.services.check_in import check_in, check_in_rooms
from room_bookings.services.checkout import check_out, check_out_rooms
from room_bookings.services.create import create_booking
from room_bookings.services.edit import edit_booking, mark_seen, set_companions
from room_bookings.services.no_show import mark_no_show
from room_bookings.services.overstay import acknowledge_overstay, extend_stay
from room_bookings.services.reinstate import reinstate_booking
from room_bookings.services.room_assignment import assign_room, unassign_room
from room_bookings.services.room_move import move_room
from room_bookings.services.room_removal import force_room_status, force_room_update
from room_bookings.services.undo_check_in import undo_check_in
from room_bookings.services.undo_check_out import undo_check_out
from rooms.models import Room
from rooms.services import update_room, update_room_type
from rooms.views import RoomManagementViewSet, RoomTypeViewSet, TurnoverViewSet
from tests.factories import HotelFactory, NewRoomFactory, RoomTypeFactory, StaffFactory
from tests.model.asking import ask
from tests.model.reference_hotel import DAY, Oversold, ReferenceHotel, Refused
from tests.refusals import check_deferred_constraints
from tests.room_bookings.small_hotel import all_rows, assert_invariants_hold

PEOPLE = {
    "agent": rights.FRONT_DESK_AGENT,
    "office": rights.FRONT_OFFICE_MANAGER,
    "housekeeper": rights.HOUSEKEEPER,
    "supervisor": rights.HOUSEKEEPING_SUPERVISOR,
    "manager": rights.HOTEL_MANAGER,
}
ROOMS = {101: "A", 102: "A", 201: "B"}
BEDS = {"A": 2, "B": 3}
CHECK_EVERY = 10  # steps between checks of the invariants
REHEARSE_EVERY = 3  # steps between dry runs of the next step
# The tables whose rows a dry run must predict.
REHEARSED = {model.__name__: model._meta.db_table for model in (Room, RoomBooking, HousekeepingTask)}


class Setting(NamedTuple):
    """The start time and the settings of a hotel."""

    now: datetime
    timezone: str
    overbooking: bool = False
    whole_party: bool = False


# Each starts on the afternoon before a clock change.
SETTINGS = {
    "dublin": Setting(datetime(2026, 3, 28, 14, tzinfo=UTC), "Europe/Dublin"),
    "new york": Setting(datetime(2026, 10, 31, 18, tzinfo=UTC), "America/New_York", overbooking=True, whole_party=True),
}


class RealHotel:
    """A hotel in the database; takes each step as its view does: check the right, call the service."""

    def __init__(self, name: str):
        self.setting = setting = SETTINGS[name]
        with clock.set_to(setting.now):
            self.hotel: Hotel = HotelFactory(
                slug="model",
                timezone=setting.timezone,
                allow_overbooking=setting.overbooking,
                require_complete_party=setting.whole_party,
            )
            self.types = {
                code: RoomTypeFactory(hotel=self.hotel, code=code, max_occupancy=beds) for code, beds in BEDS.items()
            }
            self.rooms: dict[int, Room] = {
                number: NewRoomFactory(hotel=self.hotel, room_type=self.types[code], room_number=number)
                for number, code in ROOMS.items()
            }
            self.staff: dict[str, Staff] = {
                who: StaffFactory(hotel=self.hotel, role=role) for who, role in PEOPLE.items()
            }
        self.who_is = {staff.pk: who for who, staff in self.staff.items()}
        self.code_of = {room_type.pk: code for code, room_type in self.types.items()}
        self.number_of = {room.pk: number for number, room in self.rooms.items()}
        self.bookings: list[RoomBooking] = []
        self.tasks: list[int] = []

    def take(self, step: str, who: str, args: Mapping[str, Any]) -> Any:
        """Take one step; raises what the services raise."""
        if step == "tick":
            return tick()
        # The member with the hotel as a request loads them.
        staff = Staff.objects.select_related("hotel", "user").get(pk=self.staff[who].pk)
        self.hotel, given = staff.hotel, {**STEPS[step].arguments, **args}
        if given.get("room"):
            given["room"] = self.rooms[args["room"]]
        if "rooms" in args:
            given["rooms"] = [self.rooms[number] for number in args["rooms"]]
        if "booking" in args:
            given["booking"] = RoomBooking.objects.get(pk=self.bookings[args["booking"]].pk)
        if "task" in args:
            given["task"] = HousekeepingTask(pk=self.tasks[args["task"]])
        if step in TAKES_HOTEL:
            given["real"] = self
        said = ask(step, staff, given)
        refusal = None
        try:
            return self._take(step, staff, given)
        except HotelMateError as error:
            refusal = error
            raise
        finally:
            assert said is None or said.agrees_with(refusal), f"{step} {args} by {who}: {said}, but {refusal!r}"

    def _take(self, step: str, staff: Staff, given: Mapping[str, Any]) -> Any:
        view, action, service, _ = STEPS[step]
        needed = view.rights.get(action, view.rights.get("*"))
        if needed is not None and not any(staff.can(right) for right in needed):
            raise NotAllowed("Permission denied: your role does not include this.")
        return service(staff=staff, **given)


# --- adapters from the steps' arguments to the services' arguments ----------------------------------------------------


def _set_status(
    *,
    room: Room,
    staff: Staff,
    to: str,
    source: str = "",
    expected: str = "",
    version: int | None = None,
    note: str = "a note",
    force: bool = False,
) -> None:
    change = force_room_status if force else set_room_status
    change(
        room=room,
        to_status=to,
        staff=staff,
        source=source or default_source(staff),
        note=note,
        expected_status=expected or None,
        expected_versions=None if version is None else [version],
    )


def _create(
    *,
    real: RealHotel,
    kind: str,
    card: bool = False,
    needs_approval: bool = False,
    reason: str = "",
    **given: Any,
) -> None:
    if card:
        given |= {"payment_provider": "stripe", "payment_reference": f"pi_{len(real.bookings)}"}
    booking = create_booking(
        hotel=real.hotel,
        room_type_id=real.types[kind].pk,
        primary_first_name="Ada",
        primary_last_name="Lovelace",
        needs_approval=needs_approval,
        override_reason=reason,
        **given,
    )
    real.bookings.append(booking)


def _edit(
    *,
    booking: RoomBooking,
    staff: Staff,
    real: RealHotel,
    notes: str | None = None,
    kind: str | None = None,
    stale: bool = False,
    reason: str = "",
    **given: Any,
) -> None:
    if kind is not None:
        given["room_type_id"] = real.types[kind].pk
    fields = {name: value for name, value in given.items() if value is not None}
    if notes is not None:
        fields["internal_notes"] = notes
    seen = booking.version - 1 if stale else booking.version
    edit_booking(booking=booking, staff=staff, expected_versions=[seen], override_reason=reason, **fields)


def _companions(*, booking: RoomBooking, count: int, staff: Staff, reason: str = "") -> None:
    people = [{"first_name": "Charles", "last_name": "Babbage"}, {"first_name": "Mary", "last_name": "Somerville"}]
    set_companions(booking=booking, staff=staff, companions=people[:count], override_reason=reason)


def _assign(*, room: Room, reason: str = "", **given: Any) -> None:
    assign_room(room_id=room.pk, override_reason=reason, **given)


def _unassign(*, reason: str = "", **given: Any) -> None:
    unassign_room(override_reason=reason, **given)


def _check_in(*, room: Room | None = None, reason: str = "", **given: Any) -> None:
    check_in(room_id=room and room.pk, override_reason=reason, **given)


def _undo_check_out(*, room: Room | None = None, **given: Any) -> None:
    undo_check_out(room_id=room and room.pk, **given)


def _move(*, room: Room, **given: Any) -> None:
    move_room(to_room_id=room.pk, reason="the shower drips", **given)


def _extend(*, nights: int | None = None, until: date | None = None, reason: str = "", **given: Any) -> None:
    extend_stay(add_nights=nights, new_checkout_date=until, override_reason=reason, **given)


def _several(service: Callable[..., BulkResult]) -> Callable[..., None]:
    def take(*, real: RealHotel, rooms: Sequence[Room], staff: Staff) -> None:
        if not service(hotel=real.hotel, room_ids=[room.pk for room in rooms], staff=staff).bookings:
            raise NothingDone("Nobody.")  # as the view raises

    return take


def _cancel_task(*, task: HousekeepingTask, staff: Staff) -> None:
    cancel_task(task=task)


def _delete_task(*, task: HousekeepingTask, staff: Staff) -> None:
    delete_task(task=task)


def _open_task(*, real: RealHotel, room: Room, kind: str, staff: Staff, booking: RoomBooking | None = None) -> None:
    reference = {"booking": booking.booking_id} if booking else {}
    create_task(hotel=real.hotel, staff=staff, room=room.pk, task_type=kind, **reference)


def _assign_task(*, real: RealHotel, task: HousekeepingTask, to: str | None, staff: Staff) -> None:
    assign_task(task=task, assigned_to_id=to and real.staff[to].pk)


def _set_active(*, room: Room, force: bool = False, **given: Any) -> None:
    change = force_room_update if force else update_room
    change(room=Room.objects.get(pk=room.pk), **given)  # as a request loads it


def _set_type(*, real: RealHotel, kind: str, **given: Any) -> None:
    _set_active(room_type_id=real.types[kind].pk, **given)


def _set_beds(*, real: RealHotel, kind: str, beds: int, staff: Staff) -> None:
    update_room_type(room_type=real.types[kind], max_occupancy=beds)


def _set_rules(*, real: RealHotel, staff: Staff, **settings: Any) -> None:
    if "grace" in settings:
        settings["grace"] = settings["grace"] // timedelta(minutes=1)
    update_access_config(hotel=real.hotel, **{COLUMNS[name]: value for name, value in settings.items()})


# The reference hotel's name of each setting, and the Hotel field.
COLUMNS = {
    "checkout_time": "standard_checkout_time",
    "grace": "late_checkout_grace_minutes",
    "earliest_check_in": "early_checkin_from",
    "cutoff": "late_arrival_cutoff",
    "approval_cutoff": "approval_cutoff_time",
    "overbooking": "allow_overbooking",
    "whole_party": "require_complete_party",
}


class Step(NamedTuple):
    """The view action that names the right, the service, and its fixed arguments."""

    view: Any
    action: str
    service: Callable[..., Any]
    arguments: Mapping[str, Any] = {}


STEPS = {
    "set_status": Step(RoomStatusViewSet, "update_status", _set_status),
    "override": Step(RoomStatusViewSet, "manager_override", _set_status, {"source": "MANAGER_OVERRIDE"}),
    "start_cleaning": Step(TurnoverViewSet, "start_cleaning", turnover.start_cleaning, {"note": "began"}),
    "mark_cleaned": Step(TurnoverViewSet, "mark_cleaned", turnover.mark_cleaned, {"note": "towels"}),
    "inspect": Step(TurnoverViewSet, "inspect_room", turnover.inspect_room),
    "flag_fault": Step(TurnoverViewSet, "mark_maintenance", turnover.flag_maintenance),
    "complete_fault": Step(TurnoverViewSet, "complete_maintenance", turnover.complete_maintenance, {"note": "mended"}),
    "set_active": Step(RoomManagementViewSet, "partial_update", _set_active),
    "set_type": Step(RoomManagementViewSet, "partial_update", _set_type),
    "set_beds": Step(RoomTypeViewSet, "partial_update", _set_beds),
    "set_rules": Step(AccessConfigViewSet, "partial_update", _set_rules),
    "open_task": Step(TaskViewSet, "create", _open_task),
    "assign_task": Step(TaskViewSet, "assign", _assign_task),
    "delete_task": Step(TaskViewSet, "destroy", _delete_task),
    "start_task": Step(TaskViewSet, "start", start_task),
    "complete_task": Step(TaskViewSet, "complete", complete_task),
    "cancel_task": Step(TaskViewSet, "cancel", _cancel_task),
    "create": Step(StaffBookingView, "create", _create),
    "request": Step(StaffBookingView, "create", _create, {"needs_approval": True}),
    "edit": Step(StaffBookingView, "partial_update", _edit),
    "mark_seen": Step(StaffBookingView, "mark_seen", mark_seen),
    "companions": Step(StaffBookingView, "companions", _companions),
    "confirm": Step(StaffBookingApprovalView, "confirm", confirm_booking),
    "approve": Step(StaffBookingApprovalView, "approve", approve_booking),
    "decline": Step(StaffBookingApprovalView, "decline", decline_booking),
    "cancel": Step(StaffBookingCancelView, "cancel", cancel_booking),
    "no_show": Step(StaffBookingCancelView, "no_show", mark_no_show),
    "reinstate": Step(StaffBookingCancelView, "reinstate", reinstate_booking, {"reason": "a mistake"}),
    "assign": Step(StaffBookingRoomView, "safe_assign_room", _assign),
    "unassign": Step(StaffBookingRoomView, "unassign_room", _unassign),
    "move": Step(StaffBookingRoomView, "move_room", _move),
    "check_in": Step(StaffBookingStayView, "check_in", _check_in),
    "undo_check_in": Step(StaffBookingStayView, "undo_check_in", undo_check_in, {"reason": "the wrong guest"}),
    "check_out": Step(StaffBookingStayView, "check_out", check_out),
    "undo_check_out": Step(StaffBookingStayView, "undo_check_out", _undo_check_out, {"reason": ""}),
    "check_in_rooms": Step(TurnoverViewSet, "checkin_rooms", _several(check_in_rooms)),
    "check_out_rooms": Step(TurnoverViewSet, "checkout_rooms", _several(check_out_rooms)),
    "acknowledge": Step(StaffBookingOverstayView, "acknowledge", acknowledge_overstay),
    "extend": Step(StaffBookingOverstayView, "extend", _extend),
}
TAKES_HOTEL = (
    *("create", "request", "edit", "check_in_rooms", "check_out_rooms"),
    *("set_type", "set_beds", "set_rules", "open_task", "assign_task"),
)


# --- the comparison ---------------------------------------------------------------------------------------------------


def _block() -> transaction.Atomic:
    """A transaction in which ``durable`` blocks are allowed."""
    block = transaction.atomic()
    block._from_testcase = True  # type: ignore[attr-defined]
    return block


# By table and id: the row, or None if it is deleted.
Changes = dict[tuple[str, int], dict[str, Any] | None]


def _known_beforehand(row: dict[str, Any] | None) -> dict[str, Any] | None:
    """A changed row without what only the real call chooses."""
    return row and {name: value for name, value in row.items() if name != "confirmation_number"}


class Lockstep:
    """A run on both hotels; ``close`` and ``discard`` roll back everything that it wrote."""

    def __init__(self, real: RealHotel):
        self.real, self.setting = real, real.setting
        real.bookings, real.tasks = [], []
        self.block = _block()
        self.block.__enter__()
        self.reference = ReferenceHotel(
            now=self.setting.now,
            timezone=self.setting.timezone,
            rooms=ROOMS,
            beds=BEDS,
            overbooking=self.setting.overbooking,
            whole_party=self.setting.whole_party,
        )
        self.rows = Counter(all_rows())
        self.real_rooms: dict[int, dict[str, Any]] = {}
        self.real_bookings: dict[int, dict[str, Any]] = {}
        self.versions: dict[int, int] = {}
        self.overstays: dict[tuple[int, date], tuple[str, str]] = {}
        self.real_tasks: dict[int, dict[str, Any]] = {}
        self._compare_rooms([json.loads(row) for table, row in self.rows if table == "Room"])
        self.log: list[str] = []
        self.done: dict[str, tuple[str, str, dict[str, Any]]] = {}  # the last successful step of each kind
        self.taken = 0

    def close(self) -> None:
        """Check all constraints and invariants, then roll back."""
        try:
            check_deferred_constraints()
            assert_invariants_hold()
        finally:
            self.discard()

    def discard(self) -> None:
        """Roll back."""
        transaction.set_rollback(True)
        self.block.__exit__(None, None, None)

    def wait(self, hours: float) -> None:
        """Let time pass in both hotels."""
        self.log.append(f"lockstep.wait({hours})")
        self.reference.now += timedelta(hours=hours)

    def tick(self) -> str:
        """Run the periodic work twice; the second run must change nothing."""
        outcome = self.do("tick")
        if self.wrote:  # otherwise nothing has changed for a second run
            with clock.set_to(self.reference.now):
                tick()
            assert Counter(all_rows()) == self.rows, "the second run of the periodic work changed something"
        return outcome

    def do(self, step: str, who: str = "", **args: Any) -> str:
        """Take one step in both hotels and compare; returns ``""`` on success, or the error code."""
        said = "".join(f", {name}={value!r}" for name, value in args.items())
        self.log.append("lockstep.tick()" if step == "tick" else f"lockstep.do({step!r}, {who!r}{said})")
        reference = self.reference
        reference.begin()
        try:
            getattr(reference, step)(*[who] if who else [], **args)
            expected = ""
        except Refused as refusal:
            expected = refusal.code
            reference.oversold.clear()  # a refused step records no overselling
        with clock.set_to(reference.now):
            rehearsed = self._rehearse(step, who, args) if self.taken % REHEARSE_EVERY == 0 else None
            try:
                with _block():
                    self.real.take(step, who, args)
                    check_deferred_constraints()
                outcome = ""
            except HotelMateError as refusal:
                outcome = refusal.code
        assert outcome == expected, f"{step} by {who}: {outcome or 'done'}, expected {expected or 'done'}"
        before = self.rows
        self._compare(outcome)
        if rehearsed is not None:
            assert rehearsed == (outcome, self._changed_since(before)), f"the dry run of {step} by {who}"
        if not outcome and who:
            self.done.pop(step, None)  # keep the order of the last calls
            self.done[step] = (step, who, args)
        self.taken += 1
        if self.taken % CHECK_EVERY == 0:
            assert_invariants_hold()
        return outcome

    def _rehearse(self, step: str, who: str, args: Mapping[str, Any]) -> tuple[str, Changes]:
        """Dry-run one step: its outcome, and the rows that it would change."""
        bookings, tasks, rehearsal = list(self.real.bookings), list(self.real.tasks), Rehearsal()
        try:
            with rehearsal.rolled_back():
                self.real.take(step, who, args)
            outcome = ""
        except HotelMateError as refusal:
            outcome = refusal.code
        self.real.bookings, self.real.tasks = bookings, tasks
        assert Counter(all_rows()) == self.rows, f"the dry run of {step} left a trace"
        return outcome, {
            (table, change.before["id"]): _known_beforehand(change.after)
            for table, name in REHEARSED.items()
            for change in rehearsal.changes.get(name, ())
            if change.before
        }

    def _changed_since(self, rows: Counter[tuple[str, str]]) -> Changes:
        """The rows that were there before and have changed."""
        before, after = (
            {(table, json.loads(row)["id"]): json.loads(row) for table, row in some if table in REHEARSED}
            for some in (rows - self.rows, self.rows - rows)
        )
        return {key: _known_beforehand(after.get(key)) for key in before}

    def _compare(self, outcome: str) -> None:
        after = Counter(all_rows())
        gone, new = self.rows - after, after - self.rows
        self.rows, self.wrote = after, bool(gone or new)
        if outcome:
            assert not gone, f"{outcome} deleted {list(gone)}"
            assert not new, f"{outcome} left a trace: {list(new)}"
        written: dict[str, list[dict[str, Any]]] = {}
        for table, row in new:
            written.setdefault(table, []).append(json.loads(row))
        for rows in written.values():
            rows.sort(key=lambda row: row.get("id", 0))
        kept = {table for table, _ in gone} & {"RoomStatusEvent", "BookingChange", "RealtimeEvent", "Overbooking"}
        assert not kept, f"rows of {kept} were changed"
        self._compare_events(written.get("RealtimeEvent", []))
        self._compare_audit(written.get("RoomStatusEvent", []))
        self._compare_rooms(written.get("Room", []))
        self._compare_bookings(written.get("RoomBooking", []))
        self._compare_oversold(written.get("Overbooking", []))
        steps = [(row["booking_id"], row["from_status"], row["to_status"]) for row in written.get("BookingChange", [])]
        changed = [(self._booking(pk), was, to) for pk, was, to in steps if was != to]
        assert changed == self.reference.steps
        self._compare_overstays(written.get("OverstayIncident", []))
        self._compare_tasks(
            [json.loads(row) for table, row in gone if table == "HousekeepingTask"], written.get("HousekeepingTask", [])
        )

    def _booking(self, pk: int) -> int:
        return next(number for number, booking in enumerate(self.real.bookings) if booking.pk == pk)

    def _who(self, pk: int | None) -> str | None:
        return None if pk is None else self.real.who_is[pk]

    def _compare_events(self, rows: Sequence[dict[str, Any]]) -> None:
        published = [self._event_key(row["stream"], row["type"], row["envelope"]) for row in rows]
        for channel in ("rooms", "room-bookings", "guest"):
            sent = [event for event in published if event[0] == channel]
            assert sent == [event for event in self.reference.published if event[0] == channel]
        assert len(published) == len(self.reference.published)

    def _event_key(self, stream: str, kind: str, envelope: dict[str, Any]) -> tuple[Any, ...]:
        payload, scope = envelope["payload"], envelope["meta"]["scope"]
        if stream == "rooms":
            occupied = payload["is_occupied"]
            assert occupied or payload["guests_in_room"] == [], "the event still names the departed guest"
            if kind == "room_occupancy_updated":
                return ("rooms", kind, scope["room_number"], occupied)
            said = (payload["from_status"], payload["to_status"], payload["source"])
            return ("rooms", kind, scope["room_number"], *said, occupied)
        [number] = [
            number for number, booking in enumerate(self.real.bookings) if booking.booking_id == scope["booking_id"]
        ]
        return ("room-bookings" if stream == "room-bookings" else "guest", kind, number, payload["status"])

    def _compare_audit(self, rows: Sequence[dict[str, Any]]) -> None:
        assert [
            (
                self.real.number_of[row["room_id"]],
                row["version"],
                row["from_status"],
                row["to_status"],
                self._who(row["changed_by_id"]),
                row["source"],
            )
            for row in rows
        ] == self.reference.audit

    def _compare_rooms(self, rows: Sequence[dict[str, Any]]) -> None:
        seen = set()
        for row in rows:
            number = self.real.number_of[row["id"]]
            seen.add(number)
            self.real_rooms[number] = {
                "type": self.real.code_of[row["room_type_id"]],
                "status": row["room_status"],
                "version": row["status_version"],
                "active": row["is_active"],
                "fault": (row["maintenance_required"], row["maintenance_priority"], row["maintenance_notes"]),
                "turnover_notes": row["turnover_notes"],
                "cleaned": self._stamp(row["last_cleaned_at"], row["cleaned_by_staff_id"]),
                "inspected": self._stamp(row["last_inspected_at"], row["inspected_by_staff_id"]),
            }
        for number, room in self.reference.rooms.items():
            expected = {
                "type": room.type,
                "status": room.status,
                "version": room.version,
                "active": room.active,
                "fault": (room.flag, room.priority, room.fault_notes),
                "turnover_notes": room.turnover_notes,
                "cleaned": room.cleaned,
                "inspected": room.inspected,
            }
            assert self.real_rooms[number] == expected, f"room {number}"

    def _stamp(self, moment: str | None, staff_id: int | None) -> tuple[datetime, str | None] | None:
        return None if moment is None else (datetime.fromisoformat(moment), self._who(staff_id))

    def _compare_bookings(self, rows: Sequence[dict[str, Any]]) -> None:
        for row in rows:
            number = self._booking(row["id"])
            times = {name: row[name] and datetime.fromisoformat(row[name]) for name in MOMENTS}
            self.real_bookings[number] = {
                "status": row["status"],
                "check_in": date.fromisoformat(row["check_in"]),
                "check_out": date.fromisoformat(row["check_out"]),
                "room": row["assigned_room_id"] and self.real.number_of[row["assigned_room_id"]],
                "party": (row["adults"], row["children"]),
                "extra": row["extra_beds"],
                "arrived": row["arrived_on"] and date.fromisoformat(row["arrived_on"]),
                "notes": row["internal_notes"],
                "seen": self._stamp(row["staff_seen_at"], row["staff_seen_by_id"]),
                **times,
            }
            assert number in self.reference.saved, f"booking {number} was written"
            assert row["version"] > self.versions.get(number, -1), f"booking {number} has no new version"
            self.versions[number] = row["version"]
        assert {self._booking(row["id"]) for row in rows} == self.reference.saved
        for number, booking in enumerate(self.reference.bookings):
            expected = {
                "status": booking.status,
                "check_in": booking.check_in,
                "check_out": booking.check_out,
                "room": booking.room and booking.room.number,
                "party": (booking.adults, booking.children),
                "extra": booking.extra,
                "arrived": booking.arrived,
                "notes": booking.notes,
                "seen": booking.seen,
                **{name: getattr(booking, own) for name, own in MOMENTS.items()},
            }
            assert self.real_bookings[number] == expected, f"booking {number}"

    def _compare_oversold(self, rows: Sequence[dict[str, Any]]) -> None:
        recorded: Counter[Oversold] = Counter()
        for row in rows:
            night, free = date.fromisoformat(row["first_night"]), date.fromisoformat(row["free_from"])
            while night < free:
                kind = self.real.code_of[row["room_type_id"]]
                booking = row["booking_id"] and self._booking(row["booking_id"])
                room = row["room_id"] and self.real.number_of[row["room_id"]]
                recorded[Oversold(kind, night, booking, room, self._who(row["staff_id"]))] += row["rooms"]
                night += DAY
        assert recorded == self.reference.oversold

    def _compare_overstays(self, rows: Sequence[dict[str, Any]]) -> None:
        for row in rows:
            key = (self._booking(row["booking_id"]), date.fromisoformat(row["expected_checkout_date"]))
            self.overstays[key] = (row["status"], row["note"])
        assert self.overstays == {
            (number, day): state
            for number, booking in enumerate(self.reference.bookings)
            for day, state in booking.overstays.items()
        }

    def _compare_tasks(self, before: Sequence[dict[str, Any]], rows: Sequence[dict[str, Any]]) -> None:
        for row in before:
            del self.real_tasks[row["id"]]
        for row in rows:
            self.real_tasks[row["id"]] = {
                "room": self.real.number_of[row["room_id"]],
                "type": row["task_type"],
                "status": row["status"],
                "assigned_to": self._who(row["assigned_to_id"]),
                "for_date": row["for_date"] and date.fromisoformat(row["for_date"]),
                "booking": None if row["booking_id"] is None else self._booking(row["booking_id"]),
            }
        opened = {pk: task for pk, task in self.real_tasks.items() if pk not in self.real.tasks}
        for task in self.reference.tasks[len(self.real.tasks) :]:
            # The tasks of several rooms are opened in no particular order.
            found = [
                pk
                for pk, real in opened.items()
                if (real["room"], real["type"], real["booking"])
                == (task.room.number, task.type, task.booking and task.booking.number)
                and pk not in self.real.tasks
            ]
            assert found, f"no {task.type} of room {task.room.number} was opened"
            self.real.tasks.append(found[0])
        standing = [(number, task) for number, task in enumerate(self.reference.tasks) if not task.gone]
        for number, task in standing:
            assert self.real_tasks[self.real.tasks[number]] == {
                "room": task.room.number,
                "type": task.type,
                "status": task.status,
                "assigned_to": task.assigned_to,
                "for_date": task.for_date,
                "booking": task.booking and task.booking.number,
            }, f"task {number}"
        assert len(self.real_tasks) == len(standing)


# The timestamp fields of a booking, and the reference hotel's name of each.
MOMENTS = {
    "approval_deadline_at": "deadline",
    "checked_in_at": "checked_in_at",
    "checked_out_at": "checked_out_at",
    "cancelled_at": "cancelled_at",
    "expired_at": "expired_at",
    "room_moved_at": "moved_at",
    "overstay_flagged_at": "flagged_at",
    "overstay_acknowledged_at": "acknowledged_at",
}
