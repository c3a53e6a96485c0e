"""The rows of a block's change: the block, its history and its event, to be stored together with what causes it."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import NamedTuple

from common import prepared
from hotel.models import Staff
from rooms.live_blocks import END_OF_TIME, LiveBlock, live_blocks, set_blocks
from rooms.models import BlockAction, BlockKind, BlockStatus, Room, RoomBlock, RoomBlockEvent, RoomStatus

# The fields of a stored block that a change writes, beside its version.
WRITTEN = {
    BlockAction.STARTED: ("status", "started_at"),
    BlockAction.EXTENDED: ("free_from", "return_status"),
    BlockAction.DELAYED: ("delayed_at",),
    BlockAction.COMPLETED: ("status", "return_status", "ended_at", "ended_on"),
    BlockAction.CANCELLED: ("status", "ended_at"),
}


class BlockChange(NamedTuple):
    """A block after a change, and the history row of that change; neither is stored yet."""

    block: RoomBlock
    event: RoomBlockEvent


def new_block(block: RoomBlock, *, staff: Staff | None, note: str = "") -> BlockChange:
    """The creation of a block."""
    event = _event(block, BlockAction.CREATED, staff, note)
    event.created_at = block.created_at
    return BlockChange(block, event)


def block_change(
    block: RoomBlock,
    action: BlockAction,
    moment: datetime,
    *,
    staff: Staff | None,
    note: str = "",
    status: BlockStatus | None = None,
    free_from: date | None = None,
    keeps_end: bool = True,
    return_status: str | None = None,
) -> BlockChange:
    """A change of a block whose room is locked, made to the instance."""
    event = _event(block, action, staff, note)
    event.from_status, event.from_free, event.from_return_status = block.status, block.free_from, block.return_status
    block.version += 1
    block.status = status or block.status
    block.return_status = return_status or block.return_status
    if not keeps_end:
        block.free_from = free_from
    event.version, event.to_status, event.created_at = block.version, block.status, moment
    event.to_free, event.to_return_status = block.free_from, block.return_status
    return BlockChange(block, event)


def complete_block(
    block: RoomBlock,
    today: date,
    moment: datetime,
    *,
    staff: Staff | None,
    note: str = "",
    return_status: str | None = None,
) -> BlockChange:
    """The end of an active block."""
    change = block_change(
        block,
        BlockAction.COMPLETED,
        moment,
        staff=staff,
        note=note,
        status=BlockStatus.COMPLETED,
        return_status=return_status,
    )
    block.ended_at, block.ended_on = moment, today
    return change


def _event(block: RoomBlock, action: BlockAction, staff: Staff | None, note: str) -> RoomBlockEvent:
    return RoomBlockEvent(
        hotel_id=block.hotel_id,
        block=block,
        version=block.version,
        action=action,
        to_status=block.status,
        to_free=block.free_from,
        to_return_status=block.return_status,
        staff=staff,
        note=note,
    )


def block_by_status(room: Room, today: date, moment: datetime, *, staff: Staff | None, note: str) -> BlockChange:
    """The block of a locked room that goes out of order without dates: until its status changes again, or until the
    next block begins."""
    later = [each.first_night for each in live_blocks(room) if each.is_off_sale and each.first_night > today]
    block = RoomBlock(
        hotel_id=room.hotel_id,
        room=room,
        kind=BlockKind.OUT_OF_ORDER,
        remarks=note,
        first_night=today,
        free_from=min(later, default=None),
        return_status=RoomStatus.CHECKOUT_DIRTY,
        status=BlockStatus.ACTIVE,
        by_status=True,
        created_at=moment,
        created_by=staff,
        started_at=moment,
    )
    return new_block(block, staff=staff, note=note)


def stored_block(room: Room, live: LiveBlock) -> RoomBlock:
    """The block that the status of a locked room has made, as far as its end needs the row."""
    return RoomBlock(
        pk=live.id,
        hotel_id=room.hotel_id,
        room=room,
        kind=live.kind,
        first_night=live.first_night,
        free_from=None if live.free_from == END_OF_TIME else live.free_from,
        return_status=live.return_status,
        status=live.status,
        by_status=live.by_status,
        version=live.version,
    )


def insert_blocks(changes: Sequence[BlockChange]) -> None:
    """Store new blocks, without their history, so that they have their keys; one statement, or none."""
    new = [change.block for change in changes if change.block.pk is None]
    prepared.insert(new)
    for change in changes:
        change.event.block = change.block  # whose key it now has


def stored_with(changes: Sequence[BlockChange]) -> tuple[prepared.Update, prepared.Insert]:
    """What stores the changes, after ``insert_blocks``: creations, and changes of one kind. The locked rooms get the
    blocks that they will have."""
    for change in changes:
        set_blocks(change.block.room, [change.block])
    changed = [change for change in changes if change.event.action != BlockAction.CREATED]
    kinds = {change.event.action for change in changed}
    assert len(kinds) <= 1  # each kind writes its own fields
    names = [name for kind in kinds for name in WRITTEN[BlockAction(kind)]]
    update = prepared.Update([change.block for change in changed], [*names, "version"])
    return update, prepared.Insert([change.event for change in changes])
