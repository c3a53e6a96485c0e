"""The events that went, or will go, to the screens: outbox and log in one table."""

import uuid

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Q

from common import clock
from hotel.models import Hotel

# The streams of a hotel: what its staff hear of rooms and of bookings, and what guests hear of theirs.
ROOMS, BOOKINGS, GUESTS = STREAMS = ("rooms", "room-bookings", "guest-bookings")


class EventStream(models.Model):
    """One ordered stream of a hotel's events; whoever numbers its events locks this row and no other."""

    hotel = models.ForeignKey(Hotel, on_delete=models.PROTECT, related_name="+", db_index=False)
    name = models.CharField(max_length=20, help_text="rooms, room-bookings or guest-bookings")
    last_seq = models.BigIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["hotel", "name"], name="event_stream_unique")]

    def __str__(self) -> str:
        return f"{self.hotel.slug}.{self.name}"


class RealtimeEvent(models.Model):
    """An event as it was when it happened. ``seq`` is given after the commit, in id order, and never changes."""

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
        # They stay small, and answer "what comes next" at once also after a day without Pusher.
        indexes = [
            models.Index(
                fields=["hotel", "stream", "id"], name="realtime_event_unnumbered", condition=Q(seq__isnull=True)
            ),
            models.Index(
                fields=["hotel", "stream", "seq"],
                name="realtime_event_unsent",
                condition=Q(seq__isnull=False, sent_at=None, parked_at=None),
            ),
            models.Index(fields=["stream"], name="realtime_event_parked", condition=Q(parked_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.event_id}"
