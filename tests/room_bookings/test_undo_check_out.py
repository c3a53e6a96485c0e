"""Undoing a mistaken check-out."""

from datetime import timedelta

import pytest

from common import clock
from hotel.rights import FRONT_DESK_AGENT, HOTEL_MANAGER
from housekeeping.blocks import NewBlock, create_blocks
from housekeeping.models import HousekeepingTask, RoomStatusEvent, Source
from housekeeping.services import set_room_status
from housekeeping.task_services import create_task, open_stayover_tasks, start_task
from housekeeping.turnover import flag_maintenance
from notifications.models import BookingMail
from room_bookings.models import BookingChange, Overbooking, OverstayIncident, RoomBooking
from room_bookings.selectors import available_rooms, booking_read
from room_bookings.services.check_in import check_in
from room_bookings.services.checkout import check_out, check_out_rooms
from room_bookings.services.overstay import acknowledge_overstay, flag_overstays
from room_bookings.services.undo_check_out import undo_check_out
from rooms.models import BlockReason, Room, RoomType
from tests.conftest import token_client
from tests.factories import BookingFactory, NewRoomFactory, RoomTypeFactory, StaffFactory, booking_in
from tests.http import assert_error
from tests.room_bookings.small_hotel import (
    NOW,
    SmallHotel,
    all_rows,
    assert_invariants_hold,
    day,
    last_event,
    nothing_written,
    published_events,
    refusal_of,
)

pytestmark = pytest.mark.django_db


def guest(small_hotel: SmallHotel, first: int = -1, last: int = 2, **fields) -> RoomBooking:
    """A guest in house in room 101."""
    came = {"checked_in_at": NOW + timedelta(days=first)}
    stay = {"assigned_room": small_hotel.rooms[0], "check_in": day(first), "check_out": day(last)}
    return booking_in("IN_HOUSE", **came | stay | fields)


def left(small_hotel: SmallHotel, first: int = -1, last: int = 2, **fields) -> RoomBooking:
    """The same guest, just checked out by the agent."""
    return check_out(booking=guest(small_hotel, first, last, **fields), staff=small_hotel.agent)


def back(small_hotel: SmallHotel, booking: RoomBooking, **more) -> RoomBooking:
    return undo_check_out(**{"booking": booking, "staff": small_hotel.manager, "reason": "wrong room", **more})


def clean(room: Room) -> None:
    for status in ("CLEANED_UNINSPECTED", "READY_FOR_GUEST"):
        set_room_status(room=room, to_status=status, source=Source.SYSTEM)


def test_the_guest_is_in_house_again(small_hotel):
    booking = left(small_hotel, primary_email="ada@example.com")
    since, mails = last_event(), BookingMail.objects.count()
    returned = back(small_hotel, booking)
    stored, room = RoomBooking.objects.get(), small_hotel.rooms[0]
    assert (stored.status, stored.checked_out_at, stored.assigned_room) == ("IN_HOUSE", None, room)
    assert (stored.version, returned.version, stored.check_out) == (2, 2, day(2))
    assert Room.objects.get(pk=room.pk).room_status == "OCCUPIED"
    event = RoomStatusEvent.objects.order_by("-pk").first()
    assert (event.from_status, event.to_status, event.source) == ("CHECKOUT_DIRTY", "OCCUPIED", "SYSTEM")
    assert (event.changed_by, event.note) == (small_hotel.manager, f"check-out of {booking.booking_id} undone")
    change = BookingChange.objects.order_by("-pk").first()
    assert (change.action, change.from_status, change.to_status) == ("CHECK_OUT_UNDONE", "COMPLETED", "IN_HOUSE")
    assert (change.reason, change.staff, change.from_room, change.to_room) == (
        *("wrong room", small_hotel.manager),
        *(None, room),
    )
    assert published_events(since) == [
        ("rooms", "room_updated"),
        ("rooms", "room_occupancy_updated"),
        ("room-bookings", "booking_updated"),
        ("guest", "booking_checked_in"),
    ]
    assert BookingMail.objects.count() == mails
    assert_invariants_hold()


# --- permissions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("several", [False, True])
def test_for_fifteen_minutes_whoever_did_it_needs_no_supervisor(several, small_hotel):
    booking, other = guest(small_hotel), StaffFactory(hotel=small_hotel.hotel, role=FRONT_DESK_AGENT)
    if several:
        check_out_rooms(hotel=small_hotel.hotel, room_ids=[small_hotel.rooms[0].pk], staff=small_hotel.agent)
    else:
        check_out(booking=booking, staff=small_hotel.agent)
    for staff, reason, minutes in ((other, "", 1), (other, "mine", 1), (small_hotel.agent, "late", 15.02)):
        with clock.set_to(NOW + timedelta(minutes=minutes)):
            refusal = refusal_of(lambda s=staff, r=reason: back(small_hotel, booking, staff=s, reason=r))
        assert (refusal.status, refusal.code) == (403, "PERMISSION_DENIED")
    with clock.set_to(NOW + timedelta(minutes=15)):
        assert back(small_hotel, booking, staff=small_hotel.agent, reason="").status == "IN_HOUSE"


def test_a_supervisor_gives_a_reason_unless_it_was_their_own_mistake(small_hotel):
    booking = left(small_hotel)
    assert refusal_of(lambda: back(small_hotel, booking, reason=" ")).status == 403
    back(small_hotel, booking)
    check_out(booking=booking, staff=small_hotel.manager)
    # Only the last check-out counts.
    assert refusal_of(lambda: back(small_hotel, booking, staff=small_hotel.agent)).status == 403
    assert back(small_hotel, booking, reason="").status == "IN_HOUSE"


def test_only_on_the_business_day_of_the_check_out(small_hotel):
    booking = left(small_hotel)
    night = NOW.replace(hour=0, minute=59) + timedelta(days=1)  # 1:59 in Dublin
    with clock.set_to(night + timedelta(minutes=1)):
        refusal = refusal_of(lambda: back(small_hotel, booking))
    assert (refusal.status, refusal.code) == (409, "CHECKOUT_TOO_LONG_AGO")
    with clock.set_to(night):
        assert back(small_hotel, booking).status == "IN_HOUSE"


# --- the room ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [[], ["CLEANING_IN_PROGRESS"], ["CLEANED_UNINSPECTED"], ["READY_FOR_GUEST"]])
def test_the_room_may_be_at_any_point_of_its_turnover(steps, small_hotel):
    booking = left(small_hotel)
    for status in steps:
        set_room_status(room=small_hotel.rooms[0], to_status=status, source=Source.SYSTEM)
    back(small_hotel, booking)
    assert Room.objects.get(pk=small_hotel.rooms[0].pk).room_status == "OCCUPIED"
    assert_invariants_hold()


def test_nobody_else_can_have_a_room_that_is_not_ready(small_hotel):
    """The writer's exception is for the room that the guest has just left."""
    booking, room = left(small_hotel), small_hotel.rooms[1]
    set_room_status(room=room, to_status="CHECKOUT_DIRTY", source=Source.SYSTEM)
    assert refusal_of(lambda: back(small_hotel, booking, room_id=room.pk)).code == "ROOM_NOT_READY"


def occupied(small_hotel):
    clean(small_hotel.rooms[0])
    arrival = BookingFactory(
        hotel=small_hotel.hotel, room_type=small_hotel.room_type, check_in=day(0), check_out=day(1)
    )
    check_in(booking=arrival, staff=small_hotel.agent, room_id=small_hotel.rooms[0].pk)


def assigned(small_hotel):
    booking_in("CONFIRMED", assigned_room=small_hotel.rooms[0], check_in=day(1), check_out=day(3))


def sold(small_hotel):
    for _ in small_hotel.rooms:
        BookingFactory(hotel=small_hotel.hotel, room_type=small_hotel.room_type, check_in=day(1), check_out=day(2))


def broken(small_hotel):
    flag_maintenance(room=small_hotel.rooms[0], staff=small_hotel.manager)


def closed(small_hotel):
    broken(small_hotel)
    set_room_status(room=small_hotel.rooms[0], to_status="OUT_OF_ORDER", staff=small_hotel.manager)


def retired(small_hotel):
    Room.objects.filter(pk=small_hotel.rooms[0].pk).update(is_active=False)


def block(small_hotel, room, kind):
    reason, _ = BlockReason.objects.get_or_create(hotel=small_hotel.hotel, code="HOUSE", label="House")
    boss = StaffFactory(hotel=small_hotel.hotel, role=HOTEL_MANAGER)
    create_blocks(rooms=[room], wanted=NewBlock(kind, reason, day(1), day(4), "CHECKOUT_DIRTY"), staff=boss)


def used_by_the_house(small_hotel):
    block(small_hotel, small_hotel.rooms[0], "HOUSE_USE")


@pytest.mark.parametrize(
    ("since", "code", "offered"),
    [
        (used_by_the_house, "ROOM_BLOCKED", True),
        (occupied, "ROOM_OCCUPIED", True),
        (assigned, "ROOM_OVERLAP_CONFLICT", True),
        (broken, "ROOM_NOT_READY", True),
        (closed, "ROOM_OUT_OF_ORDER", True),
        (retired, "ROOM_OUT_OF_ORDER", True),
        (sold, "NO_AVAILABILITY", False),
    ],
)
def test_what_happened_since_stands_in_the_way_and_another_room_is_offered(since, code, offered, small_hotel):
    suite = NewRoomFactory(
        hotel=small_hotel.hotel, room_type=RoomTypeFactory(hotel=small_hotel.hotel, name="Suite"), room_number=201
    )
    booking = left(small_hotel)
    since(small_hotel)
    agents = {"staff": small_hotel.agent, "reason": ""}
    refusal = refusal_of(lambda: back(small_hotel, booking, **agents))
    assert (refusal.status, refusal.code) == (409, code)
    standard = {"room_id": small_hotel.rooms[1].pk, "room_number": 102, "room_type": small_hotel.room_type.name}
    better = {"room_id": suite.pk, "room_number": 201, "room_type": "Suite"}
    # Those of the booked type first, unless it is sold out.
    assert refusal.extra["suggested_rooms"] == ([standard, better] if offered else [better])
    moved = back(small_hotel, booking, **agents, room_id=refusal.extra["suggested_rooms"][0]["room_id"])
    assert (moved.status, moved.assigned_room.room_number) == ("IN_HOUSE", 102 if offered else 201)
    assert_invariants_hold()


def test_another_room_is_in_service_unless_a_supervisor_gives_a_reason(small_hotel):
    """The guest's own room may have a small fault: they were in it."""
    booking = left(small_hotel)
    for room in small_hotel.rooms:
        block(small_hotel, room, "OUT_OF_SERVICE")
    there = {"room_id": small_hotel.rooms[1].pk, "staff": small_hotel.agent}
    refusal = refusal_of(lambda: back(small_hotel, booking, **there, reason=""))
    assert (refusal.code, refusal.extra["suggested_rooms"]) == ("ROOM_OUT_OF_ORDER", [])
    assert back(small_hotel, booking, staff=small_hotel.agent, reason="").assigned_room == small_hotel.rooms[0]
    check_out(booking=booking, staff=small_hotel.agent)
    assert back(small_hotel, booking, room_id=small_hotel.rooms[1].pk).assigned_room == small_hotel.rooms[1]


def test_another_room_is_recorded_like_a_move(small_hotel):
    kind = RoomTypeFactory(hotel=small_hotel.hotel, name="Suite")
    suite = NewRoomFactory(hotel=small_hotel.hotel, room_type=kind, room_number=201)
    booking = left(small_hotel)
    moved = back(small_hotel, booking, room_id=suite.pk)
    assert (moved.room_moved_at, moved.room_type) == (NOW, small_hotel.room_type)
    change = BookingChange.objects.order_by("-pk").first()
    assert (change.from_room, change.to_room, change.is_upgrade) == (small_hotel.rooms[0], suite, True)
    # The old room is still to be cleaned.
    assert HousekeepingTask.objects.get().status == "OPEN"
    assert Room.objects.get(pk=small_hotel.rooms[0].pk).room_status == "CHECKOUT_DIRTY"
    assert_invariants_hold()


def test_a_room_of_another_hotel(small_hotel):
    booking, theirs = left(small_hotel), NewRoomFactory()
    refusal = refusal_of(lambda: back(small_hotel, booking, room_id=theirs.pk))
    assert (refusal.status, refusal.code) == (404, "ROOM_NOT_FOUND")


def test_a_stay_without_a_room_needs_one_named(small_hotel):
    booking = left(small_hotel)
    RoomBooking.objects.update(assigned_room=None)
    assert refusal_of(lambda: back(small_hotel, booking)).code == "BOOKING_NOT_ELIGIBLE"
    assert back(small_hotel, booking, room_id=small_hotel.rooms[1].pk).status == "IN_HOUSE"


def test_a_supervisors_reason_lifts_sold_nights_and_beds(small_hotel):
    booking = left(small_hotel, adults=2)
    sold(small_hotel)
    RoomType.objects.update(max_occupancy=1)
    agents = {"staff": small_hotel.agent, "reason": "please"}
    assert refusal_of(lambda: back(small_hotel, booking, **agents)).code == "ROOM_CAPACITY_EXCEEDED"
    RoomType.objects.update(max_occupancy=2)
    assert refusal_of(lambda: back(small_hotel, booking, **agents)).code == "NO_AVAILABILITY"
    RoomType.objects.update(max_occupancy=1)
    assert back(small_hotel, booking).extra_beds == 1
    recorded = Overbooking.objects.values_list("booking", "first_night", "free_from", "staff", "reason")
    assert list(recorded) == [(booking.pk, day(1), day(2), small_hotel.manager.pk, "wrong room")]
    assert_invariants_hold()


def test_an_overdue_guest_gets_the_room_back_that_tonights_arrival_has(small_hotel):
    """As before the check-out; in another room they would need tonight, as for a move."""
    booking = left(small_hotel, -2, 0)
    for room in small_hotel.rooms:
        booking_in("CONFIRMED", assigned_room=room, check_in=day(0), check_out=day(1))
    other = small_hotel.rooms[1].pk
    assert refusal_of(lambda: back(small_hotel, booking, room_id=other)).code == "ROOM_OVERLAP_CONFLICT"
    assert back(small_hotel, booking).status == "IN_HOUSE"
    assert_invariants_hold()


# --- what follows the guest -------------------------------------------------------------------------------------------


def task(small_hotel, kind, booking, **fields):
    return create_task(
        hotel=small_hotel.hotel,
        staff=small_hotel.manager,
        room=small_hotel.rooms[0].pk,
        task_type=kind,
        booking=booking.booking_id,
        **fields,
    )


def kinds():
    rows = HousekeepingTask.objects.order_by("task_type", "pk")
    return list(rows.values_list("task_type", "status", "room__room_number"))


def test_tasks_are_as_before_the_check_out(small_hotel):
    booking = guest(small_hotel)
    open_stayover_tasks(small_hotel.hotel, day(0))
    begun, dropped = task(small_hotel, "AMENITY", booking), task(small_hotel, "AMENITY", booking)
    start_task(task=begun, staff=small_hotel.manager)
    HousekeepingTask.objects.filter(pk=dropped.pk).update(status="CANCELLED", cancelled_at=NOW - timedelta(seconds=1))
    before = kinds()
    check_out(booking=booking, staff=small_hotel.agent)
    assert [status for _, status, _ in kinds()] == ["CANCELLED"] * 3 + ["OPEN"]
    back(small_hotel, booking)
    assert kinds() == [*before, ("TURNOVER", "CANCELLED", 101)]
    assert_invariants_hold()


def test_in_another_room_the_guests_own_tasks_follow_but_not_the_stayover(small_hotel):
    booking = guest(small_hotel)
    open_stayover_tasks(small_hotel.hotel, day(0))
    task(small_hotel, "AMENITY", booking)
    check_out(booking=booking, staff=small_hotel.agent)
    back(small_hotel, booking, room_id=small_hotel.rooms[1].pk)
    assert kinds() == [("AMENITY", "OPEN", 102), ("STAYOVER", "CANCELLED", 101), ("TURNOVER", "OPEN", 101)]


def test_the_stayover_that_the_morning_did_not_open(small_hotel):
    """The guest was checked out before the morning, and comes back after it."""
    night = NOW.replace(hour=4)
    with clock.set_to(night):
        booking = left(small_hotel)
    with clock.set_to(night + timedelta(hours=3)):
        open_stayover_tasks(small_hotel.hotel, day(0))
        back(small_hotel, booking)
    assert kinds() == [("STAYOVER", "OPEN", 101), ("TURNOVER", "CANCELLED", 101)]


@pytest.mark.parametrize(("seen", "status"), [(None, "OPEN"), (False, "ACKED"), (True, "ACKED")])
def test_the_overstay_is_open_again(seen, status, small_hotel):
    booking = guest(small_hotel, -2, 0)
    flag_overstays(small_hotel.hotel)
    if seen is not None:
        acknowledge_overstay(booking=booking, staff=small_hotel.agent, note="packing", dismiss=seen)
    check_out(booking=booking, staff=small_hotel.agent)
    assert OverstayIncident.objects.get().status == "RESOLVED"
    back(small_hotel, booking)
    incident = OverstayIncident.objects.get()
    assert (incident.status, incident.resolved_at) == (status, None)
    assert flag_overstays(small_hotel.hotel) == 0
    assert_invariants_hold()


# --- over HTTP --------------------------------------------------------------------------------------------------------


def test_over_http(small_hotel):
    booking, client = left(small_hotel), token_client(small_hotel.agent)
    url = f"/api/staff/hotel/{small_hotel.hotel.slug}/room-bookings/{booking.booking_id}/undo-check-out/"
    with nothing_written():
        assert_error(client.post(url, {}, HTTP_IF_MATCH='"7"'), 412, "PRECONDITION_FAILED")
        for wrong in ({"room_id": "x"}, {"room_id": 0}, {"room_id": 2**70}, {"reason": ["x"]}):
            assert_error(client.post(url, wrong), 400, "VALIDATION_ERROR")
    with nothing_written():
        effects = client.post(f"{url}?dry_run=true", {}).json()
    assert effects["effects"]["bookings"][0]["changes"]["status"] == ["COMPLETED", "IN_HOUSE"]
    key = {"HTTP_IDEMPOTENCY_KEY": "once"}
    first = client.post(url, {}, HTTP_IF_MATCH='"1"', **key)
    assert (first.status_code, first["ETag"], first.json()["status"]) == (200, '"2"', "IN_HOUSE")
    before = all_rows()
    again = client.post(url, {}, HTTP_IF_MATCH='"1"', **key)
    assert (again.status_code, again.json(), all_rows() == before) == (200, first.json(), True)
    with nothing_written():
        assert_error(client.post(url, {}), 409, "BOOKING_NOT_CHECKED_OUT")
        assert_error(client.post(url, {"reason": "another"}, **key), 422)


def test_what_is_said_beforehand(small_hotel):
    """All reasons at once; the caller's own check-outs are known for any number of bookings."""
    booking, url = left(small_hotel), f"/api/staff/hotel/{small_hotel.hotel.slug}/room-bookings/"
    assigned(small_hotel)
    sold(small_hotel)
    broken(small_hotel)

    def asked(staff, minutes):
        with clock.set_to(NOW + timedelta(minutes=minutes)):
            actions = token_client(staff).get(f"{url}{booking.booking_id}/actions/").json()["actions"]
            [listed] = token_client(staff).get(url, {"bucket": "checked_out", "expand": "actions"}).json()["results"]
        assert listed["actions"] == actions
        [found] = [action for action in actions if action["action"] == "undo_check_out"]
        return found["needs"], [reason["code"] for reason in found["reasons"]]

    stands = ["ROOM_NOT_READY", "ROOM_OVERLAP_CONFLICT"]
    assert asked(small_hotel.agent, 1) == ([], [*stands, "NO_AVAILABILITY"])
    assert asked(small_hotel.agent, 16) == ([], ["PERMISSION_DENIED", *stands, "NO_AVAILABILITY"])
    assert asked(small_hotel.manager, 1) == (["reason"], stands)
    assert [room.room_number for room in available_rooms(booking_read(booking.pk))] == []
