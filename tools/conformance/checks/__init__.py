"""The rows of the conformance run, a module for each part of the API, in the order in which they run."""

from tools.conformance.checks import (
    booking_decisions,
    booking_list,
    booking_rooms,
    bookings,
    conventions,
    housekeeping,
    inventory,
    live,
    overstays,
    rooms,
    served,
    sign_in,
    small_print,
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
    small_print.TABLE,
    served.TABLE,
)
