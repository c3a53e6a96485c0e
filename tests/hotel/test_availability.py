"""``GET availability/``: its shape, refusals, rights and statements (the figures: tests/room_bookings)."""

from datetime import date, timedelta

import pytest

from hotel.rights import ACTIONS
from housekeeping.models import Source
from housekeeping.services import set_room_status
from room_bookings.models import RoomBooking
from tests.conftest import url
from tests.factories import BookingFactory, NewRoomFactory, RoomTypeFactory
from tests.hotel.booking_api import day
from tests.hotel.test_booking_rights import member
from tests.http import assert_error

pytestmark = pytest.mark.usefixtures("afternoon")

NO_BLOCKS = {"OUT_OF_ORDER": 0, "OUT_OF_SERVICE": 0, "OUT_OF_INVENTORY": 0, "HOUSE_USE": 0}


def night(offset, rooms, sold_assigned, sold_unassigned, free, overbooked=0, **blocked):
    """A night as it is answered."""
    return {
        "date": day(offset).isoformat(),
        "rooms": rooms,
        "blocked": NO_BLOCKS | blocked,
        "sold_assigned": sold_assigned,
        "sold_unassigned": sold_unassigned,
        "free": free,
        "overbooked": overbooked,
    }


def ask(client, staff, first=None, free=None, **query):
    nights = {"from": first or day(0), "to": free or day(2)}
    return client.get(url(staff, "availability/"), nights | query)


def test_a_night_of_each_type_and_in_total(agent_client, agent, standard, rooms, book):
    suite = RoomTypeFactory(hotel=standard.hotel, name="Suite", code="SUI")
    book(assigned_room=rooms[0])
    book(check_out=day(1))
    set_room_status(room=rooms[3], to_status="OUT_OF_ORDER", source=Source.SYSTEM)
    BookingFactory(hotel=standard.hotel, room_type=suite, check_in=day(1), check_out=day(2))
    NewRoomFactory()  # of another hotel
    BookingFactory(check_in=day(0))
    first, none = night(0, 4, 1, 1, 1, OUT_OF_ORDER=1), night(0, 0, 0, 0, 0)
    second, one_too_many = night(1, 4, 1, 0, 2, OUT_OF_ORDER=1), night(1, 0, 0, 1, 0, 1)
    answer = ask(agent_client, agent)
    assert answer.status_code == 200
    assert answer.json() == {
        "from": day(0).isoformat(),
        "to": day(2).isoformat(),
        "room_types": [
            {"id": standard.pk, "code": "STD", "name": "Standard", "nights": [first, second]},
            {"id": suite.pk, "code": "SUI", "name": "Suite", "nights": [none, one_too_many]},
        ],
        "total": [first, night(1, 4, 1, 1, 2, 1, OUT_OF_ORDER=1)],
    }
    for room_type in ("SUI", suite.pk):
        only = ask(agent_client, agent, room_type=room_type).json()
        assert [kind["code"] for kind in only["room_types"]] == ["SUI"]
        assert only["total"] == [none, one_too_many]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"from": day(-1)}, "from"),
        ({"to": day(0)}, "to"),
        ({"to": day(732)}, "to"),
        ({"from": ""}, "from"),
        ({"to": "soon"}, "to"),
        ({"from": date.max, "to": date.max}, "to"),
        ({"room_type": "NONE"}, "room_type"),
    ],
)
def test_a_refused_question_names_its_field(agent_client, agent, standard, query, field):
    answer = agent_client.get(url(agent, "availability/"), {"from": day(0), "to": day(731)} | query)
    assert_error(answer, 400, "VALIDATION_ERROR")
    assert list(answer.json()["details"]) == [field]


def test_another_hotels_type_is_unknown(agent_client, agent, standard):
    other = RoomTypeFactory()
    for room_type in (other.code, other.pk):
        assert_error(ask(agent_client, agent, room_type=room_type), 400, "VALIDATION_ERROR")


@pytest.mark.parametrize(("module", "status"), [("bookings", 200), ("rooms", 200), ("housekeeping", 403)])
def test_it_takes_any_right_to_bookings_or_rooms(api, standard, module, status):
    caller = member(standard.hotel, [f"{module}.{ACTIONS[module][0]}"])
    assert ask(api(caller), caller).status_code == status


@pytest.mark.parametrize("size", [1, 60])
def test_two_years_take_three_statements(agent_client, agent, standard, statements, size):
    hotel = standard.hotel
    types = [standard, *(RoomTypeFactory(hotel=hotel) for _ in range(min(size, 8)))]
    rooms = [NewRoomFactory(hotel=hotel, room_type=types[n % len(types)]) for n in range(size)]
    RoomBooking.objects.bulk_create(
        RoomBooking(
            hotel=hotel,
            booking_id=f"BK-2001-{n}",
            room_type=room.room_type,
            assigned_room=room if n % 2 else None,
            check_in=day(n * 10),
            check_out=day(n * 10 + 5),
            primary_first_name="Ada",
            primary_last_name="Lovelace",
        )
        for n, room in enumerate(rooms)
    )
    with statements() as counted:
        answer = ask(agent_client, agent, day(0), day(0) + timedelta(days=731))
    assert answer.status_code == 200
    assert len(answer.json()["total"]) == 731
    assert len(counted) == 3, counted.sql()
