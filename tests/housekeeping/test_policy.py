"""Permission to change a room's status, right by right (docs/api.md, Rights)."""

import pytest
from django.contrib.auth.models import Group, Permission

from hotel import rights
from housekeeping.models import Source
from housekeeping.policy import can_change_room_status, default_source
from rooms.models import Room
from tests.factories import HotelFactory, StaffFactory

pytestmark = pytest.mark.django_db

STATUSES = [
    "OCCUPIED",
    "CHECKOUT_DIRTY",
    "CLEANING_IN_PROGRESS",
    "CLEANED_UNINSPECTED",
    "READY_FOR_GUEST",
    "MAINTENANCE_REQUIRED",
    "OUT_OF_ORDER",
]
EVERY_OTHER = {(a, b) for a in STATUSES for b in STATUSES if a != b}
TO_OCCUPIED = {(a, "OCCUPIED") for a in STATUSES if a not in ("OCCUPIED", "MAINTENANCE_REQUIRED")}
# The transitions that each right alone allows, written out from docs/api.md.
ALLOWS = {
    "housekeeping.status_override": EVERY_OTHER,
    "bookings.checkin": TO_OCCUPIED,
    "bookings.assign_room": TO_OCCUPIED,
    "housekeeping.status_transition": {
        ("CHECKOUT_DIRTY", "CLEANING_IN_PROGRESS"),
        ("CHECKOUT_DIRTY", "CLEANED_UNINSPECTED"),
        ("CLEANING_IN_PROGRESS", "CLEANED_UNINSPECTED"),
        ("CLEANING_IN_PROGRESS", "CHECKOUT_DIRTY"),
        ("CLEANED_UNINSPECTED", "CHECKOUT_DIRTY"),
        ("CLEANED_UNINSPECTED", "CLEANING_IN_PROGRESS"),
    },
    "rooms.inspect": {("CLEANED_UNINSPECTED", "READY_FOR_GUEST")},
    "rooms.maintenance_flag": {(a, "MAINTENANCE_REQUIRED") for a in STATUSES if a != "MAINTENANCE_REQUIRED"},
    "rooms.maintenance_clear": {(a, b) for a in ("MAINTENANCE_REQUIRED", "OUT_OF_ORDER") for b in STATUSES if a != b}
    | {(a, "OUT_OF_ORDER") for a in STATUSES if a != "OUT_OF_ORDER"},
    "housekeeping.status_front_desk": {("READY_FOR_GUEST", "CHECKOUT_DIRTY")},
    "rooms.status_transition": set(),
    "rooms.checkout_bulk": set(),
    "bookings.checkout": set(),
}


def member_with(*held: str, hotel=None):
    """A staff member whose role has only these rights."""
    role = Group.objects.create(name=f"only {' '.join(held)}")
    for right in held:
        app_label, codename = rights.permission(right).split(".")
        role.permissions.add(Permission.objects.get(content_type__app_label=app_label, codename=codename))
    member = StaffFactory(hotel=hotel or HotelFactory())
    member.role = role
    member.save()
    return member


@pytest.mark.parametrize("right", ALLOWS)
def test_transitions_that_each_right_allows(right):
    member = member_with(right)
    front_desk = right.startswith("bookings.") or right == "housekeeping.status_front_desk"
    source = Source.FRONT_DESK if front_desk else Source.HOUSEKEEPING
    allowed = {
        (from_status, to_status)
        for from_status, to_status in EVERY_OTHER
        if can_change_room_status(member, Room(hotel=member.hotel, room_status=from_status), to_status, source, "")[0]
    }
    assert allowed == ALLOWS[right]


def room(hotel, status: str = "CHECKOUT_DIRTY") -> Room:
    return Room(hotel=hotel, room_status=status)


@pytest.mark.parametrize(
    ("right", "source", "covered"),
    [
        ("housekeeping.status_transition", Source.HOUSEKEEPING, True),
        ("housekeeping.status_transition", Source.FRONT_DESK, False),
        ("housekeeping.status_front_desk", Source.FRONT_DESK, True),
        ("housekeeping.status_front_desk", Source.HOUSEKEEPING, False),
        ("housekeeping.status_override", Source.FRONT_DESK, True),
        ("housekeeping.status_override", Source.HOUSEKEEPING, True),
        ("housekeeping.status_override", Source.MANAGER_OVERRIDE, True),
    ],
)
def test_a_source_is_covered_by_the_callers_rights(right, source, covered):
    member = member_with(right)
    step = ("READY_FOR_GUEST", "CHECKOUT_DIRTY") if "front_desk" in right else ("CHECKOUT_DIRTY", "CLEANED_UNINSPECTED")
    assert can_change_room_status(member, room(member.hotel, step[0]), step[1], source, "why")[0] is covered


def test_only_the_system_source_needs_no_staff_member():
    hotel = HotelFactory()
    assert can_change_room_status(None, room(hotel), "CLEANED_UNINSPECTED", Source.SYSTEM, "")[0]
    for source in (Source.HOUSEKEEPING, Source.FRONT_DESK, Source.MANAGER_OVERRIDE):
        assert not can_change_room_status(None, room(hotel), "CLEANED_UNINSPECTED", source, "why")[0]


def test_an_override_requires_the_right_and_a_note(manager, supervisor):
    hotel = manager.hotel
    assert can_change_room_status(manager, room(hotel), "OUT_OF_ORDER", Source.MANAGER_OVERRIDE, "flood")[0]
    assert not can_change_room_status(manager, room(hotel), "OUT_OF_ORDER", Source.MANAGER_OVERRIDE, " ")[0]
    refused, reason = can_change_room_status(supervisor, room(hotel), "OUT_OF_ORDER", Source.MANAGER_OVERRIDE, "flood")
    assert not refused
    assert "Manager privileges" in reason


def test_staff_of_other_hotels_and_inactive_staff_have_no_rights(manager):
    stranger = StaffFactory(role=rights.HOTEL_MANAGER)
    for source in Source.values:
        allowed, reason = can_change_room_status(stranger, room(manager.hotel), "CLEANED_UNINSPECTED", source, "why")
        assert not allowed
        assert reason.startswith("Permission denied")
    manager.is_active = False
    assert not can_change_room_status(manager, room(manager.hotel), "CLEANED_UNINSPECTED", Source.SYSTEM, "")[0]


def test_the_same_status_requires_a_right_to_reach_it(housekeeper, agent):
    cleaned = room(housekeeper.hotel, "CLEANED_UNINSPECTED")
    assert can_change_room_status(housekeeper, cleaned, "CLEANED_UNINSPECTED", Source.HOUSEKEEPING, "")[0]
    assert not can_change_room_status(agent, cleaned, "CLEANED_UNINSPECTED", Source.FRONT_DESK, "")[0]


def test_a_hotel_without_inspections_can_grant_the_right_to_housekeepers(housekeeper):
    cleaned = room(housekeeper.hotel, "CLEANED_UNINSPECTED")
    assert not can_change_room_status(housekeeper, cleaned, "READY_FOR_GUEST", Source.HOUSEKEEPING, "")[0]
    housekeeper.user.user_permissions.add(Permission.objects.get(codename="inspect"))
    del housekeeper.user.held_permissions  # clear Django's permission cache, as the next request does
    assert can_change_room_status(housekeeper, cleaned, "READY_FOR_GUEST", Source.HOUSEKEEPING, "")[0]


def test_the_default_source_follows_the_rights(agent, office_manager, housekeeper, supervisor, manager):
    assert [default_source(member) for member in (agent, office_manager, housekeeper, supervisor, manager)] == [
        "FRONT_DESK",
        "FRONT_DESK",
        "HOUSEKEEPING",
        "HOUSEKEEPING",
        "HOUSEKEEPING",
    ]


@pytest.mark.parametrize("right", ["bookings.checkin", "bookings.assign_room"])
def test_booking_rights_alone_mean_the_front_desk(right):
    assert default_source(member_with(right)) == "FRONT_DESK"
