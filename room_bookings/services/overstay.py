"""Overstays: flagging guests past their checkout time, acknowledging them, and extending stays."""

import logging
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import Case, DateField, OuterRef, QuerySet, Subquery, Value, When

from common import clock
from common.errors import Conflict, FieldError
from common.formats import iso
from common.guards import Guard, require
from common.joins import join_rows
from hotel import calendar
from hotel.models import Hotel, Staff
from housekeeping.task_services import open_postponed_stayover
from notifications.mail import queue_booking_mail
from notifications.models import MailKind
from notifications.notification_manager import BookingUpdate, realtime_booking_updated, realtime_bookings_updated
from room_bookings.eligibility import in_house_refusals
from room_bookings.errors import NoAvailability, RoomOverlap
from room_bookings.inventory import (
    NightsRequest,
    StayRow,
    blocked_by,
    conflict,
    nights_booked,
    nights_held,
    sold_out_nights,
    type_of,
)
from room_bookings.models import (
    BookingAction,
    BookingExtension,
    BookingStatus,
    Overbooking,
    OverstayIncident,
    OverstayStatus,
    RoomBooking,
)
from room_bookings.selectors import available_rooms, booking_lock, departed, departed_since, overdue
from room_bookings.services.checks import LONGEST_STAY, added_nights, night_refusals, off_sale_refusals
from room_bookings.services.facts import Facts, LockedFacts
from room_bookings.services.history import history_row, save_bookings, save_history, save_overbookings
from room_bookings.services.locks import lock_booking
from rooms.errors import RoomBlocked

logger = logging.getLogger(__name__)

SUGGESTIONS = 10


class NoOverstay(Conflict):
    """The guest is not overdue."""

    code = "NO_OVERSTAY"


def unflagged_overstays(hotel: Hotel) -> QuerySet[RoomBooking]:
    """The hotel's stays in house past the checkout time and its grace that are not flagged yet."""
    return RoomBooking.objects.filter(
        overdue(hotel), hotel=hotel, status=BookingStatus.IN_HOUSE, overstay_flagged_at=None
    )


# What a hotel's checkout deadlines depend on. Many hotels have them in common.
HOURS = ("timezone", "standard_checkout_time", "late_arrival_cutoff", "late_checkout_grace_minutes")


def hotels_with_unflagged_overstays() -> QuerySet[Hotel]:
    """The hotels that have ``unflagged_overstays``. An unknown timezone is logged, and its hotels are left out."""
    rows = []
    for hours in Hotel.objects.order_by().values(*HOURS).distinct():
        hotel = Hotel(**hours)
        grace = timedelta(minutes=hotel.late_checkout_grace_minutes)
        try:
            departure, day_use = departed_since(hotel, clock.now() - grace)
        except Exception as error:
            logger.exception("no overstays in the timezone %r: %s", hotel.timezone, type(error).__name__)
            continue
        rows.append(hours | {"departure": departure, "day_use": day_use, "latest": max(departure, day_use)})
    dates = {name: DateField() for name in ("departure", "day_use", "latest")}
    hotels = join_rows(Hotel.objects.order_by(), rows, on=HOURS, columns=dates)
    overstays = RoomBooking.objects.filter(
        departed(OuterRef("departure"), OuterRef("day_use")),
        hotel=OuterRef("pk"),
        status=BookingStatus.IN_HOUSE,
        overstay_flagged_at=None,
        check_out__lte=OuterRef("latest"),  # for the index: the condition above is an OR
    )
    # Not EXISTS: PostgreSQL would join it, and read all guests in house.
    first = overstays.order_by("check_out").values("check_out")[:1]
    return hotels.alias(first=Subquery(first)).filter(first__isnull=False)


@transaction.atomic
def flag_overstays(hotel: Hotel, only: Sequence[int] | None = None) -> int:
    """Flag the hotel's ``unflagged_overstays``, or ``only`` these pks of them, once for each missed departure.

    Returns how many are new.
    """
    bookings = [
        booking
        for booking in booking_lock(unflagged_overstays(hotel).values_list("pk", flat=True) if only is None else only)
        if booking.status == BookingStatus.IN_HOUSE
        and booking.overstay_flagged_at is None
        and calendar.is_overdue(hotel, booking.check_in, booking.check_out)
    ]
    if bookings:
        _flag(bookings)
    return len(bookings)


def _flag(bookings: Sequence[RoomBooking]) -> None:
    moment = clock.now()
    for booking in bookings:
        booking.overstay_flagged_at = moment
    save_bookings(bookings, "overstay_flagged_at")
    incidents = [
        OverstayIncident(
            hotel_id=booking.hotel_id,
            booking=booking,
            expected_checkout_date=booking.check_out,
            detected_at=moment,
        )
        for booking in bookings
    ]
    # A departure date that was postponed and then moved back can be missed a second time.
    OverstayIncident.objects.bulk_create(
        incidents,
        update_conflicts=True,
        unique_fields=["booking", "expected_checkout_date"],
        update_fields=["status", "detected_at", "acknowledged_at", "acknowledged_by", "resolved_at"],
    )
    realtime_bookings_updated([BookingUpdate(booking, "booking_overstay_flagged") for booking in bookings])


@transaction.atomic
def acknowledge_overstay(*, booking: RoomBooking, staff: Staff, note: str = "", dismiss: bool = False) -> RoomBooking:
    """Acknowledge the overstay, or dismiss it; the same again changes nothing.

    An overstay that is not flagged yet is flagged first. Returns the current booking.
    """
    locked = lock_booking(booking)
    require(acknowledgement_refusals(locked))
    if locked.overstay_flagged_at is None:
        _flag([locked])
    incident = _current(locked)
    wanted = OverstayStatus.DISMISSED if dismiss else OverstayStatus.ACKED
    if incident.status == wanted and note in ("", incident.note):
        return locked
    moment = clock.now()
    incident.status, incident.note = wanted, note or incident.note
    incident.acknowledged_at, incident.acknowledged_by = moment, staff
    incident.save(update_fields=["status", "note", "acknowledged_at", "acknowledged_by"])
    locked.overstay_acknowledged_at = moment
    save_bookings([locked], "overstay_acknowledged_at")
    realtime_booking_updated(locked, "booking_overstay_acknowledged")
    return locked


def acknowledgement_refusals(booking: RoomBooking) -> Guard[None]:
    """The refusals of ``acknowledge_overstay``."""
    yield from in_house_refusals(booking)
    if booking.status == BookingStatus.IN_HOUSE and not calendar.is_overdue(
        booking.hotel, booking.check_in, booking.check_out
    ):
        yield NoOverstay(
            f"The guest of booking {booking.booking_id} is due out on {booking.check_out} and is not overdue."
        )


def _current(booking: RoomBooking) -> OverstayIncident:
    return OverstayIncident.objects.get(booking=booking, expected_checkout_date=booking.check_out)


def resolve_overstays(bookings: Sequence[RoomBooking]) -> None:
    """Resolve the open overstays of locked bookings whose guests have left or may stay longer."""
    flagged = [booking for booking in bookings if booking.overstay_flagged_at is not None]
    if flagged:
        OverstayIncident.objects.filter(booking__in=flagged).exclude(status=OverstayStatus.RESOLVED).update(
            status=OverstayStatus.RESOLVED, resolved_at=clock.now()
        )


def reopen_overstay(booking: RoomBooking) -> None:
    """Open the overstay of a locked booking again, whose guest has not left after all.

    One that was acknowledged is acknowledged again, also if it was dismissed.
    """
    if booking.overstay_flagged_at is not None:
        current = OverstayIncident.objects.filter(booking=booking, expected_checkout_date=booking.check_out)
        was_seen = When(acknowledged_at__isnull=False, then=Value(OverstayStatus.ACKED))
        current.update(status=Case(was_seen, default=Value(OverstayStatus.OPEN)), resolved_at=None)


@transaction.atomic
def extend_stay(
    *,
    booking: RoomBooking,
    staff: Staff,
    add_nights: int | None = None,
    new_checkout_date: date | None = None,
    override_reason: str = "",
) -> RoomBooking:
    """Add nights to the stay of a guest in house, counted from its departure date even if overdue.

    Give exactly one of ``add_nights`` and ``new_checkout_date``. Raises RoomOverlap with the conflicting stays,
    RoomBlocked, and NoAvailability unless a supervisor gives an ``override_reason``; all suggest alternative rooms.
    Returns the current booking.
    """
    locked = lock_booking(booking)
    departure = NewDeparture(add_nights, new_checkout_date)
    try:
        extension = require(
            extension_refusals(locked, departure, staff=staff, reason=override_reason, facts=LockedFacts(locked.hotel))
        )
    except (RoomOverlap, RoomBlocked, NoAvailability) as refusal:
        conflicts = refusal.details.pop("conflicts", [])
        refusal.extra |= {"conflicts": conflicts, "suggested_rooms": _suggestions(locked, departure.of(locked))}
        raise
    hotel, old, new, overbooked = locked.hotel, locked.check_out, extension.check_out, extension.overbooked
    set_departure(locked, new)
    save_bookings([locked], *DEPARTURE)
    BookingExtension.objects.create(
        hotel=hotel, booking=locked, old_check_out=old, new_check_out=new, staff=staff, created_at=clock.now()
    )
    why = f"{old} → {new}: {override_reason}" if overbooked else f"{old} → {new}"
    save_history([history_row(locked, BookingAction.EXTENDED, was=locked.status, staff=staff, reason=why)])
    save_overbookings(overbooked)
    realtime_booking_updated(locked, "booking_overstay_extended")
    queue_booking_mail(locked, MailKind.CHANGE)
    return locked


class NewDeparture(NamedTuple):
    """How a guest's stay is to be extended: one of the two."""

    add_nights: int | None = None
    new_checkout_date: date | None = None

    def of(self, booking: RoomBooking) -> date:
        """The new departure date."""
        if self.add_nights is not None:
            return booking.check_out + timedelta(days=self.add_nights)
        if self.new_checkout_date is None:
            raise ValueError("neither add_nights nor new_checkout_date")
        return self.new_checkout_date


class Extension(NamedTuple):
    """A new departure date, and the overbookings that it causes."""

    check_out: date
    overbooked: list[Overbooking]


def extension_refusals(
    booking: RoomBooking, departure: NewDeparture | None, *, staff: Staff, reason: str, facts: Facts
) -> Guard[Extension]:
    """The refusals of ``extend_stay``, of the booking alone if no ``departure`` is named."""
    yield from in_house_refusals(booking)
    if departure is None or booking.assigned_room_id is None:
        return Extension(booking.check_out, [])
    hotel, new = booking.hotel, departure.of(booking)
    field = "new_checkout_date" if departure.add_nights is None else "add_nights"
    if new <= booking.check_out:
        yield FieldError(field, f"The stay already ends on {booking.check_out}: give a later date.")
    if (new - booking.check_in).days > LONGEST_STAY:
        yield FieldError(field, f"A stay has at most {LONGEST_STAY} nights.")
        return Extension(new, [])
    room = facts.rooms([booking.assigned_room_id])[booking.assigned_room_id]
    longer = StayRow(booking.status, booking.check_in, new, booking.arrived_on)
    yield from off_sale_refusals(room, *nights_held(hotel, longer), facts=facts)
    in_the_way = facts.holders(room, *nights_held(hotel, longer), without=booking)
    if in_the_way:
        yield RoomOverlap(
            f"Room {room.room_number} is assigned to {in_the_way[0].booking_id} from {in_the_way[0].check_in}.",
            details={"conflicts": [conflict(other, room) for other in in_the_way]},
            blocker=blocked_by(in_the_way[0]),
        )
    added = added_nights(nights_booked(booking), nights_booked(longer))
    overbooked = yield from night_refusals(booking, room.room_type, *added, facts=facts, staff=staff, reason=reason)
    return Extension(new, overbooked)


# The fields that change with the departure date of a guest in house.
DEPARTURE = ("check_out", "overstay_flagged_at", "overstay_acknowledged_at")


def set_departure(booking: RoomBooking, check_out: date) -> None:
    """Set a new departure date on a locked in-house booking; the caller saves ``DEPARTURE``."""
    resolve_overstays([booking])
    was_leaving = booking.check_out <= calendar.local_now(booking.hotel).date()
    booking.check_out = check_out
    booking.overstay_flagged_at = booking.overstay_acknowledged_at = None
    if was_leaving:
        open_postponed_stayover(booking)


def _suggestions(booking: RoomBooking, new_check_out: date) -> list[dict[str, Any]]:
    """Rooms that are ready and free until the new departure (``suggested_rooms``)."""
    longer = as_in_house(booking, new_check_out)
    return suggested_rooms(longer, added_nights(nights_booked(booking), nights_booked(longer)))


def as_in_house(booking: RoomBooking, check_out: date) -> RoomBooking:
    """The stay as it would be in house with this departure; not to be saved."""
    stay = RoomBooking(
        pk=booking.pk,
        hotel=booking.hotel,
        status=BookingStatus.IN_HOUSE,
        check_in=booking.check_in,
        check_out=check_out,
        arrived_on=booking.arrived_on,
        adults=booking.adults,
        children=booking.children,
        extra_beds=booking.extra_beds,
        room_type=booking.room_type,
        assigned_room=booking.assigned_room,
    )
    stay.party = booking.party  # type: ignore[attr-defined]
    return stay


def suggested_rooms(stay: RoomBooking, needed: Sequence[tuple[date, date]]) -> list[dict[str, Any]]:
    """Rooms that are ready and free for a stay in house, those of the booked type first; JSON-safe.

    ``needed`` are the nights that it does not hold yet under the type of its present room.
    """
    found, present = available_rooms(stay), type_of(stay)
    requests = [NightsRequest(stay.hotel, present.pk, *nights) for nights in needed]
    if not stay.hotel.allow_overbooking and any(sold_out_nights(requests, without=stay)):
        found = found.exclude(room_type=present)
    rooms = sorted(found[:100], key=lambda room: room.room_type_id != stay.room_type_id)
    return [
        {"room_id": room.pk, "room_number": room.room_number, "room_type": room.room_type.name}
        for room in rooms[:SUGGESTIONS]
    ]


def overstay_state(booking: RoomBooking) -> dict[str, Any]:
    """The booking's overstay for the front desk, in any booking status; JSON-safe (docs/api.md, Bookings)."""
    is_overdue = booking.status == BookingStatus.IN_HOUSE and calendar.is_overdue(
        booking.hotel, booking.check_in, booking.check_out
    )
    incident = OverstayIncident.objects.filter(booking=booking).order_by("-detected_at", "-pk").first()
    return {
        "is_overstay": is_overdue,
        "incident_state": "ACTIVE" if incident else "MISSING",
        "overstay": incident and _incident(incident, booking),
    }


def _incident(incident: OverstayIncident, booking: RoomBooking) -> dict[str, Any]:
    until = incident.resolved_at or clock.now()
    due = calendar.checkout_deadline(booking.hotel, booking.check_in, incident.expected_checkout_date)
    return {
        "status": str(incident.status),
        "hours_overdue": max(0, int((until - due).total_seconds() // 3600)),
        "expected_checkout_date": incident.expected_checkout_date.isoformat(),
        "detected_at": iso(incident.detected_at),
        "extensions": [
            {
                "old_checkout_date": extension.old_check_out.isoformat(),
                "new_checkout_date": extension.new_check_out.isoformat(),
                "nights": (extension.new_check_out - extension.old_check_out).days,
                "created_at": iso(extension.created_at),
            }
            for extension in BookingExtension.objects.filter(booking=booking).order_by("created_at", "pk")
        ],
    }
