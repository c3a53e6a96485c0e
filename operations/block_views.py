"""Endpoints of room blocks and their reasons (docs/api.md, Room blocks)."""

from typing import Any, ClassVar

from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer

from common.csv_files import csv_file, csv_text
from common.errors import FieldError
from common.handlers import error_body
from common.openapi import endpoint
from common.views import HotelViewSet
from housekeeping.blocks import (
    MANAGE,
    BlockNotFound,
    NewBlock,
    cancel_block,
    complete_block_early,
)
from housekeeping.selectors import block_history, block_list, with_a_night
from housekeeping.snapshots import block_change_snapshot, block_snapshot
from operations.block_serializers import (
    BLOCK_CHANGE_EXAMPLE,
    BLOCK_EXAMPLE,
    NIGHTS_EXAMPLE,
    REASON_EXAMPLE,
    BlockCompletionInput,
    BlockDetail,
    BlockedNightsOutput,
    BlockedNightsRow,
    BlockEndInput,
    BlockInput,
    BlockOutput,
    BlockQuery,
    BlockReasonOutput,
    BlockReportQuery,
    BlocksOutput,
    RefusedBlocks,
)
from room_bookings.availability import require_span
from room_bookings.blocked_nights import blocked_nights
from room_bookings.services.bulk import NothingDone
from room_bookings.services.room_blocks import block_rooms, extend_room_block
from rooms.models import BlockReason, Room, RoomBlock
from rooms.serializers import NeededBody, NotesInput
from rooms.views import ANY_ROOMS_RIGHT, CONFLICTS_EXAMPLE

DETAIL_EXAMPLE = {**BLOCK_EXAMPLE, "history": [BLOCK_CHANGE_EXAMPLE]}
CONFLICT = {**CONFLICTS_EXAMPLE[0], "in_house": False, "free_rooms": [102, 104]}
NEEDED_EXAMPLE = error_body(
    "ROOM_NEEDED",
    "Room 101 is needed: it is assigned to BK-2026-0009 from 2026-07-05.",
    details={"room_id": 17, "room_number": 101, "conflicts": [CONFLICT]},
) | {"conflicts": [CONFLICT]}


class BlockViewSet(HotelViewSet):
    """Blocks of rooms."""

    queryset = RoomBlock.objects.none()
    rights: ClassVar = {"list": ANY_ROOMS_RIGHT, "retrieve": ANY_ROOMS_RIGHT, "*": [MANAGE]}

    def block(self, pk: int) -> RoomBlock:
        """One block of the caller's hotel."""
        return self.find(block_list(self.hotel), BlockNotFound, "This hotel has no such block.", pk=pk)

    def _show(self, block: RoomBlock) -> dict[str, Any]:
        history = [block_change_snapshot(event) for event in block_history(block)]
        return {**block_snapshot(block), "history": history}

    @endpoint(
        "Blocks, the latest first",
        response=BlockOutput(many=True),
        example=BLOCK_EXAMPLE,
        parameters=[BlockQuery],
    )
    def list(self, request: Request, slug: str) -> Response:
        query = self.query(BlockQuery)
        first, free = query.pop("from", None), query.pop("to", None)
        found = block_list(self.hotel).filter(**query)
        page = self.paginate_queryset(found.filter(with_a_night(first, free)))
        return self.get_paginated_response([block_snapshot(block) for block in page or []])

    @endpoint(
        "Block rooms for some nights, or until further notice",
        request=BlockInput,
        request_example={"room_ids": [17], "reason": "REPAIR", "from": "2026-07-20", "to": "2026-07-23"},
        response=BlocksOutput,
        status=201,
        example={"blocks": [BLOCK_EXAMPLE], "failed": []},
        errors=[404, 409],
        error_examples={409: NEEDED_EXAMPLE},
        error_shapes={409: RefusedBlocks},
        description="A block for today begins at once if the room is vacant; otherwise it is planned, and begins with "
        "its business day or when the guest leaves. All rooms or none are blocked, or each that can be (`per_room`). "
        "The conflicts of `ROOM_NEEDED` say whether the guest is in house, and which rooms of the type are free "
        "instead; `relocate` moves the arrivals there.",
    )
    def create(self, request: Request, slug: str) -> Response:
        body = self.body(BlockInput)
        reason = BlockReason.objects.filter(hotel=self.hotel, code=body["reason"], is_active=True).first()
        if reason is None:
            raise FieldError("reason", "This hotel has no such reason.")
        ids = list(dict.fromkeys(body["room_ids"]))
        rooms = {room.pk: room for room in Room.objects.filter(hotel=self.hotel, pk__in=ids)}
        if missing := [pk for pk in ids if pk not in rooms]:
            raise FieldError("room_ids", f"This hotel has no room with the id {missing[0]}.")
        wanted = NewBlock(
            kind=body.get("kind", reason.default_kind),
            reason=reason,
            first_night=body["from"],
            free_from=body["to"],
            return_status=body.get("return_status", reason.default_return_status),
            remarks=body["remarks"],
        )
        outcomes = block_rooms(
            rooms=[rooms[pk] for pk in ids],
            wanted=wanted,
            staff=self.staff,
            all_or_nothing=not body["per_room"],
            relocate=body["relocate"],
            force=body["force"],
        )
        answer = {
            "blocks": [block_snapshot(each.block) for each in outcomes if each.block],
            "failed": [
                {
                    "room_id": each.room.pk,
                    "code": each.refusal.code,
                    "message": each.refusal.message,
                    "details": each.refusal.details,
                }
                for each in outcomes
                if each.refusal
            ],
        }
        if not answer["blocks"]:
            raise NothingDone("No room is blocked.", details=answer, extra=answer)
        return Response(answer, status=201)

    @endpoint("One block, with its history", response=BlockDetail, example=DETAIL_EXAMPLE, errors=[404])
    def retrieve(self, request: Request, slug: str, pk: int) -> Response:
        return Response(self._show(self.block(pk)))

    @endpoint(
        "Give a block another end",
        request=BlockEndInput,
        request_example={"to": "2026-07-25"},
        response=BlockDetail,
        example=DETAIL_EXAMPLE,
        errors=[404, 409],
        error_examples={409: NEEDED_EXAMPLE},
        error_shapes={409: NeededBody},
        description="Later, earlier (from tomorrow) or, with null, none. A later end asks for the added nights as a "
        "new block does.",
    )
    def extend(self, request: Request, slug: str, pk: int) -> Response:
        body = self.body(BlockEndInput)
        changed = extend_room_block(
            block=self.block(pk),
            free_from=body["to"],
            staff=self.staff,
            note=body["notes"],
            relocate=body["relocate"],
            force=body["force"],
        )
        return Response(self._show(changed))

    @endpoint(
        "Complete an active block now",
        request=BlockCompletionInput,
        request_example={"notes": "done early"},
        response=BlockDetail,
        example=DETAIL_EXAMPLE,
        errors=[404, 409],
        description="The room gets the return status: the block's, or the one that is sent.",
    )
    def complete(self, request: Request, slug: str, pk: int) -> Response:
        body = self.body(BlockCompletionInput)
        changed = complete_block_early(
            block=self.block(pk), staff=self.staff, return_status=body.get("return_status"), note=body["notes"]
        )
        return Response(self._show(changed))

    @endpoint(
        "Cancel a planned block",
        request=NotesInput,
        request_example={"notes": "the carpenter is ill"},
        response=BlockDetail,
        example=DETAIL_EXAMPLE,
        errors=[404, 409],
    )
    def cancel(self, request: Request, slug: str, pk: int) -> Response:
        changed = cancel_block(block=self.block(pk), staff=self.staff, note=self.body(NotesInput)["notes"])
        return Response(self._show(changed))


class BlockReasonViewSet(HotelViewSet):
    """The hotel's reasons for blocks; managers change them in the admin."""

    queryset = BlockReason.objects.none()
    pagination_class = None
    rights: ClassVar = {"*": ANY_ROOMS_RIGHT}

    @endpoint(
        "Reasons for blocks, as a plain list",
        response=BlockReasonOutput(many=True),
        example=REASON_EXAMPLE,
    )
    def list(self, request: Request, slug: str) -> Response:
        reasons = BlockReason.objects.filter(hotel=self.hotel, is_active=True).order_by("label", "pk")
        return Response(BlockReasonOutput(reasons, many=True).data)


class BlockReportViewSet(HotelViewSet):
    """All blocks of a period, and the nights that they take, as JSON or CSV."""

    queryset = RoomBlock.objects.none()
    pagination_class = None
    rights: ClassVar = {"*": ANY_ROOMS_RIGHT}

    @endpoint(
        "All blocks of a period, the latest first",
        response=BlockOutput(many=True),
        example=BLOCK_EXAMPLE,
        parameters=[BlockReportQuery],
        csv=True,
        description="Those with a night in the period. `format=csv` returns a file with the same columns.",
    )
    def export(self, request: Request, slug: str) -> HttpResponse:
        query = self.query(BlockReportQuery)
        require_span(query["from"], query["to"])
        found = block_list(self.hotel).filter(with_a_night(query["from"], query["to"]))
        rows = [block_snapshot(block) for block in found]
        return _file("blocks", BlockOutput, rows, query) if query["format"] == "csv" else Response(rows)

    @endpoint(
        "Count the nights that blocks take off sale, by month, kind and reason",
        response=BlockedNightsOutput,
        example=NIGHTS_EXAMPLE,
        parameters=[BlockReportQuery],
        csv=True,
        description="Past nights and planned ones: a completed block counts until it ended, one without an end until "
        "`to`. From tonight on these are the rooms that `availability/` counts as blocked and off sale. `format=csv` "
        "returns the rows as a file.",
    )
    def nights(self, request: Request, slug: str) -> HttpResponse:
        query = self.query(BlockReportQuery)
        body = blocked_nights(self.hotel, query["from"], query["to"])
        if query["format"] == "csv":
            return _file("blocked-nights", BlockedNightsRow, body["rows"], query)
        return Response(body)


def _file(name: str, shape: type[Serializer[Any]], rows: list[dict[str, Any]], query: dict[str, Any]) -> HttpResponse:
    """The rows as CSV, with the fields of ``shape`` as columns."""
    return csv_file(csv_text(list(shape().fields), rows), f"{name}-{query['from']}-{query['to']}.csv")
