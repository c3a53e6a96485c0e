"""Request and response shapes of rooms and room types."""

from decimal import Decimal
from typing import Any

from rest_framework import serializers

from common.money import money
from common.openapi import EXPANDED, ErrorBody
from common.room_numbers import RoomNumber, key
from common.serializers import MODEL_FIELD_MAPPING, LineField, NoteField, RoomNumberField, StrictBooleanField
from rooms.models import RETURN_CHOICES, BlockKind, Priority, RoomStatus, RoomType

LARGEST_IN_RANGE = 999_999
ROOMS_AT_ONCE = 500

ROOM_EXAMPLE = {
    "id": 17,
    "hotel_slug": "resort",
    "room_number": 101,
    "room_type": 3,
    "room_type_name": "Standard",
    "room_type_info": {
        "id": 3,
        "name": "Standard",
        "capacity": 2,
        "max_occupancy": 2,
        "base_rate": "95.00",
        "starting_price_from": "95.00",
    },
    "current_price": {"amount": "95.00", "currency": "EUR"},
    "room_status": "CLEANED_UNINSPECTED",
    "room_status_display": "Cleaned uninspected",
    "is_occupied": False,
    "floor": "1",
    "building": "Garden wing",
    "section": "",
    "features": ["balcony", "sea view"],
    "is_accessible": False,
    "connecting_rooms": [18],
    "walking_order": None,
    "credits": "1.00",
    "is_active": True,
    "is_bookable": False,
    "is_out_of_order": False,
    "maintenance_required": False,
    "maintenance_priority": None,
    "maintenance_notes": "",
    "last_cleaned_at": "2026-07-01T09:12:45.120000Z",
    "cleaned_by_staff": "Maeve Byrne",
    "cleaned_by_staff_name": "Maeve Byrne",
    "last_inspected_at": None,
    "inspected_by_staff": None,
    "inspected_by_staff_name": None,
    "turnover_notes": "extra towels",
    "status_version": 5,
    "status_changed_at": "2026-07-01T09:12:45.120000Z",
    "allowed_transitions": ["READY_FOR_GUEST", "CLEANING_IN_PROGRESS", "CHECKOUT_DIRTY", "MAINTENANCE_REQUIRED"],
    "updated_at": "2026-07-01T09:12:45.120000Z",
    "block": None,
    "next_block": {
        "id": 12,
        "kind": "OUT_OF_ORDER",
        "reason": "REPAIR",
        "from": "2026-07-20",
        "to": "2026-07-23",
        "return_status": "CHECKOUT_DIRTY",
    },
    "primary_guest": None,
    "companions": [],
    "guests_in_room": [],
    "current_booking": None,
}


class RoomTypeInfo(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    name = serializers.CharField()
    capacity = serializers.IntegerField()
    max_occupancy = serializers.IntegerField()
    base_rate = serializers.CharField(allow_null=True)
    starting_price_from = serializers.CharField(allow_null=True)


class Price(serializers.Serializer[Any]):
    amount = serializers.CharField()
    currency = serializers.CharField()


class GuestName(serializers.Serializer[Any]):
    first_name = serializers.CharField()
    last_name = serializers.CharField()


class GuestInRoom(GuestName):
    id = serializers.IntegerField(help_text="0 for the primary guest.")


class CurrentBooking(serializers.Serializer[Any]):
    booking_id = serializers.CharField()
    check_out = serializers.DateField()


class BlockOfRoom(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    kind = serializers.ChoiceField(choices=BlockKind.choices)
    reason = serializers.CharField(allow_null=True, help_text="Null if the status OUT_OF_ORDER made the block.")
    vars()["from"] = serializers.DateField(help_text="The first night.")  # a Python keyword
    to = serializers.DateField(allow_null=True, help_text="The day after the last night; null: until completed.")
    return_status = serializers.ChoiceField(choices=RETURN_CHOICES)


class RoomOutput(serializers.Serializer[Any]):
    """A room's current state; ``rooms.snapshots.room_snapshot`` builds it.

    The last four fields are present only for staff with a bookings right.
    """

    id = serializers.IntegerField()
    hotel_slug = serializers.CharField()
    room_number = RoomNumberField()
    room_type = serializers.IntegerField()
    room_type_name = serializers.CharField()
    room_type_info = RoomTypeInfo()
    current_price = Price(allow_null=True)
    floor = serializers.CharField(help_text="From the number where none is given; empty if that tells none.")
    building = serializers.CharField()
    section = serializers.CharField()
    features = serializers.ListField(child=serializers.CharField())
    is_accessible = serializers.BooleanField()
    connecting_rooms = serializers.ListField(child=serializers.IntegerField(), help_text="Their ids, ascending.")
    walking_order = serializers.IntegerField(allow_null=True)
    credits = serializers.CharField(help_text="Housekeeping credits: the room's own, or its type's.")
    room_status = serializers.ChoiceField(choices=RoomStatus.choices)
    room_status_display = serializers.CharField()
    is_occupied = serializers.BooleanField()
    is_active = serializers.BooleanField()
    is_bookable = serializers.BooleanField()
    is_out_of_order = serializers.BooleanField()
    maintenance_required = serializers.BooleanField()
    maintenance_priority = serializers.ChoiceField(choices=Priority.choices, allow_null=True)
    maintenance_notes = serializers.CharField()
    last_cleaned_at = serializers.DateTimeField(allow_null=True)
    cleaned_by_staff = serializers.CharField(allow_null=True)
    cleaned_by_staff_name = serializers.CharField(allow_null=True)
    last_inspected_at = serializers.DateTimeField(allow_null=True)
    inspected_by_staff = serializers.CharField(allow_null=True)
    inspected_by_staff_name = serializers.CharField(allow_null=True)
    turnover_notes = serializers.CharField()
    status_version = serializers.IntegerField()
    status_changed_at = serializers.DateTimeField()
    allowed_transitions = serializers.ListField(child=serializers.ChoiceField(choices=RoomStatus.choices))
    updated_at = serializers.DateTimeField()
    block = BlockOfRoom(allow_null=True, help_text="The active block.")
    next_block = BlockOfRoom(allow_null=True, help_text="The next planned block.")
    primary_guest = GuestName(allow_null=True, required=False)
    companions = GuestInRoom(many=True, required=False)
    guests_in_room = GuestInRoom(many=True, required=False)
    current_booking = CurrentBooking(allow_null=True, required=False)


class RoomWithActions(RoomOutput):
    """A room in an answer to ``expand=actions``."""

    actions = serializers.ListField(child=serializers.DictField(), required=False, help_text=EXPANDED)


class StatusColumn(serializers.Serializer[Any]):
    label = serializers.CharField()  # type: ignore[assignment]  # the API's name, also an attribute of Field
    count = serializers.IntegerField()
    rooms = RoomWithActions(many=True)


class NotesInput(serializers.Serializer[Any]):
    notes = NoteField(default="")


class InspectionInput(NotesInput):
    passed = StrictBooleanField(default=True)


class MaintenanceInput(NotesInput):
    priority = serializers.ChoiceField(choices=Priority.choices, default=Priority.MED)


class RoomInput(serializers.Serializer[Any]):
    """``room_type`` is an older name for ``room_type_id``."""

    room_number = RoomNumberField()
    room_type_id = serializers.IntegerField(min_value=1, required=False)
    room_type = serializers.IntegerField(min_value=1, required=False)
    is_active = serializers.BooleanField(default=True)
    floor = LineField(max_length=20, allow_blank=True, required=False, help_text="Empty: from the number.")
    building = LineField(max_length=60, allow_blank=True, required=False)
    section = LineField(max_length=60, allow_blank=True, required=False)
    features = serializers.ListField(
        child=LineField(max_length=30), max_length=20, required=False, help_text="Of the hotel's `room_features`."
    )
    is_accessible = serializers.BooleanField(required=False)
    connecting_rooms = serializers.ListField(
        child=serializers.IntegerField(min_value=1),
        max_length=10,
        required=False,
        help_text="The ids of all rooms that it connects to; they then name it, too.",
    )
    walking_order = serializers.IntegerField(min_value=0, max_value=999_999, allow_null=True, required=False)
    credits = serializers.DecimalField(
        max_digits=4,
        decimal_places=2,
        min_value=Decimal(0),
        allow_null=True,
        required=False,
        help_text="Null: the type's.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        older = attrs.pop("room_type", None)
        attrs.setdefault("room_type_id", older)
        if attrs["room_type_id"] is None:
            del attrs["room_type_id"]
            if not self.partial:
                raise serializers.ValidationError({"room_type_id": ["This field is required."]})
        return attrs


class Conflict(serializers.Serializer[Any]):
    """A booking that conflicts with the change."""

    booking_id = serializers.CharField()
    room_number = RoomNumberField(allow_null=True)
    start_date = serializers.DateField()
    end_date = serializers.DateField()
    in_house = serializers.BooleanField(required=False, help_text="Whether its guest is in house; of ROOM_NEEDED.")
    free_rooms = serializers.ListField(
        child=RoomNumberField(), required=False, help_text="Free rooms of its type; where rooms are blocked."
    )


class NeededBody(ErrorBody):
    """``conflicts`` is present only where bookings need the room."""

    conflicts = Conflict(many=True, required=False)


class RoomChangeInput(RoomInput):
    force = StrictBooleanField(
        default=False,
        help_text="Supervisors only: deactivate the room or change its type although bookings need it. Its arrivals "
        "are unassigned.",
    )


class RoomTypeInput(serializers.ModelSerializer[RoomType]):
    serializer_field_mapping = MODEL_FIELD_MAPPING

    class Meta:
        model = RoomType
        fields = [
            "name",
            "code",
            "starting_price_from",
            "currency",
            "max_occupancy",
            "bed_setup",
            "short_description",
            "availability_message",
            "is_active",
            "credits",
        ]


class RoomTypeOutput(serializers.ModelSerializer[RoomType]):
    starting_price_from = serializers.SerializerMethodField()
    photo_url = serializers.SerializerMethodField()

    class Meta:
        model = RoomType
        fields = ["id", *RoomTypeInput.Meta.fields, "photo_url"]

    def get_starting_price_from(self, room_type: RoomType) -> str | None:
        """A decimal string with the decimal places of `currency`."""
        return money(room_type.starting_price_from, room_type.currency)

    def get_photo_url(self, room_type: RoomType) -> str | None:
        """Always null: HotelMate stores no photos, but older clients read the field."""
        return None


class NumberRange(serializers.Serializer[Any]):
    start = serializers.IntegerField(min_value=1, max_value=LARGEST_IN_RANGE)
    end = serializers.IntegerField(min_value=1, max_value=LARGEST_IN_RANGE)


class BulkCreateInput(serializers.Serializer[Any]):
    """Room numbers as a list, as ranges or as one range; ranges include both ends."""

    room_numbers = serializers.ListField(
        child=RoomNumberField(),
        required=False,
        max_length=ROOMS_AT_ONCE,
    )
    ranges = NumberRange(many=True, required=False)
    range_from = serializers.IntegerField(min_value=1, max_value=LARGEST_IN_RANGE, required=False)
    range_to = serializers.IntegerField(min_value=1, max_value=LARGEST_IN_RANGE, required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Return ``{"numbers": [101, 102, …]}``, in natural order, without duplicates."""
        ranges = [(item["start"], item["end"]) for item in attrs.get("ranges", [])]
        if "range_from" in attrs or "range_to" in attrs:
            if not ("range_from" in attrs and "range_to" in attrs):
                raise serializers.ValidationError({"range_to": ["Give range_from and range_to together."]})
            ranges.append((attrs["range_from"], attrs["range_to"]))
        numbers: set[RoomNumber] = set({key(number): number for number in attrs.get("room_numbers", [])}.values())
        for start, end in ranges:
            if end < start:
                raise serializers.ValidationError({"ranges": [f"The range {start} to {end} runs backwards."]})
            if len(numbers) + end - start + 1 > 2 * ROOMS_AT_ONCE:
                break  # already too many
            numbers.update(range(start, end + 1))
        else:
            if not numbers:
                raise serializers.ValidationError(
                    {"room_numbers": ["Give room_numbers, ranges, or range_from and range_to."]}
                )
            if len(numbers) <= ROOMS_AT_ONCE:
                return {"numbers": sorted(numbers, key=key)}
        raise serializers.ValidationError({"room_numbers": [f"At most {ROOMS_AT_ONCE} rooms at once."]})


class BulkCreateOutput(serializers.Serializer[Any]):
    created_count = serializers.IntegerField()
    skipped_existing = serializers.ListField(child=RoomNumberField())
    created_rooms = RoomOutput(many=True)
    room_type = RoomTypeOutput()


class TurnTime(serializers.Serializer[Any]):
    count = serializers.IntegerField()
    p50_minutes = serializers.FloatField(allow_null=True)
    p90_minutes = serializers.FloatField(allow_null=True)


class TurnTimes(serializers.Serializer[Any]):
    today = TurnTime()
    last_30_days = TurnTime()


class TimeInStatus(serializers.Serializer[Any]):
    room_id = serializers.IntegerField()
    room_number = RoomNumberField()
    room_status = serializers.ChoiceField(choices=RoomStatus.choices)
    since = serializers.DateTimeField()
    minutes = serializers.IntegerField()


class TurnoverStats(serializers.Serializer[Any]):
    counts = serializers.DictField(child=serializers.IntegerField())
    total_rooms = serializers.IntegerField()
    bookable = serializers.IntegerField()
    maintenance = serializers.DictField(child=serializers.IntegerField())
    turn_times = TurnTimes()
    time_in_status = TimeInStatus(many=True)
