"""Browser security: cookies, frames, caching, origins, https."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth.hashers import MD5PasswordHasher
from django.test import Client

from tests.conftest import token_client, url
from tests.endpoints import ENDPOINTS, endpoint_targets
from tests.factories import PASSWORD, UserFactory
from tests.http import DocumentedClient

PROJECT = Path(__file__).parents[2]
pytestmark = pytest.mark.django_db


def production(*names: str) -> dict[str, object]:
    """Production settings with only the required variables."""
    code = (
        f"import json; from hotelmate import settings; print(json.dumps({{n: getattr(settings, n) for n in {names}}}))"
    )
    environ = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environ |= {"SECRET_KEY": "only here", "ALLOWED_HOSTS": "hotel.example"}
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, env=environ, capture_output=True, check=True)
    return json.loads(done.stdout)


def test_production_defaults_are_safe():
    assert production(
        "DEBUG",
        "ALLOWED_HOSTS",
        "SESSION_COOKIE_SECURE",
        "SESSION_COOKIE_HTTPONLY",
        "CSRF_COOKIE_SECURE",
        "SECURE_SSL_REDIRECT",
        "SECURE_HSTS_SECONDS",
        "SECURE_PROXY_SSL_HEADER",
        "CORS_ALLOWED_ORIGINS",
        "CSRF_TRUSTED_ORIGINS",
        "REALTIME_PUBLIC_CHANNELS",
        "METRICS_TOKEN",
    ) == {
        "DEBUG": False,
        "ALLOWED_HOSTS": ["hotel.example"],
        "SESSION_COOKIE_SECURE": True,
        "SESSION_COOKIE_HTTPONLY": True,
        "CSRF_COOKIE_SECURE": True,
        "SECURE_SSL_REDIRECT": True,
        "SECURE_HSTS_SECONDS": 31_536_000,
        "SECURE_PROXY_SSL_HEADER": None,
        "CORS_ALLOWED_ORIGINS": [],
        "CSRF_TRUSTED_ORIGINS": [],
        "REALTIME_PUBLIC_CHANNELS": False,
        "METRICS_TOKEN": "",
    }


@pytest.mark.parametrize("door", ["/board/sign-in/", "/admin/login/"])
def test_session_cookie_is_same_site_and_http_only(manager, door):
    client = Client()
    client.post(door, {"username": "manager", "password": PASSWORD})
    cookie = client.cookies[settings.SESSION_COOKIE_NAME]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
    assert client.cookies["csrftoken"]["samesite"] == "Lax"


def test_signing_in_makes_a_new_session(manager):
    """An existing session, perhaps an attacker's, is not reused."""
    client = Client()
    client.cookies[settings.SESSION_COOKIE_NAME] = "madeupbysomebodyelse"
    client.post("/board/sign-in/", {"username": "manager", "password": PASSWORD})
    assert client.cookies[settings.SESSION_COOKIE_NAME].value != "madeupbysomebodyelse"


@pytest.mark.parametrize("who", ["oneself", "a superuser"])
def test_password_change_ends_every_session_and_token(manager, agent, who):
    elsewhere, here = Client(), Client()
    token, colleague = token_client(manager), token_client(agent)
    elsewhere.force_login(manager.user)
    new = {"new_password1": "another plain password", "new_password2": "another plain password"}
    if who == "oneself":
        here.force_login(manager.user)
        answer = here.post("/admin/password_change/", {"old_password": PASSWORD, **new})
    else:
        here.force_login(UserFactory(is_staff=True, is_superuser=True))
        fields = {"password1": new["new_password1"], "password2": new["new_password2"], "usable_password": "true"}
        answer = here.post(f"/admin/auth/user/{manager.user.pk}/password/", fields)
    assert answer.status_code == 302
    assert elsewhere.get("/board/grand/state/").status_code == 401
    assert token.get(url(manager, "me/")).status_code == 401
    assert colleague.get(url(manager, "me/")).status_code == 200


def test_session_without_a_csrf_token_changes_nothing(hotel, manager):
    """Another site can make the browser send the cookie, but cannot read the CSRF token."""
    client = DocumentedClient(enforce_csrf_checks=True, raise_request_exception=False)
    client.force_login(manager.user)
    things = endpoint_targets(hotel)
    for endpoint in ENDPOINTS:
        if endpoint.method != "GET":
            answer = endpoint.call(client, "grand", things)
            assert (answer.status_code, answer.json()["message"][:4]) == (403, "CSRF"), endpoint.name
    assert client.post("/api/staff/logout/").status_code == 403


@pytest.mark.parametrize("door", ["/board/sign-in/", "/admin/login/", "/board/sign-out/", "/admin/logout/"])
def test_other_sites_cannot_sign_users_in_or_out(manager, door):
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    answer = client.post(door, {"username": "manager", "password": PASSWORD})
    assert answer.status_code == 403


@pytest.mark.parametrize(
    "path", ["/board/sign-in/", "/admin/login/", "/api/docs/", "/api/schema/", "/api/staff/login/"]
)
def test_responses_forbid_framing_sniffing_and_referrers(path):
    answer = Client(raise_request_exception=False).get(path)
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Referrer-Policy"] == "same-origin"
    # The documentation page sets this itself; a session is useless to it, as it sends none.
    assert answer["Cross-Origin-Opener-Policy"] == ("unsafe-none" if path == "/api/docs/" else "same-origin")


def test_api_responses_are_not_cached(hotel, manager):
    things = endpoint_targets(hotel)
    signed_in, nobody = token_client(manager), DocumentedClient(raise_request_exception=False)
    for endpoint in ENDPOINTS:
        if endpoint.method == "GET":
            for client in (signed_in, nobody):
                assert endpoint.call(client, "grand", things)["Cache-Control"] == "private, no-store", endpoint.name
    for path in ("/api/staff/login/", "/pusher/auth", "/api/nowhere/"):
        assert nobody.post(path)["Cache-Control"] == "private, no-store", path


def test_other_origins_get_no_responses_to_cookies(manager):
    """An allowed origin authenticates with a token: cookies are never usable by scripts of other origins."""
    client = Client(raise_request_exception=False)
    client.force_login(manager.user)
    for origin in ("http://localhost:3000", "https://evil.example", "null"):
        answer = client.get(url(manager, "me/"), HTTP_ORIGIN=origin)
        assert "Access-Control-Allow-Credentials" not in answer
        assert answer.get("Access-Control-Allow-Origin") in (None, "http://localhost:3000")


# --- sign-in time -----------------------------------------------------------------------------------------------------


class Hasher(MD5PasswordHasher):
    """Counts password hashes, which dominate the response time."""

    times = 0

    def encode(self, password: str, salt: str) -> str:
        Hasher.times += 1
        return super().encode(password, salt)


def test_an_unknown_name_takes_as_long_as_a_wrong_password(manager, settings):
    settings.PASSWORD_HASHERS = [f"{__name__}.Hasher"]
    counts = {}
    for name in ("manager", "nobody"):
        before = Hasher.times
        body = {"username": name, "password": "wrong"}
        assert Client().post("/api/staff/login/", body, content_type="application/json").status_code == 401
        counts[name] = Hasher.times - before
    assert counts == {"manager": 1, "nobody": 1}
