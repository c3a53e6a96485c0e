"""The right that each front desk endpoint requires, and no other (docs/api.md, Rights)."""

import pytest
from django.contrib.auth.models import Group, Permission

from hotel.models import Staff
from hotel.rights import ALL_RIGHTS, permission
from tests.endpoints import BOOKING, ENDPOINTS, endpoint_targets
from tests.factories import StaffFactory
from tests.http import assert_error, nothing_written, rolled_back

RIGHT = {
    "PATCH access-config/": "bookings.manage_rules",
    "POST rooms/checkin/": "bookings.checkin",
    "POST rooms/checkout/": "rooms.checkout_bulk",
    "POST room-bookings/": "bookings.create",
    f"PATCH {BOOKING}": "bookings.update",
    f"POST {BOOKING}mark-seen/": "bookings.update",
    f"PUT {BOOKING}party/companions/": "bookings.update",
    f"POST {BOOKING}confirm/": "bookings.update",
    f"POST {BOOKING}approve/": "bookings.update",
    f"POST {BOOKING}decline/": "bookings.cancel",
    f"POST {BOOKING}cancel/": "bookings.cancel",
    f"POST {BOOKING}no-show/": "bookings.cancel",
    f"POST {BOOKING}reinstate/": "bookings.supervise",
    f"POST {BOOKING}undo-check-in/": "bookings.supervise",
    f"POST {BOOKING}safe-assign-room/": "bookings.assign_room",
    f"POST {BOOKING}unassign-room/": "bookings.assign_room",
    f"POST {BOOKING}move-room/": "bookings.assign_room",
    f"POST {BOOKING}check-in/": "bookings.checkin",
    f"POST {BOOKING}check-out/": "bookings.checkout",
    f"POST {BOOKING}undo-check-out/": "bookings.supervise",
    f"POST {BOOKING}overstay/acknowledge/": "bookings.resolve_overstay",
    f"POST {BOOKING}overstay/extend/": "bookings.extend",
    f"GET {BOOKING}mails/": "bookings.communicate",
    f"POST {BOOKING}mails/<int:mail>/send-again/": "bookings.communicate",
}
READS = {
    "GET access-config/",
    "GET room-bookings/",
    f"GET {BOOKING}",
    f"GET {BOOKING}party/",
    f"GET {BOOKING}available-rooms/",
    f"GET {BOOKING}overstay/status/",
    f"GET {BOOKING}actions/",
}
WRITING = [endpoint for endpoint in ENDPOINTS if endpoint.name in RIGHT]
READING = [endpoint for endpoint in ENDPOINTS if endpoint.name in READS]


def member(hotel, rights) -> Staff:
    """A staff member with exactly these rights."""
    role = Group.objects.create(name="a role of this house")
    labels = [permission(right).split(".") for right in rights]
    for app_label, codename in labels:
        role.permissions.add(Permission.objects.get(content_type__app_label=app_label, codename=codename))
    return StaffFactory(hotel=hotel, role=role.name)


def test_the_tables_list_every_booking_endpoint():
    named = {endpoint.name for endpoint in ENDPOINTS if "room-bookings" in endpoint.route}
    others = {"GET access-config/", "PATCH access-config/", "POST rooms/checkin/", "POST rooms/checkout/"}
    assert RIGHT.keys() | READS == named | others


@pytest.mark.parametrize("endpoint", WRITING, ids=[endpoint.name for endpoint in WRITING])
def test_writing_requires_exactly_its_right(api, hotel, endpoint):
    right = RIGHT[endpoint.name]
    things = endpoint_targets(hotel)
    with rolled_back():
        answer = endpoint.call(api(member(hotel, [right])), hotel.slug, things)
        assert answer.status_code == endpoint.status, answer.content
    all_others = api(member(hotel, ALL_RIGHTS - {right}))
    with nothing_written():
        assert_error(endpoint.call(all_others, hotel.slug, things), 403, "PERMISSION_DENIED")


@pytest.mark.parametrize("endpoint", READING, ids=[endpoint.name for endpoint in READING])
def test_reading_requires_any_booking_right(api, hotel, endpoint):
    things = endpoint_targets(hotel)
    with rolled_back():
        assert endpoint.call(api(member(hotel, ["bookings.communicate"])), hotel.slug, things).status_code == 200
    outsider = api(member(hotel, [right for right in ALL_RIGHTS if not right.startswith("bookings.")]))
    assert_error(endpoint.call(outsider, hotel.slug, things), 403, "PERMISSION_DENIED")
