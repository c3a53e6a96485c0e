"""The OpenAPI document as it is downloaded."""

from drf_spectacular.views import SpectacularAPIView
from rest_framework.negotiation import DefaultContentNegotiation


class ByFormat(DefaultContentNegotiation):
    """``?format=json`` or ``?format=yaml`` decides before the ``Accept`` header does; nowhere else in the API."""

    class settings:  # noqa: N801 - the name that the base class reads
        URL_FORMAT_OVERRIDE = "format"


class DocumentView(SpectacularAPIView):
    """YAML unless JSON is asked for."""

    content_negotiation_class = ByFormat
