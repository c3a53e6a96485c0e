"""The catch-up endpoint: events that a client missed while offline (docs/realtime.md, Missed events)."""

from typing import Any

from django.conf import settings
from rest_framework import serializers
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from common.errors import NotAllowed
from common.handlers import error_body
from common.openapi import endpoint
from common.serializers import RoomNumberField
from common.views import HotelViewSet
from notifications.catch_up import Missed, events_after, latest_seq
from notifications.models import RealtimeEvent
from notifications.notification_manager import envelope_of
from notifications.views import LISTENERS, ChannelRefused
from rooms.serializers import ROOM_EXAMPLE

EVENTS_AT_ONCE = 500
LARGEST_SEQ = 2**63 - 1

ENVELOPE_EXAMPLE = {
    "category": "rooms",
    "type": "room_updated",
    "payload": {
        **ROOM_EXAMPLE,
        "changed_fields": ["room_status", "last_cleaned_at"],
        "source": "HOUSEKEEPING",
        "from_status": "CLEANING_IN_PROGRESS",
        "to_status": "CLEANED_UNINSPECTED",
        "changed_by_name": "Maeve Byrne",
    },
    "meta": {
        "hotel_slug": "resort",
        "event_id": "0b2cf2a3-6c5c-4a3c-9d0e-6f6f3f2f9a11",
        "seq": 422,
        "ts": "2026-07-01T09:12:45.120000Z",
        "scope": {"room_number": 101},
    },
}


class EventsQuery(serializers.Serializer[Any]):
    channel = serializers.ChoiceField(choices=list(LISTENERS))
    after = serializers.IntegerField(
        min_value=0,
        max_value=LARGEST_SEQ,
        required=False,
        help_text="The last `seq` that you have seen. If omitted, only `latest_seq` is returned, for a new client to "
        "start from.",
    )
    limit = serializers.IntegerField(
        min_value=1, default=100, help_text=f"At most {EVENTS_AT_ONCE}; larger values are capped."
    )

    def validate_limit(self, value: int) -> int:
        return min(value, EVENTS_AT_ONCE)


class EventScope(serializers.Serializer[Any]):
    room_number = RoomNumberField(required=False, help_text="On the channel `rooms`.")
    booking_id = serializers.CharField(required=False, help_text="On the channel `room-bookings`.")


class EventMeta(serializers.Serializer[Any]):
    hotel_slug = serializers.CharField()
    event_id = serializers.UUIDField(help_text="The same on every redelivery: ignore an id that you have seen.")
    seq = serializers.IntegerField(help_text="Numbered per channel without gaps; never changes.")
    ts = serializers.DateTimeField()
    scope = EventScope()


class EventEnvelope(serializers.Serializer[Any]):
    """An event exactly as sent on the channel, built by ``notification_manager.envelope_of``."""

    category = serializers.ChoiceField(choices=["rooms", "room_booking"])
    type = serializers.CharField(help_text="Also the name of the Pusher event.")
    payload = serializers.DictField(help_text="The room without its guests, or the booking's row, after the event.")
    meta = EventMeta()


class EventsOutput(serializers.Serializer[Any]):
    results = EventEnvelope(many=True)
    latest_seq = serializers.IntegerField(
        help_text="The newest number on the channel: until you reach it, request again after the last of `results`."
    )


class EventViewSet(HotelViewSet):
    """The hotel's events, for callers that may subscribe to the channel."""

    queryset = RealtimeEvent.objects.none()

    def handle_exception(self, exc: Exception) -> Response:
        """As on the channel itself, credentials that are no longer valid for it get 403.

        A reconnecting client gets the same refusal from both, and 401 only means that it sent no credentials.
        """
        if isinstance(exc, AuthenticationFailed | NotAuthenticated) and self._credentials_given():
            exc = ChannelRefused("Permission denied: these credentials are not valid for this channel.")
        return super().handle_exception(exc)

    def _credentials_given(self) -> bool:
        return bool(self.request.headers.get("Authorization")) or settings.SESSION_COOKIE_NAME in self.request.COOKIES

    @endpoint(
        "Missed events",
        response=EventsOutput,
        example={"results": [ENVELOPE_EXAMPLE], "latest_seq": 422},
        errors=[410],
        error_examples={
            410: error_body(
                "EVENTS_EXPIRED",
                "The events after 17 are no longer available: reload, then continue from 422.",
                details={"oldest_seq": 118, "latest_seq": 422},
            )
        },
        parameters=[EventsQuery],
        tags=["realtime"],
        description="For a client that was offline or sees a gap: the channel's envelopes in order, sent or not. "
        "`rooms` requires any rooms or housekeeping right, `room-bookings` any bookings right. Events are kept for "
        "`EVENT_RETENTION_DAYS`; if some after `after` have been deleted, the response is 410, and "
        "`details.latest_seq` is the number to continue from after a reload. An `after` beyond `latest_seq` returns no "
        "events: such a client must start over. Credentials that are no longer valid for the channel get 403, as on "
        "the channel itself; no credentials get 401.",
    )
    def missed(self, request: Request, slug: str) -> Response:
        query = self.query(EventsQuery)
        if not self.can_any(LISTENERS[query["channel"]]):
            raise NotAllowed(self.refusal_message())
        if "after" in query:
            missed = events_after(self.hotel, query["channel"], after=query["after"], limit=query["limit"])
        else:
            missed = Missed([], latest_seq(self.hotel, query["channel"]))
        return Response({"results": [envelope_of(event) for event in missed.events], "latest_seq": missed.latest_seq})
