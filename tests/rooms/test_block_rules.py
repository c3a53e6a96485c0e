"""The database rejects every way around the rules of room blocks, with an error that names the rule."""

import pytest

from common import clock
from housekeeping.models import Source
from housekeeping.services import set_room_status
from room_bookings.models import RoomClaim
from rooms.models import BlockReason, RoomBlock, RoomBlockEvent
from tests.factories import HotelFactory, StaffFactory, room_in
from tests.refusals import Refused, check_deferred_constraints

pytestmark = pytest.mark.django_db

UNRECORDED = ("room_block_recorded", "a block changes only together with its history row")
FIXED = ("room_block_recorded", "room, kind, reason and first night of a block never change")
OVER = ("room_block_recorded", "a block that is over never changes")
OPEN = ("room_block_closes_room", "a room is out of order exactly while a block that closes it is active")
KEPT_OUT = ("room_out_of_order_blocked", "an active block keeps the room out of order")
UNTRUE = ("room_block_event_chained", "a history row tells of a change that was made")
BROKEN_CHAIN = ("room_block_event_chained", "a history row starts where the one before it ended")


@pytest.fixture
def block():
    """A planned block of a vacant room, with its history."""
    room = room_in("READY_FOR_GUEST")
    reason = BlockReason.objects.create(hotel=room.hotel, code="REPAIR", label="Repair")
    made = RoomBlock.objects.create(
        hotel=room.hotel,
        room=room,
        kind="OUT_OF_ORDER",
        reason=reason,
        first_night="2031-07-10",
        free_from="2031-07-12",
        return_status="CHECKOUT_DIRTY",
        status="PLANNED",
    )
    record(made, 1, "", "PLANNED")
    check_deferred_constraints()
    return made


def record(block, version, from_status, to_status, **fields):
    before = {"from_free": block.free_from, "from_return_status": block.return_status} if from_status else {}
    after = {"to_free": block.free_from, "to_return_status": block.return_status}
    return RoomBlockEvent.objects.create(
        hotel=block.hotel,
        block=block,
        version=version,
        action="STARTED",
        from_status=from_status,
        to_status=to_status,
        **before | after | fields,
    )


def change(block, **fields):
    return RoomBlock.objects.filter(pk=block.pk).update(**fields)


ENDED = {"status": "CANCELLED", "ended_at": clock.now()}


@pytest.mark.parametrize("fields", [ENDED, ENDED | {"version": 2}, {"free_from": None}, {"remarks": "other"}])
def test_a_change_needs_its_history_row(block, fields):
    with Refused(*UNRECORDED):
        change(block, **fields)


def test_a_history_row_has_the_new_end(block):
    with Refused(*UNTRUE):
        record(block, 2, "PLANNED", "PLANNED", to_free=None)
        change(block, free_from="2031-07-13", version=2)


def test_a_new_block_needs_its_history_row(block):
    with Refused(*UNRECORDED):
        RoomBlock(
            hotel=block.hotel,
            room=block.room,
            kind="HOUSE_USE",
            reason=block.reason,
            first_night="2032-01-01",
            return_status="CHECKOUT_DIRTY",
            status="PLANNED",
        ).save()


@pytest.mark.parametrize("fields", [{"first_night": "2031-07-09"}, {"kind": "HOUSE_USE"}, {"created_at": clock.now()}])
def test_what_a_block_is_never_changes(block, fields):
    with Refused(*FIXED):
        change(block, version=2, **fields)


def test_a_block_that_is_over_never_changes(block):
    record(block, 2, "PLANNED", "CANCELLED")
    change(block, version=2, **ENDED)
    check_deferred_constraints()
    with Refused(*OVER):
        record(block, 3, "CANCELLED", "PLANNED")
        change(block, version=3, status="PLANNED", ended_at=None)


def test_blocks_and_their_history_are_never_deleted(block):
    with Refused("room_block_never_deleted", "room blocks are never deleted"):
        RoomBlock.objects.filter(pk=block.pk)._raw_delete("default")
    with Refused("room_block_event_never_changed", "room block events are never changed or deleted"):
        RoomBlockEvent.objects.filter(block=block).delete()
    with Refused("room_block_event_never_changed", "room block events are never changed or deleted"):
        RoomBlockEvent.objects.filter(block=block).update(note="other")


def test_a_history_row_needs_a_change(block):
    with Refused(*UNTRUE):
        record(block, 2, "PLANNED", "ACTIVE")
    with Refused(*BROKEN_CHAIN):
        record(block, 2, "ACTIVE", "CANCELLED")
        change(block, version=2, **ENDED)


def test_an_active_block_closes_its_room(block):
    with Refused(*OPEN):
        record(block, 2, "PLANNED", "ACTIVE")
        change(block, version=2, status="ACTIVE", started_at=clock.now())


def test_a_room_out_of_order_always_has_a_block():
    """Also for a writer that knows no blocks, such as a process of the release before them."""
    room = room_in("READY_FOR_GUEST")
    set_room_status(room=room, to_status="OUT_OF_ORDER", source=Source.SYSTEM)
    check_deferred_constraints()
    made = RoomBlock.objects.get(room=room)
    assert (made.status, made.by_status, made.free_from) == ("ACTIVE", True, None)
    assert RoomBlockEvent.objects.get(block=made).to_status == "ACTIVE"
    set_room_status(room=room, to_status="CHECKOUT_DIRTY", source=Source.SYSTEM)
    check_deferred_constraints()
    made.refresh_from_db()
    assert (made.status, made.version, made.events.count()) == ("COMPLETED", 2, 2)


def test_a_blocks_claim_is_never_written_by_itself(block):
    with Refused("room_claim_of_block", "a room claim changes only together with what it belongs to"):
        RoomClaim.objects.filter(block=block).delete()


def test_a_history_row_names_staff_of_its_hotel(block):
    with Refused("room_block_event_one_hotel", "staff belongs to another hotel"):
        record(block, 2, "PLANNED", "CANCELLED", staff=StaffFactory(hotel=HotelFactory()))
        change(block, version=2, **ENDED)


def test_a_block_belongs_to_its_rooms_hotel(block):
    other = StaffFactory(hotel=HotelFactory())
    with Refused("room_block_one_hotel", "created_by belongs to another hotel"):
        record(block, 2, "PLANNED", "PLANNED")
        change(block, version=2, created_by=other)
