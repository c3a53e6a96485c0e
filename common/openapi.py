"""Describes endpoints in the OpenAPI document: request, response, errors and an example of each."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from drf_spectacular.extensions import OpenApiSerializerExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import build_basic_type, build_parameter_type
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers

from common.handlers import error_body
from common.serializers import RoomNumberField
from common.views import DRY_RUN, SAFE_METHODS

F = TypeVar("F")


class Schema(AutoSchema):
    """drf-spectacular's schema, with operations grouped by the first path segment after the hotel, and dry runs."""

    @property
    def has_dry_run(self) -> bool:
        return getattr(self.view, "show_effects", None) is not None and self.method not in SAFE_METHODS

    def _get_parameters(self) -> list[Any]:
        parameters = super()._get_parameters()
        return [*parameters, DRY_RUN_PARAMETER] if self.has_dry_run else parameters

    def _get_response_bodies(self, direction: Any = "response") -> dict[str, Any]:
        responses: dict[str, Any] = super()._get_response_bodies(direction)
        if not self.has_dry_run:
            return responses
        for status, response in responses.items():
            if status.startswith("2"):
                for content in response.get("content", {}).values():
                    content["schema"] = {"allOf": [content["schema"], self.resolve_serializer(DryRun, direction).ref]}
        if "204" in responses:
            responses["200"] = self._get_response_for_code(DryRunWithoutBody, "200", direction=direction)
        return responses

    def map_parsers(self) -> list[str]:
        # The parser accepts any declared content type; this is the one that clients should send.
        return ["application/json" if media == "*/*" else media for media in super().map_parsers()]

    def get_tags(self) -> list[str]:
        words = [word for word in self.path.split("/") if word and not word.startswith("{")]
        rest = words[words.index("hotel") + 1 :] if "hotel" in words else words[1:]
        return [rest[0] if rest else "api"]


# --- dry runs ---------------------------------------------------------------------------------------------------------

DRY_RUN_PARAMETER = build_parameter_type(
    DRY_RUN,
    build_basic_type(OpenApiTypes.BOOL) or {},
    OpenApiParameter.QUERY,
    description="`true`: nothing is changed, sent or charged. The response is the real call's, with `dry_run` and "
    "`effects`: what would change. Ids and other values that only the real call can choose are null.",
    examples={"DryRun": {"value": True, "summary": "What would happen?"}},
)


class Changes(serializers.DictField):
    """The fields that change, under their names in the API: ``{field: [before, after]}``."""

    def __init__(self, **kwargs: Any) -> None:
        values = serializers.ListField(child=serializers.JSONField(allow_null=True), min_length=2, max_length=2)
        super().__init__(child=values, **kwargs)


class _Effect(serializers.Serializer[Any]):
    changes = Changes(help_text="`{field: [before, after]}`; empty if you may not read the values.")


class _VersionedEffect(_Effect):
    if_match = serializers.CharField(
        allow_null=True, help_text="For the real call's `If-Match`: the version now. Null for a new row."
    )


class RoomEffect(_VersionedEffect):
    id = serializers.IntegerField(allow_null=True, help_text="Null for a new room.")
    room_number = RoomNumberField()


class BookingEffect(_VersionedEffect):
    booking_id = serializers.CharField(allow_null=True, help_text="Null for a new booking.")


class BlockEffect(_Effect):
    id = serializers.IntegerField(allow_null=True, help_text="Null for a new block.")
    room_number = RoomNumberField()


class TaskEffect(_Effect):
    id = serializers.IntegerField(allow_null=True, help_text="Null for a new task.")
    room_number = RoomNumberField()
    task_type = serializers.CharField()


class RoomTypeEffect(_Effect):
    id = serializers.IntegerField(allow_null=True, help_text="Null for a new room type.")
    name = serializers.CharField()


class SettingsEffect(_Effect):
    """The hotel's settings."""


class EventEffect(serializers.Serializer[Any]):
    channel = serializers.CharField(help_text="Where it would be sent.")
    type = serializers.CharField()
    payload = serializers.DictField(allow_null=True, help_text="Null if you may not subscribe to the channel.")


class MailEffect(_Effect):
    id = serializers.IntegerField(allow_null=True, help_text="Null for a new e-mail.")
    booking_id = serializers.CharField(allow_null=True)
    kind = serializers.CharField()


class PaymentEffect(serializers.Serializer[Any]):
    """What the payment provider would be asked. It is assumed to agree."""

    booking_id = serializers.CharField()
    request = serializers.ChoiceField(
        choices=["capture", "void", "refund", "look_up"],
        help_text="`look_up`: another caller's request is unfinished, and is assumed to have succeeded.",
    )
    amount = serializers.CharField(allow_null=True)
    currency = serializers.CharField()


class Effects(serializers.Serializer[Any]):
    """What a dry run would have changed, sent and charged (``operations.effects.show_effects``)."""

    rooms = RoomEffect(many=True)
    bookings = BookingEffect(many=True)
    blocks = BlockEffect(many=True)
    tasks = TaskEffect(many=True)
    room_types = RoomTypeEffect(many=True)
    settings = SettingsEffect(many=True)
    events = EventEffect(many=True)
    mails = MailEffect(many=True)
    payments = PaymentEffect(many=True)


class DryRun(serializers.Serializer[Any]):
    """What a dry run adds to the real call's response."""

    dry_run = serializers.BooleanField(required=False, help_text="True in a dry run; otherwise left out.")
    effects = Effects(required=False, help_text="Only in a dry run.")


class DryRunWithoutBody(serializers.Serializer[Any]):
    """A dry run of a call whose real response has no body."""

    status = serializers.IntegerField(help_text="The real call's status.")
    dry_run = serializers.BooleanField()
    effects = Effects()


# --- errors -----------------------------------------------------------------------------------------------------------


class ErrorBody(DryRun):
    """The body of every error. Invalid fields are named in ``details`` and again at the top level."""

    code = serializers.CharField()
    message = serializers.CharField()
    detail = serializers.CharField()
    error = serializers.CharField()
    details = serializers.DictField()


class InvalidBody(ErrorBody):
    """A malformed request; each invalid field is also a top-level key, with its messages."""


class InvalidBodyExtension(OpenApiSerializerExtension):
    """Declares in the document that the body can have further fields of any name."""

    target_class = InvalidBody

    def map_serializer(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        schema = auto_schema._map_serializer(self.target, direction, bypass_extensions=True)
        return {**schema, "additionalProperties": {"type": "array", "items": {"type": "string"}}}


class SignInBody(ErrorBody):
    """The caller is unknown or may not sign in; ``non_field_errors`` is what a sign-in form shows."""

    non_field_errors = serializers.ListField(child=serializers.CharField())


ERROR_EXAMPLES = {
    400: error_body(
        "VALIDATION_ERROR",
        "to_status: This field is required.",
        details={"to_status": ["This field is required."]},
        extra={"to_status": ["This field is required."]},
    ),
    401: error_body("NOT_AUTHENTICATED", "Invalid token.", extra={"non_field_errors": ["Invalid token."]}),
    403: error_body("PERMISSION_DENIED", "Permission denied: your role does not include this."),
    404: error_body("ROOM_NOT_FOUND", "Room not found: this hotel has no such room."),
    409: error_body(
        "INVALID_TRANSITION",
        "Invalid transition: room 101 can't go from occupied to ready for guest.",
        details={"current_status": "OCCUPIED", "status_version": 4},
    ),
    412: error_body(
        "PRECONDITION_FAILED",
        "Room 101 has changed since you read it; it is checkout dirty now.",
        details={"current_status": "CHECKOUT_DIRTY", "status_version": 5, "changed_by_name": "Maeve Byrne"},
    ),
    413: error_body("BODY_TOO_LARGE", "The request body is larger than 1 MB."),
    422: error_body("IDEMPOTENCY_KEY_REUSED", "This Idempotency-Key has already been used for another request."),
    429: error_body("THROTTLED", "Request was throttled. Expected available in 42 seconds."),
    502: error_body(
        "PAYMENT_CAPTURE_FAILED",
        "The payment provider refused: the payment was not captured. Booking BK-2026-0005 is still pending approval.",
        details={"booking_id": "BK-2026-0005", "status": "PENDING_APPROVAL", "version": 3, "payment": "authorised"},
    ),
    503: error_body("BUSY", "Somebody else is changing this right now. Try again in a moment."),
}
IF_MATCH = OpenApiParameter(
    "If-Match",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description='The `status_version` that you read, in double quotes: `"7"`, or the `ETag` as a compressing proxy '
    'returned it, such as `W/"7"` or `"7-gzip"`. If the version has changed since: 412.',
)
IF_MATCH_BOOKING = OpenApiParameter(
    "If-Match",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description='The `version` that you read, in double quotes: `"2"`, or the `ETag` as a compressing proxy '
    'returned it, such as `W/"2"` or `"2-gzip"`. If the version has changed since: 412.',
)
ETAG = OpenApiParameter(
    "ETag",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    response=[200, 201],
    description="The version of the returned resource, in double quotes, for use in `If-Match`.",
)
RETRY_AFTER = OpenApiParameter(
    "Retry-After",
    OpenApiTypes.INT,
    OpenApiParameter.HEADER,
    response=[429, 503],
    description="Seconds to wait before retrying.",
)
EXPAND = OpenApiParameter(
    "expand",
    OpenApiTypes.STR,
    enum=["actions"],
    description="`actions` adds to each row what the caller may do with it, as its `actions/` returns it.",
)
EXPANDED = "Only with `expand=actions`."
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="A unique key that you generate, up to 255 characters. A retry with the same key and body within a day "
    "returns the first response, and nothing is done twice; with another body: 422. Only a 2xx uses up the key.",
)


def endpoint(
    summary: str,
    *,
    response: Any,
    example: Any = None,
    status: int = 200,
    request: Any = None,
    request_example: Any = None,
    errors: Iterable[int] = (),
    parameters: Sequence[Any] = (),
    description: str = "",
    tags: list[str] | None = None,
    auth: bool = True,
    error_examples: Mapping[int, Any] | None = None,
    error_shapes: Mapping[int, Any] | None = None,
    versioned: bool = False,
    csv: bool = False,
    **more: Any,
) -> Any:
    """``extend_schema`` with the errors that every endpoint can return, and an example of each body.

    ``error_examples`` replaces the usual examples, ``error_shapes`` the usual schemas of error bodies, by status;
    ``versioned`` responses carry an ``ETag``; with ``csv`` the response can be a CSV file instead.
    """
    codes = {400, 413, *errors} | ({401, 403, 404, 503} if auth else set())
    shown = {**ERROR_EXAMPLES, **(error_examples or {})}
    examples = [
        OpenApiExample(f"{code}", value=shown[code], response_only=True, status_codes=[str(code)])
        for code in sorted(codes)
    ]
    if example is not None:
        examples.append(OpenApiExample("Response", value=example, response_only=True, status_codes=[str(status)]))
    if request_example is not None:
        examples.append(OpenApiExample("Request", value=request_example, request_only=True))
    return extend_schema(
        summary=summary,
        description=description or summary,
        request=request,
        responses={
            (status, "application/json"): response,
            **({(status, "text/csv"): OpenApiTypes.STR} if csv else {}),
            **dict.fromkeys(sorted(codes), ErrorBody),
            **{code: shape for code, shape in ((400, InvalidBody), (401, SignInBody)) if code in codes},
            **(error_shapes or {}),
        },
        parameters=[*parameters, RETRY_AFTER, *([ETAG] if versioned else [])],
        examples=examples,
        tags=tags,
        auth=None if auth else [],
        **more,
    )
