"""Serves the OpenAPI document."""

from drf_spectacular.views import SpectacularAPIView
from rest_framework.negotiation import DefaultContentNegotiation


class ByFormat(DefaultContentNegotiation):
    """``?format=json`` and ``?format=yaml`` take precedence over ``Accept``, for the document only."""

    class settings:  # noqa: N801 - the name that the base class reads
        URL_FORMAT_OVERRIDE = "format"


class DocumentView(SpectacularAPIView):
    """The OpenAPI document, as YAML unless JSON is requested."""

    content_negotiation_class = ByFormat
