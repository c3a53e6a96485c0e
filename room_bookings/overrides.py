"""When a limit may be exceeded: a supervisor gives a reason."""

from hotel.models import Staff


def is_override(staff: Staff | None, reason: str) -> bool:
    """Whether ``staff`` may supervise bookings and ``reason`` is not blank."""
    return bool(reason.strip()) and staff is not None and staff.can("bookings.supervise")
