"""Shows where a status update spends its time: one process, one request after the other, under cProfile.

The profiler slows Python's calls but not PostgreSQL, so the shares are only a rough guide.
"""

import cProfile
import json
import pstats
import sysconfig
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.test import RequestFactory

from local.datadir import PROJECT
from notifications import wakeup
from rooms.models import RoomStatus
from tools.bench.hotels import BenchHotel
from tools.bench.report import Report, Row
from tools.bench.scale import Scale
from tools.bench.service_level import STEPS
from tools.harness.installation import Installation

LIBRARIES = Path(sysconfig.get_path("purelib"))
# By path prefix; the first match counts.
OWNERS = (
    (LIBRARIES / "django" / "db", "Django's ORM and connections"),
    (LIBRARIES / "django", "Django's handler, middleware, routes"),
    (LIBRARIES / "rest_framework", "Django REST framework"),
    (LIBRARIES, "other libraries"),
    (PROJECT, "HotelMate"),
)
STATEMENTS, COMMIT, PYTHON = "waiting for PostgreSQL: statements", "waiting for PostgreSQL: commit", "Python's library"


def measure(installation: Installation, scale: Scale, report: Report) -> None:
    """Change each room of a hotel and back, the second time under the profiler."""
    hotel = BenchHotel("profile", scale.requests)
    hotel.set(hotel.rooms, RoomStatus.CHECKOUT_DIRTY)
    application = get_wsgi_application()
    wakeup.relay_started()  # as in a web process, where waking the relay needs no statement
    try:
        _change_all(application, hotel, STEPS[0])
        installation.pause(0)
        profile = cProfile.Profile()
        profile.runcall(_change_all, application, hotel, STEPS[1])
    finally:
        wakeup.relay_stopped()
        connection.close()
    shares = _shares(pstats.Stats(profile))
    rows = [Row(owner, {"share %": 100 * share}) for owner, share in shares.most_common()]
    report.add("Where the time of a status update goes", rows)


def _change_all(application: Callable[..., Any], hotel: BenchHotel, to_status: str) -> None:
    factory, body = RequestFactory(SERVER_NAME="127.0.0.1"), json.dumps({"to_status": to_status})
    for room in hotel.rooms:
        path, token = f"{hotel.path}/rooms/{room.pk}/status/", {"Authorization": f"Token {hotel.token}"}
        request = factory.post(path, body, content_type="application/json", headers=token)
        statuses: list[str] = []
        response = application(request.environ, lambda status, _headers, statuses=statuses: statuses.append(status))
        content = b"".join(response)
        response.close()
        if statuses != ["200 OK"]:
            raise RuntimeError(f"{path} returned {statuses}: {content[:500]!r}")


def _shares(stats: Any) -> Counter[str]:
    """Each owner's share of the total time; C code counts for its caller, except the driver's waiting."""
    spent: Counter[str] = Counter()
    for (file, _, name), (_, _, own, _, callers) in stats.stats.items():
        if "psycopg2" in name and "execute" in name:
            spent[STATEMENTS] += own
        elif "psycopg2" in name and "commit" in name:
            spent[COMMIT] += own
        elif file == "~":
            for (caller, _, _), (_, _, seconds, _) in callers.items():
                spent[_owner(caller)] += seconds
        else:
            spent[_owner(file)] += own
    whole = sum(spent.values())
    return Counter({owner: seconds / whole for owner, seconds in spent.items()})


def _owner(file: str) -> str:
    path = Path(file)
    return next((owner for folder, owner in OWNERS if path.is_relative_to(folder)), PYTHON)
