"""POST /staff/login/ and /staff/logout/ (docs/api.md, Sign-in)."""

from datetime import timedelta
from importlib import import_module

import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import get_hasher
from django.core.management import CommandError
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.utils import timezone
from knox.models import AuthToken
from rest_framework.test import APIClient

from common import clock
from hotel import rights, throttles
from hotel.models import Staff
from tests.factories import PASSWORD, StaffFactory, UserFactory
from tests.http import DocumentedClient, assert_error, document

LOGIN, LOGOUT = "/api/staff/login/", "/api/staff/logout/"
ME = "/api/staff/hotel/grand/me/"
# Every key of the response and its JSON type (docs/api.md, Sign-in).
TYPES = {
    "token": str,
    "staff_id": int,
    "username": str,
    "first_name": str,
    "last_name": str,
    "hotel_id": int,
    "hotel_name": str,
    "hotel_slug": str,
    "hotel": dict,
    "is_staff": bool,
    "is_superuser": bool,
    "access_level": str,
    "department": str,
    "role": str,
    "effective_navs": list,
    "allowed_navs": list,
    "navigation_items": list,
    "rbac": dict,
    "can_edit_self_profile": bool,
    "profile_image_url": (str, type(None)),
}


@pytest.fixture
def client() -> DocumentedClient:
    """A client without a token."""
    return DocumentedClient(raise_request_exception=False)


def sign_in(client, staff_or_name, password=PASSWORD, **extra):
    name = staff_or_name if isinstance(staff_or_name, str) else staff_or_name.user.username
    return client.post(LOGIN, {"username": name, "password": password}, **extra)


def with_token(token: str) -> DocumentedClient:
    client = DocumentedClient(raise_request_exception=False)
    client.credentials(HTTP_AUTHORIZATION=f"Token {token}")
    return client


def test_the_response_has_every_documented_key(client, housekeeper):
    answer = sign_in(client, housekeeper)
    body = answer.json()
    assert answer.status_code == 200
    assert set(body) == set(TYPES)
    assert {key: type(value) for key, value in body.items() if not isinstance(value, TYPES[key])} == {}


def test_the_response_identifies_the_user(client, hotel, housekeeper):
    body = sign_in(client, housekeeper).json()
    token, rbac = body.pop("token"), body.pop("rbac")
    assert body == {
        "staff_id": housekeeper.pk,
        "username": "housekeeper",
        "first_name": "Maeve",
        "last_name": housekeeper.user.last_name,
        "hotel_id": hotel.pk,
        "hotel_name": "Grand",
        "hotel_slug": "grand",
        "hotel": {"id": hotel.pk, "name": "Grand", "slug": "grand"},
        "is_staff": True,
        "is_superuser": False,
        "access_level": "regular_staff",
        "department": "housekeeping",
        "role": "housekeeper",
        "effective_navs": ["home", "rooms", "housekeeping"],
        "allowed_navs": ["home", "rooms", "housekeeping"],
        "navigation_items": [
            {"slug": "home", "name": "Home", "path": "/staff/hotel/grand/"},
            {"slug": "rooms", "name": "Rooms", "path": "/staff/hotel/grand/rooms"},
            {"slug": "housekeeping", "name": "Housekeeping", "path": "/staff/hotel/grand/housekeeping"},
        ],
        "can_edit_self_profile": False,
        "profile_image_url": None,
    }
    assert set(rbac) == {"rooms", "housekeeping", "bookings"}
    assert with_token(token).get(ME).status_code == 200


def test_is_staff_is_not_djangos_admin_flag(client, housekeeper):
    assert housekeeper.user.is_staff is False
    assert sign_in(client, housekeeper).json()["is_staff"] is True


# --- names ------------------------------------------------------------------------------------------------------------

SIGN_IN_PAGES = {"api": LOGIN, "board": "/board/sign-in/", "admin": "/admin/login/?next=/admin/"}


def can_sign_in(page: str, name: str, password: str = PASSWORD) -> bool:
    """Whether the sign-in page accepts these credentials."""
    kind = {"content_type": "application/json"} if page == "api" else {}
    answer = Client().post(SIGN_IN_PAGES[page], {"username": name, "password": password}, **kind)
    assert answer.status_code in (200, 302, 401), answer.content
    return answer.status_code == (200 if page == "api" else 302)


@pytest.mark.parametrize("page", SIGN_IN_PAGES)
@pytest.mark.parametrize(
    ("stored", "typed"),
    [
        ("maeve", "Maeve"),
        ("Maeve", "maeve"),
        ("MAEVE", " maeve "),
        ("ma\u00e9ve", "ma\u00e9ve"),
        ("ma\u00e9ve", "mae\u0301ve"),
        ("ma\u00e9ve", "MA\u00c9VE"),
        ("maeve", "ｍａｅｖｅ"),
    ],
)
def test_names_match_in_any_case_and_unicode_form_on_every_sign_in_page(hotel, page, stored, typed):
    StaffFactory(hotel=hotel, user__username=stored, user__is_staff=True)
    assert can_sign_in(page, typed)
    assert not can_sign_in(page, typed, PASSWORD.upper())


def test_the_response_contains_the_stored_name(client, hotel):
    StaffFactory(hotel=hotel, user__username="Maeve")
    assert sign_in(client, "MAEVE").json()["username"] == "Maeve"


def test_names_that_differ_only_in_case_are_rejected(hotel):
    UserFactory(username="maeve")
    for name in ("Maeve", "MAEVE"):
        with pytest.raises(IntegrityError, match="auth_user_username_in_any_case"), transaction.atomic():
            UserFactory(username=name)
    UserFactory(username="maeve2")


@pytest.mark.parametrize("page", ["add", "change"])
def test_the_admin_refuses_a_name_that_differs_only_in_case(admin_client, page):
    UserFactory(username="maeve")
    other = UserFactory(username="orla")
    address = "/admin/auth/user/add/" if page == "add" else f"/admin/auth/user/{other.pk}/change/"
    date = {"date_joined_0": "2026-01-01", "date_joined_1": "00:00"}
    new = {"usable_password": "true", "password1": PASSWORD, "password2": PASSWORD}
    answer = admin_client.post(address, {"username": "MAEVE", **(new if page == "add" else date)})
    assert answer.context["adminform"].form.errors == {"username": ["A user with that username already exists."]}
    if page == "change":
        assert admin_client.post(address, {"username": "Orla", **date}).status_code == 302  # of one's own, why not
        other.refresh_from_db()
        assert other.username == "Orla"


def test_an_unknown_name_takes_as_long_as_a_known_one(client, housekeeper, monkeypatch):
    hashed, hasher = [], type(get_hasher())
    encode = hasher.encode
    monkeypatch.setattr(hasher, "encode", lambda *given: hashed.append(1) or encode(*given))
    for name in ("housekeeper", "HOUSEKEEPER", "nobody"):
        sign_in(client, name, "wrong")
    assert len(hashed) == 3


def test_sign_in_uses_the_index_on_names(client, housekeeper, statements):
    with statements() as made:
        sign_in(client, "Housekeeper")
    [lookup] = [sql for sql in made.sql() if "username" in sql and "WHERE UPPER" in sql]
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN {lookup}")
        assert "auth_user_username_in_any_case" in str(cursor.fetchall())


# --- the migration ----------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_names_that_differ_only_in_case_stop_the_migration():
    stop, make_index = import_module("hotel.migrations.0005_user_names_in_any_case").Migration.operations
    with connection.cursor() as cursor:
        cursor.execute("DROP INDEX auth_user_username_in_any_case")
        for name in ("maeve", "Maeve", "orla"):
            UserFactory(username=name)
        try:
            with pytest.raises(CommandError, match="any case: Maeve and maeve. Rename all but one of each"):
                stop.code(apps, connection.schema_editor())
            get_user_model().objects.filter(username="Maeve").update(username="maeve2")
            stop.code(apps, connection.schema_editor())
        finally:
            get_user_model().objects.filter(username="Maeve").delete()
            for statement in make_index.sql:
                cursor.execute(statement)
    with pytest.raises(IntegrityError):
        UserFactory(username="ORLA")


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("username", "password"), [("housekeeper", "wrong"), ("nobody", PASSWORD), ("nobody", "x")])
def test_wrong_credentials_are_401_without_distinction(client, housekeeper, username, password):
    body = assert_error(sign_in(client, username, password), 401, "INVALID_CREDENTIALS")
    assert body["non_field_errors"] == [body["message"]] == ["Wrong user name or password."]
    assert not AuthToken.objects.exists()


def test_a_user_without_staff_profile_is_403(client, hotel):
    body = assert_error(sign_in(client, UserFactory().username), 403)
    assert body["non_field_errors"] == [body["message"]]
    assert not AuthToken.objects.exists()


@pytest.mark.parametrize("what", ["user", "profile"])
def test_a_deactivated_member_is_403_only_with_the_right_password(client, housekeeper, what):
    deactivate(housekeeper, what)
    assert_error(sign_in(client, housekeeper), 403)
    assert_error(sign_in(client, housekeeper, "wrong"), 401)
    assert not AuthToken.objects.exists()


def deactivate(staff: Staff, what: str) -> None:
    if what == "user":
        get_user_model().objects.filter(pk=staff.user.pk).update(is_active=False)
    else:
        Staff.objects.filter(pk=staff.pk).update(is_active=False)


# --- throttles --------------------------------------------------------------------------------------------------------


def test_the_eleventh_try_in_a_minute_for_one_name_is_throttled(client, housekeeper, agent):
    tries = [sign_in(client, housekeeper, "wrong").status_code for _ in range(10)]
    assert tries == [401] * 10
    answer = sign_in(client, housekeeper)
    body = assert_error(answer, 429, "THROTTLED")
    assert body["non_field_errors"] == [body["message"]]
    assert 1 <= int(answer["Retry-After"]) <= 61
    assert_error(sign_in(client, "HOUSEKEEPER"), 429)  # the same name for an attacker
    assert_error(sign_in(client, housekeeper, HTTP_X_FORWARDED_FOR="10.9.8.7"), 429)  # not trusted
    assert sign_in(client, agent).status_code == 200
    assert sign_in(client, housekeeper, REMOTE_ADDR="10.0.0.2").status_code == 200


def test_attempts_per_ip_address_are_limited(client, hotel):
    codes = [sign_in(client, f"guess-{number}").status_code for number in range(121)]
    assert codes == [401] * 120 + [429]


def test_a_busy_front_desk_is_not_throttled(api, agent):
    client = api(agent)
    assert {client.get(ME).status_code for _ in range(150)} == {200}


# --- tokens -----------------------------------------------------------------------------------------------------------


def test_the_token_is_stored_hashed(client, housekeeper):
    token = sign_in(client, housekeeper).json()["token"]
    [row] = AuthToken.objects.values()
    assert token not in str(row)
    assert len(row["digest"]) == 128
    assert len(token) >= 40


def test_a_token_expires_after_fourteen_days(client, housekeeper):
    signed_in = timezone.now()
    mine = with_token(sign_in(client, housekeeper).json()["token"])
    with clock.set_to(signed_in + timedelta(days=14) - timedelta(minutes=1)):
        assert mine.get(ME).status_code == 200
    with clock.set_to(signed_in + timedelta(days=14, minutes=1)):
        assert_error(mine.get(ME), 401)


def test_sign_out_deletes_only_this_token(client, housekeeper):
    here = with_token(sign_in(client, housekeeper).json()["token"])
    elsewhere = with_token(sign_in(client, housekeeper).json()["token"])
    answer = here.post(LOGOUT)
    assert (answer.status_code, answer.content) == (204, b"")
    assert_error(here.get(ME), 401)
    assert_error(here.post(LOGOUT), 401)
    assert elsewhere.get(ME).status_code == 200


def test_sign_out_without_a_token_is_401(client, db):
    assert_error(client.post(LOGOUT), 401, "NOT_AUTHENTICATED")


@pytest.mark.parametrize("what", ["user", "profile"])
def test_deactivation_invalidates_tokens_immediately(client, housekeeper, what):
    mine = with_token(sign_in(client, housekeeper).json()["token"])
    deactivate(housekeeper, what)
    assert_error(mine.get(ME), 401, "NOT_AUTHENTICATED")


@pytest.mark.parametrize(
    "header",
    [
        "Token",
        "Token ",
        "Token a b",
        "Token \xff",
        "Token \xc3\xa9",
        "Token " + "0" * 64,
        "Token " + "a" * 5000,
        "Token \x00",
        "Bearer abc",
        "Basic dXNlcjpwYXNz",
        "GuestToken abc",
        "nonsense",
        "",
    ],
)
def test_a_malformed_or_unknown_token_is_401(client, hotel, header):
    body = assert_error(client.get(ME, HTTP_AUTHORIZATION=header), 401, "NOT_AUTHENTICATED")
    assert body["non_field_errors"] == [body["message"]]


def test_the_token_keyword_is_case_insensitive(client, housekeeper):
    token = sign_in(client, housekeeper).json()["token"]
    assert client.get(ME, HTTP_AUTHORIZATION=f"token {token}").status_code == 200


def test_a_request_is_authenticated_in_one_statement(api, housekeeper, statements):
    client = api(housekeeper)
    with statements() as made:
        assert client.get(ME).status_code == 200
    assert len(made) == 1  # token, user, staff, hotel, role and rights; the response needs nothing else


def test_expired_tokens_take_no_statement_and_are_deleted_at_sign_in(client, housekeeper, statements):
    AuthToken.objects.bulk_create(
        AuthToken(user=housekeeper.user, digest=f"{n:0128}", token_key="", expiry=clock.now() - timedelta(days=1))
        for n in range(50)
    )
    _, token = AuthToken.objects.create(user=housekeeper.user)
    with statements() as made:
        assert with_token(token).get(ME).status_code == 200
    assert len(made) == 1
    sign_in(client, housekeeper)
    assert AuthToken.objects.count() == 2


def test_a_token_of_another_hotels_staff_is_refused(client, hotel):
    stranger = StaffFactory(role=rights.HOTEL_MANAGER)
    token = sign_in(client, stranger).json()["token"]
    assert_error(with_token(token).get(ME), 403, "HOTEL_ACCESS_DENIED")


# --- bodies -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "username"),
        ({"username": "housekeeper"}, "password"),
        ({"password": "x"}, "username"),
        ({"username": None, "password": "x"}, "username"),
        ({"username": "", "password": "x"}, "username"),
        ({"username": ["a"], "password": "x"}, "username"),
        ({"username": {"a": 1}, "password": "x"}, "username"),
        ({"username": True, "password": "x"}, "username"),
        ({"username": "a" * 151, "password": "x"}, "username"),
        ({"username": "a\x00b", "password": "x"}, "username"),
        ({"username": "\ud800", "password": "x"}, "username"),
        ({"username": "a", "password": ""}, "password"),
        ({"username": "a", "password": "x" * 1001}, "password"),
        ({"username": "a", "password": "x\x00"}, "password"),
        ({"username": "a", "password": "\udfff"}, "password"),
        ({"username": "a", "password": {}}, "password"),
    ],
)
def test_a_bad_sign_in_names_the_field(client, db, body, field):
    answer = assert_error(client.post(LOGIN, body), 400, "VALIDATION_ERROR")
    assert field in answer["details"]
    assert answer[field] == answer["details"][field]
    assert answer["non_field_errors"] == [answer["message"]]


def test_spaces_in_passwords_are_significant(client, hotel):
    staff = StaffFactory(hotel=hotel)
    staff.user.set_password("  spaced out  ")
    staff.user.save()
    assert sign_in(client, staff, "  spaced out  ").status_code == 200
    assert_error(sign_in(client, staff, "spaced out"), 401)


def test_sign_in_ignores_an_expired_token(client, housekeeper):
    """A browser may still send an old token."""
    client.credentials(HTTP_AUTHORIZATION="Token dead")
    assert sign_in(client, housekeeper).status_code == 200


def test_the_document_says_that_sign_in_needs_no_token():
    assert document()["paths"][LOGIN]["post"].get("security", []) in ([], [{}])


def test_names_are_trimmed_for_throttling(client, housekeeper):
    answers = [sign_in(client, " " * number + "housekeeper", "wrong") for number in range(11)]
    assert [answer.status_code for answer in answers] == [401] * 10 + [429]


def test_many_names_from_one_ip_address_are_throttled_without_leaving_rows(client, db, monkeypatch):
    monkeypatch.setitem(throttles._AddressThrottle.THROTTLE_RATES, "login-address", "3/min")
    answers = [sign_in(client, f"name-{number}", "wrong") for number in range(6)]
    assert [answer.status_code for answer in answers] == [401] * 3 + [429] * 3
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM django_cache")
        assert cursor.fetchone() == (4,)  # three names, one IP address


def test_signing_out_ends_a_session(manager):
    browser = APIClient()
    browser.force_login(manager.user)
    assert browser.get(ME).status_code == 200
    assert browser.post(LOGOUT).status_code == 204
    assert browser.get(ME).status_code == 401
