"""A booking's guest e-mails for the front desk: their delivery status, and sending one again."""

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
    "reason": "The mail server temporarily refused the address (450).",
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
    """An e-mail without its text, built by ``notifications.mail.mail_row``."""

    id = serializers.IntegerField()
    kind = serializers.ChoiceField(choices=MailKind.choices)
    kind_display = serializers.CharField()
    state = serializers.ChoiceField(
        choices=MailState.choices,
        help_text="QUEUED: waiting for its first or next try. DROPPED: not sent, as it no longer applied.",
    )
    state_display = serializers.CharField()
    to_address = serializers.CharField()
    queued_at = serializers.DateTimeField()
    queued_by_name = serializers.CharField(allow_null=True, help_text="The staff member who sent it again.")
    next_try_at = serializers.DateTimeField(allow_null=True, help_text="While it is queued.")
    tries = serializers.IntegerField()
    sent_at = serializers.DateTimeField(allow_null=True)
    settled_at = serializers.DateTimeField(allow_null=True, help_text="When it was sent, failed or was dropped.")
    reason = serializers.CharField(help_text="Why it is waiting, failed or was dropped.")
    can_send_again = serializers.BooleanField(help_text="It still applies, and the booking has an e-mail address.")


@extend_schema_serializer(many=False)
class MailPage(serializers.Serializer[Any]):
    count = serializers.IntegerField()
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = MailOutput(many=True)


class StaffBookingMailView(BookingViewSet):
    """The e-mails to a booking's guest."""

    rights: ClassVar = {"*": ["bookings.communicate"]}

    @booking_endpoint(
        "List a booking's e-mails, newest first",
        response=MailPage,
        example={"count": 1, "next": None, "previous": None, "results": [MAIL_EXAMPLE]},
        description="Without their text. E-mails are kept until 30 days after the stay.",
    )
    def list(self, request: Request, slug: str, bid: str) -> Response:
        page: Any = self.paginate_queryset(mail_list(self.booking(bid)))
        return self.get_paginated_response([mail_row(mail) for mail in page])

    @booking_endpoint(
        "Send an e-mail again",
        response=MailOutput,
        example=AGAIN_EXAMPLE,
        errors=[409],
        error_examples={
            409: error_body(
                "MAIL_OVERTAKEN",
                "Booking BK-2026-0005 is cancelled: this e-mail no longer applies.",
                details={"booking_id": "BK-2026-0005", "status": "CANCELLED"},
            )
        },
        description="Queues a new e-mail of the same kind, with the booking's current data and to its current address. "
        "It replaces one that is waiting for a retry. Safe to retry: an e-mail that has not been tried yet is returned "
        "unchanged. 409: the e-mail no longer applies to the booking (`MAIL_OVERTAKEN`), the booking has no e-mail "
        "address (`NO_EMAIL_ADDRESS`), or an e-mail is being sent right now (`MAIL_BEING_SENT`).",
    )
    def send_again(self, request: Request, slug: str, bid: str, mail: int) -> Response:
        booking = self.booking(bid)
        found: BookingMail = self.find(mail_list(booking), MailNotFound, "This booking has no such e-mail.", pk=mail)
        again = send_again(mail=found, staff=self.staff)
        return Response(mail_row(mail_list(booking).get(pk=again.pk)))
