"""Two parties want the same night of a room, one of them for a block: one gets it, whoever is first."""

import pytest

from common import clock
from hotel import rights
from housekeeping.blocks import NewBlock, create_blocks, extend_block, roll_blocks
from operations import invariants
from room_bookings.models import RoomBooking
from room_bookings.services.check_in import RoomNotReady, check_in
from room_bookings.services.create import create_booking
from room_bookings.services.room_assignment import assign_room
from rooms.models import BlockReason, Room, RoomBlock
from tests.factories import BookingFactory, StaffFactory
from tests.races import in_time, overlap
from tests.room_bookings.small_hotel import NOW, SmallHotel, day, open_small_hotel

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def place():
    with clock.set_to(NOW):
        yield open_small_hotel()


class Party:
    """The parties of the races, each a call that returns what it got, or raises."""

    def __init__(self, place: SmallHotel) -> None:
        self.place, (self.room, self.other) = place, place.rooms
        self.boss = StaffFactory(hotel=place.hotel, role=rights.HOTEL_MANAGER)
        self.reason = BlockReason.objects.create(hotel=place.hotel, code="REPAIR", label="Repair")

    def wanted(self, first: int, free: int, kind: str = "OUT_OF_ORDER") -> NewBlock:
        return NewBlock(kind, self.reason, day(first), day(free), "READY_FOR_GUEST")

    def block(self, first: int = 0, free: int = 3, kind: str = "OUT_OF_ORDER"):
        return lambda: create_blocks(rooms=[self.room], wanted=self.wanted(first, free, kind), staff=self.boss)

    def booking(self, **fields) -> RoomBooking:
        fields = {"check_in": day(0), "check_out": day(2)} | fields
        return BookingFactory(hotel=self.place.hotel, room_type=self.place.room_type, **fields)

    def assign(self, **fields):
        booking = self.booking(**fields)
        return lambda: assign_room(booking=booking, room_id=self.room.pk, staff=self.place.agent)

    def check_in(self):
        booking = self.booking()
        return lambda: check_in(booking=booking, room_id=self.room.pk, staff=self.place.agent)

    def sell(self):
        guest = {"primary_first_name": "Ada", "primary_last_name": "Lovelace"}
        kind = self.place.room_type.pk
        dates = {"check_in": day(1), "check_out": day(2)}
        return lambda: create_booking(hotel=self.place.hotel, staff=self.boss, room_type_id=kind, **dates, **guest)


def races(party: Party):
    """By name: the two parties."""

    def last_room():
        party.booking(check_in=day(1), check_out=day(2), assigned_room=party.other)
        return party.block(), party.sell()

    def extension():
        [made] = party.block(0, 1)()
        longer = lambda: extend_block(block=made.block, free_from=day(3), staff=party.boss)  # noqa: E731
        return longer, party.assign(check_in=day(1), check_out=day(2))

    return {
        "assign": lambda: (party.block(), party.assign()),
        "check-in": lambda: (party.block(), party.check_in()),
        "the last room": last_room,
        "another block": lambda: (party.block(), party.block(1, 2, "HOUSE_USE")),
        "extend against assign": extension,
    }


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("race", ["assign", "check-in", "the last room", "another block", "extend against assign"])
def test_one_of_two_wins(place, race, is_first):
    one, other = races(Party(place))[race]()
    first, second = (one, other) if is_first else (other, one)
    _, [refusal] = overlap(first, in_time(second))
    assert isinstance(refusal, Exception), refusal
    assert getattr(refusal, "status", 409) == 409  # or the claims' constraint, which is answered by 409 too
    assert invariants.violations(now=clock.now()) == []


@pytest.mark.parametrize("is_first", [True, False])
def test_the_roll_against_a_check_in(place, is_first):
    """The block ends today, so the guest can have the room tonight: once it is ready."""
    party = Party(place)
    [made] = party.block(0, 1)()
    arrival = party.booking(check_in=day(1), check_out=day(2), assigned_room=party.room)
    with clock.set_to(NOW.replace(day=2)):
        roll = lambda: roll_blocks(place.hotel, [made.block.pk])  # noqa: E731
        enter = lambda: check_in(booking=arrival, staff=place.agent)  # noqa: E731
        if is_first:
            rolled, [entered] = overlap(roll, in_time(enter))
            assert (rolled, entered.status) == (1, "IN_HOUSE")
        else:
            with pytest.raises(RoomNotReady):
                enter()
            assert roll() == 1
        assert RoomBlock.objects.get().status == "COMPLETED"
        assert Room.objects.get(pk=party.room.pk).room_status == ("OCCUPIED" if is_first else "READY_FOR_GUEST")
        assert invariants.violations(now=clock.now()) == []
