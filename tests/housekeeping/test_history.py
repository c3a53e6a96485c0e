"""GET rooms/{rid}/status-history/ (docs/api.md, Housekeeping)."""

from datetime import UTC, datetime, timedelta

import pytest

from common import clock
from housekeeping.models import RoomStatusEvent, Source
from housekeeping.services import set_room_status
from tests.conftest import url
from tests.factories import NewRoomFactory, room_in
from tests.http import assert_error

NINE = datetime(2026, 7, 1, 9, 0, tzinfo=UTC)


def history(api, staff, room, query="", *, alias=False):
    prefix = "housekeeping/" if alias else ""
    answer = api(staff).get(url(staff, f"{prefix}rooms/{room.pk}/status-history/{query}"))
    assert answer.status_code == 200, answer.content
    return answer.json()


def versions(body):
    """The versions of the room's changes on a page."""
    by_id = dict(RoomStatusEvent.objects.values_list("pk", "version"))
    return [by_id[item["id"]] for item in body["status_history"]]


def changed_daily(hotel, staff, days: int):
    """A room that became dirty (SYSTEM) at 09:00 UTC on July 1 and then changes back and forth (HOUSEKEEPING) daily."""
    room = NewRoomFactory(hotel=hotel, room_number=101)
    for day in range(days):
        with clock.set_to(NINE + timedelta(days=day)):
            if day == 0:
                set_room_status(room=room, to_status="CHECKOUT_DIRTY", source=Source.SYSTEM)
            else:
                to_status = "CLEANING_IN_PROGRESS" if day % 2 else "CHECKOUT_DIRTY"
                set_room_status(room=room, to_status=to_status, staff=staff, note=f"day {day}")
    return room


@pytest.mark.parametrize("alias", [False, True], ids=["path", "alias"])
def test_every_documented_field(api, hotel, supervisor, alias):
    room = changed_daily(hotel, supervisor, 2)
    newest, oldest = RoomStatusEvent.objects.all()
    plain = {"hotel": hotel.pk, "hotel_name": "Grand", "room": room.pk, "room_number": 101}
    assert history(api, supervisor, room, alias=alias) == {
        "room": {"id": room.pk, "room_number": 101, "current_status": "CLEANING_IN_PROGRESS"},
        "status_history": [
            {
                **plain,
                "id": newest.pk,
                "from_status": "CHECKOUT_DIRTY",
                "to_status": "CLEANING_IN_PROGRESS",
                "changed_by": supervisor.pk,
                "changed_by_name": supervisor.name,
                "source": "HOUSEKEEPING",
                "source_display": "Housekeeping",
                "note": "day 1",
                "created_at": "2026-07-02T09:00:00Z",
            },
            {
                **plain,
                "id": oldest.pk,
                "from_status": "READY_FOR_GUEST",
                "to_status": "CHECKOUT_DIRTY",
                "changed_by": None,
                "changed_by_name": None,
                "source": "SYSTEM",
                "source_display": "System",
                "note": "",
                "created_at": "2026-07-01T09:00:00Z",
            },
        ],
        "total_events": 2,
        "next_before": None,
    }


def test_a_room_without_history(api, hotel, supervisor):
    room = NewRoomFactory(hotel=hotel, room_number=101)
    assert history(api, supervisor, room) == {
        "room": {"id": room.pk, "room_number": 101, "current_status": "READY_FOR_GUEST"},
        "status_history": [],
        "total_events": 0,
        "next_before": None,
    }


def test_another_rooms_history_is_not_shown(api, hotel, supervisor):
    room, _ = room_in("CHECKOUT_DIRTY", hotel=hotel), room_in("OUT_OF_ORDER", hotel=hotel)
    assert [item["to_status"] for item in history(api, supervisor, room)["status_history"]] == ["CHECKOUT_DIRTY"]


def test_before_selects_the_next_page(api, hotel, supervisor):
    room = changed_daily(hotel, supervisor, 5)
    first = history(api, supervisor, room, "?limit=2")
    second = history(api, supervisor, room, f"?limit=2&before={first['next_before']}")
    third = history(api, supervisor, room, f"?limit=2&before={second['next_before']}")
    assert [versions(page) for page in (first, second, third)] == [[5, 4], [3, 2], [1]]
    assert [page["total_events"] for page in (first, second, third)] == [5, 5, 5]
    assert third["next_before"] is None


def test_the_last_page_has_no_next(api, hotel, supervisor):
    room = changed_daily(hotel, supervisor, 2)
    body = history(api, supervisor, room, "?limit=2")
    assert (versions(body), body["next_before"]) == ([2, 1], None)


@pytest.mark.parametrize(
    ("limit", "shown"), [("", 20), ("?limit=100", 100), ("?limit=101", 100), (f"?limit={10**30}", 100)]
)
def test_the_limit_is_capped_at_a_hundred(api, hotel, supervisor, limit, shown):
    room = changed_daily(hotel, supervisor, 102)
    body = history(api, supervisor, room, limit)
    assert (len(body["status_history"]), body["total_events"]) == (shown, 102)
    assert body["next_before"] == body["status_history"][-1]["id"]


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("?source=SYSTEM", [1]),
        ("?source=HOUSEKEEPING", [5, 4, 3, 2]),
        ("?source=MANAGER_OVERRIDE", []),
        ("?from=2026-07-03", [5, 4, 3]),
        ("?to=2026-07-02", [2, 1]),
        ("?from=2026-07-02&to=2026-07-04", [4, 3, 2]),
        ("?from=2026-07-02&to=2026-07-02", [2]),
        ("?from=2026-07-04&to=2026-07-02", []),
        ("?from=2026-07-02&source=SYSTEM", []),
        ("?from=&to=&source=&limit=&before=", [5, 4, 3, 2, 1]),
        ("?from=%20&limit=%20", [5, 4, 3, 2, 1]),
        ("?before=1", []),
        (f"?before={2**63 - 1}", [5, 4, 3, 2, 1]),
    ],
)
def test_filters(api, hotel, supervisor, query, shown):
    room = changed_daily(hotel, supervisor, 5)
    body = history(api, supervisor, room, query)
    assert versions(body) == shown
    if "before" not in query:
        assert body["total_events"] == len(shown)


@pytest.mark.parametrize("timezone", ["Europe/Dublin", "Pacific/Kiritimati", "Pacific/Pago_Pago"])
@pytest.mark.parametrize(
    ("query", "shown"), [("?from=0001-01-01&to=9999-12-31", 2), ("?to=0001-01-01", 0), ("?from=9999-12-31", 0)]
)
def test_the_first_and_the_last_day_of_the_calendar_are_days(api, hotel, supervisor, query, shown, timezone):
    hotel.timezone = timezone
    hotel.save()
    room = changed_daily(hotel, supervisor, 2)
    assert history(api, supervisor, room, query)["total_events"] == shown


@pytest.mark.parametrize("before", [10**30, 2**63])
def test_before_beyond_any_id_is_400(api, hotel, supervisor, before):
    room = NewRoomFactory(hotel=hotel)
    answer = api(supervisor).get(url(supervisor, f"rooms/{room.pk}/status-history/?before={before}"))
    assert "before" in assert_error(answer, 400, "VALIDATION_ERROR")["details"]


def test_days_are_in_the_hotels_timezone(api, hotel, supervisor):
    hotel.timezone = "America/New_York"  # four hours behind UTC in July
    hotel.save()
    with clock.set_to(datetime(2026, 7, 2, 3, 59, tzinfo=UTC)):
        room = room_in("CHECKOUT_DIRTY", hotel=hotel)
    with clock.set_to(datetime(2026, 7, 2, 4, 0, tzinfo=UTC)):
        set_room_status(room=room, to_status="CLEANING_IN_PROGRESS", staff=supervisor)
    assert versions(history(api, supervisor, room, "?from=2026-07-01&to=2026-07-01")) == [1]
    assert versions(history(api, supervisor, room, "?from=2026-07-02&to=2026-07-02")) == [2]


def test_a_day_of_twenty_five_hours_is_whole(api, hotel, supervisor):
    """Dublin's clocks go back on 25 October 2026: that day lasts from 23:00 UTC to midnight UTC of the next."""
    moments = [
        datetime(2026, 10, 24, 22, 59, tzinfo=UTC),
        datetime(2026, 10, 24, 23, 0, tzinfo=UTC),
        datetime(2026, 10, 25, 23, 59, tzinfo=UTC),
        datetime(2026, 10, 26, 0, 0, tzinfo=UTC),
    ]
    room = NewRoomFactory(hotel=hotel)
    for moment, to_status in zip(moments, ["CHECKOUT_DIRTY", "CLEANING_IN_PROGRESS"] * 2, strict=True):
        with clock.set_to(moment):
            set_room_status(room=room, to_status=to_status, source=Source.SYSTEM)
    assert versions(history(api, supervisor, room, "?from=2026-10-25&to=2026-10-25")) == [3, 2]


def test_former_staff_are_still_named(api, hotel, supervisor, housekeeper):
    room = room_in("CHECKOUT_DIRTY", hotel=hotel)
    set_room_status(room=room, to_status="CLEANING_IN_PROGRESS", staff=housekeeper)
    housekeeper.is_active = False
    housekeeper.save()
    assert history(api, supervisor, room)["status_history"][0]["changed_by_name"] == housekeeper.name
