"""The mail of a booking's guest, as the desk sees it: what became of each, and sending one again."""

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from common.handlers import error_body
from hotel.staff_views import BookingViewSet, booking_endpoint
from notifications.mail import MailNotFound, mail_list, mail_row, send_again
from notifications.models import BookingMail, MailKind, MailState

MAIL_EXAMPLE = {
    "id": 812,
    "kind": "CONFIRMATION",
    "kind_display": "Confirmation",
    "state": "QUEUED",
    "state_display": "Queued",
    "to_address": "ada@example.com",
    "queued_at": "2026-06-20T14:05:11.402000Z",
    "queued_by_name": None,
    "next_try_at": "2026-06-20T14:12:14Z",
    "tries": 2,
    "sent_at": None,
    "settled_at": None,
    "reason": "The mail server put off the address (450).",
    "can_send_again": True,
}
AGAIN_EXAMPLE = {
    **MAIL_EXAMPLE,
    "id": 815,
    "queued_at": "2026-06-20T14:09:00Z",
    "queued_by_name": "Tom Daly",
    "next_try_at": "2026-06-20T14:09:00Z",
    "tries": 0,
    "reason": "",
}


class MailOutput(serializers.Serializer[Any]):
    """A mail without its text; ``notifications.mail.mail_row`` makes it."""

    id = serializers.IntegerField()
    kind = serializers.ChoiceField(choices=MailKind.choices)
    kind_display = serializers.CharField()
    state = serializers.ChoiceField(
        choices=MailState.choices,
        help_text="QUEUED waits for its first or next try. DROPPED was not sent, as the booking had overtaken it.",
    )
    state_display = serializers.CharField()
    to_address = serializers.CharField()
    queued_at = serializers.DateTimeField()
    queued_by_name = serializers.CharField(allow_null=True, help_text="Who had it sent again.")
    next_try_at = serializers.DateTimeField(allow_null=True, help_text="Of one that waits.")
    tries = serializers.IntegerField()
    sent_at = serializers.DateTimeField(allow_null=True)
    settled_at = serializers.DateTimeField(allow_null=True, help_text="When it was sent, failed or was dropped.")
    reason = serializers.CharField(help_text="Why it waits, failed or was dropped.")
    can_send_again = serializers.BooleanField(help_text="What it says is still true, and there is an address.")


@extend_schema_serializer(many=False)
class MailPage(serializers.Serializer[Any]):
    count = serializers.IntegerField()
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = MailOutput(many=True)


class StaffBookingMailView(BookingViewSet):
    """What the guest was mailed."""

    rights: ClassVar = {"*": ["bookings.communicate"]}

    @booking_endpoint(
        "The mails of a booking, the newest first",
        response=MailPage,
        example={"count": 1, "next": None, "previous": None, "results": [MAIL_EXAMPLE]},
        description="Without their texts. They are kept until 30 days after the stay.",
    )
    def list(self, request: Request, slug: str, bid: str) -> Response:
        page: Any = self.paginate_queryset(mail_list(self.booking(bid)))
        return self.get_paginated_response([mail_row(mail) for mail in page])

    @booking_endpoint(
        "Send a mail again",
        response=MailOutput,
        example=AGAIN_EXAMPLE,
        errors=[409],
        error_examples={
            409: error_body(
                "MAIL_OVERTAKEN",
                "Booking BK-2026-0005 is cancelled: a mail that says otherwise is not sent.",
                details={"booking_id": "BK-2026-0005", "status": "CANCELLED"},
            )
        },
        description="A new mail of the same kind, with what is true of the booking now and to the address that it has "
        "now. It takes the place of one that waits for a later try. Safe to repeat: one that waits for its first try "
        "is answered as it is. 409: the booking has overtaken it (`MAIL_OVERTAKEN`), has no "
        "address (`NO_EMAIL_ADDRESS`), or a mail is being sent at this moment (`MAIL_BEING_SENT`).",
    )
    def send_again(self, request: Request, slug: str, bid: str, mail: int) -> Response:
        booking = self.booking(bid)
        found: BookingMail = self.find(mail_list(booking), MailNotFound, "This booking has no such mail.", pk=mail)
        again = send_again(mail=found, staff=self.staff)
        return Response(mail_row(mail_list(booking).get(pk=again.pk)))
