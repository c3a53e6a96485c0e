"""Signing in to the board and out of it."""

import pytest
from django.conf import settings
from django.contrib.sessions.models import Session
from django.test import Client

from hotel import rights
from hotel.models import Staff
from tests.factories import PASSWORD, StaffFactory, UserFactory

SIGN_IN, SIGN_OUT = "/board/sign-in/", "/board/sign-out/"
BOARD = "/board/grand/"
WRONG = "Please enter a correct username and password."


def sign_in(client: Client, staff: Staff | str, password: str = PASSWORD, query: str = "", **more):
    name = staff if isinstance(staff, str) else staff.user.username
    headers = {key: more.pop(key) for key in list(more) if key.isupper()}
    return client.post(SIGN_IN + query, {"username": name, "password": password, **more}, **headers)


def is_signed_in(client: Client) -> bool:
    return client.get(BOARD).status_code == 200


def assert_form_error(answer, sentence: str) -> None:
    """The form is shown again with ``sentence``."""
    assert answer.status_code == 200
    assert sentence in answer.content.decode()
    assert answer.context["form"].errors


@pytest.mark.parametrize("role", [*rights.ROLE_RIGHTS])
def test_every_role_signs_in_to_the_board_of_its_hotel(browser, hotel, role):
    client = browser()
    answer = sign_in(client, StaffFactory(hotel=hotel, role=role))
    assert (answer.status_code, answer["Location"]) == (302, "/board/")
    assert client.get("/board/")["Location"] == BOARD
    assert is_signed_in(client)


def test_sign_in_returns_to_the_requested_page(browser, manager):
    client = browser()
    asked = client.get(f"{BOARD}turn-times/?days=7")
    form = client.get(asked["Location"])
    [wanted] = [form.context["next"]]
    answer = sign_in(client, manager, next=wanted)
    assert answer["Location"] == f"{BOARD}turn-times/?days=7"


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.example/board/",
        "//evil.example/",
        "/\\evil.example/",
        "///evil.example/",
        "javascript:alert(1)",
        "http:///evil.example/",
        "\thttps://evil.example/",
        "https://testserver@evil.example/",
    ],
)
@pytest.mark.parametrize("where", ["form", "address"])
def test_sign_in_does_not_redirect_to_another_site(browser, manager, elsewhere, where):
    client = browser()
    if where == "form":
        answer = sign_in(client, manager, next=elsewhere)
    else:
        answer = client.post(SIGN_IN, {"username": "manager", "password": PASSWORD}, query_params={"next": elsewhere})
    assert (answer.status_code, answer["Location"]) == (302, "/board/")


@pytest.mark.parametrize(("name", "password"), [("manager", "wrong"), ("nobody", PASSWORD), ("", ""), ("manager", "")])
def test_wrong_credentials_are_refused(browser, manager, name, password):
    client = browser()
    answer = sign_in(client, name, password)
    assert_form_error(answer, WRONG if name and password else "This field is required.")
    assert not is_signed_in(client)


@pytest.mark.parametrize("superuser", [False, True])
def test_a_user_without_a_staff_profile_is_refused(browser, hotel, superuser):
    client = browser()
    assert_form_error(
        sign_in(client, UserFactory(is_superuser=superuser).username), "This user is not on the staff of a hotel."
    )
    assert not Session.objects.exists()


@pytest.mark.parametrize("what", ["user", "profile"])
def test_deactivation_is_disclosed_only_with_the_right_password(browser, manager, what):
    if what == "user":
        manager.user.is_active = False
        manager.user.save()
    else:
        Staff.objects.filter(pk=manager.pk).update(is_active=False)
    assert_form_error(sign_in(browser(), manager), "This account is deactivated. Ask your manager.")
    assert_form_error(sign_in(browser(), manager, "wrong"), WRONG)
    assert not Session.objects.exists()


def test_the_eleventh_try_in_a_minute_for_one_name_is_throttled(browser, manager, agent):
    client = browser()
    for _ in range(10):
        assert_form_error(sign_in(client, manager, "wrong"), WRONG)
    assert_form_error(sign_in(client, manager), "Too many attempts. Try again in ")
    assert_form_error(sign_in(client, "MANAGER"), "Too many attempts. Try again in ")
    assert_form_error(sign_in(client, manager, HTTP_X_FORWARDED_FOR="10.9.8.7"), "Too many attempts.")
    assert not is_signed_in(client)
    assert sign_in(client, agent).status_code == 302
    assert sign_in(browser(), manager, REMOTE_ADDR="10.0.0.2").status_code == 302


def test_attempts_on_all_sign_in_pages_are_counted_together(browser, manager):
    client = browser()
    for _ in range(4):
        sign_in(client, manager, "wrong")
        client.post("/admin/login/", {"username": "manager", "password": "wrong"})
    for _ in range(2):
        client.post("/api/staff/login/", {"username": "manager", "password": "wrong"}, "application/json")
    assert_form_error(sign_in(client, manager), "Too many attempts.")


@pytest.mark.parametrize("name", ["man\x00ager", "é" * 200, "\udcff", "x" * 5000])
def test_a_junk_user_name_is_a_form_error(browser, manager, name):
    body = f"username={name}&password=wrong".encode(errors="surrogateescape")
    answer = browser().post(SIGN_IN, body, "application/x-www-form-urlencoded")
    assert answer.status_code == 200
    assert answer.context["form"].errors


def test_sign_in_requires_the_csrf_token(browser, manager):
    client = browser(enforce_csrf_checks=True)
    assert sign_in(client, manager).status_code == 403
    client.get(SIGN_IN)
    assert sign_in(client, manager).status_code == 403
    token = client.cookies[settings.CSRF_COOKIE_NAME].value
    assert sign_in(client, manager, csrfmiddlewaretoken=token).status_code == 302


def test_the_page_contains_the_csrf_token_for_its_requests(browser, manager):
    """The board's script sends the token from the page as a header, together with the cookie."""
    client = browser(manager, enforce_csrf_checks=True)
    token = str(client.get(BOARD).context["csrf_token"])
    url = "/api/staff/hotel/grand/room-types/"
    body = {"name": "Suite", "code": "S"}
    assert client.post(url, body, "application/json").status_code == 403
    assert client.post(url, body, "application/json", headers={"X-CSRFToken": token}).status_code == 201


def test_the_session_key_changes_at_sign_in(browser, manager, agent):
    client = browser(agent)
    before = client.cookies[settings.SESSION_COOKIE_NAME].value
    sign_in(client, manager)
    assert client.cookies[settings.SESSION_COOKIE_NAME].value != before
    assert not Session.objects.filter(session_key=before).exists()


# --- sign-out ---------------------------------------------------------------------------------------------------------


def test_sign_out_ends_the_session(browser, manager):
    client = browser(manager)
    answer = client.post(SIGN_OUT)
    assert (answer.status_code, answer["Location"]) == (302, SIGN_IN)
    assert answer["Cache-Control"] == "private, no-store"
    assert not is_signed_in(client)
    assert not Session.objects.exists()


def test_a_get_request_does_not_sign_out(browser, manager):
    client = browser(manager)
    assert client.get(SIGN_OUT).status_code == 405
    assert is_signed_in(client)


def test_a_form_on_another_site_does_not_sign_out(browser, manager):
    client = browser(manager, enforce_csrf_checks=True)
    assert client.post(SIGN_OUT).status_code == 403
    assert is_signed_in(client)


def test_sign_out_does_not_redirect_to_another_site(browser, manager):
    answer = browser(manager).post(SIGN_OUT, {"next": "https://evil.example/"})
    assert answer["Location"] == SIGN_IN
