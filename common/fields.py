"""Model fields for keys, and for text that people type: it is stored composed (NFC), however it arrives
(``common.text``)."""

from collections.abc import Callable
from typing import Any

from django.core.exceptions import ValidationError
from django.db import NotSupportedError, models
from django.db.models import Q, lookups
from django.db.models.expressions import Col

from common import dry_run, forms, room_numbers, text


def validate_line(value: str) -> None:
    """Raises Django's ``ValidationError`` for text that is not a valid line."""
    _validated(text.line, value)


def validate_lines(value: str) -> None:
    """Raises Django's ``ValidationError`` for text that is not a valid note."""
    _validated(text.lines, value)


def _validated(check: Callable[[str], Any], value: str) -> None:
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


def validate_room_number(value: str) -> None:
    """Raises Django's ``ValidationError`` for text that is no room number."""
    _validated(room_numbers.checked, value)


class RoomNumberField(LineField):
    """A room's number: an ``int`` or a ``str`` (``common.room_numbers``), stored as text.

    ``exact`` and ``in`` find it in any case. To sort by it, sort by its model's ``sort_key``, which a trigger keeps.
    """

    _pyi_private_set_type: room_numbers.RoomNumber
    _pyi_private_get_type: room_numbers.RoomNumber  # type: ignore[assignment]  # not a CharField's str
    default_validators = [validate_room_number]
    form_field = forms.RoomNumberField
    sorted_by = "sort_key"

    def to_python(self, value: Any) -> Any:
        return value if value is None else room_numbers.read(value)

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> Any:
        return self.to_python(value)

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        value = self.to_python(super().pre_save(model_instance, add))
        setattr(model_instance, self.attname, value)  # the instance holds what was stored
        return value

    def get_prep_value(self, value: Any) -> Any:
        value = super().get_prep_value(value)
        return str(value) if isinstance(value, int) else value

    def run_validators(self, value: Any) -> None:
        super().run_validators(value if value in self.empty_values else str(value))


class _SameNumber:
    """Compares the numbers' keys, which the table has in an indexed column."""

    def process_lhs(self, compiler: Any, connection: Any, lhs: Any = None) -> Any:
        column = lhs or self.lhs  # type: ignore[attr-defined]
        if isinstance(column, Col):
            field: Any = column.target
            key: Any = field.model._meta.get_field(field.sorted_by)
            sql, params = compiler.compile(Col(column.alias, key))
            return sql, list(params)
        sql, params = compiler.compile(column)
        return f"hotelmate_room_key({sql})", list(params)


@RoomNumberField.register_lookup
class _Exact(_SameNumber, lookups.Exact):
    def get_rhs_op(self, connection: Any, rhs: str) -> str:
        return f"= hotelmate_room_key({rhs})"


@RoomNumberField.register_lookup
class _In(_SameNumber, lookups.In):
    def process_rhs(self, compiler: Any, connection: Any) -> Any:
        if not self.rhs_is_direct_value():
            raise NotSupportedError("room numbers are compared with values")
        rhs, params = super().process_rhs(compiler, connection)
        return rhs.replace("%s", "hotelmate_room_key(%s)"), params


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
