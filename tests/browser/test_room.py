"""The panel of one room: permitted transitions, notes, faults, and refusals with their reason."""

from datetime import timedelta

import pytest
from playwright.sync_api import Route, expect

from hotel import calendar, rights
from housekeeping.services import set_room_status
from housekeeping.turnover import flag_maintenance
from room_bookings.services.edit import edit_booking
from tests.browser.pages import (
    expect_state,
    expect_status,
    hold_first_response,
    open_room,
    set_active,
    step,
    steps,
    tile,
    withhold_room_events,
    without_answers,
)
from tests.factories import BookingFactory, booking_in

DIRTY, CLEANING, CLEANED, READY = "CHECKOUT_DIRTY", "CLEANING_IN_PROGRESS", "CLEANED_UNINSPECTED", "READY_FOR_GUEST"
FAULT, OUT = "MAINTENANCE_REQUIRED", "OUT_OF_ORDER"

# By docs/api.md (Transitions), in rooms without a guest.
STEPS = {
    rights.HOUSEKEEPER: {
        DIRTY: {CLEANING, CLEANED, FAULT},
        CLEANED: {CLEANING, DIRTY, FAULT},
        READY: {FAULT},
        OUT: {FAULT},
    },
    rights.HOUSEKEEPING_SUPERVISOR: {
        DIRTY: {CLEANING, CLEANED, FAULT},
        CLEANED: {READY, CLEANING, DIRTY, FAULT},
        READY: {FAULT, OUT},
        OUT: {DIRTY, FAULT, READY},
    },
    rights.FRONT_DESK_AGENT: {DIRTY: {FAULT}, CLEANED: {FAULT}, READY: {DIRTY, FAULT}, OUT: {FAULT}},
    rights.HOTEL_MANAGER: {
        DIRTY: {CLEANING, CLEANED, READY, FAULT},
        CLEANED: {READY, CLEANING, DIRTY, FAULT},
        READY: {DIRTY, FAULT, OUT},
        OUT: {DIRTY, FAULT, READY},
    },
}


@pytest.mark.parametrize("role", STEPS)
def test_the_panel_offers_permitted_transitions(board_hotel, board, role):
    for number, status in enumerate(STEPS[role], 101):
        board_hotel.room(number, status)
    page = board(board_hotel.member(role))
    for number, (status, expected) in enumerate(STEPS[role].items(), 101):
        open_room(page, number)
        assert steps(page) == expected, status
        page.keyboard.press("Escape")


def test_a_transition_and_its_note_are_in_the_history(board_hotel, board):
    board_hotel.room(101, DIRTY)
    page = board(board_hotel.member(rights.HOUSEKEEPING_SUPERVISOR, "Orla"))
    panel = open_room(page, 101)
    panel.get_by_label("Note").fill("extra towels")
    step(page, CLEANED).click()
    newest = panel.locator("#history > li").first
    expect(newest).to_contain_text("extra towels")
    expect(newest).to_contain_text("Orla")
    expect(panel.get_by_label("Note")).to_have_value("")
    expect_status(page, 101, CLEANED)
    assert steps(page) == {READY, CLEANING, DIRTY, FAULT}


def test_without_the_history_right_the_panel_has_none(board_hotel, board):
    board_hotel.room(101, DIRTY)
    page = board(board_hotel.member(rights.HOUSEKEEPER))
    panel = open_room(page, 101)
    step(page, CLEANING).click()
    expect_status(page, 101, CLEANING)
    assert panel.locator("#history > li").count() == 0


def test_reporting_and_clearing_a_fault(board_hotel, board):
    room = board_hotel.room(101)
    housekeeper, supervisor = (
        board(board_hotel.member(rights.HOUSEKEEPER)),
        board(board_hotel.member(rights.HOUSEKEEPING_SUPERVISOR)),
    )
    panel = open_room(housekeeper, 101)
    expect(panel.get_by_role("button", name="Mark as repaired")).to_be_hidden()
    panel.get_by_label("Note").fill("the shower drips")
    panel.get_by_label("Priority").select_option("High")
    panel.get_by_role("button", name="Report a fault").click()
    expect_status(supervisor, 101, FAULT)
    expect(tile(supervisor, 101)).to_contain_text("high")
    room.refresh_from_db()
    assert (room.maintenance_priority, room.maintenance_notes) == ("HIGH", "the shower drips")
    # The right to report a fault does not include clearing it.
    expect(panel.get_by_role("button", name="Mark as repaired")).to_have_attribute("aria-disabled", "true")

    panel = open_room(supervisor, 101)
    expect(panel).to_contain_text("the shower drips")
    panel.get_by_role("button", name="Mark as repaired").click()
    # It was never cleaned and inspected, so it has to be cleaned first.
    expect(tile(housekeeper, 101)).not_to_contain_text("fault")
    room.refresh_from_db()
    assert not room.maintenance_required
    expect_status(housekeeper, 101, room.room_status)


def test_a_double_click_sends_one_request(board_hotel, board):
    room = board_hotel.room(101, DIRTY)
    page = board(board_hotel.member(rights.HOUSEKEEPER))
    sent = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    open_room(page, 101)
    step(page, CLEANING).dblclick()
    expect_status(page, 101, CLEANING)
    expect(step(page, CLEANED)).to_be_enabled()
    assert sent == [f"{page.url.split('/board')[0]}{board_hotel.api}rooms/{room.pk}/status/"]
    room.refresh_from_db()
    assert room.room_status == CLEANING


def test_a_stale_change_is_refused_and_shows_the_current_status(board_hotel, window, complaints):
    complaints.expect("status of 412")
    room = board_hotel.room(101, DIRTY)
    context = window(board_hotel.member(rights.HOUSEKEEPER))
    room_events = withhold_room_events(context)
    page = context.new_page()
    page.goto(board_hotel.path)
    expect_state(page, "live")
    panel = open_room(page, 101)
    set_room_status(room=room, to_status=CLEANED, staff=board_hotel.member(rights.HOUSEKEEPER, "Nora"))
    panel.get_by_label("Note").fill("my note")
    step(page, CLEANING).click()
    refusal = page.locator("#refusal")
    expect(refusal).to_be_visible()
    expect(refusal).to_contain_text("Room 101 has changed since you read it")
    expect(refusal).to_contain_text("cleaned uninspected", ignore_case=True)
    expect(refusal).to_contain_text("Nora")
    expect_status(page, 101, CLEANED)
    expect(panel).to_contain_text("Cleaned uninspected")
    assert steps(page) == {CLEANING, DIRTY, FAULT}
    # The typed note is kept, and the deliberate retry succeeds.
    expect(panel.get_by_label("Note")).to_have_value("my note")
    step(page, DIRTY).click()
    expect_status(page, 101, DIRTY)
    expect(refusal).to_be_hidden()
    assert room_events.withheld


def test_a_fault_prevents_ready_and_the_reason_is_shown(board_hotel, board, complaints):
    complaints.expect("status of 409")
    room = board_hotel.room(101, CLEANED, fault=True)
    page = board(board_hotel.member(rights.HOUSEKEEPING_SUPERVISOR))
    without_answers(page)
    open_room(page, 101)
    step(page, READY).click()
    expect(page.locator("#refusal:visible")).to_contain_text("open fault", ignore_case=True)
    expect_status(page, 101, CLEANED)
    room.refresh_from_db()
    assert room.room_status == CLEANED


def test_a_revoked_right_is_refused_with_the_reason(board_hotel, board, complaints):
    complaints.expect("status of 403")
    housekeeper = board_hotel.member(rights.HOUSEKEEPER)
    board_hotel.room(101, DIRTY)
    page = board(housekeeper)
    open_room(page, 101)
    housekeeper.role = board_hotel.member(rights.FRONT_DESK_AGENT).role
    housekeeper.save()
    step(page, CLEANING).click()
    expect(page.locator("#refusal:visible")).to_contain_text("Permission denied")
    expect_status(page, 101, DIRTY)


def test_a_change_without_a_network_can_be_retried(board_hotel, board, complaints):
    complaints.expect("net::ERR_")
    board_hotel.room(101, DIRTY)
    page = board(board_hotel.member(rights.HOUSEKEEPER))
    open_room(page, 101)
    page.route("**/status/", lambda route: route.abort())
    step(page, CLEANING).click()
    expect(page.locator("#refusal")).to_be_visible()
    expect_status(page, 101, DIRTY)
    page.unroute("**/status/")
    step(page, CLEANING).click()
    expect_status(page, 101, CLEANING)
    expect(page.locator("#refusal")).to_be_hidden()


def test_a_cut_off_response_is_not_shown_as_a_refusal(board_hotel, board):
    board_hotel.room(101, DIRTY)
    page = board(board_hotel.member(rights.HOUSEKEEPER))
    open_room(page, 101)

    def cut_off(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, body=answer.text()[:200])

    page.route("**/status/", cut_off)
    step(page, CLEANING).click()
    expect(page.locator("#refusal")).to_have_text(
        "The server did not respond in time. Room 101 is now: Cleaning in progress."
    )
    expect_status(page, 101, CLEANING)
    expect_state(page, "live")


def test_a_refusal_after_the_panel_closed_reloads_its_room(board_hotel, board, complaints):
    complaints.expect("status of 409")
    board_hotel.room(101, CLEANED, fault=True)
    page = board(board_hotel.member(rights.HOUSEKEEPING_SUPERVISOR))
    without_answers(page)
    open_room(page, 101)
    held: list[Route] = []
    page.route("**/status/", lambda route: held.append(route))
    step(page, READY).click()
    expect(step(page, READY)).to_have_attribute("aria-disabled", "true")
    page.keyboard.press("Escape")
    expect(page.locator("dialog#room")).to_be_hidden()
    with page.expect_request("**/room-management/*/") as asked:
        held[0].continue_()
    assert asked.value.url.endswith("/room-management/101/")


def test_a_late_older_history_is_replaced(board_hotel, board):
    room = board_hotel.room(101, DIRTY)
    page = board(board_hotel.member())
    held = hold_first_response(page, "**/status-history/**")
    panel = open_room(page, 101)
    set_room_status(room=room, to_status=CLEANED, staff=board_hotel.member(rights.HOUSEKEEPER, "Nora"))
    newest = panel.locator("#history > li").first
    expect(newest).to_contain_text("Nora")
    route, answer = held()
    with page.expect_event("requestfinished", lambda request: "status-history" in request.url):
        route.fulfill(response=answer)
    page.wait_for_timeout(200)
    expect(newest).to_contain_text("Nora")


def test_a_failed_read_of_a_room_is_retried(board_hotel, board, complaints):
    complaints.expect("net::ERR_FAILED")
    board_hotel.room(101, DIRTY)
    page = board(board_hotel.member())
    page.route("**/room-management/101/", lambda route: route.abort())
    with page.expect_event("requestfailed"):
        tile(page, 101).click()
    with page.expect_response("**/room-management/101/"):
        page.unroute("**/room-management/101/")
        page.evaluate("""() => document.dispatchEvent(new Event("visibilitychange"))""")


def test_a_deactivated_user_is_asked_to_sign_in_again(board_hotel, board, complaints):
    complaints.expect("status of 40[13]|WebSocket")
    housekeeper = board_hotel.member(rights.HOUSEKEEPER)
    board_hotel.room(101, DIRTY)
    page = board(housekeeper)
    open_room(page, 101)
    housekeeper.is_active = False
    housekeeper.save()
    step(page, CLEANING).click()
    expect(page.get_by_role("link", name="Sign in again")).to_be_visible()
    expect_status(page, 101, DIRTY)
    page.get_by_role("link", name="Sign in again").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_notes_and_names_are_escaped(board_hotel, board):
    board_hotel.room(101, DIRTY, kind="<img src=x onerror=alert(1)>")
    page = board(board_hotel.member(rights.HOTEL_MANAGER, first="<b>Max</b>"))
    expect(tile(page, 101)).to_contain_text("<img src=x onerror=alert(1)>")
    panel = open_room(page, 101)
    panel.get_by_label("Note").fill("<script>alert(1)</script>")
    step(page, CLEANED).click()
    expect(panel.locator("#history > li").first).to_contain_text("<script>alert(1)</script>")
    assert page.locator("img[src=x], #history b b").count() == 0


# --- updates while the panel is open ----------------------------------------------------------------------------------


def test_a_postponed_departure_is_updated_in_the_panel(board_hotel, board):
    agent, room, today = (
        board_hotel.member(rights.FRONT_DESK_AGENT),
        board_hotel.room(101),
        calendar.business_date(board_hotel.hotel),
    )
    leaving = {"check_in": today - timedelta(days=1), "check_out": today}
    booking = booking_in("IN_HOUSE", assigned_room=room, **leaving)
    page = board(agent)
    panel = open_room(page, 101)
    expect(panel.locator("#facts")).to_contain_text(f"until {today.day} ")
    for nights in (1, 5):  # the second time it is no longer on today's lists
        until = today + timedelta(days=nights)
        booking = edit_booking(booking=booking, staff=agent, check_out=until)
        expect(panel.locator("#facts")).to_contain_text(f"until {until.day} ")


def test_a_reactivated_room_is_complete_again(board_hotel, board):
    room, manager = board_hotel.room(101, DIRTY), board_hotel.member()
    board_hotel.room(102)
    page = board(manager)
    panel = open_room(page, 101)
    set_active(board_hotel, manager, room, is_active=False)
    expect(page.locator("#refusal")).to_have_text("Room 101 is no longer on the board.")
    set_active(board_hotel, manager, room, is_active=True)
    expect(step(page, CLEANING)).to_be_visible()
    expect(page.locator("#refusal")).to_be_hidden()
    expect(panel.locator("#history > li").first).to_be_visible()


@pytest.mark.parametrize("opener", [".tile[data-room='101']", "#arrivals [data-open='101']"])
def test_the_focus_returns_when_the_panel_closes_after_a_repaint(board_hotel, board, opener):
    manager, today = board_hotel.member(), calendar.business_date(board_hotel.hotel)
    room, other = board_hotel.room(101), board_hotel.room(102)
    stay = {"check_in": today, "check_out": today + timedelta(days=1)}
    BookingFactory(hotel=board_hotel.hotel, room_type=room.room_type, assigned_room=room, **stay)
    page = board(manager)
    page.locator(opener).focus()
    page.keyboard.press("Enter")
    expect(page.locator("dialog#room")).to_be_visible()
    page.evaluate("selector => { window.opener = document.querySelector(selector); }", opener)
    set_active(board_hotel, manager, other, is_active=False)
    expect(tile(page, 102)).to_be_hidden()
    if opener.startswith(".tile"):
        page.wait_for_function("() => !window.opener.isConnected")
    page.keyboard.press("Escape")
    expect(page.locator(opener)).to_be_focused()


def test_notes_too_long_for_an_event_are_complete_in_the_panel(board_hotel, board):
    room, manager = board_hotel.room(101), board_hotel.member()
    flag_maintenance(room=room, staff=manager, priority="LOW", note="Old. " * 2200)
    page = board(manager)
    panel = open_room(page, 101)
    flag_maintenance(room=room, staff=manager, priority="HIGH", note="NEWEST leak")
    expect(tile(page, 101)).to_contain_text("high")
    expect(panel.locator("#fault .known")).to_contain_text("NEWEST leak")
    expect(panel.locator("#fault .known")).not_to_contain_text("[cut]")


def test_selecting_text_beyond_the_panels_edge_keeps_it_open(board_hotel, board):
    board_hotel.room(101, DIRTY)
    page = board(board_hotel.member())
    panel = open_room(page, 101)
    note = panel.get_by_label("Note")
    note.fill("two towels are missing")
    box, edge = note.bounding_box(), panel.bounding_box()
    assert box
    assert edge
    page.mouse.move(box["x"] + 60, box["y"] + 12)
    page.mouse.down()
    page.mouse.move(edge["x"] - 40, box["y"] + 12, steps=5)
    page.mouse.up()
    expect(panel).to_be_visible()
    expect(note).to_have_value("two towels are missing")
    page.mouse.click(edge["x"] - 40, box["y"] + 12)
    expect(panel).to_be_hidden()
