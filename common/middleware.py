"""What is refused before any view sees it, what pages answer while the database is away, and how long it all took."""

import time
from collections.abc import Callable
from contextlib import suppress

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse, UnreadablePostError

from common import metrics
from common.handlers import error_body, unavailable
from common.parsers import BodyTooLarge

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
# Whose views read bodies by themselves, and refuse large ones in their own words.
API = ("/api/", "/pusher/")
NO_COPY = "private, no-store"
# Bytes of a body that nobody wanted, and that are read all the same; of a larger one, nothing.
MOST_UNWANTED = 8 * 1_048_576


class OperationMiddleware:
    """Counts each request and the time that it took, by the name of its address: never by what a path holds."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]):
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        began = time.monotonic()
        response = self.get_response(request)
        metrics.operation_done(operation(request), response.status_code, time.monotonic() - began)
        return response


def operation(request: HttpRequest) -> str:
    """Such as ``POST booking-check-in``; of whatever leads nowhere, ``unknown``. A bounded number of them."""
    match = request.resolver_match
    if match is None:
        return "unknown"
    method = request.method if request.method in METHODS else "OTHER"
    return f"{method} {match.view_name if match.url_name else match.route or '/'}"


class UnreadableMiddleware:
    """Refuses what would be misread: a body without a length, which Django takes for no body; and large forms.

    A failed inspection sent in chunks would pass otherwise, as no body means passed. A form with a file in it has no
    limit in Django: anybody could fill the disk through the sign-in.
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
    """Take what is left of the body off the line and drop it.

    gunicorn hangs up, without a word, on a body of more than 64 kB that was not read, as most refusals leave it: the
    client would see a broken pipe instead of the answer, or send its next request into the dead connection.
    """
    if int(request.META.get("CONTENT_LENGTH") or 0) > MOST_UNWANTED:
        return
    with suppress(UnreadablePostError):  # the client has gone
        while request.read(65_536):
            pass


class NoStoreMiddleware:
    """Nobody on the way keeps a copy of what the API answers: there are guests in it."""

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
