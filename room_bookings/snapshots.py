"""A booking as JSON: one shape for list rows and events, one for the detail."""

from datetime import datetime, timedelta
from typing import Any

from common import clock
from common.formats import iso
from common.guards import refuses_nothing
from common.money import money
from hotel import calendar
from room_bookings.eligibility import (
    arrival_window_refusals,
    assignable_refusals,
    card_refusals,
    in_house_refusals,
    missing_guests,
    party_complete,
    party_edit_refusals,
    party_refusals,
    settled_refusals,
)
from room_bookings.inventory import is_upgraded
from room_bookings.models import BookerType, BookingStatus, RoomBooking
from rooms.models import Room

DUE_SOON = timedelta(hours=1)  # before the approval deadline
CRITICAL_APPROVAL = timedelta(hours=1)  # after it
CRITICAL_OVERSTAY = timedelta(hours=2)  # after the grace


def guest_name(booking: RoomBooking) -> str:
    """The primary guest's full name."""
    return f"{booking.primary_first_name} {booking.primary_last_name}".strip()


def is_late_arrival(booking: RoomBooking) -> bool:
    """Whether the guest was due on an earlier business day and may still be checked in."""
    return booking.status == BookingStatus.CONFIRMED and calendar.is_late_arrival(
        booking.check_in, booking.check_out, calendar.business_date(booking.hotel)
    )


def booking_row(booking: RoomBooking) -> dict[str, Any]:
    """A list row (docs/api.md, Bookings), JSON-safe.

    ``booking`` comes from ``selectors.booking_list`` or ``booking_lock``; no queries are made here.
    """
    now = clock.now()
    name = guest_name(booking)
    room_number = booking.assigned_room.room_number if booking.assigned_room else None
    return {
        "booking_id": booking.booking_id,
        "confirmation_number": booking.confirmation_number,
        "status": str(booking.status),
        "created_at": iso(booking.created_at),
        "updated_at": iso(booking.updated_at),
        "check_in": booking.check_in.isoformat(),
        "check_out": booking.check_out.isoformat(),
        "nights": (booking.check_out - booking.check_in).days,
        "room_type_name": booking.room_type.name,
        "guest_name": name,
        "guest_display_name": name,
        "primary_email": booking.primary_email,
        "primary_phone": booking.primary_phone,
        "party_primary_full_name": name,
        "party_total_count": 1 + len(booking.party),  # type: ignore[attr-defined]
        "party_complete": party_complete(booking),
        "party_missing_count": missing_guests(booking),
        "adults": booking.adults,
        "children": booking.children,
        "total_amount": money(booking.total_amount, booking.currency),
        "currency": booking.currency,
        "paid_at": iso(booking.paid_at),
        "checked_in_at": iso(booking.checked_in_at),
        "checked_out_at": iso(booking.checked_out_at),
        "assigned_room_number": room_number,
        "room_number": room_number,
        "is_upgraded": is_upgraded(booking),
        "room_moved_at": iso(booking.room_moved_at),
        "staff_seen_at": iso(booking.staff_seen_at),
        "is_new_for_staff": booking.staff_seen_at is None,
        "is_late_arrival": is_late_arrival(booking),
        **_approval(booking, now),
        **_overstay(booking, now),
    }


def _approval(booking: RoomBooking, now: datetime) -> dict[str, Any]:
    deadline = booking.approval_deadline_at
    waits = booking.status == BookingStatus.PENDING_APPROVAL and deadline is not None
    late = now - deadline if waits and deadline else timedelta.min
    if not waits or late <= -DUE_SOON:
        level = "OK"
    elif late <= timedelta(0):
        level = "DUE_SOON"
    else:
        level = "OVERDUE" if late <= CRITICAL_APPROVAL else "CRITICAL"
    return {
        "approval_deadline_at": iso(deadline),
        "approval_risk_level": level,
        "approval_overdue_minutes": max(0, int(late.total_seconds() // 60)) if waits else 0,
        "is_approval_due_soon": level == "DUE_SOON",
        "is_approval_overdue": level in ("OVERDUE", "CRITICAL"),
    }


def _overstay(booking: RoomBooking, now: datetime) -> dict[str, Any]:
    deadline = calendar.checkout_deadline(booking.hotel, booking.check_in, booking.check_out)
    grace = timedelta(minutes=booking.hotel.late_checkout_grace_minutes)
    late = now - deadline if booking.status == BookingStatus.IN_HOUSE else timedelta(0)
    if late <= timedelta(0):
        level = "OK"
    elif late <= grace:
        level = "GRACE"
    else:
        level = "OVERDUE" if late <= grace + CRITICAL_OVERSTAY else "CRITICAL"
    return {
        "checkout_deadline_at": iso(deadline),
        "overstay_risk_level": level,
        "overstay_minutes": max(0, int(late.total_seconds() // 60)),
        "is_overstay": level in ("OVERDUE", "CRITICAL"),
    }


def booking_detail(booking: RoomBooking) -> dict[str, Any]:
    """The booking's detail, which extends the list row; JSON-safe. ``booking`` as in ``booking_row``."""
    assigned, declined = booking.assigned_room, booking.status == BookingStatus.DECLINED
    retry = getattr(booking, "payment_retry", None)
    return {
        **booking_row(booking),
        "primary_first_name": booking.primary_first_name,
        "primary_last_name": booking.primary_last_name,
        "party": {**party(booking), "booker": _booker(booking)},
        "booker": _booker(booking),
        "room": _room(assigned) if assigned else None,
        "assigned_room": {"id": assigned.pk, "room_number": assigned.room_number} if assigned else None,
        "room_assigned_at": iso(booking.room_assigned_at),
        "assignment_notes": booking.assignment_notes,
        "flags": _flags(booking),
        "staff_seen_by_display": booking.staff_seen_by.name if booking.staff_seen_by else None,
        "special_requests": booking.special_requests,
        "internal_notes": booking.internal_notes,
        "payment_provider": booking.payment_provider,
        "payment_reference": booking.payment_reference,
        "payment_parked_at": iso(retry.parked_at) if retry else None,
        "cancelled_at": iso(booking.cancelled_at),
        "cancellation_reason": booking.cancellation_reason,
        "decision_at": iso(booking.decision_at),
        # Recorded before the provider returns the money, so only shown once the booking is declined.
        "decline_reason_code": booking.decline_reason_code if declined else "",
        "decline_reason_note": booking.decline_reason_note if declined else "",
        "expired_at": iso(booking.expired_at),
        "auto_expire_reason_code": booking.auto_expire_reason_code,
        "overstay_flagged_at": iso(booking.overstay_flagged_at),
        "overstay_acknowledged_at": iso(booking.overstay_acknowledged_at),
        "version": booking.version,
    }


def party(booking: RoomBooking) -> dict[str, Any]:
    """The party: the primary guest and the named companions."""
    companions = booking.party  # type: ignore[attr-defined]
    return {
        "primary": {
            "first_name": booking.primary_first_name,
            "last_name": booking.primary_last_name,
            "email": booking.primary_email,
            "phone": booking.primary_phone,
        },
        "companions": companions,
        "total_count": 1 + len(companions),
    }


def _booker(booking: RoomBooking) -> dict[str, Any]:
    if booking.booker_type == BookerType.SELF:
        first_name, last_name = booking.primary_first_name, booking.primary_last_name
        email, phone = booking.primary_email, booking.primary_phone
    else:
        first_name, last_name = booking.booker_first_name, booking.booker_last_name
        email, phone = booking.booker_email, booking.booker_phone
    return {
        "type": booking.booker_type,
        "first_name": first_name,
        "last_name": last_name,
        "company": booking.booker_company,
        "email": email,
        "phone": phone,
    }


def _room(room: Room) -> dict[str, Any]:
    return {
        "id": room.pk,
        "room_number": room.room_number,
        "room_type_name": room.room_type.name,
        "room_status": str(room.room_status),
        "is_bookable": room.is_bookable,
    }


def _flags(booking: RoomBooking) -> dict[str, bool]:
    """The actions that the booking's own state allows: not the caller's rights, nor the state of a room."""
    confirmed, in_house = booking.status == BookingStatus.CONFIRMED, booking.status == BookingStatus.IN_HOUSE
    assignable = refuses_nothing(assignable_refusals(booking))
    return {
        "is_checked_in": in_house,
        "can_check_in": confirmed and refuses_nothing(settled_refusals(booking), arrival_window_refusals(booking)),
        "can_check_out": in_house,
        "can_assign_room": assignable and refuses_nothing(party_refusals(booking)),
        "can_unassign_room": assignable and booking.assigned_room_id is not None,
        "can_move_room": refuses_nothing(in_house_refusals(booking)),
        "can_cancel": (confirmed or in_house) and refuses_nothing(card_refusals(booking)),
        "can_edit_party": refuses_nothing(party_edit_refusals(booking)),
    }
