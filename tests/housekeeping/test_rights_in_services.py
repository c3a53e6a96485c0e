"""Rights that services check themselves, when no view has checked them before."""

import pytest
from django.contrib.auth.models import Permission

from board.state import board_state
from housekeeping.models import Source
from housekeeping.policy import StatusChangeNotAllowed, default_source
from housekeeping.services import MaintenanceOpen, set_room_status
from housekeeping.turnover import complete_maintenance, flag_maintenance, inspect_room, start_cleaning
from rooms.models import Room
from tests.factories import StaffFactory, room_in

pytestmark = pytest.mark.django_db


def member_with(hotel, *codenames):
    """A staff member with only these rights."""
    member = StaffFactory(hotel=hotel)
    member.role.permissions.clear()
    member.user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    return type(member).objects.get(pk=member.pk)


def broken_room(hotel):
    return room_in("MAINTENANCE_REQUIRED", hotel=hotel)


def test_adding_to_a_fault_requires_the_right_to_flag(hotel):
    room = broken_room(hotel)
    with pytest.raises(StatusChangeNotAllowed):
        flag_maintenance(room=room, staff=member_with(hotel, "inspect"), note="and the window")
    flag_maintenance(room=room, staff=member_with(hotel, "maintenance_flag"), note="and the window")
    assert "and the window" in Room.objects.get().maintenance_notes


def test_cleaning_and_inspecting_require_their_rights(hotel):
    dirty, cleaned = room_in("CHECKOUT_DIRTY", hotel=hotel), room_in("CLEANED_UNINSPECTED", hotel=hotel)
    with pytest.raises(StatusChangeNotAllowed):
        start_cleaning(room=dirty, staff=member_with(hotel, "inspect"))
    with pytest.raises(StatusChangeNotAllowed):
        inspect_room(room=cleaned, staff=member_with(hotel, "maintenance_flag"), passed=True)
    assert {room.room_status for room in Room.objects.all()} == {"CHECKOUT_DIRTY", "CLEANED_UNINSPECTED"}


def test_clearing_a_remaining_fault_requires_the_right(hotel):
    room = room_in("OUT_OF_ORDER", fault=True, hotel=hotel)
    with pytest.raises(StatusChangeNotAllowed):
        complete_maintenance(room=room, staff=member_with(hotel, "maintenance_flag"))
    assert Room.objects.get().maintenance_required


def test_the_override_right_alone_does_not_clear_a_fault(hotel):
    room = broken_room(hotel)
    change = {"room": room, "to_status": "READY_FOR_GUEST", "source": Source.HOUSEKEEPING}
    with pytest.raises(MaintenanceOpen):
        set_room_status(**change, staff=member_with(hotel, "status_override"))
    set_room_status(**change, staff=member_with(hotel, "status_override", "maintenance_clear"))
    assert not Room.objects.get().maintenance_required


def test_the_right_to_inspect_alone_means_housekeeping(hotel):
    assert default_source(member_with(hotel, "inspect")) == "HOUSEKEEPING"


def test_the_board_shows_the_readers_rights(hotel):
    nothing = dict.fromkeys(("history", "flag", "clear"), False)
    assert board_state(member_with(hotel, "checkin"))["me"]["may"] == nothing
    assert board_state(member_with(hotel, "maintenance_flag"))["me"]["may"] == nothing | {"flag": True}
    assert board_state(member_with(hotel, "maintenance_clear"))["me"]["may"] == nothing | {"clear": True}
    assert board_state(member_with(hotel, "status_history_read"))["me"]["may"] == nothing | {"history": True}
