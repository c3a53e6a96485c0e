"""The conformance run reports every kind of deviation, and none of a correct response."""

import copy

import pytest

from rooms.serializers import ROOM_EXAMPLE
from tests.http import document as generated
from tools.conformance.checking import keyed, maybe, problems
from tools.conformance.checks import TABLES
from tools.conformance.client import error_problems
from tools.conformance.document import Document
from tools.conformance.report import Report, Row
from tools.conformance.shapes import ROOM

ERROR = {
    "code": "VALIDATION_ERROR",
    "message": "to_status: required.",
    "detail": "to_status: required.",
    "error": "to_status: required.",
    "details": {"to_status": ["required."]},
    "to_status": ["required."],
}
HISTORY = "/api/staff/hotel/grand/rooms/1/status-history/"
EMPTY = {
    "room": {"id": 1, "room_number": 101, "current_status": "OCCUPIED"},
    "status_history": [],
    "total_events": 0,
    "next_before": None,
}


@pytest.fixture
def document() -> Document:
    return Document(copy.deepcopy(generated()))


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        (1, "int"),
        (None, "int?"),
        (1.5, "number"),
        (101, "room"),
        ("0101", "room"),
        ("95.00", "money"),
        ("2026-07-01T09:12:45.120000Z", "time"),
        ("2026-07-01", "date"),
        ({"a": 1, "b": 2}, {"a": "int"}),
        ([1, 2], ["int"]),
        (None, maybe({"a": "int"})),
        ({"x": True}, keyed("bool", ("x",))),
    ],
)
def test_correct_shapes_have_no_problems(value, shape):
    assert problems(value, shape) == []


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        ("1", "int"),
        (True, "int"),
        (None, "int"),
        (95, "money"),
        ("95", "money"),
        ("2026-07-01T09:12:45+00:00", "time"),
        ("2026-07-01T00:00:00Z", "date"),
        ({"b": 1}, {"a": "int"}),
        ([], {"a": "int"}),
        ({"a": 1}, ["int"]),
        ([1, "2"], ["int"]),
        ("LOST", frozenset({"OPEN"})),
        ({"x": 1}, keyed("bool")),
        ({"x": True, "y": True}, keyed("bool", ("x",))),
    ],
)
def test_wrong_shapes_have_one_problem(value, shape):
    assert len(problems(value, shape)) == 1


def test_renamed_and_retyped_fields_are_named():
    assert problems(ROOM_EXAMPLE, ROOM) == []
    renamed = {("number" if key == "room_number" else key): value for key, value in ROOM_EXAMPLE.items()}
    assert problems(renamed, ROOM) == [".room_number is missing"]
    assert problems({**ROOM_EXAMPLE, "room_number": "101"}, ROOM) == [".room_number is '101', not room"]
    price = {"amount": 95.0, "currency": "EUR"}
    assert problems({**ROOM_EXAMPLE, "current_price": price}, ROOM) == [".current_price.amount is 95.0, not money"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"message": ["a list"]},
        {"detail": "another sentence"},
        {"details": []},
        {"details": {"to_status": "required."}},
        {"to_status": "required."},
    ],
)
def test_wrong_error_bodies_are_reported(wrong):
    assert error_problems(ERROR) == []
    assert error_problems({**ERROR, **wrong}) != []


@pytest.mark.parametrize(
    ("status", "body", "query"),
    [
        (200, {**EMPTY, "colour": "blue"}, {}),
        (200, {**EMPTY, "total_events": "0"}, {}),
        (200, None, {}),
        (418, ERROR, {}),
        (404, {**ERROR, "colour": "blue"}, {}),
        (200, EMPTY, {"colour": "blue"}),
    ],
)
def test_undocumented_responses_are_reported(document, status, body, query):
    assert document.problems("GET", HISTORY, 200, EMPTY, {"limit": "5", "x_ignored": "1"}) == []
    assert document.problems("GET", HISTORY, 400, ERROR, {}) == []
    assert document.problems("GET", HISTORY, status, body, query) != []


def test_undocumented_paths_are_reported(document):
    assert document.problems("GET", "/api/staff/hotel/grand/minibar/", 200, {}, {}) != []
    assert document.problems("GET", "/api/staff/hotel/grand/minibar/", 404, ERROR, {}) == []


def test_operations_never_called_are_listed(document):
    path = "/api/staff/hotel/{slug}/rooms/{rid}/status-history/"
    assert f"GET {path}" in document.untried()
    document.problems("GET", HISTORY, 404, ERROR, {})
    assert f"GET {path}" in document.untried()
    document.problems("GET", HISTORY, 200, EMPTY, {})
    assert f"GET {path}" not in document.untried()


def test_rooms_checkin_is_not_matched_as_a_room(document):
    assert document.template("/api/staff/hotel/grand/rooms/checkin/") == "/api/staff/hotel/{slug}/rooms/checkin/"


def test_one_deviation_fails_the_run():
    lines: list[str] = []
    report = Report(lines.append)
    report.done(Row("Rooms", "good", print))
    assert report.summary()
    report.done(Row("Rooms", "bad", print, wrong=["room_number is missing"]))
    assert not report.summary()
    assert any("room_number is missing" in line for line in lines)


def test_row_titles_are_unique():
    titles = [(row.section, row.title) for table in TABLES for row in table.rows]
    assert len(titles) == len(set(titles))
    sections = {"Conventions", "Sign-in", "Rooms", "Housekeeping", "Room status", "Bookings", "Live events"}
    assert {section for section, _ in titles} == sections | {"Details", "OpenAPI"}
