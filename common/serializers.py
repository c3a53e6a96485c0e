"""Fields shared by request bodies; those for text apply the rules of ``common.text``."""

from collections.abc import Callable
from typing import Any

from django.db import models
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from common import room_numbers, text


class _Readable(serializers.CharField):
    kind: Callable[[str], str]

    def run_validation(self, data: Any = serializers.empty) -> Any:
        if isinstance(data, str):
            try:
                data = self.kind(data)
            except text.Unreadable as error:
                raise serializers.ValidationError(str(error), code="unreadable") from error
        return super().run_validation(data)


class LineField(_Readable):
    """One line, with nothing invisible in it: a name, a code."""

    kind = staticmethod(text.line)


class LinesField(_Readable):
    """Several lines, without control characters."""

    kind = staticmethod(text.lines)


class MailField(_Readable, serializers.EmailField):
    """An e-mail address."""

    kind = staticmethod(text.line)


@extend_schema_field(
    {
        "oneOf": [
            {"type": "integer", "minimum": 1, "maximum": room_numbers.LARGEST},
            {"type": "string", "minLength": 1, "maxLength": room_numbers.LONGEST},
        ],
        "description": "An integer if it has digits alone and no leading zero, otherwise a string such as `12A`.",
    }
)
class RoomNumberField(serializers.Field[Any, Any, Any, Any]):
    """A room's number (``common.room_numbers``); requests may send an integer as a string too."""

    default_error_messages = {"invalid": "A room number is an integer or a string."}

    def to_internal_value(self, data: Any) -> room_numbers.RoomNumber:
        if isinstance(data, float) and data.is_integer():
            data = int(data)
        if isinstance(data, bool) or not isinstance(data, int | str):
            self.fail("invalid")
        try:
            return room_numbers.checked(data if isinstance(data, str) else bounded(data))
        except text.Unreadable as error:
            raise serializers.ValidationError(str(error), code="unreadable") from error

    def to_representation(self, value: room_numbers.RoomNumber) -> room_numbers.RoomNumber:
        return value


def bounded(number: int) -> int:
    """The number, or the nearest that is refused as well: Python refuses to write thousands of digits."""
    return max(-1, min(number, room_numbers.LARGEST + 1))


class SearchField(serializers.CharField):
    """Search terms, composed like the stored text. Any characters are accepted; invalid ones just find nothing."""

    def run_validation(self, data: Any = serializers.empty) -> Any:
        return super().run_validation(text.nfc(data) if isinstance(data, str) else data)


class _Optional(serializers.CharField):
    """Text that may be left out; null counts as left out."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"required": False, "allow_blank": True, "allow_null": True, **kwargs})

    def run_validation(self, data: Any = serializers.empty) -> Any:
        value = super().run_validation(data)
        return "" if value is None else value


class OptionalLineField(_Optional, LineField):
    """A line that may be left out."""


class OptionalLinesField(_Optional, LinesField):
    """Lines that may be left out."""


class OptionalMailField(_Optional, MailField):
    """An e-mail address that may be left out."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"max_length": 254, **kwargs})


class NoteField(OptionalLinesField):
    """An optional remark of up to 2,000 characters."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"max_length": 2000, **kwargs})


# For model serializers: model field → serializer field.
MODEL_FIELD_MAPPING = serializers.ModelSerializer.serializer_field_mapping | {
    models.CharField: LineField,
    models.TextField: LinesField,
    models.EmailField: MailField,
}


class StrictBooleanField(serializers.BooleanField):
    """A JSON boolean; ``"yes"`` and ``1`` are refused, because a wrong guess would do harm."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return bool(data)
