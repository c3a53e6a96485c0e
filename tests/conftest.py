"""Fixtures that many tests share: a house, its people, and clients that call the API as them."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext
from knox.models import AuthToken
from rest_framework.test import APIClient

from common.prepared import STATEMENTS
from hotel import rights
from hotel.models import Hotel, Staff
from tests import flush
from tests.factories import HotelFactory, StaffFactory
from tests.http import DocumentedClient
from tools.harness.stripe_server import KEY as STRIPE_KEY
from tools.harness.stripe_server import StripeServer, stripe_server

flush.install()


@pytest.fixture(autouse=True, scope="session")
def _mail_is_queued(django_test_environment: None) -> None:
    """Django's test environment puts a mailbox in place of the queue, and mail would bypass its transaction."""
    settings.EMAIL_BACKEND = "mailer.backend.DbBackend"


@pytest.fixture(autouse=True)
def _clean_flush(request: pytest.FixtureRequest) -> None:
    """A transactional test leaves the groups of the migrations to those after it."""
    marker = request.node.get_closest_marker("django_db")
    if "transactional_db" in request.fixturenames or (marker and marker.kwargs.get("transaction")):
        request.getfixturevalue("transactional_db")
        flush.remember()


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
    """A client that sends the member's token, checks each answer against the OpenAPI document, and answers a 500
    rather than raising (as a user would see it)."""
    _, token = AuthToken.objects.create(user=staff.user)
    client = DocumentedClient(raise_request_exception=False)
    client.credentials(HTTP_AUTHORIZATION=f"Token {token}")
    return client


@pytest.fixture
def api() -> Callable[[Staff], APIClient]:
    """``api(staff)`` is a client signed in as that member."""
    return token_client


def in_full(sql: str) -> str:
    """A statement, and of one that was prepared what it stands for; with its values, where it reads."""
    prepared = re.fullmatch(r"EXECUTE (\w+)\((.*)\)", sql, re.DOTALL)
    if not prepared:
        return sql
    text = STATEMENTS[prepared[1]].text
    if not text.startswith("SELECT"):
        return text
    for number, value in enumerate(prepared[2].split(", "), start=1):
        text = text.replace(f"${number}", value)
    return text


@pytest.fixture
def statements() -> Callable[[], CaptureQueriesContext]:
    """``with statements() as made: …`` counts SQL statements; savepoints, BEGIN and COMMIT aside."""

    class Statements(CaptureQueriesContext):
        def sql(self) -> list[str]:
            words = ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE", "ROLLBACK")
            return [in_full(query["sql"]) for query in self.captured_queries if not query["sql"].startswith(words)]

        def __len__(self) -> int:
            return len(self.sql())

    return lambda: Statements(connection)


@pytest.fixture
def stripe(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[StripeServer]:
    """A stand-in of Stripe, which the application talks to; the library's pauses between its tries are short."""
    monkeypatch.setattr("stripe.HTTPClient.INITIAL_DELAY", 0.02)
    with stripe_server() as server:
        settings.STRIPE_SECRET_KEY, settings.STRIPE_API_BASE = STRIPE_KEY, server.address
        yield server


def url(staff: Staff, rest: str) -> str:
    """An address under the member's own hotel."""
    return f"/api/staff/hotel/{staff.hotel.slug}/{rest}"


AnyDict = dict[str, Any]
