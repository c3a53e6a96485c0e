"""Changing the booked room type before the arrival."""

import pytest

from common.guards import examine
from notifications.models import BookingMail
from room_bookings.models import BookingChange, RoomBooking
from room_bookings.selectors import booking_read
from room_bookings.services.edit import edit_booking, retype_refusals
from room_bookings.snapshots import booking_row
from rooms.models import RoomType
from tests.conftest import token_client
from tests.factories import BookingFactory, NewRoomFactory, RoomTypeFactory, booking_in
from tests.http import assert_error
from tests.room_bookings.small_hotel import (
    SmallHotel,
    assert_invariants_hold,
    day,
    nothing_written,
    published_events,
    refusal_of,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def suite(small_hotel: SmallHotel) -> RoomType:
    kind = RoomTypeFactory(hotel=small_hotel.hotel, name="Suite", max_occupancy=3)
    NewRoomFactory(hotel=small_hotel.hotel, room_type=kind, room_number=201)
    return kind


def booked(small_hotel: SmallHotel, status: str = "CONFIRMED", **fields) -> RoomBooking:
    given = {"hotel": small_hotel.hotel, "room_type": small_hotel.room_type, "check_in": day(0), "check_out": day(2)}
    return booking_in(status, **given | fields)


@pytest.mark.parametrize(("status", "mails"), [("CONFIRMED", ["CHANGE"]), ("PENDING_APPROVAL", [])])
def test_the_type_changes_and_the_guest_is_told(status, mails, small_hotel, suite):
    booking = booked(
        small_hotel, status, total_amount="200.00", primary_email="ada@example.com", adults=3, extra_beds=1
    )
    edited = edit_booking(booking=booking, staff=small_hotel.agent, room_type_id=suite.pk)
    stored = booking_read(booking.pk)
    assert (stored.room_type, stored.total_amount, stored.extra_beds, stored.version) == (suite, 200, 0, 1)
    assert booking_row(edited)["room_type_name"] == "Suite"
    change = BookingChange.objects.get()
    assert (change.action, change.reason, change.staff) == ("EDITED", "room_type", small_hotel.agent)
    assert [mail.kind for mail in BookingMail.objects.all()] == mails
    assert ("room-bookings", "booking_updated") in published_events()
    assert_invariants_hold()


def test_the_same_type_again_changes_nothing(small_hotel):
    booking = booked(small_hotel)
    with nothing_written():
        edit_booking(booking=booking, staff=small_hotel.agent, room_type_id=small_hotel.room_type.pk)


def test_every_night_must_be_available_not_only_the_added_ones(small_hotel, suite):
    booking = booked(small_hotel, check_out=day(1))
    BookingFactory(hotel=small_hotel.hotel, room_type=suite, check_in=day(0), check_out=day(1))
    later = {"room_type_id": suite.pk, "check_out": day(2)}
    refusal = refusal_of(lambda: edit_booking(booking=booking, staff=small_hotel.agent, **later))
    assert (refusal.code, refusal.details["date"]) == ("NO_AVAILABILITY", day(0).isoformat())
    later["check_in"] = day(1)
    assert edit_booking(booking=booking, staff=small_hotel.agent, **later).room_type == suite
    assert_invariants_hold()


def test_a_party_that_is_too_large_needs_a_supervisors_reason(small_hotel):
    single = RoomTypeFactory(hotel=small_hotel.hotel, max_occupancy=1)
    NewRoomFactory(hotel=small_hotel.hotel, room_type=single, room_number=301)
    booking = booked(small_hotel, adults=2)
    change = {"booking": booking, "room_type_id": single.pk}
    refusal = refusal_of(lambda: edit_booking(**change, staff=small_hotel.agent, override_reason="one is a baby"))
    assert refusal.code == "ROOM_CAPACITY_EXCEEDED"
    assert edit_booking(**change, staff=small_hotel.manager, override_reason="one is a baby").extra_beds == 1
    recorded = BookingChange.objects.order_by("pk").values_list("action", "reason")
    assert list(recorded) == [("EDITED", "room_type"), ("OVERRIDDEN", "one is a baby")]
    assert_invariants_hold()


def test_with_a_room_only_its_own_type_can_be_booked(small_hotel, suite):
    """The upgrade is then sold; its night counts already, so it is not asked for again."""
    room = suite.rooms.get()
    given, plain = booked(small_hotel, assigned_room=room), booked(small_hotel, assigned_room=small_hotel.rooms[0])
    refusal = refusal_of(lambda: edit_booking(booking=plain, staff=small_hotel.agent, room_type_id=suite.pk))
    assert (refusal.status, refusal.code) == (409, "ROOM_ASSIGNED")
    name = small_hotel.room_type.name
    assert refusal.details == {"room_id": small_hotel.rooms[0].pk, "room_number": 101, "room_type": name}
    sold = edit_booking(booking=given, staff=small_hotel.agent, room_type_id=suite.pk)
    assert (sold.room_type, sold.assigned_room, booking_row(sold)["is_upgraded"]) == (suite, room, False)
    assert_invariants_hold()


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ("IN_HOUSE", "BOOKING_ALREADY_CHECKED_IN"),
        ("COMPLETED", "BOOKING_NOT_ELIGIBLE"),
        ("CANCELLED", "BOOKING_NOT_ELIGIBLE"),
    ],
)
def test_only_before_the_arrival(status, code, small_hotel, suite):
    room = {} if status == "CANCELLED" else {"assigned_room": small_hotel.rooms[0]}
    booking = booked(small_hotel, status, **room)
    refusal = refusal_of(lambda: edit_booking(booking=booking, staff=small_hotel.agent, room_type_id=suite.pk))
    assert (refusal.status, refusal.code) == (409, code)
    [before_a_type_is_named] = examine(retype_refusals(booking_read(booking.pk))).refusals
    assert before_a_type_is_named.code == code


def test_a_type_that_is_not_sold(small_hotel, suite):
    booking, theirs = booked(small_hotel), RoomTypeFactory()
    RoomType.objects.filter(pk=suite.pk).update(is_active=False)
    for kind in (theirs.pk, suite.pk, 123_456_789):
        refusal = refusal_of(
            lambda kind=kind: edit_booking(booking=booking, staff=small_hotel.agent, room_type_id=kind)
        )
        assert (refusal.status, list(refusal.details)) == (400, ["room_type_id"])


def test_over_http(small_hotel, suite):
    client, booking = token_client(small_hotel.agent), booked(small_hotel)
    path = f"/api/staff/hotel/{small_hotel.hotel.slug}/room-bookings/{booking.booking_id}/"
    for query, has_effect in (
        ({}, True),
        ({"room_type_id": suite.pk}, True),
        ({"room_type_id": booking.room_type_id}, False),
    ):
        actions = client.get(f"{path}actions/", query).json()["actions"]
        [asked] = [action for action in actions if action["action"] == "change_room_type"]
        assert (asked["allowed"], asked["has_effect"]) == (True, has_effect)
        assert asked["needs"] == ([] if query else ["room_type"])
    with nothing_written():
        for wrong in ("x", 0, None, 2**70):
            assert_error(client.patch(path, {"room_type_id": wrong}), 400, "VALIDATION_ERROR")
    answer = client.patch(path, {"room_type_id": str(suite.pk)}, HTTP_IF_MATCH='"0"')
    assert (answer.status_code, answer.json()["room_type_name"], answer["ETag"]) == (200, "Suite", '"1"')
