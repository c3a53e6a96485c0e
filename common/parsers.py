"""Reading request bodies: JSON whatever the content type says, and never more than the size limit."""

from typing import Any

from django.conf import settings
from rest_framework import status
from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import FormParser, JSONParser


class BodyTooLarge(APIException):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_detail = "The request body is larger than 1 MB."
    default_code = "BODY_TOO_LARGE"


def _refuse_large(parser_context: Any) -> None:
    length = parser_context["request"].META.get("CONTENT_LENGTH") or 0
    if int(length) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
        raise BodyTooLarge


class BodyParser(JSONParser):
    """A JSON object, of any declared content type, so that ``curl -d '{…}'`` works as typed."""

    media_type = "*/*"

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        _refuse_large(parser_context)
        try:
            body = super().parse(stream, media_type, parser_context)
        except RecursionError as error:
            raise ParseError("JSON parse error - nested too deeply") from error
        if not isinstance(body, dict):
            raise ParseError("The body must be a JSON object.")
        return body


class LimitedFormParser(FormParser):
    """Form fields, as pusher-js posts them."""

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        _refuse_large(parser_context)
        return super().parse(stream, media_type, parser_context)
