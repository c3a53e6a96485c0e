"""When a limit may be exceeded: a supervisor gives a reason."""

from common.errors import Lift
from hotel.models import Staff

SUPERVISE = "bookings.supervise"
BY_REASON = Lift((SUPERVISE,), "reason")
UPGRADE = "upgrade"  # what a call brings to have a room of another type; a supervisor's reason does the same


def is_override(staff: Staff | None, reason: str) -> bool:
    """Whether ``staff`` may supervise bookings and ``reason`` is not blank."""
    return bool(reason.strip()) and staff is not None and staff.can(SUPERVISE)
