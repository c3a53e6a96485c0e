"""What the conformance run looks at: every kind of deviation is seen, and a good answer is left alone."""

import copy

import pytest

from rooms.serializers import ROOM_EXAMPLE
from tests.http import document as generated
from tools.conformance.checking import keyed, maybe, problems
from tools.conformance.client import error_problems
from tools.conformance.document import Document
from tools.conformance.play import TABLES
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
        ("95.00", "money"),
        ("2026-07-01T09:12:45.120000Z", "time"),
        ("2026-07-01", "date"),
        ({"a": 1, "b": 2}, {"a": "int"}),
        ([1, 2], ["int"]),
        (None, maybe({"a": "int"})),
        ({"x": True}, keyed("bool", ("x",))),
    ],
)
def test_what_has_the_shape_is_left_alone(value, shape):
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
def test_what_has_not_is_told(value, shape):
    assert len(problems(value, shape)) == 1


def test_a_field_that_is_renamed_or_of_another_type_is_named():
    assert problems(ROOM_EXAMPLE, ROOM) == []
    renamed = {("number" if key == "room_number" else key): value for key, value in ROOM_EXAMPLE.items()}
    assert problems(renamed, ROOM) == [".room_number is missing"]
    assert problems({**ROOM_EXAMPLE, "room_number": "101"}, ROOM) == [".room_number is '101', not int"]
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
def test_a_refusal_in_another_shape_is_told(wrong):
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
def test_what_the_document_does_not_say_is_told(document, status, body, query):
    assert document.problems("GET", HISTORY, 200, EMPTY, {"limit": "5", "x_ignored": "1"}) == []
    assert document.problems("GET", HISTORY, 400, ERROR, {}) == []
    assert document.problems("GET", HISTORY, status, body, query) != []


def test_an_address_that_the_document_lacks_is_told(document):
    assert document.problems("GET", "/api/staff/hotel/grand/minibar/", 200, {}, {}) != []
    assert document.problems("GET", "/api/staff/hotel/grand/minibar/", 404, ERROR, {}) == []


def test_what_was_never_called_is_known(document):
    path = "/api/staff/hotel/{slug}/rooms/{rid}/status-history/"
    assert f"GET {path}" in document.untried()
    document.problems("GET", HISTORY, 404, ERROR, {})
    assert f"GET {path}" in document.untried()
    document.problems("GET", HISTORY, 200, EMPTY, {})
    assert f"GET {path}" not in document.untried()


def test_rooms_checkin_is_not_taken_for_a_room(document):
    assert document.template("/api/staff/hotel/grand/rooms/checkin/") == "/api/staff/hotel/{slug}/rooms/checkin/"


def test_one_deviation_makes_the_run_fail():
    lines: list[str] = []
    report = Report(lines.append)
    report.done(Row("1", "good", print))
    assert report.summary()
    report.done(Row("1", "bad", print, wrong=["room_number is missing"]))
    assert not report.summary()
    assert any("room_number is missing" in line for line in lines)


def test_every_row_is_about_something_else():
    titles = [(row.section, row.title) for table in TABLES for row in table.rows]
    assert len(titles) == len(set(titles))
    assert {section for section, _ in titles} == {str(number) for number in range(1, 10)}
