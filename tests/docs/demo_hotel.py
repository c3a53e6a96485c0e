"""The hotel that the documentation's examples call: the demo's resort with fewer guests, at three in the afternoon.

``python -m tests.docs.demo_hotel`` creates it in DATABASE_URL; gunicorn serves ``application``. Both run with the clock
shifted by ``CLOCK_OFFSET`` seconds, so that check-in is open at any hour.
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
SERVED = os.environ["SERVED"]  # a file with a line for each curl request, such as "403 POST /api/…"


def moment() -> datetime:
    """The hotel's current time."""
    return datetime.now(UTC) + OFFSET


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """HotelMate at the shifted time; logs each response's status before the client receives it."""

    def noted(status: str, *rest: Any) -> Any:
        if environ.get("HTTP_USER_AGENT", "").startswith("curl"):
            with open(SERVED, "a") as file:
                file.write(f"{status[:3]} {environ['REQUEST_METHOD']} {environ['PATH_INFO']}\n")
        return start_response(status, *rest)

    with clock.set_to(moment()):
        return hotelmate(environ, noted)


hotelmate = get_wsgi_application()


def a_few(stays: Iterable[Stay]) -> Iterator[Stay]:
    """The resort's stays of today, and one in twelve of the others."""
    day = demo.TODAY["resort"]
    for stay in stays:
        today = day in (stay.arrival, stay.left) or stay.left == day - timedelta(days=1)
        if stay.hotel == "resort" and (today or stay.number % 12 == 0):
            yield stay


def make() -> None:
    """Migrate the database and seed the demo."""
    call_command("migrate", verbosity=0)
    demo.HOTELS = HOTELS[:1]
    demo.read_stays = lambda path: a_few(read_stays(path))  # type: ignore[assignment]
    with clock.set_to(moment()):
        call_command("seed_demo", verbosity=0)


if __name__ == "__main__":
    make()
