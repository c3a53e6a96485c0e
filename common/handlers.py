"""Turns every error, inside DRF or outside it, into the one error body that clients read."""

import logging
import sys
from collections.abc import Mapping
from typing import Any

from django.contrib.sessions.exceptions import SessionInterrupted
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.db import Error as DatabaseError
from django.db import IntegrityError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views import defaults
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from common.database import constraint, is_race, is_unreachable, sqlstate
from common.errors import HotelMateError
from common.logs import error_summary
from common.parsers import BodyTooLarge

logger = logging.getLogger(__name__)

RETRY_AFTER_SECONDS = 1
# SQLSTATEs: lock not acquired within lock_timeout, deadlock, serialization failure; a statement that statement_timeout
# or an administrator cancelled.
BUSY = {"55P03", "40P01", "40001", "57014"}
RESERVED = ("code", "message", "detail", "error", "details", "dry_run", "effects")
CODES = {
    exceptions.ParseError: "MALFORMED_REQUEST",
    exceptions.AuthenticationFailed: "NOT_AUTHENTICATED",
    exceptions.NotAuthenticated: "NOT_AUTHENTICATED",
    exceptions.PermissionDenied: "PERMISSION_DENIED",
    exceptions.NotFound: "NOT_FOUND",
    exceptions.MethodNotAllowed: "METHOD_NOT_ALLOWED",
    exceptions.NotAcceptable: "NOT_ACCEPTABLE",
    exceptions.Throttled: "THROTTLED",
}


def error_body(
    code: str, message: str, *, details: Mapping[str, Any] | None = None, extra: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The error body (docs/api.md, Errors); keys of ``extra`` go to the top level, unless they would hide its own."""
    top = {key: value for key, value in (extra or {}).items() if key not in RESERVED}
    return {
        "code": code,
        "message": message,
        "detail": message,
        "error": message,
        "details": dict(details or {}),
        **top,
    }


def exception_handler(error: Exception, context: Mapping[str, Any]) -> Response | None:
    """DRF's exception handler: every refusal gets the error body; ``None`` (a bug) becomes a 500."""
    if isinstance(error, Http404):
        error = exceptions.NotFound()
    elif isinstance(error, PermissionDenied):
        error = exceptions.PermissionDenied()
    elif isinstance(error, RequestDataTooBig):
        error = BodyTooLarge()
    response = _response(error)
    if response is not None:
        set_rollback()
    return response


def _response(error: Exception) -> Response | None:
    if isinstance(error, HotelMateError):
        body = error_body(error.code, error.message, details=error.details, extra=error.extra)
        headers = {"Retry-After": str(error.retry_after)} if error.retry_after else None
        return Response(body, status=error.status, headers=headers)
    if isinstance(error, exceptions.ValidationError):
        details = _field_errors(error.detail)
        body = error_body("VALIDATION_ERROR", _first_message(details), details=details, extra=details)
        return Response(body, status=error.status_code)
    if isinstance(error, exceptions.APIException):
        code = CODES.get(type(error)) or str(error.default_code).upper()
        headers = {}
        if wait := getattr(error, "wait", None):
            headers["Retry-After"] = str(wait)  # whole seconds, rounded up by DRF
        if challenge := getattr(error, "auth_header", None):
            headers["WWW-Authenticate"] = challenge
        body = error_body(code, str(error.detail))
        if isinstance(error, exceptions.AuthenticationFailed | exceptions.NotAuthenticated):
            body["non_field_errors"] = [str(error.detail)]
        return Response(body, status=error.status_code, headers=headers)
    if unavailable := unavailability(error):
        return Response(error_body(*unavailable), status=503, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})
    if isinstance(error, IntegrityError) and is_race(error):
        # The check passed and the constraint was violated: a concurrent request was faster. The constraint decides.
        logger.warning("a database constraint rejected a request: %s", constraint(error))
        return Response(
            error_body("CONFLICT", "Somebody else changed this at the same moment. Reload and try again."), 409
        )
    return None


def unavailability(error: BaseException | None) -> tuple[str, str] | None:
    """Code and message of a 503, if ``error`` means that the database is busy, unreachable or read-only."""
    if not isinstance(error, DatabaseError):
        return None
    if sqlstate(error) in BUSY:
        return "BUSY", "Somebody else is changing this right now. Try again in a moment."
    if is_unreachable(error):
        logger.error("the database cannot be reached: %s", error_summary(error))
        return "UNAVAILABLE", "The database cannot be reached right now. Try again in a moment."
    return None


def _field_errors(detail: Any) -> dict[str, Any]:
    """DRF's nested error detail as ``{field: [messages]}``; plain strings throughout."""
    if not isinstance(detail, dict):
        return {"non_field_errors": _messages(detail)}
    return {_printable(field): _messages(value) for field, value in detail.items()}


def _messages(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [f"{key}: {message}" for key, inner in value.items() for message in _messages(inner)]
    if isinstance(value, list):
        return [message for inner in value for message in _messages(inner)]
    return [_printable(value)]


def _printable(value: Any) -> str:
    """Text that can be encoded as UTF-8: a message may quote half a surrogate pair that a client sent."""
    return str(value).encode(errors="replace").decode()


def _first_message(details: Mapping[str, list[str]]) -> str:
    for field, messages in details.items():
        if messages:
            return messages[0] if field == "non_field_errors" else f"{field}: {messages[0]}"
    return "Invalid input."


# --- errors outside DRF views -----------------------------------------------------------------------------------------


def _wants_json(request: HttpRequest) -> bool:
    return request.path.startswith(("/api", "/pusher"))


def unavailable(request: HttpRequest, error: BaseException | None) -> HttpResponse | None:
    """The 503 outside DRF; ``None`` if ``error`` is not a database failure."""
    found = unavailability(error)
    if found is None:
        return None
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
    if _wants_json(request):
        return JsonResponse(error_body(*found), status=503, headers=headers)
    return HttpResponse(found[1], status=503, content_type="text/plain", headers=headers)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """400 outside DRF: a refused host, too many fields."""
    if isinstance(exception, SessionInterrupted):
        # Django reports any failure to store a session as a deleted session.
        refused = exception.__context__ and exception.__context__.__context__
        if response := unavailable(request, refused):
            return response
    if not _wants_json(request):
        return defaults.bad_request(request, exception)
    return JsonResponse(error_body("MALFORMED_REQUEST", "The request is malformed."), status=400)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """403 outside DRF."""
    if not _wants_json(request):
        return defaults.permission_denied(request, exception)
    return JsonResponse(error_body("PERMISSION_DENIED", "Permission denied."), status=403)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404 outside DRF: a path that no route matches."""
    if not _wants_json(request):
        return defaults.page_not_found(request, exception)
    return JsonResponse(error_body("NOT_FOUND", "There is nothing at this URL."), status=404)


def server_error(request: HttpRequest) -> HttpResponse:
    """500: a bug; the log has the traceback. 503 if a middleware could not reach the database."""
    if response := unavailable(request, sys.exc_info()[1]):
        return response
    if not _wants_json(request):
        return defaults.server_error(request)
    return JsonResponse(error_body("SERVER_ERROR", "Something went wrong on our side. It has been logged."), status=500)
