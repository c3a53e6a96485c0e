"""Shapes of the pre-flight answers (docs/api.md, Actions)."""

from collections.abc import Iterator
from typing import Any

from rest_framework import serializers

from common.errors import HotelMateError
from common.serializers import RoomNumberField
from operations import actions
from room_bookings.serializers import DayField, IdField
from rooms.models import RoomStatus


def _codes(kind: type[HotelMateError]) -> Iterator[str]:
    yield kind.code
    for each in kind.__subclasses__():
        yield from _codes(each)


# Of every refusal of a guard in ``operations.actions``, which imports them all.
REASON_CODES = sorted({code for code in _codes(HotelMateError) if code != HotelMateError.code})
assert actions.BOOKING_ACTIONS
BLOCKER_TYPES = ["block", "booking", "room", "room_type", "staff", "task"]


class BlockerOutput(serializers.Serializer[Any]):
    """What stands in the way."""

    type = serializers.ChoiceField(choices=BLOCKER_TYPES)
    id = serializers.JSONField(help_text="As in the API's paths: a booking reference, or a number.")
    label = serializers.CharField()  # type: ignore[assignment]  # the name of a key


class ReasonOutput(serializers.Serializer[Any]):
    """Why an action would be refused, as the call itself would say it."""

    code = serializers.ChoiceField(choices=REASON_CODES)
    message = serializers.CharField()
    who_can = serializers.ListField(
        child=serializers.CharField(),
        help_text="The roles of this hotel that are not refused for this reason. Empty: no role can.",
    )
    blocker = BlockerOutput(allow_null=True)


class LiftOutput(serializers.Serializer[Any]):
    """What lifts all the reasons at once."""

    right = serializers.CharField(help_text="The caller holds it if `rbac` (sign-in, `me/`) says so.")
    needs = serializers.ChoiceField(
        choices=["reason", "note", "force", "upgrade"],
        help_text="`reason`: send an `override_reason` (moves, cancellations and undone check-outs: `reason`). `note`: "
        "call the `manager_override` to the same status, with a note. `force`, `upgrade`: send it as `true`.",
    )


class ActionOutput(serializers.Serializer[Any]):
    """An action, whether the caller may take it now, and the call that takes it."""

    action = serializers.CharField(help_text="`set_status` and others occur more than once, each with another `body`.")
    allowed = serializers.BooleanField(help_text="The call would be accepted, with what it `needs`.")
    has_effect = serializers.BooleanField(help_text="The call would change something.")
    method = serializers.CharField()
    url = serializers.CharField()
    body = serializers.DictField(help_text="The part of the call's body that this action fixes.")
    needs = serializers.ListField(
        child=serializers.ChoiceField(choices=["note", "reason", "room", "room_type", "dates", "companions"]),
        help_text="What else the call's body must have.",
    )
    reasons = ReasonOutput(many=True, help_text="Every refusal; the first is the call's own. Empty if allowed.")
    override = LiftOutput(allow_null=True)


class RoomActionsOutput(serializers.Serializer[Any]):
    room_id = serializers.IntegerField()
    room_number = RoomNumberField()
    status_version = serializers.IntegerField(help_text="For the call's `If-Match`.")
    actions = ActionOutput(many=True)


class BookingActionsOutput(serializers.Serializer[Any]):
    booking_id = serializers.CharField()
    version = serializers.IntegerField(help_text="For the call's `If-Match`.")
    actions = ActionOutput(many=True)


class RoomTargets(serializers.Serializer[Any]):
    to_status = serializers.ChoiceField(
        choices=RoomStatus.choices, required=False, help_text="Only the changes to this status."
    )


class BookingTargets(serializers.Serializer[Any]):
    room_id = IdField(required=False, help_text="The room to assign, to move to, or to check in to.")
    room_type_id = IdField(required=False, help_text="The room type to change to.")
    check_in = DayField(required=False, help_text="The arrival date to change to.")
    check_out = DayField(required=False, help_text="The departure date to change or extend to.")
