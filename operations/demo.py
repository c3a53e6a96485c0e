"""The demo: two hotels in the state that a real day of theirs, moved to today, had at the current time of day.

The slice of the data set in ``demo_data/`` is replayed through the services up to now. A few arrivals and departures of
today are left out, so that there is something to try at any hour.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

from django.apps import apps
from django.contrib.auth import get_user_model
from django.db import connection, transaction

from common import clock
from hotel import calendar, rights
from hotel.models import Hotel
from housekeeping.models import Source
from housekeeping.services import set_room_status
from housekeeping.turnover import flag_maintenance, mark_cleaned, start_cleaning
from operations.replay.hotels import HOTELS, HotelSpec, make_rooms, make_staff, set_password
from operations.replay.itinerary import Operation, Step, steps
from operations.replay.meter import Meter
from operations.replay.records import Outcome, Stay, read_stays
from operations.replay.simulation import HotelSimulation, companions
from room_bookings.models import STRIPE
from room_bookings.selectors import available_rooms
from room_bookings.services.room_assignment import assign_room
from rooms.models import Priority, RoomStatus
from rooms.services import create_block_reasons

SLICE = Path(__file__).parent / "demo_data" / "bookings.csv"
# The day of each hotel's slice that becomes today.
TODAY = {"resort": date(2016, 12, 7), "city": date(2015, 11, 7)}

ARRIVALS_LEFT, DEPARTURES_LEFT, OVERSTAYS = 4, 2, 1
# How many minutes ago each booking request was made; one for each of the last future stays.
REQUESTS = (25, 70, 130, 205)
FAULTS = ("shower drips", "window does not close", "lamp by the bed is broken")
REPORTS = 5  # progress lines for each hotel

Report = Callable[[str], None]


def seed(password: str, report: Report) -> None:
    """Create the parts of the demo that are missing; hotels that already have rooms are not changed."""
    rights.create_roles(apps)  # again, as a flush deletes the roles that the migration created
    user_model = get_user_model()
    admin, _ = user_model.objects.get_or_create(username="admin", defaults={"is_staff": True, "is_superuser": True})
    set_password(admin, password)
    stays = list(read_stays(SLICE))
    for spec in HOTELS:
        _seed_hotel(spec, [stay for stay in stays if stay.hotel == spec.slug], password, report)


@transaction.atomic
def _seed_hotel(spec: HotelSpec, stays: Sequence[Stay], password: str, report: Report) -> None:
    hotel, is_new = Hotel.objects.get_or_create(
        slug=spec.slug,
        # Requests expire on the evening of the next day, so that none expires while the demo is being tried.
        defaults={
            "name": spec.name,
            "phone": spec.phone,
            "timezone": spec.timezone,
            "approval_cutoff_day_offset": 1,
        },
    )
    if is_new:
        create_block_reasons(hotel)
    make_staff(hotel, password=password)
    if hotel.rooms.exists():
        report(f"{spec.slug}: {hotel.rooms.count()} rooms already exist")
        return
    now, today = clock.now(), calendar.business_date(hotel)
    stays = [_moved(stay, today - TODAY[spec.slug]) for stay in stays]
    requests = _last_to_come(stays, today)
    accepted = [stay for stay in stays if stay not in requests]
    plan = _plan(accepted, hotel, today)
    with clock.set_to(plan[0].moment):
        setup = make_rooms(hotel, spec, stays)
    simulation = HotelSimulation(
        setup, accepted, plan, Meter(), works_off_tasks=True, extras=lambda stay: {"party": companions(stay)}
    )
    _take_out_of_service(simulation, now)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL join_collapse_limit = 1")  # joins are already written in their best order
    for part, moment in enumerate(_parts([step.moment for step in plan if step.moment < now], now), start=1):
        simulation.run(until=moment)
        report(f"{spec.slug}: {100 * part // REPORTS:>3} %, {calendar.local_time(hotel, moment):%d %B %H:%M}")
    _ask(simulation, requests, now)
    _leave_some_to_clean(simulation, now)
    _assign(simulation, today)
    for (operation, code), count in simulation.meter.refusals.items():
        report(f"{spec.slug}: {operation} refused {count} times ({code})")


def _moved(stay: Stay, days: timedelta) -> Stay:
    return replace(
        stay,
        booked=stay.booked + days,
        arrival=stay.arrival + days,
        departure=stay.departure + days,
        decided=stay.decided + days,
    )


def _last_to_come(stays: Iterable[Stay], today: date) -> list[Stay]:
    """The last stays to arrive, which become requests waiting for approval."""
    coming = [
        stay for stay in stays if stay.arrival > today and stay.outcome is Outcome.CHECK_OUT and not stay.is_day_use
    ]
    return sorted(coming, key=lambda stay: (stay.arrival, stay.number))[-len(REQUESTS) :]


def _plan(stays: Iterable[Stay], hotel: Hotel, today: date) -> list[Step]:
    """All actions except those left for the user to try: these never happen by themselves."""
    overnight = [stay for stay in stays if stay.outcome is Outcome.CHECK_OUT and not stay.is_day_use]

    def last(chosen: Iterable[Stay], count: int) -> set[int]:
        # Only of the types with the most rooms, so that every guest still gets a room.
        of_type = [stay for stay in chosen if stay.room_type in ("A", "D", "E")]
        return {stay.number for stay in of_type[-count:]}

    arrivals = last((stay for stay in overnight if stay.arrival == today and stay.booked < today), ARRIVALS_LEFT)
    departures = last((stay for stay in overnight if stay.left == stay.departure == today), DEPARTURES_LEFT)
    overstays = last(
        (stay for stay in overnight if stay.left == stay.departure == today - timedelta(days=1)), OVERSTAYS
    )
    omitted = {(number, Operation.CHECK_IN) for number in arrivals}
    omitted |= {(number, Operation.CHECK_OUT) for number in arrivals | departures | overstays}
    every = (step for stay in stays for step in steps(stay, hotel, date.min))
    return sorted(step for step in every if (step.subject, step.operation) not in omitted)


def _parts(moments: Sequence[datetime], now: datetime) -> list[datetime]:
    """The ends of ``REPORTS`` parts with about the same number of actions each; the last one is ``now``."""
    return [moments[len(moments) * part // REPORTS] for part in range(1, REPORTS)] + [now]


def _take_out_of_service(simulation: HotelSimulation, now: datetime) -> None:
    """Take rooms out of use since yesterday: one out of order, two with faults."""
    setup = simulation.setup
    for place, code in enumerate(("A", "A", "D")):
        room = simulation.ready[code].pop()
        with clock.set_to(now - timedelta(hours=20 + place)):
            if place == 0:
                set_room_status(
                    room=room, to_status=RoomStatus.OUT_OF_ORDER, staff=setup.staff["manager"], note="refurbishment"
                )
            else:
                flag_maintenance(
                    room=room,
                    staff=setup.housekeepers[0],
                    priority=Priority.values[place % 3],
                    note=FAULTS[place % len(FAULTS)],
                )


def _ask(simulation: HotelSimulation, requests: Iterable[Stay], now: datetime) -> None:
    """Create requests for the front desk to approve: two with an e-mail address, one with a made-up card payment."""
    for place, (stay, minutes) in enumerate(zip(requests, REQUESTS, strict=True)):
        more = {"party": companions(stay), "special_requests": ("a quiet room", "a cot", "", "")[place]}
        if place < 2:
            more["primary_email"] = f"guest{stay.number}@example.com"
        if place == len(REQUESTS) - 1 and stay.hotel == "city":
            more["special_requests"] = "Demo: approving this request needs a STRIPE_SECRET_KEY."
            more |= {"payment_provider": STRIPE, "payment_reference": "pi_demo_of_no_account"}
        with clock.set_to(now - timedelta(minutes=minutes)):
            simulation.create(stay, needs_approval=True, **more)


def _leave_some_to_clean(simulation: HotelSimulation, now: datetime) -> None:
    """Leave some rooms dirty, being cleaned, or cleaned but uninspected, even when all others are done."""
    setup = simulation.setup
    rooms = [simulation.ready[code].popleft() for code in ("A", "A", "D", "A", "E", "A", "D")]
    for room in rooms:
        with clock.set_to(now - timedelta(minutes=80)):
            set_room_status(
                room=room,
                to_status=RoomStatus.CHECKOUT_DIRTY,
                staff=setup.desk,
                source=Source.FRONT_DESK,
                note="shown to a visitor",
            )
    for room in rooms[3:]:
        with clock.set_to(now - timedelta(minutes=35)):
            start_cleaning(room=room, staff=setup.housekeepers[1])
    for room in rooms[5:]:
        with clock.set_to(now - timedelta(minutes=10)):
            mark_cleaned(room=room, staff=setup.housekeepers[1])


def _assign(simulation: HotelSimulation, today: date) -> None:
    """Assign a room, ready or not, to every second arrival of today and every fourth later one."""
    for place, (stay, booking) in enumerate(simulation.expected()):
        if place % (2 if stay.arrival == today else 4) == 0:
            rooms = available_rooms(booking).filter(maintenance_required=False)[:20]
            if rooms:
                assign_room(booking=booking, room_id=rooms[stay.number % len(rooms)].pk, staff=simulation.setup.desk)
