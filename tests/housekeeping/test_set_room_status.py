"""``set_room_status``: changes are recorded and published, refusals leave no trace, the same status is a no-op."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import IntegrityError, transaction

from common import clock
from common.guards import refuses_nothing
from hotel import rights
from housekeeping.models import RoomStatusEvent, Source
from housekeeping.policy import StatusChangeNotAllowed
from housekeeping.services import (
    MaintenanceOpen,
    NobodyInHouse,
    NoteRequired,
    StatusChanged,
    StatusRequest,
    TransitionNotAllowed,
    UnknownStatus,
    VersionChanged,
    set_room_status,
    set_room_statuses,
    status_refusals,
)
from housekeeping.turnover import (
    flag_maintenance,
    inspect_room,
)
from notifications.models import RealtimeEvent
from rooms.errors import RoomNotFound, RoomOccupied
from rooms.models import Room
from rooms.snapshots import ALLOWED
from tests.factories import NewRoomFactory, RoomTypeFactory, StaffFactory, check_out, in_house, room_in
from tests.snapshots import maintenance_flag, room_records

pytestmark = pytest.mark.django_db

MORNING = datetime(2026, 7, 1, 9, 0, tzinfo=UTC)

STATUSES = [
    "OCCUPIED",
    "CHECKOUT_DIRTY",
    "CLEANING_IN_PROGRESS",
    "CLEANED_UNINSPECTED",
    "READY_FOR_GUEST",
    "MAINTENANCE_REQUIRED",
    "OUT_OF_ORDER",
]
# The table of docs/api.md (Transitions), written out by hand.
TABLE = {
    "OCCUPIED": {"CHECKOUT_DIRTY", "MAINTENANCE_REQUIRED"},
    "CHECKOUT_DIRTY": {"CLEANING_IN_PROGRESS", "CLEANED_UNINSPECTED", "READY_FOR_GUEST", "MAINTENANCE_REQUIRED"},
    "CLEANING_IN_PROGRESS": {"CLEANED_UNINSPECTED", "CHECKOUT_DIRTY", "READY_FOR_GUEST", "MAINTENANCE_REQUIRED"},
    "CLEANED_UNINSPECTED": {"READY_FOR_GUEST", "CLEANING_IN_PROGRESS", "CHECKOUT_DIRTY", "MAINTENANCE_REQUIRED"},
    "READY_FOR_GUEST": {"OCCUPIED", "CHECKOUT_DIRTY", "MAINTENANCE_REQUIRED", "OUT_OF_ORDER"},
    "MAINTENANCE_REQUIRED": {"OCCUPIED", "CHECKOUT_DIRTY", "OUT_OF_ORDER", "READY_FOR_GUEST"},
    "OUT_OF_ORDER": {"CHECKOUT_DIRTY", "MAINTENANCE_REQUIRED", "READY_FOR_GUEST"},
}


def test_a_change_is_recorded_and_published(hotel, housekeeper):
    room = room_in("CHECKOUT_DIRTY", hotel=hotel, room_number=101)
    sent_before = RealtimeEvent.objects.count()
    with clock.set_to(MORNING):
        set_room_status(room=room, to_status="CLEANED_UNINSPECTED", staff=housekeeper, note="towels")

    row = Room.objects.get(pk=room.pk)
    assert (row.room_status, row.status_version, row.status_changed_at) == ("CLEANED_UNINSPECTED", 2, MORNING)
    assert (row.last_cleaned_at, row.cleaned_by_staff, row.turnover_notes) == (MORNING, housekeeper, "towels")
    audit = RoomStatusEvent.objects.get(room=room, version=2)
    assert (audit.hotel, audit.from_status, audit.to_status) == (hotel, "CHECKOUT_DIRTY", "CLEANED_UNINSPECTED")
    assert (audit.changed_by, audit.source, audit.note, audit.created_at) == (
        housekeeper,
        "HOUSEKEEPING",
        "towels",
        MORNING,
    )
    [event] = RealtimeEvent.objects.order_by("pk")[sent_before:]
    assert (event.channel, event.type, event.seq) == ("private-grand.rooms", "room_updated", None)
    payload = event.envelope["payload"]
    assert payload["from_status"] == "CHECKOUT_DIRTY"
    assert payload["to_status"] == payload["room_status"] == "CLEANED_UNINSPECTED"
    assert payload["changed_by_name"] == housekeeper.name
    assert payload["changed_fields"] == [
        "room_status",
        "status_version",
        "status_changed_at",
        "last_cleaned_at",
        "cleaned_by_staff",
        "turnover_notes",
        "updated_at",
    ]


def test_the_callers_instance_is_updated(hotel, housekeeper):
    room = room_in("CHECKOUT_DIRTY", hotel=hotel)
    returned = set_room_status(room=room, to_status="CLEANING_IN_PROGRESS", staff=housekeeper)
    assert returned is room
    assert (room.room_status, room.status_version) == ("CLEANING_IN_PROGRESS", 2)
    assert room.status_event == RoomStatusEvent.objects.get(room=room, version=2)


def test_the_same_status_writes_and_sends_nothing(hotel, housekeeper):
    room = room_in("CLEANED_UNINSPECTED", hotel=hotel)
    before = room_records(room)
    set_room_status(room=room, to_status="CLEANED_UNINSPECTED", staff=housekeeper, note="again")
    assert room.status_event is None
    assert room_records(room) == before


def test_the_decision_is_made_on_the_stored_row(hotel, housekeeper):
    room = room_in("CHECKOUT_DIRTY", hotel=hotel)
    stale = Room.objects.get(pk=room.pk)
    set_room_status(room=room, to_status="CLEANED_UNINSPECTED", staff=housekeeper)
    with pytest.raises(StatusChanged):
        set_room_status(
            room=stale, to_status="CLEANING_IN_PROGRESS", staff=housekeeper, expected_status="CHECKOUT_DIRTY"
        )
    stale.room_status = "OUT_OF_ORDER"
    set_room_status(room=stale, to_status="CLEANING_IN_PROGRESS", staff=housekeeper)
    assert stale.status_event.from_status == "CLEANED_UNINSPECTED"


def test_the_row_is_locked_before_writing(hotel, housekeeper, statements):
    room = room_in("CHECKOUT_DIRTY", hotel=hotel)
    housekeeper.can("rooms.inspect")  # rights are cached per request
    with statements() as made:
        set_room_status(room=room, to_status="CLEANING_IN_PROGRESS", staff=housekeeper)
    lock, read, update, event, audit = made.sql()
    assert lock.startswith("SELECT") and lock.endswith(" ORDER BY 1 ASC FOR NO KEY UPDATE")
    assert f'"rooms_room"."id" = ANY((ARRAY[{room.pk}]))' in lock
    assert read.startswith('SELECT "rooms_room"."id"') and f"= ANY((ARRAY[{room.pk}])) ORDER" in read
    assert update.startswith('UPDATE "rooms_room" SET "room_status"')
    assert audit.startswith('INSERT INTO "housekeeping_roomstatusevent"')
    assert event.startswith('INSERT INTO "notifications_realtimeevent"')


@pytest.mark.parametrize("to_status", STATUSES)
@pytest.mark.parametrize("from_status", STATUSES)
def test_the_workflow_map(from_status, to_status, manager):
    """Every pair of statuses, with a guest in house where the transition needs one."""
    room = room_in(from_status, hotel=manager.hotel)
    if from_status == "OCCUPIED" and to_status not in ("OCCUPIED", "MAINTENANCE_REQUIRED"):
        check_out(room.bookings.get())
    if from_status == "OUT_OF_ORDER" and to_status == "OCCUPIED":
        with pytest.raises(IntegrityError, match="room_claim_no_overlap"), transaction.atomic():
            in_house(room)  # the room is blocked
        return
    if to_status == "OCCUPIED" and from_status != "OCCUPIED":
        in_house(room)
    before = room_records(room)
    if from_status == to_status:
        set_room_status(room=room, to_status=to_status, staff=manager)
        assert room_records(room) == before
    elif to_status in TABLE[from_status]:
        set_room_status(room=room, to_status=to_status, staff=manager)
        assert Room.objects.get(pk=room.pk).room_status == to_status
    else:
        with pytest.raises(TransitionNotAllowed, match="^Invalid transition: "):
            set_room_status(room=room, to_status=to_status, staff=manager)
        assert room_records(room) == before
        set_room_status(
            room=room, to_status=to_status, staff=manager, source=Source.MANAGER_OVERRIDE, note="seen it myself"
        )
        assert Room.objects.get(pk=room.pk).room_status == to_status


@pytest.mark.parametrize("stay", [None, 1])
@pytest.mark.parametrize("from_status", STATUSES)
def test_allowed_transitions_are_those_that_the_guard_does_not_refuse(from_status, stay):
    room = NewRoomFactory.build(room_status=from_status)
    room.stay_id, room.stay_booking_id, room.blocks_json = stay, stay, []
    system = StatusRequest(None, Source.SYSTEM, "")
    others = [status for status in STATUSES if status != from_status]
    open_to = {status for status in others if refuses_nothing(status_refusals(room, status, system))}
    assert set(ALLOWED[from_status, stay is not None]) == open_to


@pytest.mark.parametrize("to_status", ["CHECKOUT_DIRTY", "OUT_OF_ORDER", "READY_FOR_GUEST", "CLEANED_UNINSPECTED"])
def test_an_override_cannot_empty_a_room_with_a_guest(to_status, manager):
    room = room_in("OCCUPIED", hotel=manager.hotel)
    before = room_records(room)
    with pytest.raises(RoomOccupied, match="^Room occupied: "):
        set_room_status(room=room, to_status=to_status, staff=manager, source=Source.MANAGER_OVERRIDE, note="go")
    assert room_records(room) == before


def test_an_override_cannot_occupy_an_empty_room(manager):
    room = room_in("READY_FOR_GUEST", hotel=manager.hotel)
    before = room_records(room)
    with pytest.raises(NobodyInHouse):
        set_room_status(room=room, to_status="OCCUPIED", staff=manager, source=Source.MANAGER_OVERRIDE, note="go")
    assert room_records(room) == before


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"to_status": "SPARKLING"}, UnknownStatus),
        ({"to_status": "READY_FOR_GUEST"}, StatusChangeNotAllowed),
        ({"to_status": "CLEANING_IN_PROGRESS", "expected_status": "OCCUPIED"}, StatusChanged),
        ({"to_status": "CLEANING_IN_PROGRESS", "expected_versions": [0]}, VersionChanged),
        ({"to_status": "CLEANING_IN_PROGRESS", "expected_versions": []}, VersionChanged),
        ({"to_status": "CLEANING_IN_PROGRESS", "source": Source.FRONT_DESK}, StatusChangeNotAllowed),
        (
            {"to_status": "READY_FOR_GUEST", "source": Source.MANAGER_OVERRIDE, "note": "please"},
            StatusChangeNotAllowed,
        ),
        ({"to_status": "CLEANING_IN_PROGRESS", "staff": None}, StatusChangeNotAllowed),
    ],
)
def test_a_refusal_leaves_no_trace(change, refusal, hotel, housekeeper):
    room = room_in("CHECKOUT_DIRTY", hotel=hotel)
    before, instance = room_records(room), dict(vars(room))
    with pytest.raises(refusal):
        set_room_status(**{"room": room, "staff": housekeeper, **change})
    assert room_records(room) == before
    assert vars(room) == instance


def test_an_override_needs_a_note(manager):
    room = room_in("CHECKOUT_DIRTY", hotel=manager.hotel)
    with pytest.raises(NoteRequired):
        set_room_status(room=room, to_status="OUT_OF_ORDER", staff=manager, source=Source.MANAGER_OVERRIDE, note="  ")


def test_staff_of_another_hotel_and_inactive_staff_change_nothing(hotel, manager):
    room = room_in("CHECKOUT_DIRTY", hotel=hotel)
    stranger = StaffFactory(role=rights.HOTEL_MANAGER)
    for source in Source.values:
        with pytest.raises(StatusChangeNotAllowed):
            set_room_status(room=room, to_status="READY_FOR_GUEST", staff=stranger, source=source, note="mine")
    manager.is_active = False
    with pytest.raises(StatusChangeNotAllowed):
        set_room_status(room=room, to_status="READY_FOR_GUEST", staff=manager, source=Source.SYSTEM)


def test_the_refusal_contains_the_current_state_and_its_author(hotel, housekeeper):
    room = room_in("CHECKOUT_DIRTY", hotel=hotel)
    with clock.set_to(MORNING):
        set_room_status(room=room, to_status="CLEANING_IN_PROGRESS", staff=housekeeper)
    with pytest.raises(StatusChanged) as refusal:
        set_room_status(room=room, to_status="CLEANED_UNINSPECTED", staff=housekeeper, expected_status="CHECKOUT_DIRTY")
    assert refusal.value.details == {
        "room_id": room.pk,
        "room_number": room.room_number,
        "current_status": "CLEANING_IN_PROGRESS",
        "status_version": 2,
        "status_changed_at": "2026-07-01T09:00:00Z",
        "changed_by": housekeeper.pk,
        "changed_by_name": housekeeper.name,
        "source": "HOUSEKEEPING",
    }


def test_a_deleted_room(hotel, housekeeper):
    room = NewRoomFactory(hotel=hotel)
    Room.objects.filter(pk=room.pk).delete()
    with pytest.raises(RoomNotFound, match="^Room not found: "):
        set_room_status(room=room, to_status="CHECKOUT_DIRTY", staff=housekeeper)


# --- stamps and notes -------------------------------------------------------------------------------------------------


def test_an_inspection_is_stamped(hotel, supervisor):
    room = room_in("CLEANED_UNINSPECTED", hotel=hotel)
    with clock.set_to(MORNING):
        set_room_status(room=room, to_status="READY_FOR_GUEST", staff=supervisor)
    room.refresh_from_db()
    assert (room.last_inspected_at, room.inspected_by_staff) == (MORNING, supervisor)


def test_becoming_ready_another_way_is_not_an_inspection(manager):
    room = room_in("CHECKOUT_DIRTY", hotel=manager.hotel)
    set_room_status(room=room, to_status="READY_FOR_GUEST", staff=manager)
    room.refresh_from_db()
    assert room.last_inspected_at is None


def test_turnover_notes_accumulate_until_departure(hotel, housekeeper):
    room = room_in("CHECKOUT_DIRTY", hotel=hotel)
    set_room_status(room=room, to_status="CLEANING_IN_PROGRESS", staff=housekeeper, note="stain on carpet")
    set_room_status(room=room, to_status="CLEANED_UNINSPECTED", staff=housekeeper, note="stain gone")
    assert room.turnover_notes == "stain on carpet\nstain gone"
    set_room_status(room=room, to_status="CHECKOUT_DIRTY", staff=housekeeper)
    assert room.turnover_notes == "stain on carpet\nstain gone"
    set_room_status(room=room, to_status="READY_FOR_GUEST", source=Source.SYSTEM)
    booking = in_house(room)
    set_room_status(room=room, to_status="OCCUPIED", source=Source.SYSTEM)
    check_out(booking)
    set_room_status(room=room, to_status="CHECKOUT_DIRTY", source=Source.SYSTEM)
    assert room.turnover_notes == ""


# --- faults are never lost --------------------------------------------------------------------------------------------


def test_a_fault_survives_departure_and_cleaning(hotel, housekeeper, supervisor):
    room = room_in("OCCUPIED", hotel=hotel)
    flag_maintenance(room=room, staff=housekeeper, priority="HIGH", note="shower broken")
    fault = (True, "HIGH", "shower broken")
    check_out(room.bookings.get())
    set_room_status(room=room, to_status="CHECKOUT_DIRTY", source=Source.SYSTEM)
    assert maintenance_flag(room) == fault
    for step in ("CLEANING_IN_PROGRESS", "CLEANED_UNINSPECTED"):
        set_room_status(room=room, to_status=step, staff=housekeeper)
        assert maintenance_flag(room) == fault
    with pytest.raises(MaintenanceOpen, match="^Room not ready: "):
        set_room_status(room=room, to_status="READY_FOR_GUEST", staff=supervisor)
    inspect_room(room=room, staff=supervisor, passed=True)
    assert room.room_status == "MAINTENANCE_REQUIRED"
    assert maintenance_flag(room) == fault


def test_leaving_maintenance_requires_the_right_to_clear(hotel, housekeeper, supervisor):
    room = room_in("MAINTENANCE_REQUIRED", hotel=hotel)
    with pytest.raises(MaintenanceOpen):
        set_room_status(room=room, to_status="READY_FOR_GUEST", source=Source.SYSTEM)
    with pytest.raises(StatusChangeNotAllowed):
        set_room_status(room=room, to_status="READY_FOR_GUEST", staff=housekeeper)
    set_room_status(room=room, to_status="READY_FOR_GUEST", staff=supervisor)
    assert maintenance_flag(room) == (False, "", "")


def test_a_checkin_right_does_not_clear_a_fault(hotel, agent, supervisor):
    room = room_in("OCCUPIED", hotel=hotel)
    flag_maintenance(room=room, staff=agent, note="no hot water")
    with pytest.raises(StatusChangeNotAllowed):
        set_room_status(room=room, to_status="OCCUPIED", staff=agent, source=Source.FRONT_DESK)
    set_room_status(room=room, to_status="OCCUPIED", staff=supervisor)
    assert maintenance_flag(room) == (False, "", "")


def test_the_fault_stays_from_out_of_order_to_dirty(hotel, supervisor):
    room = room_in("OUT_OF_ORDER", fault=True, hotel=hotel)
    set_room_status(room=room, to_status="CHECKOUT_DIRTY", staff=supervisor)
    assert maintenance_flag(room) == (True, "MED", "shower drips")


@pytest.mark.parametrize("status", ["CHECKOUT_DIRTY", "CLEANED_UNINSPECTED", "OUT_OF_ORDER", "MAINTENANCE_REQUIRED"])
def test_an_override_to_ready_clears_the_fault(status, manager):
    room = room_in(status, fault=True, hotel=manager.hotel)
    set_room_status(room=room, to_status="READY_FOR_GUEST", staff=manager, source=Source.MANAGER_OVERRIDE, note="done")
    assert maintenance_flag(room) == (False, "", "")


def test_without_override_a_manager_does_not_clear_a_fault(manager):
    room = room_in("CHECKOUT_DIRTY", fault=True, hotel=manager.hotel)
    before = room_records(room)
    with pytest.raises(MaintenanceOpen):
        set_room_status(room=room, to_status="READY_FOR_GUEST", staff=manager)
    assert room_records(room) == before


# --- many rooms -------------------------------------------------------------------------------------------------------


def new_rooms(hotel, count: int) -> list[Room]:
    room_type = RoomTypeFactory(hotel=hotel)
    return Room.objects.bulk_create(
        Room(hotel=hotel, room_type=room_type, room_number=1000 + number) for number in range(count)
    )


@pytest.mark.parametrize("count", [1, 3, 300])
def test_many_rooms_take_a_constant_number_of_statements(count, hotel, housekeeper, statements):
    rooms = new_rooms(hotel, count)
    with statements() as made:
        outcomes = set_room_statuses(
            changes=[(room, "MAINTENANCE_REQUIRED") for room in rooms], staff=housekeeper, note="storm damage"
        )
    # lock, read, update, audit, events; in a request, the rights are already loaded
    assert len(made) - 1 == 5
    assert all(outcome.event for outcome in outcomes)
    assert Room.objects.filter(room_status="MAINTENANCE_REQUIRED", maintenance_notes="storm damage").count() == count
    assert RoomStatusEvent.objects.filter(version=1).count() == count
    assert RealtimeEvent.objects.count() == count


def test_refused_rooms_are_reported_and_the_rest_change(hotel, supervisor):
    cleaned, dirty, same = (
        room_in("CLEANED_UNINSPECTED", hotel=hotel),
        room_in("CHECKOUT_DIRTY", hotel=hotel),
        room_in("READY_FOR_GUEST", hotel=hotel),
    )
    before = room_records(dirty)[:2]
    first, second, third = set_room_statuses(
        changes=[(dirty, "READY_FOR_GUEST"), (cleaned, "READY_FOR_GUEST"), (same, "READY_FOR_GUEST")], staff=supervisor
    )
    assert isinstance(first.refusal, StatusChangeNotAllowed)
    assert first.room is dirty
    assert room_records(dirty)[:2] == before
    assert second.event.to_status == cleaned.room_status == "READY_FOR_GUEST"
    assert (third.event, third.refusal) == (None, None)


def test_all_or_nothing(hotel, supervisor):
    cleaned, dirty = room_in("CLEANED_UNINSPECTED", hotel=hotel), room_in("CHECKOUT_DIRTY", hotel=hotel)
    before = room_records(cleaned), room_records(dirty)
    with pytest.raises(StatusChangeNotAllowed):
        set_room_statuses(
            changes=[(cleaned, "READY_FOR_GUEST"), (dirty, "READY_FOR_GUEST")], staff=supervisor, all_or_nothing=True
        )
    assert (room_records(cleaned), room_records(dirty)) == before


def test_each_room_goes_to_its_own_status(hotel, manager):
    rooms = new_rooms(hotel, 3)
    targets = ["CHECKOUT_DIRTY", "OUT_OF_ORDER", "MAINTENANCE_REQUIRED"]
    with clock.set_to(MORNING + timedelta(days=1)):
        set_room_statuses(changes=list(zip(rooms, targets, strict=True)), staff=manager)
    assert [Room.objects.get(pk=room.pk).room_status for room in rooms] == targets
    assert [room.room_status for room in rooms] == targets


@pytest.mark.parametrize("count", [2, 20])
def test_rooms_that_have_changed_are_reported_in_a_constant_number_of_statements(count, hotel, housekeeper, statements):
    rooms = new_rooms(hotel, count)
    set_room_statuses(changes=[(room, "MAINTENANCE_REQUIRED") for room in rooms], staff=housekeeper)
    with statements() as made:
        outcomes = set_room_statuses(
            changes=[(room, "OUT_OF_ORDER") for room in rooms], staff=housekeeper, expected_status="READY_FOR_GUEST"
        )
    assert len(made) == 3  # lock, read, who changed them
    assert all(isinstance(outcome.refusal, StatusChanged) for outcome in outcomes)
    assert {outcome.refusal.details["changed_by_name"] for outcome in outcomes} == {housekeeper.name}


def test_a_room_named_twice_is_an_error(hotel, housekeeper):
    room = NewRoomFactory(hotel=hotel)
    with pytest.raises(ValueError, match="named twice"):
        set_room_statuses(changes=[(room, "MAINTENANCE_REQUIRED"), (room, "CHECKOUT_DIRTY")], staff=housekeeper)
