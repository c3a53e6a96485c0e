"""Request and response shapes of room blocks and their reasons.

``from`` is a Python keyword: ``vars()["from"]`` declares a field of that name.
"""

from typing import Any

from rest_framework import serializers

from common.serializers import LineField, NoteField, RoomNumberField, StrictBooleanField
from housekeeping.serializers import LARGEST_ID
from room_bookings.serializers import DayField
from rooms.models import OFF_SALE, RETURN_CHOICES, BlockAction, BlockKind, BlockReason, BlockStatus
from rooms.serializers import NeededBody

BLOCK_EXAMPLE = {
    "id": 12,
    "room_id": 17,
    "room_number": 101,
    "kind": "OUT_OF_ORDER",
    "kind_display": "Out of order",
    "reason": "REPAIR",
    "reason_label": "Repair",
    "remarks": "new shower",
    "from": "2026-07-20",
    "to": "2026-07-23",
    "return_status": "CHECKOUT_DIRTY",
    "status": "PLANNED",
    "status_display": "Planned",
    "by_status": False,
    "is_late": False,
    "version": 1,
    "created_at": "2026-07-01T09:12:45.120000Z",
    "created_by_name": "Maeve Byrne",
    "started_at": None,
    "ended_at": None,
    "ended_on": None,
}
BLOCK_CHANGE_EXAMPLE = {
    "version": 1,
    "action": "CREATED",
    "action_display": "Created",
    "from_status": None,
    "to_status": "PLANNED",
    "old_to": None,
    "new_to": "2026-07-23",
    "old_return_status": None,
    "new_return_status": "CHECKOUT_DIRTY",
    "by_name": "Maeve Byrne",
    "note": "new shower",
    "created_at": "2026-07-01T09:12:45.120000Z",
}
REASON_EXAMPLE = {
    "code": "REPAIR",
    "label": "Repair",
    "default_kind": "OUT_OF_ORDER",
    "default_return_status": "CHECKOUT_DIRTY",
}
NIGHTS_EXAMPLE = {
    "from": "2026-07-01",
    "to": "2026-08-01",
    "rows": [
        {
            "month": "2026-07",
            "kind": "OUT_OF_ORDER",
            "kind_display": "Out of order",
            "reason": "REPAIR",
            "reason_label": "Repair",
            "nights": 3,
        }
    ],
    "total": 3,
}
ROOMS_IN_A_BLOCK = 500


class BlockOutput(serializers.Serializer[Any]):
    """A block; ``housekeeping.snapshots.block_snapshot`` builds it."""

    id = serializers.IntegerField(allow_null=True, help_text="Null in a dry run.")
    room_id = serializers.IntegerField()
    room_number = RoomNumberField()
    kind = serializers.ChoiceField(choices=BlockKind.choices)
    kind_display = serializers.CharField()
    reason = serializers.CharField(allow_null=True, help_text="Null if the status OUT_OF_ORDER made the block.")
    reason_label = serializers.CharField(allow_null=True)
    remarks = serializers.CharField()
    vars()["from"] = serializers.DateField(help_text="The first night.")
    to = serializers.DateField(allow_null=True, help_text="The day after the last night; null: until completed.")
    return_status = serializers.ChoiceField(choices=RETURN_CHOICES)
    status = serializers.ChoiceField(choices=BlockStatus.choices)
    status_display = serializers.CharField()
    by_status = serializers.BooleanField(help_text="The status OUT_OF_ORDER made it; the next status completes it.")
    is_late = serializers.BooleanField(help_text="It was due, and an overdue guest is still in the room.")
    version = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    created_by_name = serializers.CharField(allow_null=True)
    started_at = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)
    ended_on = serializers.DateField(allow_null=True)


class BlockChangeOutput(serializers.Serializer[Any]):
    """One change of a block."""

    version = serializers.IntegerField()
    action = serializers.ChoiceField(choices=BlockAction.choices)
    action_display = serializers.CharField()
    from_status = serializers.ChoiceField(choices=BlockStatus.choices, allow_null=True)
    to_status = serializers.ChoiceField(choices=BlockStatus.choices)
    old_to = serializers.DateField(allow_null=True)
    new_to = serializers.DateField(allow_null=True)
    old_return_status = serializers.ChoiceField(choices=RETURN_CHOICES, allow_null=True)
    new_return_status = serializers.ChoiceField(choices=RETURN_CHOICES)
    by_name = serializers.CharField(allow_null=True)
    note = serializers.CharField()
    created_at = serializers.DateTimeField()


class BlockDetail(BlockOutput):
    history = BlockChangeOutput(many=True)


class RefusedBlock(serializers.Serializer[Any]):
    room_id = serializers.IntegerField()
    code = serializers.CharField()
    message = serializers.CharField()
    details = serializers.DictField()


class BlocksOutput(serializers.Serializer[Any]):
    blocks = BlockOutput(many=True)
    failed = RefusedBlock(many=True, help_text="The refused rooms; only with `per_room`.")


class RefusedBlocks(NeededBody):
    """``blocks`` and ``failed`` are present where each room was refused by itself."""

    blocks = BlockOutput(many=True, required=False)
    failed = RefusedBlock(many=True, required=False)


class BlockReasonOutput(serializers.ModelSerializer[BlockReason]):
    class Meta:
        model = BlockReason
        fields = ["code", "label", "default_kind", "default_return_status"]


class BlockInput(serializers.Serializer[Any]):
    """Rooms to block, and what for. The reason's defaults apply to what is left out."""

    room_ids = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=LARGEST_ID), min_length=1, max_length=ROOMS_IN_A_BLOCK
    )
    reason = LineField(max_length=30, help_text="A code of `block-reasons/`.")
    kind = serializers.ChoiceField(choices=BlockKind.choices, required=False)
    vars()["from"] = DayField(help_text="The first night.")
    to = DayField(required=False, allow_null=True, default=None, help_text="The day after the last night.")
    return_status = serializers.ChoiceField(choices=RETURN_CHOICES, required=False)
    remarks = NoteField(default="")
    per_room = StrictBooleanField(default=False, help_text="Block the rooms that can be, instead of all or none.")
    relocate = StrictBooleanField(
        default=False, help_text="Move the arrivals of the rooms to free rooms of their types."
    )
    force = StrictBooleanField(
        default=False, help_text="Supervisors only: unassign the arrivals, and accept that nights are oversold."
    )


class BlockEndInput(serializers.Serializer[Any]):
    to = DayField(allow_null=True, help_text="The day after the last night; null: until completed.")
    notes = NoteField(default="")
    relocate = StrictBooleanField(default=False, help_text="As for a new block, for the added nights.")
    force = StrictBooleanField(default=False, help_text="As for a new block, for the added nights.")


class BlockCompletionInput(serializers.Serializer[Any]):
    return_status = serializers.ChoiceField(choices=RETURN_CHOICES, required=False, help_text="Instead of the block's.")
    notes = NoteField(default="")


class BlockQuery(serializers.Serializer[Any]):
    vars()["from"] = DayField(required=False, help_text="Blocks that have a night on this day or later.")
    to = DayField(required=False, help_text="Blocks that have a night before this day.")
    room_id = serializers.IntegerField(min_value=1, max_value=LARGEST_ID, required=False)
    status = serializers.ChoiceField(choices=BlockStatus.choices, required=False)
    kind = serializers.ChoiceField(choices=BlockKind.choices, required=False)


class BlockReportQuery(serializers.Serializer[Any]):
    vars()["from"] = DayField(help_text="The first night.")
    to = DayField(help_text="The day after the last night, at most 731 nights after `from`.")
    format = serializers.ChoiceField(
        choices=["json", "csv"], default="json", help_text="`csv`: as a file to download, for spreadsheets."
    )


class BlockedNightsRow(serializers.Serializer[Any]):
    """Nights of one month, kind and reason."""

    month = serializers.CharField(help_text="As `2026-07`.")
    kind = serializers.ChoiceField(choices=[(kind, BlockKind(kind).label) for kind in OFF_SALE])
    kind_display = serializers.CharField()
    reason = serializers.CharField(allow_null=True, help_text="Null if the status OUT_OF_ORDER made the block.")
    reason_label = serializers.CharField(allow_null=True)
    nights = serializers.IntegerField()


class BlockedNightsOutput(serializers.Serializer[Any]):
    """Built by ``room_bookings.blocked_nights``."""

    vars()["from"] = serializers.DateField()
    to = serializers.DateField()
    rows = BlockedNightsRow(many=True)
    total = serializers.IntegerField()
