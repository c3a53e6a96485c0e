"""The guards of booking actions list every refusal, in order, although the service raises only the first."""

import pytest

from common.errors import Blocker
from common.guards import examine
from room_bookings.overrides import BY_REASON
from room_bookings.selectors import booking_read
from room_bookings.services.check_in import check_in_refusals
from room_bookings.services.facts import ReadFacts
from rooms.selectors import room_list
from tests.factories import BookingFactory, booking_in
from tests.room_bookings.small_hotel import SmallHotel, day

pytestmark = pytest.mark.django_db


def all_refusals(small_hotel: SmallHotel, guard):
    """What pre-flight lists; ``guard`` is a function of the facts."""
    facts = ReadFacts(small_hotel.hotel, room_list(small_hotel.hotel))
    examine(guard(facts))  # asks for what ``load`` then reads
    facts.load()
    return examine(guard(facts)).refusals


def test_a_check_in_before_the_arrival_to_a_room_that_is_taken(small_hotel):
    room = small_hotel.rooms[0]
    of_the_type = {"hotel": small_hotel.hotel, "room_type": small_hotel.room_type}
    stay = booking_in("IN_HOUSE", assigned_room=room, check_in=day(-1), check_out=day(1))
    BookingFactory(**of_the_type, check_in=day(0), check_out=day(1))
    coming = BookingFactory(**of_the_type, assigned_room=room, check_in=day(1), check_out=day(2))
    early = booking_read(coming.pk)
    refusals = all_refusals(
        small_hotel, lambda facts: check_in_refusals(early, None, staff=small_hotel.agent, reason="", facts=facts)
    )
    assert [(refusal.code, refusal.lift) for refusal in refusals] == [
        ("CHECKIN_WRONG_DATE", BY_REASON),
        ("ROOM_OVERLAP_CONFLICT", None),
        ("NO_AVAILABILITY", BY_REASON),
        ("ROOM_NOT_READY", None),
    ]
    in_the_way = Blocker("booking", stay.booking_id, f"booking {stay.booking_id}")
    assert [refusal.blocker for refusal in refusals] == [
        None,
        in_the_way,
        Blocker("room_type", small_hotel.room_type.pk, small_hotel.room_type.name),
        in_the_way,
    ]
