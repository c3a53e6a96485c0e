"""Refuses unreadable bodies before any view runs, returns 503 while the database is unavailable, and times requests."""

import time
from collections.abc import Callable
from contextlib import suppress

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse, UnreadablePostError

from common import metrics
from common.handlers import error_body, unavailable
from common.parsers import BodyTooLarge

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
# Views under these paths read bodies themselves, and refuse large ones with the API's own error body.
API = ("/api/", "/pusher/")
NO_COPY = "private, no-store"
# Bytes of an unread body that are still read and discarded; a larger one is not read.
MOST_UNWANTED = 8 * 1_048_576


class OperationMiddleware:
    """Counts and times each request by its route name, never by the values in its path."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]):
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        began = time.monotonic()
        response = self.get_response(request)
        metrics.operation_done(operation(request), response.status_code, time.monotonic() - began)
        return response


def operation(request: HttpRequest) -> str:
    """Such as ``POST booking-check-in``, or ``unknown`` where no route matches: a bounded set of labels."""
    match = request.resolver_match
    if match is None:
        return "unknown"
    method = request.method if request.method in METHODS else "OTHER"
    return f"{method} {match.view_name if match.url_name else match.route or '/'}"


class UnreadableMiddleware:
    """Refuses bodies without a length, which Django takes for no body, and large forms.

    Otherwise a failed inspection sent in chunks would count as passed, because no body means passed. Django does not
    limit a form with a file in it: anybody could fill the disk through the sign-in.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]):
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self._answer(request)
        drain_body(request)
        return response

    def _answer(self, request: HttpRequest) -> HttpResponse:
        if request.META.get("HTTP_TRANSFER_ENCODING") and not request.META.get("CONTENT_LENGTH"):
            return JsonResponse(error_body("LENGTH_REQUIRED", "Send the body with a Content-Length."), status=400)
        too_large = int(request.META.get("CONTENT_LENGTH") or 0) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        if too_large and not request.path_info.startswith(API):
            return HttpResponse(BodyTooLarge.default_detail, status=BodyTooLarge.status_code, content_type="text/plain")
        return self.get_response(request)


def drain_body(request: HttpRequest) -> None:
    """Read the rest of the body and discard it.

    gunicorn silently closes the connection if more than 64 kB of the body is unread, as after most refusals: the client
    would see a broken pipe instead of the response, or send its next request into the dead connection.
    """
    if int(request.META.get("CONTENT_LENGTH") or 0) > MOST_UNWANTED:
        return
    with suppress(UnreadablePostError):  # the client has gone
        while request.read(65_536):
            pass


class NoStoreMiddleware:
    """Keeps API responses out of caches, because they contain guests' data."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]):
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if request.path_info.startswith(API):
            response.headers.setdefault("Cache-Control", NO_COPY)
        return response


class BusyMiddleware:
    """503 with ``Retry-After`` instead of an error page; the API's own handler does the same for its views."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]):
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        return unavailable(request, exception)
