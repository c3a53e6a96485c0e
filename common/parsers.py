"""Reads request bodies as JSON, whatever the content type. Django's own setting limits their size."""

from typing import Any

from rest_framework import status
from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import JSONParser


class BodyTooLarge(APIException):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_detail = "The request body is larger than 1 MB."
    default_code = "BODY_TOO_LARGE"


class BodyParser(JSONParser):
    """A JSON object, of any declared content type, so that a plain ``curl -d '{…}'`` works."""

    media_type = "*/*"

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        try:
            body = super().parse(stream, media_type, parser_context)
        except RecursionError as error:
            raise ParseError("JSON parse error - nested too deeply") from error
        if not isinstance(body, dict):
            raise ParseError("The body must be a JSON object.")
        return body
