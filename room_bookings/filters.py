"""Filters, ordering and buckets of the staff's booking list (docs/api.md, Bookings).

A bucket's count matches its list: ``bucket_counts`` and ``filtered_bookings`` use the same conditions.
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

from common import room_numbers
from common.errors import FieldError
from common.serializers import LineField, SearchField
from hotel import calendar
from hotel.models import Hotel
from room_bookings.models import DRAFT_STATUSES, GUEST_NAME, BookingStatus, RoomBooking
from room_bookings.search import LONGEST, mentioning
from room_bookings.selectors import bookings_read, late_arrivals, past_departure
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
# The timestamp that a date range applies to; "stay" applies to the days of the stay.
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

# The business day of an earlier or later date would begin or end outside the range of Python's dates.
FIRST_DAY, LAST_DAY = date(1, 1, 3), date(9999, 12, 28)


class NumberFilter(serializers.IntegerField):
    """Any whole number; one too large for the column matches nothing."""

    def to_internal_value(self, data: Any) -> int:
        if "_" in str(data):  # Python accepts 1_000
            self.fail("invalid")
        return super().to_internal_value(data)


@extend_schema_field(OpenApiTypes.STR)
class RoomNumbersFilter(serializers.Field[Any, Any, Any, Any]):
    """Comma-separated room numbers, in any case; what is none matches no room, as the staff app expects.

    ``0101`` also finds room 101, as it did when all numbers were integers.
    """

    def to_internal_value(self, data: Any) -> list[room_numbers.RoomNumber]:
        words = [word.strip() for word in str(data).split(",") if "\0" not in word]
        zeros = [word.lstrip("0") for word in words if word.isdecimal() and word.startswith("0")]
        return [room_numbers.read(word) for word in (*words, *zeros)]


class AmountFilter(serializers.DecimalField):
    """An amount of money of any sign and size; no stored amount comes near ``LARGEST``."""

    LARGEST = Decimal(10) ** 12

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"max_digits": None, "decimal_places": None, **kwargs})

    def to_internal_value(self, data: Any) -> Decimal:
        amount: Decimal = super().to_internal_value(data)
        # Also rounded: the input may have a million decimal places.
        return max(-self.LARGEST, min(amount, self.LARGEST)).quantize(Decimal("0.000001"))


class OrderingField(serializers.ChoiceField):
    """A name in ``ORDERINGS``, optionally prefixed with ``-`` or ``+`` (which URL decoding may turn into a space)."""

    def to_internal_value(self, data: Any) -> str:
        return str(super().to_internal_value(str(data).lstrip("+ ")))


class StatusListField(serializers.CharField):
    """Comma-separated statuses."""

    def to_internal_value(self, data: Any) -> list[str]:  # type: ignore[override]  # the text becomes a list
        statuses = [status for word in super().to_internal_value(data).split(",") if (status := word.strip())]
        for status in statuses:
            if status not in BookingStatus.values:
                raise serializers.ValidationError(f'"{status}" is not a booking status.')
        return statuses


class CurrencyFilter(serializers.RegexField):
    """An ISO 4217 code in any case."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(r"\A[A-Za-z]{3}\Z", **kwargs)

    def to_internal_value(self, data: Any) -> str:
        return super().to_internal_value(data).upper()


class BookingQuery(serializers.Serializer[Any]):
    """The query parameters of the list; blank ones are dropped beforehand (``HotelViewSet.query``)."""

    bucket = serializers.ChoiceField(choices=BUCKETS, default="all")
    date_mode = serializers.ChoiceField(
        choices=["stay", *MOMENTS],
        default="stay",
        help_text="What the date range applies to: the days of the stay (including the arrival and departure day), or "
        "the business day on which the booking was created, last changed, checked in or checked out. The buckets "
        "arrivals, departures and checked_out always use the arrival, the departure and the check-out. Late arrivals "
        "are also among today's arrivals.",
    )
    date_from = serializers.DateField(required=False, help_text="First day, by the hotel's dates.")
    date_to = serializers.DateField(required=False, help_text="Last day, inclusive.")
    q = SearchField(
        required=False,
        max_length=LONGEST,
        help_text="Words that must all occur in the booking reference, the confirmation number, or the names, e-mails "
        "and telephone numbers of guest, companions and booker. Case and accents are ignored, as are spaces, "
        "punctuation and country code of a telephone number. A number also finds the guests of that room.",
    )
    assigned = serializers.BooleanField(required=False, help_text="Whether a room is assigned.")
    room_id = NumberFilter(required=False)
    room_number = RoomNumbersFilter(
        required=False, help_text="One or more, comma-separated, in any case. What no room has matches nothing."
    )
    room_type = LineField(required=False, max_length=100, help_text="Code or id.")
    adults = NumberFilter(required=False)
    children = NumberFilter(required=False)
    party_size_min = NumberFilter(required=False, help_text="Adults and children together.")
    party_size_max = NumberFilter(required=False)
    amount_min = AmountFilter(required=False)
    amount_max = AmountFilter(required=False)
    currency = CurrencyFilter(required=False)
    seen = serializers.BooleanField(required=False, help_text="Whether a staff member has opened it.")
    seen_by_staff_id = NumberFilter(required=False)
    status = StatusListField(required=False, help_text="One or more, comma-separated.")
    ordering = OrderingField(choices=[sign + name for name in ORDERINGS for sign in ("", "-")], default="-created_at")
    include_counts = serializers.BooleanField(default=True, help_text="0 leaves bucket_counts out.")


class BucketCounts(serializers.Serializer[Any]):
    """The number of bookings in each bucket under the other filters, from ``bucket_counts``."""

    def get_fields(self) -> dict[str, Any]:
        return {bucket: serializers.IntegerField() for bucket in BUCKETS}


def filtered_bookings(hotel: Hotel, query: Mapping[str, Any]) -> QuerySet[RoomBooking]:
    """The hotel's bookings that match ``query`` (validated by ``BookingQuery``), in its order.

    Ties are sorted by creation, in the same direction; bookings without an amount come last in either direction. Raises
    ``FieldError`` for a room type code that the hotel does not have.

    Without related rows: take a page of ids, ``filtered_bookings(…).values_list("pk", flat=True)``, and load them with
    ``bookings_in_order``. Most orders sort all of the hotel's bookings, which is five times slower with the joins.
    """
    statuses, condition = _buckets(hotel, query)[query["bucket"]]
    found = _narrowed(RoomBooking.objects.filter(hotel=hotel), hotel, query).filter(condition, status__in=statuses)
    return found.order_by(*_order(query["ordering"]))


def bookings_in_order(ids: Iterable[int]) -> list[RoomBooking]:
    """The bookings with these ids, in this order, with everything that ``booking_row`` needs; one statement."""
    ids = list(ids)
    found = {booking.pk: booking for booking in bookings_read(ids)}
    return [found[pk] for pk in ids if pk in found]


def bucket_counts(hotel: Hotel, query: Mapping[str, Any]) -> dict[str, int]:
    """The number of bookings in each bucket under the other filters of ``query``; one statement.

    The count of ``query["bucket"]`` equals the number of ``filtered_bookings``, which need not be counted again
    (``PagePagination.known_count``).
    """
    buckets = _buckets(hotel, query)
    names = {condition: f"count_{place}" for place, condition in enumerate({one for _, one in buckets.values()})}
    counts = {name: Count("status", filter=condition or None) for condition, name in names.items()}
    # Grouped by status, so that an index-only scan suffices and rows are compared only where the status is not enough.
    found = _narrowed(RoomBooking.objects.filter(hotel=hotel), hotel, query).order_by()
    groups: list[Any] = list(found.values("status").annotate(**counts))
    return {
        bucket: sum(group[names[condition]] for group in groups if group["status"] in statuses)
        for bucket, (statuses, condition) in buckets.items()
    }


def _buckets(hotel: Hotel, query: Mapping[str, Any]) -> dict[str, tuple[tuple[str, ...], Q]]:
    """Each bucket's statuses and condition, including the query's dates.

    Arrivals, departures and check-outs are for today, or for the given dates instead: "arrivals, 3 to 5 July" are the
    guests arriving then, whatever the ``date_mode``. Late arrivals are also listed under today. The other buckets show
    the current state; dates narrow them by ``date_mode``, as they narrow the whole list.
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
        # Includes stays that a supervisor cancelled in house.
        "checked_out": ((status.COMPLETED, status.CANCELLED), _business_days("checked_out_at", hotel, first, last)),
        "cancelled": ((status.CANCELLED, status.DECLINED), within),
        "expired": ((status.EXPIRED,), within),
        "no_show": ((status.NO_SHOW,), within),
        "overdue_checkout": (in_house, past_departure(hotel) & within),
    }


def _arrivals(today: date, first: date | None, last: date | None) -> Q:
    """Arrivals due from ``first`` to ``last``, inclusive, and late arrivals if today is among these days."""
    due = _days("check_in", first, last)
    has_today = (first is None or first <= today) and (last is None or today <= last)
    return due | late_arrivals(today) if has_today else due


def _dated(hotel: Hotel, query: Mapping[str, Any]) -> Q:
    first, last = query.get("date_from"), query.get("date_to")
    if query["date_mode"] == "stay":
        # The departure day counts although its night is free again: every guest in house that day is listed, including
        # the day's departures and day use. Guests may also arrive early or stay past the departure date.
        begins, ends = _days("check_in", None, last), _days("check_out", first, None)
        if last:
            begins |= Q(arrived_on__lte=last)
        if first and first <= calendar.business_date(hotel):
            ends |= Q(status=BookingStatus.IN_HOUSE)
        return begins & ends
    return _business_days(MOMENTS[query["date_mode"]], hotel, first, last)


def _days(field: str, first: date | None, last: date | None) -> Q:
    """``field`` is from ``first`` to ``last``, inclusive; ``None`` means open-ended."""
    from_then = Q(**{f"{field}__gte": first}) if first else Q()
    return from_then & Q(**{f"{field}__lte": last}) if last else from_then


def _business_days(field: str, hotel: Hotel, first: date | None, last: date | None) -> Q:
    """The timestamp ``field`` is within the hotel's business days ``first`` to ``last``, inclusive; ``None`` means
    open-ended."""
    condition = Q()
    if first:
        condition &= Q(**{f"{field}__gte": calendar.business_day(hotel, _workable(first))[0]})
    if last:
        condition &= Q(**{f"{field}__lt": calendar.business_day(hotel, _workable(last))[1]})
    return condition


def _workable(day: date) -> date:
    return max(FIRST_DAY, min(day, LAST_DAY))


def _narrowed(bookings: QuerySet[RoomBooking], hotel: Hotel, query: Mapping[str, Any]) -> QuerySet[RoomBooking]:
    """The ``bookings`` that pass every filter except the bucket and its dates."""
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
    wanted &= mentioning(query.get("q", ""), hotel)
    return bookings.alias(party_size=PARTY_SIZE).filter(wanted)


def _room_type_id(hotel: Hotel, code_or_id: str) -> int:
    """The room type's id; the code is tried first, as it may look like a number. An unknown id matches no bookings."""
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
    # Only amounts can be null. For the others, NULLS LAST would keep PostgreSQL from scanning an index backwards.
    nulls_last = True if name == "total_amount" else None
    keys = [OrderBy(key, descending=descending, nulls_last=nulls_last) for key in ORDERINGS[name]]
    return [*keys, OrderBy(F("pk"), descending=descending)]
