"""The nights that blocks take off sale, past and planned, by month, kind and reason.

From tonight on they are those that ``room_bookings.availability`` counts as blocked.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import date
from typing import Any

from hotel import calendar
from hotel.models import Hotel
from room_bookings.availability import require_span
from room_bookings.inventory import nights_held
from room_bookings.models import BookingStatus, RoomBooking
from rooms.live_blocks import END_OF_TIME
from rooms.models import OFF_SALE, BlockKind, BlockStatus, RoomBlock

Span = tuple[date, date]  # the first night, and the first day after the last


def blocked_nights(hotel: Hotel, first: date, free: date) -> dict[str, Any]:
    """The nights from ``first`` to before ``free`` that blocks take off sale, JSON-safe; two statements.

    A night counts once for each room. Raises FieldError.
    """
    require_span(first, free)
    in_house = RoomBooking.objects.filter(hotel=hotel, status=BookingStatus.IN_HOUSE, assigned_room__isnull=False)
    held = {stay.assigned_room_id: nights_held(hotel, stay) for stay in in_house}
    counts = Counter[tuple[str, str, str | None, str | None]]()
    for block in _blocks(hotel, first, free):
        reason = (block.reason.code, block.reason.label) if block.reason else (None, None)
        begins, ends = _nights_taken(block, hotel)
        for span in _without((max(begins, first), min(ends, free)), held.get(block.room_id)):
            for month, nights in _by_month(*span):
                counts[month, str(block.kind), *reason] += nights
    rows = sorted(counts.items(), key=lambda row: (row[0][0], row[0][1], row[0][2] or ""))
    return {
        "from": first.isoformat(),
        "to": free.isoformat(),
        "rows": [
            {
                "month": month,
                "kind": kind,
                "kind_display": str(BlockKind(kind).label),
                "reason": code,
                "reason_label": label,
                "nights": nights,
            }
            for (month, kind, code, label), nights in rows
        ],
        "total": counts.total(),
    }


def _blocks(hotel: Hotel, first: date, free: date) -> Iterator[RoomBlock]:
    found = RoomBlock.objects.filter(hotel=hotel, kind__in=OFF_SALE, first_night__lt=free)
    found = found.exclude(status=BlockStatus.CANCELLED).exclude(free_from__lte=first).exclude(ended_on__lte=first)
    return found.select_related("room", "reason").order_by().iterator()


def _nights_taken(block: RoomBlock, hotel: Hotel) -> Span:
    """The nights of a block: those after its end don't count, nor those for which a guest kept the room."""
    today = calendar.business_date(hotel)
    begins, ends = block.first_night, block.free_from or END_OF_TIME
    if block.delayed_at is not None:
        begins = calendar.business_date(hotel, block.started_at) if block.started_at else today
    if block.ended_on is not None:
        ends = min(ends, block.ended_on)
    if not block.room.is_active:  # since when is not recorded
        ends = min(ends, today)
    return max(begins, block.first_night), ends


def _without(span: Span, held: Span | None) -> Iterator[Span]:
    """What is left of ``span`` without the nights that a guest holds."""
    if held is None:
        yield span
    else:
        yield span[0], min(span[1], held[0])
        yield max(span[0], held[1]), span[1]


def _by_month(begins: date, ends: date) -> Iterator[tuple[str, int]]:
    """Months, as 2026-07, with their number of nights; none if ``ends`` is not after ``begins``."""
    while begins < ends:
        year, month = divmod(begins.year * 12 + begins.month, 12)
        after = min(ends, date(year, month + 1, 1))
        yield f"{begins:%Y-%m}", (after - begins).days
        begins = after
