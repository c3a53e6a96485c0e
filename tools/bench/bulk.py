"""Bulk operations compared with the same operations one by one, in one process without a web server."""

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
    """Measure the check-out of fifty rooms through the API, and three hundred status changes through the service."""
    front_desk = BenchHotel("bulk-front-desk", 2 * GUESTS)
    housekeeping = BenchHotel("bulk-housekeeping", 2 * ROOMS)
    housekeeping.set(housekeeping.rooms, RoomStatus.CHECKOUT_DIRTY)
    wakeup.relay_started()  # as in a web process, where waking the relay needs no statement
    departures, changes = [], []
    try:
        for number in tqdm(range(scale.rounds + 1), unit=" rounds", disable=None):
            installation.pause(0)
            departures.append(_departures(front_desk))
            changes.append(_changes(housekeeping, STEPS[number % 2]))
    finally:
        wakeup.relay_stopped()
        connection.close()
    # The first round is a warm-up.
    rows = [
        Row(f"check-out of {GUESTS} rooms", meters.medians(departures[1:])),
        Row(f"status of {ROOMS} rooms", meters.medians(changes[1:])),
    ]
    report.add("Bulk", rows)


def _departures(hotel: BenchHotel) -> dict[str, float]:
    at_once, one_by_one = hotel.rooms[:GUESTS], hotel.rooms[GUESTS:]
    hotel.set(list(Room.objects.filter(pk__in=[room.pk for room in hotel.rooms])), RoomStatus.READY_FOR_GUEST)
    hotel.check_in(at_once)
    bookings: list[RoomBooking] = hotel.check_in(one_by_one)
    bulk = Call("POST", f"{hotel.path}/rooms/checkout/", hotel.token, {"room_ids": [room.pk for room in at_once]})
    singles = [
        Call("POST", f"{hotel.path}/room-bookings/{booking.booking_id}/check-out/", hotel.token, {})
        for booking in bookings
    ]

    def single() -> None:
        for call in singles:
            call.inside()

    with meters.statements() as seen:
        once = meters.milliseconds(bulk.inside)
    return _figures(len(seen), once, meters.milliseconds(single))


def _changes(hotel: BenchHotel, to_status: str) -> dict[str, float]:
    at_once, one_by_one = hotel.rooms[:ROOMS], hotel.rooms[ROOMS:]

    def bulk() -> None:
        set_room_statuses(changes=[(room, to_status) for room in at_once], staff=hotel.staff, all_or_nothing=True)

    def single() -> None:
        for room in one_by_one:
            set_room_status(room=room, to_status=to_status, staff=hotel.staff)

    with meters.statements() as seen:
        once = meters.milliseconds(bulk)
    return _figures(len(seen), once, meters.milliseconds(single))


def _figures(count: int, once: float, singly: float) -> dict[str, float]:
    return {"statements": count, "ms": once, "one by one ms": singly, "× one by one": once / singly}
