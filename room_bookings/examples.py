"""Examples of bookings, responses and errors for the OpenAPI document."""

from typing import Any

from common.handlers import error_body

COMPANION_EXAMPLE = {"id": 31, "first_name": "Charles", "last_name": "Babbage", "email": "", "phone": ""}
PARTY_EXAMPLE = {
    "primary": {
        "first_name": "Ada",
        "last_name": "Lovelace",
        "email": "ada@example.com",
        "phone": "+44 20 7946 0000",
    },
    "companions": [COMPANION_EXAMPLE],
    "total_count": 2,
}
BOOKER_EXAMPLE = {"type": "SELF", "company": "", **PARTY_EXAMPLE["primary"]}  # type: ignore[dict-item]  # a dict
ROW_EXAMPLE = {
    "booking_id": "BK-2026-0005",
    "confirmation_number": "7KQ2M9XA",
    "status": "CONFIRMED",
    "created_at": "2026-06-20T14:05:11.402000Z",
    "updated_at": "2026-06-30T09:00:00Z",
    "check_in": "2026-07-01",
    "check_out": "2026-07-04",
    "nights": 3,
    "room_type_name": "Standard",
    "guest_name": "Ada Lovelace",
    "guest_display_name": "Ada Lovelace",
    "primary_email": "ada@example.com",
    "primary_phone": "+44 20 7946 0000",
    "party_primary_full_name": "Ada Lovelace",
    "party_total_count": 2,
    "party_complete": True,
    "party_missing_count": 0,
    "adults": 2,
    "children": 0,
    "total_amount": "285.00",
    "currency": "EUR",
    "paid_at": None,
    "checked_in_at": None,
    "checked_out_at": None,
    "assigned_room_number": 101,
    "room_number": 101,
    "room_moved_at": None,
    "staff_seen_at": "2026-06-20T14:30:00Z",
    "is_new_for_staff": False,
    "is_upgraded": False,
    "is_late_arrival": False,
    "approval_deadline_at": None,
    "approval_risk_level": "OK",
    "approval_overdue_minutes": 0,
    "is_approval_due_soon": False,
    "is_approval_overdue": False,
    "checkout_deadline_at": "2026-07-04T10:00:00Z",
    "overstay_risk_level": "OK",
    "overstay_minutes": 0,
    "is_overstay": False,
}
DETAIL_EXAMPLE = {
    **ROW_EXAMPLE,
    "primary_first_name": "Ada",
    "primary_last_name": "Lovelace",
    "party": {**PARTY_EXAMPLE, "booker": BOOKER_EXAMPLE},
    "booker": BOOKER_EXAMPLE,
    "room": {
        "id": 17,
        "room_number": 101,
        "room_type_name": "Standard",
        "room_status": "READY_FOR_GUEST",
        "is_bookable": True,
    },
    "assigned_room": {"id": 17, "room_number": 101},
    "room_assigned_at": "2026-06-30T09:00:00Z",
    "assignment_notes": "quiet side",
    "flags": {
        "is_checked_in": False,
        "can_check_in": True,
        "can_check_out": False,
        "can_assign_room": True,
        "can_unassign_room": True,
        "can_move_room": False,
        "can_cancel": True,
        "can_edit_party": True,
    },
    "staff_seen_by_display": "Aoife Kelly",
    "special_requests": "late arrival",
    "internal_notes": "",
    "payment_provider": "",
    "payment_reference": "",
    "payment_parked_at": None,
    "cancelled_at": None,
    "cancellation_reason": "",
    "decision_at": None,
    "decline_reason_code": "",
    "decline_reason_note": "",
    "expired_at": None,
    "auto_expire_reason_code": "",
    "overstay_flagged_at": None,
    "overstay_acknowledged_at": None,
    "version": 2,
}
EXTENSION_EXAMPLE = {
    "old_checkout_date": "2026-07-04",
    "new_checkout_date": "2026-07-06",
    "nights": 2,
    "created_at": "2026-07-04T11:20:00Z",
}
OVERSTAY_EXAMPLE = {
    "is_overstay": True,
    "incident_state": "ACTIVE",
    "overstay": {
        "status": "OPEN",
        "hours_overdue": 1,
        "expected_checkout_date": "2026-07-04",
        "detected_at": "2026-07-04T10:31:00Z",
        "extensions": [],
    },
}

# --- refusals ---------------------------------------------------------------------------------------------------------

STATE = {"booking_id": "BK-2026-0005", "status": "IN_HOUSE", "version": 4}
ENDPOINTS = {
    "approve": "/api/staff/hotel/resort/room-bookings/BK-2026-0005/approve/",
    "decline": "/api/staff/hotel/resort/room-bookings/BK-2026-0005/decline/",
}
NOT_THERE = error_body("BOOKING_NOT_FOUND", "There is no such booking.")
STATUS_SENT = {"status": ["status can't be changed here: send its current value or leave it out."]}
READ_ONLY = error_body("READ_ONLY_FIELD", STATUS_SENT["status"][0], details=STATUS_SENT, extra=STATUS_SENT)
OVERLAP = error_body(
    "ROOM_OVERLAP_CONFLICT",
    "Room 101 is taken by BK-2026-0009 from 2026-07-03 to 2026-07-05.",
    details={
        "conflicts": [
            {
                "booking_id": "BK-2026-0009",
                "room_number": 101,
                "start_date": "2026-07-03",
                "end_date": "2026-07-05",
            }
        ]
    },
)
NOT_IN_HOUSE = error_body(
    "BOOKING_NOT_CHECKED_IN", "Booking BK-2026-0005 is confirmed: the guest is not in house.", details=STATE
)
NOT_ELIGIBLE = error_body(
    "BOOKING_NOT_ELIGIBLE", "Booking BK-2026-0005 is completed and can't be given a room.", details=STATE
)
BY_CARD = error_body(
    "STRIPE_BOOKING",
    "Booking BK-2026-0005 has a card payment: approve or decline it instead.",
    details={"required_endpoints": ENDPOINTS},
)
SOLD_OUT = error_body(
    "NO_AVAILABILITY",
    "No Standard is left for the night of 2026-07-02.",
    details={"room_type_id": 3, "date": "2026-07-02"},
)
NIGHT_EXAMPLE = {
    "date": "2026-07-01",
    "rooms": 12,
    "blocked": {"OUT_OF_ORDER": 1, "OUT_OF_SERVICE": 0, "OUT_OF_INVENTORY": 0, "HOUSE_USE": 0},
    "sold_assigned": 7,
    "sold_unassigned": 2,
    "free": 2,
    "overbooked": 0,
}
AVAILABILITY_EXAMPLE = {
    "from": "2026-07-01",
    "to": "2026-07-02",
    "room_types": [{"id": 3, "code": "A", "name": "Standard", "nights": [NIGHT_EXAMPLE]}],
    "total": [NIGHT_EXAMPLE],
}
PAYMENTS_BUSY = error_body(
    "PAYMENTS_BUSY", "Other card payments are in progress; nothing was changed. Try again in a few seconds."
)
EXAMPLES: dict[int, Any] = {
    400: error_body("VALIDATION_ERROR", "room_id: A valid integer is required.", details={"room_id": ["A valid …"]}),
    404: NOT_THERE,
    409: NOT_ELIGIBLE,
    412: error_body(
        "PRECONDITION_FAILED", "Booking BK-2026-0005 has changed since you read it.", details=STATE | {"version": 5}
    ),
}
