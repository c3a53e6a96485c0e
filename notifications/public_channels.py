"""The public channels' content: staff events without any personal or staff-only data.

Anyone with the app key, which every browser client contains, can subscribe to these channels without signing in. So
this is an allowlist: event types not listed here are not published, and fields not listed here are published as null,
however harmless they may look.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

SHOWN_META = ("hotel_slug", "event_id", "seq", "ts", "scope")


class PublicView(NamedTuple):
    """The public version of one stream.

    ``types`` maps the published event types to their public names; ``shown`` are the fields that keep their value;
    ``hidden`` are fields that clients read but that are not public, with their replacement values.
    """

    types: Mapping[str, str]
    shown: frozenset[str]
    hidden: Mapping[str, Any]

    def twin(self, envelope: Mapping[str, Any]) -> dict[str, Any] | None:
        """The public version of a staff event, with the same keys, ``event_id`` and ``seq``; ``None`` if not public."""
        if envelope["type"] not in self.types:
            return None
        return {
            "category": envelope["category"],
            "type": self.types[envelope["type"]],
            "payload": {
                name: value if name in self.shown else self.hidden.get(name)
                for name, value in envelope["payload"].items()
            },
            "meta": {name: envelope["meta"][name] for name in SHOWN_META},
        }


ROOMS_IN_PUBLIC = PublicView(
    types={
        name: name
        for name in (
            "room_updated",
            "room_occupancy_updated",
            *(f"room_block_{step}" for step in ("created", "started", "extended", "delayed", "completed", "cancelled")),
        )
    },
    shown=frozenset(
        {
            "id",
            "hotel_slug",
            "room_number",
            "room_type",
            "room_type_name",
            "room_type_info",
            "current_price",
            "floor",
            "building",
            "section",
            "features",
            "is_accessible",
            "connecting_rooms",
            "walking_order",
            "credits",
            "room_status",
            "room_status_display",
            "is_occupied",
            "is_active",
            "is_bookable",
            "is_out_of_order",
            "maintenance_required",
            "maintenance_priority",
            "last_cleaned_at",
            "last_inspected_at",
            "status_version",
            "status_changed_at",
            "allowed_transitions",
            "updated_at",
            "changed_fields",
            "source",
            "from_status",
            "to_status",
            "room_id",
            "kind",
            "from",
            "to",
            "status",
            "return_status",
        }
    ),
    hidden={
        "reason": None,
        "block": None,
        "next_block": None,
        "maintenance_notes": "",
        "turnover_notes": "",
        "cleaned_by_staff": None,
        "cleaned_by_staff_name": None,
        "inspected_by_staff": None,
        "inspected_by_staff_name": None,
        "changed_by_name": None,
        "primary_guest": None,
        "companions": [],
        "guests_in_room": [],
        "current_booking": None,
    },
)

BOOKINGS_IN_PUBLIC = PublicView(
    types={
        "booking_created": "booking_created",
        "booking_confirmed": "booking_confirmed",
        "booking_updated": "booking_updated",
        "booking_cancelled": "booking_cancelled",
        "booking_checked_in": "booking_checked_in",
        "booking_checked_out": "booking_checked_out",
        "booking_party_updated": "booking_party_updated",
        "booking_expired": "booking_expired",
        "booking_no_show": "booking_updated",  # clients of these channels do not handle booking_no_show
        "booking_overstay_flagged": "booking_overstay_flagged",
        "booking_overstay_acknowledged": "booking_overstay_acknowledged",
        "booking_overstay_extended": "booking_overstay_extended",
    },
    shown=frozenset(
        {
            "booking_id",
            "status",
            "created_at",
            "updated_at",
            "check_in",
            "check_out",
            "nights",
            "room_type_name",
            "party_total_count",
            "party_complete",
            "party_missing_count",
            "adults",
            "children",
            "total_amount",
            "currency",
            "paid_at",
            "checked_in_at",
            "checked_out_at",
            "assigned_room_number",
            "room_number",
            "is_upgraded",
            "room_moved_at",
            "staff_seen_at",
            "is_new_for_staff",
            "is_late_arrival",
            "approval_deadline_at",
            "approval_risk_level",
            "approval_overdue_minutes",
            "is_approval_due_soon",
            "is_approval_overdue",
            "checkout_deadline_at",
            "overstay_risk_level",
            "overstay_minutes",
            "is_overstay",
        }
    ),
    hidden={
        "guest_name": "Guest",
        "guest_display_name": "Guest",
        "party_primary_full_name": "Guest",
        "primary_email": "",
        "primary_phone": "",
        # A stranger could use it to impersonate the guest on the telephone.
        "confirmation_number": "",
    },
)
