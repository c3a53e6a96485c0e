"""What a right decides within a service, where no view has asked for it before."""

import pytest
from django.contrib.auth.models import Permission

from board.state import board_state
from housekeeping.models import Source
from housekeeping.policy import default_source
from housekeeping.services import MaintenanceOpen, StatusChangeNotAllowed, set_room_status
from housekeeping.turnover import complete_maintenance, flag_maintenance
from rooms.models import Room
from tests.factories import StaffFactory, room_in

pytestmark = pytest.mark.django_db


def member_with(hotel, *codenames):
    """Somebody whose only rights these are."""
    member = StaffFactory(hotel=hotel)
    member.role.permissions.clear()
    member.user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    return type(member).objects.get(pk=member.pk)


def broken_room(hotel):
    return room_in("MAINTENANCE_REQUIRED", hotel=hotel)


def test_a_fault_is_added_to_by_whoever_may_flag_one(hotel):
    room = broken_room(hotel)
    with pytest.raises(StatusChangeNotAllowed):
        flag_maintenance(room=room, staff=member_with(hotel, "inspect"), note="and the window")
    flag_maintenance(room=room, staff=member_with(hotel, "maintenance_flag"), note="and the window")
    assert "and the window" in Room.objects.get().maintenance_notes


def test_a_fault_that_stays_behind_is_cleared_by_whoever_may(hotel):
    room = room_in("OUT_OF_ORDER", fault=True, hotel=hotel)
    with pytest.raises(StatusChangeNotAllowed):
        complete_maintenance(room=room, staff=member_with(hotel, "maintenance_flag"))
    assert Room.objects.get().maintenance_required


def test_a_fault_is_not_forgotten_by_whoever_may_override_but_not_clear(hotel):
    room = broken_room(hotel)
    change = {"room": room, "to_status": "READY_FOR_GUEST", "source": Source.HOUSEKEEPING}
    with pytest.raises(MaintenanceOpen):
        set_room_status(**change, staff=member_with(hotel, "status_override"))
    set_room_status(**change, staff=member_with(hotel, "status_override", "maintenance_clear"))
    assert not Room.objects.get().maintenance_required


def test_whoever_only_inspects_works_in_housekeeping(hotel):
    assert default_source(member_with(hotel, "inspect")) == "HOUSEKEEPING"


def test_the_board_says_what_its_reader_may(hotel):
    nothing = dict.fromkeys(("history", "flag", "clear"), False)
    assert board_state(member_with(hotel, "checkin"))["me"]["may"] == nothing
    assert board_state(member_with(hotel, "maintenance_flag"))["me"]["may"] == nothing | {"flag": True}
    assert board_state(member_with(hotel, "maintenance_clear"))["me"]["may"] == nothing | {"clear": True}
    assert board_state(member_with(hotel, "status_history_read"))["me"]["may"] == nothing | {"history": True}
