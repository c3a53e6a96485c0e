"""Who is let in at the admin's door; the board's is in test_board.py."""

from playwright.sync_api import expect

from tests.factories import PASSWORD


def test_a_manager_signs_in_to_the_admin(house, window, complaints):
    complaints.expect("favicon.ico")
    manager = house.member(user__is_staff=True)
    page = window().new_page()
    page.goto("/admin/")
    page.get_by_label("Username").fill(manager.user.username)
    page.get_by_label("Password").fill("not it")
    page.get_by_role("button", name="Log in").click()
    expect(page.locator(".errornote")).to_be_visible()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("link", name="Rooms", exact=True).first).to_be_visible()
