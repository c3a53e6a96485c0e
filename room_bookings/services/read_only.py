"""Read-only fields of a booking edit: fields that change through other actions or are computed."""

from collections.abc import Mapping
from typing import Any

from common.errors import ReadOnlyField
from room_bookings.models import RoomBooking
from room_bookings.snapshots import booking_detail

# These change with time while a form is open: an earlier value is not an attempt to change them.
MINUTES = ("approval_overdue_minutes", "overstay_minutes")
LEVELS = ("OK", "DUE_SOON", "GRACE", "OVERDUE", "CRITICAL")  # in the order in which they occur
RISKS = ("approval_risk_level", "overstay_risk_level")
BECOMING_TRUE = ("is_approval_overdue", "is_overstay", "is_late_arrival")


def refuse_read_only(booking: RoomBooking, sent: Mapping[str, Any]) -> None:
    """Raise ReadOnlyField if ``sent`` contains a field of the booking's detail with a different value.

    Clients may send back the values that they have read. Unknown names are ignored. ``booking`` comes from
    ``booking_lock``.
    """
    if not sent:
        return
    now = booking_detail(booking)
    differing = [name for name in sent if name in now and not _is_unchanged(name, sent[name], now)]
    if differing:
        raise ReadOnlyField(
            {name: f"{name} can't be changed here: send its current value or leave it out." for name in differing}
        )


def _is_unchanged(name: str, sent: Any, now: Mapping[str, Any]) -> bool:
    current = now[name]
    if sent == current or (sent in (None, "") and current in (None, "")):
        return True
    if isinstance(sent, str) and isinstance(current, int) and not isinstance(current, bool):
        return sent.strip() == str(current)  # numbers are also accepted as text
    if name in MINUTES:
        return isinstance(sent, int) and 0 <= sent <= current
    if name in RISKS:
        return sent in LEVELS and LEVELS.index(sent) <= LEVELS.index(current)
    if name in BECOMING_TRUE:
        return sent is False
    if name == "is_approval_due_soon":
        return now["approval_risk_level"] != "OK"
    if name == "flags" and isinstance(sent, dict):
        return {**sent, "can_check_in": None} == {**current, "can_check_in": None}
    return False
