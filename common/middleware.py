"""What pages outside the API answer while the database is busy or away."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from common.handlers import RETRY_AFTER_SECONDS, unavailability


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
