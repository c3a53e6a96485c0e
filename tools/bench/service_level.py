"""``set_room_status`` compared with hand-written SQL on the same connection, alternating."""

from statistics import median

from django.db import connection
from tqdm import tqdm

from housekeeping.services import set_room_status
from notifications import wakeup
from rooms.models import Room, RoomStatus
from tools.bench import floor, meters
from tools.bench.hotels import BenchHotel
from tools.bench.report import Report, Row
from tools.bench.scale import Scale
from tools.harness.installation import Installation

STEPS = (RoomStatus.CLEANING_IN_PROGRESS, RoomStatus.CHECKOUT_DIRTY)  # back and forth
ROOMS = 20


def measure(installation: Installation, scale: Scale, report: Report) -> None:
    """Measure rounds that alternate a change by the service and one by hand-written SQL."""
    hotel = BenchHotel("service", 2 * ROOMS)
    hotel.set(hotel.rooms, RoomStatus.CHECKOUT_DIRTY)
    ours, theirs = hotel.rooms[:ROOMS], hotel.rooms[ROOMS:]
    envelope = floor.sample_envelope()
    wakeup.relay_started()  # as in a web process, where waking the relay needs no statement
    try:
        rounds = []
        place = 0
        for number in tqdm(range(scale.rounds + 1), unit=" rounds", disable=None):
            installation.pause(0)
            service, hand = [], []
            for _ in range(scale.changes):
                to_status = STEPS[place // ROOMS % 2]
                service.append(_by_service(ours[place % ROOMS], to_status, hotel))
                hand.append(_by_hand(theirs[place % ROOMS], to_status, hotel, envelope))
                place += 1
            if number:  # the first round is a warm-up
                p50, floor_p50 = median(service), median(hand)
                rounds.append({"p50 ms": p50, "by hand p50 ms": floor_p50, "× by hand": p50 / floor_p50})
        with meters.statements() as seen:
            _by_service(ours[place % ROOMS], STEPS[place // ROOMS % 2], hotel)
    finally:
        wakeup.relay_stopped()
    connection.close()
    report.add("Service", [Row("set_room_status", {"statements": len(seen), **meters.medians(rounds)})])


def _by_service(room: Room, to_status: str, hotel: BenchHotel) -> float:
    return meters.milliseconds(lambda: set_room_status(room=room, to_status=to_status, staff=hotel.staff))


def _by_hand(room: Room, to_status: str, hotel: BenchHotel, envelope: str) -> float:
    def work() -> None:
        floor.change_status(
            connection.connection, room=room.pk, to_status=to_status, staff=hotel.staff.pk, envelope=envelope
        )

    return meters.milliseconds(work)
