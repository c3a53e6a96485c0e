"""Shared fixtures: a hotel, a staff member of each role, API clients, statement counting and a fake Stripe."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from knox.models import AuthToken
from rest_framework.test import APIClient

from common.prepared import AND, STATEMENTS
from hotel import rights
from hotel.models import Hotel, Staff
from tests import fast_flush
from tests.factories import HotelFactory, StaffFactory
from tests.http import DocumentedClient
from tools.harness.stripe_server import KEY as STRIPE_KEY
from tools.harness.stripe_server import StripeServer, stripe_server

fast_flush.install()


@pytest.fixture(autouse=True)
def _clean_flush(request: pytest.FixtureRequest) -> None:
    """A transactional test keeps the groups that migrations created (tests/fast_flush.py)."""
    marker = request.node.get_closest_marker("django_db")
    if "transactional_db" in request.fixturenames or (marker and marker.kwargs.get("transaction")):
        request.getfixturevalue("transactional_db")
        fast_flush.remember_migrated_rows()


@pytest.fixture
def hotel(db: None) -> Hotel:
    return HotelFactory(slug="grand")


@pytest.fixture
def manager(hotel: Hotel) -> Staff:
    return StaffFactory(hotel=hotel, role=rights.HOTEL_MANAGER, user__username="manager", user__is_staff=True)


@pytest.fixture
def supervisor(hotel: Hotel) -> Staff:
    return StaffFactory(hotel=hotel, role=rights.HOUSEKEEPING_SUPERVISOR, user__username="supervisor")


@pytest.fixture
def housekeeper(hotel: Hotel) -> Staff:
    return StaffFactory(hotel=hotel, role=rights.HOUSEKEEPER, user__username="housekeeper")


@pytest.fixture
def agent(hotel: Hotel) -> Staff:
    return StaffFactory(hotel=hotel, role=rights.FRONT_DESK_AGENT, user__username="agent")


@pytest.fixture
def office_manager(hotel: Hotel) -> Staff:
    return StaffFactory(hotel=hotel, role=rights.FRONT_OFFICE_MANAGER, user__username="office")


def token_client(staff: Staff) -> APIClient:
    """A client that sends the member's token and checks each response against the OpenAPI document.

    An unhandled exception becomes a 500 response, as it does for users.
    """
    _, token = AuthToken.objects.create(user=staff.user)
    client = DocumentedClient(raise_request_exception=False)
    client.credentials(HTTP_AUTHORIZATION=f"Token {token}")
    return client


@pytest.fixture
def api() -> Callable[[Staff], APIClient]:
    """``api(staff)`` returns a client that is signed in as that staff member."""
    return token_client


def in_full(sql: str) -> str:
    """The SQL of a statement; for EXECUTE, the prepared text (with its values filled in, for a SELECT)."""
    prepared = re.fullmatch(r"EXECUTE (\w+)\((.*)\)", sql, re.DOTALL)
    if not prepared:
        return sql
    text = STATEMENTS[prepared[1]].text
    if not text.startswith("SELECT"):
        return text
    values = re.split(r", (?![^\[]*\])", prepared[2])  # not within ARRAY[1, 2]
    for number, value in enumerate(values, start=1):
        text = text.replace(f"${number}", value)
    return text


@pytest.fixture
def statements() -> Callable[[], CaptureQueriesContext]:
    """``with statements() as made: …`` records SQL statements: ``len(made)``, ``made.sql()``.

    BEGIN, COMMIT and savepoints are left out.
    """

    class Statements(CaptureQueriesContext):
        def sql(self) -> list[str]:
            words = ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE", "ROLLBACK")
            sent = [query["sql"] for query in self.captured_queries if not query["sql"].startswith(words)]
            return [in_full(sql) for together in sent for sql in together.split(AND)]

        def __len__(self) -> int:
            return len(self.sql())

    return lambda: Statements(connection)


@pytest.fixture
def stripe(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[StripeServer]:
    """A fake Stripe server that the application calls, with short pauses between the library's retries."""
    monkeypatch.setattr("stripe.HTTPClient.INITIAL_DELAY", 0.02)
    with stripe_server() as server:
        settings.STRIPE_SECRET_KEY, settings.STRIPE_API_BASE = STRIPE_KEY, server.address
        yield server


def url(staff: Staff, rest: str) -> str:
    """A path under the staff member's hotel."""
    return f"/api/staff/hotel/{staff.hotel.slug}/{rest}"


AnyDict = dict[str, Any]
