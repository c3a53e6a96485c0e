"""The admin site: its home page with today's figures, and the behaviour common to all its pages."""

from datetime import tzinfo
from functools import wraps
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django.contrib import messages
from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.core.paginator import Page, Paginator
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone

from common.admin import own_hotel
from hotel import calendar
from hotel.models import Hotel
from housekeeping.models import HousekeepingTask
from operations.figures import HotelFigures, todays_figures
from room_bookings.models import RoomBooking
from room_bookings.today import TODAY_FILTERS
from rooms.models import Priority, Room, RoomStatus

IN_SERVICE = {"is_active__exact": 1}
HOTELS_PER_PAGE = 50


class HotelAdminSite(AdminSite):
    """Django's admin with times in the hotel's local time and a home page of today's figures."""

    site_header = site_title = "HotelMate"
    index_title = "Today"
    index_template = "admin/home.html"
    site_url = "/board/"

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        """Render every page in the local time of the caller's hotel, or in UTC if they have none."""

        @wraps(view)
        def page(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if "\0" in request.path:
                raise Http404
            if any("\0" in value for _, values in request.GET.lists() for value in values):
                messages.error(request, "That URL is not valid.")
                return HttpResponseRedirect(request.path)
            with timezone.override(local_timezone(request)):
                response: Any = view(request, *args, **kwargs)
                # Rendered here: after the block the timezone would be a different one.
                return response.render() if hasattr(response, "render") else response

        return super().admin_view(page, cacheable)

    def autocomplete_view(self, request: HttpRequest) -> Any:
        """Choices for a field; 403 for a reverse relation, which has none."""
        try:
            return super().autocomplete_view(request)
        except AttributeError as error:
            raise PermissionDenied from error

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """The home page: figures of the staff member's hotel, or of all hotels for a superuser."""
        return super().index(request, {**home(self, request), **(extra_context or {})})


def local_timezone(request: HttpRequest) -> tzinfo | None:
    """The timezone of the caller's hotel, or None (UTC) if it is invalid: the admin is where it can be corrected."""
    hotel = own_hotel(request)
    return ZoneInfo(hotel.timezone) if hotel and calendar.has_clock(hotel) else None


def home(site: AdminSite, request: HttpRequest) -> dict[str, Any]:
    """Template context of the home page, for a superuser with a page (``p``) of the hotels that match ``q``.

    Rooms, bookings and tasks appear if the caller may view their lists.
    """
    hotel = own_hotel(request)
    sees = {
        name: site.get_model_admin(model).has_view_permission(request)
        for name, model in (("rooms", Room), ("bookings", RoomBooking), ("tasks", HousekeepingTask))
    }
    search = request.GET.get("q", "").strip()
    page = _page_of_hotels(site, request, search) if request.user.is_superuser else None
    own = [hotel] if hotel else []
    summaries = [
        HotelSummary(figures, among_others=page is not None)
        for figures in todays_figures(own if page is None else list(page), **sees)
    ]
    return {
        "summaries": summaries,
        "page": page,
        "search": search,
        "sees": sees,
        "own_hotel": hotel,  # a board is only for the hotel's own staff
        "faults": [priority.label for priority in reversed(Priority)],
    }


def _page_of_hotels(site: AdminSite, request: HttpRequest, search: str) -> Page[Hotel]:
    """A page of the hotels by name, searched as in the list of hotels; an invalid page number gives the nearest one."""
    hotels, _ = site.get_model_admin(Hotel).get_search_results(request, Hotel.objects.all(), search)
    return Paginator(hotels, HOTELS_PER_PAGE).get_page(request.GET.get("p"))


class HotelSummary:
    """One hotel's figures with labels and links to the filtered lists, for the template."""

    def __init__(self, figures: HotelFigures, *, among_others: bool):
        self.figures, self.hotel = figures, figures.hotel
        self.only = {"hotel__id__exact": figures.hotel.pk} if among_others else {}
        self.board, self.turn_times = (
            reverse(f"board:{page}", kwargs={"slug": figures.hotel.slug}) for page in ("board", "turn-times")
        )

    def rooms_link(self, **query: Any) -> str:
        return self._link(Room, IN_SERVICE | query)

    def statuses(self) -> list[dict[str, Any]]:
        """Every status in turnover order, with its count and a link to its rooms."""
        return [
            {
                "value": status.value,
                "label": status.label,
                "count": self.figures.statuses.get(status.value, 0),
                "link": self.rooms_link(room_status__exact=status.value),
            }
            for status in RoomStatus
        ]

    def faults(self) -> list[dict[str, Any]]:
        """Open faults by priority, most urgent first."""
        return [
            {
                "label": priority.label,
                "count": self.figures.faults.get(priority.value, 0),
                "link": self.rooms_link(maintenance_required__exact=1, maintenance_priority__exact=priority.value),
            }
            for priority in reversed(Priority)
        ]

    def fault_count(self) -> int:
        return sum(self.figures.faults.values())

    def with_room(self) -> int:
        return self.figures.dues.get("arrivals", 0) - self.figures.dues.get("without_room", 0)

    def links(self) -> dict[str, str]:
        """Links to the lists of the other figures, by name."""
        bookings = {name: self._link(RoomBooking, {"today": name}) for name in TODAY_FILTERS}
        return bookings | {
            "rooms": self.rooms_link(),
            "bookable": self.rooms_link(room_status__exact=RoomStatus.READY_FOR_GUEST.value),
            "faults": self.rooms_link(maintenance_required__exact=1),
            "tasks": self._link(HousekeepingTask, {"work": "open"}),
            "late_tasks": self._link(HousekeepingTask, {"work": "late"}),
        }

    def _link(self, model: Any, query: dict[str, Any]) -> str:
        page = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        return f"{page}?{urlencode(query | self.only)}"
