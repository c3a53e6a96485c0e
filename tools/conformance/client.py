"""The staff app's HTTP client, which checks every response."""

import json
from collections.abc import Mapping
from typing import Any, Protocol

import requests

from tools.conformance.checking import problems
from tools.conformance.document import Document
from tools.conformance.report import Deviation
from tools.conformance.shapes import DRY_RUN, ERROR

ORIGIN = "http://staff.hotelmate.example"
APP_HEADERS = "authorization,content-type,idempotency-key,if-match,x-hotel-id,x-hotel-slug"
TIMEOUT = 20
NO_BODY: Any = object()


class Recorder(Protocol):
    """The row that calls and deviations are recorded for."""

    calls: int
    wrong: list[str]


class Wire:
    """One connection to the server; checks the CORS headers, error shape and OpenAPI schema of every response."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.row: Recorder
        self.session = requests.Session()
        self.preflighted: set[tuple[str, str]] = set()
        response = requests.get(f"{url}/api/schema/", headers={"Accept": "application/json"}, timeout=TIMEOUT)
        self.document = Document(response.json())

    def send(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str],
        data: bytes | str | None = None,
        query: Mapping[str, Any] | None = None,
    ) -> tuple[requests.Response, Any]:
        """Send a request from the app's origin; returns the response and its body (``None`` if empty)."""
        query = dict(query or {})
        self._preflight(method, path)
        self.row.calls += 1
        response = self.session.request(
            method,
            self.url + path,
            headers={"Accept": "application/json", "Origin": ORIGIN, **headers},
            data=data,
            params=query,
            timeout=TIMEOUT,
            allow_redirects=False,
        )
        where = f"{method} {path}: {response.status_code}"
        if response.headers.get("Access-Control-Allow-Origin") != ORIGIN:
            self.row.wrong.append(f"{where} has no CORS header")
        body = None
        if response.content:
            try:
                body = response.json()
            except ValueError:
                raise Deviation(f"{where} is not JSON: {response.text:.100}") from None
        if response.status_code >= 400:
            self.row.wrong += [f"{where}: {line}" for line in error_problems(body)]
        if path.startswith("/api/") and path not in ("/api/pusher/auth",):
            self.row.wrong += self.document.problems(method, path, response.status_code, body, query)
        return response, body

    def _preflight(self, method: str, path: str) -> None:
        """Send a browser's preflight request, once for each operation."""
        operation = (method, self.document.template(path) or path)
        if operation in self.preflighted:
            return
        self.preflighted.add(operation)
        self.row.calls += 1
        asks = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": APP_HEADERS}
        response = self.session.options(self.url + path, headers={"Origin": ORIGIN, **asks}, timeout=TIMEOUT)
        allowed = {name.strip() for name in response.headers.get("Access-Control-Allow-Headers", "").lower().split(",")}
        where = f"preflight of {method} {path}"
        if response.status_code not in (200, 204) or response.headers.get("Access-Control-Allow-Origin") != ORIGIN:
            self.row.wrong.append(f"{where} is not granted ({response.status_code})")
        if method not in response.headers.get("Access-Control-Allow-Methods", ""):
            self.row.wrong.append(f"{where} does not allow the method")
        if missing := set(APP_HEADERS.split(",")) - allowed:
            self.row.wrong.append(f"{where} does not allow {', '.join(sorted(missing))}")


def error_problems(body: Any) -> list[str]:
    """The deviations of an error body (docs/api.md, Errors)."""
    wrong = problems(body, ERROR)
    if wrong:
        return wrong
    if not body["message"] or not body["message"] == body["detail"] == body["error"]:
        wrong.append("message, detail and error differ")
    if body["code"] == "VALIDATION_ERROR":
        for name, messages in body["details"].items():
            if not (isinstance(messages, list) and all(isinstance(one, str) for one in messages)):
                wrong.append(f"details.{name} is not a list of messages")
            elif name not in (*ERROR, *DRY_RUN) and body.get(name) != messages:
                wrong.append(f"{name} is not at the top level too")
    return wrong


class Member:
    """A staff member using the app, with the headers that the app sends."""

    def __init__(self, wire: Wire, hotel: str, username: str, password: str) -> None:
        self.wire, self.hotel, self.username, self.password = wire, hotel, username, password
        self.headers: dict[str, str] = {}
        self.profile: dict[str, Any] = {}

    def sign_in(self) -> dict[str, Any]:
        """Sign in; returns the response body."""
        credentials = json.dumps({"username": self.username, "password": self.password})
        response, body = self.wire.send(
            "POST", "/api/staff/login/", headers={"Content-Type": "application/json"}, data=credentials
        )
        if response.status_code != 200:
            raise Deviation(f"{self.username} cannot sign in: {response.status_code} {response.text:.200}")
        self.profile = body
        self.headers = {
            "Authorization": f"Token {body['token']}",
            "X-Hotel-ID": str(body["hotel_id"]),
            "X-Hotel-Slug": body["hotel_slug"],
        }
        return self.profile

    def call(
        self,
        method: str,
        path: str,
        body: Any = NO_BODY,
        *,
        status: int = 200,
        shape: Any = None,
        code: str = "",
        begins: str = "",
        query: Mapping[str, Any] | None = None,
        **headers: str,
    ) -> Any:
        """Send a request below the hotel (``rooms/101/inspect/``) or elsewhere (``/api/…``); returns the body.

        Raises Deviation for another status, and records other deviations. ``headers``: for example ``if_match``.
        """
        full = path if path.startswith("/") else f"/api/staff/hotel/{self.hotel}/{path}"
        sent = self.headers | {name.replace("_", "-").title(): value for name, value in headers.items()}
        data = None
        if body is not NO_BODY:
            sent["Content-Type"] = "application/json"
            data = body if isinstance(body, str) else json.dumps(body)
        response, content = self.wire.send(method, full, headers=sent, data=data, query=query)
        where = f"{method} {path}"
        if response.status_code != status:
            raise Deviation(f"{where} returns {response.status_code}, not {status}: {response.text:.300}")
        if shape is not None:
            self.wire.row.wrong += [f"{where}: {line}" for line in problems(content, shape)]
        if code and content.get("code") != code:
            self.wire.row.wrong.append(f"{where}: the code is {content.get('code')}, not {code}")
        if begins and not str(content.get("message")).startswith(begins):
            self.wire.row.wrong.append(f"{where}: the message {content.get('message')!r} does not begin with {begins}")
        return content

    def get(self, path: str, **options: Any) -> Any:
        """GET; the keywords of ``call``."""
        return self.call("GET", path, **options)

    def post(self, path: str, body: Any = NO_BODY, **options: Any) -> Any:
        """POST, by default without a body, as the app does."""
        return self.call("POST", path, body, **options)

    def patch(self, path: str, body: Any, **options: Any) -> Any:
        """PATCH."""
        return self.call("PATCH", path, body, **options)

    def put(self, path: str, body: Any, **options: Any) -> Any:
        """PUT."""
        return self.call("PUT", path, body, **options)

    def delete(self, path: str, **options: Any) -> Any:
        """DELETE."""
        return self.call("DELETE", path, **{"status": 204, **options})
