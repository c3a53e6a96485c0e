"""Access to the board, response headers, and invalid requests."""

import pytest
from django.contrib.auth.models import Group
from django.urls import reverse

from board import views
from board.pusher_js import FROM_CDN, INTEGRITY, Script
from hotel import rights
from hotel.models import Staff
from tests.conftest import token_client
from tests.factories import HotelFactory, StaffFactory, UserFactory
from tests.http import assert_error

PAGES = ("/board/grand/", "/board/grand/turn-times/")
STATE = "/board/grand/state/"
pages = pytest.mark.parametrize("path", PAGES)
NOT_YOURS = "Permission denied: you are not on the staff of this hotel."
NO_PROFILE = "This user is not on the staff of a hotel."


def assert_refusal_page(answer, sentence: str) -> None:
    """The response is a 403 page with ``sentence`` and nothing about a hotel."""
    assert answer.status_code == 403
    assert answer["Content-Type"].startswith("text/html")
    page = answer.content.decode()
    assert sentence in page
    assert "board-state" not in page
    assert "Other" not in page


def test_url_names():
    assert [reverse(f"board:{name}") for name in ("home", "sign-in", "sign-out")] == [
        "/board/",
        "/board/sign-in/",
        "/board/sign-out/",
    ]
    assert [reverse(f"board:{name}", args=["grand"]) for name in ("board", "state", "turn-times")] == [
        PAGES[0],
        STATE,
        PAGES[1],
    ]


@pytest.mark.parametrize("role", [*rights.ROLE_RIGHTS])
def test_every_role_can_open_the_board(browser, hotel, role):
    client = browser(StaffFactory(hotel=hotel, role=role))
    assert [client.get(path).status_code for path in (*PAGES, STATE)] == [200, 200, 200]
    assert client.get("/board/").headers["Location"] == "/board/grand/"
    assert client.get("/board").headers["Location"] == "/board/"


@pytest.mark.parametrize("path", ["/board/", *PAGES, "/board/no-such-hotel/"])
def test_anonymous_users_are_redirected_to_sign_in(browser, hotel, path):
    answer = browser().get(f"{path}?status=OCCUPIED")
    assert answer.status_code == 302
    assert answer["Location"] == f"/board/sign-in/?next={path}%3Fstatus%3DOCCUPIED"
    assert answer["Cache-Control"] == "private, no-store"


def test_the_state_requires_sign_in(browser, hotel):
    answer = browser().get(STATE)
    assert_error(answer, 401, "NOT_AUTHENTICATED")
    assert answer["WWW-Authenticate"] == "Token"


@pytest.mark.parametrize("slug", ["other", "no-such-hotel"])
def test_another_hotels_board_and_an_unknown_hotels_are_refused_alike(browser, manager, slug):
    HotelFactory(slug="other")
    client = browser(manager)
    for path in PAGES:
        assert_refusal_page(client.get(path.replace("grand", slug)), NOT_YOURS)
    assert assert_error(client.get(f"/board/{slug}/state/"), 403, "HOTEL_ACCESS_DENIED")["message"] == NOT_YOURS


@pytest.mark.parametrize("superuser", [False, True])
def test_users_without_a_staff_profile_are_refused(browser, hotel, superuser):
    client = browser()
    client.force_login(UserFactory(is_superuser=superuser, is_staff=superuser))
    for path in ("/board/", *PAGES):
        assert_refusal_page(client.get(path), NO_PROFILE)
    assert_error(client.get(STATE), 403, "NO_STAFF_PROFILE")


def test_a_superuser_sees_only_the_board_of_their_hotel(browser, manager):
    HotelFactory(slug="other")
    manager.user.is_superuser = True
    manager.user.save()
    client = browser(manager)
    assert client.get(STATE).status_code == 200
    assert client.get("/board/other/state/").status_code == client.get("/board/other/").status_code == 403


def test_a_role_without_rights_is_refused(browser, hotel):
    Group.objects.create(name="visitor")
    client = browser(StaffFactory(hotel=hotel, role="visitor"))
    for path in ("/board/", *PAGES):
        assert_refusal_page(client.get(path), "Permission denied: your role does not include this.")
    assert_error(client.get(STATE), 403, "PERMISSION_DENIED")


@pytest.mark.parametrize("what", ["user", "profile"])
def test_deactivation_applies_at_the_next_request(browser, manager, what):
    client = browser(manager)
    assert client.get(PAGES[0]).status_code == 200
    if what == "user":
        manager.user.is_active = False
        manager.user.save()
    else:
        Staff.objects.filter(pk=manager.pk).update(is_active=False)
    for path in PAGES:
        assert client.get(path)["Location"] == f"/board/sign-in/?next={path}"
    assert_error(client.get(STATE), 401, "NOT_AUTHENTICATED")


def test_a_revoked_right_is_missing_at_the_next_request(browser, agent):
    client = browser(agent)
    assert client.get(STATE).json()["me"]["sees_bookings"] is True
    agent.role.permissions.remove(*agent.role.permissions.filter(content_type__app_label="room_bookings"))
    assert client.get(STATE).json()["me"]["sees_bookings"] is False


def test_the_state_accepts_a_token(manager):
    assert token_client(manager).get(STATE).status_code == 200


# --- headers ----------------------------------------------------------------------------------------------------------


def policy(answer) -> dict[str, str]:
    directives = answer["Content-Security-Policy"].split("; ")
    return {name: value for name, _, value in (directive.partition(" ") for directive in directives)}


@pytest.mark.parametrize("path", ["/board/", *PAGES, "/board/other/", "/board/sign-in/"])
def test_pages_are_not_stored_framed_or_open_to_foreign_scripts(browser, manager, path):
    answer = browser(manager).get(path)
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["Cache-Control"] == "private, no-store"
    assert answer["X-Content-Type-Options"] == "nosniff"
    rules = policy(answer)
    script, connect = rules.pop("script-src"), rules.pop("connect-src")
    assert script.split()[0] == connect.split()[0] == "'self'"
    assert "unsafe" not in answer["Content-Security-Policy"]
    assert rules == {
        "default-src": "'none'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }


def test_the_state_is_not_stored(browser, manager):
    assert browser(manager).get(STATE)["Cache-Control"] == "private, no-store"


@pytest.mark.parametrize("path", [*PAGES, "/board/other/", "/board/sign-in/"])
def test_the_markup_complies_with_the_content_security_policy(browser, manager, path):
    """The policy would block style attributes, event handler attributes and inline scripts."""
    page = browser(manager).get(path).content.decode()
    assert " style=" not in page
    assert "<style" not in page
    assert " onclick=" not in page
    scripts = [tag.split(">", 1)[0] for tag in page.split("<script")[1:]]
    assert all(" src=" in tag or 'type="application/json"' in tag for tag in scripts), scripts


def test_only_the_board_loads_the_script_of_another_origin(browser, manager, monkeypatch, pusher_account):
    monkeypatch.setattr(views, "pusher_js", lambda: Script(FROM_CDN, integrity=INTEGRITY))
    client = browser(manager)
    assert policy(client.get(PAGES[0]))["script-src"] == f"'self' {FROM_CDN}"
    assert policy(client.get(PAGES[1]))["script-src"] == "'self'"
    assert policy(client.get("/board/sign-in/"))["script-src"] == "'self'"
    monkeypatch.setattr(views, "pusher_js", lambda: Script("/static/pusher-js/pusher.min.js"))
    assert policy(client.get(PAGES[0]))["script-src"] == "'self'"


# --- odd requests -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/board/", *PAGES, STATE])
def test_only_reading_methods_are_allowed(browser, manager, path):
    client = browser(manager)
    for method in ("POST", "PUT", "PATCH", "DELETE", "TRACE"):
        assert client.generic(method, path).status_code == 405, method


@pytest.mark.parametrize("path", ["/board/", *PAGES, STATE, "/board/sign-in/"])
def test_head_and_options_cause_no_server_error(browser, manager, path):
    client = browser(manager)
    assert client.head(path).status_code == client.get(path).status_code
    assert client.options(path).status_code in (200, 405)


JUNK = (
    "/board/grand",
    "/board/grand/state",
    "/board/grand/nothing/",
    "/board/gr%00and/",
    "/board/gr%C3%A4nd/",
    "/board/%F0%28%8C%28/",
    "/board/grand/state/../../admin/",
    "/board//",
    "/board/" + "x" * 3000 + "/" + "y" * 3000 + "/",
    "/board/grand%2Fstate%2Fx/",
)


@pytest.mark.parametrize("signed_in", [False, True])
def test_a_junk_path_is_not_found(browser, manager, signed_in):
    client = browser(manager if signed_in else None)
    for path in JUNK:
        assert client.get(path).status_code == 404, path


@pytest.mark.parametrize("path", [*PAGES, STATE, "/board/sign-in/"])
def test_a_junk_query_is_ignored(browser, manager, path):
    client = browser(manager)
    for query in ("?%00", "?status=%FF", "?" + "a=b&" * 900, "?next=//evil.example"):
        assert client.get(path + query).status_code == 200, query


def test_an_unknown_session_cookie_is_anonymous(browser, hotel):
    client = browser()
    for value in ("junk", "", "x" * 3000, "\xff"):
        client.cookies["sessionid"] = value
        assert client.get(PAGES[0]).status_code == 302, value
        assert_error(client.get(STATE), 401)
