"""The fields that the staff app reads and their JSON types, written by hand (see checking.py)."""

from typing import Any

from tools.conformance.checking import keyed, maybe

ROOM_STATUSES = (
    "OCCUPIED",
    "CHECKOUT_DIRTY",
    "CLEANING_IN_PROGRESS",
    "CLEANED_UNINSPECTED",
    "READY_FOR_GUEST",
    "MAINTENANCE_REQUIRED",
    "OUT_OF_ORDER",
)
BOOKING_STATUSES = (
    "PENDING_PAYMENT",
    "PENDING_APPROVAL",
    "CONFIRMED",
    "IN_HOUSE",
    "COMPLETED",
    "DECLINED",
    "CANCELLED",
    "CANCELLED_DRAFT",
    "EXPIRED",
    "NO_SHOW",
)
SOURCES = frozenset({"HOUSEKEEPING", "FRONT_DESK", "SYSTEM", "MANAGER_OVERRIDE"})
ROOM_STATUS, BOOKING_STATUS = frozenset(ROOM_STATUSES), frozenset(BOOKING_STATUSES)

# --- conventions ------------------------------------------------------------------------------------------------------

DRY_RUN = ("dry_run", "effects")  # keys that no field's messages hide
ERROR = {"code": "str", "message": "str", "detail": "str", "error": "str", "details": keyed("any")}


def page(row: Any) -> dict[str, Any]:
    """A page of a list of ``row``."""
    return {"count": "int", "next": "str?", "previous": "str?", "results": [row]}


# --- sign-in ----------------------------------------------------------------------------------------------------------

RBAC: dict[str, tuple[str, ...]] = {
    "rooms": (
        *("inventory_create", "inventory_update", "inventory_delete", "type_manage", "inspect", "maintenance_flag"),
        *("maintenance_clear", "status_transition", "checkout_bulk", "checkout_destructive"),
        *("block_manage", "block_inventory"),
    ),
    "housekeeping": (
        *("status_transition", "status_front_desk", "status_override", "dashboard_read", "status_history_read"),
        *("task_read", "task_create", "task_update", "task_assign", "task_execute", "task_cancel"),
    ),
    "bookings": (
        *("create", "update", "cancel", "assign_room", "checkin", "checkout", "supervise", "resolve_overstay"),
        *("extend", "communicate", "manage_rules"),
    ),
}
NAVS = ("home", "rooms", "room_bookings", "housekeeping", "admin_settings")
PERMISSIONS = {
    "staff_id": "int",
    "username": "str",
    "first_name": "str",
    "last_name": "str",
    "hotel_id": "int",
    "hotel_name": "str",
    "hotel_slug": "str",
    "hotel": {"id": "int", "name": "str", "slug": "str"},
    "is_staff": "bool",
    "is_superuser": "bool",
    "access_level": "str",
    "department": "str",
    "role": "str",
    "effective_navs": ["str"],
    "allowed_navs": ["str"],
    "navigation_items": [{"slug": "str", "name": "str", "path": "str"}],
    "rbac": {
        module: {"visible": "bool", "read": "bool", "actions": keyed("bool", actions)}
        for module, actions in RBAC.items()
    },
    "can_edit_self_profile": "bool",
    "profile_image_url": "str?",
}
LOGIN = {"token": "str", **PERMISSIONS}
ME = {
    **PERMISSIONS,
    "id": "int",
    "full_name": "str",
    "email": "str",
    "phone_number": "str",
    "is_active": "bool",
    "is_on_duty": "bool",
    "status_transitions": keyed([ROOM_STATUS]),
}

# --- rooms ------------------------------------------------------------------------------------------------------------

ROOM = {
    "id": "int",
    "hotel_slug": "str",
    "room_number": "room",
    "room_type": "int",
    "room_type_name": "str",
    "room_type_info": {
        "id": "int",
        "name": "str",
        "capacity": "int",
        "max_occupancy": "int",
        "base_rate": "money?",
        "starting_price_from": "money?",
    },
    "current_price": maybe({"amount": "money", "currency": "str"}),
    "floor": "str",
    "building": "str",
    "section": "str",
    "features": ["str"],
    "is_accessible": "bool",
    "connecting_rooms": ["int"],
    "walking_order": "int?",
    "credits": "money",
    "room_status": ROOM_STATUS,
    "room_status_display": "str",
    "is_occupied": "bool",
    "is_active": "bool",
    "is_bookable": "bool",
    "is_out_of_order": "bool",
    "maintenance_required": "bool",
    "maintenance_priority": frozenset({"LOW", "MED", "HIGH", None}),
    "maintenance_notes": "str",
    "last_cleaned_at": "time?",
    "cleaned_by_staff": "str?",
    "cleaned_by_staff_name": "str?",
    "last_inspected_at": "time?",
    "inspected_by_staff": "str?",
    "inspected_by_staff_name": "str?",
    "turnover_notes": "str",
    "status_version": "int",
    "status_changed_at": "time",
    "allowed_transitions": [ROOM_STATUS],
    "updated_at": "time",
}
GUEST_BLOCK = {
    "primary_guest": maybe({"first_name": "str", "last_name": "str"}),
    "companions": ["any"],
    "guests_in_room": [{"id": "int", "first_name": "str", "last_name": "str"}],
    "current_booking": maybe({"booking_id": "str", "check_out": "date"}),
}
ROOM_WITH_GUESTS = {**ROOM, **GUEST_BLOCK}
TURNOVER_ROOMS = keyed({"label": "str", "count": "int", "rooms": [ROOM]}, ROOM_STATUSES)
TURN_TIME = {"count": "int", "p50_minutes": "number?", "p90_minutes": "number?"}
TURNOVER_STATS = {
    "counts": keyed("int", ROOM_STATUSES),
    "bookable": "int",
    "maintenance": keyed("int"),
    "turn_times": {"today": TURN_TIME, "last_30_days": TURN_TIME},
    "time_in_status": ["any"],
}
ROOM_TYPE = {
    "id": "int",
    "name": "str",
    "code": "str",
    "starting_price_from": "money?",
    "currency": "str",
    "max_occupancy": "int",
    "bed_setup": "str",
    "short_description": "str",
    "availability_message": "str",
    "is_active": "bool",
    "credits": "money",
    "photo_url": "str?",
}
BULK_CREATED = {
    "created_count": "int",
    "skipped_existing": ["room"],
    "created_rooms": [ROOM],
    "room_type": "any",
}
FAILED = [{"room_id": "int", "code": "str", "message": "str"}]
CHECK_OUT_RESULTS = {
    "checked_out_bookings": ["str"],
    "rooms_cleared": ["any"],
    "failed": FAILED,
    "destructive_mode": "bool",
}
ROOMS_CHECKED_OUT = {"detail": "str", "results": CHECK_OUT_RESULTS}
CHECK_IN_RESULTS = {"checked_in_bookings": ["str"], "failed": FAILED}
ROOMS_CHECKED_IN = {"detail": "str", "results": CHECK_IN_RESULTS}

# --- housekeeping -----------------------------------------------------------------------------------------------------

STATUS_EVENT = {
    "id": "int",
    "hotel": "int",
    "hotel_name": "str",
    "room": "int",
    "room_number": "room",
    "from_status": ROOM_STATUS,
    "to_status": ROOM_STATUS,
    "changed_by": "int?",
    "changed_by_name": "str?",
    "source": SOURCES,
    "source_display": "str",
    "note": "str",
    "created_at": "time",
}
ACTION = {
    "action": "str",
    "allowed": "bool",
    "has_effect": "bool",
    "method": "str",
    "url": "str",
    "body": keyed("any"),
    "needs": ["str"],
    "reasons": [{"code": "str", "message": "str", "who_can": ["str"], "blocker": maybe(keyed("any"))}],
    "override": maybe({"right": "str", "needs": "str"}),
}
ROOM_ACTIONS = {"room_id": "int", "room_number": "room", "status_version": "int", "actions": [ACTION]}
BOOKING_ACTIONS = {"booking_id": "str", "version": "int", "actions": [ACTION]}
STATUS_CHANGE = {"message": "str", "room": ROOM, "status_event": maybe(STATUS_EVENT)}
TURNOVER = {**STATUS_CHANGE, "old_status": ROOM_STATUS, "new_status": ROOM_STATUS}
HISTORY = {
    "room": {"id": "int", "room_number": "room", "current_status": ROOM_STATUS},
    "status_history": [STATUS_EVENT],
    "total_events": "int",
    "next_before": "int?",
}
TASK = {
    "id": "int",
    "room": "int",
    "booking": "str?",
    "task_type": frozenset({"TURNOVER", "STAYOVER", "INSPECTION", "DEEP_CLEAN", "AMENITY"}),
    "status": frozenset({"OPEN", "IN_PROGRESS", "DONE", "CANCELLED"}),
    "priority": frozenset({"LOW", "MED", "HIGH"}),
    "note": "str",
    "assigned_to": "int?",
    "is_overdue": "bool",
}
DASHBOARD = {
    "counts": keyed("int", ROOM_STATUSES),
    "rooms_by_status": keyed([ROOM], ROOM_STATUSES),
    "my_open_tasks": [TASK],
    "open_tasks": [TASK],
    "total_rooms": "int",
}

# --- bookings ---------------------------------------------------------------------------------------------------------

BUCKETS = (
    *("all", "arrivals", "in_house", "departures", "pending", "checked_out", "cancelled", "expired", "no_show"),
    "overdue_checkout",
)
ROW = {
    "booking_id": "str",
    "confirmation_number": "str",
    "status": BOOKING_STATUS,
    "created_at": "time",
    "updated_at": "time",
    "check_in": "date",
    "check_out": "date",
    "nights": "int",
    "room_type_name": "str",
    "guest_name": "str",
    "guest_display_name": "str",
    "primary_email": "str",
    "primary_phone": "str",
    "party_primary_full_name": "str",
    "party_total_count": "int",
    "party_complete": "bool",
    "party_missing_count": "int",
    "adults": "int",
    "children": "int",
    "total_amount": "money?",
    "currency": "str",
    "paid_at": "time?",
    "checked_in_at": "time?",
    "checked_out_at": "time?",
    "assigned_room_number": "room?",
    "room_number": "room?",
    "is_upgraded": "bool",
    "room_moved_at": "time?",
    "staff_seen_at": "time?",
    "is_new_for_staff": "bool",
    "is_late_arrival": "bool",
    "approval_deadline_at": "time?",
    "approval_risk_level": frozenset({"OK", "DUE_SOON", "OVERDUE", "CRITICAL"}),
    "approval_overdue_minutes": "int",
    "is_approval_due_soon": "bool",
    "is_approval_overdue": "bool",
    "checkout_deadline_at": "time",
    "overstay_risk_level": frozenset({"OK", "GRACE", "OVERDUE", "CRITICAL"}),
    "overstay_minutes": "int",
    "is_overstay": "bool",
}
PERSON = {"first_name": "str", "last_name": "str", "email": "str", "phone": "str"}
BOOKER = {"type": "str", "company": "str", **PERSON}
PARTY: dict[str, Any] = {"primary": PERSON, "companions": [PERSON], "total_count": "int"}
DETAIL: dict[str, Any] = {
    **ROW,
    "primary_first_name": "str",
    "primary_last_name": "str",
    "party": {**PARTY, "booker": BOOKER},
    "booker": BOOKER,
    "room": maybe({"id": "int", "room_number": "room"}),
    "assigned_room": maybe({"id": "int", "room_number": "room"}),
    "room_assigned_at": "time?",
    "assignment_notes": "str",
    "flags": keyed(
        "bool",
        (
            *("is_checked_in", "can_check_in", "can_check_out", "can_assign_room", "can_unassign_room"),
            *("can_move_room", "can_cancel", "can_edit_party"),
        ),
    ),
    "staff_seen_by_display": "str?",
    "special_requests": "str",
    "internal_notes": "str",
    "payment_provider": "str",
    "payment_reference": "str",
    "cancelled_at": "time?",
    "cancellation_reason": "str",
    "decision_at": "time?",
    "decline_reason_code": "str",
    "decline_reason_note": "str",
    "expired_at": "time?",
    "auto_expire_reason_code": "str",
    "overstay_flagged_at": "time?",
    "overstay_acknowledged_at": "time?",
    "version": "int",
}
BOOKINGS = {**page(ROW), "bucket_counts": keyed("int", BUCKETS)}
SEEN = {
    "booking_id": "str",
    "staff_seen_at": "time",
    "staff_seen_by": {"id": "int", "name": "str"},
    "is_new_for_staff": "bool",
}
MAIL = {
    "id": "int",
    "kind": frozenset({"CONFIRMATION", "CHANGE", "CANCELLATION", "DECLINE"}),
    "kind_display": "str",
    "state": frozenset({"QUEUED", "SENDING", "SENT", "FAILED", "DROPPED"}),
    "state_display": "str",
    "to_address": "str",
    "queued_at": "time",
    "queued_by_name": "str?",
    "next_try_at": "time?",
    "tries": "int",
    "sent_at": "time?",
    "settled_at": "time?",
    "reason": "str",
    "can_send_again": "bool",
}
CANCELLED = {"message": "str", "booking": DETAIL, "cancellation_reason": "str"}
AVAILABLE_ROOMS = {
    "available_rooms": [
        {"id": "int", "room_number": "room", "room_type": "str", "room_status": ROOM_STATUS, "is_bookable": "bool"}
    ]
}
NIGHT = {
    "date": "date",
    "rooms": "int",
    "blocked": keyed("int", ("OUT_OF_ORDER", "OUT_OF_SERVICE", "OUT_OF_INVENTORY", "HOUSE_USE")),
    "sold_assigned": "int",
    "sold_unassigned": "int",
    "free": "int",
    "overbooked": "int",
}
BLOCK_KIND = frozenset({"OUT_OF_ORDER", "OUT_OF_SERVICE", "OUT_OF_INVENTORY", "HOUSE_USE"})
BLOCK = {
    "id": "int",
    "room_id": "int",
    "room_number": "room",
    "kind": BLOCK_KIND,
    "kind_display": "str",
    "reason": "str?",
    "reason_label": "str?",
    "remarks": "str",
    "from": "date",
    "to": "date?",
    "return_status": ROOM_STATUS,
    "status": frozenset({"PLANNED", "ACTIVE", "COMPLETED", "CANCELLED"}),
    "status_display": "str",
    "by_status": "bool",
    "is_late": "bool",
    "version": "int",
    "created_at": "time",
    "created_by_name": "str?",
    "started_at": "time?",
    "ended_at": "time?",
    "ended_on": "date?",
}
BLOCKS = {"blocks": [BLOCK], "failed": [keyed("any")]}
BLOCK_DETAIL = {**BLOCK, "history": [keyed("any")]}

AVAILABILITY = {
    "from": "date",
    "to": "date",
    "room_types": [{"id": "int", "code": "str", "name": "str", "nights": [NIGHT]}],
    "total": [NIGHT],
}
OVERSTAY = {
    "is_overstay": "bool",
    "incident_state": frozenset({"ACTIVE", "MISSING"}),
    "overstay": maybe(
        {
            "status": frozenset({"OPEN", "ACKED", "RESOLVED", "DISMISSED"}),
            "hours_overdue": "int",
            "expected_checkout_date": "date",
            "detected_at": "time",
            "extensions": ["any"],
        }
    ),
}
ROOM_NEEDED = {
    **ERROR,
    "conflicts": [{"booking_id": "str", "room_number": "room?", "start_date": "date", "end_date": "date"}],
}
EXTENSION_REFUSED = {
    **ERROR,
    "conflicts": [{"booking_id": "str", "room_number": "room", "start_date": "date", "end_date": "date"}],
    "suggested_rooms": [{"room_id": "int", "room_number": "room", "room_type": "str"}],
}
ACCESS_CONFIG = {
    "standard_checkout_time": "clock",
    "late_checkout_grace_minutes": "int",
    "approval_cutoff_time": "clock",
    "approval_cutoff_day_offset": frozenset({0, 1}),
    "check_in_time": "clock",
    "early_checkin_from": "clock",
    "late_arrival_cutoff": "clock",
    "timezone": "str",
    "allow_overbooking": "bool",
    "require_complete_party": "bool",
    "room_features": ["str"],
}

# --- live events ------------------------------------------------------------------------------------------------------

META = {"hotel_slug": "str", "event_id": "uuid", "seq": "int", "ts": "time", "scope": keyed("any")}
ROOM_UPDATED = {
    **ROOM,
    "changed_fields": ["str"],
    "source": "str",
    "from_status": ROOM_STATUS,
    "to_status": ROOM_STATUS,
    "changed_by_name": "str?",
}
NO_GUESTS: dict[str, Any] = {"primary_guest": None, "companions": [], "guests_in_room": [], "current_booking": None}
GUEST_PAYLOAD = {
    "booking_id": "str",
    "status": BOOKING_STATUS,
    "reason": "str",
    "room_number": "room?",
    "hotel_name": "str",
    "hotel_phone": "str",
}
REPLAY = {"results": [{"category": "str", "type": "str", "payload": keyed("any"), "meta": META}], "latest_seq": "int"}
