"""The booker of a stay if that is not the guest: another person, such as an assistant or an agent, or a company."""

from collections.abc import Mapping

from common.errors import FieldError
from common.guards import Guard
from room_bookings.models import BookerType

# The required fields for each type of booker.
NEEDED: dict[str, tuple[str, ...]] = {
    BookerType.SELF: (),
    BookerType.THIRD_PARTY: ("first_name", "last_name"),
    BookerType.COMPANY: ("company",),
}
PERSON = ("first_name", "last_name", "email", "phone")


def booker_refusals(booker: Mapping[str, str]) -> Guard[dict[str, str]]:
    """Refused if something is missing in ``booker``, which has a ``type`` and any of ``PERSON`` and ``company``.

    Returns the booking's columns for it. Guests who book for themselves are the primary guest: only the company of such
    a ``booker`` is stored.
    """
    kind = booker.get("type")
    if kind is None:
        yield FieldError("booker", "The booker needs a type: SELF, THIRD_PARTY or COMPANY.")
        return {}
    if missing := [name for name in NEEDED[kind] if not booker.get(name)]:
        yield FieldError("booker", f"A booker of type {kind} requires {' and '.join(missing)}.")
    person = {} if kind == BookerType.SELF else booker
    return {
        "booker_type": kind,
        "booker_company": booker.get("company", ""),
        **{f"booker_{name}": person.get(name, "") for name in PERSON},
    }
