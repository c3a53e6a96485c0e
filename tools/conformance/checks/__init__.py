"""The rows of the conformance run, a module for each part of the API, in the order in which they run."""

from tools.conformance.checks import (
    booking_decisions,
    booking_list,
    booking_rooms,
    bookings,
    conventions,
    details,
    housekeeping,
    inventory,
    live,
    overstays,
    rooms,
    served,
    sign_in,
    statuses,
)

TABLES = (
    conventions.TABLE,
    sign_in.TABLE,
    rooms.TABLE,
    housekeeping.TABLE,
    statuses.TABLE,
    bookings.TABLE,
    booking_list.TABLE,
    booking_rooms.TABLE,
    booking_decisions.TABLE,
    overstays.TABLE,
    inventory.TABLE,
    live.TABLE,
    details.TABLE,
    served.TABLE,
)
