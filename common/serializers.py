"""Fields of request bodies that more than one endpoint has."""

from typing import Any

from rest_framework import serializers


class NoteField(serializers.CharField):
    """An optional remark of up to 2,000 characters; null counts as left out."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"required": False, "allow_blank": True, "allow_null": True, "max_length": 2000, **kwargs})

    def run_validation(self, data: Any = serializers.empty) -> Any:
        value = super().run_validation(data)
        return "" if value is None else value


class StrictBooleanField(serializers.BooleanField):
    """A JSON boolean: ``"yes"`` and ``1`` are refused, for where a guess would do harm."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return bool(data)
