"""Headers that would fake a client's identity or address: gunicorn and Django ignore all but the trusted proxy's.

Requests through a proxy on the same machine come from 127.0.0.1, whose headers gunicorn trusts by default.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.security.served import Answer, answer, gunicorn

SIGN_IN, BOARD, ALIVE = "/board/sign-in/", "/board/", "/healthz"
FORGED = [
    ("SCRIPT_NAME", "/elsewhere"),
    ("SCRIPT_NAME", "/board"),
    ("script_name", "/board"),
    ("Script-Name", "/board"),
    ("PATH_INFO", "/healthz"),
    ("REMOTE_USER", "manager"),
    ("Remote-User", "manager"),
    ("X-Remote-User", "manager"),
    ("Auth-User", "manager"),
    ("REMOTE_ADDR", "10.0.0.1"),
    ("HTTP_HOST", "evil.example"),
    ("X-Forwarded-Host", "evil.example"),
    ("X-Forwarded-Server", "evil.example"),
    ("X-Forwarded-Port", "1"),
    ("X-Forwarded-Prefix", "/elsewhere"),
    ("Forwarded", "for=10.0.0.1;host=evil.example;proto=https"),
    ("X-Original-URL", "/healthz"),
    ("X-Rewrite-URL", "/healthz"),
    ("X-HTTP-Method-Override", "DELETE"),
    ("X_HTTP_METHOD_OVERRIDE", "DELETE"),
    ("wsgi.url_scheme", "https"),
    ("CONTENT_LENGTH", "5"),
    ("Proxy", "http://evil.example"),
]
# Headers of several kinds of proxies that gunicorn trusts by default.
SAYS_HTTPS = [
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Protocol", "ssl"),
    ("X-Forwarded-Ssl", "on"),
    ("X_Forwarded_Proto", "https"),
    ("X-Scheme", "https"),
    ("Front-End-Https", "on"),
]


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """gunicorn configured without a proxy; it redirects plain http to https."""
    with gunicorn(tmp_path_factory.mktemp("gunicorn") / "log", SECURE_SSL_REDIRECT="1") as number:
        yield number


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """gunicorn configured behind a proxy that sets ``X-Forwarded-Proto``."""
    log: Path = tmp_path_factory.mktemp("gunicorn") / "log"
    with gunicorn(log, SECURE_SSL_REDIRECT="1", TRUST_PROXY_PROTO="1") as number:
        yield number


def get(port: int, path: str, *headers: tuple[str, str]) -> Answer:
    return answer(port, "GET", path, list(headers))


@pytest.mark.parametrize(("name", "value"), FORGED)
def test_headers_change_neither_identity_nor_address(proxied, name, value):
    https = ("X-Forwarded-Proto", "https")
    assert get(proxied, ALIVE, (name, value)).status == 200
    page = get(proxied, SIGN_IN, https, (name, value))
    assert page.status == 200
    assert 'action="/board/sign-in/"' in page.body or 'method="post"' in page.body
    assert "elsewhere" not in page.body and "evil" not in page.body
    assert get(proxied, BOARD, https, (name, value))[:2] == (302, "/board/sign-in/?next=/board/")
    assert get(proxied, "/api/nothing/", https, (name, value)).status == 404
    assert get(proxied, SIGN_IN, (name, value))[:2] == (301, f"https://127.0.0.1:{proxied}/board/sign-in/")


@pytest.mark.parametrize(("name", "value"), SAYS_HTTPS)
def test_no_header_turns_http_into_https_without_a_trusted_proxy(port, name, value):
    assert get(port, SIGN_IN, (name, value))[:2] == (301, f"https://127.0.0.1:{port}/board/sign-in/")


def test_trusted_proxy_sets_https_with_its_header(proxied):
    assert get(proxied, SIGN_IN, ("X-Forwarded-Proto", "https")).status == 200
    for name, value in SAYS_HTTPS[1:]:
        assert get(proxied, SIGN_IN, (name, value)).status == 301, name
        # A client's other headers do not override it.
        assert get(proxied, SIGN_IN, ("X-Forwarded-Proto", "http"), (name, value)).status == 301, name
        assert get(proxied, SIGN_IN, ("X-Forwarded-Proto", "https"), (name, "off")).status == 200, name
