"""The base of every admin page: users other than superusers see, search and link only their own hotel's rows."""

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
from common.fields import RoomNumberField
from common.forms import LineField, LinesField, MailField, OneHotelForm
from common.search import Folded

logger = logging.getLogger(__name__)

# For text in Django's own models, such as names of users and groups. Our models choose the field type themselves.
READABLE = {models.CharField: LineField, models.TextField: LinesField, models.EmailField: MailField}


def own_hotel(request: HttpRequest) -> Any:
    """The hotel of the signed-in member of staff; ``None`` for a user without a staff profile."""
    profile = getattr(request.user, "staff_profile", None)
    return profile.hotel if profile else None


def only_hotel(request: HttpRequest) -> Any:
    """The hotel to which everything that the user sees belongs; ``None`` for a superuser, who sees all hotels."""
    return None if request.user.is_superuser else own_hotel(request)


class FoldedChangeList(ChangeList):
    """A change list that sorts names regardless of accents and case: Émile before Zoe, and anna before Berta."""

    def get_ordering_field(self, field_name: Any) -> Any:
        column = super().get_ordering_field(field_name)
        field = next((field for field in self.lookup_opts.fields if field.name == column), None)
        if isinstance(field, RoomNumberField):
            return field.sorted_by
        # A unique column is a booking reference or a user name, and its index sorts it.
        is_name = isinstance(field, models.CharField | models.TextField) and not field.choices and not field.unique
        return Folded(column) if is_name else column


class StrictRequestAdmin(admin.ModelAdmin):
    """Refuses filters and selections that the pages cannot produce; any other failure is a bug and is raised."""

    # The form fields in which the list sends the keys of the selected rows.
    selections: tuple[str, ...] = (ACTION_CHECKBOX_NAME,)

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Every text field of a form is a line or lines, as ``common.text`` defines them."""
        if type(db_field) in READABLE and not db_field.choices:
            kwargs.setdefault("form_class", READABLE[type(db_field)])
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """The list. A filter such as the year 99999 fails here, when rows are counted; Django then shows all rows."""
        try:
            return super().get_changelist_instance(request)
        except (ValueError, IndexError, DataError) as error:
            if request.GET.keys() <= {ERROR_FLAG}:
                raise  # not caused by a filter
            logger.warning("an admin list was requested with invalid filters", exc_info=True)
            raise IncorrectLookupParameters from error

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return FoldedChangeList

    def get_search_fields(self, request: HttpRequest) -> list[str]:
        """Searches ignore accents, as everywhere; prefixed fields, such as ``=room_number``, are left unchanged."""
        fields = super().get_search_fields(request)
        return [field if field.startswith(("=", "^", "@")) else f"{field}__folded__contains" for field in fields]

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any], *args: Any) -> Any:
        """Run an action on a selection; refuse one with a value that cannot be the key of a row."""
        key = self.model._meta.pk
        try:
            for name in self.selections:
                for value in request.POST.getlist(name):
                    if "\0" in str(key.to_python(value)):
                        raise ValidationError("PostgreSQL text cannot contain a null character")
        except ValidationError:
            messages.error(request, "This selection is not valid.")
            return HttpResponseRedirect(request.get_full_path())
        return super().response_action(request, queryset, *args)

    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return self._with_refusals_shown(request, super().changelist_view, "Not done", *args, **kwargs)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return self._with_refusals_shown(request, super().changeform_view, "Not saved", *args, **kwargs)

    def delete_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return self._with_refusals_shown(request, super().delete_view, "Not deleted", *args, **kwargs)

    @staticmethod
    def _with_refusals_shown(request: HttpRequest, view: Any, failed: str, *args: Any, **kwargs: Any) -> Any:
        """Show a service's refusal, or a lost race, as a message instead of an error page; nothing is changed.

        Any other integrity error is a rule that the form failed to check: a bug, which is raised.
        """
        if request.method != "POST":
            return view(request, *args, **kwargs)
        try:
            return view(request, *args, **kwargs)
        except HotelMateError as refusal:
            messages.error(request, refusal.message)
        except ProtectedError:
            messages.error(request, f"{failed}: other rows refer to it now.")
        except IntegrityError as error:
            if not is_race(error):
                raise
            reason = "something has changed in the meantime"
            if sqlstate(error) == UNIQUE:
                reason = "another row already has this name, code or number"
            messages.error(request, f"{failed}: {reason}.")
        return HttpResponseRedirect(request.get_full_path())


class HotelScopedAdmin(StrictRequestAdmin):
    """``hotel_lookup`` is the lookup from the model to its hotel (``pk`` for the hotel itself)."""

    hotel_lookup = "hotel"
    form: Any = OneHotelForm

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return self.scoped(request, super().get_queryset(request), self.hotel_lookup)

    def get_list_display(self, request: HttpRequest) -> Any:
        """Without the hotel column for a user who sees only one hotel."""
        columns = super().get_list_display(request)
        return columns if request.user.is_superuser else [column for column in columns if column != "hotel"]

    @staticmethod
    def scoped(request: HttpRequest, rows: QuerySet[Any], lookup: str) -> QuerySet[Any]:
        """The rows of the caller's hotel; all of them for a superuser, none for a user without a hotel."""
        if request.user.is_superuser:
            return rows
        hotel = own_hotel(request)
        return rows.none() if hotel is None else rows.filter(**{lookup: hotel.pk})

    def formfield_for_foreignkey(
        self, db_field: ForeignKey[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> ModelChoiceField | None:
        """Form choices are limited to the caller's hotel, too."""
        related = db_field.related_model
        lookup = "pk" if related._meta.label == "hotel.Hotel" else "hotel"
        if lookup == "pk" or any(field.name == "hotel" for field in related._meta.get_fields()):
            kwargs.setdefault("queryset", self.scoped(request, related._default_manager.all(), lookup))
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def get_exclude(self, request: HttpRequest, obj: Any = None) -> Any:
        """Only a superuser chooses a hotel; everybody else's rows get their own hotel."""
        exclude = list(super().get_exclude(request, obj) or [])
        return exclude if request.user.is_superuser or self.hotel_lookup == "pk" else [*exclude, "hotel"]

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Each field is submitted with the value that the page showed, so that only changed fields are written."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None:
            field.show_hidden_initial = True
        return field

    def has_add_permission(self, request: HttpRequest) -> bool:
        """A user without a hotel cannot add rows."""
        return (request.user.is_superuser or own_hotel(request) is not None) and super().has_add_permission(request)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        readonly = list(super().get_readonly_fields(request, obj))
        # A row never moves to another hotel (the database refuses it too).
        return [*readonly, "hotel"] if obj is not None and self.hotel_lookup == "hotel" else readonly

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """A new row gets the caller's hotel; of an existing row only the fields changed in the form are written."""
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
    """For models that belong to no hotel: only superusers see them, whatever permissions a user was given."""

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
