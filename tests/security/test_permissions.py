"""docs/permissions.md matches the server's responses, for every endpoint."""

import re
from difflib import unified_diff

import pytest

from board.urls import urlpatterns as board_urls
from hotelmate.urls import hotel_urls
from tests.endpoints import ENDPOINTS
from tests.security.permissions import DONE, FILE, WROTE, document, shown

pytestmark = pytest.mark.django_db
BY_HAND = "docs/permissions.md and the server differ: `make permissions` renews the page; read what has changed in it"


@pytest.fixture(scope="module")
def page() -> str:
    return FILE.read_text()


@pytest.mark.usefixtures("all_endpoints_configured")
def test_page_matches_the_servers_responses(page):
    answered = document()
    if answered != page:
        # Not an assertion: pytest compares long texts for minutes.
        lines = unified_diff(page.splitlines(), answered.splitlines(), "the page", "the server", n=0, lineterm="")
        pytest.fail("\n".join([BY_HAND, *lines]))


def rows_of(page: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("|")]


def test_every_endpoint_is_on_the_page(page):
    addresses = {row[0] for row in rows_of(page)}
    for endpoint in ENDPOINTS:
        assert shown(endpoint) in addresses
    assert {str(pattern.pattern) for pattern in hotel_urls} == {endpoint.route for endpoint in ENDPOINTS}
    pages = {str(pattern.pattern).replace("<slug:slug>", "{slug}") for pattern in board_urls}
    assert pages - {"", "sign-in/", "sign-out/"} == {
        address.removeprefix("`GET ").rstrip("`") for address in addresses if address.startswith("`GET {slug}/")
    }


def test_refusals_write_nothing_and_other_hotels_are_refused(page):
    """The page would show it, but a leak that was regenerated into the page is only found here."""
    assert WROTE.strip() not in page
    columns: list[str] = []
    for row in rows_of(page):
        if row[0] in ("endpoint", "channel", "page", "rows: action"):
            columns = row
        elif len(row) == len(columns):
            answers = dict(zip(columns, row, strict=True))
            for column in ("other hotel", "foreign id in URL", "foreign id in body", "anonymous"):
                assert DONE not in answers.get(column, ""), row
    assert len(re.findall(r"^\| `(GET|POST|PUT|PATCH|DELETE) ", page, re.M)) > 70
