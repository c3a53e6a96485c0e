"""The CSV import and export of room types and rooms: the guide as written, every error at once, all or nothing."""

import csv
import io
import re

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.urls import reverse

from local.datadir import PROJECT
from notifications.models import RealtimeEvent
from rooms.imports import MOST_LINES, export_rooms, export_types, import_files
from rooms.models import Room, RoomType
from tests.admin.every_model import manager_of, signed_in_browser, superuser_browser
from tests.factories import HotelFactory, NewRoomFactory, RoomTypeFactory
from tests.http import nothing_written

pytestmark = pytest.mark.django_db
GUIDE = (PROJECT / "docs" / "guides" / "set-up-rooms.md").read_text()
BLOCK = re.compile(r"^```(\w+) ?(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGE = "admin:rooms_room_import"
CONNECTING = "room_number,room_type,connecting_rooms"


@pytest.fixture
def hotel(hotel):
    hotel.room_features = ["balcony", "bath", "sea view"]
    hotel.save(update_fields=["room_features"])
    return hotel


@pytest.fixture
def browser(hotel):
    return signed_in_browser(manager_of(hotel).user)


def files_of_the_guide() -> dict[str, bytes]:
    return {name: text.encode() for kind, name, text in BLOCK.findall(GUIDE) if kind == "csv"}


def imported(hotel, *texts, dry_run=False):
    files = [(f"{number}.csv", text.encode()) for number, text in enumerate(texts, 1)]
    return import_files(hotel, files, staff=None, dry_run=dry_run)


def test_the_guide_works_as_written(hotel, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    commands = 0
    said = ""
    for kind, name, text in BLOCK.findall(GUIDE):
        if kind == "csv":
            (tmp_path / name).write_text(text)
        elif kind == "bash":
            out, err = io.StringIO(), io.StringIO()
            program, *words = text.split()
            assert program == "hotelmate"
            try:
                call_command(*words, stdout=out, stderr=err)
            except CommandError as error:
                err.write(str(error))
            commands, said = commands + 1, (out.getvalue() + err.getvalue()).strip()
        else:
            assert said == text.strip()
    assert commands == 4
    room = Room.objects.get(hotel=hotel, room_number="villa rosa")
    assert (room.room_type.code, room.building, room.shown_floor, room.features) == (
        "SUI",
        "Garden wing",
        "Ground",
        ["bath", "sea view"],
    )
    first, second = Room.objects.get(room_number=101), Room.objects.get(room_number=102)
    assert (first.connecting_rooms, second.connecting_rooms) == ([second.pk], [first.pk])
    assert (first.section, first.shown_floor, str(first.shown_credits)) == ("South", "1", "1.00")
    assert RealtimeEvent.objects.latest("pk").envelope["payload"]["changed_fields"] == ["section", "updated_at"]


def test_an_export_is_imported_again_without_a_change(hotel):
    assert import_files(hotel, files_of_the_guide().items(), staff=None, dry_run=False).errors  # more.csv
    guide = files_of_the_guide()
    assert not import_files(hotel, [(name, guide[name]) for name in ("types.csv", "rooms.csv")], staff=None,
                            dry_run=False).errors  # fmt: skip
    types, rooms = export_types(hotel.room_types.all()), export_rooms(hotel.rooms.select_related("room_type"))
    assert [row["room_number"] for row in csv.DictReader(io.StringIO(rooms))] == ["12A", "101", "102", "Villa Rosa"]
    with nothing_written():
        again = imported(hotel, types, rooms)
    assert (again.errors, str(again)) == ([], "room types: 0 created, 0 changed; rooms: 0 created, 0 changed")
    copy = HotelFactory(slug="copy", room_features=hotel.room_features)
    assert imported(copy, types, rooms).errors == []
    assert export_rooms(copy.rooms.select_related("room_type")) == rooms


@pytest.mark.parametrize(
    ("text", "error"),
    [
        pytest.param("", "1.csv: the first line must name the columns", id="empty"),
        pytest.param("name\nStandard", "1.csv: the first line must name the columns", id="no code"),
        pytest.param("room_number,colour\n1,red", "1.csv: the column 'colour' is unknown", id="unknown column"),
        pytest.param("room_number,floor,floor\n1,2,3", "1.csv: the column 'floor' is unknown or repeated", id="twice"),
        pytest.param("room_number,room_type\n1,STD,bath", "1.csv, line 2: more cells than columns", id="wide"),
        pytest.param("room_number,room_type\n1\0,STD", "1.csv: not a text file", id="null character"),
        pytest.param("room_number\n" + "x" * 200_000, "1.csv: field larger than field limit", id="huge cell"),
        pytest.param(
            "room_number,room_type\n101,STD\n101,STD", "1.csv, line 3: Room 101 is listed twice.", id="same room"
        ),
        pytest.param("room_number,room_type\n1a,STD\n1A,STD", "1.csv, line 3: Room 1A is listed twice.", id="any case"),
        pytest.param("code,name\nA,One\nA,Two", "1.csv, line 3: The type A is listed twice.", id="same type"),
        pytest.param("code,max_occupancy\nA,2", "1.csv, line 2: name: This field is required.", id="no name"),
        pytest.param("room_number\n7", "1.csv, line 2: room_type: This field is required.", id="no type"),
        pytest.param("room_number,room_type\n7,XXL", "1.csv, line 2: There is no room type", id="unknown type"),
        pytest.param(f"{CONNECTING}\n7,STD,7", "1.csv, line 2: There is no other room with the id", id="itself"),
        pytest.param(f"{CONNECTING}\n7,STD,8", "1.csv, line 2: There is no room 8 to connect to.", id="unknown room"),
        pytest.param("room_number,is_active\n7,perhaps", "1.csv, line 2: is_active: Must be a valid", id="no boolean"),
        pytest.param("room_number\n" + "1\n" * (MOST_LINES + 1), f"1.csv: more than {MOST_LINES} lines.", id="long"),
    ],
)
def test_an_error_is_named_with_its_line_and_nothing_is_imported(hotel, text, error):
    RoomTypeFactory(hotel=hotel, code="STD")
    with nothing_written():
        done = imported(hotel, text, "code,name\nOK,Fine")
    assert any(each.startswith(error) for each in done.errors), done.errors


def test_files_that_are_no_text_are_refused(hotel):
    done = import_files(hotel, [("a.xlsx", b"PK\x03\x04\xff\xfe")], staff=None, dry_run=False)
    assert done.errors == ["a.xlsx: not UTF-8 text. Save the file as CSV UTF-8."]


def test_semicolons_and_a_byte_order_mark_are_read(hotel):
    RoomTypeFactory(hotel=hotel, code="STD")
    done = imported(hotel, "\ufeffRoom_Number;room_type;features\r\n7;STD;balcony, bath\r\n\r\n")
    assert (done.errors, Room.objects.get(room_number=7).features) == ([], ["balcony", "bath"])


def test_another_hotels_rooms_and_types_are_not_known(hotel):
    other = NewRoomFactory(hotel=HotelFactory(), room_number=7)
    done = imported(hotel, f"room_number,room_type\n7,{other.room_type.code}")
    assert done.errors == [f"1.csv, line 2: There is no room type with the code {other.room_type.code}."]
    RoomTypeFactory(hotel=hotel, code="STD")
    assert imported(hotel, "room_number,room_type,connecting_rooms\n8,STD,7").errors
    assert imported(hotel, "room_number,room_type\n7,STD").created["rooms"] == 1
    assert imported(hotel, f"code,name\n{other.room_type.code},Own").created["room types"] == 1
    other.refresh_from_db()
    assert other.connecting_rooms == []


def test_the_admin_checks_imports_and_exports(browser, hotel):
    guide = files_of_the_guide()

    def send(button, *names):
        kinds = {"types.csv": "types", "rooms.csv": "rooms", "more.csv": "rooms"}
        files = {kinds[name]: SimpleUploadedFile(name, guide[name], "text/csv") for name in names}
        return browser.post(reverse(PAGE), {button: "1", **files})

    assert "Import rooms" in browser.get(reverse("admin:rooms_room_changelist")).content.decode()
    assert "Choose a file." in send("check").content.decode()
    with nothing_written():
        checked = send("check", "types.csv", "rooms.csv").content.decode()
        assert (
            "The import would make these changes: room types: 2 created, 0 changed; rooms: 4 created, 0 changed."
            in checked
        )
        refused = send("import", "types.csv", "more.csv").content.decode()
    assert "Nothing was imported: 4 errors." in refused and "There is no room type with the code XXL." in refused
    assert send("import", "types.csv", "rooms.csv").status_code == 302
    assert (hotel.room_types.count(), hotel.rooms.count()) == (2, 4)
    for model, name in ((RoomType, "types.csv"), (Room, "rooms.csv")):
        chosen = {"action": "export", "_selected_action": list(model.objects.values_list("pk", flat=True))}
        answer = browser.post(reverse(f"admin:rooms_{model._meta.model_name}_changelist"), chosen)
        assert answer["Content-Disposition"] == f'attachment; filename="{name}"'
        assert len(answer.content.decode().splitlines()) == 1 + model.objects.count()


def test_a_superuser_chooses_the_hotel(hotel):
    files = {"types": SimpleUploadedFile("types.csv", files_of_the_guide()["types.csv"], "text/csv")}
    answer = superuser_browser().post(reverse(PAGE), {"import": "1", "hotel": hotel.pk, **files})
    assert (answer.status_code, hotel.room_types.count()) == (302, 2)


def test_an_import_needs_the_rights_to_add_and_change_types_and_rooms(browser, hotel, agent, supervisor):
    for member in (agent, supervisor):
        member.user.is_staff = True
        member.user.save()
        assert signed_in_browser(member.user).get(reverse(PAGE)).status_code == 403
    assert browser.get(reverse(PAGE)).status_code == 200


def test_the_command_names_a_wrong_hotel_or_file(hotel, tmp_path):
    with pytest.raises(CommandError, match="There is no hotel with the slug nowhere"):
        call_command("import_rooms", "nowhere", "rooms.csv")
    with pytest.raises(CommandError, match="No such file"):
        call_command("import_rooms", "grand", str(tmp_path / "rooms.csv"))
