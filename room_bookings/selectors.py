"""Reads of bookings and of the rooms that are available to them."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Exists, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.expressions import Combinable
from django.db.models.functions import JSONObject

from common import clock
from common.prepared import PreparedRead
from hotel import calendar
from hotel.models import Hotel
from room_bookings.capacity import guests
from room_bookings.inventory import (
    NightsRequest,
    holders,
    is_upgraded,
    nights_held,
    sold_out_nights,
    type_of,
)
from room_bookings.models import (
    BookingAction,
    BookingChange,
    BookingGuest,
    BookingStatus,
    RoomBooking,
    hash_token,
)
from rooms.models import LIVE_BLOCKS, Room, RoomBlock, RoomStatus


def booking_list(hotel: Hotel | None = None) -> QuerySet[RoomBooking]:
    """Bookings with everything that a list row or a detail shows; one statement for any number.

    Each carries its companions as ``party``, a list of ``{id, first_name, last_name, email, phone}``.
    """
    bookings = RoomBooking.objects.all() if hotel is None else RoomBooking.objects.filter(hotel=hotel)
    companions = BookingGuest.objects.filter(booking=OuterRef("pk")).order_by("pk")
    person = JSONObject(id="pk", first_name="first_name", last_name="last_name", email="email", phone="phone")
    related = ("hotel", "room_type", "assigned_room__room_type", "staff_seen_by__user", "payment_retry")
    return bookings.select_related(*related).annotate(party=ArraySubquery(companions.values(person=person)))


def booking_lock(booking_ids: Iterable[int]) -> list[RoomBooking]:
    """Lock bookings in pk order and re-read them; call within a transaction (docs/locking.md).

    Two statements, for the reason given in ``rooms.selectors.room_lock``.
    """
    ids = list(booking_ids)
    locked = _lock.read(pk__any=ids) if ids else []
    return _bookings.read(pk__any=locked) if locked else []


def booking_of(hotel: Hotel, reference: str) -> RoomBooking | None:
    """The hotel's booking with this reference, to pass to a service."""
    return next(iter(_by_reference.read(hotel=hotel.pk, booking_id=reference)), None)


def booking_read(booking_id: int) -> RoomBooking:
    """One existing booking, re-read with everything that a list row shows."""
    [booking] = bookings_read([booking_id])
    return booking


def bookings_read(booking_ids: Sequence[int]) -> list[RoomBooking]:
    """These bookings in pk order, with everything that a list row shows; one statement."""
    return _bookings.read(pk__any=booking_ids)


def _booking_ids() -> QuerySet[RoomBooking, int]:
    return RoomBooking.objects.select_for_update(no_key=True).order_by("pk").values_list("pk", flat=True)


_lock = PreparedRead(_booking_ids)
_by_reference = PreparedRead(RoomBooking.objects.all)
_bookings = PreparedRead(lambda: booking_list().order_by("pk"))


def checked_out_by(staff_id: Any) -> QuerySet[RoomBooking]:
    """Stays whose guest was last checked out by this staff member."""
    check_outs = BookingChange.objects.filter(booking=OuterRef("pk"), action=BookingAction.CHECKED_OUT)
    last = Subquery(check_outs.order_by("-pk").values("staff")[:1])
    return RoomBooking.objects.alias(checked_out_by=last).filter(checked_out_by=staff_id).order_by()


def booking_of_guest(token: str) -> RoomBooking | None:
    """The booking whose guest holds this access token; one statement.

    Hashes need no constant-time comparison: a caller cannot choose a token's hash. No token hashes to the blank value
    of bookings without one.
    """
    return RoomBooking.objects.filter(guest_token_hash=hash_token(token)).order_by().first()


def late_arrivals(today: date | F) -> Q:
    """Confirmed stays whose guests are late on the business day ``today`` (see ``calendar.is_late_arrival``)."""
    # Day use on an earlier day ends before today, so it is excluded.
    return Q(status=BookingStatus.CONFIRMED, check_in__lt=today, check_out__gt=today)


def arriving(today: date | F) -> Q:
    """Confirmed stays whose guests are expected on the business day ``today`` (see ``calendar.arrives_on``)."""
    return Q(status=BookingStatus.CONFIRMED, check_in=today) | late_arrivals(today)


def past_departure(hotel: Hotel, *, grace: timedelta = timedelta(0)) -> Q:
    """Stays whose checkout deadline was more than ``grace`` ago (see ``calendar.checkout_deadline``)."""
    return departed(*departed_since(hotel, clock.now() - grace))


def departed_since(hotel: Hotel, moment: datetime) -> tuple[date, date]:
    """The latest departure dates, overnight and day use, whose checkout deadline was before ``moment``."""
    before = moment - timedelta.resolution
    day_use = calendar.business_date(hotel, before) - timedelta(days=1)
    return calendar.last_day(hotel, hotel.standard_checkout_time, before), day_use


def departed(departure: date | Combinable, day_use: date | Combinable) -> Q:
    """Stays due out on or before these dates, given as values or expressions."""
    overnight = Q(check_in__lt=F("check_out"), check_out__lte=departure)
    return overnight | Q(check_in=F("check_out"), check_out__lte=day_use)


def overdue(hotel: Hotel) -> Q:
    """Stays past their checkout deadline and its grace; the guests in house among them are overdue."""
    return past_departure(hotel, grace=timedelta(minutes=hotel.late_checkout_grace_minutes))


def available_rooms(booking: RoomBooking, *, upgrade: bool = False) -> QuerySet[Room]:
    """Rooms that the booking could have instead of its current one, by number; it comes from ``booking_list``.

    For a coming stay: rooms of its type, or of any with ``upgrade``, that are free on its nights, even if currently
    occupied or dirty. For a guest in house: rooms of any type that are ready now and free until the departure. All of
    them sleep the party, and a type other than the current room's must have a room left to sell.
    """
    hotel, in_house = booking.hotel, booking.status == BookingStatus.IN_HOUSE
    if not in_house and booking.status not in (BookingStatus.CONFIRMED, BookingStatus.PENDING_APPROVAL):
        return Room.objects.none()
    first, free = nights_held(hotel, booking)
    blocked = RoomBlock.objects.filter(
        Q(free_from=None) | Q(free_from__gt=first), room=OuterRef("pk"), status__in=LIVE_BLOCKS, first_night__lt=free
    )
    rooms = Room.objects.filter(~Exists(blocked), hotel=hotel, is_active=True)
    taken = {stay.assigned_room_id for stay in holders(hotel, first, free, without=booking)}
    rooms = rooms.exclude(pk__in=[pk for pk in (*taken, booking.assigned_room_id) if pk is not None])
    enough = Q(room_type__max_occupancy__gte=guests(booking) - booking.extra_beds)
    if in_house:
        if booking.assigned_room:
            enough |= Q(room_type__max_occupancy__gte=booking.assigned_room.room_type.max_occupancy)
        rooms = rooms.filter(room_status=RoomStatus.READY_FOR_GUEST, maintenance_required=False)
    elif not upgrade:
        rooms = rooms.filter(room_type=booking.room_type)
    rooms = rooms.filter(enough)
    if in_house or upgrade or is_upgraded(booking):
        rooms = rooms.exclude(room_type__in=_sold_out_types(booking, first, free))
    return rooms.select_related("room_type").order_by("sort_key")


def _sold_out_types(booking: RoomBooking, first: date, free: date) -> list[int]:
    """The types with no room left for a booking that would change to them."""
    hotel = booking.hotel
    if hotel.allow_overbooking:
        return []
    types = hotel.room_types.exclude(pk=type_of(booking).pk).order_by("pk").values_list("pk", flat=True)
    requests = [NightsRequest(hotel, room_type, first, free) for room_type in types]
    nights = sold_out_nights(requests, without=booking)
    return [request.room_type_id for request, night in zip(requests, nights, strict=True) if night is not None]
