"""Model fields for keys, and for text that people type: it is stored composed (NFC), however it arrives
(``common.text``)."""

from collections.abc import Callable
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q

from common import dry_run, forms, text


def validate_line(value: str) -> None:
    """Raises Django's ``ValidationError`` for text that is not a valid line."""
    _validated(text.line, value)


def validate_lines(value: str) -> None:
    """Raises Django's ``ValidationError`` for text that is not a valid note."""
    _validated(text.lines, value)


def _validated(check: Callable[[str], str], value: str) -> None:
    try:
        check(value)
    except text.Unreadable as error:
        raise ValidationError(str(error), code="unreadable") from error


def not_blank(*fields: str) -> Q:
    """The condition of a constraint: none of the ``fields`` is empty or only spaces.

    Forms and request bodies check the rest (``text.line``): which characters are invisible changes with Unicode.
    """
    return Q(**{f"{field}__regex": r"\S" for field in fields})


class _Composed(models.Field):
    """Composes stored values and lookups. Migrations see Django's own plain field."""

    form_field: type[Any]
    plain: str

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        value = super().pre_save(model_instance, add)
        if isinstance(value, str) and not value.isascii():
            value = text.nfc(value)
            setattr(model_instance, self.attname, value)  # the instance holds what was stored
        return value

    def get_prep_value(self, value: Any) -> Any:
        value = super().get_prep_value(value)
        return text.nfc(value) if isinstance(value, str) else value

    def formfield(self, **kwargs: Any) -> Any:
        return super().formfield(**{"form_class": self.form_field, **kwargs})

    def deconstruct(self) -> Any:
        name, _, args, kwargs = super().deconstruct()
        return name, f"django.db.models.{self.plain}", args, kwargs


class LineField(_Composed, models.CharField):
    """A name, a code, a telephone number: one line, with nothing invisible in it."""

    default_validators = [validate_line]
    form_field = forms.LineField
    plain = "CharField"


class LinesField(_Composed, models.TextField):
    """A note: several lines, without control characters."""

    default_validators = [validate_lines]
    form_field = forms.LinesField
    plain = "TextField"


class MailField(_Composed, models.EmailField):
    """An e-mail address."""

    default_validators = [*models.EmailField.default_validators, validate_line]
    form_field = forms.MailField
    plain = "EmailField"


class KeyField(models.BigAutoField):
    """The primary key of every model (``DEFAULT_AUTO_FIELD``): numbered by PostgreSQL, except in a dry run."""

    def get_pk_value_on_save(self, instance: models.Model) -> Any:
        return dry_run.new_key()

    def deconstruct(self) -> Any:
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.BigAutoField", args, kwargs
