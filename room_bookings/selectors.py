"""Reads of bookings, of the rooms they may have, and of what a house has left to sell."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet
from django.db.models.expressions import Combinable
from django.db.models.functions import JSONObject

from common import clock
from common.prepared import PreparedRead
from hotel import calendar
from hotel.models import Hotel
from room_bookings.models import ACTIVE_STATUSES, BookingGuest, BookingStatus, RoomBooking, hash_token
from rooms.models import Room, RoomStatus, RoomType


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

    Two statements, for the reason that ``housekeeping.selectors.room_lock`` gives.
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


def taking(check_in: date, check_out: date) -> Q:
    """Bookings that hold their room on a night of the stay ``check_in`` to ``check_out``.

    The departure day is free again; day use (in and out on one day) takes that day. The same as the database's rule
    ``room_booking_no_overlap``.
    """
    begins_before_it_ends = Q(check_in__lt=calendar.first_free_day(check_in, check_out))
    ends_after_it_begins = Q(check_out__gt=check_in) | Q(check_in=check_in)
    return begins_before_it_ends & ends_after_it_begins & Q(status__in=ACTIVE_STATUSES)


def overlapping_bookings(
    room_id: int, check_in: date, check_out: date, *, without: RoomBooking | None = None
) -> QuerySet[RoomBooking]:
    """The active bookings that hold the room on a night of that stay, in order of arrival."""
    found = RoomBooking.objects.filter(taking(check_in, check_out), assigned_room=room_id)
    return (found.exclude(pk=without.pk) if without else found).order_by("check_in", "pk")


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


def nights_held(booking: RoomBooking) -> tuple[date, date]:
    """The stay that a room for this booking must be free for, as (arrival, departure).

    A guest in house sleeps here tonight, whatever was booked: who came early, and who is overdue.
    """
    if booking.status != BookingStatus.IN_HOUSE:
        return booking.check_in, booking.check_out
    today = calendar.business_date(booking.hotel)
    stays_on = calendar.is_overdue(booking.hotel, booking.check_in, booking.check_out)
    last = today + timedelta(days=1) if stays_on else booking.check_out
    return min(today, booking.check_in), max(last, booking.check_out)


def available_rooms(booking: RoomBooking) -> QuerySet[Room]:
    """Rooms that the booking could have instead of its own, by number.

    For a coming stay those of its type that nobody else holds on its nights: still occupied or dirty ones too, but,
    when it is for today, none whose guest should have left long ago or came before their own nights. For a guest in
    house those of any type that are ready now, free until the departure, and large enough.
    """
    hotel = booking.hotel
    rooms = Room.objects.filter(hotel=hotel, is_active=True).exclude(room_status=RoomStatus.OUT_OF_ORDER)
    holders = RoomBooking.objects.filter(taking(*nights_held(booking)), assigned_room=OuterRef("pk"))
    rooms = rooms.exclude(Exists(holders.exclude(pk=booking.pk)))
    if booking.assigned_room_id is not None:
        rooms = rooms.exclude(pk=booking.assigned_room_id)
    if booking.status == BookingStatus.IN_HOUSE:
        rooms = rooms.filter(
            room_status=RoomStatus.READY_FOR_GUEST,
            maintenance_required=False,
            room_type__max_occupancy__gte=booking.adults + booking.children,
        )
    elif booking.status in (BookingStatus.CONFIRMED, BookingStatus.PENDING_APPROVAL):
        rooms = rooms.filter(room_type=booking.room_type)
        today = calendar.business_date(hotel)
        if booking.check_in <= today:
            staying = RoomBooking.objects.filter(
                Q(check_out__gt=today) | overdue(hotel),
                assigned_room=OuterRef("pk"),
                status=BookingStatus.IN_HOUSE,
            )
            rooms = rooms.exclude(Exists(staying))
    else:
        rooms = rooms.none()
    return rooms.select_related("room_type").order_by("room_number")


def sold_out_night(
    room_type: RoomType, check_in: date, check_out: date, *, without: RoomBooking | None = None
) -> date | None:
    """The first night of the stay on which the type has no more rooms in service than bookings, if there is one.

    Two statements. Only a caller that has locked the room type's row may rely on it.
    """
    return sold_out_nights([(room_type.pk, check_in, check_out)], without=without)[0]


def sold_out_nights(
    stays: Sequence[tuple[int, date, date]], *, without: RoomBooking | None = None
) -> list[date | None]:
    """``sold_out_night`` of each (pk of a room type, arrival, departure); two statements for any number of them."""
    if not stays:
        return []
    types = {room_type_id for room_type_id, _, _ in stays}
    rooms = Room.objects.filter(room_type__in=types, is_active=True).order_by().values_list("room_type")
    rooms_of = dict(rooms.annotate(Count("pk")))
    first = min(arrival for _, arrival, _ in stays)
    free = max(calendar.first_free_day(arrival, departure) for _, arrival, departure in stays)
    bookings = RoomBooking.objects.filter(taking(first, free), room_type__in=types).order_by()
    if without is not None:
        bookings = bookings.exclude(pk=without.pk)
    sold = Counter(
        (room_type_id, night)
        for room_type_id, arrival, departure in bookings.values_list("room_type", "check_in", "check_out")
        for night in _nights(max(arrival, first), min(calendar.first_free_day(arrival, departure), free))
    )
    return [
        next(
            (
                night
                for night in _nights(arrival, calendar.first_free_day(arrival, departure))
                if sold[room_type_id, night] >= rooms_of.get(room_type_id, 0)
            ),
            None,
        )
        for room_type_id, arrival, departure in stays
    ]


def _nights(first: date, free: date) -> Iterator[date]:
    """The nights from ``first`` on, up to the day that is free again."""
    return (first + timedelta(days=number) for number in range((free - first).days))
