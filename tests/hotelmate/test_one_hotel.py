"""Services never change rows of another hotel, regardless of the ids that they are given."""

from datetime import timedelta

import pytest

from common import clock
from housekeeping.models import HousekeepingTask, Source, TaskType
from housekeeping.policy import StatusChangeNotAllowed
from housekeeping.services import set_room_statuses
from housekeeping.task_services import open_stayover_tasks
from housekeeping.turnover import flag_maintenance
from room_bookings.filters import BookingQuery, filtered_bookings
from room_bookings.models import RoomBooking
from room_bookings.selectors import available_rooms, booking_read
from room_bookings.services.check_in import check_in_rooms
from room_bookings.services.expire import drop_drafts
from rooms.errors import RoomNotFound
from tests.factories import TaskFactory, booking_in, room_in
from tests.room_bookings.small_hotel import NOW, day, open_small_hotel, refusal_of


@pytest.fixture
def two_hotels(db):
    """Two hotels, each with rooms 101 and 102."""
    with clock.set_to(NOW):
        yield open_small_hotel(), open_small_hotel()


def booking(small_hotel, status="CONFIRMED", **fields):
    defaults = {
        "hotel": small_hotel.hotel,
        "room_type": small_hotel.room_type,
        "check_in": day(0),
        "check_out": day(2),
    }
    return booking_in(status, **defaults | fields)


def test_rooms_of_two_hotels_are_not_changed_together(two_hotels):
    mine, theirs = two_hotels
    changes = [(mine.rooms[0], "CHECKOUT_DIRTY"), (theirs.rooms[0], "CHECKOUT_DIRTY")]
    refusal = refusal_of(lambda: set_room_statuses(changes=changes, source=Source.SYSTEM))
    assert isinstance(refusal, RoomNotFound)


def test_another_hotels_fault_cannot_be_changed(two_hotels):
    mine, theirs = two_hotels
    broken = room_in("MAINTENANCE_REQUIRED", hotel=theirs.hotel, room_type=theirs.room_type, room_number=201)
    refusal = refusal_of(lambda: flag_maintenance(room=broken, staff=mine.manager, note="and the window"))
    assert isinstance(refusal, StatusChangeNotAllowed)


def test_stayover_tasks_are_opened_per_hotel(two_hotels):
    mine, theirs = two_hotels
    task = TaskFactory(room=theirs.rooms[0], task_type=TaskType.STAYOVER, for_date=day(-1))
    open_stayover_tasks(mine.hotel, day(0))
    assert HousekeepingTask.objects.get(pk=task.pk).status == "OPEN"


def test_a_room_move_stays_within_the_hotel(two_hotels):
    mine, theirs = two_hotels
    guest = booking(mine, "IN_HOUSE", assigned_room=mine.rooms[0])
    assert theirs.rooms[0].is_bookable
    assert list(available_rooms(booking_read(guest.pk))) == [mine.rooms[1]]


def test_the_list_shows_only_the_hotels_bookings(two_hotels):
    mine, theirs = two_hotels
    own = booking(mine)
    booking(theirs)
    query = BookingQuery(data={})
    query.is_valid(raise_exception=True)
    assert list(filtered_bookings(mine.hotel, query.validated_data)) == [own]


def test_a_bulk_check_in_locks_no_booking_of_another_hotel(two_hotels, statements):
    mine, theirs = two_hotels
    arrival = booking(theirs, assigned_room=theirs.rooms[0])
    with statements() as made:
        done = check_in_rooms(hotel=mine.hotel, room_ids=[arrival.assigned_room_id], staff=mine.agent)
    assert [failure.refusal.code for failure in done.failed] == ["ROOM_NOT_FOUND"]
    assert not [sql for sql in made.sql() if 'FROM "room_bookings_roombooking"' in sql and "FOR NO KEY UPDATE" in sql]


def test_another_hotels_draft_is_not_dropped(two_hotels):
    mine, theirs = two_hotels
    draft = booking(theirs, "PENDING_PAYMENT", created_at=NOW - timedelta(days=2))
    assert drop_drafts(mine.hotel) == 0
    assert RoomBooking.objects.get(pk=draft.pk).status == "PENDING_PAYMENT"
    assert drop_drafts(theirs.hotel) == 1
