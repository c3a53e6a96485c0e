"""The base of every admin page: those who are not superusers see, find and link their own hotel's rows only."""

import logging
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ERROR_FLAG, ChangeList
from django.core.exceptions import ValidationError
from django.db import DataError, IntegrityError, models
from django.db.models import ForeignKey, ProtectedError, QuerySet
from django.forms import ModelChoiceField
from django.http import HttpRequest, HttpResponseRedirect

from common.database import UNIQUE, is_race, sqlstate
from common.errors import HotelMateError
from common.forms import LineField, LinesField, MailField, OneHotelForm
from common.search import Folded

logger = logging.getLogger(__name__)

# Django's own models have text as well: names of users and groups. (Ours say of themselves which kind theirs is.)
READABLE = {models.CharField: LineField, models.TextField: LinesField, models.EmailField: MailField}


def own_hotel(request: HttpRequest) -> Any:
    """The hotel of the signed-in member of staff; ``None`` for who has no staff profile."""
    profile = getattr(request.user, "staff_profile", None)
    return profile.hotel if profile else None


class FoldedChangeList(ChangeList):
    """A list whose columns of names sort as people expect: Émile before Zoe, and anna before Berta."""

    def get_ordering_field(self, field_name: Any) -> Any:
        column = super().get_ordering_field(field_name)
        field = next((field for field in self.lookup_opts.fields if field.name == column), None)
        # A unique one is a reference or a user's name, and its index sorts it.
        is_name = isinstance(field, models.CharField | models.TextField) and not field.choices and not field.unique
        return Folded(column) if is_name else column


class StrictRequestAdmin(admin.ModelAdmin):
    """Filters and selections that nobody makes with a mouse are refused; whatever else fails is a bug, and says so."""

    # What a form of the list sends the keys of rows in.
    selections: tuple[str, ...] = (ACTION_CHECKBOX_NAME,)

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Every text field of a form is a line or lines, as ``common.text`` defines them."""
        if type(db_field) in READABLE and not db_field.choices:
            kwargs.setdefault("form_class", READABLE[type(db_field)])
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """The list, whose rows are counted here; Django leads who asks for the year 99999 back to all of them."""
        try:
            return super().get_changelist_instance(request)
        except (ValueError, IndexError, DataError) as error:
            if request.GET.keys() <= {ERROR_FLAG}:
                raise  # not the caller's words
            logger.warning("a list of the admin refused its filters", exc_info=True)
            raise IncorrectLookupParameters from error

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return FoldedChangeList

    def get_search_fields(self, request: HttpRequest) -> list[str]:
        """Words are found without their accents, as everywhere; ``=room_number`` and the like stay as they are."""
        fields = super().get_search_fields(request)
        return [field if field.startswith(("=", "^", "@")) else f"{field}__folded__contains" for field in fields]

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any], *args: Any) -> Any:
        """An action on a selection; what cannot be the key of a row selects nothing."""
        key = self.model._meta.pk
        try:
            for name in self.selections:
                for value in request.POST.getlist(name):
                    if "\0" in str(key.to_python(value)):
                        raise ValidationError("PostgreSQL has no text with a null character")
        except ValidationError:
            messages.error(request, "That selection makes no sense here.")
            return HttpResponseRedirect(request.get_full_path())
        return super().response_action(request, queryset, *args)

    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return self._refusals_told(request, super().changelist_view, "Not done", *args, **kwargs)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return self._refusals_told(request, super().changeform_view, "Not saved", *args, **kwargs)

    def delete_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return self._refusals_told(request, super().delete_view, "Not deleted", *args, **kwargs)

    @staticmethod
    def _refusals_told(request: HttpRequest, view: Any, failed: str, *args: Any, **kwargs: Any) -> Any:
        """A form that a service refuses, or that somebody else was faster than, is not an error page: say so, and
        change nothing. Any other rule of the database that it breaks was forgotten by the form, and that is a bug."""
        if request.method != "POST":
            return view(request, *args, **kwargs)
        try:
            return view(request, *args, **kwargs)
        except HotelMateError as refusal:
            messages.error(request, refusal.message)
        except ProtectedError:
            messages.error(request, f"{failed}: something needs it by now.")
        except IntegrityError as error:
            if not is_race(error):
                raise
            taken = sqlstate(error) == UNIQUE
            reason = "another row has this name, code or number already" if taken else "something has changed meanwhile"
            messages.error(request, f"{failed}: {reason}.")
        return HttpResponseRedirect(request.get_full_path())


class HotelScopedAdmin(StrictRequestAdmin):
    """``hotel_lookup`` leads from the model to its hotel (``pk`` for the hotel itself)."""

    hotel_lookup = "hotel"
    form: Any = OneHotelForm

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return self.scoped(request, super().get_queryset(request), self.hotel_lookup)

    def get_list_display(self, request: HttpRequest) -> Any:
        """Without the hotel's column for who sees one hotel only."""
        columns = super().get_list_display(request)
        return columns if request.user.is_superuser else [column for column in columns if column != "hotel"]

    @staticmethod
    def scoped(request: HttpRequest, rows: QuerySet[Any], lookup: str) -> QuerySet[Any]:
        """The rows of the caller's hotel; all of them for a superuser, none for somebody of no hotel."""
        if request.user.is_superuser:
            return rows
        hotel = own_hotel(request)
        return rows.none() if hotel is None else rows.filter(**{lookup: hotel.pk})

    def formfield_for_foreignkey(
        self, db_field: ForeignKey[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> ModelChoiceField | None:
        """Choices of a form come from the own hotel too."""
        related = db_field.related_model
        lookup = "pk" if related._meta.label == "hotel.Hotel" else "hotel"
        if lookup == "pk" or any(field.name == "hotel" for field in related._meta.get_fields()):
            kwargs.setdefault("queryset", self.scoped(request, related._default_manager.all(), lookup))
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def get_exclude(self, request: HttpRequest, obj: Any = None) -> Any:
        """Only a superuser chooses a hotel; for others it is their own."""
        exclude = list(super().get_exclude(request, obj) or [])
        return exclude if request.user.is_superuser or self.hotel_lookup == "pk" else [*exclude, "hotel"]

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """With each field the form carries what the page showed, so that only what somebody changed is written."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None:
            field.show_hidden_initial = True
        return field

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Who is of no hotel has none to add a row to."""
        return (request.user.is_superuser or own_hotel(request) is not None) and super().has_add_permission(request)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        readonly = list(super().get_readonly_fields(request, obj))
        # A row never moves to another hotel (the database refuses it too).
        return [*readonly, "hotel"] if obj is not None and self.hotel_lookup == "hotel" else readonly

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """A new row is of the own hotel; of an old one what the form changed is written, and nothing else."""
        if change:
            obj.save(update_fields=form.changed_data)
            return
        if self.hotel_lookup == "hotel" and obj.hotel_id is None:
            obj.hotel = own_hotel(request)
        obj.save()


class ReadOnlyAdmin(HotelScopedAdmin):
    """Rows that only services write."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class SuperuserOnlyMixin(StrictRequestAdmin):
    """For models that are of no hotel: whatever permissions somebody was given, only a superuser sees them."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_superuser)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.is_superuser)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_superuser)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.is_superuser)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.is_superuser)
