"""Asks before each step of the model whether it will be refused, and compares the answer with what happens."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, NamedTuple

from common.errors import HotelMateError
from hotel.models import Staff
from operations.actions import Question, RoomAnswers, booking_actions, with_answers
from room_bookings.models import RoomBooking
from room_bookings.selectors import booking_list
from rooms.models import Room, RoomType
from rooms.selectors import room_list

# By step: the action, for the steps whose arguments pre-flight can be asked about.
OF_ROOMS = {
    "set_status": "set_status",
    "override": "manager_override",
    "start_cleaning": "start_cleaning",
    "mark_cleaned": "mark_cleaned",
    "inspect": "pass_inspection",
    "flag_fault": "report_fault",
    "complete_fault": "complete_repair",
    "set_active": "take_out_of_service",
}
OF_BOOKINGS = {
    "edit": "change_dates",
    "confirm": "confirm",
    "approve": "approve",
    "decline": "decline",
    "cancel": "cancel",
    "no_show": "no_show",
    "reinstate": "reinstate",
    "assign": "assign_room",
    "unassign": "unassign_room",
    "move": "move_room",
    "check_in": "check_in",
    "undo_check_in": "undo_check_in",
    "check_out": "check_out",
    "undo_check_out": "undo_check_out",
    "acknowledge": "acknowledge_overstay",
    "extend": "extend_stay",
}
# Arguments that make a step another one than the action: what a supervisor adds, and what the caller expects to find.
OTHERWISE = ("force", "reason", "source", "expected", "version", "stale", "notes", "adults", "children", "upgrade")


class Answer(NamedTuple):
    """Whether pre-flight allows the step, and its first reason's code."""

    allowed: bool
    code: str | None

    def agrees_with(self, refusal: HotelMateError | None) -> bool:
        """Whether the step did what was said; a payment provider's refusal cannot be said beforehand."""
        if refusal is not None and refusal.status == 502:
            return self.allowed
        return (self.allowed, self.code) == (refusal is None, refusal and refusal.code)


def ask(step: str, staff: Staff, given: Mapping[str, Any]) -> Answer | None:
    """What pre-flight says of the step, or ``None`` if it cannot be asked about exactly this."""
    with_reason = ("reinstate", "undo_check_in", "undo_check_out")  # which pre-flight takes to be given
    if step == "undo_check_out" and staff.can("bookings.supervise") and not given["reason"].strip():
        return None
    others = [name for name in OTHERWISE if not (name == "reason" and step in with_reason)]
    if any(str(given.get(name, False)) not in ("None", "False", "") for name in others):
        return None
    if step in OF_ROOMS:
        return _ask_room(OF_ROOMS[step], staff, given)
    if step in OF_BOOKINGS:
        return _ask_booking(OF_BOOKINGS[step], staff, given)
    return None


def _ask_room(action: str, staff: Staff, given: Mapping[str, Any]) -> Answer | None:
    room = with_answers(room_list(staff.hotel)).get(pk=given["room"].pk)
    if action == "pass_inspection" and not given["passed"]:
        action = "fail_inspection"
    if action == "take_out_of_service" and given["is_active"]:
        action = "return_to_service"
    answers = RoomAnswers(Question(staff, to_status=given.get("to")))
    return _answer(action, answers.of(room))


def _ask_booking(action: str, staff: Staff, given: Mapping[str, Any]) -> Answer | None:
    booking: RoomBooking = booking_list(staff.hotel).get(pk=given["booking"].pk)
    rooms = [booking.assigned_room] if booking.assigned_room else []
    if (target := given.get("room")) and target.pk != booking.assigned_room_id:
        rooms.append(Room.objects.select_related("room_type").get(pk=target.pk))
    dates = {name: given[name] for name in ("check_in", "check_out") if given.get(name)}
    types = list(RoomType.objects.filter(hotel=staff.hotel, code=given["kind"])) if given.get("kind") else []
    if action == "change_dates":
        if bool(dates) == bool(types):  # neither, or both at once
            return None
        action = "change_dates" if dates else "change_room_type"
    if action == "extend_stay":
        dates = {"check_out": given.get("until") or booking.check_out + timedelta(days=given["nights"])}
    targets = {"room_id": target and target.pk, "room_type_id": types[0].pk if types else None}
    [answers] = booking_actions([booking], Question(staff, rooms, types, **targets, **dates))
    return _answer(action, answers)


def _answer(action: str, answers: list[dict[str, Any]]) -> Answer:
    [found] = [each for each in answers if each["action"] == action]
    reasons = found["reasons"]
    return Answer(found["allowed"], reasons[0]["code"] if reasons else None)
