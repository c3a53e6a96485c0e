"""``room-blocks/export/`` and ``room-blocks/nights/`` (docs/api.md, Room blocks)."""

import csv
import io
from datetime import date, time, timedelta

import pytest

from common import clock
from hotel import calendar
from housekeeping.blocks import NewBlock, complete_block_early, create_blocks, due_blocks, roll_blocks
from housekeeping.services import set_room_status
from room_bookings.availability import availability
from room_bookings.blocked_nights import blocked_nights
from room_bookings.models import RoomBooking
from rooms.models import OFF_SALE, BlockReason, RoomBlock
from tests.conftest import url
from tests.factories import HotelFactory, NewRoomFactory, RoomTypeFactory, in_house
from tests.http import assert_error

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
BEGINS = date(2026, 6, 29)  # the business date at the start of each test
PERIOD = {"from": "2026-06-01", "to": "2026-08-01"}


def noon(hotel, offset=0):
    return calendar.at(hotel, BEGINS + offset * DAY, time(12))


@pytest.fixture
def house(hotel):
    """Three rooms and a reason, at noon on BEGINS."""
    kind = RoomTypeFactory(hotel=hotel)
    with clock.set_to(noon(hotel)):
        hotel.repair = BlockReason.objects.create(hotel=hotel, code="REPAIR", label="=Repair")
        hotel.doors = [NewRoomFactory(hotel=hotel, room_type=kind, room_number=number) for number in (101, 102, 103)]
        yield hotel


def block(house, place, first, free, staff, kind="OUT_OF_ORDER", **more):
    wanted = NewBlock(
        kind,
        house.repair,
        BEGINS + first * DAY,
        None if free is None else BEGINS + free * DAY,
        "CHECKOUT_DIRTY",
        **more,
    )
    [outcome] = create_blocks(rooms=[house.doors[place]], wanted=wanted, staff=staff, forced=True)
    return outcome.block


def roll(hotel):
    roll_blocks(hotel, [each.pk for each in due_blocks(hotel)])


def counted(hotel, first=date(2026, 6, 1), free=date(2026, 8, 1)):
    """The nights by month, kind and reason; the total agrees."""
    body = blocked_nights(hotel, first, free)
    assert body["total"] == sum(row["nights"] for row in body["rows"])
    return {(row["month"], row["kind"], row["reason"]): row["nights"] for row in body["rows"]}


def test_nights_are_counted_by_month_kind_and_reason(house, manager):
    block(house, 0, 0, 5, manager)  # two nights of June, three of July
    block(house, 1, 3, 5, manager)
    block(house, 1, 6, 7, manager, kind="HOUSE_USE")
    block(house, 2, 0, 9, manager, kind="OUT_OF_SERVICE")  # which can be sold
    set_room_status(room=house.doors[2], to_status="OUT_OF_ORDER", staff=manager, note="flood")
    assert counted(house) == {
        ("2026-06", "OUT_OF_ORDER", None): 2,
        ("2026-06", "OUT_OF_ORDER", "REPAIR"): 2,
        ("2026-07", "HOUSE_USE", "REPAIR"): 1,
        ("2026-07", "OUT_OF_ORDER", None): 31,
        ("2026-07", "OUT_OF_ORDER", "REPAIR"): 5,
    }
    assert counted(house, BEGINS + DAY, BEGINS + 2 * DAY) == {
        ("2026-06", "OUT_OF_ORDER", None): 1,
        ("2026-06", "OUT_OF_ORDER", "REPAIR"): 1,
    }


def test_the_turn_of_the_year(house, manager):
    block(house, 0, 185, 187, manager)  # 31 December and 1 January
    found = counted(house, date(2026, 12, 1), date(2027, 2, 1))
    assert found == {("2026-12", "OUT_OF_ORDER", "REPAIR"): 1, ("2027-01", "OUT_OF_ORDER", "REPAIR"): 1}


def test_a_completed_block_counts_until_it_ended(house, manager):
    early, on_time = block(house, 0, 0, 20, manager), block(house, 1, 0, 1, manager)
    at_once = block(house, 2, 0, 3, manager)
    complete_block_early(block=at_once, staff=manager)
    with clock.set_to(noon(house, 3)):
        roll(house)  # two days late
        complete_block_early(block=early, staff=manager)
    on_time.refresh_from_db()
    assert on_time.ended_on == BEGINS + 3 * DAY
    assert counted(house) == {("2026-06", "OUT_OF_ORDER", "REPAIR"): 3, ("2026-07", "OUT_OF_ORDER", "REPAIR"): 1}


def test_a_cancelled_block_counts_no_night(api, house, manager):
    planned = block(house, 0, 2, 4, manager)
    assert counted(house) == {("2026-07", "OUT_OF_ORDER", "REPAIR"): 2}
    assert api(manager).post(url(manager, f"room-blocks/{planned.pk}/cancel/")).status_code == 200
    assert counted(house) == {}


def test_a_night_that_an_overdue_guest_keeps_is_not_blocked(house, manager):
    """Neither while the guest is there, nor afterwards."""
    guest = in_house(house.doors[0], check_in=BEGINS - DAY, check_out=BEGINS + DAY)
    late = block(house, 0, 1, 4, manager)
    with clock.set_to(noon(house, 2) + timedelta(hours=6)):
        RoomBooking.objects.filter(pk=guest.pk).update(overstay_flagged_at=clock.now())
        roll(house)
        late.refresh_from_db()
        assert late.is_late
        # Of the nights 1 to 3, the guest has kept 1 and keeps 2.
        assert counted(house) == {("2026-07", "OUT_OF_ORDER", "REPAIR"): 1}
        assert_like_availability(house)
        RoomBooking.objects.filter(pk=guest.pk).update(status="COMPLETED", checked_out_at=clock.now())
        roll(house)
        late.refresh_from_db()
        assert late.status == "ACTIVE"
        assert counted(house) == {("2026-07", "OUT_OF_ORDER", "REPAIR"): 2}
        assert_like_availability(house)


def assert_like_availability(hotel):
    first = calendar.business_date(hotel)
    free = first + 20 * DAY
    answer = availability(hotel, first, free)
    expected = sum(night["blocked"][kind] for night in answer["total"] for kind in OFF_SALE)
    assert blocked_nights(hotel, first, free)["total"] == expected > 0


def test_from_tonight_on_it_is_availabilitys_count(house, manager):
    block(house, 0, 0, None, manager)
    block(house, 1, 2, 4, manager, kind="OUT_OF_INVENTORY")
    block(house, 1, 1, 9, manager, kind="OUT_OF_SERVICE")
    block(house, 2, 3, 5, manager, kind="HOUSE_USE")
    assert_like_availability(house)
    house.doors[2].is_active = False
    house.doors[2].save(update_fields=["is_active"])
    assert_like_availability(house)


def test_only_the_hotels_own_nights_count(house, manager):
    block(house, 0, 0, 4, manager)
    elsewhere = NewRoomFactory(hotel=HotelFactory())
    set_room_status(room=elsewhere, to_status="OUT_OF_ORDER", source="SYSTEM")
    assert counted(house).keys() == {("2026-06", "OUT_OF_ORDER", "REPAIR"), ("2026-07", "OUT_OF_ORDER", "REPAIR")}
    assert counted(elsewhere.hotel).keys() == {("2026-06", "OUT_OF_ORDER", None), ("2026-07", "OUT_OF_ORDER", None)}


def test_a_past_night_of_a_room_that_is_no_longer_let_counts(house, manager):
    block(house, 0, 0, 4, manager)
    with clock.set_to(noon(house, 1)):
        house.doors[0].is_active = False
        house.doors[0].save(update_fields=["is_active"])
        assert counted(house) == {("2026-06", "OUT_OF_ORDER", "REPAIR"): 1}


def rows_of(answer):
    """The rows of a CSV answer."""
    assert answer.status_code == 200
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"), newline="")))


def test_the_export_has_the_blocks_of_the_period(api, house, housekeeper, manager):
    inside = block(house, 0, 1, 3, manager, remarks='@SUM(1), "new"\nshower')
    block(house, 1, 40, 42, manager)
    elsewhere = NewRoomFactory(hotel=HotelFactory())
    set_room_status(room=elsewhere, to_status="OUT_OF_ORDER", source="SYSTEM")
    client, where = api(housekeeper), url(housekeeper, "room-blocks/export/")
    [row] = client.get(where, PERIOD).json()
    assert row == client.get(url(housekeeper, f"room-blocks/?room_id={house.doors[0].pk}")).json()["results"][0]
    answer = client.get(where, PERIOD | {"format": "csv"})
    assert answer["Content-Disposition"] == 'attachment; filename="blocks-2026-06-01-2026-08-01.csv"'
    [cells] = rows_of(answer)
    assert cells.keys() == row.keys()
    # What a spreadsheet would evaluate has an apostrophe in front.
    assert cells["remarks"] == '\'@SUM(1), "new"\nshower'
    assert cells["reason_label"] == "'=Repair"
    shown = ("id", "from", "to", "by_status", "ended_on")
    assert [cells[name] for name in shown] == [str(inside.pk), "2026-06-30", "2026-07-02", "no", ""]


def test_nights_as_json_and_csv(api, house, housekeeper, manager):
    block(house, 0, 0, 5, manager)
    client, where = api(housekeeper), url(housekeeper, "room-blocks/nights/")
    body = client.get(where, PERIOD).json()
    assert body == blocked_nights(house, date(2026, 6, 1), date(2026, 8, 1))
    assert body["rows"][1] == {
        "month": "2026-07",
        "kind": "OUT_OF_ORDER",
        "kind_display": "Out of order",
        "reason": "REPAIR",
        "reason_label": "=Repair",
        "nights": 3,
    }
    rows = rows_of(client.get(where, PERIOD | {"format": "csv"}))
    assert [list(row.values()) for row in rows] == [
        ["2026-06", "OUT_OF_ORDER", "Out of order", "REPAIR", "'=Repair", "2"],
        ["2026-07", "OUT_OF_ORDER", "Out of order", "REPAIR", "'=Repair", "3"],
    ]


@pytest.mark.parametrize("report", ["export", "nights"])
@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"from": ""}, "from"),
        ({"from": "1999-12-31"}, "from"),
        ({"to": "2026-06-01"}, "to"),
        ({"to": "2028-06-02"}, "to"),
        ({"to": "9999-12-31"}, "to"),
        ({"format": "xlsx"}, "format"),
    ],
)
def test_a_refused_question_names_its_field(api, hotel, housekeeper, report, query, field):
    answer = api(housekeeper).get(url(housekeeper, f"room-blocks/{report}/"), PERIOD | query)
    assert list(assert_error(answer, 400, "VALIDATION_ERROR")["details"]) == [field]


def test_two_years_are_allowed(api, hotel, housekeeper):
    query = {"from": "2027-06-01", "to": "2029-06-01"}
    assert api(housekeeper).get(url(housekeeper, "room-blocks/nights/"), query).json()["total"] == 0


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize(("report", "made"), [("export", 2), ("nights", 3)])
def test_any_number_of_blocks_takes_the_same_statements(api, house, manager, statements, size, report, made):
    for place in range(size):
        block(house, place, place, place + 2, manager)
    client = api(manager)
    with statements() as counted:
        answer = client.get(url(manager, f"room-blocks/{report}/"), PERIOD)
    assert answer.status_code == 200
    assert len(counted) == made, counted.sql()
    assert RoomBlock.objects.count() == size
