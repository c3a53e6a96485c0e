"""Reads of bookings, of the rooms they may have, and of what a house has left to sell."""

from collections.abc import Iterable
from datetime import date, datetime, timedelta

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import F, OuterRef, Q, QuerySet
from django.db.models.expressions import Combinable
from django.db.models.functions import JSONObject

from common import clock
from common.prepared import PreparedRead
from hotel import calendar
from hotel.models import Hotel
from room_bookings.capacity import guests
from room_bookings.inventory import IN_SERVICE, NightsRequest, holders, nights_held, sold_out_nights, type_of
from room_bookings.models import BookingGuest, BookingStatus, RoomBooking, hash_token
from rooms.models import Room, RoomStatus


def booking_list(hotel: Hotel | None = None) -> QuerySet[RoomBooking]:
    """Bookings with all that a list row or a detail shows, in one statement however many there are.

    Each carries its companions as ``party``, a list of ``{id, first_name, last_name, email, phone}``.
    """
    bookings = RoomBooking.objects.all() if hotel is None else RoomBooking.objects.filter(hotel=hotel)
    companions = BookingGuest.objects.filter(booking=OuterRef("pk")).order_by("pk")
    person = JSONObject(id="pk", first_name="first_name", last_name="last_name", email="email", phone="phone")
    related = ("hotel", "room_type", "assigned_room__room_type", "staff_seen_by__user", "payment_retry")
    return bookings.select_related(*related).annotate(party=ArraySubquery(companions.values(person=person)))


def booking_lock(booking_ids: Iterable[int]) -> list[RoomBooking]:
    """Lock bookings in pk order and read them as they now are; call within a transaction (docs/locking.md).

    Two statements, for the reason that ``rooms.selectors.room_lock`` gives.
    """
    ids = list(booking_ids)
    locked = _one_lock.read(pk=ids[0]) if len(ids) == 1 else list(_booking_ids().filter(pk__in=ids))
    if len(locked) == 1:
        return _one_booking.read(pk=locked[0])
    return list(booking_list().filter(pk__in=locked).order_by("pk"))


def booking_read(booking_id: int) -> RoomBooking:
    """One booking as it now is, with all that a list row shows; it is there."""
    [booking] = _one_booking.read(pk=booking_id)
    return booking


def _booking_ids() -> QuerySet[RoomBooking, int]:
    return RoomBooking.objects.select_for_update(no_key=True).order_by("pk").values_list("pk", flat=True)


_one_lock = PreparedRead(_booking_ids)
_one_booking = PreparedRead(booking_list)


def booking_of_guest(token: str) -> RoomBooking | None:
    """The booking whose guest holds this access token; one statement.

    A hash needs no comparison in constant time: nobody can aim at one. No token has the blank hash of those without.
    """
    return RoomBooking.objects.filter(guest_token_hash=hash_token(token)).order_by().first()


def late_arrivals(today: date | F) -> Q:
    """Confirmed stays whose guests are late on the business day ``today``, as ``calendar.is_late_arrival`` has it."""
    # A stay that begins and ends on an earlier day ends before today.
    return Q(status=BookingStatus.CONFIRMED, check_in__lt=today, check_out__gt=today)


def arriving(today: date | F) -> Q:
    """Confirmed stays whose guests are expected on the business day ``today``, as ``calendar.arrives_on`` has it."""
    return Q(status=BookingStatus.CONFIRMED, check_in=today) | late_arrivals(today)


def past_departure(hotel: Hotel, *, grace: timedelta = timedelta(0)) -> Q:
    """Stays whose checkout deadline was more than ``grace`` ago, as ``calendar.checkout_deadline`` has it."""
    return departed(*departed_since(hotel, clock.now() - grace))


def departed_since(hotel: Hotel, moment: datetime) -> tuple[date, date]:
    """The last dates of departure, of a night and of a day use, whose checkout deadline was before ``moment``."""
    before = moment - timedelta.resolution
    day_use = calendar.business_date(hotel, before) - timedelta(days=1)
    return calendar.last_day(hotel, hotel.standard_checkout_time, before), day_use


def departed(departure: date | Combinable, day_use: date | Combinable) -> Q:
    """Stays that were to end on these dates or before: values, or expressions that give them."""
    overnight = Q(check_in__lt=F("check_out"), check_out__lte=departure)
    return overnight | Q(check_in=F("check_out"), check_out__lte=day_use)


def overdue(hotel: Hotel) -> Q:
    """Stays whose guests, if in house, should have left by now, the grace included."""
    return past_departure(hotel, grace=timedelta(minutes=hotel.late_checkout_grace_minutes))


def available_rooms(booking: RoomBooking) -> QuerySet[Room]:
    """Rooms that the booking, which comes from ``booking_list``, could have instead of its own, by number.

    For a coming stay those of its type that nobody else holds on its nights, still occupied or dirty ones too. For a
    guest in house those of any type that are ready now and free until the departure. All of them large enough, and of
    a type other than that of the present room only while one is left to sell.
    """
    hotel, in_house = booking.hotel, booking.status == BookingStatus.IN_HOUSE
    if not in_house and booking.status not in (BookingStatus.CONFIRMED, BookingStatus.PENDING_APPROVAL):
        return Room.objects.none()
    first, free = nights_held(hotel, booking)
    rooms = Room.objects.filter(IN_SERVICE, hotel=hotel)
    taken = {stay.assigned_room_id for stay in holders(hotel, first, free, without=booking)}
    rooms = rooms.exclude(pk__in=[pk for pk in (*taken, booking.assigned_room_id) if pk is not None])
    enough = Q(room_type__max_occupancy__gte=guests(booking) - booking.extra_beds)
    if in_house:
        if booking.assigned_room:
            enough |= Q(room_type__max_occupancy__gte=booking.assigned_room.room_type.max_occupancy)
        rooms = rooms.filter(room_status=RoomStatus.READY_FOR_GUEST, maintenance_required=False)
    else:
        rooms = rooms.filter(room_type=booking.room_type)
    rooms = rooms.filter(enough)
    if in_house or type_of(booking).pk != booking.room_type_id:
        rooms = rooms.exclude(room_type__in=_sold_out_types(booking, first, free))
    return rooms.select_related("room_type").order_by("room_number")


def _sold_out_types(booking: RoomBooking, first: date, free: date) -> list[int]:
    """The types of which no room is left for a booking that would change to them."""
    hotel = booking.hotel
    if hotel.allow_overbooking:
        return []
    types = hotel.room_types.exclude(pk=type_of(booking).pk).order_by("pk").values_list("pk", flat=True)
    requests = [NightsRequest(hotel, room_type, first, free) for room_type in types]
    nights = sold_out_nights(requests, without=booking)
    return [request.room_type_id for request, night in zip(requests, nights, strict=True) if night is not None]
