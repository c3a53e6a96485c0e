"""The guards of booking actions list every refusal, in order, although the service raises only the first."""

from decimal import Decimal

import pytest

from common.errors import Blocker, Lift
from common.guards import examine
from room_bookings.models import RoomBooking
from room_bookings.overrides import BY_REASON, SUPERVISE
from room_bookings.selectors import booking_read
from room_bookings.services.check_in import check_in_refusals
from room_bookings.services.create import creation_refusals
from room_bookings.services.edit import companion_refusals, edit_refusals, version_refusals
from room_bookings.services.facts import ReadFacts
from room_bookings.services.reinstate import reinstatement_refusals
from room_bookings.services.room_assignment import assignment_refusals
from room_bookings.services.undo_check_in import undo_check_in_refusals
from rooms.selectors import room_list
from tests.factories import BookingFactory, NewRoomFactory, RoomTypeFactory, booking_in
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


def test_a_new_booking_that_is_wrong_in_every_way(small_hotel):
    of_the_type = {"hotel": small_hotel.hotel, "room_type": small_hotel.room_type}
    for _ in small_hotel.rooms:
        BookingFactory(**of_the_type, check_in=day(0), check_out=day(1))
    booking = RoomBooking(**of_the_type, check_in=day(0), check_out=day(400), adults=9, total_amount=Decimal("9.999"))
    booking.party = []
    refusals = all_refusals(
        small_hotel,
        lambda facts: creation_refusals(
            booking, {}, staff=small_hotel.agent, reason="", facts=facts, payment_is_taken=True
        ),
    )
    assert [next(iter(refusal.details)) for refusal in refusals[:3]] == ["check_out", "booker", "total_amount"]
    assert [(refusal.code, refusal.lift) for refusal in refusals[3:]] == [
        ("ROOM_CAPACITY_EXCEEDED", BY_REASON),
        ("NO_AVAILABILITY", None),
        ("PAYMENT_REFERENCE_TAKEN", None),
    ]


def test_an_edit_that_is_wrong_in_every_way(small_hotel):
    room = small_hotel.rooms[0]
    of_the_type = {"hotel": small_hotel.hotel, "room_type": small_hotel.room_type}
    for assigned in (room, None):
        BookingFactory(**of_the_type, assigned_room=assigned, check_in=day(1), check_out=day(2))
    guest = booking_in("IN_HOUSE", assigned_room=room, check_in=day(0), check_out=day(1))
    booking = booking_read(guest.pk)
    changed = {"check_in": day(-1), "check_out": day(400), "total_amount": Decimal("9.999"), "adults": 9}
    refusals = all_refusals(
        small_hotel,
        lambda facts: edit_refusals(booking, changed, staff=small_hotel.agent, reason="", facts=facts),
    )
    assert [refusal.code for refusal in refusals] == [
        "BOOKING_ALREADY_CHECKED_IN",
        "VALIDATION_ERROR",
        "ROOM_OVERLAP_CONFLICT",
        "NO_AVAILABILITY",
        "VALIDATION_ERROR",
        "ROOM_CAPACITY_EXCEEDED",
    ]
    assert [list(refusals[at].details) for at in (1, 4)] == [["check_out"], ["total_amount"]]
    assert [refusal.code for refusal in examine(version_refusals(booking, [7])).refusals] == ["PRECONDITION_FAILED"]


def test_too_many_companions_of_a_booking_that_is_over(small_hotel):
    booking = booking_read(booking_in("CANCELLED", hotel=small_hotel.hotel, room_type=small_hotel.room_type).pk)
    companions = [{"first_name": "Ada", "last_name": "Lovelace"}] * 9
    refusals = all_refusals(
        small_hotel,
        lambda facts: companion_refusals(booking, companions, staff=small_hotel.agent, reason="", facts=facts),
    )
    assert [refusal.code for refusal in refusals] == ["BOOKING_NOT_ELIGIBLE", "ROOM_CAPACITY_EXCEEDED"]


@pytest.mark.parametrize(
    ("guard", "code"),
    [
        (lambda booking, staff, facts: reinstatement_refusals(booking, staff, facts), "BOOKING_NOT_ELIGIBLE"),
        (lambda booking, staff, _: undo_check_in_refusals(booking, staff), "BOOKING_NOT_CHECKED_IN"),
    ],
    ids=["reinstate", "undo check-in"],
)
def test_what_only_a_supervisor_may_do(guard, code, small_hotel):
    booking = booking_in("CONFIRMED", hotel=small_hotel.hotel, room_type=small_hotel.room_type)
    refusals = all_refusals(small_hotel, lambda facts: guard(booking, small_hotel.agent, facts))
    assert [(refusal.code, refusal.lift) for refusal in refusals] == [
        ("PERMISSION_DENIED", Lift((SUPERVISE,))),
        (code, None),
    ]


def test_a_room_of_another_type_that_is_sold_out_and_too_small(small_hotel):
    """The caller's own ``upgrade`` lifts the first, a supervisor's reason all three."""
    suite = NewRoomFactory(
        hotel=small_hotel.hotel, room_type=RoomTypeFactory(hotel=small_hotel.hotel, max_occupancy=1), room_number=201
    )
    BookingFactory(hotel=small_hotel.hotel, room_type=suite.room_type, check_in=day(0), check_out=day(1))
    coming = BookingFactory(hotel=small_hotel.hotel, room_type=small_hotel.room_type, adults=2, check_in=day(0))
    booking = booking_read(coming.pk)

    def refusals(**more):
        return [
            (refusal.code, refusal.lift)
            for refusal in all_refusals(
                small_hotel,
                lambda facts: assignment_refusals(
                    booking, suite.pk, **{"staff": small_hotel.agent, "reason": "", "notes": "", "facts": facts, **more}
                ),
            )
        ]

    beyond = [("ROOM_CAPACITY_EXCEEDED", BY_REASON), ("NO_AVAILABILITY", BY_REASON)]
    assert refusals() == [("ROOM_TYPE_MISMATCH", Lift(("bookings.assign_room",), "upgrade")), *beyond]
    assert refusals(upgrade=True) == beyond
    assert refusals(reason="a regular guest") == refusals()
    assert refusals(reason="a regular guest", staff=small_hotel.manager) == []


def test_an_incomplete_party_before_a_room_is_named(small_hotel):
    small_hotel.hotel.require_complete_party = True
    small_hotel.hotel.save()
    coming = BookingFactory(hotel=small_hotel.hotel, room_type=small_hotel.room_type, adults=2)
    booking = booking_read(coming.pk)
    refusals = all_refusals(
        small_hotel,
        lambda facts: assignment_refusals(booking, None, staff=small_hotel.agent, reason="", notes="", facts=facts),
    )
    assert [refusal.code for refusal in refusals] == ["PARTY_INCOMPLETE"]
