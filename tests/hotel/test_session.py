"""The API with Django's session, as the admin and the board use it from a browser."""

import pytest
from django.conf import settings
from rest_framework.test import APIClient

from hotel.models import Staff, UserSession
from hotel.services import update_staff
from tests.conftest import url
from tests.factories import UserFactory, room_in
from tests.http import assert_error, nothing_written

HOME = {"HTTP_ORIGIN": "http://testserver"}


@pytest.fixture
def browser(manager) -> APIClient:
    """A client signed in to the admin as the manager."""
    client = APIClient(enforce_csrf_checks=True, raise_request_exception=False)
    client.force_login(manager.user)
    return client


def test_deactivation_ends_the_members_own_sessions_without_reading_others(manager, agent, statements):
    """Those of the previous release, too, which does not record the user."""
    browsers = {staff: [APIClient(), APIClient(), APIClient()] for staff in (manager, agent)}
    for staff, theirs in browsers.items():
        for browser in theirs:
            browser.force_login(staff.user)
    for staff, theirs in browsers.items():
        old = theirs[0].cookies[settings.SESSION_COOKIE_NAME].value
        assert UserSession.objects.filter(session_key=old, user_id=staff.user_id).update(user_id=None) == 1
    with statements() as made:
        update_staff(staff=agent, by=manager.user, is_active=False)
    ended = [sql for sql in made.sql() if '"django_session" WHERE' in sql]
    assert len(ended) == 3  # by user; those without one are read; one of them is the member's
    assert all("session_key" in sql.partition("WHERE")[2] or '"user_id"' in sql for sql in ended)
    update_staff(staff=agent, by=manager.user, is_active=True)
    assert [browser.get(url(agent, "me/")).status_code for browser in browsers[agent]] == [401] * 3
    assert [browser.get(url(manager, "me/")).status_code for browser in browsers[manager]] == [200] * 3


def csrf_token(browser: APIClient) -> str:
    browser.get("/admin/")
    return browser.cookies[settings.CSRF_COOKIE_NAME].value


def test_a_session_reads_and_writes_with_the_csrf_token(browser, hotel, manager):
    room = room_in("READY_FOR_GUEST", hotel=hotel)
    assert browser.get(url(manager, "me/")).json()["staff_id"] == manager.pk
    answer = browser.post(
        url(manager, f"rooms/{room.pk}/status/"),
        {"to_status": "CHECKOUT_DIRTY"},
        "json",
        HTTP_X_CSRFTOKEN=csrf_token(browser),
        **HOME,
    )
    assert answer.status_code == 200, answer.content
    assert answer.json()["status_event"]["changed_by"] == manager.pk


@pytest.mark.parametrize("headers", [{}, {"HTTP_X_CSRFTOKEN": "x" * 64}], ids=["without", "wrong"])
def test_a_session_without_the_csrf_token_writes_nothing(browser, hotel, manager, headers):
    room = room_in("READY_FOR_GUEST", hotel=hotel)
    csrf_token(browser)
    with nothing_written():
        answer = browser.post(
            url(manager, f"rooms/{room.pk}/status/"), {"to_status": "CHECKOUT_DIRTY"}, "json", **headers
        )
    assert_error(answer, 403, "PERMISSION_DENIED")


def test_a_page_from_another_origin_cannot_use_the_session(browser, hotel, manager):
    room = room_in("READY_FOR_GUEST", hotel=hotel)
    with nothing_written():
        answer = browser.post(
            url(manager, f"rooms/{room.pk}/status/"),
            {"to_status": "CHECKOUT_DIRTY"},
            "json",
            HTTP_X_CSRFTOKEN=csrf_token(browser),
            HTTP_ORIGIN="http://evil.example",
        )
    assert_error(answer, 403)


def test_a_session_ends_when_its_owner_is_deactivated(browser, manager):
    Staff.objects.filter(pk=manager.pk).update(is_active=False)
    assert_error(browser.get(url(manager, "me/")), 401, "NOT_AUTHENTICATED")


def test_a_session_ends_when_its_user_is_made_inactive(browser, manager):
    """In the API, on the board and in the admin, even if the session row still exists."""
    type(manager.user).objects.filter(pk=manager.user.pk).update(is_active=False)
    assert_error(browser.get(url(manager, "me/")), 401, "NOT_AUTHENTICATED")
    for page in (f"/board/{manager.hotel.slug}/", "/admin/"):
        answer = browser.get(page)
        assert (answer.status_code, "/sign-in/" in answer.url or "/login/" in answer.url) == (302, True), page


def test_a_user_without_staff_profile_has_no_hotel(hotel):
    client = APIClient(raise_request_exception=False)
    client.force_login(UserFactory(is_superuser=True, is_staff=True))
    assert_error(client.get("/api/staff/hotel/grand/me/"), 403, "NO_STAFF_PROFILE")
