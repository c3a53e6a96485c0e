"""The rights of each role, as returned by sign-in and ``me`` (docs/api.md, Rights)."""

import pytest
from django.contrib.auth.models import Group, Permission

from hotel import rights
from tests.conftest import url
from tests.factories import StaffFactory, room_in

ROOMS = (
    "inventory_create inventory_update inventory_delete type_manage inspect maintenance_flag maintenance_clear "
    "status_transition checkout_bulk checkout_destructive block_manage block_inventory"
)
HOUSEKEEPING = (
    "status_transition status_front_desk status_override dashboard_read status_history_read task_read task_create "
    "task_update task_assign task_execute task_cancel"
)
BOOKINGS = (
    "create update cancel assign_room checkin checkout supervise resolve_overstay extend communicate manage_rules"
)

AGENT_BOOKINGS = "create update cancel assign_room checkin checkout resolve_overstay extend communicate"
# The table of docs/api.md (Rights), row by row.
HELD = {
    rights.FRONT_DESK_AGENT: {
        "rooms": "maintenance_flag checkout_bulk checkout_destructive",
        "housekeeping": "status_front_desk dashboard_read status_history_read task_read task_create",
        "bookings": AGENT_BOOKINGS,
    },
    rights.FRONT_OFFICE_MANAGER: {
        "rooms": "maintenance_flag checkout_bulk checkout_destructive maintenance_clear inventory_update block_manage",
        "housekeeping": "status_front_desk dashboard_read status_history_read task_read task_create task_assign",
        "bookings": AGENT_BOOKINGS + " supervise manage_rules",
    },
    rights.HOUSEKEEPER: {
        "rooms": "status_transition maintenance_flag",
        "housekeeping": "status_transition dashboard_read task_read task_execute",
        "bookings": "",
    },
    rights.HOUSEKEEPING_SUPERVISOR: {
        "rooms": "status_transition maintenance_flag inspect maintenance_clear block_manage",
        "housekeeping": "status_transition dashboard_read task_read task_execute status_history_read task_create "
        "task_update task_assign task_cancel",
        "bookings": "",
    },
    rights.HOTEL_MANAGER: {
        "rooms": ROOMS,
        "housekeeping": HOUSEKEEPING,
        "bookings": BOOKINGS,
    },
}
NAVS = {
    rights.FRONT_DESK_AGENT: ["home", "rooms", "room_bookings", "housekeeping"],
    rights.FRONT_OFFICE_MANAGER: ["home", "rooms", "room_bookings", "housekeeping", "admin_settings"],
    rights.HOUSEKEEPER: ["home", "rooms", "housekeeping"],
    rights.HOUSEKEEPING_SUPERVISOR: ["home", "rooms", "housekeeping"],
    rights.HOTEL_MANAGER: ["home", "rooms", "room_bookings", "housekeeping", "admin_settings"],
}
ACCESS_LEVELS = {
    rights.FRONT_DESK_AGENT: "regular_staff",
    rights.FRONT_OFFICE_MANAGER: "staff_admin",
    rights.HOUSEKEEPER: "regular_staff",
    rights.HOUSEKEEPING_SUPERVISOR: "staff_admin",
    rights.HOTEL_MANAGER: "super_staff_admin",
}
FLAG = "MAINTENANCE_REQUIRED"
ALL_FROM_REPAIR = ["OCCUPIED", "CHECKOUT_DIRTY", "OUT_OF_ORDER", "READY_FOR_GUEST"]
ALL_FROM_OUT_OF_ORDER = ["CHECKOUT_DIRTY", FLAG, "READY_FOR_GUEST"]
# The transitions of docs/api.md (Transitions), worked out by hand for each role.
STATUS_TRANSITIONS = {
    rights.FRONT_DESK_AGENT: {
        "OCCUPIED": [FLAG],
        "CHECKOUT_DIRTY": [FLAG],
        "CLEANING_IN_PROGRESS": [FLAG],
        "CLEANED_UNINSPECTED": [FLAG],
        "READY_FOR_GUEST": ["OCCUPIED", "CHECKOUT_DIRTY", FLAG],
        "MAINTENANCE_REQUIRED": [],
        "OUT_OF_ORDER": [FLAG],
    },
    rights.FRONT_OFFICE_MANAGER: {
        "OCCUPIED": [FLAG],
        "CHECKOUT_DIRTY": [FLAG],
        "CLEANING_IN_PROGRESS": [FLAG],
        "CLEANED_UNINSPECTED": [FLAG],
        "READY_FOR_GUEST": ["OCCUPIED", "CHECKOUT_DIRTY", FLAG, "OUT_OF_ORDER"],
        "MAINTENANCE_REQUIRED": ALL_FROM_REPAIR,
        "OUT_OF_ORDER": ALL_FROM_OUT_OF_ORDER,
    },
    rights.HOUSEKEEPER: {
        "OCCUPIED": [FLAG],
        "CHECKOUT_DIRTY": ["CLEANING_IN_PROGRESS", "CLEANED_UNINSPECTED", FLAG],
        "CLEANING_IN_PROGRESS": ["CLEANED_UNINSPECTED", "CHECKOUT_DIRTY", FLAG],
        "CLEANED_UNINSPECTED": ["CLEANING_IN_PROGRESS", "CHECKOUT_DIRTY", FLAG],
        "READY_FOR_GUEST": [FLAG],
        "MAINTENANCE_REQUIRED": [],
        "OUT_OF_ORDER": [FLAG],
    },
    rights.HOUSEKEEPING_SUPERVISOR: {
        "OCCUPIED": [FLAG],
        "CHECKOUT_DIRTY": ["CLEANING_IN_PROGRESS", "CLEANED_UNINSPECTED", FLAG],
        "CLEANING_IN_PROGRESS": ["CLEANED_UNINSPECTED", "CHECKOUT_DIRTY", FLAG],
        "CLEANED_UNINSPECTED": ["READY_FOR_GUEST", "CLEANING_IN_PROGRESS", "CHECKOUT_DIRTY", FLAG],
        "READY_FOR_GUEST": [FLAG, "OUT_OF_ORDER"],
        "MAINTENANCE_REQUIRED": ALL_FROM_REPAIR,
        "OUT_OF_ORDER": ALL_FROM_OUT_OF_ORDER,
    },
    rights.HOTEL_MANAGER: {
        "OCCUPIED": ["CHECKOUT_DIRTY", FLAG],
        "CHECKOUT_DIRTY": ["CLEANING_IN_PROGRESS", "CLEANED_UNINSPECTED", "READY_FOR_GUEST", FLAG],
        "CLEANING_IN_PROGRESS": ["CLEANED_UNINSPECTED", "CHECKOUT_DIRTY", "READY_FOR_GUEST", FLAG],
        "CLEANED_UNINSPECTED": ["READY_FOR_GUEST", "CLEANING_IN_PROGRESS", "CHECKOUT_DIRTY", FLAG],
        "READY_FOR_GUEST": ["OCCUPIED", "CHECKOUT_DIRTY", FLAG, "OUT_OF_ORDER"],
        "MAINTENANCE_REQUIRED": ALL_FROM_REPAIR,
        "OUT_OF_ORDER": ALL_FROM_OUT_OF_ORDER,
    },
}
every_role = pytest.mark.parametrize("role", list(HELD))


def me(api, staff):
    answer = api(staff).get(url(staff, "me/"))
    assert answer.status_code == 200
    return answer.json()


def module(actions: str, held: str) -> dict:
    any_of_it = bool(held)
    return {
        "visible": any_of_it,
        "read": any_of_it,
        "actions": {action: action in held.split() for action in actions.split()},
    }


@every_role
def test_each_role_has_its_documented_rights(api, hotel, role):
    body = me(api, StaffFactory(hotel=hotel, role=role))
    assert body["rbac"] == {
        "rooms": module(ROOMS, HELD[role]["rooms"]),
        "housekeeping": module(HOUSEKEEPING, HELD[role]["housekeeping"]),
        "bookings": module(BOOKINGS, HELD[role]["bookings"]),
    }
    assert body["role"] == role
    assert body["access_level"] == ACCESS_LEVELS[role]


@every_role
def test_the_navigation_follows_the_rights(api, hotel, role):
    body = me(api, StaffFactory(hotel=hotel, role=role))
    assert body["effective_navs"] == body["allowed_navs"] == NAVS[role]
    assert [item["slug"] for item in body["navigation_items"]] == NAVS[role]


@every_role
def test_me_lists_the_roles_status_transitions(api, hotel, role):
    body = me(api, StaffFactory(hotel=hotel, role=role))
    assert body["status_transitions"] == STATUS_TRANSITIONS[role]


def test_me_adds_the_person_to_the_permission_payload(api, hotel):
    staff = StaffFactory(
        hotel=hotel, phone_number="+353 1 555", is_on_duty=True, user__email="m@example.com", user__last_name="Bhroin"
    )
    body = me(api, staff)
    assert {
        key: body[key] for key in ("id", "full_name", "email", "phone_number", "is_active", "is_on_duty", "staff_id")
    } == {
        "id": staff.pk,
        "staff_id": staff.pk,
        "full_name": "Maeve Bhroin",
        "email": "m@example.com",
        "phone_number": "+353 1 555",
        "is_active": True,
        "is_on_duty": True,
    }
    assert "token" not in body


def test_a_hotel_without_inspections_can_let_housekeepers_pass_rooms(api, hotel, housekeeper):
    inspect = Permission.objects.get(content_type__app_label="rooms", codename="inspect")
    Group.objects.get(name="housekeeper").permissions.add(inspect)
    body = me(api, housekeeper)
    assert body["rbac"]["rooms"]["actions"]["inspect"] is True
    assert "READY_FOR_GUEST" in body["status_transitions"]["CLEANED_UNINSPECTED"]
    room = room_in("CLEANED_UNINSPECTED", hotel=hotel)
    assert api(housekeeper).post(url(housekeeper, f"rooms/{room.room_number}/inspect/")).status_code == 200


def test_a_right_granted_to_one_user_applies_only_to_them(api, hotel, housekeeper):
    history = Permission.objects.get(content_type__app_label="housekeeping", codename="status_history_read")
    housekeeper.user.user_permissions.add(history)
    assert me(api, housekeeper)["rbac"]["housekeeping"]["actions"]["status_history_read"] is True
    colleague = StaffFactory(hotel=hotel)
    assert me(api, colleague)["rbac"]["housekeeping"]["actions"]["status_history_read"] is False


def test_a_changed_role_applies_at_the_next_request(api, housekeeper):
    client = api(housekeeper)
    client.get(url(housekeeper, "me/"))
    housekeeper.role = Group.objects.get(name="hotel manager")
    housekeeper.save()
    assert client.get(url(housekeeper, "me/")).json()["role"] == "hotel manager"


def test_inactive_staff_have_no_rights(hotel, manager):
    user = type(manager.user).objects.get(pk=manager.user.pk)
    user.is_active = False
    assert user.get_all_permissions() == set()
    assert not user.has_perm("rooms.inspect")
