"""When a limit may be exceeded: with a supervisor's reason."""

from hotel.models import Staff


def is_override(staff: Staff | None, reason: str) -> bool:
    """Whether ``staff`` may supervise bookings and gives a reason."""
    return bool(reason.strip()) and staff is not None and staff.can("bookings.supervise")
