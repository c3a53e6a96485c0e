"""Builds the bench's hotels: rooms in every status, in-house guests, years of bookings."""

import itertools
from collections.abc import Sequence
from datetime import date, time, timedelta
from typing import Any

from django.db import transaction
from knox.models import AuthToken

from common import clock
from hotel.calendar import business_date
from hotel.models import Hotel, Staff
from housekeeping.models import Source
from housekeeping.services import set_room_statuses
from operations.replay.hotels import HotelSpec, make_rooms, make_staff
from room_bookings.models import BookingGuest, BookingStatus, RoomBooking
from rooms.models import Room, RoomStatus

_references = itertools.count(1)
# The statuses of ten rooms at noon: four occupied, the others in turnover.
MIX = (
    RoomStatus.OCCUPIED,
    RoomStatus.READY_FOR_GUEST,
    RoomStatus.OCCUPIED,
    RoomStatus.CHECKOUT_DIRTY,
    RoomStatus.OCCUPIED,
    RoomStatus.READY_FOR_GUEST,
    RoomStatus.OCCUPIED,
    RoomStatus.CHECKOUT_DIRTY,
    RoomStatus.READY_FOR_GUEST,
    RoomStatus.MAINTENANCE_REQUIRED,
)


class BenchHotel:
    """A hotel, its manager, who has all rights, and its rooms by number."""

    def __init__(self, slug: str, rooms: int) -> None:
        # A timezone where it is early afternoon now, so that guests can check in at any hour of the machine.
        offset = 14 - clock.now().hour
        timezone = f"Etc/GMT{-offset:+d}" if offset else "Etc/GMT"
        half = rooms // 2
        spec = HotelSpec(slug, slug.title(), "+353 1 555 0300", timezone, {"A": half, "B": rooms - half})
        with transaction.atomic():
            any_hour = {"early_checkin_from": time(0), "late_arrival_cutoff": time(0)}
            self.hotel = Hotel.objects.create(
                slug=slug, name=spec.name, phone=spec.phone, timezone=timezone, **any_hour
            )
            self.staff: Staff = make_staff(self.hotel)["manager"]
            made = make_rooms(self.hotel, spec).rooms.values()
        self.rooms: list[Room] = sorted(itertools.chain(*made), key=lambda room: room.room_number)
        self.token = AuthToken.objects.create(self.staff.user)[1]
        self.today: date = business_date(self.hotel)

    @property
    def path(self) -> str:
        """The hotel's prefix in the API."""
        return f"/api/staff/hotel/{self.hotel.slug}"

    def booking(self, **fields: Any) -> RoomBooking:
        """An unsaved, confirmed booking of type A, from today for two nights."""
        place = next(_references)
        room = fields.get("assigned_room")
        stay = {
            "hotel": self.hotel,
            "booking_id": f"BK-1990-{place:07d}",
            "room_type": room.room_type if room else self.rooms[0].room_type,
            "check_in": self.today,
            "check_out": self.today + timedelta(days=2),
            "adults": 2,
            "primary_first_name": "Ada",
            "primary_last_name": f"Lovelace {place}",
            "primary_email": f"ada.{place}@guest.example",
        }
        if room:
            stay["room_assigned_at"] = clock.now()
        return RoomBooking(**stay | fields)

    def add(self, bookings: Sequence[RoomBooking]) -> list[RoomBooking]:
        """Save the bookings, each with a companion."""
        with transaction.atomic():
            made = RoomBooking.objects.bulk_create(bookings, batch_size=2000)
            BookingGuest.objects.bulk_create(
                [BookingGuest(booking=booking, first_name="Charles", last_name="Babbage") for booking in made],
                batch_size=5000,
            )
        return made

    def check_in(self, rooms: Sequence[Room]) -> list[RoomBooking]:
        """Check a guest in to each of these rooms."""
        made = self.add(
            [
                self.booking(assigned_room=room, status=BookingStatus.IN_HOUSE, checked_in_at=clock.now())
                for room in rooms
            ]
        )
        self.set(rooms, RoomStatus.OCCUPIED)
        return made

    def set(self, rooms: Sequence[Room], status: str) -> None:
        """Set the rooms' status in batches. Raises the first refusal."""
        for begin in range(0, len(rooms), 500):
            set_room_statuses(
                changes=[(room, status) for room in rooms[begin : begin + 500]],
                staff=self.staff,
                source=Source.SYSTEM,
                all_or_nothing=True,
            )

    def occupy(self) -> None:
        """Put the rooms into the statuses of ``MIX``."""
        by_status: dict[str, list[Room]] = {}
        for room, status in zip(self.rooms, itertools.cycle(MIX), strict=False):
            by_status.setdefault(status, []).append(room)
        for to_status, rooms in by_status.items():
            if to_status == RoomStatus.OCCUPIED:
                self.check_in(rooms)
            elif to_status != RoomStatus.READY_FOR_GUEST:
                self.set(rooms, to_status)

    def add_past(self, count: int) -> None:
        """Add ``count`` bookings: most completed, some cancelled, some in the future, 30 in house."""
        guests = min(30, count // 4, len(self.rooms))
        self.check_in(self.rooms[:guests])
        past = []
        for place in range(count - guests):
            kind = place % 10
            begin = self.today - timedelta(days=3 + place % 1000)
            if kind < 6:
                at = clock.now() - timedelta(days=2 + place % 1000)
                past.append(
                    self.booking(
                        status=BookingStatus.COMPLETED,
                        check_in=begin,
                        check_out=begin + timedelta(days=2),
                        checked_in_at=at - timedelta(days=2),
                        checked_out_at=at,
                        created_at=at - timedelta(days=30),
                    )
                )
            elif kind < 9:
                at = clock.now() - timedelta(days=4 + place % 1000)
                past.append(
                    self.booking(
                        status=BookingStatus.CANCELLED, check_in=begin, check_out=begin, cancelled_at=at, created_at=at
                    )
                )
            else:
                begin = self.today + timedelta(days=place % 300)
                past.append(self.booking(check_in=begin, check_out=begin + timedelta(days=3)))
        self.add(past)
