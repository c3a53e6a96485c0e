"""Requests are counted and timed by URL name, with a bounded number of names."""

from typing import Any

import pytest
from django.test import Client
from prometheus_client import REGISTRY, CollectorRegistry, Gauge

from common import metrics
from tests.conftest import url
from tests.factories import NewRoomFactory, room_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def counted() -> Any:
    """``counted()`` returns ``{(operation, status): requests}`` since the test began."""

    def all_of_them() -> dict[tuple[str, str], float]:
        return {
            (sample.labels["operation"], sample.labels["status"]): sample.value
            for family in metrics.registry.collect()
            for sample in family.samples
            if sample.name == "hotelmate_operation_seconds_count"
        }

    before = all_of_them()
    return lambda: {
        name: number - before.get(name, 0) for name, number in all_of_them().items() if number > before.get(name, 0)
    }


def test_an_operation_is_named_by_its_url_name_without_ids(api, manager, hotel, counted):
    client = api(manager)
    for room in (room_in("READY_FOR_GUEST", hotel=hotel), room_in("READY_FOR_GUEST", hotel=hotel)):
        assert client.post(url(manager, f"rooms/{room.pk}/status/"), {"to_status": "CHECKOUT_DIRTY"}).status_code == 200
    assert client.post(url(manager, "rooms/0/status/"), {"to_status": "CHECKOUT_DIRTY"}).status_code == 404
    assert counted() == {("POST room-status", "200"): 2, ("POST room-status", "404"): 1}


def test_unknown_paths_share_one_name(client, counted):
    for path in ("/api/nothing/", "/api/staff/hotel/grand/rooms/12/nothing/", "/wp-login.php"):
        assert client.get(path).status_code == 404
    assert counted() == {("unknown", "404"): 3}


def test_unknown_methods_share_one_name(client, counted):
    for method in ("BREW", "WHEN"):
        assert client.generic(method, "/api/staff/login/").status_code == 405
    assert counted() == {("OTHER login", "405"): 2}


def test_a_route_without_a_name_is_named_by_its_pattern(client, counted):
    assert client.post("/pusher/auth").status_code == 400
    assert client.get("/").status_code == 302
    assert counted() == {("POST pusher/auth", "400"): 1, ("GET /", "302"): 1}


def test_refused_bodies_and_bugs_are_counted(manager, api, counted, monkeypatch):
    client = Client(raise_request_exception=False)
    assert (
        client.post("/api/staff/login/", headers={"transfer-encoding": "chunked"}, CONTENT_LENGTH="").status_code == 400
    )
    monkeypatch.setattr("rooms.views.TurnoverViewSet.rooms", lambda *_, **__: 1 / 0)
    assert api(manager).get(url(manager, "turnover/rooms/")).status_code == 500
    assert counted() == {("unknown", "400"): 1, ("GET turnover-rooms", "500"): 1}


def test_probes_and_preflights_are_not_operations(client, counted, settings):
    settings.CORS_ALLOWED_ORIGINS = ["https://desk.example"]
    client.get("/healthz")
    preflight = {"origin": "https://desk.example", "access-control-request-method": "POST"}
    assert client.options("/api/staff/login/", headers=preflight).status_code == 200
    assert counted() == {}


def test_counting_takes_no_statement(api, manager, hotel, statements):
    """Other endpoints' statement counts are in tests/hotelmate/test_statements.py."""
    NewRoomFactory(hotel=hotel)
    client = api(manager)
    with statements() as made:
        assert client.get(url(manager, "me/")).status_code == 200
    assert len(made) == 1


def test_a_failing_counter_does_not_fail_the_request(client, monkeypatch, caplog):
    def full(*_: Any) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("prometheus_client.Histogram.labels", full)
    assert client.get("/api/nothing/").status_code == 404
    assert "unknown could not be counted" in caplog.messages


def test_the_default_registry_is_not_used():
    assert not [family for family in REGISTRY.collect() if family.name.startswith("hotelmate")]


@pytest.mark.parametrize("trouble", ["empty file", "no folder"])
def test_unreadable_counters_do_not_hide_other_metrics(trouble, monkeypatch, tmp_path, caplog):
    """A process died before writing anything, or the folder was deleted."""
    folder = tmp_path / "gone" if trouble == "no folder" else tmp_path
    (tmp_path / "counter_1.db").touch()
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(folder))
    monkeypatch.setattr(metrics, "FOLDER", str(folder))
    more = CollectorRegistry()
    Gauge("hotelmate_something", "What the database says.", registry=more).set(4)
    assert b"hotelmate_something 4.0" in metrics.page(more)
    assert "cannot be read" in caplog.text
