"""The same requests to a web server that connects directly, and to one that connects through PgBouncer."""

from django.db import connection

from local import LocalError
from local.service import free_port
from rooms.models import RoomStatus
from tools.bench import meters
from tools.bench.hotels import BenchHotel
from tools.bench.http_level import PROCESSES, TURNS, Case, Changes, block, page_calls
from tools.bench.report import Report, Row
from tools.bench.scale import Scale
from tools.harness.installation import Installation
from tools.harness.pgbouncer import pgbouncer, program

WAYS = ("direct", "pooled")


def measure(installation: Installation, scale: Scale, report: Report) -> None:
    """Alternate between the two servers; the ratios are those of neighbouring blocks. Needs PgBouncer."""
    try:
        program()
    except LocalError as error:
        report.notes.append(str(error))
        return
    hotel = BenchHotel("pooled", scale.requests + scale.alone + 1)
    hotel.set(hotel.rooms, RoomStatus.CHECKOUT_DIRTY)
    cases = [
        Case("status update", Changes(hotel, hotel.rooms, by_hand=False).calls),
        Case("dashboard", page_calls(hotel, "/housekeeping/dashboard/"), 0.25),
    ]
    url = installation.environment["DATABASE_URL"]
    rounds: dict[str, list[dict[str, float]]] = {f"{case.name}, {way}": [] for case in cases for way in WAYS}
    with connection.cursor() as cursor:
        cursor.execute("ALTER ROLE CURRENT_USER SET lock_timeout = '3s'")
        cursor.execute("ALTER ROLE CURRENT_USER SET jit = off")
        cursor.execute("VACUUM ANALYZE")
    with pgbouncer(url, installation.pause) as pooled:
        installation.start_web(processes=PROCESSES, relay="off")
        servers = {"direct": (installation.web, installation.web_port)}
        installation.web_port = free_port()
        through = {"DATABASE_URL": pooled, "DATABASE_DIRECT_URL": url, "DATABASE_POOLER": "transaction"}
        installation.start_web(processes=PROCESSES, relay="off", name="pooled", **through)
        servers["pooled"] = (installation.web, installation.web_port)
        try:
            for number in range((scale.rounds + 1) * TURNS):
                installation.pause(0)
                for case in cases:
                    for way in WAYS:
                        installation.web, installation.web_port = servers[way]
                        figures = block(installation, case, scale)
                        if number >= TURNS:  # the first ones are a warm-up
                            base = figures if way == "direct" else rounds[f"{case.name}, direct"][-1]
                            figures["× direct"] = figures["web ms"] / base["web ms"]
                            rounds[f"{case.name}, {way}"].append(figures)
        finally:
            for web, _ in servers.values():
                web.stop()
            connection.close()
    report.add("Behind a pooler", [Row(name, meters.medians(figures)) for name, figures in rounds.items()])
