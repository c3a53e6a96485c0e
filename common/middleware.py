"""What pages outside the API answer when a row is locked for too long."""

from collections.abc import Callable

from django.db import OperationalError
from django.http import HttpRequest, HttpResponse

from common.handlers import BUSY, RETRY_AFTER_SECONDS, sqlstate


class BusyMiddleware:
    """503 with ``Retry-After`` instead of an error page; the API's own handler does the same for its views."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]):
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if isinstance(exception, OperationalError) and sqlstate(exception) in BUSY:
            message = "Somebody else is changing this right now. Go back and try again in a moment."
            return HttpResponse(
                message, status=503, content_type="text/plain", headers={"Retry-After": str(RETRY_AFTER_SECONDS)}
            )
        return None
