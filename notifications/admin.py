"""Guest e-mails in the admin: their delivery status, and sending them again."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.options import IS_POPUP_VAR
from django.contrib.admin.utils import unquote
from django.db import OperationalError
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse

from common.admin import ReadOnlyAdmin, only_hotel
from common.errors import HotelMateError
from notifications.mail import mail_list, send_again
from notifications.models import BookingMail
from room_bookings.admin import MOST_AT_ONCE, OtherHotel, explain, member, writes_to_guests
from room_bookings.models import RoomBooking
from room_bookings.search import mentioning


@admin.register(BookingMail)
class BookingMailAdmin(ReadOnlyAdmin):
    """The e-mails of all bookings, such as those queued or failed."""

    list_display = [
        "queued_at",
        "hotel",
        "booking",
        "kind",
        "state",
        "to_address",
        "tries",
        "next_try",
        "settled_at",
        "reason",
    ]
    list_filter = ["state", "kind", "queued_at", ("hotel", admin.RelatedOnlyFieldListFilter)]
    list_select_related = ["hotel"]
    list_per_page = MOST_AT_ONCE
    show_full_result_count = False
    search_fields = ["booking"]  # opens the search box; get_search_results decides what is searched
    search_help_text = "Anything that finds the booking, or the e-mail address."
    fields = [
        *("hotel", "booking", "kind", "state", "to_address", "queued_at", "queued_by"),
        *("tries", "next_try", "settled_at", "reason"),
    ]

    @admin.display(description="next try", empty_value="–")
    def next_try(self, mail: BookingMail) -> Any:
        return mail.next_try_at

    def get_queryset(self, request: HttpRequest) -> QuerySet[BookingMail]:
        return self.scoped(request, mail_list(), "hotel")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[BookingMail], search_term: str
    ) -> tuple[QuerySet[BookingMail], bool]:
        """E-mails of matching bookings, and e-mails sent to a matching address that the booking no longer has."""
        bookings = RoomBooking.objects.filter(mentioning(search_term, only_hotel(request)))
        return queryset.filter(Q(booking__in=bookings) | Q(to_address__folded__contains=search_term)), False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Staff who may view bookings and communicate with guests."""
        bookings = self.admin_site.get_model_admin(RoomBooking)
        return bookings.has_view_permission(request) and (request.user.is_superuser or writes_to_guests(request))

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """For hotel staff only: each resent e-mail records who requested it."""
        if not writes_to_guests(request) or IS_POPUP_VAR in request.GET:
            return {}
        return {"send_again": (send_chosen_again, "send_again", "Send again")}

    def get_urls(self) -> list[Any]:
        again = self.admin_site.admin_view(self.send_again_view)
        name = "notifications_bookingmail_send_again"
        return [path("<path:object_id>/send-again/", again, name=name), *super().get_urls()]

    def send_again_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The button on a booking's page; redirects back to that page."""
        mail = self.get_object(request, unquote(object_id))
        if mail is None or not self.has_view_permission(request):
            raise Http404
        if request.method == "POST":
            send(request, [mail])
        return HttpResponseRedirect(reverse("admin:room_bookings_roombooking_change", args=[mail.booking_id]))


def send_chosen_again(_page: BookingMailAdmin, request: HttpRequest, queryset: QuerySet[BookingMail]) -> None:
    """The list's bulk action."""
    mails = list(queryset[: MOST_AT_ONCE + 1])
    if len(mails) > MOST_AT_ONCE:
        messages.error(request, f"Choose between 1 and {MOST_AT_ONCE} e-mails.")
    else:
        send(request, mails[::-1])


def send(request: HttpRequest, mails: Sequence[BookingMail]) -> None:
    """Send each e-mail again, in its own transaction, and report the result."""
    staff, sent = member(request), 0
    for mail in mails:
        try:
            if staff is None or staff.hotel_id != mail.hotel_id or not writes_to_guests(request):
                raise OtherHotel(mail.booking)
            send_again(mail=mail, staff=staff)
            sent += 1
        except (HotelMateError, OperationalError) as error:
            message, _ = explain(error)
            messages.error(request, f"{mail.booking}: {message}")
    if sent:
        messages.success(request, f"Queued again: {sent} of {len(mails)} e-mails.")
