"""The error body (docs/api.md, Errors)."""

import pytest
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError, IntegrityError, OperationalError, connection, transaction
from django.http import Http404
from rest_framework import exceptions

from common.errors import Conflict, FieldError, InvalidInput, NotAllowed, NotFound
from common.handlers import error_body, exception_handler


class Taken(Conflict):
    code = "TAKEN"


def expected_body(code: str, message: str, **more) -> dict:
    return {"code": code, "message": message, "detail": message, "error": message, "details": {}, **more}


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (InvalidInput("No."), 400, "VALIDATION_ERROR"),
        (NotAllowed("No."), 403, "PERMISSION_DENIED"),
        (NotFound("No."), 404, "NOT_FOUND"),
        (Conflict("No."), 409, "CONFLICT"),
        (Taken("No."), 409, "TAKEN"),
    ],
)
def test_a_refusal_carries_its_status_and_code(error, status, code):
    response = exception_handler(error, {})
    assert (response.status_code, response.data) == (status, expected_body(code, "No."))


def test_details_and_extra_top_level_keys():
    response = exception_handler(Taken("No.", details={"room": 1}, extra={"conflicts": [1]}), {})
    assert response.data == expected_body("TAKEN", "No.", details={"room": 1}, conflicts=[1])


def test_a_field_error_appears_in_details_and_at_the_top_level():
    response = exception_handler(FieldError("room", "No such room."), {})
    assert response.data == expected_body(
        "VALIDATION_ERROR", "No such room.", details={"room": ["No such room."]}, room=["No such room."]
    )


@pytest.mark.parametrize("field", ["code", "message", "detail", "error", "details"])
def test_a_field_never_overwrites_one_of_the_five_keys(field):
    response = exception_handler(exceptions.ValidationError({field: ["Too short."]}), {})
    assert response.data == expected_body("VALIDATION_ERROR", f"{field}: Too short.", details={field: ["Too short."]})


def test_nested_messages_become_plain_strings():
    detail = {"ranges": [{}, {"end": ["Required."]}], "name": ["\ud800 is no name."]}
    response = exception_handler(exceptions.ValidationError(detail), {})
    assert response.data["details"] == {"ranges": ["end: Required."], "name": ["? is no name."]}


def test_messages_without_a_field():
    response = exception_handler(exceptions.ValidationError("Nothing fits."), {})
    assert response.data == expected_body(
        "VALIDATION_ERROR",
        "Nothing fits.",
        details={"non_field_errors": ["Nothing fits."]},
        non_field_errors=["Nothing fits."],
    )


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Http404(), 404, "NOT_FOUND"),
        (PermissionDenied(), 403, "PERMISSION_DENIED"),
        (exceptions.MethodNotAllowed("GET"), 405, "METHOD_NOT_ALLOWED"),
        (exceptions.UnsupportedMediaType("a/b"), 415, "UNSUPPORTED_MEDIA_TYPE"),
    ],
)
def test_errors_of_django_and_drf_get_the_same_shape(error, status, code):
    response = exception_handler(error, {})
    assert (response.status_code, response.data["code"]) == (status, code)
    assert response.data["message"] == response.data["detail"] == response.data["error"]


def test_retry_after_is_rounded_up():
    response = exception_handler(exceptions.Throttled(wait=0.2), {})
    assert (response.status_code, response["Retry-After"]) == (429, "1")


def test_bugs_are_not_handled():
    assert exception_handler(ZeroDivisionError(), {}) is None
    assert exception_handler(IntegrityError(), {}) is None


# By SQLSTATE. If two requests pass the same check at the same time, the second meets one of the first four; the others
# mean that a check is missing.
RACES = {"23505": "unique", "23P01": "exclusion", "23503": "foreign key", "23001": "restrict"}
BUGS = {"23514": "check", "23502": "not null", "23000": "a trigger of ours", "P0001": "a trigger of others"}


@pytest.mark.django_db
@pytest.mark.parametrize("state", [*RACES, *BUGS])
def test_only_violations_that_a_race_can_cause_are_conflicts(state):
    with pytest.raises(DatabaseError) as refused, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"DO $$ BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = '{state}'; END $$")
    response = exception_handler(refused.value, {})
    if state in BUGS:
        assert response is None
    else:
        assert (response.status_code, response.data["code"]) == (409, "CONFLICT")


def test_an_unreachable_database_is_503():
    response = exception_handler(OperationalError("the server has gone away"), {})
    assert (response.status_code, response["Retry-After"]) == (503, "1")
    assert response.data["code"] == "UNAVAILABLE"


def test_the_body_copies_the_details():
    details = {"a": 1}
    body = error_body("CODE", "Why.", details=details)
    body["details"]["a"] = 2
    assert details == {"a": 1}
