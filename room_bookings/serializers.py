"""Serializers for bookings: validation of request bodies, and response schemas for the OpenAPI document."""

from datetime import date
from typing import Any

from django.core.validators import MaxValueValidator, MinValueValidator
from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from common.money import MOST_DECIMALS, currency_code
from common.openapi import EXPANDED, ErrorBody
from common.serializers import (
    LineField,
    LinesField,
    NoteField,
    OptionalLineField,
    OptionalLinesField,
    OptionalMailField,
    RoomNumberField,
    StrictBooleanField,
)
from housekeeping.serializers import LARGEST_ID
from room_bookings.filters import BucketCounts
from room_bookings.models import STRIPE, BookerType, BookingStatus, OverstayStatus
from rooms.models import RoomStatus
from rooms.serializers import ROOMS_AT_ONCE, Conflict

FIRST_DAY, LAST_DAY = date(2000, 1, 1), date(2100, 12, 31)
LARGEST_PARTY = 50
LONG_TEXT = 10_000

# --- bodies -----------------------------------------------------------------------------------------------------------


class DayField(serializers.DateField):
    """A date from 2000 to 2100; others are typing errors."""

    def __init__(self, **kwargs: Any) -> None:
        limits = [MinValueValidator(FIRST_DAY), MaxValueValidator(LAST_DAY)]
        super().__init__(validators=limits, **kwargs)


class IdField(serializers.IntegerField):
    """An id, as a number or text."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_value=1, max_value=LARGEST_ID, **kwargs)


class AmountField(serializers.DecimalField):
    """An optional amount of money; the service checks the currency's number of decimals."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            max_digits=14,
            decimal_places=MOST_DECIMALS,
            min_value=0,
            required=False,
            allow_null=True,
            help_text="At most as many decimals as `currency` has.",
            **kwargs,
        )


class CurrencyField(LineField):
    """A currency's ISO 4217 code."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(validators=[currency_code], help_text="ISO 4217", **kwargs)


class CompanionInput(serializers.Serializer[Any]):
    first_name = LineField(max_length=100)
    last_name = LineField(max_length=100)
    email = OptionalMailField(default="")
    phone = OptionalLineField(default="", max_length=40)


class BookerInput(serializers.Serializer[Any]):
    """The booker, if not the guest. THIRD_PARTY requires a first and a last name, COMPANY a company."""

    type = serializers.ChoiceField(choices=BookerType.choices)
    first_name = OptionalLineField(default="", max_length=100)
    last_name = OptionalLineField(default="", max_length=100)
    company = OptionalLineField(default="", max_length=200)
    email = OptionalMailField(default="")
    phone = OptionalLineField(default="", max_length=40)


class StayInput(serializers.Serializer[Any]):
    """The dates and guests of a stay; day use, in and out on one day, is a stay of zero nights."""

    check_in = DayField()
    check_out = DayField()
    adults = serializers.IntegerField(min_value=1, max_value=50, default=1)
    children = serializers.IntegerField(min_value=0, max_value=50, default=0)
    primary_first_name = LineField(max_length=100)
    primary_last_name = LineField(max_length=100)
    primary_email = OptionalMailField(default="")
    primary_phone = OptionalLineField(default="", max_length=40)
    booker = BookerInput(required=False, allow_null=True)


class OverrideReason(NoteField):
    """A supervisor's reason for exceeding a limit."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            **{"default": "", "help_text": "A supervisor's reason; allows more guests than the room sleeps.", **kwargs}
        )


class BookingInput(StayInput):
    room_type_id = IdField()
    special_requests = NoteField(default="")
    total_amount = AmountField()
    currency = CurrencyField(default="EUR")
    party = CompanionInput(many=True, required=False, max_length=LARGEST_PARTY, help_text="The companions.")  # type: ignore[call-arg]  # of the list
    payment_provider = serializers.ChoiceField(
        choices=[(STRIPE, "Stripe")],
        required=False,
        allow_blank=True,
        allow_null=True,
        help_text="With an authorised card payment the booking is created pending approval.",
    )
    payment_reference = OptionalLineField(default="", max_length=255, help_text="The provider's id, such as pi_…")
    override_reason = OverrideReason()

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        attrs["payment_provider"] = attrs.get("payment_provider") or ""
        if attrs["payment_provider"] and not attrs["payment_reference"]:
            raise serializers.ValidationError({"payment_reference": ["A card payment needs a reference."]})
        return attrs


class BookingEditInput(StayInput):
    """Any of these. Other fields of the booking's detail can be sent with their current value; others are refused.

    Unknown fields are ignored.
    """

    room_type_id = IdField()
    # Longer than on a new booking: a reinstated booking keeps its cancellation note among the requests.
    special_requests = OptionalLinesField(default="", max_length=LONG_TEXT)
    internal_notes = NoteField(default="")
    total_amount = AmountField()
    currency = CurrencyField(required=False)
    override_reason = OverrideReason(
        help_text="A supervisor's reason; allows overbooking, and more guests than the room sleeps."
    )

    def to_internal_value(self, data: Any) -> Any:
        """The validated fields, with all other fields of the body unchanged in ``others``."""
        fields = super().to_internal_value(data)
        return {**fields, "others": {name: value for name, value in data.items() if name not in self.fields}}


class ReasonInput(serializers.Serializer[Any]):
    reason = NoteField(default="")


class RequiredReasonInput(serializers.Serializer[Any]):
    reason = LinesField(max_length=2000, help_text="Must not be blank.")


class DeclineInput(serializers.Serializer[Any]):
    reason_code = OptionalLineField(default="", max_length=50, help_text="For the hotel's own use.")
    reason_note = NoteField(default="", help_text="Sent to the guest.")


class UpgradeField(StrictBooleanField):
    """Whether a room of another type than the booked one is meant."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            default=False,
            help_text="Allows a room of another type than the booked one; a supervisor's reason does too.",
            **kwargs,
        )


class AssignInput(serializers.Serializer[Any]):
    """``notes`` is an alias of ``assignment_notes``."""

    room_id = IdField()
    assignment_notes = NoteField(default="")
    notes = NoteField(default="")
    override_reason = OverrideReason(
        help_text="A supervisor's reason; allows a room of another type, overbooking, and more guests than the room "
        "sleeps."
    )
    upgrade = UpgradeField()

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """``{"room_id": 17, "notes": "quiet side", "override_reason": "", "upgrade": False}``."""
        notes = attrs.pop("assignment_notes") or attrs["notes"]
        return {**attrs, "notes": notes}


class AvailableRoomsQuery(serializers.Serializer[Any]):
    upgrade = serializers.BooleanField(
        default=False, help_text="Whether an arrival's rooms may be of any type that has a room left to sell."
    )


class UnassignInput(serializers.Serializer[Any]):
    override_reason = OverrideReason(
        help_text="A supervisor's reason; required if the room is not of the booked type and that type is sold out or "
        "too small."
    )


class CheckInInput(serializers.Serializer[Any]):
    room_id = IdField(required=False, allow_null=True, default=None, help_text="A room to assign before the check-in.")
    override_reason = OverrideReason(
        help_text="A supervisor's reason; lifts the arrival window, and allows a room of another type, overbooking, "
        "and more guests than the room sleeps."
    )
    upgrade = UpgradeField()


class MoveInput(serializers.Serializer[Any]):
    to_room_id = IdField()
    reason = LinesField(max_length=2000, help_text="Must not be blank.")
    notes = NoteField(default="")


class UndoCheckOutInput(serializers.Serializer[Any]):
    reason = NoteField(
        default="",
        help_text="A supervisor's; without it, only whoever checked the guest out can undo it, for 15 minutes.",
    )
    room_id = IdField(required=False, allow_null=True, default=None, help_text="Another room to return to.")


class AcknowledgeInput(serializers.Serializer[Any]):
    note = NoteField(default="")
    dismiss = StrictBooleanField(default=False)


class ExtendInput(serializers.Serializer[Any]):
    """Takes exactly one of ``add_nights`` and ``new_checkout_date``."""

    add_nights = serializers.IntegerField(min_value=1, max_value=14, required=False, allow_null=True)
    new_checkout_date = DayField(required=False, allow_null=True)
    override_reason = OverrideReason(help_text="A supervisor's reason; allows overbooking.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        reason = attrs.pop("override_reason")
        given = {name: value for name, value in attrs.items() if value is not None}
        if len(given) != 1:
            raise serializers.ValidationError({"add_nights": ["Give either add_nights or new_checkout_date."]})
        return {**given, "override_reason": reason}


class CompanionsInput(serializers.Serializer[Any]):
    companions = CompanionInput(many=True, max_length=LARGEST_PARTY)  # type: ignore[call-arg]  # of the list
    override_reason = OverrideReason()


class RoomsInput(serializers.Serializer[Any]):
    room_ids = serializers.ListField(child=IdField(), allow_empty=False, max_length=ROOMS_AT_ONCE)


class RoomsCheckOutInput(RoomsInput):
    destructive = StrictBooleanField(
        default=False, help_text="Requires the right rooms.checkout_destructive; otherwise has no effect."
    )


# --- responses --------------------------------------------------------------------------------------------------------


class BookingRow(serializers.Serializer[Any]):
    """A booking in a list, built by ``room_bookings.snapshots.booking_row``."""

    booking_id = serializers.CharField()
    confirmation_number = serializers.CharField()
    status = serializers.ChoiceField(choices=BookingStatus.choices)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()
    check_in = serializers.DateField()
    check_out = serializers.DateField()
    nights = serializers.IntegerField()
    room_type_name = serializers.CharField()
    guest_name = serializers.CharField()
    guest_display_name = serializers.CharField()
    primary_email = serializers.CharField()
    primary_phone = serializers.CharField()
    party_primary_full_name = serializers.CharField()
    party_total_count = serializers.IntegerField()
    party_complete = serializers.BooleanField(
        help_text="Every adult is named; children need not be. Always true if the hotel does not require names."
    )
    party_missing_count = serializers.IntegerField()
    adults = serializers.IntegerField()
    children = serializers.IntegerField()
    total_amount = serializers.CharField(allow_null=True, help_text="A decimal in `currency`.")
    currency = serializers.CharField()
    paid_at = serializers.DateTimeField(allow_null=True)
    checked_in_at = serializers.DateTimeField(allow_null=True)
    checked_out_at = serializers.DateTimeField(allow_null=True)
    assigned_room_number = RoomNumberField(allow_null=True)
    room_number = RoomNumberField(allow_null=True)
    is_upgraded = serializers.BooleanField(help_text="The assigned room is of another type than the booked one.")
    room_moved_at = serializers.DateTimeField(allow_null=True)
    staff_seen_at = serializers.DateTimeField(allow_null=True)
    is_new_for_staff = serializers.BooleanField()
    is_late_arrival = serializers.BooleanField(
        help_text="The guest was due on an earlier business day and may still be checked in."
    )
    approval_deadline_at = serializers.DateTimeField(allow_null=True)
    approval_risk_level = serializers.ChoiceField(choices=["OK", "DUE_SOON", "OVERDUE", "CRITICAL"])
    approval_overdue_minutes = serializers.IntegerField()
    is_approval_due_soon = serializers.BooleanField()
    is_approval_overdue = serializers.BooleanField()
    checkout_deadline_at = serializers.DateTimeField()
    overstay_risk_level = serializers.ChoiceField(choices=["OK", "GRACE", "OVERDUE", "CRITICAL"])
    overstay_minutes = serializers.IntegerField()
    is_overstay = serializers.BooleanField()


class BookingRowWithActions(BookingRow):
    """A booking in an answer to ``expand=actions``."""

    actions = serializers.ListField(child=serializers.DictField(), required=False, help_text=EXPANDED)


@extend_schema_serializer(many=False)
class BookingPage(serializers.Serializer[Any]):
    count = serializers.IntegerField()
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = BookingRowWithActions(many=True)
    bucket_counts = BucketCounts(required=False, help_text="Omitted with `include_counts=0`.")


class PrimaryGuest(serializers.Serializer[Any]):
    first_name = serializers.CharField()
    last_name = serializers.CharField()
    email = serializers.CharField()
    phone = serializers.CharField()


class Companion(PrimaryGuest):
    id = serializers.IntegerField()


class Booker(PrimaryGuest):
    type = serializers.ChoiceField(choices=BookerType.choices)
    company = serializers.CharField()


class PartyOutput(serializers.Serializer[Any]):
    """The primary guest and the named companions."""

    primary = PrimaryGuest()
    companions = Companion(many=True)
    total_count = serializers.IntegerField()


class PartyOfBooking(PartyOutput):
    booker = Booker()


class RoomOfBooking(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    room_number = RoomNumberField()
    room_type_name = serializers.CharField()
    room_status = serializers.ChoiceField(choices=RoomStatus.choices)
    is_bookable = serializers.BooleanField()


class AssignedRoom(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    room_number = RoomNumberField()


class BookingFlags(serializers.Serializer[Any]):
    """The actions that the booking's state currently allows; the caller's rights are checked separately."""

    is_checked_in = serializers.BooleanField()
    can_check_in = serializers.BooleanField()
    can_check_out = serializers.BooleanField()
    can_assign_room = serializers.BooleanField()
    can_unassign_room = serializers.BooleanField()
    can_move_room = serializers.BooleanField()
    can_cancel = serializers.BooleanField()
    can_edit_party = serializers.BooleanField()


class BookingDetail(BookingRow):
    """One booking, built by ``room_bookings.snapshots.booking_detail``."""

    primary_first_name = serializers.CharField()
    primary_last_name = serializers.CharField()
    party = PartyOfBooking()
    booker = Booker()
    room = RoomOfBooking(allow_null=True)
    assigned_room = AssignedRoom(allow_null=True)
    room_assigned_at = serializers.DateTimeField(allow_null=True)
    assignment_notes = serializers.CharField()
    flags = BookingFlags()
    staff_seen_by_display = serializers.CharField(allow_null=True)
    special_requests = serializers.CharField()
    internal_notes = serializers.CharField()
    payment_provider = serializers.CharField()
    payment_reference = serializers.CharField()
    payment_parked_at = serializers.DateTimeField(
        allow_null=True,
        help_text="When the worker gave up settling the card payment; approve or decline retries it.",
    )
    cancelled_at = serializers.DateTimeField(allow_null=True)
    cancellation_reason = serializers.CharField()
    decision_at = serializers.DateTimeField(allow_null=True)
    decline_reason_code = serializers.CharField()
    decline_reason_note = serializers.CharField()
    expired_at = serializers.DateTimeField(allow_null=True)
    auto_expire_reason_code = serializers.CharField()
    overstay_flagged_at = serializers.DateTimeField(allow_null=True)
    overstay_acknowledged_at = serializers.DateTimeField(allow_null=True)
    version = serializers.IntegerField(help_text="For `If-Match`.")


class BookingDetailWithActions(BookingDetail):
    """One booking in an answer to ``expand=actions``."""

    actions = serializers.ListField(child=serializers.DictField(), required=False, help_text=EXPANDED)


class NewBooking(BookingDetail):
    guest_token = serializers.CharField(
        allow_null=True, help_text="The guest's access token, returned only once; null in the response to a retry."
    )


class CancelOutput(serializers.Serializer[Any]):
    message = serializers.CharField()
    booking = BookingDetail()
    cancellation_reason = serializers.CharField()


class SeenBy(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    name = serializers.CharField()


class SeenOutput(serializers.Serializer[Any]):
    booking_id = serializers.CharField()
    staff_seen_at = serializers.DateTimeField()
    staff_seen_by = SeenBy()
    is_new_for_staff = serializers.BooleanField()


class AvailableRoom(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    room_number = RoomNumberField()
    room_type = serializers.CharField(help_text="The type's name.")
    room_status = serializers.ChoiceField(choices=RoomStatus.choices)
    is_bookable = serializers.BooleanField()


class AvailableRoomsOutput(serializers.Serializer[Any]):
    available_rooms = AvailableRoom(many=True)


class AvailabilityQuery(serializers.Serializer[Any]):
    vars()["from"] = serializers.DateField(help_text="The first night, tonight or later.")  # a Python keyword
    to = serializers.DateField(help_text="The day after the last night, at most 731 nights after `from`.")
    room_type = LineField(required=False, max_length=100, help_text="Code or id of the only type to count.")


class AvailabilityNight(serializers.Serializer[Any]):
    date = serializers.DateField()
    rooms = serializers.IntegerField(help_text="All but those out of inventory.")
    blocked = serializers.DictField(
        child=serializers.IntegerField(), help_text="By kind. Rooms out of service can be sold."
    )
    sold_assigned = serializers.IntegerField(help_text="Stays with a room.")
    sold_unassigned = serializers.IntegerField(help_text="Stays without a room yet.")
    free = serializers.IntegerField(help_text="Rooms left to sell.")
    overbooked = serializers.IntegerField(help_text="Rooms sold beyond those that there are.")


class TypeAvailability(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    code = serializers.CharField()
    name = serializers.CharField()
    nights = AvailabilityNight(many=True)


class AvailabilityOutput(serializers.Serializer[Any]):
    """Built by ``room_bookings.availability.availability``."""

    vars()["from"] = serializers.DateField()
    to = serializers.DateField()
    room_types = TypeAvailability(many=True)
    total = AvailabilityNight(many=True)


class Extension(serializers.Serializer[Any]):
    old_checkout_date = serializers.DateField()
    new_checkout_date = serializers.DateField()
    nights = serializers.IntegerField()
    created_at = serializers.DateTimeField()


class Overstay(serializers.Serializer[Any]):
    status = serializers.ChoiceField(choices=OverstayStatus.choices)
    hours_overdue = serializers.IntegerField()
    expected_checkout_date = serializers.DateField()
    detected_at = serializers.DateTimeField()
    extensions = Extension(many=True)


class OverstayOutput(serializers.Serializer[Any]):
    """Built by ``room_bookings.services.overstay.overstay_state``."""

    is_overstay = serializers.BooleanField(help_text="In house past the checkout time and its grace.")
    incident_state = serializers.ChoiceField(choices=["ACTIVE", "MISSING"])
    overstay = Overstay(allow_null=True)


class AcknowledgeOutput(OverstayOutput):
    booking_id = serializers.CharField()


class ExtendOutput(OverstayOutput):
    message = serializers.CharField()
    booking = BookingDetail()


class SuggestedRoom(serializers.Serializer[Any]):
    room_id = serializers.IntegerField()
    room_number = RoomNumberField()
    room_type = serializers.CharField(help_text="The type's name.")


class ExtendRefused(ErrorBody):
    """``conflicts`` and ``suggested_rooms`` only if the room is assigned to another booking or the type is sold out."""

    conflicts = Conflict(many=True, required=False)
    suggested_rooms = SuggestedRoom(many=True, required=False)


class UndoCheckOutRefused(ErrorBody):
    """``suggested_rooms`` only if the room cannot take the guest back, or its type is sold out."""

    suggested_rooms = SuggestedRoom(many=True, required=False)


class FailedRoom(serializers.Serializer[Any]):
    room_id = serializers.IntegerField()
    code = serializers.CharField()
    message = serializers.CharField()


class CheckInResults(serializers.Serializer[Any]):
    checked_in_bookings = serializers.ListField(child=serializers.CharField(), help_text="Booking references.")
    failed = FailedRoom(many=True)


class CheckOutResults(serializers.Serializer[Any]):
    checked_out_bookings = serializers.ListField(child=serializers.CharField(), help_text="Booking references.")
    rooms_cleared = serializers.ListField(child=serializers.IntegerField(), help_text="Room numbers.")
    failed = FailedRoom(many=True)
    destructive_mode = serializers.BooleanField()


class RoomsCheckInOutput(serializers.Serializer[Any]):
    detail = serializers.CharField()
    results = CheckInResults()


class RoomsCheckOutOutput(serializers.Serializer[Any]):
    detail = serializers.CharField()
    results = CheckOutResults()


class RoomsCheckInRefused(ErrorBody):
    results = CheckInResults(required=False)


class RoomsCheckOutRefused(ErrorBody):
    results = CheckOutResults(required=False)
