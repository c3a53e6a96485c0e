"""Many rooms in one call, against the same one by one; within one process, without a web server."""

from django.db import connection
from tqdm import tqdm

from housekeeping.services import set_room_status, set_room_statuses
from notifications import wakeup
from room_bookings.models import RoomBooking
from rooms.models import Room, RoomStatus
from tools.bench import meters
from tools.bench.hotels import BenchHotel
from tools.bench.http_level import Call
from tools.bench.report import Report, Row
from tools.bench.scale import Scale
from tools.bench.service_level import STEPS
from tools.harness.installation import Installation

GUESTS, ROOMS = 50, 300


def measure(installation: Installation, scale: Scale, report: Report) -> None:
    """A departure of fifty rooms as the API does it, and three hundred changes of status by the service."""
    desk = BenchHotel("bulk-desk", 2 * GUESTS)
    house = BenchHotel("bulk-house", 2 * ROOMS)
    house.set(house.rooms, RoomStatus.CHECKOUT_DIRTY)
    wakeup.relay_started()  # as in a web process: to wake the relay is no statement
    departures, changes = [], []
    try:
        for number in tqdm(range(scale.rounds + 1), unit=" rounds", disable=None):
            installation.pause(0)
            departures.append(_departures(desk))
            changes.append(_changes(house, STEPS[number % 2]))
    finally:
        wakeup.relay_stopped()
        connection.close()
    # The first warms up.
    rows = [
        Row(f"check-out of {GUESTS} rooms", meters.medians(departures[1:])),
        Row(f"status of {ROOMS} rooms", meters.medians(changes[1:])),
    ]
    report.add("Bulk", rows)


def _departures(desk: BenchHotel) -> dict[str, float]:
    at_once, one_by_one = desk.rooms[:GUESTS], desk.rooms[GUESTS:]
    desk.set(list(Room.objects.filter(pk__in=[room.pk for room in desk.rooms])), RoomStatus.READY_FOR_GUEST)
    desk.check_in(at_once)
    bookings: list[RoomBooking] = desk.check_in(one_by_one)
    bulk = Call("POST", f"{desk.path}/rooms/checkout/", desk.token, {"room_ids": [room.pk for room in at_once]})
    singles = [
        Call("POST", f"{desk.path}/room-bookings/{booking.booking_id}/check-out/", desk.token, {})
        for booking in bookings
    ]

    def single() -> None:
        for call in singles:
            call.inside()

    with meters.statements() as seen:
        once = meters.milliseconds(bulk.inside)
    return _figures(len(seen), once, meters.milliseconds(single))


def _changes(house: BenchHotel, to_status: str) -> dict[str, float]:
    at_once, one_by_one = house.rooms[:ROOMS], house.rooms[ROOMS:]

    def bulk() -> None:
        set_room_statuses(changes=[(room, to_status) for room in at_once], staff=house.staff, all_or_nothing=True)

    def single() -> None:
        for room in one_by_one:
            set_room_status(room=room, to_status=to_status, staff=house.staff)

    with meters.statements() as seen:
        once = meters.milliseconds(bulk)
    return _figures(len(seen), once, meters.milliseconds(single))


def _figures(count: int, once: float, singly: float) -> dict[str, float]:
    return {"statements": count, "ms": once, "one by one ms": singly, "× one by one": once / singly}
