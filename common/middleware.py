"""What is refused before any view sees it, and what pages answer while the database is busy or away."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, JsonResponse

from common.handlers import RETRY_AFTER_SECONDS, error_body, unavailability


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
