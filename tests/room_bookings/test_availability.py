"""Availability compared with a recount in plain Python: room by room and night by night, in random hotels."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common import clock
from hotel.models import Hotel
from room_bookings.availability import availability
from room_bookings.inventory import NightsRequest, sold_out_nights
from room_bookings.models import RoomBooking
from rooms.models import BlockReason, Room, RoomBlock, RoomType
from tests.factories import BookingFactory, HotelFactory, NewRoomFactory, RoomTypeFactory

pytestmark = pytest.mark.django_db

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
NIGHTS = 10
# Where the clocks change, and when: both ways, and by half an hour.
CHANGES = {
    "Europe/Dublin": [datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC)],
    "America/New_York": [datetime(2026, 3, 8, 7, tzinfo=UTC), datetime(2026, 11, 1, 6, tzinfo=UTC)],
    "Australia/Lord_Howe": [datetime(2026, 4, 4, 15, tzinfo=UTC), datetime(2026, 10, 3, 15, 30, tzinfo=UTC)],
}
CUTOFF, CHECKOUT, GRACE = time(2, 0), time(11, 0), timedelta(minutes=30)

moments = st.tuples(st.sampled_from(sorted(CHANGES)), st.integers(0, 1), st.integers(-40, 40))
KINDS = ("OUT_OF_ORDER", "OUT_OF_SERVICE", "OUT_OF_INVENTORY", "HOUSE_USE")
FAR = 60  # days, after all that is asked about
blocks = st.none() | st.tuples(st.sampled_from(KINDS), st.integers(-2, 5), st.none() | st.integers(1, 6))
doors = st.lists(
    st.tuples(st.integers(0, 1), st.booleans(), blocks), min_size=1, max_size=5
)  # type, active, a block: kind, first night, nights
stays = st.lists(
    st.tuples(
        st.sampled_from(["CONFIRMED", "CONFIRMED", "IN_HOUSE", "IN_HOUSE", "CAPTURING", "COMPLETED"]),
        st.integers(0, 1),  # the booked type
        st.integers(-3, 5),  # first night
        st.integers(0, 4),  # nights
        st.none() | st.integers(0, 4),  # the room, of either type
        st.integers(-4, 0),  # the arrival of a guest in house
    ),
    max_size=9,
)


class Stay(NamedTuple):
    """A stay that counts: the nights that it holds, its room if it has one, and the type that was booked."""

    nights: set[date]
    room: Room | None
    booked: RoomType


class House(NamedTuple):
    hotel: Hotel
    types: list[RoomType]
    rooms: list[Room]
    stays: list[Stay]
    blocks: dict[int, tuple[str, set[date]]]  # by room


def span(first: date, free: date) -> set[date]:
    return {first + n * DAY for n in range((free - first).days)}


def today_in(zone: str, now: datetime) -> date:
    """The last day whose cutoff has passed, where a time that is skipped or occurs twice is the first possible."""
    day = now.astimezone(ZoneInfo(zone)).date()
    return day if datetime.combine(day, CUTOFF, ZoneInfo(zone)).astimezone(UTC) <= now else day - DAY


def is_overdue(zone: str, now: datetime, check_in: date, check_out: date) -> bool:
    due = (check_out + DAY, CUTOFF) if check_in == check_out else (check_out, CHECKOUT)
    return now > datetime.combine(*due, ZoneInfo(zone)).astimezone(UTC) + GRACE


def build(zone: str, now: datetime, doors: Any, stays: Any) -> House:
    """Create what was drawn; a stay whose room is taken or blocked is left out."""
    hotel = HotelFactory(timezone=zone, late_arrival_cutoff=CUTOFF)
    types = [RoomTypeFactory(hotel=hotel, code=code) for code in "AB"]
    rooms = [NewRoomFactory(hotel=hotel, room_type=types[kind], is_active=active) for kind, active, _ in doors]
    house = House(hotel, types, rooms, [], {})
    today = today_in(zone, now)
    claimed: dict[int, set[date]] = {}
    reason = BlockReason.objects.create(hotel=hotel, code="REPAIR", label="Repair")
    for room, (_, _, drawn) in zip(rooms, doors, strict=True):
        if drawn is not None:
            what, begins, length = drawn
            first, free = today + begins * DAY, length and today + (begins + length) * DAY
            RoomBlock.objects.create(
                hotel=hotel,
                room=room,
                kind=what,
                reason=reason,
                first_night=first,
                free_from=free,
                return_status="CHECKOUT_DIRTY",
                status="PLANNED",
            )
            house.blocks[room.pk] = (what, span(first, free or today + FAR * DAY))
            if what != "OUT_OF_SERVICE":
                claimed[room.pk] = set(house.blocks[room.pk][1])
    guests: set[int] = set()
    for status, kind, first, length, place, arrival in stays:
        room = rooms[place] if place is not None and place < len(rooms) and status != "CAPTURING" else None
        check_in, check_out = today + first * DAY, today + (first + length) * DAY
        arrived = today + arrival * DAY if status == "IN_HOUSE" else None
        nights = span(min(check_in, arrived or check_in), max(check_out, check_in + DAY))
        if status == "IN_HOUSE" and (room is None or room.pk in guests):
            continue
        if status != "COMPLETED" and room is not None:
            if claimed.setdefault(room.pk, set()) & nights:
                continue
            claimed[room.pk] |= nights
        stamps: dict[str, Any] = {}
        if status == "IN_HOUSE" and room is not None:
            guests.add(room.pk)
            stamps = {"checked_in_at": now, "arrived_on": arrived}
            if is_overdue(zone, now, check_in, check_out):
                nights = nights | {today}
        elif status == "COMPLETED":
            stamps = {"checked_in_at": now, "checked_out_at": now}
        elif status == "CAPTURING":
            stamps = {"payment_state": "CAPTURING", "payment_provider": "stripe", "approval_deadline_at": now}
            stamps |= {"payment_reference": f"pi_{RoomBooking.objects.count()}", "payment_requested_at": now}
        BookingFactory(
            hotel=hotel,
            room_type=types[kind],
            assigned_room=room,
            status="PENDING_APPROVAL" if status == "CAPTURING" else status,
            check_in=check_in,
            check_out=check_out,
            **stamps,
        )
        if status != "COMPLETED":
            house.stays.append(Stay(nights, room, types[kind]))
    return house


def recount(house: House, kind: RoomType, night: date) -> dict[str, Any]:
    """One type's night, counted room by room."""
    rooms, blocked = 0, dict.fromkeys(KINDS, 0)
    for room in house.rooms:
        if room.room_type == kind and room.is_active:
            rooms += 1
            what, taken = house.blocks.get(room.pk, ("", set[date]()))
            if night in taken and not any(stay.room == room and night in stay.nights for stay in house.stays):
                blocked[what] += 1
    rooms -= blocked["OUT_OF_INVENTORY"]
    sold = [stay for stay in house.stays if night in stay.nights]
    assigned = sum(stay.room is not None and stay.room.room_type == kind for stay in sold)
    unassigned = sum(stay.room is None and stay.booked == kind for stay in sold)
    left = rooms - blocked["OUT_OF_ORDER"] - blocked["HOUSE_USE"] - assigned - unassigned
    return {
        "date": night.isoformat(),
        "rooms": rooms,
        "blocked": blocked,
        "sold_assigned": assigned,
        "sold_unassigned": unassigned,
        "free": max(left, 0),
        "overbooked": max(-left, 0),
    }


def added(rows: list[dict[str, Any]]) -> dict[str, Any]:
    blocked = {why: sum(row["blocked"][why] for row in rows) for why in rows[0]["blocked"]}
    numbers = {name: sum(row[name] for row in rows) for name in rows[0] if name not in ("date", "blocked")}
    return {"date": rows[0]["date"], "blocked": blocked, **numbers}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moment=moments, doors=doors, stays=stays)
def test_availability_is_what_a_recount_finds(moment, doors, stays):
    zone, change, hours = moment
    now = CHANGES[zone][change] + hours * HOUR
    with transaction.atomic(), clock.set_to(now):
        house = build(zone, now, doors, stays)
        first = today_in(zone, now)
        free = first + NIGHTS * DAY
        expected = [[recount(house, kind, first + n * DAY) for n in range(NIGHTS)] for kind in house.types]
        answer = availability(house.hotel, first, free)
        assert [kind["nights"] for kind in answer["room_types"]] == expected
        assert answer["total"] == [added(list(rows)) for rows in zip(*expected, strict=True)]
        assert availability(house.hotel, first + 3 * DAY, free, "B")["room_types"][0]["nights"] == expected[1][3:]
        # NO_AVAILABILITY names the first night with nothing free.
        full = [next((row["date"] for row in rows if not row["free"]), None) for rows in expected]
        found = sold_out_nights([NightsRequest(house.hotel, kind.pk, first, free) for kind in house.types])
        assert [night and night.isoformat() for night in found] == full
        transaction.set_rollback(True)
