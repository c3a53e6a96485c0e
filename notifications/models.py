"""Realtime events, with outbox and log in one table, and the delivery records of guests' e-mails."""

import uuid
from datetime import datetime

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from common import clock
from common.fields import MailField
from common.triggers import ReportedInDryRun, SameHotel
from hotel.models import Hotel, Staff
from room_bookings.models import RoomBooking

# A hotel's streams: rooms and bookings for its staff, and guests' own bookings.
ROOMS, BOOKINGS, GUESTS = STREAMS = ("rooms", "room-bookings", "guest-bookings")


# Events that are no longer waiting: sent, or given up.
SETTLED = Q(sent_at__isnull=False) | Q(parked_at__isnull=False)


class EventStream(models.Model):
    """One ordered stream of a hotel's events; numbering its events locks this row and no other."""

    hotel = models.ForeignKey(Hotel, on_delete=models.PROTECT, related_name="+", db_index=False)
    name = models.CharField(max_length=20, help_text="rooms, room-bookings or guest-bookings")
    last_seq = models.BigIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["hotel", "name"], name="event_stream_unique")]

    def __str__(self) -> str:
        return f"{self.hotel.slug}.{self.name}"


class RealtimeEvent(models.Model):
    """An event, unchanged since it happened. ``seq`` is assigned after the commit, in id order, and never changes."""

    event_id = models.UUIDField(default=uuid.uuid4, unique=True)
    hotel = models.ForeignKey(Hotel, on_delete=models.PROTECT, related_name="+", db_index=False)
    stream = models.CharField(max_length=20)
    channel = models.CharField(max_length=164)
    type = models.CharField(max_length=60)
    envelope = models.JSONField(encoder=DjangoJSONEncoder, help_text="As sent, without meta.seq.")
    created_at = models.DateTimeField(default=clock.now)
    seq = models.BigIntegerField(null=True)
    sent_at = models.DateTimeField(null=True)
    parked_at = models.DateTimeField(null=True, help_text="When it was given up, as the provider would not take it.")
    last_error = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["hotel", "stream", "seq"], name="realtime_event_seq_unique"),
            models.CheckConstraint(
                condition=Q(seq__isnull=False) | Q(sent_at=None, parked_at=None),
                name="realtime_event_numbered_before_sent",
            ),
        ]
        # Partial indexes: they stay small, and find the next event quickly even after a day without Pusher.
        indexes = [
            models.Index(
                fields=["hotel", "stream", "id"], name="realtime_event_unnumbered", condition=Q(seq__isnull=True)
            ),
            models.Index(
                fields=["hotel", "stream", "seq"],
                name="realtime_event_unsent",
                condition=Q(seq__isnull=False, sent_at=None, parked_at=None),
            ),
            # For deleting the oldest.
            models.Index(fields=["created_at", "hotel"], name="realtime_event_settled", condition=SETTLED),
            models.Index(fields=["stream"], name="realtime_event_parked", condition=Q(parked_at__isnull=False)),
        ]
        triggers = [ReportedInDryRun(name="realtime_event_in_dry_run")]

    def __str__(self) -> str:
        return f"{self.type} {self.event_id}"


class Timeline(models.Model):
    """A timeline of PostgreSQL on which events were numbered, the current one last (notifications/timeline.py)."""

    system = models.BigIntegerField(help_text="The cluster's system identifier.")
    number = models.IntegerField()
    began_at = models.DateTimeField(default=clock.now, help_text="When a relay first saw it.")
    jumped_to = models.BigIntegerField(null=True, help_text="The number after which every stream continued on it.")

    def __str__(self) -> str:
        return f"timeline {self.number}"


class MailKind(models.TextChoices):
    """The kinds of e-mail to a guest."""

    CONFIRMATION = "CONFIRMATION", "Confirmation"
    CHANGE = "CHANGE", "New dates"
    CANCELLATION = "CANCELLATION", "Cancellation"
    DECLINE = "DECLINE", "Decline"


class MailState(models.TextChoices):
    """The delivery status of an e-mail."""

    QUEUED = "QUEUED", "Queued"
    SENDING = "SENDING", "Being sent"
    SENT = "SENT", "Sent"
    FAILED = "FAILED", "Failed"
    DROPPED = "DROPPED", "Dropped"


# In these states the e-mail is in the queue.
OPEN_MAIL = (MailState.QUEUED, MailState.SENDING)


class BookingMail(models.Model):
    """An e-mail to a booking's guest, without its text, as shown to the front desk (notifications/mail.py)."""

    hotel = models.ForeignKey(Hotel, on_delete=models.PROTECT, related_name="+")
    booking = models.ForeignKey(RoomBooking, on_delete=models.PROTECT, related_name="mails")
    kind = models.CharField(max_length=12, choices=MailKind)
    state = models.CharField(max_length=8, choices=MailState, default=MailState.QUEUED)
    to_address = MailField("to")
    queued_at = models.DateTimeField(default=clock.now)
    queued_by = models.ForeignKey(
        Staff, on_delete=models.PROTECT, null=True, blank=True, related_name="+", help_text="Who had it sent again."
    )
    claimed_at = models.DateTimeField(null=True, help_text="When a worker began to send it; while it does.")
    settled_at = models.DateTimeField(null=True, help_text="When it was sent, given up or dropped.")
    tries = models.PositiveSmallIntegerField(default=0)
    reason = models.CharField(max_length=200, blank=True, help_text="Why it waits, failed or was dropped.")
    due_at = models.DateTimeField(
        default=clock.now, db_default=Now(), help_text="When it is tried next, while it is open."
    )

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(condition=Q(kind__in=MailKind.values), name="booking_mail_kind_known"),
            models.CheckConstraint(condition=Q(state__in=MailState.values), name="booking_mail_state_known"),
            models.CheckConstraint(
                condition=Q(state__in=OPEN_MAIL, settled_at__isnull=True)
                | ~Q(state__in=OPEN_MAIL) & Q(settled_at__isnull=False),
                name="booking_mail_open_or_settled",
            ),
            models.CheckConstraint(
                condition=Q(state=MailState.SENDING, claimed_at__isnull=False)
                | ~Q(state=MailState.SENDING) & Q(claimed_at__isnull=True),
                name="booking_mail_sending_iff_claimed",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=[MailState.FAILED, MailState.DROPPED]) | ~Q(reason=""),
                name="booking_mail_failure_has_reason",
            ),
            # A newer e-mail replaces a queued one, and two sent concurrently could arrive in either order.
            models.UniqueConstraint(
                fields=["booking"], condition=Q(state=MailState.QUEUED), name="booking_mail_one_queued"
            ),
            models.UniqueConstraint(
                fields=["booking"], condition=Q(state=MailState.SENDING), name="booking_mail_one_being_sent"
            ),
        ]
        indexes = [models.Index(fields=["due_at"], name="booking_mail_due", condition=Q(state__in=OPEN_MAIL))]
        triggers = [
            SameHotel(
                name="booking_mail_one_hotel",
                links={"booking": "room_bookings_roombooking", "queued_by": "hotel_staff"},
            ),
            ReportedInDryRun(name="booking_mail_in_dry_run"),
        ]

    def __str__(self) -> str:
        return f"{self.booking_id}: {self.get_kind_display()}"

    @property
    def next_try_at(self) -> datetime | None:
        """``None`` unless it is queued."""
        return self.due_at if self.state == MailState.QUEUED else None
