"""Availability as an answer: how many rooms there are for each type and night, blocked, sold and free.

It is the inventory by which nights are refused (``room_bookings.inventory``), shown. Nothing may be sold by it: no type
is locked.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

from common.errors import FieldError
from common.prepared import PreparedQuery
from hotel import calendar
from hotel.models import Hotel
from room_bookings.inventory import ReadInventory, counts_and_listed_stays, nights, nights_held
from rooms.models import BlockKind, RoomType

LONGEST = 731  # nights: two years, one of them a leap year
KINDS = tuple(BlockKind.values)
FIGURES = ("rooms", "sold_assigned", "sold_unassigned", "free", "overbooked")

_rows = PreparedQuery(counts_and_listed_stays)


def availability(hotel: Hotel, first: date, free: date, room_type: str | None = None) -> dict[str, Any]:
    """The nights from ``first`` to before ``free``, for each room type and in total, JSON-safe; two statements.

    ``room_type`` is the code or id of the only type to count. Raises FieldError for past nights, no nights, too many,
    and an unknown type.
    """
    if first < calendar.business_date(hotel):
        raise FieldError("from", "from: this night is over.")
    require_span(first, free)
    types = _types(hotel, room_type)
    rows = _rows.read(kinds=[kind.pk for kind in types], first=first, free=free)
    inventory = ReadInventory(hotel, first, free, rows)
    waiting = Counter(
        (stay.room_type_id, night)
        for stay in inventory.stays
        if stay.assigned_room_id is None
        for night in nights(*nights_held(hotel, stay))
    )
    by_type: list[dict[str, Any]] = [
        {
            "id": kind.pk,
            "code": kind.code,
            "name": kind.name,
            "nights": list(_nights(inventory, kind, nights(first, free), waiting)),
        }
        for kind in types
    ]
    return {
        "from": first.isoformat(),
        "to": free.isoformat(),
        "room_types": by_type,
        "total": [
            _total(night, [kind["nights"][number] for kind in by_type])
            for number, night in enumerate(nights(first, free))
        ],
    }


def require_span(first: date, free: date) -> None:
    """Refuse, with FieldError, a question about no nights or too many."""
    if free <= first:
        raise FieldError("to", "to: must be after from.")
    if (free - first).days > LONGEST:
        raise FieldError("to", f"to: at most {LONGEST} nights after from.")


def _types(hotel: Hotel, code_or_id: str | None) -> Sequence[RoomType]:
    """The hotel's types by code, or the one with this code or else this id."""
    types = list(RoomType.objects.filter(hotel=hotel).order_by("code"))
    if code_or_id is None:
        return types
    by_code = [kind for kind in types if kind.code == code_or_id]
    found = by_code or [kind for kind in types if str(kind.pk) == code_or_id]
    if not found:
        raise FieldError("room_type", f'room_type: this hotel has no room type with the code or id "{code_or_id}".')
    return found


def _nights(
    inventory: ReadInventory, kind: Any, wanted: Iterator[date], waiting: Counter[tuple[int, date]]
) -> Iterator[dict[str, Any]]:
    """The figures of one type, night by night; ``waiting`` are the stays without a room."""
    for night in wanted:
        blocked = dict.fromkeys(KINDS, 0) | Counter(inventory.blocked(kind.pk, night).values())
        unassigned, left = waiting[kind.pk, night], inventory.left(kind.pk, night)
        yield {
            "date": night.isoformat(),
            "rooms": inventory.rooms[kind.pk] - blocked[BlockKind.OUT_OF_INVENTORY],  # which leave the house count
            "blocked": blocked,
            "sold_assigned": inventory.sold[kind.pk, night] - unassigned,
            "sold_unassigned": unassigned,
            "free": max(left, 0),
            "overbooked": max(-left, 0),
        }


def _total(night: date, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The same of all types together: a free room of one type does not make up for an overbooked one."""
    blocked = {name: sum(row["blocked"][name] for row in rows) for name in KINDS}
    return {"date": night.isoformat(), "blocked": blocked, **{name: sum(row[name] for row in rows) for name in FIGURES}}
