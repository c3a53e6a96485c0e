"""How events and states update the board's data: the pure functions of board/static/board/state.js, in a browser."""

import random
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page

from common.room_numbers import key
from tests.browser.conftest import Complaints

TODAY = "2026-07-01"
OLD, NEW = "2026-07-01T09:00:00.000001Z", "2026-07-01T09:00:00.000002Z"
CALL = "async ([name, ...arguments_]) => (await import('/static/board/state.js'))[name](...arguments_)"
TAKE = """async ([state, name, news]) => {
    const state_module = await import('/static/board/state.js');
    const known = state_module.boardOf(state);
    const answer = state_module[name](known, news);
    return {
        answer: answer instanceof Set ? [...answer].sort() : answer,
        rooms: [...known.rooms.values()],
        arrivals: known.arrivals.map(stay => stay.booking_id),
        departures: known.departures.map(stay => stay.booking_id),
    };
}"""


@pytest.fixture(scope="module")
def page(browser, site) -> Iterator[Page]:
    """A page shared by all tests, since the functions have no state; its console messages are checked at the end."""
    complaints = Complaints()
    context = browser.new_context(base_url=site.address)
    complaints.follow(context, site)
    page = context.new_page()
    page.goto("/board/sign-in/")
    yield page
    context.close()
    assert complaints.unexpected() == []


def room(number: int = 101, **fields: Any) -> dict[str, Any]:
    return {
        "id": number,
        "room_number": number,
        "room_type": 1,
        "room_type_name": "Double",
        "building": "",
        "floor": "1",
        "section": "",
        "is_active": True,
        "room_status": "CHECKOUT_DIRTY",
        "status_version": 4,
        "updated_at": OLD,
        **fields,
    }


def row(reference: str = "BK-1", **fields: Any) -> dict[str, Any]:
    return {
        "booking_id": reference,
        "guest_name": "Ada Lovelace",
        "room_number": 101,
        "room_type_name": "Double",
        "check_in": TODAY,
        "check_out": "2026-07-03",
        "status": "CONFIRMED",
        "is_overstay": False,
        "primary_email": "ada@example.com",
        **fields,
    }


def state(*rooms: dict[str, Any], arrivals: Any = (), departures: Any = ()) -> dict[str, Any]:
    return {
        "hotel": {"business_date": TODAY},
        "now": OLD,
        "rooms": list(rooms),
        "arrivals": list(arrivals),
        "departures": list(departures),
    }


@pytest.mark.parametrize(
    ("incoming", "known", "expected"),
    [
        (room(), None, True),
        (room(status_version=5), room(), True),
        (room(status_version=3, updated_at=NEW), room(), False),
        (room(updated_at=NEW), room(), True),
        (room(), room(updated_at=NEW), False),
        (room(), room(), True),
        (room(updated_at="2026-07-01T09:00:00Z"), room(), False),  # no microseconds at all: the first moment
        (room(updated_at="2026-07-01T09:00:01Z"), room(), True),
    ],
)
def test_an_older_snapshot_never_replaces_a_newer_one(page, incoming, known, expected):
    assert page.evaluate(CALL, ["isCurrent", incoming, known]) is expected


@pytest.mark.parametrize(("seq", "expected"), [(4, "drop"), (5, "drop"), (6, "take"), (7, "gap")])
def test_events_are_applied_once_and_in_order(page, seq, expected):
    assert page.evaluate(CALL, ["sequenceAction", seq, 5]) == expected


def test_an_event_changes_only_the_fields_it_contains(page):
    before = room(primary_guest={"first_name": "Ada"})
    after = page.evaluate(TAKE, [state(before, room(102)), "takeRoom", room(status_version=5)])
    assert after["answer"] == "changed"
    assert after["rooms"] == [{**before, "status_version": 5}, room(102)]
    after = page.evaluate(TAKE, [state(before), "takeRoom", room(status_version=5, primary_guest=None)])
    assert after["rooms"][0]["primary_guest"] is None


def test_an_old_event_changes_nothing(page):
    after = page.evaluate(TAKE, [state(room()), "takeRoom", room(status_version=3, room_status="OCCUPIED")])
    assert (after["answer"], after["rooms"]) == (None, [room()])


def test_rooms_are_added_and_removed(page):
    after = page.evaluate(TAKE, [state(room()), "takeRoom", room(102)])
    assert (after["answer"], after["rooms"]) == ("others", [room(), room(102)])
    after = page.evaluate(TAKE, [state(room(), room(102)), "takeRoom", room(102, is_active=False)])
    assert (after["answer"], after["rooms"]) == ("others", [room()])
    after = page.evaluate(TAKE, [state(room()), "takeRoom", room(102, is_active=False)])
    assert (after["answer"], after["rooms"]) == (None, [room()])


def test_a_new_state_replaces_everything_even_higher_versions(page):
    """After a restore, the database returns to an earlier state."""
    known = state(room(101, status_version=9), room(102), room(103))
    fresh = state(room(101), room(102, status_version=5))
    after = page.evaluate(TAKE, [known, "takeState", fresh])
    assert after["answer"] is True  # 103 is gone
    assert after["rooms"] == [room(101), room(102, status_version=5)]
    assert page.evaluate(TAKE, [known, "takeState", known])["answer"] is False


def test_a_reassigned_room_number_shows_its_new_room(page):
    """101 has become 110, and 102 has become 101, regardless of their versions."""
    first, second = room(101, id=1, status_version=9, primary_guest={"first_name": "Ada"}), room(102, id=2)
    moved, followed = {**first, "room_number": 110}, {**second, "room_number": 101}
    after = page.evaluate(TAKE, [state(first, second), "takeState", state(followed, moved)])
    assert (after["answer"], after["rooms"]) == (True, [followed, moved])
    after = page.evaluate(TAKE, [state(first, second), "takeRoom", moved])
    assert (after["answer"], after["rooms"]) == ("others", [second, moved])
    after = page.evaluate(TAKE, [state(first, second), "takeRoom", followed])
    assert (after["answer"], after["rooms"]) == ("others", [followed])
    after = page.evaluate(TAKE, [state(moved, followed), "takeRoom", {**first, "updated_at": OLD, "status_version": 8}])
    assert (after["answer"], after["rooms"]) == (None, [moved, followed])


def test_rooms_are_in_the_servers_order(page):
    """State.js sorts numbers as ``common.room_numbers.key`` does, whose equal in SQL has a test of its own."""
    numbers = [1, "09", 9, 12, "12 B", "12A", "12b", "0101", 101, "101-2", 1203, "A2", "A10", "PH1", "Villa Rosa"]
    script = "async numbers => numbers.sort((await import('/static/board/state.js')).byNumber)"
    assert page.evaluate(script, random.sample(numbers, len(numbers))) == sorted(numbers, key=key) == numbers


def test_a_new_type_name_is_added_to_the_filter(page):
    suite = room(room_type_name="Suite")
    assert page.evaluate(TAKE, [state(room()), "takeState", state(suite)])["answer"] is True
    assert page.evaluate(TAKE, [state(room()), "takeRoom", suite])["answer"] == "others"


@pytest.mark.parametrize(
    ("news", "arrivals", "departures", "touched"),
    [
        (row("BK-2", room_number=102), ["BK-1", "BK-2"], ["BK-9"], [102]),
        (row("BK-2", room_number=None), ["BK-1", "BK-2"], ["BK-9"], []),
        (row("BK-2", check_in="2026-07-02"), ["BK-1"], ["BK-9"], []),
        (row(room_number=102), ["BK-1"], ["BK-9"], [101, 102]),  # another room
        (row(status="CANCELLED"), [], ["BK-9"], [101]),
        (row(status="IN_HOUSE"), [], ["BK-9"], [101]),  # checked in, for two nights
        (row(status="IN_HOUSE", check_out=TODAY), [], ["BK-1", "BK-9"], [101]),  # for the day
        (row("BK-9", room_number=109, status="COMPLETED"), ["BK-1"], [], [109]),
        (row("BK-9", room_number=109, status="IN_HOUSE"), ["BK-1"], [], [109]),  # extended
    ],
)
def test_bookings_are_added_to_the_lists_and_removed(page, news, arrivals, departures, touched):
    leaving = row("BK-9", room_number=109, status="IN_HOUSE", check_in="2026-06-28", check_out=TODAY)
    after = page.evaluate(TAKE, [state(room(), arrivals=[row()], departures=[leaving]), "takeBooking", news])
    assert (after["arrivals"], after["departures"], after["answer"]) == (arrivals, departures, touched)


def test_stays_are_ordered_by_room_then_by_name(page):
    stays = [
        row("BK-5", room_number=None, guest_name="Mary Adams"),
        row("BK-4", room_number=None, guest_name="Ada Young"),
        row("BK-3", room_number=103),
        row("BK-2", room_number=None, guest_name="Mary Adams"),
    ]
    after = page.evaluate(TAKE, [state(arrivals=stays, departures=stays), "takeBooking", row("BK-1", room_number=102)])
    assert after["arrivals"] == ["BK-1", "BK-3", "BK-4", "BK-2", "BK-5"]
    assert after["departures"] == ["BK-3", "BK-4", "BK-2", "BK-5"]


def test_actions_are_those_of_the_room_that_the_viewer_has_rights_for(page):
    steps = ["CLEANING_IN_PROGRESS", "CLEANED_UNINSPECTED", "READY_FOR_GUEST"]
    me = {"status_transitions": {"CHECKOUT_DIRTY": ["READY_FOR_GUEST", "CLEANING_IN_PROGRESS", "OUT_OF_ORDER"]}}
    assert page.evaluate(CALL, ["stepsFor", room(allowed_transitions=steps), me]) == [steps[0], steps[2]]
    assert page.evaluate(CALL, ["stepsFor", room(allowed_transitions=steps), {"status_transitions": {}}]) == []
