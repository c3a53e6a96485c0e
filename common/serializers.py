"""Fields shared by request bodies; those for text apply the rules of ``common.text``."""

from collections.abc import Callable
from typing import Any

from django.db import models
from rest_framework import serializers

from common import text


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
