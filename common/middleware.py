"""What is refused before any view sees it, what pages answer while the database is away, and how long it all took."""

import time
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, JsonResponse

from common import metrics
from common.handlers import RETRY_AFTER_SECONDS, error_body, unavailability

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


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
    """Refuses what would be misread: a body without a length, which Django takes for no body.

    A failed inspection sent in chunks would pass otherwise, as no body means passed.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]):
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.META.get("HTTP_TRANSFER_ENCODING") and not request.META.get("CONTENT_LENGTH"):
            return JsonResponse(error_body("LENGTH_REQUIRED", "Send the body with a Content-Length."), status=400)
        return self.get_response(request)


class BusyMiddleware:
    """503 with ``Retry-After`` instead of an error page; the API's own handler does the same for its views."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]):
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        unavailable = unavailability(exception)
        if unavailable is None:
            return None
        _, message = unavailable
        return HttpResponse(
            message, status=503, content_type="text/plain", headers={"Retry-After": str(RETRY_AFTER_SECONDS)}
        )
