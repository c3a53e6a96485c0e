"""Bookings in the admin: searching, reading with the full history, and actions through the services. Only notes can be
edited."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar, NamedTuple, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import IS_POPUP_VAR, IncorrectLookupParameters
from django.contrib.admin.utils import flatten_fieldsets, unquote
from django.contrib.admin.widgets import AdminTextareaWidget
from django.core.exceptions import ValidationError
from django.db import Error as DatabaseError
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, QueryDict
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.timezone import localtime

from common.admin import HotelScopedAdmin, ReadOnlyAdmin, only_hotel, own_hotel
from common.errors import HotelMateError, NotAllowed
from common.forms import LinesField
from common.guards import Guard, examine
from common.handlers import unavailability
from common.money import money
from common.room_numbers import RoomNumber
from common.search import Folded
from hotel import calendar
from hotel.models import Hotel, Staff
from notifications.mail import can_send_again, mail_list
from notifications.models import BookingMail
from room_bookings.models import (
    IN_FLIGHT_PAYMENTS,
    BookingAction,
    BookingChange,
    BookingExtension,
    BookingGuest,
    OverstayIncident,
    RoomBooking,
    spaced,
)
from room_bookings.search import mentioning
from room_bookings.services.approval import approval_refusals, approve_booking, decline_booking, decline_refusals
from room_bookings.services.cancel import cancel_booking, cancellation_refusals
from room_bookings.services.checkout import check_out, departure_refusals
from room_bookings.services.edit import edit_booking
from room_bookings.services.facts import Facts, ReadFacts
from room_bookings.services.no_show import mark_no_show, no_show_refusals
from room_bookings.services.payment_sweep import retry_payment, retry_refusals
from room_bookings.services.reinstate import reinstate_booking, reinstatement_refusals
from room_bookings.services.settlement import failures
from room_bookings.snapshots import guest_name, is_late_arrival
from room_bookings.today import TODAY_FILTERS, on_their_day
from rooms.models import RoomBlock

MOST_AT_ONCE = 100
UPDATE = "bookings.update"


def member(request: HttpRequest) -> Staff | None:
    """The signed-in staff member; ``None`` for users without a staff profile."""
    return getattr(request.user, "staff_profile", None)


def is_late(booking: RoomBooking) -> bool:
    """Whether the guest is late, if that can be determined: in a list across hotels, one with an unknown timezone must
    not break the others."""
    return calendar.has_clock(booking.hotel) and is_late_arrival(booking)


def writes_to_guests(request: HttpRequest) -> bool:
    """Whether the caller may view guest e-mails and send them again."""
    staff = member(request)
    return staff is not None and staff.can("bookings.communicate")


# --- actions ----------------------------------------------------------------------------------------------------------


class Step(NamedTuple):
    """An action: the required right, its texts, the service's guard and the service itself, and whether it asks for a
    reason."""

    right: str
    title: str
    warning: str
    done: str
    guard: Callable[[RoomBooking, Staff, Facts], Guard[Any]]
    take: Callable[[RoomBooking, Staff, str], RoomBooking]
    asks_reason: bool = False


STEPS = {
    "approve": Step(
        UPDATE,
        "Approve requests",
        "Card payments are captured, and the guests get a confirmation.",
        "Approved",
        lambda booking, _, facts: approval_refusals(booking, facts),
        lambda booking, staff, _: approve_booking(booking=booking, staff=staff),
    ),
    "decline": Step(
        "bookings.cancel",
        "Decline requests",
        "Card payments are voided or refunded, and the guests are notified.",
        "Declined",
        lambda booking, *_: decline_refusals(booking),
        lambda booking, staff, reason: decline_booking(booking=booking, staff=staff, reason_note=reason),
        asks_reason=True,
    ),
    "check_out": Step(
        "bookings.checkout",
        "Check out",
        "The guests have left; their rooms will be marked for cleaning.",
        "Checked out",
        lambda booking, *_: departure_refusals(booking),
        lambda booking, staff, _: check_out(booking=booking, staff=staff),
    ),
    "cancel": Step(
        "bookings.cancel",
        "Cancel bookings",
        "The rooms are released, and the guests are notified. For a guest in house this ends the stay.",
        "Cancelled",
        lambda booking, staff, _: cancellation_refusals(booking, staff, REASON_GIVEN),
        lambda booking, staff, reason: cancel_booking(booking=booking, staff=staff, reason=reason),
        asks_reason=True,
    ),
    "no_show": Step(
        "bookings.cancel",
        "Mark as no-show",
        "The guests did not arrive; the rooms are released.",
        "Marked as no-show",
        lambda booking, *_: no_show_refusals(booking),
        lambda booking, staff, _: mark_no_show(booking=booking, staff=staff),
    ),
    "retry_payment": Step(
        UPDATE,
        "Retry parked payments",
        "The worker retries within a minute or two, and keeps trying for about a day.",
        "Queued for retry",
        lambda booking, *_: retry_refusals(booking),
        lambda booking, staff, _: retry_payment(booking=booking, staff=staff),
    ),
    "reinstate": Step(
        "bookings.supervise",
        "Reinstate bookings",
        "The bookings are confirmed again, without a room, and the guests get a confirmation. This page checks each "
        "booking on its own: of two that need the last room of a night, the second will be refused.",
        "Reinstated",
        reinstatement_refusals,
        lambda booking, staff, reason: reinstate_booking(booking=booking, staff=staff, reason=reason),
        asks_reason=True,
    ),
}


# Stands for the reason in a preview: the page requires one, so there will be one.
REASON_GIVEN = "given"


class OtherHotel(NotAllowed):
    """A superuser sees the rows of all hotels, but can only act on those of their own."""

    def __init__(self, row: RoomBooking | RoomBlock):
        super().__init__(f"Only the staff of {row.hotel} may do this.")


class ReasonForm(forms.Form):
    """Asks for the reason of an action."""

    reason = LinesField(
        max_length=2000,
        widget=AdminTextareaWidget,
        help_text="Kept in the history. For a decline or cancellation it is also sent to the guest.",
    )


def ask_or_take(
    name: str, bookings_admin: "RoomBookingAdmin", request: HttpRequest, queryset: QuerySet[RoomBooking]
) -> HttpResponse | None:
    """Run the action ``name`` on the selected bookings: first show the confirmation page, then act on its answer."""
    step = STEPS[name]
    applied = "apply" in request.POST
    if applied:
        # Not the filtered list: a booking that no longer matches was changed meanwhile, and the service reports that.
        queryset = bookings_admin.get_queryset(request).filter(pk__in=request.POST.getlist(ACTION_CHECKBOX_NAME))
    related = ("hotel", "room_type", "assigned_room", "payment_retry")
    bookings = list(queryset.select_related(*related).order_by("pk")[: MOST_AT_ONCE + 1])
    if not bookings or len(bookings) > MOST_AT_ONCE:
        messages.error(request, f"Choose between 1 and {MOST_AT_ONCE} bookings.")
        return None
    form = (ReasonForm if step.asks_reason else forms.Form)(request.POST if applied else None)
    if form.is_valid():
        take(step, request, bookings, form.cleaned_data.get("reason", ""))
        return None
    context = {
        **bookings_admin.admin_site.each_context(request),
        **preview(step, request, bookings),
        "title": step.title,
        "step": step,
        "action": name,
        "form": form,
        "opts": bookings_admin.model._meta,
        "media": bookings_admin.media,
    }
    return TemplateResponse(request, "admin/room_bookings/roombooking/step.html", context)


class Preview(NamedTuple):
    """A booking on the confirmation page, and every reason why the action would be refused."""

    booking: RoomBooking
    guest: str
    is_late: bool
    refusals: Sequence[HotelMateError] = ()


def preview(step: Step, request: HttpRequest, bookings: list[RoomBooking]) -> dict[str, list[Preview]]:
    """What the action would currently do to each booking, by the service's own guard: nothing is locked or written.

    The payment provider is not called: its refusals only show when the action is taken.
    """
    staff = request.user.staff_profile  # type: ignore[union-attr]
    outcomes: dict[str, list[Preview]] = {"rows": [], "already": [], "refused": []}
    facts = ReadFacts(staff.hotel)
    for booking in bookings:
        examine(step_refusals(step, booking, staff, facts))  # asks for what ``load`` then reads
    facts.load()
    for booking in bookings:
        refusals, value = examine(step_refusals(step, booking, staff, facts))
        outcome = "refused" if refusals else "already" if value is False else "rows"
        outcomes[outcome].append(Preview(booking, guest_name(booking), is_late(booking), refusals))
    return outcomes


def step_refusals(step: Step, booking: RoomBooking, staff: Staff, facts: Facts) -> Guard[Any]:
    """The refusals of the action's service, for a booking of the caller's hotel."""
    if booking.hotel_id != staff.hotel_id:
        yield OtherHotel(booking)
        return None
    return (yield from step.guard(booking, staff, facts))


def take(step: Step, request: HttpRequest, bookings: list[RoomBooking], reason: str) -> None:
    """Take the action for each booking, in its own transaction, and report the results.

    If one booking is refused, the others still run; if the database or the payment provider is unavailable, the
    remaining ones are not tried.
    """
    staff = request.user.staff_profile  # type: ignore[union-attr]
    done = 0
    for tried, booking in enumerate(bookings, 1):
        try:
            if booking.hotel_id != staff.hotel_id:
                raise OtherHotel(booking)
            after = step.take(booking, staff, reason)
        except (HotelMateError, DatabaseError) as error:
            message, is_booking_error = explain(error)
            messages.error(request, f"{booking.booking_id}: {message}")
            if is_booking_error:
                continue
            if tried < len(bookings):
                messages.warning(request, f"Not tried: {', '.join(each.booking_id for each in bookings[tried:])}.")
            break
        if after.version == booking.version:
            messages.info(request, f"{booking.booking_id}: already done.")
        else:
            done += 1
    if done:
        messages.success(request, f"{step.done}: {done} of {len(bookings)} bookings.")


def explain(error: HotelMateError | DatabaseError) -> tuple[str, bool]:
    """The error's message, and whether the booking is the cause; unexpected errors are raised."""
    if isinstance(error, HotelMateError):
        return error.message, error.status < 500
    unavailable = unavailability(error)
    if unavailable is None:
        raise error
    return unavailable[1], False


# --- the pages --------------------------------------------------------------------------------------------------------


class BookingForm(forms.ModelForm):
    """The notes, and the booking's version when the form was opened."""

    internal_notes = LinesField(max_length=2000, required=False, strip=False, widget=AdminTextareaWidget)

    class Meta:
        model = RoomBooking
        fields = ["internal_notes", "version"]
        widgets = {"version": forms.HiddenInput}

    def clean(self) -> None:
        """Report a concurrent change while the text is still in the form; the service checks again, under the lock."""
        super().clean()
        if "version" in self.cleaned_data and self.cleaned_data["version"] != self.instance.version:
            # Saving again then means that the message was read.
            data = cast(QueryDict, self.data).copy()
            data[self.add_prefix("version")] = str(self.instance.version)
            self.data = data
            raise ValidationError(
                "This booking has been changed meanwhile. Its notes now read: “%(notes)s”. Save again to replace them "
                "with yours.",
                params={"notes": self.instance.internal_notes},
            )


class ReadOnlyInline(admin.TabularInline):
    """Rows written by services: visible to everyone who can view the row that they belong to, and read-only."""

    extra = 0
    can_delete = False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class CompanionsInline(ReadOnlyInline):
    model = BookingGuest
    verbose_name_plural = "companions"
    fields = ["first_name", "last_name", "email", "phone"]


def why(change: BookingChange) -> str:
    """The reason of an action; for an edit, the names of the changed fields in words."""
    if change.action != BookingAction.EDITED:
        return change.reason
    words = {field.name: str(field.verbose_name) for field in RoomBooking._meta.fields}
    return ", ".join(words.get(name, name.replace("_", " ")) for name in change.reason.split(", "))


class HistoryInline(ReadOnlyInline):
    model = BookingChange
    verbose_name_plural = "history"
    fields = [
        "created_at",
        "staff",
        "action",
        "from_status",
        "to_status",
        "from_room",
        "to_room",
        "is_upgrade",
        "why",
    ]
    readonly_fields = ["why"]

    @admin.display(description="reason")
    def why(self, change: BookingChange) -> str:
        return why(change)

    def get_queryset(self, request: HttpRequest) -> QuerySet[BookingChange]:
        return super().get_queryset(request).select_related("staff__user", "from_room", "to_room")


class OverstaysInline(ReadOnlyInline):
    model = OverstayIncident
    verbose_name_plural = "overstays"
    fields = [
        "expected_checkout_date",
        "status",
        "detected_at",
        "acknowledged_at",
        "acknowledged_by",
        "resolved_at",
        "note",
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[OverstayIncident]:
        return super().get_queryset(request).select_related("booking", "acknowledged_by__user")


class ExtensionsInline(ReadOnlyInline):
    model = BookingExtension
    verbose_name_plural = "extensions"
    fields = ["created_at", "staff", "old_check_out", "new_check_out"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[BookingExtension]:
        return super().get_queryset(request).select_related("booking", "staff__user")


class MailsInline(ReadOnlyInline):
    model = BookingMail
    verbose_name_plural = "e-mails to the guest"
    fields = ["queued_at", "kind", "state", "to_address", "tries", "next_try", "settled_at", "reason", "queued_by"]
    readonly_fields = ["next_try", "again"]

    @admin.display(description="next try", empty_value="–")
    def next_try(self, mail: BookingMail) -> Any:
        return mail.next_try_at

    @admin.display(description="", empty_value="")
    def again(self, mail: BookingMail) -> str | None:
        """A button in the booking's form that posts to another URL."""
        if not can_send_again(mail):
            return None
        url = reverse("admin:notifications_bookingmail_send_again", args=[mail.pk])
        return format_html('<button formaction="{}" formnovalidate>Send again</button>', url)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.is_superuser or writes_to_guests(request)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Includes the button for staff of the booking's hotel who may use it."""
        of_the_hotel = obj is not None and own_hotel(request) == obj.hotel
        return [*self.fields, "again"] if of_the_hotel and writes_to_guests(request) else self.fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[BookingMail]:
        return mail_list()


class TodayFilter(admin.SimpleListFilter):
    """The bookings to handle on each hotel's business date; the home page shows the same numbers."""

    title = "today"
    parameter_name = "today"
    WORDS = {
        "arrivals": "Arrivals still to come",
        "late_arrivals": "… who were due earlier",
        "room_ready": "… whose room is ready",
        "room_not_ready": "… whose room is not ready yet",
        "without_room": "… without a room",
        "due_out": "Departures still in house",
        "overdue": "… who are overdue",
        "in_house": "In house",
        "requests": "Requests to approve",
        "late_requests": "… past their deadline",
    }

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return list(self.WORDS.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[RoomBooking]) -> QuerySet[RoomBooking]:
        name = self.value()
        if name is None:
            return queryset
        if name not in TODAY_FILTERS:
            raise IncorrectLookupParameters(name)
        hotel = own_hotel(request)
        every = request.user.is_superuser
        hotels = Hotel.objects.all() if every else [hotel] if hotel else []
        return on_their_day(queryset, hotels).filter(TODAY_FILTERS[name])


class CardPaymentFilter(admin.SimpleListFilter):
    """Card payments that the worker's sweep has not settled."""

    title = "card payment"
    parameter_name = "payment"
    WORDS: ClassVar = {
        "parked": ("Parked: failed, no more retries", Q(payment_retry__parked_at__isnull=False)),
        "failing": ("Failed, will be retried", Q(payment_retry__next_try_at__isnull=False)),
        "under_way": ("In progress", Q(payment_state__in=IN_FLIGHT_PAYMENTS)),
    }

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, words) for name, (words, _) in self.WORDS.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[RoomBooking]) -> QuerySet[RoomBooking]:
        name = self.value()
        if name is None:
            return queryset
        if name not in self.WORDS:
            raise IncorrectLookupParameters(name)
        return queryset.filter(self.WORDS[name][1])


@admin.register(RoomBooking)
class RoomBookingAdmin(HotelScopedAdmin):
    form = BookingForm
    inlines = [CompanionsInline, MailsInline, HistoryInline, OverstaysInline, ExtensionsInline]
    list_display = ["booking_id", "hotel", "guest", "status", "arrival", "check_out", "room_type", "room", "amount"]
    list_filter = [
        TodayFilter,
        "status",
        CardPaymentFilter,
        "check_in",
        ("assigned_room", admin.EmptyFieldListFilter),
        ("room_type", admin.RelatedOnlyFieldListFilter),
        ("hotel", admin.RelatedOnlyFieldListFilter),
    ]
    list_select_related = ["hotel", "room_type", "assigned_room"]
    list_per_page = MOST_AT_ONCE
    show_full_result_count = False
    date_hierarchy = "check_in"
    search_fields = ["booking_id"]  # opens the search box; get_search_results decides what is searched
    search_help_text = (
        "Booking reference, confirmation number, room number; name, e-mail or phone of a guest or booker."
    )
    # Every field except the hash of the guest's token; amount and currency combined.
    fieldsets = [
        (None, {"fields": ["hotel", "booking_id", "confirmation_number", "status", "internal_notes", "version"]}),
        ("Stay", {"fields": ["check_in", "check_out", "adults", "children", "room_type", "special_requests"]}),
        (
            "Room",
            {
                "fields": [
                    "assigned_room",
                    "room_assigned_at",
                    "room_assigned_by",
                    "assignment_notes",
                    "checked_in_at",
                    "checked_out_at",
                    "room_moved_at",
                ]
            },
        ),
        ("Guest", {"fields": ["primary_first_name", "primary_last_name", "primary_email", "primary_phone"]}),
        (
            "Booked by",
            {
                "classes": ["collapse"],
                "fields": [
                    "booker_type",
                    "booker_first_name",
                    "booker_last_name",
                    "booker_company",
                    "booker_email",
                    "booker_phone",
                ],
            },
        ),
        (
            "Payment",
            {
                "fields": [
                    "amount",
                    "payment_provider",
                    "payment_reference",
                    "payment_state",
                    "payment_attempt",
                    "payment_requested_at",
                    "payment_requested_by",
                    "payment_tries",
                    "paid_at",
                ]
            },
        ),
        (
            "Decisions",
            {
                "fields": [
                    "created_at",
                    "updated_at",
                    "staff_seen_at",
                    "staff_seen_by",
                    "approval_deadline_at",
                    "decision_at",
                    "decided_by",
                    "decline_reason_code",
                    "decline_reason_note",
                    "cancelled_at",
                    "cancelled_by",
                    "cancellation_reason",
                    "expired_at",
                    "auto_expire_reason_code",
                    "overstay_flagged_at",
                    "overstay_acknowledged_at",
                ]
            },
        ),
    ]
    readonly_fields = [name for name in flatten_fieldsets(fieldsets) if name not in BookingForm.Meta.fields]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[RoomBooking], search_term: str
    ) -> tuple[QuerySet[RoomBooking], bool]:
        """The same bookings as the API's ``q``, without duplicates."""
        return queryset.filter(mentioning(search_term, only_hotel(request))), False

    @admin.display(description="guest", ordering=Folded(spaced("primary_last_name", "primary_first_name")))
    def guest(self, booking: RoomBooking) -> str:
        return guest_name(booking)

    @admin.display(description="arrival", ordering="check_in")
    def arrival(self, booking: RoomBooking) -> str:
        return f"{date_format(booking.check_in)}{', late' if is_late(booking) else ''}"

    @admin.display(description="room", ordering="assigned_room__sort_key", empty_value="–")
    def room(self, booking: RoomBooking) -> RoomNumber | None:
        return booking.assigned_room.room_number if booking.assigned_room else None

    @admin.display(description="amount", ordering="total_amount", empty_value="–")
    def amount(self, booking: RoomBooking) -> str | None:
        amount = money(booking.total_amount, booking.currency)
        return amount and f"{amount} {booking.currency}"

    @admin.display(description="failed tries", empty_value="–")
    def payment_tries(self, booking: RoomBooking) -> str | None:
        retry = failures(booking) if booking.payment_state in IN_FLIGHT_PAYMENTS else None
        if retry is None:
            return None
        moment = retry.parked_at or retry.next_try_at
        what = "parked on" if retry.parked_at else "next on"
        return f"{retry.failures} ({retry.last_error}), {what} {date_format(localtime(moment), 'j M Y, H:i')}"

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None:
            field.show_hidden_initial = False  # the version detects concurrent changes
        return field

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> Any:
        """The booking's history, which includes edits made in the admin."""
        # Evaluated by the page, so only if the caller may view the booking.
        changes = {"changes": partial(self.changes, unquote(object_id))}
        return super().history_view(request, object_id, {**changes, **(extra_context or {})})

    @staticmethod
    def changes(booking_pk: Any) -> list[tuple[BookingChange, str]]:
        rows = BookingChange.objects.filter(booking=booking_pk).select_related("staff__user", "from_room", "to_room")
        return [(change, why(change)) for change in rows.order_by("-pk")]

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """The actions that the caller's rights allow; none without a staff profile, which the history needs."""
        staff = member(request)
        if staff is None or IS_POPUP_VAR in request.GET:
            return {}
        return {
            name: (partial(ask_or_take, name), name, f"{step.title}…")
            for name, step in STEPS.items()
            if staff.can(step.right)
        }

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Staff who may view bookings here and update bookings of their own hotel can edit the notes."""
        staff = member(request)
        if staff is None or (obj is not None and obj.hotel_id != staff.hotel_id):
            return False
        return staff.can(UPDATE) and self.has_view_permission(request, obj)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """The token hash is not shown, so it must not be discoverable by filters either."""
        return not lookup.startswith("guest_token_hash") and super().lookup_allowed(lookup, value, request)

    def save_model(self, request: HttpRequest, obj: RoomBooking, form: Any, change: bool) -> None:
        """Save through the service, which increments the version, writes the history and notifies clients."""
        edit_booking(
            booking=obj,
            staff=request.user.staff_profile,  # type: ignore[union-attr]
            expected_versions=[form.cleaned_data["version"]],
            internal_notes=form.cleaned_data["internal_notes"],
        )


@admin.register(BookingChange)
class BookingChangeAdmin(ReadOnlyAdmin):
    """The history of all bookings: which staff member cancelled which booking, and why."""

    list_display = ["created_at", "hotel", "booking", "action", "staff", "from_room", "to_room", "why"]
    list_filter = ["action", "created_at", ("hotel", admin.RelatedOnlyFieldListFilter)]
    list_select_related = ["hotel", "booking", "staff__user", "from_room", "to_room"]
    search_fields = ["booking__booking_id", "reason", "staff__user__username", "staff__user__last_name"]
    search_help_text = "Booking reference, reason or staff member."
    show_full_result_count = False
    fields = [
        "created_at",
        "hotel",
        "booking",
        "action",
        "staff",
        "from_status",
        "to_status",
        "from_room",
        "to_room",
        "is_upgrade",
        "why",
    ]

    @admin.display(description="reason")
    def why(self, change: BookingChange) -> str:
        return why(change)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Callers who may view bookings can read each booking's history, so also this list."""
        return self.admin_site.get_model_admin(RoomBooking).has_view_permission(request)
