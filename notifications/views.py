"""Channel authorisation: a client gets its private-channel signature here (docs/realtime.md, Channels)."""

from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated
from rest_framework.parsers import FormParser
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from common.errors import HotelMateError, NotAllowed
from common.openapi import endpoint
from common.parsers import BodyParser
from common.views import WithoutDryRun
from hotel.authentication import StaffSessionAuthentication, StaffTokenAuthentication
from hotel.models import Staff
from hotel.rights import ALL_RIGHTS
from notifications import transport
from notifications.models import BOOKINGS, ROOMS
from notifications.notification_manager import guest_channel, staff_channel
from room_bookings.authentication import GuestTokenAuthentication
from room_bookings.models import RoomBooking

# The rights that allow subscribing to a staff channel: any one of them.
LISTENERS = {
    ROOMS: [right for right in ALL_RIGHTS if right.startswith(("rooms.", "housekeeping."))],
    BOOKINGS: [right for right in ALL_RIGHTS if right.startswith("bookings.")],
}


class ChannelRefused(NotAllowed):
    code = "CHANNEL_REFUSED"


class RealtimeNotConfigured(HotelMateError):
    status = 503
    code = "REALTIME_NOT_CONFIGURED"


class PusherAuthInput(serializers.Serializer[Any]):
    socket_id = serializers.RegexField(r"\A[0-9]{1,20}\.[0-9]{1,20}\Z")
    channel_name = serializers.CharField(max_length=200)


class PusherAuthOutput(serializers.Serializer[Any]):
    auth = serializers.CharField()


class PusherAuthView(WithoutDryRun):
    """Signs a socket into one of the caller's private channels: the hotel's for staff, the booking's for a guest."""

    authentication_classes = (GuestTokenAuthentication, StaffTokenAuthentication, StaffSessionAuthentication)
    permission_classes = (AllowAny,)
    parser_classes = (FormParser, BodyParser)

    def perform_authentication(self, request: Request) -> None:
        """A missing or invalid token is refused with 403, like any other caller without access to the channel."""
        try:
            self.staff: Staff | None = getattr(request.user, "staff_profile", None)
            self.booking: RoomBooking | None = request.auth if isinstance(request.auth, RoomBooking) else None
        except (AuthenticationFailed, NotAuthenticated) as error:
            raise ChannelRefused("Permission denied: sign in first.") from error

    @endpoint(
        "Sign a socket into a private channel",
        description="Staff may subscribe to `private-{slug}.rooms` and `private-{slug}.room-bookings` of their own "
        "hotel, depending on their rights; a guest with the booking's token to "
        "`private-guest-booking.{booking_id}` of that booking.",
        request=PusherAuthInput,
        request_example={"socket_id": "123.456", "channel_name": "private-resort.rooms"},
        response=PusherAuthOutput,
        example={"auth": "key:signature"},
        errors=[403],
        tags=["realtime"],
    )
    def post(self, request: Request) -> Response:
        body = PusherAuthInput(data=request.data)
        body.is_valid(raise_exception=True)
        channel, socket_id = body.validated_data["channel_name"], body.validated_data["socket_id"]
        if not self._is_own(channel):
            raise ChannelRefused("Permission denied: this channel is not yours.")
        try:
            return Response(transport.sign(channel, socket_id))
        except transport.PusherNotConfigured as error:
            raise RealtimeNotConfigured("Live updates are not configured on this server.") from error

    def _is_own(self, channel: str) -> bool:
        if self.booking is not None:
            return channel == guest_channel(self.booking)
        return self.staff is not None and may_listen(self.staff, channel)


def may_listen(staff: Staff, channel: str) -> bool:
    """Whether the staff member may subscribe to ``channel``: one of their own hotel, if their rights allow it."""
    return staff.is_active and any(
        channel == staff_channel(staff.hotel.slug, stream) and any(staff.can(right) for right in rights)
        for stream, rights in LISTENERS.items()
    )
