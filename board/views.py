"""Views of the live board: sign-in, the board and its state, and the chart of turn times."""

from datetime import time
from typing import Any, ClassVar

from django.contrib.auth.views import LoginView, LogoutView, redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.generic import View
from rest_framework.request import Request
from rest_framework.response import Response

from board.chart import chart, day_name, headline
from board.pusher_js import Script, pusher_js
from board.state import board_state
from common.errors import NotAllowed
from common.middleware import NO_COPY
from common.views import HotelViewSet, staff_of
from hotel import calendar
from hotel.forms import StaffSignInForm
from hotel.models import Hotel, Staff
from hotel.rights import ALL_RIGHTS
from housekeeping.statistics import turn_times, turn_times_by_day
from notifications import transport
from rooms.models import Room

DAYS = 30  # shown in the chart of turn times


class Page(View):
    """Base of the board's pages: never cached, as they contain guest names, and with a strict content security policy.

    Pages that need pusher-js set ``self.script``; it may come from Pusher's CDN.
    """

    script: Script | None = None

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return self.protected(super().dispatch(request, *args, **kwargs))

    def protected(self, response: HttpResponseBase) -> HttpResponseBase:
        """Add the headers that every page of the board sends."""
        response["Cache-Control"] = NO_COPY
        response["Content-Security-Policy"] = content_security_policy(self.script)
        return response


def content_security_policy(script: Script | None) -> str:
    """Allow only this server and the live events' server, plus the CDN if ``script`` comes from there."""
    cdn = [script.url] if script and script.integrity else []
    return "; ".join(
        [
            "default-src 'none'",
            " ".join(["script-src 'self'", *cdn]),
            "style-src 'self'",
            " ".join(["connect-src 'self'", *transport.listener_origins()]),
            "img-src 'self' data:",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        ]
    )


class StaffPage(Page):
    """A page for a hotel's staff. Sets ``self.staff``; redirects users who are not signed in to the sign-in."""

    staff: Staff

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not request.user.is_authenticated:
            return self.protected(redirect_to_login(request.get_full_path()))
        try:
            self.staff = staff_of(request.user, kwargs.get("slug"))
            require_a_right(self.staff)
        except NotAllowed as refusal:
            return self.protected(render(request, "board/refused.html", {"message": refusal.message}, status=403))
        return super().dispatch(request, *args, **kwargs)


def require_a_right(staff: Staff) -> None:
    """Raise ``NotAllowed`` unless the staff member has any right: the board is for everyone who has one."""
    if not any(staff.can(right) for right in ALL_RIGHTS):
        raise NotAllowed("Permission denied: your role does not include this.")


class HomeView(StaffPage):
    """Redirects to the board of the user's hotel."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return redirect("board:board", self.staff.hotel.slug)


class BoardView(StaffPage):
    """The board, with its initial state embedded."""

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        state = board_state(self.staff)
        if state["realtime"]:
            self.script = pusher_js()
        return render(request, "board/board.html", {"state": state, "script": self.script})


class StateViewSet(HotelViewSet):
    """The board's state as JSON. Only for the board itself, so not in the API schema."""

    queryset = Room.objects.none()
    rights: ClassVar = {"state": ALL_RIGHTS}
    schema = None

    def state(self, request: Request, slug: str) -> Response:
        return Response(board_state(self.staff), headers={"Cache-Control": NO_COPY})


class TurnTimesView(StaffPage):
    """Turn times by day."""

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        return render(request, "board/turn_times.html", turn_times_page(self.staff.hotel))


def turn_times_page(hotel: Hotel, days: int = DAYS) -> dict[str, Any]:
    """Template context of the turn times page: figures by day and overall, headline and chart."""
    by_day = turn_times_by_day(hotel, days)
    [month] = turn_times(hotel, [calendar.at(hotel, by_day[0]["date"], time.min)])
    sentence, comparison = headline(by_day[-1], month, days)
    return {
        "hotel": hotel,
        "days": [{**day, "name": day_name(day["date"])} for day in reversed(by_day)],
        "number_of_days": days,
        "month": month,
        "headline": sentence,
        "comparison": comparison,
        "chart": chart(by_day, month["p50_minutes"]) if month["count"] else None,
    }


class SignInView(Page, LoginView):
    """Sign in, then continue to the requested page or to the board of the user's hotel."""

    template_name = "board/sign_in.html"
    authentication_form = StaffSignInForm


class SignOutView(Page, LogoutView):  # type: ignore[misc]  # decorated, its dispatch looks like another
    """Sign out, by POST."""

    next_page = "board:sign-in"
