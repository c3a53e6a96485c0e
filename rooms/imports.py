"""CSV import and export of room types and rooms (docs/guides/set-up-rooms.md)."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

from django.db import transaction
from rest_framework import serializers

from common import room_numbers
from common.csv_files import csv_text
from common.errors import HotelMateError, InvalidInput
from common.room_numbers import key
from hotel.models import Hotel, Staff
from rooms import services
from rooms.errors import RoomNotFound
from rooms.models import Room, RoomType
from rooms.serializers import RoomInput, RoomTypeInput

TYPE_COLUMNS = tuple(RoomTypeInput.Meta.fields)
ROOM_COLUMNS = (
    *("room_number", "room_type", "floor", "building", "section", "features", "is_accessible", "connecting_rooms"),
    *("walking_order", "credits", "is_active"),
)
# Cells with several values, separated by commas.
LISTS = ("features", "connecting_rooms")
# What an empty cell means: no value, or an empty text. In any other column it leaves the value, or the default.
EMPTY = {
    **dict.fromkeys(["walking_order", "credits", "starting_price_from"]),
    **dict.fromkeys(["floor", "building", "section", "bed_setup", "short_description", "availability_message"], ""),
}
MOST_LINES = 5000


@dataclass
class Line:
    """One line of a file; ``values`` has its cells by column, without those of columns that the file does not have."""

    number: int
    values: dict[str, str]


@dataclass
class Imported:
    """What an import did, or would do; with ``errors``, nothing is done."""

    created: dict[str, int] = field(default_factory=lambda: {"room types": 0, "rooms": 0})
    changed: dict[str, int] = field(default_factory=lambda: {"room types": 0, "rooms": 0})
    errors: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return "; ".join(
            f"{what}: {self.created[what]} created, {self.changed[what]} changed" for what in ("room types", "rooms")
        )


class _Undone(Exception):
    """Rolls the import back."""


def import_files(hotel: Hotel, files: Iterable[tuple[str, bytes]], *, staff: Staff | None, dry_run: bool) -> Imported:
    """Create and change the room types and rooms of CSV files (name, content), all or nothing.

    A file with the column ``room_number`` has rooms, any other has types, which are imported first. Rooms are known by
    their number and types by their code: those that exist are changed, in the columns that the file has. Nothing is
    deleted, and no connection of rooms is removed. Every line with an error is listed.
    """
    done = Imported()
    try:
        with transaction.atomic():
            # First of all locks: one import per hotel at a time, and none of its lines waits for the hotel later.
            locked = Hotel.objects.select_for_update(no_key=True).get(pk=hotel.pk)
            _Import(locked, staff, done).run(files)
            if done.errors or dry_run:
                raise _Undone
    except _Undone:
        pass
    return done


def export_types(types: Iterable[RoomType]) -> str:
    """The types as a file that can be imported again."""
    rows = ({name: getattr(each, name) for name in TYPE_COLUMNS} for each in types)
    return csv_text(TYPE_COLUMNS, rows, as_is=True)


def export_rooms(rooms: Iterable[Room]) -> str:
    """The rooms, with what each has itself, as a file that can be imported again."""
    listed = list(rooms)
    wanted = {pk for room in listed for pk in room.connecting_rooms}
    numbers: dict[int, Any] = dict(Room.objects.filter(pk__in=wanted).values_list("pk", "room_number"))
    rows = (
        {name: getattr(room, name) for name in ROOM_COLUMNS}
        | {"room_type": room.room_type.code, "connecting_rooms": [numbers[pk] for pk in room.connecting_rooms]}
        for room in listed
    )
    return csv_text(ROOM_COLUMNS, rows, as_is=True)


# --- reading ----------------------------------------------------------------------------------------------------------


def _read(name: str, content: bytes) -> tuple[list[str], list[Line]]:
    """The file's columns and lines. Raises ``InvalidInput`` if it is not such a CSV file."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{name}: not UTF-8 text. Save the file as CSV UTF-8.") from error
    if "\0" in text:
        raise InvalidInput(f"{name}: not a text file.")
    first = text.partition("\n")[0]
    # Spreadsheets write semicolons where the comma is the decimal sign.
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=";" if first.count(";") > first.count(",") else ",")
    try:
        columns = [column.strip().lower() for column in next(rows, [])]
        lines = [
            Line(rows.line_num, dict(zip_longest(columns, (cell.strip() for cell in row), fillvalue="")))
            for row in rows
            if any(cell.strip() for cell in row)
        ]
    except csv.Error as error:
        raise InvalidInput(f"{name}: {error}.") from error
    known = ROOM_COLUMNS if "room_number" in columns else TYPE_COLUMNS
    if "room_number" not in columns and "code" not in columns:
        raise InvalidInput(f"{name}: the first line must name the columns, including room_number or, for types, code.")
    if wrong := [column for column in columns if column not in known] or [
        column for column in columns if columns.count(column) > 1
    ]:
        raise InvalidInput(f"{name}: the column {wrong[0]!r} is unknown or repeated. Known: {', '.join(known)}.")
    if len(lines) > MOST_LINES:
        raise InvalidInput(f"{name}: more than {MOST_LINES} lines.")
    if wide := [line.number for line in lines if line.values.get("")]:
        raise InvalidInput(f"{name}, line {wide[0]}: more cells than columns. Put a cell with commas in quotes.")
    return columns, lines


def _values(line: Line) -> dict[str, Any]:
    """The cells as a request would have them."""
    lists = {column: [word.strip() for word in line.values[column].split(",") if word.strip()] for column in LISTS
             if column in line.values}  # fmt: skip
    empty = {column: EMPTY[column] for column, cell in line.values.items() if cell == "" and column in EMPTY}
    return {column: cell for column, cell in line.values.items() if cell} | empty | lists


class _Import:
    """Lines are compared with the hotel's types and rooms as they were at the start; services decide on the row."""

    def __init__(self, hotel: Hotel, staff: Staff | None, done: Imported) -> None:
        self.hotel, self.staff, self.done = hotel, staff, done
        self.types = {room_type.code: room_type for room_type in RoomType.objects.filter(hotel=hotel)}
        self.rooms = {key(room.room_number): room for room in Room.objects.filter(hotel=hotel).select_related("hotel")}
        self.seen: set[Any] = set()

    def run(self, files: Iterable[tuple[str, bytes]]) -> None:
        read: list[tuple[str, list[str], list[Line]]] = []
        for name, content in files:
            try:
                read.append((name, *_read(name, content)))
            except InvalidInput as refusal:
                self.done.errors.append(refusal.message)
        for name, columns, lines in read:
            if "room_number" not in columns:
                self._each(name, lines, self._type)
        for name, columns, lines in read:
            if "room_number" in columns:
                self._each(name, lines, self._room)
        # When all rooms exist: a room may connect to one of a later line.
        for name, columns, lines in read:
            if "connecting_rooms" in columns:
                self._each(name, lines, self._connections)

    def _each(self, name: str, lines: Iterable[Line], take: Callable[[dict[str, Any]], None]) -> None:
        """Take each line; one that is refused is noted, and leaves nothing behind."""
        for line in lines:
            try:
                with transaction.atomic():
                    take(_values(line))
            except serializers.ValidationError as invalid:
                self._note(name, line, _sentences(invalid.detail))
            except HotelMateError as refusal:
                self._note(name, line, [refusal.message])

    def _note(self, name: str, line: Line, sentences: Iterable[str]) -> None:
        self.done.errors += [f"{name}, line {line.number}: {sentence}" for sentence in sentences]

    def _type(self, values: dict[str, Any]) -> None:
        self._once(values.get("code"), f"The type {values.get('code')} is listed twice.")
        if values.get("credits", "") is None:
            del values["credits"]  # a type's are a number
        known = self.types.get(values.get("code", ""))
        shape = RoomTypeInput(data=values, partial=known is not None)
        shape.is_valid(raise_exception=True)
        given = shape.validated_data
        if known is None:
            self.types[given["code"]] = services.create_room_type(hotel=self.hotel, **given)
            self.done.created["room types"] += 1
        elif changed := _changed(known, given):
            self.types[known.code] = services.update_room_type(room_type=known, **changed)
            self.done.changed["room types"] += 1

    def _room(self, values: dict[str, Any]) -> None:
        number = room_numbers.read(values.get("room_number", ""))
        self._once(key(number), f"Room {number} is listed twice.")
        values.pop("connecting_rooms", None)
        if code := values.pop("room_type", ""):
            if code not in self.types:
                raise services.RoomTypeNotFound(f"There is no room type with the code {code}.")
            values["room_type_id"] = self.types[code].pk
        known = self.rooms.get(key(number))
        shape = RoomInput(data=values, partial=known is not None)
        shape.is_valid(raise_exception=True)
        given = shape.validated_data
        if known is None:
            del given["room_type_id"]
            self.rooms[key(number)] = services.add_room(hotel=self.hotel, room_type=self.types[code], **given)
            self.done.created["rooms"] += 1
        elif changed := _changed(known, given):
            self.rooms[key(number)] = services.update_room(room=known, staff=self.staff, **changed)
            self.done.changed["rooms"] += 1

    def _connections(self, values: dict[str, Any]) -> None:
        room = self._found(values.get("room_number", ""))
        if room is None:
            return  # the line has been refused already
        others = {number: self._found(number) for number in values["connecting_rooms"]}
        if unknown := [number for number, other in others.items() if other is None]:
            raise RoomNotFound(f"There is no room {unknown[0]} to connect to.")
        named = {other.pk for other in others.values() if other}
        [connected] = Room.objects.filter(pk=room.pk).values_list("connecting_rooms", flat=True) if named else [[]]
        if not named <= set(connected):
            services.update_room(room=room, staff=self.staff, connecting_rooms=[*named, *connected])

    def _found(self, number: Any) -> Room | None:
        return self.rooms.get(key(room_numbers.read(number)))

    def _once(self, name: Any, otherwise: str) -> None:
        if name in self.seen:
            raise InvalidInput(otherwise)
        self.seen.add(name)


def _changed(row: Any, given: dict[str, Any]) -> dict[str, Any]:
    """Those of the values that are not the row's already."""
    return {
        name: value
        for name, value in given.items()
        if getattr(row, name) != (sorted(set(value)) if isinstance(value, list) else value)
    }


def _sentences(detail: Any) -> Iterator[str]:
    for column, messages in detail.items():
        for message in messages if isinstance(messages, list) else messages.values():
            yield f"{column.removesuffix('_id')}: {' '.join(message) if isinstance(message, list) else message}"
