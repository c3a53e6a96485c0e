"""Blocks of rooms: created, given another end, completed and cancelled by staff; started and ended by the business day.

Each service locks the room, which guards its blocks too, and decides on what it then reads. The status OUT_OF_ORDER
without dates makes a block of its own (``housekeeping.services``).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from django.db import transaction
from django.db.models import DateField, Exists, OuterRef, Q, QuerySet, Subquery

from common import clock, prepared
from common.errors import Conflict, FieldError, HotelMateError, Lift, NotAllowed, NotFound
from common.guards import Guard, require
from common.joins import join_rows
from hotel import calendar
from hotel.models import Hotel, Staff
from housekeeping.block_records import BlockChange, block_change, complete_block, insert_blocks, new_block
from housekeeping.models import HousekeepingTask, TaskType
from housekeeping.services import change_rooms_by_block, lock_rooms
from housekeeping.snapshots import block_event_payload
from notifications.notification_manager import RoomEvent
from room_bookings.models import BookingStatus, Overbooking, RoomBooking
from room_bookings.room_demand import RoomDemand
from rooms.errors import blocked
from rooms.live_blocks import END_OF_TIME, live_blocks
from rooms.models import (
    CLOSING,
    LIVE_BLOCKS,
    OFF_SALE,
    BlockAction,
    BlockKind,
    BlockReason,
    BlockStatus,
    Room,
    RoomBlock,
    RoomStatus,
)
from rooms.snapshots import is_occupied

MANAGE, INVENTORY, INSPECT = "rooms.block_manage", "rooms.block_inventory", "rooms.inspect"
OF_MANAGERS = (BlockKind.OUT_OF_INVENTORY, BlockKind.HOUSE_USE)


class BlockNotFound(NotFound):
    code = "BLOCK_NOT_FOUND"


class BlockRightMissing(NotAllowed):
    """This kind of block, or its return status, needs another right."""


class RoomNotInService(Conflict):
    """The room is not let at all."""

    code = "ROOM_NOT_IN_SERVICE"


class BlockStepNotAllowed(Conflict):
    """The block's status does not allow this."""

    code = "INVALID_BLOCK_STEP"


@dataclass(frozen=True)
class NewBlock:
    """What rooms are to be blocked for; ``free_from`` is ``None`` until further notice."""

    kind: str
    reason: BlockReason
    first_night: date
    free_from: date | None
    return_status: str
    remarks: str = ""

    @property
    def free(self) -> date:
        """The day after the last night, or the end of time."""
        return self.free_from or END_OF_TIME


class BlockOutcome(NamedTuple):
    """The result for one room: its new block, or a refusal."""

    room: Room
    block: RoomBlock | None = None
    refusal: HotelMateError | None = None


# --- creating ---------------------------------------------------------------------------------------------------------


@transaction.atomic
def create_blocks(
    *, rooms: Sequence[Room], wanted: NewBlock, staff: Staff, all_or_nothing: bool = True, forced: bool = False
) -> list[BlockOutcome]:
    """Block rooms of one hotel, at once if the block begins today and the room is vacant; a constant number of
    statements.

    With ``all_or_nothing`` the first refusal is raised and nothing is written; otherwise each refused room is reported.
    ``forced`` accepts that the rooms' types are oversold: the caller has asked for the right. Raises RoomNeeded,
    RoomBlocked.
    """
    locked = lock_rooms(rooms)
    demand = None
    if locked and wanted.kind in OFF_SALE:
        demand = RoomDemand(locked, first=wanted.first_night, free=wanted.free)
    outcomes, changes, overbooked = list[BlockOutcome](), list[BlockChange](), list[Overbooking]()
    for room in locked:
        try:
            require(creation_refusals(room, wanted, staff, demand, forced=forced))
        except HotelMateError as refusal:
            if all_or_nothing:
                raise
            outcomes.append(BlockOutcome(room, refusal=refusal))
            continue
        if demand is not None:
            overbooked += demand.take(room, staff=staff, reason=wanted.remarks)
        changes.append(_new(room, wanted, staff))
        outcomes.append(BlockOutcome(room, changes[-1].block))
    _store(changes, staff=staff, event="room_block_created", overbooked=overbooked)
    return outcomes


def creation_refusals(
    room: Room, wanted: NewBlock, staff: Staff, demand: RoomDemand | None, *, forced: bool = False
) -> Guard[None]:
    """The refusals of ``create_blocks`` for one room; ``demand`` is that of rooms that would go off sale."""
    yield from right_refusals(staff, wanted.kind, wanted.return_status)
    yield from _range_refusals(room, wanted.first_night, wanted.free_from)
    if not room.is_active:
        yield RoomNotInService(f"Room {room.room_number} is not in service.", details={"room_number": room.room_number})
    yield from _overlap_refusals(room, wanted.kind, wanted.first_night, wanted.free)
    if demand is not None:
        yield from demand.refusals(room, forced=forced)


def right_refusals(staff: Staff, kind: str, return_status: str) -> Guard[None]:
    """Refused without the rights to this kind of block and to its return status."""
    if kind in OF_MANAGERS and not staff.can(INVENTORY):
        yield BlockRightMissing(
            f"Permission denied: your role can't block rooms as {BlockKind(kind).label.lower()}.",
            lift=Lift((INVENTORY,)),
        )
    if return_status == RoomStatus.READY_FOR_GUEST and not staff.can(INSPECT):
        yield BlockRightMissing(
            "Permission denied: a room that returns ready for a guest needs the right to inspect.",
            lift=Lift((INSPECT,)),
        )


def _range_refusals(room: Room, first: date, free_from: date | None) -> Guard[None]:
    today = calendar.business_date(room.hotel)
    if first < today:
        yield FieldError("from", f"A block can't begin before today, {today}.")
    yield from _end_refusals(first, free_from, today)


def _end_refusals(first: date, free_from: date | None, today: date) -> Guard[None]:
    if free_from is not None and free_from <= max(first, today):
        yield FieldError("to", f"The block would end too early: it has a night after {max(first, today)} at least.")


def _overlap_refusals(room: Room, kind: str, first: date, free: date, *, without: int | None = None) -> Guard[None]:
    """Refused if another block has the room on one of these nights. A room can be out of service and off sale."""
    off_sale = kind in OFF_SALE
    for block in live_blocks(room):
        if block.id != without and block.is_off_sale == off_sale and block.takes(first, free):
            yield blocked(room, block)
            return


def _new(room: Room, wanted: NewBlock, staff: Staff) -> BlockChange:
    moment = clock.now()
    starts = wanted.first_night <= calendar.business_date(room.hotel) and not is_occupied(room)
    block = RoomBlock(
        hotel=room.hotel,
        room=room,
        kind=wanted.kind,
        reason=wanted.reason,
        remarks=wanted.remarks,
        first_night=wanted.first_night,
        free_from=wanted.free_from,
        return_status=wanted.return_status,
        status=BlockStatus.ACTIVE if starts else BlockStatus.PLANNED,
        created_at=moment,
        created_by=staff,
        started_at=moment if starts else None,
    )
    return new_block(block, staff=staff, note=wanted.remarks)


def _store(
    changes: Sequence[BlockChange],
    *,
    staff: Staff | None,
    event: str,
    statuses: Sequence[tuple[RoomBlock, str]] | None = None,
    overbooked: Sequence[Overbooking] = (),
) -> None:
    """Store changes of one kind, with the events and with the ``statuses`` of the rooms: by default, out of order for
    those that are closed now."""
    if not changes:
        return
    insert_blocks(changes)  # the events name them
    if statuses is None:
        statuses = [
            (change.block, RoomStatus.OUT_OF_ORDER)
            for change in changes
            if change.block.kind in CLOSING and change.block.status == BlockStatus.ACTIVE
        ]
    change_rooms_by_block(
        [(block.room, to_status, _note(block)) for block, to_status in statuses],
        changes,
        staff=staff,
        overbooked=overbooked,
        events=[RoomEvent(each.block.room, event, block_event_payload(each.block)) for each in changes],
    )


def _note(block: RoomBlock) -> str:
    """What the room's history says of a change of its status that the block makes."""
    return f"block {block.pk}: {block.reason.label if block.reason else BlockKind(block.kind).label.lower()}"


# --- one block --------------------------------------------------------------------------------------------------------


def lock_block(block: RoomBlock) -> RoomBlock:
    """The block, read again with its reason after its room is locked. Raises BlockNotFound."""
    [room] = lock_rooms([block.room])
    found = RoomBlock.objects.filter(pk=block.pk).select_related("reason").first()
    if found is None:
        raise BlockNotFound("There is no such block.")
    found.room, found.hotel = room, room.hotel
    return found


@transaction.atomic
def extend_block(
    *, block: RoomBlock, free_from: date | None, staff: Staff, note: str = "", forced: bool = False
) -> RoomBlock:
    """Give a block another end, later or earlier, or none; the same end again changes nothing.

    A later end asks for the new nights as a new block does. Raises RoomNeeded, RoomBlocked. Returns the current block.
    """
    locked = lock_block(block)
    demand = None
    if locked.free_from is not None and locked.kind in OFF_SALE and (free_from or END_OF_TIME) > locked.free_from:
        demand = RoomDemand([locked.room], first=locked.free_from, free=free_from or END_OF_TIME)
    if not require(extension_refusals(locked, free_from, staff, demand, forced=forced)):
        return locked
    overbooked = demand.take(locked.room, staff=staff, reason=note) if demand else []
    change = block_change(
        locked, BlockAction.EXTENDED, clock.now(), staff=staff, note=note, free_from=free_from, keeps_end=False
    )
    _store([change], staff=staff, event="room_block_extended", statuses=[], overbooked=overbooked)
    return locked


def extension_refusals(
    block: RoomBlock, free_from: date | None, staff: Staff, demand: RoomDemand | None, *, forced: bool = False
) -> Guard[bool]:
    """The refusals of ``extend_block``; returns whether the end changes. ``demand`` is that of the added nights."""
    yield from _live_refusals(block, LIVE_BLOCKS, "given another end")
    yield from right_refusals(staff, block.kind, RoomStatus.CHECKOUT_DIRTY)
    if free_from == block.free_from:
        return False
    yield from _end_refusals(block.first_night, free_from, calendar.business_date(block.hotel))
    free = free_from or END_OF_TIME
    if block.free_from is not None and free > block.free_from:
        yield from _overlap_refusals(block.room, block.kind, block.free_from, free, without=block.pk)
    if demand is not None:
        yield from demand.refusals(block.room, forced=forced)
    return True


@transaction.atomic
def complete_block_early(
    *, block: RoomBlock, staff: Staff, return_status: str | None = None, note: str = ""
) -> RoomBlock:
    """End an active block now: the room gets its return status. A completed one is left unchanged.

    ``return_status`` replaces that of the block. Returns the current block.
    """
    locked = lock_block(block)
    if require(completion_refusals(locked, staff, return_status)):
        _end([locked], staff=staff, note=note, return_status=return_status)
    return locked


def completion_refusals(block: RoomBlock, staff: Staff, return_status: str | None = None) -> Guard[bool]:
    """The refusals of ``complete_block_early``; returns whether there is anything to complete."""
    if block.status == BlockStatus.COMPLETED:
        return False
    yield from _live_refusals(block, [BlockStatus.ACTIVE], "completed")
    yield from right_refusals(staff, block.kind, return_status or RoomStatus.CHECKOUT_DIRTY)
    return True


@transaction.atomic
def cancel_block(*, block: RoomBlock, staff: Staff | None, note: str = "") -> RoomBlock:
    """Cancel a planned block; a cancelled one is left unchanged. Returns the current block."""
    locked = lock_block(block)
    if require(cancellation_refusals(locked, staff)):
        _cancel([locked], staff=staff, note=note)
    return locked


def cancellation_refusals(block: RoomBlock, staff: Staff | None) -> Guard[bool]:
    """The refusals of ``cancel_block``; returns whether there is anything to cancel."""
    if block.status == BlockStatus.CANCELLED:
        return False
    yield from _live_refusals(block, [BlockStatus.PLANNED], "cancelled")
    if staff is not None:
        yield from right_refusals(staff, block.kind, RoomStatus.CHECKOUT_DIRTY)
    return True


def _live_refusals(block: RoomBlock, statuses: Sequence[str], what: str) -> Guard[None]:
    """Refused unless the block has one of ``statuses``; ``what`` is a past participle."""
    if block.status not in statuses:
        label = BlockStatus(block.status).label.lower()
        instead = ": complete it instead" if block.status == BlockStatus.ACTIVE else ""
        yield BlockStepNotAllowed(
            f"A block that is {label} can't be {what}{instead}.",
            details={"block": block.pk, "status": str(block.status), "version": block.version},
        )


# Each of these takes blocks whose rooms are locked, in a constant number of statements.


def _end(blocks: Sequence[RoomBlock], *, staff: Staff | None, note: str = "", return_status: str | None = None) -> None:
    """End active blocks, and open the tasks that their rooms then need."""
    moment = clock.now()
    changes = [
        complete_block(
            block, calendar.business_date(block.hotel), moment, staff=staff, note=note, return_status=return_status
        )
        for block in blocks
    ]
    returned = [(block, to_status) for block in blocks if (to_status := _status_after(block))]
    _store(changes, staff=staff, event="room_block_completed", statuses=returned)
    prepared.insert(
        HousekeepingTask(
            hotel=block.hotel,
            room=block.room,
            task_type=task_type,
            note=f"after {BlockKind(block.kind).label.lower()}",
        )
        for block, to_status in returned
        if (task_type := _task_after(block.room, to_status))
    )


def _task_after(room: Room, to_status: str) -> TaskType | None:
    """The task that a room needs when a block has returned it with this status."""
    if to_status == RoomStatus.CLEANED_UNINSPECTED:
        return TaskType.INSPECTION
    needs_turnover = to_status == RoomStatus.CHECKOUT_DIRTY and not room.has_turnover  # type: ignore[attr-defined]
    return TaskType.TURNOVER if needs_turnover else None


def _status_after(block: RoomBlock) -> str | None:
    """The status that the room gets at the end of the block, or ``None`` if it keeps its own."""
    room = block.room
    if block.kind == BlockKind.HOUSE_USE:
        in_the_way = (RoomStatus.MAINTENANCE_REQUIRED, RoomStatus.OUT_OF_ORDER, block.return_status)
        if is_occupied(room) or room.room_status in in_the_way:
            return None
    elif block.kind not in CLOSING:
        return None
    if block.return_status == RoomStatus.READY_FOR_GUEST and room.maintenance_required:
        return RoomStatus.MAINTENANCE_REQUIRED  # the fault is still open
    return block.return_status


def _cancel(blocks: Sequence[RoomBlock], *, staff: Staff | None, note: str) -> None:
    moment = clock.now()
    changes = [
        block_change(block, BlockAction.CANCELLED, moment, staff=staff, note=note, status=BlockStatus.CANCELLED)
        for block in blocks
    ]
    for block in blocks:
        block.ended_at = moment
    _store(changes, staff=staff, event="room_block_cancelled", statuses=[])


def _start(blocks: Sequence[RoomBlock]) -> None:
    """Begin planned blocks, whose rooms are vacant."""
    moment = clock.now()
    changes = [
        block_change(block, BlockAction.STARTED, moment, staff=None, status=BlockStatus.ACTIVE) for block in blocks
    ]
    for block in blocks:
        block.started_at = moment
    _store(changes, staff=None, event="room_block_started")


def _delay(blocks: Sequence[RoomBlock]) -> None:
    moment = clock.now()
    changes = [block_change(block, BlockAction.DELAYED, moment, staff=None) for block in blocks]
    for block in blocks:
        block.delayed_at = moment
    _store(changes, staff=None, event="room_block_delayed", statuses=[])


# --- the business day -------------------------------------------------------------------------------------------------


def due_blocks(hotel: Hotel) -> QuerySet[RoomBlock]:
    """The hotel's blocks that the business day begins or ends, except those that wait for a guest to leave."""
    return RoomBlock.objects.filter(_due(calendar.business_date(hotel)), hotel=hotel)


def _due(today: date | OuterRef) -> Q:
    guest = RoomBooking.objects.filter(assigned_room=OuterRef("room"), status=BookingStatus.IN_HOUSE)
    late = Q(delayed_at=None) & Exists(guest.filter(overstay_flagged_at__isnull=False))
    begins = Q(status=BlockStatus.PLANNED) & (late | ~Exists(guest))
    # A block that is due to end has begun, or was to begin: so the first condition finds all, by the index.
    return Q(Q(free_from__lte=today) | begins, status__in=LIVE_BLOCKS, first_night__lte=today)


def hotels_with_due_blocks() -> QuerySet[Hotel]:
    """The hotels that have ``due_blocks``; hotels in an unknown timezone are left out."""
    rows = []
    for hours in Hotel.objects.order_by().values("timezone", "late_arrival_cutoff").distinct():
        hotel = Hotel(**hours)
        if calendar.has_clock(hotel):
            rows.append(hours | {"today": calendar.business_date(hotel)})
    hotels = join_rows(
        Hotel.objects.order_by(), rows, on=("timezone", "late_arrival_cutoff"), columns={"today": DateField()}
    )
    # Not EXISTS: PostgreSQL would join it, and read all blocks.
    first = RoomBlock.objects.filter(_due(OuterRef("today")), hotel=OuterRef("pk")).order_by("first_night")
    return hotels.alias(first=Subquery(first.values("pk")[:1])).filter(first__isnull=False)


@transaction.atomic
def roll_blocks(hotel: Hotel, ids: Sequence[int]) -> int:
    """End and begin the hotel's due blocks of these pks; returns how many changed. Run again, it changes nothing."""
    blocks = list(RoomBlock.objects.filter(hotel=hotel, pk__in=ids).select_related("room"))
    rooms = {room.pk: room for room in lock_rooms(list({block.room_id: block.room for block in blocks}.values()))}
    fresh = RoomBlock.objects.filter(pk__in=[block.pk for block in blocks])
    return _roll(fresh.select_related("reason").order_by("first_night", "pk"), rooms, calendar.business_date(hotel))


def start_waiting_blocks(rooms: Sequence[Room]) -> None:
    """Begin the blocks that were waiting for the guests to leave these rooms, which are locked and vacant now."""
    waiting = {
        block.id: room
        for room in rooms
        for block in live_blocks(room)
        if block.status == BlockStatus.PLANNED and block.first_night <= calendar.business_date(room.hotel)
    }
    if waiting:
        blocks = RoomBlock.objects.filter(pk__in=waiting).select_related("reason").order_by("first_night", "pk")
        [hotel] = {room.hotel for room in waiting.values()}
        _roll(blocks, {room.pk: room for room in waiting.values()}, calendar.business_date(hotel))


def _roll(blocks: Iterable[RoomBlock], rooms: Mapping[int, Room], today: date) -> int:
    """End, cancel, begin and delay what is due among blocks of these locked rooms; returns how many changed."""
    due = [block for block in blocks if block.status in LIVE_BLOCKS and block.first_night <= today]
    for block in due:
        block.room = rooms[block.room_id]
        block.hotel = block.room.hotel
    over = [block for block in due if block.free_from is not None and block.free_from <= today]
    ended = [block for block in over if block.status == BlockStatus.ACTIVE]
    missed = [block for block in over if block.status == BlockStatus.PLANNED]
    _end(ended, staff=None)  # first: what ends makes room for what begins
    _cancel(missed, staff=None, note="its nights are over")
    waiting = [block for block in due if block.status == BlockStatus.PLANNED]
    begun = [block for block in waiting if not is_occupied(block.room) and not _is_kept_waiting(block)]
    _start(begun)
    delayed = _with_overdue_guests([block for block in waiting if is_occupied(block.room) and block.delayed_at is None])
    _delay(delayed)
    return len(ended) + len(missed) + len(begun) + len(delayed)


def _is_kept_waiting(block: RoomBlock) -> bool:
    """Whether another block closes the room now, as this one would."""
    return block.kind in CLOSING and block.room.room_status == RoomStatus.OUT_OF_ORDER


def _with_overdue_guests(blocks: Sequence[RoomBlock]) -> list[RoomBlock]:
    """Those of the blocks whose room has a guest who should have left; on the day of departure a block just waits."""
    if not blocks:
        return []
    overdue = RoomBooking.objects.filter(
        assigned_room__in=[block.room_id for block in blocks],
        status=BookingStatus.IN_HOUSE,
        overstay_flagged_at__isnull=False,
    )
    rooms = set(overdue.values_list("assigned_room", flat=True))
    return [block for block in blocks if block.room_id in rooms]
