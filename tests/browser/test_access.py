"""The board on a phone, on a wall screen, with the keyboard, and with a screen reader."""

import pytest
from playwright.sync_api import expect

from hotel import rights
from housekeeping.models import Source
from housekeeping.services import set_room_status
from rooms.models import Room, RoomStatus
from tests.browser.pages import (
    PHONE,
    WALL,
    cut_off,
    expect_state,
    expect_status,
    open_room,
    overflow,
    press_until,
    serious_findings,
    small_targets,
    step,
    tile,
    without_answers,
)
from tests.factories import PASSWORD

# --- a phone ----------------------------------------------------------------------------------------------------------


def test_a_housekeepers_workflow_on_a_phone(board_hotel, window):
    maeve = board_hotel.member(rights.HOUSEKEEPER)
    board_hotel.room(101, "CHECKOUT_DIRTY")
    page = window(**PHONE).new_page()
    page.goto("/board/")
    assert overflow(page) == 0
    assert small_targets(page) == []
    page.get_by_label("User name").fill(maeve.user.username)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").tap()
    expect_state(page, "live")
    tile(page, 101).tap()
    page.get_by_role("button", name="Start cleaning").tap()
    expect_status(page, 101, "CLEANING_IN_PROGRESS")
    page.get_by_label("Note").fill("one towel is missing")
    page.get_by_role("button", name="Cleaned", exact=True).tap()
    expect_status(page, 101, "CLEANED_UNINSPECTED")
    page.get_by_role("button", name="Close").tap()
    expect(page.locator("dialog#room")).to_be_hidden()
    page.locator('#counts [data-status="CLEANED_UNINSPECTED"]').tap()
    expect(tile(page, 101)).to_be_visible()
    expect(page.locator(".tile:visible")).to_have_count(1)


def test_on_a_phone_nothing_overflows_and_touch_targets_are_large_enough(busy_hotel, board):
    page = board(busy_hotel.member(), **PHONE)
    assert overflow(page) == 0
    assert small_targets(page) == []
    panel = open_room(page, 106)
    expect(panel.locator("#history > li")).not_to_have_count(0)
    assert overflow(page) == 0
    assert small_targets(page) == []
    box = panel.bounding_box()
    assert box
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 375


def test_the_turn_times_fit_on_a_phone(busy_hotel, window):
    page = window(busy_hotel.member(), **PHONE).new_page()
    page.goto(f"{busy_hotel.path}turn-times/")
    assert overflow(page) == 0
    assert small_targets(page) == []


# --- a wall -----------------------------------------------------------------------------------------------------------


def test_a_wall_screen_shows_a_floor_of_ten_in_one_row(board_hotel, board):
    for number in range(101, 111):
        board_hotel.room(number)
    page = board(board_hotel.member(), **WALL)
    assert overflow(page) == 0
    tops = page.locator(".tile").evaluate_all(
        "tiles => tiles.map(tile => Math.round(tile.getBoundingClientRect().top))"
    )
    assert len(tops) == 10
    assert len(set(tops)) == 1


@pytest.mark.parametrize("size", [{}, PHONE, WALL], ids=["desk", "phone", "wall"])
def test_no_word_on_a_tile_is_cut_off(busy_hotel, board, size):
    page = board(busy_hotel.member(), **size)
    assert cut_off(page) == []


# --- a keyboard -------------------------------------------------------------------------------------------------------


def test_the_board_works_with_the_keyboard_alone(board_hotel, window):
    maeve = board_hotel.member(rights.HOUSEKEEPER)
    for number in (101, 102, 103):
        board_hotel.room(number, "CHECKOUT_DIRTY")
    page = window().new_page()
    page.goto("/board/")
    press_until(page, "Tab", "[name=username]")
    page.keyboard.type(maeve.user.username)
    press_until(page, "Tab", "[name=password]")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect_state(page, "live")

    press_until(page, "Tab", ".tile[data-room='102']")
    page.keyboard.press("Enter")
    panel = page.locator("dialog#room")
    expect(panel.get_by_role("heading", name="Room 102")).to_be_visible()
    assert page.evaluate("() => document.activeElement.closest('dialog') !== null")
    press_until(page, "Tab", "textarea")
    page.keyboard.type("by keyboard")
    press_until(page, "Tab", "[data-to=CLEANING_IN_PROGRESS]")
    page.keyboard.press("Enter")
    expect_status(page, 102, "CLEANING_IN_PROGRESS")
    # The focus stays within the panel, although its buttons have been replaced.
    assert page.evaluate("() => document.activeElement.closest('dialog') !== null")
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    expect(tile(page, 102)).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(tile(page, 103)).to_be_focused()


def test_the_focus_stays_on_its_tile_when_a_room_joins_the_board(board_hotel, board):
    board_hotel.room(102)
    page = board(board_hotel.member())
    tile(page, 102).focus()
    board_hotel.room(101)
    page.evaluate("""() => document.dispatchEvent(new Event("visibilitychange"))""")
    expect(tile(page, 101)).to_be_visible()
    expect(tile(page, 102)).to_be_focused()


def test_the_focus_moves_to_the_next_tile_when_a_filter_hides_its_tile(board_hotel, board):
    for number in (101, 102, 205, 301):
        board_hotel.room(number, "CHECKOUT_DIRTY")
    page = board(board_hotel.member(), "?status=CHECKOUT_DIRTY")
    tile(page, 102).focus()
    page.keyboard.press("Enter")
    step(page, "CLEANING_IN_PROGRESS").click()
    expect(tile(page, 102)).to_be_hidden()
    page.keyboard.press("Escape")
    expect(tile(page, 205)).to_be_focused()
    for gone, focused in ((205, 301), (301, 101)):  # the next one, or the last of those before
        room = Room.objects.get(hotel=board_hotel.hotel, room_number=gone)
        set_room_status(room=room, to_status="CLEANING_IN_PROGRESS", source=Source.SYSTEM)
        expect(tile(page, gone)).to_be_hidden()
        expect(tile(page, focused)).to_be_focused()
    tile(page, 101).press("Enter")
    step(page, "CLEANING_IN_PROGRESS").click()
    expect(tile(page, 101)).to_be_hidden()
    page.keyboard.press("Escape")
    expect(page.get_by_label("Status", exact=True)).to_be_focused()


def test_the_focus_is_visible(board_hotel, board):
    board_hotel.room(101)
    page = board(board_hotel.member())
    press_until(page, "Tab", ".tile")
    outline = tile(page, 101).evaluate("tile => { const style = getComputedStyle(tile); return style.outlineStyle; }")
    assert outline != "none"


# --- a screen reader --------------------------------------------------------------------------------------------------


def test_axe_finds_planted_faults(board_hotel, board):
    """The scans below work: each of three planted faults is found."""
    page = board(board_hotel.member())
    page.evaluate("""() => document.querySelector("main").insertAdjacentHTML("beforeend",
        '<button></button><img src="/static/board/icon.svg"><p id="faint">hardly to be read</p>')""")
    page.evaluate(
        """() => Object.assign(document.getElementById("faint").style, {color: "#999", background: "#aaa"})"""
    )
    found = " ".join(serious_findings(page))
    for rule in ("button-name", "image-alt", "color-contrast"):
        assert rule in found


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [{}, PHONE, WALL], ids=["desk", "phone", "wall"])
def test_board_and_panel_have_no_serious_finding(busy_hotel, board, scheme, size):
    page = board(busy_hotel.member(), color_scheme=scheme, **size)
    assert serious_findings(page) == []
    panel = open_room(page, 106)
    expect(panel.locator("#history > li")).not_to_have_count(0)
    assert serious_findings(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_full_board_has_no_serious_finding(busy_hotel, board, scheme):
    page = board(busy_hotel.member(), "?wall=1", color_scheme=scheme, **WALL)
    assert serious_findings(page) == []
    assert cut_off(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_sign_in_page_has_no_serious_finding(board_hotel, window, scheme):
    page = window(color_scheme=scheme).new_page()
    page.goto("/board/sign-in/")
    assert serious_findings(page) == []
    page.get_by_label("User name").fill("nobody")
    page.get_by_label("Password").fill("nothing")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_be_visible()
    assert serious_findings(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_refusals_and_connection_trouble_have_no_serious_finding(busy_hotel, board, scheme, complaints):
    complaints.expect("status of 40|WebSocket")
    member = busy_hotel.member(rights.HOUSEKEEPING_SUPERVISOR)
    page = board(member, color_scheme=scheme)
    without_answers(page)
    open_room(page, 108)
    step(page, "READY_FOR_GUEST").click()
    expect(page.locator("#refusal")).to_be_visible()
    assert serious_findings(page) == []
    member.is_active = False
    member.save()
    step(page, "CHECKOUT_DIRTY").click()
    expect(page.get_by_role("link", name="Sign in again")).to_be_visible()
    assert serious_findings(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_turn_times_have_no_serious_finding(hotel_with_turn_times, window, scheme):
    page = window(hotel_with_turn_times.member(), color_scheme=scheme).new_page()
    page.goto(f"{hotel_with_turn_times.path}turn-times/")
    expect(page.locator("svg").first).to_be_visible()
    assert serious_findings(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_admin_has_no_serious_finding(busy_hotel, window, complaints, scheme):
    # axe reads Django's styles and requests what they import.
    complaints.expect(r"404 .*/admin/.*widgets\.css")
    page = window(busy_hotel.member(user__is_staff=True), color_scheme=scheme).new_page()
    page.goto("/admin/")
    expect(page.get_by_role("link", name="Rooms", exact=True).first).to_be_visible()
    assert serious_findings(page) == []
    for rows, choose in (("rooms/room", "change_status"), ("room_bookings/roombooking", "cancel")):
        page.goto(f"/admin/{rows}/")
        assert serious_findings(page) == []
        page.locator("#result_list tbody a").first.click()
        history = page.locator(".object-tools a.historylink")
        expect(history).to_be_visible()
        assert serious_findings(page) == []
        history.click()
        assert serious_findings(page) == []
        page.goto(f"/admin/{rows}/")
        page.locator("input.action-select").first.check()
        page.locator("select[name=action]").select_option(choose)
        page.get_by_role("button", name="Go", exact=True).click()
        expect(page.get_by_label("Reason")).to_be_visible()
        assert serious_findings(page) == []
    page.goto("/admin/rooms/room/")
    page.locator("#action-toggle").check()
    page.locator("select[name=action]").select_option("change_status")
    page.get_by_role("button", name="Go", exact=True).click()
    page.get_by_label("New status").select_option("CHECKOUT_DIRTY")
    page.get_by_label("Reason").fill("all linen is back")
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_role("heading", name="Will be refused")).to_be_visible()
    assert serious_findings(page) == []


def test_statuses_are_distinguishable_without_colour(busy_hotel, board):
    """The mark beside the text differs by status, also without colour vision."""
    page = board(busy_hotel.member(), forced_colors="active")
    for status in RoomStatus:
        expect(page.locator(f'.tile[data-status="{status}"]').first).to_contain_text(status.label)


def test_the_connection_and_a_refusal_are_announced(busy_hotel, board, complaints):
    complaints.expect("status of 409")
    page = board(busy_hotel.member(rights.HOUSEKEEPING_SUPERVISOR))
    expect(page.get_by_role("status").filter(has_text="Live")).to_be_visible()
    without_answers(page)
    open_room(page, 108)
    step(page, "READY_FOR_GUEST").click()
    expect(page.get_by_role("alert")).to_contain_text("open fault", ignore_case=True)
