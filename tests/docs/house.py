"""The house that the documentation's pages talk to: the demo's resort with fewer guests, at three in the afternoon.

``python -m tests.docs.house`` makes it in the database of DATABASE_URL; gunicorn serves its ``application``. In both
the clock runs, but ``CLOCK_OFFSET`` seconds away from the machine's: arrivals may come, whatever the hour.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import django
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application

django.setup()

from common import clock  # noqa: E402 - settings come first
from operations import demo  # noqa: E402
from operations.replay.hotels import HOTELS  # noqa: E402
from operations.replay.records import Stay, read_stays  # noqa: E402

OFFSET = timedelta(seconds=float(os.environ["CLOCK_OFFSET"]))
SERVED = os.environ["SERVED"]  # a file: a line for each of curl's requests, "403 POST /api/…"


def moment() -> datetime:
    """What the house's clock says."""
    return datetime.now(UTC) + OFFSET


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """HotelMate, at its hour; each answer's status is noted before the client has it."""

    def noted(status: str, *rest: Any) -> Any:
        if environ.get("HTTP_USER_AGENT", "").startswith("curl"):
            with open(SERVED, "a") as file:
                file.write(f"{status[:3]} {environ['REQUEST_METHOD']} {environ['PATH_INFO']}\n")
        return start_response(status, *rest)

    with clock.set_to(moment()):
        return hotelmate(environ, noted)


hotelmate = get_wsgi_application()


def a_few(stays: Iterable[Stay]) -> Iterator[Stay]:
    """Of the resort's stays those of today and each twelfth of the rest."""
    day = demo.TODAY["resort"]
    for stay in stays:
        today = day in (stay.arrival, stay.left) or stay.left == day - timedelta(days=1)
        if stay.hotel == "resort" and (today or stay.number % 12 == 0):
            yield stay


def make() -> None:
    """The tables, and what is in them."""
    call_command("migrate", verbosity=0)
    demo.HOTELS = HOTELS[:1]
    demo.read_stays = lambda path: a_few(read_stays(path))  # type: ignore[assignment]
    with clock.set_to(moment()):
        call_command("seed_demo", verbosity=0)


if __name__ == "__main__":
    make()
