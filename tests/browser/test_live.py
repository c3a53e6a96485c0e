"""Live updates of the board: within a second, over every channel, and after each kind of interruption."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.contrib.sessions.models import Session
from django.db import connection, transaction
from playwright.sync_api import Page, Route, expect

from hotel import calendar, rights
from housekeeping.models import RoomStatusEvent
from housekeeping.services import set_room_status
from notifications.models import RealtimeEvent
from notifications.retention import reset_after_restore
from room_bookings.models import RoomBooking
from room_bookings.services.check_in import check_in
from room_bookings.services.checkout import check_out
from rooms.models import Room
from tests.browser.pages import (
    PHONE,
    expect_state,
    expect_status,
    open_room,
    step,
    tile,
    touched,
    watch_tiles,
    withhold_room_events,
)
from tests.conftest import token_client
from tests.factories import BookingFactory, TaskFactory, booking_in
from tests.notifications.conftest import until

# The browser's own messages about a lost connection.
LOST = r"WebSocket connection|net::ERR_|WebSocket is already"


def change(room: Room, to_status: str, staff: Any) -> None:
    """Change the room's status, as on another screen."""
    set_room_status(room=room, to_status=to_status, staff=staff)


WATCH = """number => {
    const tile = document.querySelector(`button.tile[data-room="${number}"]`);
    window.seen = [];
    new MutationObserver(() => {
        const status = tile.dataset.status;
        if (status !== window.seen.at(-1)?.status) window.seen.push({status, at: Date.now()});
    }).observe(tile, {attributes: true, attributeFilter: ["data-status"]});
}"""


def watch(page: Page, number: int) -> None:
    """Record each status that the room's tile shows from now on, with its time."""
    page.evaluate(WATCH, number)


def seen(page: Page) -> list[str]:
    """The statuses that ``watch`` has recorded, in order."""
    found: list[str] = page.evaluate("() => window.seen.map(one => one.status)")
    return found


@pytest.fixture
def dirty(board_hotel):
    return board_hotel.room(101, "CHECKOUT_DIRTY")


def test_a_change_in_one_window_is_seen_in_another_within_a_second(board_hotel, dirty, board, measured):
    housekeeper, wall = (
        board(board_hotel.member(rights.HOUSEKEEPER)),
        board(board_hotel.member(rights.FRONT_DESK_AGENT, "Tom")),
    )
    watch(wall, 101)
    housekeeper.evaluate("""() => document.addEventListener("click", () => { window.clicked = Date.now(); }, true)""")
    took = []
    open_room(housekeeper, 101)
    for to_status in ("CLEANING_IN_PROGRESS", "CLEANED_UNINSPECTED", "CLEANING_IN_PROGRESS", "CHECKOUT_DIRTY"):
        step(housekeeper, to_status).click()
        expect_status(wall, 101, to_status)
        expect_status(housekeeper, 101, to_status)
        took.append(wall.evaluate("() => window.seen.at(-1).at") - housekeeper.evaluate("() => window.clicked"))
    measured(f"From a tap to the tile on another screen: {', '.join(f'{ms:.0f}' for ms in took)} ms")
    assert max(took) < 1000


def test_a_change_through_the_api_is_shown(board_hotel, dirty, board):
    page = board(board_hotel.member(rights.FRONT_DESK_AGENT))
    answer = token_client(board_hotel.member(rights.HOUSEKEEPER)).post(
        f"{board_hotel.api}rooms/{dirty.pk}/status/", {"to_status": "CLEANING_IN_PROGRESS"}
    )
    assert answer.status_code == 200
    expect_status(page, 101, "CLEANING_IN_PROGRESS")
    expect(page.locator('#counts [data-status="CLEANING_IN_PROGRESS"]')).to_contain_text("1")


def test_an_open_panel_is_updated(board_hotel, dirty, board):
    page, supervisor = board(board_hotel.member()), board_hotel.member(rights.HOUSEKEEPING_SUPERVISOR, "Orla")
    panel = open_room(page, 101)
    change(dirty, "CLEANED_UNINSPECTED", supervisor)
    expect(panel).to_contain_text("Cleaned uninspected")
    expect(panel.locator("#history")).to_contain_text("Orla")
    expect(step(page, "READY_FOR_GUEST")).to_be_visible()
    expect(step(page, "CLEANED_UNINSPECTED")).to_be_hidden()


def test_an_event_repaints_one_tile(board_hotel, dirty, board):
    for number in range(102, 112):
        board_hotel.room(number)
    housekeeper = board_hotel.member(rights.HOUSEKEEPER)
    page = board(board_hotel.member())
    watch_tiles(page)
    change(dirty, "CLEANING_IN_PROGRESS", housekeeper)
    expect_status(page, 101, "CLEANING_IN_PROGRESS")
    expect(page.locator('#counts [data-status="CLEANING_IN_PROGRESS"]')).to_contain_text("1")
    assert touched(page) == ["101"]


def test_the_board_reports_a_lost_server_and_catches_up(board_hotel, dirty, board, site, complaints):
    complaints.expect(LOST)
    housekeeper = board_hotel.member(rights.HOUSEKEEPER)
    page = board(board_hotel.member())
    expect(page.locator("#connection")).to_have_text("Live")
    watch(page, 101)
    site.pusher.kill()
    try:
        expect(page.locator("#connection")).not_to_have_text("Live")
        assert page.locator("#connection").get_attribute("data-state") in ("reconnecting", "polling")
        change(dirty, "CLEANING_IN_PROGRESS", housekeeper)
        change(dirty, "CLEANED_UNINSPECTED", housekeeper)
    finally:
        site.pusher.start()
    expect_status(page, 101, "CLEANED_UNINSPECTED")
    expect_state(page, "live")
    # It receives events again, and no earlier event comes a second time.
    change(dirty, "CHECKOUT_DIRTY", housekeeper)
    expect_status(page, 101, "CHECKOUT_DIRTY")
    assert [status for status in seen(page) if status != "CLEANING_IN_PROGRESS"] == [
        "CLEANED_UNINSPECTED",
        "CHECKOUT_DIRTY",
    ]
    assert seen(page).count("CLEANING_IN_PROGRESS") <= 1


def test_the_board_polls_while_the_live_server_is_away(board_hotel, dirty, board, site, complaints):
    complaints.expect(LOST)
    page = board(board_hotel.member())
    site.pusher.kill()
    try:
        expect_state(page, "polling")
        expect(page.locator("#connection")).to_have_text("Checking every few seconds")
        change(dirty, "CLEANING_IN_PROGRESS", board_hotel.member(rights.HOUSEKEEPER))
        expect_status(page, 101, "CLEANING_IN_PROGRESS")
    finally:
        site.pusher.start()


def test_a_silently_dead_connection_is_detected_in_half_a_minute(board_hotel, dirty, window, site, complaints):
    complaints.expect(LOST)
    page = window(board_hotel.member()).new_page()
    page.clock.install()
    page.goto(board_hotel.path)
    expect_state(page, "live")
    site.pusher.freeze()
    try:
        change(dirty, "CLEANING_IN_PROGRESS", board_hotel.member(rights.HOUSEKEEPER))
        page.clock.run_for("00:30")
        expect_status(page, 101, "CLEANING_IN_PROGRESS")
        assert page.locator("#connection").get_attribute("data-state") in ("reconnecting", "polling")
    finally:
        site.pusher.thaw()
    page.clock.fast_forward("00:10")
    expect_state(page, "live")


def test_a_phone_without_a_network_says_offline_and_catches_up(board_hotel, dirty, board, complaints):
    complaints.expect(LOST)
    housekeeper = board_hotel.member(rights.HOUSEKEEPER)
    page = board(board_hotel.member())
    watch(page, 101)
    page.context.set_offline(True)
    expect_state(page, "offline")
    expect(page.locator("#connection")).to_have_text("Offline")
    change(dirty, "CLEANING_IN_PROGRESS", housekeeper)
    change(dirty, "CLEANED_UNINSPECTED", housekeeper)
    page.context.set_offline(False)
    expect_status(page, 101, "CLEANED_UNINSPECTED")
    expect_state(page, "live")
    assert seen(page)[-1] == "CLEANED_UNINSPECTED"
    assert len(seen(page)) == len(set(seen(page)))


def test_changes_before_the_first_connection_are_fetched(board_hotel, dirty, window):
    context = window(board_hotel.member())
    held: list[Route] = []
    context.route("**/pusher.min.js", lambda route: held.append(route))
    page = context.new_page()
    page.goto(board_hotel.path, wait_until="domcontentloaded")
    expect_status(page, 101, "CHECKOUT_DIRTY")
    change(dirty, "CLEANING_IN_PROGRESS", board_hotel.member(rights.HOUSEKEEPER))
    # Pusher has sent it, and does not repeat it to later subscribers.
    until(lambda: not RealtimeEvent.objects.filter(hotel=board_hotel.hotel, sent_at=None).exists())
    held[0].continue_()
    expect_state(page, "live")
    expect_status(page, 101, "CLEANING_IN_PROGRESS")


def test_a_failed_events_request_is_retried(board_hotel, dirty, window, complaints):
    complaints.expect("status of 503")
    context = window(board_hotel.member())
    refused: list[str] = []

    def refuse_once(route: Route) -> None:
        if refused:
            route.continue_()
        else:
            refused.append(route.request.url)
            route.fulfill(status=503, json={"code": "DATABASE_BUSY", "message": "Try again.", "details": {}})

    context.route("**/events/?*", refuse_once)
    page = context.new_page()
    page.goto(board_hotel.path)
    expect_state(page, "live")
    assert len(refused) == 1
    change(dirty, "CLEANING_IN_PROGRESS", board_hotel.member(rights.HOUSEKEEPER))
    expect_status(page, 101, "CLEANING_IN_PROGRESS")


def test_a_live_event_counts_as_the_last_update(board_hotel, dirty, board, complaints):
    complaints.expect(LOST)
    page = board(board_hotel.member())
    page.clock.install()
    page.clock.fast_forward("00:20:00")
    change(dirty, "CLEANING_IN_PROGRESS", board_hotel.member(rights.HOUSEKEEPER))
    expect_status(page, 101, "CLEANING_IN_PROGRESS")
    page.context.set_offline(True)
    expect_state(page, "offline")
    ahead = [
        (calendar.local_now(board_hotel.hotel) + timedelta(minutes=minutes)).strftime("%H:%M") for minutes in (19, 20)
    ]
    expect(page.locator("#trouble")).to_contain_text(re.compile(f"since ({'|'.join(ahead)})"))


def test_without_pusher_js_the_board_polls(board_hotel, dirty, window, complaints):
    complaints.expect("net::ERR_FAILED")
    context = window(board_hotel.member())
    context.route("**/pusher.min.js", lambda route: route.abort())
    page = context.new_page()
    page.goto(board_hotel.path)
    expect_state(page, "polling")
    change(dirty, "CLEANING_IN_PROGRESS", board_hotel.member(rights.HOUSEKEEPER))
    expect_status(page, 101, "CLEANING_IN_PROGRESS")


def test_a_lost_event_is_fetched_when_the_next_one_arrives(board_hotel, dirty, window):
    other, housekeeper = board_hotel.room(102, "CHECKOUT_DIRTY"), board_hotel.member(rights.HOUSEKEEPER)
    context = window(board_hotel.member())
    room_events = withhold_room_events(context, events=1)
    page = context.new_page()
    page.goto(board_hotel.path)
    expect_state(page, "live")
    change(dirty, "CLEANING_IN_PROGRESS", housekeeper)
    change(other, "CLEANING_IN_PROGRESS", housekeeper)
    expect_status(page, 102, "CLEANING_IN_PROGRESS")
    expect_status(page, 101, "CLEANING_IN_PROGRESS")
    assert len(room_events.withheld) == 1


def test_a_repeated_event_changes_nothing(board_hotel, dirty, window):
    housekeeper = board_hotel.member(rights.HOUSEKEEPER)
    context = window(board_hotel.member())
    room_events = withhold_room_events(context, events=0)
    page = context.new_page()
    page.goto(board_hotel.path)
    expect_state(page, "live")
    watch(page, 101)
    change(dirty, "CLEANING_IN_PROGRESS", housekeeper)
    expect_status(page, 101, "CLEANING_IN_PROGRESS")
    change(dirty, "CLEANED_UNINSPECTED", housekeeper)
    expect_status(page, 101, "CLEANED_UNINSPECTED")
    room_events.redeliver(room_events.delivered[0])
    change(dirty, "CHECKOUT_DIRTY", housekeeper)
    expect_status(page, 101, "CHECKOUT_DIRTY")
    assert seen(page) == ["CLEANING_IN_PROGRESS", "CLEANED_UNINSPECTED", "CHECKOUT_DIRTY"]


def test_an_arrival_that_is_checked_in_leaves_the_list(board_hotel, board):
    agent, room = board_hotel.member(rights.FRONT_DESK_AGENT), board_hotel.room(101)
    today = calendar.business_date(board_hotel.hotel)
    booking = BookingFactory(
        hotel=board_hotel.hotel,
        room_type=room.room_type,
        assigned_room=room,
        check_in=today,
        check_out=today + timedelta(days=1),
    )
    page = board(agent)
    arrivals = page.get_by_role("table", name="Arrivals")
    expect(arrivals).to_contain_text("Lovelace")
    check_in(booking=booking, staff=agent)
    expect_status(page, 101, "OCCUPIED")
    expect(arrivals).not_to_contain_text("Lovelace")


def restore(backup: dict[str, Any]) -> None:
    """Restore the room and its history, and make the event numbers jump, so that clients notice."""
    tables = [Room._meta.db_table, RoomStatusEvent._meta.db_table]
    with transaction.atomic(), connection.cursor() as cursor:
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        RoomStatusEvent.objects.filter(room=backup["id"], version__gt=backup["status_version"]).delete()
        Room.objects.filter(pk=backup["id"]).update(**backup)
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
    reset_after_restore()


def test_changes_without_an_event_are_shown_within_a_minute(board_hotel, dirty, window):
    page = window(board_hotel.member()).new_page()
    page.clock.install()
    page.goto(board_hotel.path)
    expect_state(page, "live")
    board_hotel.room(102)
    page.clock.fast_forward("01:00")
    expect(tile(page, 102)).to_be_visible()


def by_the_next_event(page: Page, other: Room, staff: Any) -> None:
    change(other, "CLEANING_IN_PROGRESS", staff)


def by_reading_the_state(page: Page, other: Room, staff: Any) -> None:
    page.evaluate("""() => document.dispatchEvent(new Event("visibilitychange"))""")


@pytest.mark.parametrize("discover", [by_the_next_event, by_reading_the_state])
def test_after_a_restore_the_board_shows_the_restored_state(board_hotel, dirty, board, complaints, discover):
    complaints.expect("status of 410")
    housekeeper, other = board_hotel.member(rights.HOUSEKEEPER), board_hotel.room(102, "CHECKOUT_DIRTY")
    page = board(board_hotel.member())
    dirty.refresh_from_db()
    [backup] = Room.objects.filter(pk=dirty.pk).values()
    change(dirty, "CLEANING_IN_PROGRESS", housekeeper)
    change(dirty, "CLEANED_UNINSPECTED", housekeeper)
    expect_status(page, 101, "CLEANED_UNINSPECTED")
    restore(backup)
    discover(page, other, housekeeper)
    expect_status(page, 101, "CHECKOUT_DIRTY")
    expect_state(page, "live")
    # Later changes are shown too, although the board has seen their version numbers before.
    dirty.refresh_from_db()
    change(dirty, "CLEANING_IN_PROGRESS", housekeeper)
    expect_status(page, 101, "CLEANING_IN_PROGRESS")


def test_a_change_during_a_state_read_is_not_reverted_by_it(board_hotel, dirty, board):
    page = board(board_hotel.member(rights.HOUSEKEEPER))
    open_room(page, 101)
    held: list[Route] = []

    page.route("**/state/", lambda route: route.continue_() if held else held.append(route))
    page.evaluate("""() => document.dispatchEvent(new Event("visibilitychange"))""")
    until(lambda: page.wait_for_timeout(50) or held)
    old = held[0].fetch()  # the response arrives after that of the change
    watch(page, 101)
    step(page, "CLEANING_IN_PROGRESS").click()
    expect_status(page, 101, "CLEANING_IN_PROGRESS")
    with page.expect_response("**/state/"):
        held[0].fulfill(response=old)
    page.wait_for_timeout(500)
    assert seen(page) == ["CLEANING_IN_PROGRESS"]


def test_new_tasks_appear_when_the_page_becomes_visible(board_hotel, dirty, board):
    housekeeper = board_hotel.member(rights.HOUSEKEEPER)
    page = board(housekeeper, "?mine=1")
    expect(tile(page, 101)).to_be_hidden()
    TaskFactory(room=dirty, assigned_to=housekeeper)
    page.evaluate("""() => document.dispatchEvent(new Event("visibilitychange"))""")
    expect(tile(page, 101)).to_be_visible()


# --- rights that change while the board is open -----------------------------------------------------------------------


@pytest.fixture
def asking(window, complaints):
    """``asking(board_hotel, member)`` opens a board without a live connection, which polls."""
    complaints.expect("net::ERR_FAILED")

    def asking(board_hotel, member) -> Page:
        context = window(member)
        context.route("**/pusher.min.js", lambda route: route.abort())
        page = context.new_page()
        page.goto(board_hotel.path)
        expect_state(page, "polling")
        return page

    return asking


def now_with(member: Any, *granted: str) -> None:
    """Replace the member's rights by these."""
    names = [rights.permission(right).split(".") for right in granted]
    member.role = Group.objects.create(name=f"{member.pk}: {granted}")
    for app, codename in names:
        member.role.permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
    member.save()


ROOMS_ONLY, BOOKINGS_ONLY = "rooms.maintenance_flag", "bookings.checkin"


def test_losing_booking_rights_hides_guest_names(board_hotel, dirty, asking, complaints):
    complaints.expect("status of 403")
    today = calendar.business_date(board_hotel.hotel)
    stay = {"check_in": today, "check_out": today + timedelta(days=1)}
    BookingFactory(hotel=board_hotel.hotel, room_type=dirty.room_type, assigned_room=dirty, **stay)
    agent = board_hotel.member(rights.FRONT_DESK_AGENT)
    page = asking(board_hotel, agent)
    expect(page.get_by_role("table", name="Arrivals")).to_contain_text("Lovelace")
    now_with(agent, ROOMS_ONLY)
    expect(page.get_by_role("table", name="Arrivals")).not_to_contain_text("Lovelace")
    expect(page.locator("#trouble")).to_be_hidden()
    change(dirty, "CLEANING_IN_PROGRESS", board_hotel.member(rights.HOUSEKEEPER))
    expect_status(page, 101, "CLEANING_IN_PROGRESS")


def test_the_board_follows_lost_and_regained_room_rights(board_hotel, dirty, asking, complaints):
    complaints.expect("status of 403")  # once; the page sends no request that would be refused
    agent = board_hotel.member(rights.FRONT_DESK_AGENT)
    page = asking(board_hotel, agent)
    with page.expect_navigation():
        now_with(agent, BOOKINGS_ONLY)
    expect_state(page, "polling")
    now_with(agent, BOOKINGS_ONLY, ROOMS_ONLY)
    with page.expect_navigation():
        page.evaluate("""() => document.dispatchEvent(new Event("visibilitychange"))""")
    change(dirty, "CLEANING_IN_PROGRESS", board_hotel.member(rights.HOUSEKEEPER))
    expect_status(page, 101, "CLEANING_IN_PROGRESS")


def test_with_booking_events_only_a_departure_updates_its_room(board_hotel, board):
    clerk, today = board_hotel.member(rights.FRONT_DESK_AGENT), calendar.business_date(board_hotel.hotel)
    now_with(clerk, BOOKINGS_ONLY)
    room = board_hotel.room(101)
    booking = booking_in("IN_HOUSE", assigned_room=room, check_in=today - timedelta(days=2), check_out=today)
    page = board(clerk)
    expect_status(page, 101, "OCCUPIED")
    check_out(booking=booking, staff=clerk)
    expect_status(page, 101, "CHECKOUT_DIRTY")
    expect(page.locator('#counts [data-status="OCCUPIED"]')).to_contain_text("0")


def test_deactivation_closes_an_open_board_within_a_minute(board_hotel, window, complaints):
    complaints.expect("status of 40[13]|WebSocket")
    member = board_hotel.member()
    page = window(member).new_page()
    page.clock.install()
    page.goto(board_hotel.path)
    expect_state(page, "live")
    member.is_active = False
    member.save()
    page.clock.fast_forward("01:00")
    expect(page.get_by_role("link", name="Sign in again")).to_be_visible()
    expect_state(page, "offline")


def test_a_signed_out_board_says_so(board_hotel, dirty, asking, complaints):
    complaints.expect("status of 40[13]")
    page = asking(board_hotel, board_hotel.member())
    [cookie] = [cookie for cookie in page.context.cookies() if cookie["name"] == "sessionid"]
    Session.objects.get(session_key=cookie["value"]).delete()
    expect(page.locator("#trouble")).to_contain_text("You are signed out.")
    expect(page.get_by_role("link", name="Sign in again")).to_be_visible()


# --- updates do not disturb -------------------------------------------------------------------------------------------


@pytest.fixture
def stays(board_hotel):
    """Enough rooms for a page that scrolls, a departure from 101 and an arrival in 102."""
    for number in range(101, 141):
        board_hotel.room(number, "READY_FOR_GUEST" if number != 140 else "CHECKOUT_DIRTY")
    today = calendar.business_date(board_hotel.hotel)
    rooms = {room.room_number: room for room in Room.objects.filter(hotel=board_hotel.hotel)}
    booking_in("IN_HOUSE", assigned_room=rooms[101], check_in=today - timedelta(days=1), check_out=today)
    BookingFactory(
        hotel=board_hotel.hotel, assigned_room=rooms[102], check_in=today, check_out=today + timedelta(days=1)
    )
    return board_hotel


def test_updates_neither_scroll_the_page_nor_move_the_focus(stays, board):
    manager = stays.member()
    page = board(manager, **PHONE)
    opener = page.locator("#departures [data-open='101']")
    opener.tap()
    page.get_by_role("button", name="Close").tap()
    expect(opener).to_be_focused()
    page.evaluate("() => { window.told = 0; document.addEventListener('focusin', () => { window.told += 1; }); }")
    page.evaluate("() => window.scrollTo({top: 0, behavior: 'instant'})")
    change(Room.objects.get(hotel=stays.hotel, room_number=140), "CLEANING_IN_PROGRESS", manager)
    expect_status(page, 140, "CLEANING_IN_PROGRESS")
    change(Room.objects.get(hotel=stays.hotel, room_number=102), "MAINTENANCE_REQUIRED", manager)
    expect(page.locator("#arrivals td[data-status='MAINTENANCE_REQUIRED']")).to_have_count(1)
    expect(opener).to_be_focused()
    assert page.evaluate("() => [window.scrollY, window.told]") == [0, 0]


def test_the_focus_moves_from_a_removed_row_to_its_rooms_tile(stays, board):
    manager = stays.member()
    page = board(manager)
    page.locator("#departures [data-open='101']").focus()
    check_out(booking=RoomBooking.objects.get(hotel=stays.hotel, assigned_room__room_number=101), staff=manager)
    expect(page.locator("#departures [data-open='101']")).to_have_count(0)
    expect(tile(page, 101)).to_be_focused()


def test_a_press_during_an_update_still_opens_the_room(stays, board):
    manager = stays.member()
    page = board(manager)
    opener = page.locator("#arrivals [data-open='102']")
    opener.scroll_into_view_if_needed()
    box = opener.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    change(Room.objects.get(hotel=stays.hotel, room_number=102), "MAINTENANCE_REQUIRED", manager)
    expect(page.locator("#arrivals td[data-status='MAINTENANCE_REQUIRED']")).to_have_count(1)
    page.mouse.up()
    expect(page.locator("dialog#room")).to_be_visible()
