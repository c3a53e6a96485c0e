"""The list of bookings that staff search, sort and see by bucket (contract section 6): what they may ask for.

A tab's number is what a click on it shows: ``bucket_counts`` and ``filtered_bookings`` build on the same conditions.
"""

from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from django.db.models import Count, ExpressionWrapper, F, IntegerField, OrderBy, Q, QuerySet
from django.db.models.functions import Cast, Length, Substr
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from common.errors import FieldError
from common.serializers import LineField, SearchField
from hotel import calendar
from hotel.models import Hotel
from room_bookings.models import DRAFT_STATUSES, GUEST_NAME, BookingStatus, RoomBooking
from room_bookings.search import LONGEST, mentioning
from room_bookings.selectors import booking_list, late_arrivals, past_departure
from rooms.models import RoomType

BUCKETS = (
    "all",
    "arrivals",
    "in_house",
    "departures",
    "pending",
    "checked_out",
    "cancelled",
    "expired",
    "no_show",
    "overdue_checkout",
)
SHOWN_STATUSES = tuple(status for status in BookingStatus if status not in DRAFT_STATUSES)
# Which moment a date range is about; "stay" is about the stay's own days.
MOMENTS = {
    "created": "created_at",
    "updated": "updated_at",
    "checked_in": "checked_in_at",
    "checked_out": "checked_out_at",
}
ORDERINGS: dict[str, tuple[Any, ...]] = {
    "created_at": (F("created_at"),),
    "updated_at": (F("updated_at"),),
    "check_in": (F("check_in"),),
    "check_out": (F("check_out"),),
    "total_amount": (F("total_amount"),),
    "guest_name": (GUEST_NAME,),
    # By year, then by number: BK-2026-10000 comes after BK-2026-9999.
    "booking_id": (Substr("booking_id", 1, len("BK-2026-")), Length("booking_id"), F("booking_id")),
    "status": (F("status"),),
}
PARTY_SIZE = ExpressionWrapper(Cast("adults", IntegerField()) + F("children"), output_field=IntegerField())

# A business day of an earlier or later date begins or ends outside the calendar of Python.
FIRST_DAY, LAST_DAY = date(1, 1, 3), date(9999, 12, 28)


class NumberFilter(serializers.IntegerField):
    """Any whole number; one that no column can hold finds nothing."""

    def to_internal_value(self, data: Any) -> int:
        if "_" in str(data):  # Python's own, as in 1_000
            self.fail("invalid")
        return super().to_internal_value(data)


@extend_schema_field(OpenApiTypes.STR)
class RoomNumbersFilter(serializers.Field[Any, Any, Any, Any]):
    """Room numbers with commas between them; what is none matches no room, as the staff app's clients expect."""

    def to_internal_value(self, data: Any) -> list[int]:
        words = [word.strip() for word in str(data).split(",")]
        return [int(word) for word in words if word.isascii() and word.isdigit() and len(word) < 10]


class AmountFilter(serializers.DecimalField):
    """An amount of money, of any sign and size; none that is stored comes near ``LARGEST``."""

    LARGEST = Decimal(10) ** 12

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"max_digits": None, "decimal_places": None, **kwargs})

    def to_internal_value(self, data: Any) -> Decimal:
        amount: Decimal = super().to_internal_value(data)
        # Rounded, too: a number may have a million digits behind the point.
        return max(-self.LARGEST, min(amount, self.LARGEST)).quantize(Decimal("0.000001"))


class OrderingField(serializers.ChoiceField):
    """A name of ``ORDERINGS`` with ``-`` before it, or ``+`` (which an address may turn into a blank), or neither."""

    def to_internal_value(self, data: Any) -> str:
        return str(super().to_internal_value(str(data).lstrip("+ ")))


class StatusListField(serializers.CharField):
    """Statuses with commas between them."""

    def to_internal_value(self, data: Any) -> list[str]:  # type: ignore[override]  # the text becomes a list
        statuses = [status for word in super().to_internal_value(data).split(",") if (status := word.strip())]
        for status in statuses:
            if status not in BookingStatus.values:
                raise serializers.ValidationError(f'"{status}" is no status of a booking.')
        return statuses


class CurrencyFilter(serializers.RegexField):
    """An ISO 4217 code, in small letters too."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(r"\A[A-Za-z]{3}\Z", **kwargs)

    def to_internal_value(self, data: Any) -> str:
        return super().to_internal_value(data).upper()


class BookingQuery(serializers.Serializer[Any]):
    """The query parameters of the list; the caller leaves blank ones out (``HotelViewSet.query``)."""

    bucket = serializers.ChoiceField(choices=BUCKETS, default="all")
    date_mode = serializers.ChoiceField(
        choices=["stay", *MOMENTS],
        default="stay",
        help_text="What the dates are about: the days of the stay (arrival and departure day included), or the "
        "business day on which it was created, last changed, checked in or checked out. The buckets arrivals, "
        "departures and checked_out have their own: the arrival, the departure, the check-out. Guests who are late "
        "are also among the arrivals of today.",
    )
    date_from = serializers.DateField(required=False, help_text="First day, as the hotel counts its days.")
    date_to = serializers.DateField(required=False, help_text="Last day, included.")
    q = SearchField(
        required=False,
        max_length=LONGEST,
        help_text="Words that all occur in: reference, confirmation number, names, e-mail and phone of guest, "
        "companions and booker. Capitals and accents make no difference, nor do spaces, punctuation and country code "
        "in a telephone number. A number also finds the guests of that room.",
    )
    assigned = serializers.BooleanField(required=False, help_text="Whether it has a room.")
    room_id = NumberFilter(required=False)
    room_number = RoomNumbersFilter(
        required=False, help_text="One or more, with commas between them. What is no number matches nothing."
    )
    room_type = LineField(required=False, max_length=100, help_text="Code or id.")
    adults = NumberFilter(required=False)
    children = NumberFilter(required=False)
    party_size_min = NumberFilter(required=False, help_text="Adults and children together.")
    party_size_max = NumberFilter(required=False)
    amount_min = AmountFilter(required=False)
    amount_max = AmountFilter(required=False)
    currency = CurrencyFilter(required=False)
    seen = serializers.BooleanField(required=False, help_text="Whether any of the staff has opened it.")
    seen_by_staff_id = NumberFilter(required=False)
    status = StatusListField(required=False, help_text="One or more, with commas between them.")
    ordering = OrderingField(choices=[sign + name for name in ORDERINGS for sign in ("", "-")], default="-created_at")
    include_counts = serializers.BooleanField(default=True, help_text="0 leaves bucket_counts out.")


class BucketCounts(serializers.Serializer[Any]):
    """How many bookings a click on each bucket shows, all other filters kept; ``bucket_counts`` makes it."""

    def get_fields(self) -> dict[str, Any]:
        return {bucket: serializers.IntegerField() for bucket in BUCKETS}


def filtered_bookings(hotel: Hotel, query: Mapping[str, Any]) -> QuerySet[RoomBooking]:
    """The hotel's bookings that ``query`` (validated by ``BookingQuery``) asks for, in its order.

    Equal ones follow by when they were made, backwards too where the order is; a booking without an amount comes last
    in either direction. Raises ``FieldError`` for a room type's code that the hotel does not have.

    They are bare: cut out a page of ids, ``filtered_bookings(…).values_list("pk", flat=True)``, and have them dressed
    by ``bookings_in_order``. Most orders sort all the hotel's bookings, which is five times slower with the joins.
    """
    statuses, condition = _buckets(hotel, query)[query["bucket"]]
    found = _narrowed(RoomBooking.objects.filter(hotel=hotel), hotel, query).filter(condition, status__in=statuses)
    return found.order_by(*_order(query["ordering"]))


def bookings_in_order(ids: Iterable[int]) -> list[RoomBooking]:
    """The bookings with these ids, in this order, with all that ``booking_row`` shows; one statement."""
    ids = list(ids)
    found = booking_list().in_bulk(ids)
    return [found[pk] for pk in ids if pk in found]


def bucket_counts(hotel: Hotel, query: Mapping[str, Any]) -> dict[str, int]:
    """How many bookings each bucket holds under the other filters of ``query``; one statement for all of them.

    The number of ``query["bucket"]`` is that of the rows of ``filtered_bookings``, which need not be counted again
    (``PagePagination.known_count``).
    """
    buckets = _buckets(hotel, query)
    counts = {bucket: Count("status", filter=condition or None) for bucket, (_, condition) in buckets.items()}
    # By status, so that an index has everything and each row is compared only where the status does not tell.
    found = _narrowed(RoomBooking.objects.filter(hotel=hotel), hotel, query).order_by()
    groups: list[Any] = list(found.values("status").annotate(**counts))
    return {
        bucket: sum(group[bucket] for group in groups if group["status"] in statuses)
        for bucket, (statuses, _) in buckets.items()
    }


def _buckets(hotel: Hotel, query: Mapping[str, Any]) -> dict[str, tuple[tuple[str, ...], Q]]:
    """What each bucket holds: bookings in which status, under which condition; the dates of the query included.

    Arrivals, departures and check-outs are about a day: today, or in its place the days that were asked for, so that
    "arrivals, 3 to 5 July" are those who arrive then, whatever ``date_mode`` says. Late arrivals are
    listed under today as well. The other buckets are about the present; dates narrow them by ``date_mode`` as they
    narrow the whole list.
    """
    today = calendar.business_date(hotel)
    dated = "date_from" in query or "date_to" in query
    first, last = (query.get("date_from"), query.get("date_to")) if dated else (today, today)
    within = _dated(hotel, query) if dated else Q()
    status, in_house = BookingStatus, (BookingStatus.IN_HOUSE,)
    return {
        "all": (SHOWN_STATUSES, within),
        "arrivals": ((status.CONFIRMED,), _arrivals(today, first, last)),
        "in_house": (in_house, within),
        "departures": (in_house, _days("check_out", first, last)),
        "pending": ((status.PENDING_APPROVAL,), within),
        # A stay that a supervisor cancelled ended with its guest's leaving too.
        "checked_out": ((status.COMPLETED, status.CANCELLED), _business_days("checked_out_at", hotel, first, last)),
        "cancelled": ((status.CANCELLED, status.DECLINED), within),
        "expired": ((status.EXPIRED,), within),
        "no_show": ((status.NO_SHOW,), within),
        "overdue_checkout": (in_house, past_departure(hotel) & within),
    }


def _arrivals(today: date, first: date | None, last: date | None) -> Q:
    """Arrivals due within the days, both included, and, if today is among them, late arrivals."""
    due = _days("check_in", first, last)
    has_today = (first is None or first <= today) and (last is None or today <= last)
    return due | late_arrivals(today) if has_today else due


def _dated(hotel: Hotel, query: Mapping[str, Any]) -> Q:
    first, last = query.get("date_from"), query.get("date_to")
    if query["date_mode"] == "stay":
        # The departure day counts, although the night is free again: every guest in the house that day is listed, so
        # that the day's departures are among its stays, and a day use is too. A guest may come before the arrival day,
        # and stay past the departure.
        begins, ends = _days("check_in", None, last), _days("check_out", first, None)
        if last:
            begins |= Q(arrived_on__lte=last)
        if first and first <= calendar.business_date(hotel):
            ends |= Q(status=BookingStatus.IN_HOUSE)
        return begins & ends
    return _business_days(MOMENTS[query["date_mode"]], hotel, first, last)


def _days(field: str, first: date | None, last: date | None) -> Q:
    """``field`` lies within the days, both included; an end that is ``None`` is open."""
    from_then = Q(**{f"{field}__gte": first}) if first else Q()
    return from_then & Q(**{f"{field}__lte": last}) if last else from_then


def _business_days(field: str, hotel: Hotel, first: date | None, last: date | None) -> Q:
    """The moment ``field`` lies within the hotel's business days, both included; an end that is ``None`` is open."""
    condition = Q()
    if first:
        condition &= Q(**{f"{field}__gte": calendar.business_day(hotel, _workable(first))[0]})
    if last:
        condition &= Q(**{f"{field}__lt": calendar.business_day(hotel, _workable(last))[1]})
    return condition


def _workable(day: date) -> date:
    return max(FIRST_DAY, min(day, LAST_DAY))


def _narrowed(bookings: QuerySet[RoomBooking], hotel: Hotel, query: Mapping[str, Any]) -> QuerySet[RoomBooking]:
    """Those of ``bookings`` that pass every filter but the bucket and its dates."""
    if "date_from" in query and "date_to" in query and query["date_from"] > query["date_to"]:
        return bookings.none()
    lookups = {
        "room_id": "assigned_room",
        "room_number": "assigned_room__room_number__in",
        "adults": "adults",
        "children": "children",
        "party_size_min": "party_size__gte",
        "party_size_max": "party_size__lte",
        "amount_min": "total_amount__gte",
        "amount_max": "total_amount__lte",
        "currency": "currency",
        "seen_by_staff_id": "staff_seen_by",
    }
    wanted = Q(**{lookup: query[name] for name, lookup in lookups.items() if name in query})
    if "assigned" in query:
        wanted &= Q(assigned_room__isnull=not query["assigned"])
    if "seen" in query:
        wanted &= Q(staff_seen_at__isnull=not query["seen"])
    if query.get("status"):
        wanted &= Q(status__in=query["status"])
    if "room_type" in query:
        wanted &= Q(room_type=_room_type_id(hotel, query["room_type"]))
    wanted &= mentioning(query.get("q", ""))
    return bookings.alias(party_size=PARTY_SIZE).filter(wanted)


def _room_type_id(hotel: Hotel, code_or_id: str) -> int:
    """A code is tried first: it may look like a number. An id that no type has finds no bookings."""
    types = RoomType.objects.filter(hotel=hotel, code=code_or_id).order_by("pk").values_list("pk", flat=True)
    found = types.first()
    if found is not None:
        return found
    if code_or_id.isascii() and code_or_id.isdigit():
        return int(code_or_id)
    raise FieldError("room_type", f'room_type: this hotel has no room type with the code "{code_or_id}".')


def _order(ordering: str) -> list[OrderBy]:
    name = ordering.removeprefix("-")
    descending = ordering.startswith("-")
    # Only an amount can be missing. For the others the word would keep PostgreSQL from reading an index backwards.
    nulls_last = True if name == "total_amount" else None
    keys = [OrderBy(key, descending=descending, nulls_last=nulls_last) for key in ORDERINGS[name]]
    return [*keys, OrderBy(F("pk"), descending=descending)]
