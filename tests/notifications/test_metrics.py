"""Metrics add up over several processes: real web processes and a real worker, killed and restarted."""

import os
import signal
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from housekeeping.models import Source
from housekeeping.services import set_room_status
from local.metrics_folder import shared_memory
from notifications.models import RealtimeEvent
from tests.factories import HotelFactory, room_in
from tests.notifications.conftest import COUNTERS, PATIENCE, STARTING, sending_to, until

pytestmark = pytest.mark.django_db(transaction=True)


class Web:
    """A gunicorn as in production, with two processes."""

    def __init__(self, start: Callable[..., subprocess.Popen[str]], port: int, **environ: str) -> None:
        self.port = port
        self.process = start(port, REALTIME_RELAY="off", **environ)
        until(self.answers, STARTING)

    def answers(self) -> bool:
        assert self.process.poll() is None, self.process.communicate()
        try:
            return self.get("/healthz").status_code == 200
        except requests.ConnectionError:
            return False

    def get(self, path: str) -> requests.Response:
        return requests.get(f"http://127.0.0.1:{self.port}{path}", timeout=PATIENCE)

    def ask(self, times: int) -> None:
        for _ in range(times):
            assert self.get("/api/nothing/").status_code == 404

    def metrics(self) -> dict[str, float]:
        """The metrics as ``{name: the sum over its labels}``."""
        answer = self.get("/metrics")
        assert answer.status_code == 200
        found: dict[str, float] = {}
        for family in text_string_to_metric_families(answer.text):
            for sample in family.samples:
                found[sample.name] = found.get(sample.name, 0) + sample.value
        return found

    def asked(self) -> float:
        return self.metrics().get("hotelmate_operation_seconds_count", 0)

    def children(self) -> set[int]:
        return {
            int(pid) for pid in Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        }


def mapped(pid: int) -> set[Path]:
    """The files that a process has memory-mapped."""
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return {Path(words[5]) for line in lines if len(words := line.split(maxsplit=5)) == 6}


def test_metrics_of_web_processes_and_worker_add_up_even_after_a_kill(
    start_web, start_worker, server, unused_port, tmp_path
):
    folder = {COUNTERS: str(tmp_path / "counts")}
    web = Web(start_web, unused_port, **folder)
    worker = start_worker(**sending_to(server.port), **folder)

    room = room_in("READY_FOR_GUEST", hotel=HotelFactory())
    set_room_status(room=room, to_status="CHECKOUT_DIRTY", source=Source.SYSTEM)
    made = RealtimeEvent.objects.count()
    until(lambda: not RealtimeEvent.objects.filter(sent_at=None).exists())
    found = until(lambda: (shown := web.metrics())["hotelmate_events_sent_total"] >= made and shown)
    assert found["hotelmate_events_sent_total"] == found["hotelmate_event_delivery_seconds_count"] == made
    assert (found["hotelmate_events_waiting"], found["hotelmate_events_parked_now"]) == (0, 0)

    asked = 40
    web.ask(asked)
    assert web.asked() == asked
    pids = web.children()

    # One web process and the worker are killed and replaced: their counts stay.
    victim = pids.pop()
    os.kill(victim, signal.SIGKILL)
    worker.kill()
    worker.communicate()
    until(lambda: len(web.children() - {victim}) == 2)
    again = start_worker(**sending_to(server.port), **folder)
    web.ask(asked)
    found = web.metrics()
    assert found["hotelmate_operation_seconds_count"] == 2 * asked
    assert found["hotelmate_events_sent_total"] == made

    web.process.terminate()
    _, errors = web.process.communicate(timeout=PATIENCE)
    assert "Warning" not in errors
    assert "Traceback" not in errors
    again.terminate()
    assert again.communicate(timeout=PATIENCE)[1] == ""


def test_web_processes_share_a_temporary_folder_by_default(start_web, unused_port):
    web = Web(start_web, unused_port)
    until(lambda: len(web.children()) == 2)
    web.ask(20)
    assert web.asked() == 20
    [own] = {path.parent for pid in web.children() for path in mapped(pid) if path.suffix == ".db"}
    assert own.parent == (shared_memory() or Path(tempfile.gettempdir()))
    assert own.stat().st_mode & 0o777 == 0o700

    before = web.children()
    web.process.send_signal(signal.SIGHUP)  # they are replaced, with the same folder
    until(lambda: web.children().isdisjoint(before) and len(web.children()) == 2)
    web.ask(5)
    assert web.asked() == 25
    assert own.exists()

    web.process.terminate()
    web.process.communicate(timeout=PATIENCE)
    assert not own.exists()
