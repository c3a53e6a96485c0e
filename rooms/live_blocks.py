"""The blocks of a room that are not over, as they are read together with the room."""

from collections.abc import Iterable
from datetime import date
from typing import Any, NamedTuple

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef
from django.db.models.functions import JSONObject

from common.errors import Blocker
from rooms.models import CLOSING, LIVE_BLOCKS, OFF_SALE, BlockKind, BlockStatus, RoomBlock, RoomStatus

END_OF_TIME = date.max


class LiveBlock(NamedTuple):
    """A block that is planned or active; ``free_from`` is the end of time if it has no end yet."""

    id: int
    kind: str
    reason: str | None  # its code
    label: str | None
    first_night: date
    free_from: date
    return_status: str
    status: str
    by_status: bool
    version: int

    @property
    def is_off_sale(self) -> bool:
        """Whether its nights cannot be sold."""
        return self.kind in OFF_SALE

    @property
    def closes(self) -> bool:
        """Whether it is what keeps its room out of order now."""
        return self.status == BlockStatus.ACTIVE and self.kind in CLOSING

    def takes(self, first: date, free: date) -> bool:
        """Whether it covers a night from ``first`` to before ``free``."""
        return self.first_night < free and self.free_from > first

    def snapshot(self) -> dict[str, Any]:
        """The block in a room's JSON."""
        return {
            "id": self.id,
            "kind": self.kind,
            "reason": self.reason,
            "from": self.first_night.isoformat(),
            "to": None if self.free_from == END_OF_TIME else self.free_from.isoformat(),
            "return_status": self.return_status,
        }

    def describe(self) -> str:
        """The block for use in a sentence."""
        kind = BlockKind(self.kind).label.lower()
        why = f" ({self.label})" if self.label else ""
        until = "until further notice" if self.free_from == END_OF_TIME else f"until {self.free_from}"
        return f"{kind}{why} from {self.first_night} {until}"

    def blocker(self) -> Blocker:
        """The block as what stands in the way."""
        return Blocker("block", self.id, self.describe())


def blocks_as_json() -> ArraySubquery:
    """The live blocks of each room of a queryset, in order of their first nights."""
    blocks = RoomBlock.objects.filter(room=OuterRef("pk"), status__in=LIVE_BLOCKS).order_by("first_night", "pk")
    return ArraySubquery(
        blocks.values(
            block=JSONObject(
                id="pk",
                kind="kind",
                reason="reason__code",
                label="reason__label",
                first_night="first_night",
                free_from="free_from",
                return_status="return_status",
                status="status",
                by_status="by_status",
                version="version",
            )
        )
    )


def live_blocks(room: Any) -> list[LiveBlock]:
    """The room's live blocks, in order of their first nights; the room comes from ``rooms.selectors`` or ``rows``."""
    return [
        LiveBlock(
            **{
                **row,
                "first_night": date.fromisoformat(row["first_night"]),
                "free_from": END_OF_TIME if row["free_from"] is None else date.fromisoformat(row["free_from"]),
            }
        )
        for row in room.blocks_json
    ]


def set_blocks(room: Any, blocks: Iterable[RoomBlock]) -> None:
    """Give the room what ``room_list`` would read after ``blocks`` are stored; they have their reasons."""
    changed = {block.pk: block for block in blocks}
    kept = [row for row in room.blocks_json if row["id"] not in changed]
    added = [
        {
            "id": block.pk,
            "kind": str(block.kind),
            "reason": block.reason.code if block.reason else None,
            "label": block.reason.label if block.reason else None,
            "first_night": block.first_night.isoformat(),
            "free_from": block.free_from and block.free_from.isoformat(),
            "return_status": str(block.return_status),
            "status": str(block.status),
            "by_status": block.by_status,
            "version": block.version,
        }
        for block in changed.values()
        if block.status in LIVE_BLOCKS
    ]
    room.blocks_json = sorted(kept + added, key=lambda row: (row["first_night"], row["id"]))


def closing_block(room: Any) -> LiveBlock | None:
    """The block that keeps the room out of order now, if any."""
    return next((each for each in live_blocks(room) if each.closes), None)


def is_kept_out(room: Any) -> bool:
    """Whether the room is out of order until its block ends: no change of its status ends it."""
    if room.room_status != RoomStatus.OUT_OF_ORDER:
        return False
    block = closing_block(room)
    return block is not None and not block.by_status


def blocks_shown(room: Any) -> dict[str, Any]:
    """``block`` and ``next_block`` of a room's JSON: the active one, that which closes the room first, and the next."""
    if not room.blocks_json:
        return {"block": None, "next_block": None}
    found = live_blocks(room)
    active = sorted(
        (each for each in found if each.status == BlockStatus.ACTIVE), key=lambda each: not each.is_off_sale
    )
    planned = [each for each in found if each.status == BlockStatus.PLANNED]
    return {
        "block": active[0].snapshot() if active else None,
        "next_block": planned[0].snapshot() if planned else None,
    }
