"""Housekeeping actions: cleaning, inspection, and faults from report to repair."""

from datetime import timedelta

import pytest

from common import clock
from housekeeping.models import RoomStatusEvent, Source
from housekeeping.services import TransitionNotAllowed, set_room_status, set_room_statuses
from housekeeping.turnover import (
    AlreadyInProgress,
    complete_maintenance,
    flag_maintenance,
    inspect_room,
    start_cleaning,
)
from notifications.models import RealtimeEvent
from rooms.models import Room
from tests.factories import StaffFactory, check_out, in_house, room_in
from tests.snapshots import maintenance_flag, room_records

pytestmark = pytest.mark.django_db


def test_a_second_report_adds_its_note_and_never_lowers_the_priority(hotel, housekeeper):
    room = room_in("READY_FOR_GUEST", hotel=hotel)
    flag_maintenance(room=room, staff=housekeeper, priority="MED", note="lamp")
    audit_rows = RoomStatusEvent.objects.filter(room=room).count()
    flag_maintenance(room=room, staff=housekeeper, priority="HIGH", note="and the socket sparks")
    flag_maintenance(room=room, staff=housekeeper, priority="LOW", note="still")
    assert maintenance_flag(room) == (True, "HIGH", "lamp\nand the socket sparks\nstill")
    assert RoomStatusEvent.objects.filter(room=room).count() == audit_rows
    raised, noted = RealtimeEvent.objects.order_by("pk").reverse()[:2][::-1]
    assert raised.envelope["payload"]["changed_fields"] == ["maintenance_priority", "maintenance_notes", "updated_at"]
    assert noted.envelope["payload"]["changed_fields"] == ["maintenance_notes", "updated_at"]
    assert noted.envelope["payload"]["from_status"] == noted.envelope["payload"]["to_status"] == "MAINTENANCE_REQUIRED"


@pytest.mark.parametrize("status", ["CHECKOUT_DIRTY", "CLEANING_IN_PROGRESS", "CLEANED_UNINSPECTED", "OUT_OF_ORDER"])
def test_a_fault_can_be_cleared_in_any_status(status, hotel, supervisor):
    room = room_in(status, fault=True, hotel=hotel)
    complete_maintenance(room=room, staff=supervisor)
    assert room.room_status == status
    assert maintenance_flag(room) == (False, "", "")
    assert RealtimeEvent.objects.latest("pk").envelope["payload"]["maintenance_required"] is False


def test_a_repair_without_a_status_change_is_noted(hotel, supervisor):
    room = room_in("CHECKOUT_DIRTY", fault=True, hotel=hotel)
    complete_maintenance(room=room, staff=supervisor, note="new shower head")
    assert Room.objects.get(pk=room.pk).turnover_notes == "new shower head"
    payload = RealtimeEvent.objects.latest("pk").envelope["payload"]
    assert (payload["changed_by_name"], payload["turnover_notes"]) == (supervisor.name, "new shower head")


def test_an_instance_used_again_does_not_carry_the_last_audit_row(hotel, supervisor):
    room = room_in("READY_FOR_GUEST", hotel=hotel)
    flag_maintenance(room=room, staff=supervisor, note="lamp")
    assert room.status_event is not None
    flag_maintenance(room=room, staff=supervisor, note="socket")
    assert room.status_event is None
    complete_maintenance(room=room, staff=supervisor)
    assert room.status_event is not None
    [outcome] = set_room_statuses(changes=[(room, room.room_status)], source=Source.SYSTEM)
    assert (outcome.event, room.status_event) == (None, None)


@pytest.mark.parametrize("status", ["OUT_OF_ORDER", "CLEANING_IN_PROGRESS", "CHECKOUT_DIRTY", "OCCUPIED"])
def test_only_a_cleaned_room_can_be_inspected(status, manager):
    room = room_in(status, hotel=manager.hotel)
    before = room_records(room)
    with pytest.raises(TransitionNotAllowed, match="only a cleaned room can be inspected"):
        inspect_room(room=room, staff=manager, passed=True)
    assert room_records(room) == before


def test_an_inspection_before_the_repair_still_counts(hotel, supervisor):
    room = room_in("CLEANED_UNINSPECTED", fault=True, hotel=hotel)
    with clock.set_to(clock.now() + timedelta(minutes=1)):
        inspect_room(room=room, staff=supervisor, passed=True)
    assert (room.room_status, room.inspected_by_staff) == ("MAINTENANCE_REQUIRED", supervisor)
    complete_maintenance(room=room, staff=supervisor)
    assert room.room_status == "READY_FOR_GUEST"


def test_a_restarted_cleaning_survives_a_repair(hotel, manager):
    room = room_in("CLEANED_UNINSPECTED", hotel=hotel)
    inspect_room(room=room, staff=manager, passed=True)
    set_room_status(
        room=room, to_status="CLEANING_IN_PROGRESS", staff=manager, source=Source.MANAGER_OVERRIDE, note="red wine"
    )
    flag_maintenance(room=room, staff=manager)
    complete_maintenance(room=room, staff=manager)
    assert room.room_status == "CHECKOUT_DIRTY"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("OCCUPIED", "OCCUPIED"),
        ("CHECKOUT_DIRTY", "CHECKOUT_DIRTY"),
        ("CLEANED_UNINSPECTED", "CHECKOUT_DIRTY"),
        ("READY_FOR_GUEST", "CHECKOUT_DIRTY"),  # no cleaning is recorded
    ],
)
def test_the_status_after_a_repair(before, after, hotel, supervisor):
    room = room_in(before, hotel=hotel)
    flag_maintenance(room=room, staff=supervisor)
    complete_maintenance(room=room, staff=supervisor)
    assert room.room_status == after
    assert maintenance_flag(room) == (False, "", "")


def test_a_repaired_room_that_was_cleaned_and_inspected_is_ready(hotel, housekeeper, supervisor):
    room = room_in("CLEANED_UNINSPECTED", hotel=hotel)
    set_room_status(room=room, to_status="READY_FOR_GUEST", staff=supervisor)
    flag_maintenance(room=room, staff=housekeeper, note="lamp")
    complete_maintenance(room=room, staff=supervisor)
    assert room.room_status == "READY_FOR_GUEST"
    # … but not after a later departure
    booking = in_house(room)
    set_room_status(room=room, to_status="OCCUPIED", source=Source.SYSTEM)
    check_out(booking)
    set_room_status(room=room, to_status="CHECKOUT_DIRTY", source=Source.SYSTEM)
    flag_maintenance(room=room, staff=housekeeper)
    complete_maintenance(room=room, staff=supervisor)
    assert room.room_status == "CHECKOUT_DIRTY"


def test_completing_maintenance_without_a_fault(hotel, supervisor):
    room = room_in("CLEANED_UNINSPECTED", hotel=hotel)
    before = room_records(room)
    complete_maintenance(room=room, staff=supervisor)
    assert room_records(room) == before


def test_a_room_that_someone_else_is_cleaning(hotel, housekeeper):
    other = StaffFactory(hotel=hotel, user__first_name="Orla", user__last_name="Walsh")
    room = room_in("CHECKOUT_DIRTY", hotel=hotel)
    start_cleaning(room=room, staff=housekeeper)
    before = room_records(room)
    with pytest.raises(AlreadyInProgress, match=f"^{housekeeper.name} is already cleaning room {room.room_number}\\."):
        start_cleaning(room=room, staff=other)
    start_cleaning(room=room, staff=housekeeper)
    assert room_records(room) == before
