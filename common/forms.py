"""Shared by the admin's forms: fields for text that people type (``common.text``), and the check for one hotel."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from common import room_numbers, text


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


class RoomNumberField(LineField):
    """A room's number (``common.room_numbers``)."""

    def to_python(self, value: Any) -> Any:
        written = super().to_python(value)
        try:
            return room_numbers.checked(written) if written not in self.empty_values else written
        except text.Unreadable as error:
            raise ValidationError(str(error), code="unreadable") from error

    def run_validators(self, value: Any) -> None:
        super().run_validators(str(value))


class OneHotelForm(forms.ModelForm):
    """Checks that all related rows belong to the row's own hotel. (A superuser can choose rows of all hotels.)"""

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        chosen = self.cleaned_data
        hotel = chosen.get("hotel")
        hotel_id = hotel.pk if hotel else getattr(self.instance, "hotel_id", None)
        for name, thing in list(chosen.items()):
            if hotel_id and getattr(thing, "hotel_id", hotel_id) != hotel_id:
                self.add_error(name, ValidationError("This belongs to another hotel.", code="hotel"))
        return cleaned
