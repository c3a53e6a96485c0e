"""Pre-flight: what may be done with a room or a booking now, and if not, why, and who may.

Each action here names its endpoint and its service's guard. The endpoint gives the right, the guard the rest: so an
action is allowed exactly when the call would be accepted. Nothing is locked, so it can change before the call.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cache, partial
from typing import Any, NamedTuple
from urllib.parse import quote

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import BooleanField, ExpressionWrapper, F, OuterRef, QuerySet, Subquery, Value
from django.db.models.functions import Concat, JSONObject
from django.urls import URLPattern, URLResolver, get_resolver

from common.errors import HotelMateError, Lift, NotAllowed
from common.guards import Guard, Verdict, examine
from common.prepared import PreparedQuery
from hotel import calendar
from hotel.models import Staff
from hotel.rights import permission
from housekeeping.models import RoomStatusEvent, Source
from housekeeping.policy import default_source
from housekeeping.services import StatusRequest, status_refusals
from housekeeping.turnover import Step, flag_refusals, inspection_refusals, repair_refusals, start_cleaning_refusals
from room_bookings.eligibility import party_edit_refusals
from room_bookings.inventory import (
    END_OF_TIME,
    NO_STAY,
    ListedStay,
    ReadInventory,
    counts_and_listed_stays,
)
from room_bookings.models import BookingStatus, OverstayIncident, OverstayStatus, RoomBooking
from room_bookings.overrides import BY_REASON, SUPERVISE, UPGRADE
from room_bookings.room_demand import ReadDemand
from room_bookings.selectors import checked_out_by
from room_bookings.services.approval import approval_refusals, confirmation_refusals, decline_refusals
from room_bookings.services.cancel import cancellation_refusals
from room_bookings.services.check_in import check_in_refusals
from room_bookings.services.checkout import departure_refusals
from room_bookings.services.edit import edit_refusals, retype_refusals
from room_bookings.services.facts import ReadFacts
from room_bookings.services.no_show import no_show_refusals
from room_bookings.services.overstay import NewDeparture, acknowledgement_refusals, extension_refusals
from room_bookings.services.reinstate import reinstatement_refusals
from room_bookings.services.room_assignment import assignment_refusals, unassignment_refusals
from room_bookings.services.room_move import move_refusals
from room_bookings.services.undo_check_in import undo_check_in_refusals
from room_bookings.services.undo_check_out import is_recent, undo_check_out_refusals
from rooms.models import Priority, Room, RoomStatus, RoomType
from rooms.selectors import in_use
from rooms.services import deletion_refusals, update_refusals

# Stands for the note or reason that a call has to bring.
GIVEN = "given"


class RightNeeded(NotAllowed):
    """The endpoint's own right, as its view refuses."""


# --- what is asked ----------------------------------------------------------------------------------------------------


@dataclass
class Question:
    """The caller, the targets that they ask about, and what the guards look up."""

    staff: Staff
    rooms: Sequence[Room] = ()  # that a booking may be in or go to, with their types
    types: Sequence[RoomType] = ()  # that a booking may change to
    room_id: int | None = None
    room_type_id: int | None = None
    to_status: str | None = None
    check_in: date | None = None
    check_out: date | None = None
    demand: ReadDemand | None = None

    def __post_init__(self) -> None:
        self.facts, self.extras = ReadFacts(self.staff.hotel, self.rooms, self.types), Extras()

    @property
    def dates(self) -> dict[str, date]:
        """The dates that are asked about, by the name of their field."""
        return {name: day for name in ("check_in", "check_out") if (day := getattr(self, name)) is not None}


class Action(NamedTuple):
    """Something that can be done with a room or a booking: an endpoint, and the guard of its service.

    ``needs`` names what the call has to bring that is not asked about; ``body`` is the part of it that is fixed.
    ``is_idle`` tells, from what the guard returned, whether the call would be accepted but change nothing.
    """

    name: str
    endpoint: str  # the name of the URL
    guard: Callable[[Any, Question], Guard[Any]]
    needs: Callable[[Question], Sequence[str]] = lambda _: ()
    body: Mapping[str, Any] = {}
    method: str = "post"
    is_idle: Callable[[Any, Any, Question], bool] = lambda _, value, __: value is False


def _none(_: Any, value: Any, __: Question) -> bool:
    return value is None


def _none_of_room(_: Any, value: Any, question: Question) -> bool:
    return value is None and question.room_id is not None


def _same_status(room: Room, step: Step | None, _: Question) -> bool:
    return step is not None and room.room_status == step.to_status


def _dates(question: Question) -> Sequence[str]:
    return () if question.dates else ("dates",)


def _room(question: Question) -> Sequence[str]:
    return () if question.room_id else ("room",)


def _extend(booking: RoomBooking, ask: Question) -> Guard[Any]:
    departure = NewDeparture(new_checkout_date=ask.check_out) if ask.check_out else None
    return extension_refusals(booking, departure, staff=ask.staff, reason="", facts=ask.facts)


def _change_dates(booking: RoomBooking, ask: Question) -> Guard[Any]:
    changed = {name: day for name, day in ask.dates.items() if getattr(booking, name) != day}
    if ask.dates:
        return edit_refusals(booking, changed, staff=ask.staff, reason="", facts=ask.facts)
    return party_edit_refusals(booking)


def _same_dates(booking: RoomBooking, _: Any, ask: Question) -> bool:
    return bool(ask.dates) and all(getattr(booking, name) == day for name, day in ask.dates.items())


def _change_type(booking: RoomBooking, ask: Question) -> Guard[Any]:
    if ask.room_type_id is None:
        return retype_refusals(booking)
    changed = {"room_type_id": ask.room_type_id} if ask.room_type_id != booking.room_type_id else {}
    return edit_refusals(booking, changed, staff=ask.staff, reason="", facts=ask.facts)


BOOKING_ACTIONS = (
    Action("confirm", "booking-confirm", lambda booking, ask: confirmation_refusals(booking, ask.facts)),
    Action("approve", "booking-approve", lambda booking, ask: approval_refusals(booking, ask.facts)),
    Action("decline", "booking-decline", lambda booking, _: decline_refusals(booking)),
    Action(
        "assign_room",
        "booking-safe-assign-room",
        lambda booking, ask: assignment_refusals(
            booking, ask.room_id, staff=ask.staff, reason="", notes="", facts=ask.facts
        ),
        _room,
        is_idle=_none_of_room,
    ),
    Action(
        "unassign_room",
        "booking-unassign-room",
        lambda booking, ask: unassignment_refusals(booking, staff=ask.staff, reason="", facts=ask.facts),
        is_idle=_none,
    ),
    Action(
        "check_in",
        "booking-check-in",
        lambda booking, ask: check_in_refusals(booking, ask.room_id, staff=ask.staff, reason="", facts=ask.facts),
        is_idle=_none,
    ),
    Action(
        "undo_check_in",
        "booking-undo-check-in",
        lambda booking, ask: undo_check_in_refusals(booking, ask.staff),
        lambda _: ("reason",),
    ),
    Action(
        "move_room",
        "booking-move-room",
        # A move always gives a reason, which lifts what a supervisor's reason can lift.
        lambda booking, ask: move_refusals(booking, ask.room_id, staff=ask.staff, reason=GIVEN, facts=ask.facts),
        lambda ask: (*_room(ask), "reason"),
        is_idle=_none_of_room,
    ),
    Action("extend_stay", "booking-overstay-extend", _extend, lambda ask: () if ask.check_out else ("dates",)),
    Action(
        "acknowledge_overstay",
        "booking-overstay-acknowledge",
        lambda booking, _: acknowledgement_refusals(booking),
        is_idle=lambda booking, _, ask: booking.pk in ask.extras.acknowledged,
    ),
    Action("check_out", "booking-check-out", lambda booking, _: departure_refusals(booking)),
    Action(
        "undo_check_out",
        "booking-undo-check-out",
        lambda booking, ask: undo_check_out_refusals(
            booking,
            ask.room_id,
            staff=ask.staff,
            reason=GIVEN,
            is_own=booking.pk in ask.extras.checked_out,
            facts=ask.facts,
        ),
        lambda ask: ("reason",) if ask.staff.can(SUPERVISE) else (),
    ),
    Action("change_dates", "booking-", _change_dates, _dates, method="patch", is_idle=_same_dates),
    Action(
        "change_room_type",
        "booking-",
        _change_type,
        lambda ask: () if ask.room_type_id else ("room_type",),
        method="patch",
        is_idle=lambda booking, _, ask: booking.room_type_id == ask.room_type_id,
    ),
    Action(
        "set_companions",
        "booking-party-companions",
        lambda booking, _: party_edit_refusals(booking),
        lambda _: ("companions",),
        method="put",
    ),
    Action("cancel", "booking-cancel", lambda booking, ask: cancellation_refusals(booking, ask.staff, "")),
    Action("no_show", "booking-no-show", lambda booking, _: no_show_refusals(booking)),
    Action(
        "reinstate",
        "booking-reinstate",
        lambda booking, ask: reinstatement_refusals(booking, ask.staff, ask.facts),
        lambda _: ("reason",),
    ),
)


def _status(to_status: str, room: Room, ask: Question) -> Guard[bool]:
    request = StatusRequest(ask.staff, default_source(ask.staff), "")
    return status_refusals(room, to_status, request, None, ask.demand)


def _override(to_status: str, room: Room, ask: Question) -> Guard[bool]:
    return status_refusals(room, to_status, StatusRequest(ask.staff, Source.MANAGER_OVERRIDE, GIVEN), None, ask.demand)


def _cleaned(room: Room, ask: Question) -> Guard[bool]:
    request = StatusRequest(ask.staff, Source.HOUSEKEEPING, "")
    return status_refusals(room, RoomStatus.CLEANED_UNINSPECTED, request)


def _inspected(room: Room, ask: Question, *, passed: bool) -> Guard[Any]:
    return inspection_refusals(room, ask.staff, passed=passed, note="")


TURNOVER_ACTIONS = (
    Action(
        "start_cleaning",
        "start-cleaning",
        lambda room, ask: start_cleaning_refusals(room, ask.staff, "", latest_change(room)),
        is_idle=_same_status,
    ),
    Action("mark_cleaned", "mark-cleaned", _cleaned),
    Action("pass_inspection", "inspect", partial(_inspected, passed=True), body={"passed": True}, is_idle=_same_status),
    Action(
        "fail_inspection", "inspect", partial(_inspected, passed=False), body={"passed": False}, is_idle=_same_status
    ),
    Action(
        "report_fault",
        "mark-maintenance",
        lambda room, ask: flag_refusals(room, ask.staff, priority=Priority.MED, note=""),
        is_idle=lambda room, step, _: step is None and room.maintenance_priority != Priority.LOW,
    ),
    Action(
        "complete_repair",
        "complete-maintenance",
        # Which status the room would go to decides nothing: the right to clear faults covers both.
        lambda room, ask: repair_refusals(room, ask.staff, "", lambda _: False),
        is_idle=lambda room, step, _: step is None and not room.maintenance_required,
    ),
)
STATUS_ACTIONS = {
    status: (
        Action("set_status", "room-status", partial(_status, status), body={"to_status": status}),
        Action(
            "manager_override",
            "manager-override",
            partial(_override, status),
            lambda _: ("note",),
            body={"to_status": status},
        ),
    )
    for status in RoomStatus.values
}


def _in_service(room: Room, ask: Question, *, active: bool) -> Guard[Any]:
    changed = {"is_active": active} if room.is_active != active else {}
    return update_refusals(room, changed, demand_of=lambda *_, **__: _demand(ask))


def _demand(ask: Question) -> ReadDemand:
    assert ask.demand is not None  # RoomAnswers has read it
    return ask.demand


INVENTORY_ACTIONS = (
    Action(
        "take_out_of_service",
        "room",
        partial(_in_service, active=False),
        body={"is_active": False},
        method="patch",
        is_idle=lambda room, *_: not room.is_active,
    ),
    Action(
        "return_to_service",
        "room",
        partial(_in_service, active=True),
        body={"is_active": True},
        method="patch",
        is_idle=lambda room, *_: room.is_active,
    ),
    Action(
        "delete_room",
        "room",
        lambda room, ask: deletion_refusals(room, _demand(ask), is_in_use=room.is_in_use),
        method="delete",
    ),
)


def room_actions_for(question: Question) -> list[Action]:
    """The actions on a room: to every status, or to the one that is asked about."""
    statuses = [question.to_status] if question.to_status else RoomStatus.values
    changes, overrides = zip(*(STATUS_ACTIONS[status] for status in statuses), strict=True)
    return [*changes, *TURNOVER_ACTIONS, *overrides, *INVENTORY_ACTIONS]


# --- endpoints --------------------------------------------------------------------------------------------------------


class Endpoint(NamedTuple):
    """Where an action is posted, and the rights of which its view asks one (``None``: the service asks)."""

    path: str  # with a placeholder for the hotel and for each other part
    rights: Sequence[str] | None


@cache
def endpoint(name: str, method: str) -> Endpoint:
    """The endpoint with this URL name. Raises KeyError if there is none."""
    path, view = _endpoints()[name]
    action = view.actions[method]
    return Endpoint(path, view.cls.rights.get(action, view.cls.rights.get("*")))


@cache
def _endpoints() -> dict[str, tuple[str, Any]]:
    return {str(pattern.name): (f"/{path}", pattern.callback) for path, pattern in _patterns(get_resolver(), "")}


def _patterns(resolver: URLResolver, before: str) -> Iterator[tuple[str, URLPattern]]:
    for each in resolver.url_patterns:
        path = before + re.sub(r"<\w+:(\w+)>", r"{\1}", str(each.pattern))
        if isinstance(each, URLResolver):
            yield from _patterns(each, path)
        elif each.name and hasattr(each.callback, "cls"):
            yield path, each


# --- what the guards look up ------------------------------------------------------------------------------------------

# In place of a room type's id, in a row that says that a role holds a right, that an overstay is acknowledged, or that
# the caller has checked the guest out.
ROLE_ROW, ACKNOWLEDGED_ROW, CHECKED_OUT_ROW = 0, -1, -2


def _role_rights(hotel: Any) -> QuerySet[Any, tuple[Any, ...]]:
    """Rows of (0, 0, permission, …, role, …) in the columns of ``counts_and_listed_stays``: the rights of the roles of
    the hotel's active members."""
    label = Concat("permissions__content_type__app_label", Value("."), "permissions__codename")
    columns: dict[str, Any] = {**NO_STAY, "status": label, "booking_id": "name"}
    roles = Group.objects.filter(staff_members__hotel=hotel, staff_members__is_active=True).order_by().distinct()
    return roles.values_list(Value(ROLE_ROW), Value(0), *(columns[name] for name in ListedStay._fields))


def _acknowledged(hotel: Any) -> QuerySet[Any, tuple[Any, ...]]:
    """Rows of (-1, 0, …, booking, …) in the same columns: the guests in house whose overstay is acknowledged."""
    columns: dict[str, Any] = {**NO_STAY, "pk": "booking"}
    current = OverstayIncident.objects.filter(
        booking__hotel=hotel,
        booking__status=BookingStatus.IN_HOUSE,
        expected_checkout_date=F("booking__check_out"),
        status=OverstayStatus.ACKED,
    )
    names = (columns[name] for name in ListedStay._fields)
    return current.order_by().values_list(Value(ACKNOWLEDGED_ROW), Value(0), *names)


def _checked_out(staff: Any, left: Any) -> QuerySet[Any, tuple[Any, ...]]:
    """Rows of (-2, 0, …, booking, …) in the same columns: those of the bookings ``left`` whose guest the staff member
    has checked out."""
    columns: dict[str, Any] = {**NO_STAY, "pk": "pk"}
    names = (columns[name] for name in ListedStay._fields)
    return checked_out_by(staff).filter(pk__any=left).values_list(Value(CHECKED_OUT_ROW), Value(0), *names)


def _for_bookings(
    *, hotel: Any, staff: Any, left: Any, kinds: Any, first: date, free: date
) -> QuerySet[Any, tuple[Any, ...]]:
    facts = counts_and_listed_stays(kinds=kinds, first=first, free=free)
    return facts.union(_role_rights(hotel), _acknowledged(hotel), _checked_out(staff, left), all=True)


def _for_rooms(*, hotel: Any, first: date, free: date) -> QuerySet[Any, tuple[Any, ...]]:
    kinds = ArraySubquery(RoomType.objects.filter(hotel=hotel).order_by().values("pk"))
    return counts_and_listed_stays(kinds=kinds, first=first, free=free).union(_role_rights(hotel), all=True)


_read_for_bookings = PreparedQuery(_for_bookings)
_read_for_rooms = PreparedQuery(_for_rooms)


@dataclass
class Extras:
    """What the statement of the facts also reads: the rights of the hotel's roles, acknowledged overstays, and the
    caller's own check-outs."""

    by_permission: dict[str, list[str]] = field(default_factory=dict)
    found: dict[tuple[str, ...], list[str]] = field(default_factory=dict)
    acknowledged: set[int] = field(default_factory=set)  # bookings whose current overstay is acknowledged
    checked_out: set[int] = field(default_factory=set)  # bookings whose guest the caller has just checked out

    def taken_from(self, rows: Iterable[Sequence[Any]]) -> Iterator[Sequence[Any]]:
        """The rows of the facts; the others are taken out."""
        for row in rows:
            kind, _, *columns = row
            if kind == ROLE_ROW:
                stay = ListedStay(*columns)
                self.by_permission.setdefault(stay.status, []).append(stay.booking_id)
            elif kind == ACKNOWLEDGED_ROW:
                self.acknowledged.add(ListedStay(*columns).pk)
            elif kind == CHECKED_OUT_ROW:
                self.checked_out.add(ListedStay(*columns).pk)
            else:
                yield row

    def roles_with_any(self, rights: tuple[str, ...]) -> list[str]:
        """The roles that hold one of these rights."""
        if rights not in self.found:
            roles = {role for right in rights for role in self.by_permission.get(permission(right), ())}
            self.found[rights] = sorted(roles)
        return self.found[rights]


def with_answers(rooms: QuerySet[Room]) -> QuerySet[Room]:
    """Rooms of ``room_list`` with what the guards of room actions look up: who made the latest change, and whether the
    room has ever been used."""
    user = get_user_model().USERNAME_FIELD
    latest = RoomStatusEvent.objects.filter(room=OuterRef("pk"), version=OuterRef("status_version"))
    return rooms.annotate(
        latest=Subquery(
            latest.values(
                change=JSONObject(
                    source="source",
                    staff="changed_by_id",
                    first_name="changed_by__user__first_name",
                    last_name="changed_by__user__last_name",
                    username=f"changed_by__user__{user}",
                )
            )
        ),
        is_in_use=ExpressionWrapper(in_use(Room), output_field=BooleanField()),
    )


def latest_change(room: Any) -> RoomStatusEvent | None:
    """The latest change of a room from ``with_answers``."""
    if room.latest is None:
        return None
    found = dict(room.latest)
    source, staff = found.pop("source"), found.pop("staff")
    member = None if staff is None else Staff(pk=staff, user=get_user_model()(**found))
    return RoomStatusEvent(source=source, changed_by=member)


# --- answers ----------------------------------------------------------------------------------------------------------


def booking_actions(bookings: Sequence[RoomBooking], question: Question) -> list[list[dict[str, Any]]]:
    """The actions on each booking of one hotel, from ``booking_list``; one statement for any number of them."""
    hotel, left = question.staff.hotel, [booking.pk for booking in bookings if is_recent(booking)]

    def verdicts() -> list[list[Verdict[Any]]]:
        return [[examine(action.guard(booking, question)) for action in BOOKING_ACTIONS] for booking in bookings]

    def read(**asked: Any) -> Iterator[Sequence[Any]]:
        rows = _read_for_bookings.read(hotel=hotel.pk, staff=question.staff.pk, left=left, **asked)
        return question.extras.taken_from(rows)

    verdicts()  # asks for what ``load`` then reads
    question.facts.load(read)
    return [
        [
            _answer(booking, action, verdict, question, {"bid": booking.booking_id})
            for action, verdict in zip(BOOKING_ACTIONS, each, strict=True)
        ]
        for booking, each in zip(bookings, verdicts(), strict=True)
    ]


class RoomAnswers:
    """The actions on rooms of one hotel, one room after the other; one statement for any number of them."""

    def __init__(self, question: Question) -> None:
        hotel = question.staff.hotel
        self._question = question
        first, free = calendar.business_date(hotel), END_OF_TIME
        rows = question.extras.taken_from(_read_for_rooms.read(hotel=hotel.pk, first=first, free=free))
        question.demand = ReadDemand(hotel, ReadInventory(hotel, first, free, rows))
        self._actions = room_actions_for(question)

    def of(self, room: Room) -> list[dict[str, Any]]:
        """The actions on a room from ``with_answers(room_list())``."""
        ids = {"rid": room.pk, "rno": quote(str(room.room_number)), "room": room.pk}
        return [
            _answer(room, action, examine(action.guard(room, self._question)), self._question, ids)
            for action in self._actions
        ]


def _answer(
    subject: Any,
    action: Action,
    verdict: Verdict[Any],
    question: Question,
    ids: Mapping[str, Any],
) -> dict[str, Any]:
    staff = question.staff
    at = endpoint(action.endpoint, action.method)
    refusals = verdict.refusals
    if at.rights is not None and not any(staff.can(right) for right in at.rights):
        missing = RightNeeded("Permission denied: your role does not include this.", lift=Lift(tuple(at.rights)))
        # Some guards ask for the same right again.
        refusals = [missing, *(each for each in refusals if each.lift != missing.lift)]
    return {
        "action": action.name,
        "allowed": not refusals,
        "has_effect": not refusals and not action.is_idle(subject, verdict.value, question),
        "method": action.method.upper(),
        "url": at.path.format(slug=staff.hotel.slug, **ids),
        "body": dict(action.body),
        "needs": list(action.needs(question)),
        "reasons": [_reason(refusal, question.extras) for refusal in refusals],
        "override": _override_of(refusals),
    }


def _reason(refusal: HotelMateError, extras: Extras) -> dict[str, Any]:
    return {
        "code": refusal.code,
        "message": refusal.message,
        "who_can": extras.roles_with_any(refusal.lift.rights) if refusal.lift else [],
        "blocker": refusal.blocker and refusal.blocker._asdict(),
    }


def _override_of(refusals: Sequence[HotelMateError]) -> dict[str, str] | None:
    """What lifts all the refusals at once, or ``None`` if nothing does."""
    lifts = {refusal.lift for refusal in refusals}
    if BY_REASON in lifts:  # which lifts what an upgrade does, too
        lifts = {lift for lift in lifts if lift is None or lift.needs != UPGRADE}
    if len(lifts) != 1 or (lift := lifts.pop()) is None or not lift.needs:
        return None
    return {"right": lift.rights[0], "needs": lift.needs}
