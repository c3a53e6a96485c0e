"""The board's state by role, embedded in the page and as JSON."""

import json
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection

from common import clock
from hotel import calendar, rights
from housekeeping.models import Source
from housekeeping.policy import status_transitions
from housekeeping.services import set_room_status
from housekeeping.snapshots import task_snapshot
from notifications import relay
from notifications.models import BOOKINGS, ROOMS, EventStream
from rooms.models import RoomStatus
from tests.board.conftest import PERSONAL, create_board_data, embedded
from tests.conftest import in_full, url
from tests.factories import NewRoomFactory, RoomTypeFactory, StaffFactory, booking_in, room_in
from tests.hotelmate.test_statements import fill
from tests.notifications.event_log import log_of

PAGE, STATE = "/board/grand/", "/board/grand/state/"
NOON = datetime(2026, 7, 1, 11, 0, tzinfo=UTC)  # in Dublin
AGENT, OFFICE = rights.FRONT_DESK_AGENT, rights.FRONT_OFFICE_MANAGER
HOUSEKEEPER, SUPERVISOR, MANAGER = rights.HOUSEKEEPER, rights.HOUSEKEEPING_SUPERVISOR, rights.HOTEL_MANAGER
# By the table of roles in docs/api.md (Rights).
SEES_BOOKINGS = {AGENT, OFFICE, MANAGER}
MAY = {
    AGENT: {"history": True, "flag": True, "clear": False},
    OFFICE: {"history": True, "flag": True, "clear": True},
    HOUSEKEEPER: {"history": False, "flag": True, "clear": False},
    SUPERVISOR: {"history": True, "flag": True, "clear": True},
    MANAGER: {"history": True, "flag": True, "clear": True},
}
OVERRIDES = {OFFICE: ["bookings.supervise"], MANAGER: ["housekeeping.status_override", "bookings.supervise"]}
by_role = pytest.mark.parametrize("role", list(MAY))


@pytest.fixture(autouse=True)
def _noon():
    """Stop the clock at noon."""
    with clock.set_to(NOON):
        yield


@pytest.fixture
def grand(hotel):
    """Check-out at 13:00 with half an hour of grace, so no departure of today is overdue at noon."""
    hotel.standard_checkout_time = time(13, 0)
    hotel.save()
    return hotel


# --- how much it costs ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 3, 300])
@pytest.mark.parametrize("path", [PAGE, STATE])
def test_the_board_takes_six_statements_at_any_size(browser, hotel, manager, statements, size, path):
    """Session; user with staff, hotel, role and rights; streams; rooms; stays; tasks."""
    fill(hotel, manager, size)
    client = browser(manager)
    with statements() as made:
        answer = client.get(path)
    assert len(made) == 6, made.sql()
    state = embedded(answer) if path == PAGE else answer.json()
    assert (len(state["rooms"]), len(state["departures"]), len(state["my_tasks"])) == (size, -(-size // 3), size)


# --- content ----------------------------------------------------------------------------------------------------------


@by_role
def test_the_page_embeds_the_state(browser, grand, role):
    staff = StaffFactory(hotel=grand, role=role)
    create_board_data(grand, staff)
    client = browser(staff)
    assert embedded(client.get(PAGE)) == client.get(STATE).json()


@by_role
def test_the_rooms_are_those_of_the_api(browser, api, grand, role):
    staff = StaffFactory(hotel=grand, role=role)
    create_board_data(grand, staff)
    columns = api(staff).get(url(staff, "turnover/rooms/")).json().values()
    shown = sorted((room for column in columns for room in column["rooms"]), key=lambda room: room["room_number"])
    state = browser(staff).get(STATE).json()
    assert state["rooms"] == shown
    assert [room["room_number"] for room in shown] == [101, 102, 103, 104, 105]
    assert all(("primary_guest" in room) is (role in SEES_BOOKINGS) for room in shown)


@by_role
def test_the_state_contains_the_users_role_and_rights(browser, grand, role):
    staff = StaffFactory(hotel=grand, role=role)
    assert browser(staff).get(STATE).json()["me"] == {
        "id": staff.pk,
        "name": staff.name,
        "sees_bookings": role in SEES_BOOKINGS,
        "may": MAY[role],
        "overrides": OVERRIDES.get(role, []),
        "status_transitions": status_transitions(staff),
    }


def test_the_state_has_exactly_these_keys(browser, grand, manager, settings):
    settings.PUSHER_APP_ID, settings.PUSHER_KEY, settings.PUSHER_SECRET = "1", "key", "secret"
    settings.PUSHER_HOST, settings.PUSHER_PORT, settings.PUSHER_SSL = "127.0.0.1", 6001, False
    state = browser(manager).get(STATE).json()
    assert state.pop("me")
    assert state == {
        "hotel": {
            "slug": "grand",
            "name": "Grand",
            "timezone": "Europe/Dublin",
            "business_date": "2026-07-01",
            "business_day_ends": "2026-07-02T01:00:00Z",
        },
        "now": "2026-07-01T11:00:00Z",
        "statuses": [{"value": status.value, "label": status.label} for status in RoomStatus],
        "rooms": [],
        "arrivals": [],
        "departures": [],
        "my_tasks": [],
        "seq": {"rooms": 0, "room-bookings": 0},
        "realtime": {"key": "key", "host": "127.0.0.1", "port": 6001, "tls": False, "cluster": ""},
    }


def stay_json(booking, *, late: bool = False, overdue: bool = False) -> dict[str, Any]:
    return {
        "booking_id": booking.booking_id,
        "guest_name": "Ada Lovelace",
        "room_number": booking.assigned_room.room_number if booking.assigned_room else None,
        "room_type_name": "Double",
        "check_in": booking.check_in.isoformat(),
        "check_out": booking.check_out.isoformat(),
        "status": booking.status,
        "is_late_arrival": late,
        "is_overdue": overdue,
    }


def test_the_front_desk_sees_arrivals_and_departures(browser, grand, agent):
    data = create_board_data(grand, agent)
    state = browser(agent).get(STATE).json()
    assert state["arrivals"] == [stay_json(data.arriving), stay_json(data.without_room)]
    assert state["departures"] == [stay_json(data.overdue, overdue=True), stay_json(data.leaving)]


def test_departures_are_overdue_after_the_grace_period(browser, grand, agent):
    create_board_data(grand, agent)
    due = calendar.at(grand, NOON.date(), time(13, 30))
    for moment, overdue in [(due, [True, False]), (due.replace(second=1), [True, True])]:
        with clock.set_to(moment):
            state = browser(agent).get(STATE).json()
        assert [departure["is_overdue"] for departure in state["departures"]] == overdue


def test_the_business_day_continues_after_midnight(browser, grand, agent):
    create_board_data(grand, agent)
    with clock.set_to(datetime(2026, 7, 2, 0, 59, tzinfo=UTC)):  # 1:59 in Dublin, the cutoff is at two
        state = browser(agent).get(STATE).json()
    assert state["hotel"]["business_date"] == "2026-07-01"
    assert len(state["arrivals"]) == 2
    with clock.set_to(datetime(2026, 7, 2, 1, 0, tzinfo=UTC)):
        state = browser(agent).get(STATE).json()
    assert state["hotel"]["business_date"] == "2026-07-02"
    due_and_late = [(arrival["check_in"], arrival["is_late_arrival"]) for arrival in state["arrivals"]]
    assert due_and_late == [("2026-07-01", True), ("2026-07-01", True), ("2026-07-02", False)]


@by_role
def test_late_arrivals_are_listed_until_the_last_night_is_over(browser, grand, role):
    day, of = timedelta(days=1), {"room_type": RoomTypeFactory(hotel=grand, name="Double"), "hotel": grand}
    late, over = (
        booking_in(
            "CONFIRMED",
            assigned_room=NewRoomFactory(**of),
            check_in=NOON.date() - 2 * day,
            check_out=NOON.date() + after * day,
        )
        for after in (1, 0)
    )
    arrivals = browser(StaffFactory(hotel=grand, role=role)).get(STATE).json()["arrivals"]
    nobody = {} if role in SEES_BOOKINGS else {"booking_id": None, "guest_name": None}
    assert arrivals == [stay_json(late, late=True) | nobody], over


def test_housekeeping_sees_arrival_and_departure_rooms_without_guests(browser, grand, housekeeper):
    data = create_board_data(grand, housekeeper)
    state = browser(housekeeper).get(STATE).json()
    nobody = {"booking_id": None, "guest_name": None}
    assert state["arrivals"] == [stay_json(data.arriving) | nobody]
    assert state["departures"] == [stay_json(data.overdue, overdue=True) | nobody, stay_json(data.leaving) | nobody]


@pytest.mark.parametrize("role", [HOUSEKEEPER, SUPERVISOR])
def test_no_housekeeping_page_contains_guest_data(browser, grand, role):
    staff = StaffFactory(hotel=grand, role=role)
    create_board_data(grand, staff)
    for path in (PAGE, STATE, "/board/grand/turn-times/"):
        page = browser(staff).get(path).content.decode()
        assert [word for word in PERSONAL if word in page] == [], path


def test_the_front_desks_page_contains_names_and_references_but_no_addresses(browser, grand, agent):
    """Shows that the test above can fail."""
    create_board_data(grand, agent)
    page = browser(agent).get(PAGE).content.decode()
    assert [word for word in PERSONAL if word in page] == ["Ada", "Lovelace", "Charles", "Babbage", "BK-2000"]


@by_role
def test_my_tasks_are_the_users_open_tasks(browser, grand, role):
    staff = StaffFactory(hotel=grand, role=role)
    data = create_board_data(grand, staff)
    mine = json.loads(json.dumps(task_snapshot(data.tasks["mine"], NOON)))
    if role not in SEES_BOOKINGS:
        mine["booking"] = None
    assert browser(staff).get(STATE).json()["my_tasks"] == [mine]


def test_the_state_excludes_other_hotels(browser, grand, manager):
    other = StaffFactory(role=MANAGER)
    create_board_data(other.hotel, other)
    log_of(other.hotel, 3)
    state = browser(manager).get(STATE).json()
    assert (state["rooms"], state["arrivals"], state["departures"], state["my_tasks"]) == ([], [], [], [])
    assert state["seq"] == {"rooms": 0, "room-bookings": 0}


def test_a_guests_name_cannot_close_the_script_element(browser, grand, agent):
    name = "</script><script>alert(1)</script>"
    booking_in("CONFIRMED", hotel=grand, check_in=NOON.date(), primary_first_name=name)
    page = browser(agent).get(PAGE)
    assert b"alert(1)</script>" not in page.content
    assert embedded(page)["arrivals"][0]["guest_name"] == f"{name} Lovelace"


# --- the stream numbers -----------------------------------------------------------------------------------------------


@by_role
def test_the_state_has_a_seq_for_each_permitted_stream(browser, grand, role):
    log_of(grand, 4)
    log_of(grand, 2, stream=BOOKINGS)
    state = browser(StaffFactory(hotel=grand, role=role)).get(STATE).json()
    assert state["seq"] == {"rooms": 4, "room-bookings": 2 if role in SEES_BOOKINGS else None}


def test_with_booking_rights_only_there_is_no_rooms_stream(browser, grand):
    staff = StaffFactory(hotel=grand, role=HOUSEKEEPER)
    staff.role.permissions.set([])
    grant(staff, "bookings.checkin")
    log_of(grand, 4)
    state = browser(staff).get(STATE).json()
    assert state["seq"] == {"rooms": None, "room-bookings": 0}
    assert state["me"]["sees_bookings"] is True


def grant(staff, right: str) -> None:
    """Grant the right to the user."""
    app_label, _, codename = rights.permission(right).partition(".")
    staff.user.user_permissions.add(Permission.objects.get(content_type__app_label=app_label, codename=codename))


@pytest.mark.parametrize("path", [PAGE, STATE])
def test_a_change_during_the_read_is_shown_or_caught_up(browser, api, grand, housekeeper, path):
    """Before each statement, another room becomes dirty and its event is numbered."""
    rooms = [NewRoomFactory(hotel=grand) for _ in range(6)]
    stream = EventStream.objects.create(hotel=grand, name=ROOMS)
    client, waiting, busy = browser(housekeeper), list(rooms), []

    def meanwhile(execute, sql, params, many, context):
        if not busy and waiting and in_full(sql).startswith("SELECT"):
            busy.append(True)
            set_room_status(room=waiting.pop(), to_status="CHECKOUT_DIRTY", source=Source.SYSTEM)
            relay.number(stream)
            busy.clear()
        return execute(sql, params, many, context)

    with connection.execute_wrapper(meanwhile):
        answer = client.get(path)
    state = embedded(answer) if path == PAGE else answer.json()
    changed = {room.pk for room in rooms} - {room.pk for room in waiting}
    shown = {room["id"] for room in state["rooms"] if room["room_status"] == "CHECKOUT_DIRTY"}
    missed = api(housekeeper).get(url(housekeeper, f"events/?channel=rooms&after={state['seq']['rooms']}")).json()
    caught_up = {event["payload"]["id"] for event in missed["results"]}
    assert len(changed) == 6  # one before each of the six statements
    assert shown | caught_up == changed
    assert len(shown & caught_up) == 1  # changed between the two reads: seen twice, harmless


# --- the realtime server ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("configured", "expected", "origins"),
    [
        ({}, None, ""),
        (
            {"PUSHER_HOST": "live.example", "PUSHER_PORT": 6001, "PUSHER_SSL": True},
            {"key": "key", "host": "live.example", "port": 6001, "tls": True, "cluster": ""},
            " wss://live.example:6001",
        ),
        (
            {"PUSHER_HOST": "127.0.0.1", "PUSHER_PORT": 6001, "PUSHER_SSL": False},
            {"key": "key", "host": "127.0.0.1", "port": 6001, "tls": False, "cluster": ""},
            " ws://127.0.0.1:6001",
        ),
        (
            {"PUSHER_HOST": "", "PUSHER_CLUSTER": "eu", "PUSHER_PORT": 6001, "PUSHER_SSL": False},
            {"key": "key", "host": "", "port": 443, "tls": True, "cluster": "eu"},
            " wss://ws-eu.pusher.com",
        ),
        (
            {"PUSHER_HOST": "", "PUSHER_CLUSTER": ""},
            {"key": "key", "host": "", "port": 443, "tls": True, "cluster": "mt1"},
            " wss://ws-mt1.pusher.com",
        ),
    ],
    ids=["none", "own, tls", "own, plain", "Pusher", "Pusher's first cluster"],
)
def test_the_page_policy_allows_the_realtime_host(browser, grand, manager, settings, configured, expected, origins):
    credentials = {"PUSHER_APP_ID": "1", "PUSHER_KEY": "key", "PUSHER_SECRET": "secret"}
    for name, value in {**(credentials if configured else dict.fromkeys(credentials, "")), **configured}.items():
        setattr(settings, name, value)
    page = browser(manager).get(PAGE)
    assert embedded(page)["realtime"] == expected
    assert f"; connect-src 'self'{origins}; " in page["Content-Security-Policy"]


def test_the_page_does_not_contain_the_pusher_secret(browser, grand, manager, settings):
    settings.PUSHER_APP_ID, settings.PUSHER_KEY, settings.PUSHER_SECRET = "1", "key", "a-very-secret-word"
    assert b"a-very-secret-word" not in browser(manager).get(PAGE).content


def test_rooms_are_ordered_by_number(browser, grand, manager):
    for number in (1203, 7, 310):
        room_in("CHECKOUT_DIRTY", hotel=grand, room_number=number)
    assert [room["room_number"] for room in browser(manager).get(STATE).json()["rooms"]] == [7, 310, 1203]
