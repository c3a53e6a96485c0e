"""Signing in to the board and to the admin."""

from playwright.sync_api import expect

from hotel import rights
from tests.browser.pages import expect_state, shown, tile
from tests.factories import PASSWORD, HotelFactory


def test_the_board_opens_only_with_the_right_password(board_hotel, window):
    housekeeper = board_hotel.member(rights.HOUSEKEEPER)
    board_hotel.room(101)
    page = window().new_page()
    page.goto(board_hotel.path)
    expect(page).to_have_url(f"/board/sign-in/?next={board_hotel.path}")
    page.get_by_label("User name").fill(housekeeper.user.username)
    page.get_by_label("Password").fill("not it")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("user")
    assert page.locator(".tile").count() == 0
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(board_hotel.path)
    expect(tile(page, 101)).to_be_visible()
    expect_state(page, "live")


def test_signing_out_closes_the_board(board_hotel, board):
    page = board(board_hotel.member())
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.goto(board_hotel.path)
    expect(page).to_have_url(f"/board/sign-in/?next={board_hotel.path}")


def test_another_hotels_board_is_refused_with_a_message(board_hotel, window, complaints):
    complaints.expect("status of 403")
    elsewhere = HotelFactory()
    page = window(board_hotel.member()).new_page()
    page.goto(f"/board/{elsewhere.slug}/")
    expect(page.locator("main")).to_contain_text("you are not on the staff of this hotel")
    assert shown(page) == []


def test_a_manager_signs_in_to_the_admin(board_hotel, window):
    manager = board_hotel.member(user__is_staff=True)
    page = window().new_page()
    page.goto("/admin/")
    page.get_by_label("Username").fill(manager.user.username)
    page.get_by_label("Password").fill("not it")
    page.get_by_role("button", name="Log in").click()
    expect(page.locator(".errornote")).to_be_visible()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("link", name="Rooms", exact=True).first).to_be_visible()
