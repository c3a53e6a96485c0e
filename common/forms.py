"""Fields of forms for what people type (``common.text``)."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from common import text


class _Readable(forms.CharField):
    kind: Callable[[str], str]

    def to_python(self, value: Any) -> Any:
        try:
            return super().to_python(value if value is None else self.kind(str(value)))
        except text.Unreadable as error:
            raise ValidationError(str(error), code="unreadable") from error


class LineField(_Readable):
    """One line, with nothing invisible in it."""

    kind = staticmethod(text.line)


class LinesField(_Readable):
    """Several lines, without control characters, and with plain line breaks where a browser sends CR LF."""

    widget = forms.Textarea
    kind = staticmethod(text.lines)


class MailField(_Readable, forms.EmailField):
    """An e-mail address."""

    kind = staticmethod(text.line)
