"""URL configuration."""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from django.contrib import admin
from django.urls import include, path, register_converter
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularSwaggerView
from rest_framework.viewsets import ViewSetMixin

from common import room_numbers
from hotel.staff_views import (
    StaffAvailabilityView,
    StaffBookingApprovalView,
    StaffBookingCancelView,
    StaffBookingOverstayView,
    StaffBookingRoomView,
    StaffBookingStayView,
    StaffBookingView,
)
from hotel.views import AccessConfigViewSet, LoginView, LogoutView, MeViewSet
from hotelmate.openapi_view import DocumentView
from housekeeping.views import RoomStatusViewSet, TaskViewSet
from notifications.catch_up_views import EventViewSet
from notifications.mail_views import StaffBookingMailView
from notifications.views import PusherAuthView
from operations.block_views import BlockReasonViewSet, BlockReportViewSet, BlockViewSet
from operations.effects import show_effects
from operations.views import BookingActionsViewSet, RoomActionsViewSet
from rooms.views import RoomManagementViewSet, RoomTypeViewSet, TurnoverViewSet


class RoomNumberConverter:
    """A room's number in a path; what no room can have matches no path."""

    regex = "[^/]+"

    def to_python(self, value: str) -> room_numbers.RoomNumber:
        return room_numbers.checked(value)

    def to_url(self, value: room_numbers.RoomNumber) -> str:
        return quote(str(value))


register_converter(RoomNumberConverter, "number")


def view(viewset: type[ViewSetMixin], **actions: str) -> Callable[..., Any]:
    """The viewset's actions by HTTP method, each of which can be a dry run."""
    return viewset.as_view({**actions}, show_effects=show_effects)


def post(viewset: type[ViewSetMixin], action: str) -> Callable[..., Any]:
    """One action, by POST."""
    return view(viewset, post=action)


def both(route: str, handler: Callable[..., Any], name: str) -> list[Any]:
    """A path that older clients also find under ``housekeeping/``."""
    return [path(route, handler, name=name), path(f"housekeeping/{route}", handler, name=f"housekeeping-{name}")]


def booking(rest: str, handler: Callable[..., Any]) -> Any:
    """A path under one booking; the view validates the booking reference."""
    return path(f"room-bookings/<str:bid>/{rest}", handler, name="-".join(["booking", *rest.strip("/").split("/")]))


hotel_urls: list[Any] = [
    # room status first: these are the most frequent requests, and each path before them costs a comparison
    *both("rooms/<int:rid>/status/", post(RoomStatusViewSet, "update_status"), "room-status"),
    *both("rooms/<int:rid>/status-history/", view(RoomStatusViewSet, get="status_history"), "room-status-history"),
    path(
        "housekeeping/rooms/<int:rid>/manager_override/",
        post(RoomStatusViewSet, "manager_override"),
        name="manager-override",
    ),
    path("rooms/<int:rid>/actions/", view(RoomActionsViewSet, get="actions"), name="room-actions"),
    path("housekeeping/dashboard/", view(RoomStatusViewSet, get="dashboard"), name="dashboard"),
    path("me/", view(MeViewSet, get="me"), name="me"),
    path("access-config/", view(AccessConfigViewSet, get="retrieve", patch="partial_update"), name="access-config"),
    # rooms by status, and turnover
    path("turnover/rooms/", view(TurnoverViewSet, get="rooms"), name="turnover-rooms"),
    path("turnover/stats/", view(TurnoverViewSet, get="stats"), name="turnover-stats"),
    path("rooms/<number:rno>/start-cleaning/", post(TurnoverViewSet, "start_cleaning"), name="start-cleaning"),
    path("rooms/<number:rno>/mark-cleaned/", post(TurnoverViewSet, "mark_cleaned"), name="mark-cleaned"),
    path("rooms/<number:rno>/inspect/", post(TurnoverViewSet, "inspect_room"), name="inspect"),
    path("rooms/<number:rno>/mark-maintenance/", post(TurnoverViewSet, "mark_maintenance"), name="mark-maintenance"),
    path(
        "rooms/<number:rno>/complete-maintenance/",
        post(TurnoverViewSet, "complete_maintenance"),
        name="complete-maintenance",
    ),
    path("rooms/checkin/", post(TurnoverViewSet, "checkin_rooms"), name="rooms-checkin"),
    path("rooms/checkout/", post(TurnoverViewSet, "checkout_rooms"), name="rooms-checkout"),
    # inventory
    path("room-management/", view(RoomManagementViewSet, get="list", post="create"), name="rooms"),
    path(
        "room-management/<number:room>/",
        view(RoomManagementViewSet, get="retrieve", patch="partial_update", delete="destroy"),
        name="room",
    ),
    path("room-types/", view(RoomTypeViewSet, get="list", post="create"), name="room-types"),
    path("room-types/<int:pk>/", view(RoomTypeViewSet, patch="partial_update", delete="destroy"), name="room-type"),
    path("room-types/<int:pk>/rooms/bulk-create/", post(RoomTypeViewSet, "bulk_create"), name="rooms-bulk-create"),
    # blocks
    path("room-blocks/", view(BlockViewSet, get="list", post="create"), name="blocks"),
    path("room-blocks/export/", view(BlockReportViewSet, get="export"), name="blocks-export"),
    path("room-blocks/nights/", view(BlockReportViewSet, get="nights"), name="blocked-nights"),
    path("room-blocks/<int:pk>/", view(BlockViewSet, get="retrieve"), name="block"),
    *[
        path(f"room-blocks/<int:pk>/{action}/", post(BlockViewSet, action), name=f"block-{action}")
        for action in ("extend", "complete", "cancel")
    ],
    path("block-reasons/", view(BlockReasonViewSet, get="list"), name="block-reasons"),
    # tasks
    path("housekeeping/tasks/", view(TaskViewSet, get="list", post="create"), name="tasks"),
    path(
        "housekeeping/tasks/<int:pk>/",
        view(TaskViewSet, get="retrieve", patch="partial_update", put="update", delete="destroy"),
        name="task",
    ),
    *[
        path(f"housekeeping/tasks/<int:pk>/{action}/", post(TaskViewSet, action), name=f"task-{action}")
        for action in ("assign", "start", "complete", "cancel")
    ],
    # bookings
    path("availability/", view(StaffAvailabilityView, get="availability"), name="availability"),
    path("room-bookings/", view(StaffBookingView, get="list", post="create"), name="bookings"),
    booking("", view(StaffBookingView, get="retrieve", patch="partial_update")),
    booking("actions/", view(BookingActionsViewSet, get="actions")),
    booking("mark-seen/", post(StaffBookingView, "mark_seen")),
    booking("party/", view(StaffBookingView, get="party")),
    booking("party/companions/", view(StaffBookingView, put="companions")),
    booking("confirm/", post(StaffBookingApprovalView, "confirm")),
    booking("approve/", post(StaffBookingApprovalView, "approve")),
    booking("decline/", post(StaffBookingApprovalView, "decline")),
    booking("cancel/", post(StaffBookingCancelView, "cancel")),
    booking("no-show/", post(StaffBookingCancelView, "no_show")),
    booking("reinstate/", post(StaffBookingCancelView, "reinstate")),
    booking("available-rooms/", view(StaffBookingRoomView, get="available_rooms")),
    booking("safe-assign-room/", post(StaffBookingRoomView, "safe_assign_room")),
    booking("unassign-room/", post(StaffBookingRoomView, "unassign_room")),
    booking("move-room/", post(StaffBookingRoomView, "move_room")),
    booking("check-in/", post(StaffBookingStayView, "check_in")),
    booking("undo-check-in/", post(StaffBookingStayView, "undo_check_in")),
    booking("undo-check-out/", post(StaffBookingStayView, "undo_check_out")),
    booking("check-out/", post(StaffBookingStayView, "check_out")),
    booking("overstay/status/", view(StaffBookingOverstayView, get="overstay_status")),
    booking("overstay/acknowledge/", post(StaffBookingOverstayView, "acknowledge")),
    booking("overstay/extend/", post(StaffBookingOverstayView, "extend")),
    booking("mails/", view(StaffBookingMailView, get="list")),
    path(
        "room-bookings/<str:bid>/mails/<int:mail>/send-again/",
        post(StaffBookingMailView, "send_again"),
        name="booking-mails-send-again",
    ),
    # missed events
    path("events/", view(EventViewSet, get="missed"), name="events"),
]

api_urls: list[Any] = [
    path("staff/hotel/<slug:slug>/", include(hotel_urls)),
    path("staff/login/", LoginView.as_view(), name="login"),
    path("staff/logout/", LogoutView.as_view(), name="logout"),
    path("pusher/auth/", PusherAuthView.as_view(), name="pusher-auth"),
    path("schema/", DocumentView.as_view(), name="schema"),
    path("docs/", SpectacularSwaggerView.as_view(url_name="schema"), name="docs"),
]

urlpatterns = [
    path("api/", include(api_urls)),
    path("", RedirectView.as_view(url="/api/docs/")),
    path("admin", RedirectView.as_view(url="/admin/")),
    path("admin/", admin.site.urls),
    path("board", RedirectView.as_view(url="/board/")),
    path("board/", include("board.urls")),
    # with and without the slash, and where pusher-js looks by default
    *[path(route, PusherAuthView.as_view(schema=None)) for route in ("api/pusher/auth", "pusher/auth", "pusher/auth/")],
]

handler400 = "common.handlers.bad_request"
handler403 = "common.handlers.permission_denied"
handler404 = "common.handlers.not_found"
handler500 = "common.handlers.server_error"
