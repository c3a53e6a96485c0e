"""Concurrent writers on one room: the overlap is forced, and twins show the race without the lock."""

from functools import partial
from itertools import pairwise

import pytest
from django.db import IntegrityError, transaction

from hotel import rights
from housekeeping.models import RoomStatusEvent, Source
from housekeeping.services import StatusChanged, set_room_status, set_room_statuses
from housekeeping.turnover import complete_maintenance, flag_maintenance
from notifications.models import RealtimeEvent
from rooms.models import Room
from tests.factories import HotelFactory, StaffFactory, room_in
from tests.races import locks_removed, overlap

pytestmark = pytest.mark.django_db(transaction=True)


def assert_unbroken(room: Room) -> list[str]:
    """Assert that the history is a chain ending at the room's status, one event per change; returns the statuses."""
    row = Room.objects.get(pk=room.pk)
    events = list(RoomStatusEvent.objects.filter(room=room).order_by("version"))
    assert [event.version for event in events] == list(range(1, row.status_version + 1))
    for earlier, later in pairwise(events):
        assert earlier.to_status == later.from_status
    assert events[-1].to_status == row.room_status
    updates = RealtimeEvent.objects.filter(type="room_updated", envelope__meta__scope__room_number=room.room_number)
    changes = [
        (event.envelope["payload"]["from_status"], event.envelope["payload"]["to_status"])
        for event in updates.order_by("pk")
        if "room_status" in event.envelope["payload"]["changed_fields"]
    ]
    assert changes == [(event.from_status, event.to_status) for event in events]
    return [event.to_status for event in events]


def dirty_room() -> Room:
    return room_in("CHECKOUT_DIRTY", hotel=HotelFactory())


def change(room: Room, to_status: str, **more) -> str:
    """Change the status as another process does, with its own instance."""
    fresh = Room.objects.get(pk=room.pk)
    return set_room_status(room=fresh, to_status=to_status, source=Source.SYSTEM, **more).room_status


def test_two_writers_on_one_room():
    room = dirty_room()
    first, [second] = overlap(
        partial(change, room, "CLEANING_IN_PROGRESS"), partial(change, room, "CLEANED_UNINSPECTED")
    )
    assert (first, second) == ("CLEANING_IN_PROGRESS", "CLEANED_UNINSPECTED")
    assert assert_unbroken(room) == ["CHECKOUT_DIRTY", "CLEANING_IN_PROGRESS", "CLEANED_UNINSPECTED"]


def test_two_writers_who_expect_the_same_status():
    room = dirty_room()
    first, [second] = overlap(
        partial(change, room, "CLEANING_IN_PROGRESS", expected_status="CHECKOUT_DIRTY"),
        partial(change, room, "MAINTENANCE_REQUIRED", expected_status="CHECKOUT_DIRTY"),
    )
    assert first == "CLEANING_IN_PROGRESS"
    assert isinstance(second, StatusChanged)
    assert second.details["current_status"] == "CLEANING_IN_PROGRESS"
    assert assert_unbroken(room) == ["CHECKOUT_DIRTY", "CLEANING_IN_PROGRESS"]


def test_two_writers_who_expect_the_same_status_without_the_lock():
    """The twin: without the lock, the second writer decides on what it read before the first committed."""
    room = dirty_room()
    with locks_removed():
        first, [second] = overlap(
            partial(change, room, "CLEANING_IN_PROGRESS", expected_status="CHECKOUT_DIRTY"),
            partial(change, room, "MAINTENANCE_REQUIRED", expected_status="CHECKOUT_DIRTY"),
        )
    assert first == "CLEANING_IN_PROGRESS"
    # It passed its own check and was stopped by the database's chain constraint.
    assert isinstance(second, IntegrityError)


def test_eight_writers():
    room = dirty_room()
    steps = ["CLEANED_UNINSPECTED", "CLEANING_IN_PROGRESS"] * 4
    _, outcomes = overlap(
        partial(change, room, "CLEANING_IN_PROGRESS"), *[partial(change, room, step) for step in steps[:7]]
    )
    assert all(isinstance(outcome, str) for outcome in outcomes), outcomes
    assert_unbroken(room)


def test_a_status_change_does_not_overwrite_a_maintenance_flag():
    room = dirty_room()
    reporter = StaffFactory(hotel=room.hotel)
    _, [second] = overlap(
        lambda: flag_maintenance(
            room=Room.objects.get(pk=room.pk), staff=reporter, priority="HIGH", note="shower broken"
        ),
        partial(change, room, "CHECKOUT_DIRTY"),
    )
    assert second == "CHECKOUT_DIRTY"
    row = Room.objects.get(pk=room.pk)
    assert (row.maintenance_required, row.maintenance_priority, row.maintenance_notes) == (
        True,
        "HIGH",
        "shower broken",
    )
    assert assert_unbroken(room) == ["CHECKOUT_DIRTY", "MAINTENANCE_REQUIRED", "CHECKOUT_DIRTY"]


def test_two_reports_of_a_fault_keep_both_notes():
    room = room_in("MAINTENANCE_REQUIRED", hotel=HotelFactory())
    members = StaffFactory.create_batch(2, hotel=room.hotel)
    works = [
        lambda note=note, staff=staff: flag_maintenance(room=Room.objects.get(pk=room.pk), staff=staff, note=note)
        for note, staff in zip(("lamp", "socket"), members, strict=True)
    ]
    overlap(*works)
    assert Room.objects.get(pk=room.pk).maintenance_notes == "lamp\nsocket"


def test_two_reports_of_a_fault_without_the_lock_lose_a_note():
    room = room_in("MAINTENANCE_REQUIRED", hotel=HotelFactory())
    members = StaffFactory.create_batch(2, hotel=room.hotel)
    works = [
        lambda note=note, staff=staff: flag_maintenance(room=Room.objects.get(pk=room.pk), staff=staff, note=note)
        for note, staff in zip(("lamp", "socket"), members, strict=True)
    ]
    with locks_removed():
        overlap(*works)  # the second has read too early and waits only for the first one's UPDATE
    assert Room.objects.get(pk=room.pk).maintenance_notes == "socket"


def test_a_fault_reported_while_another_is_cleared_is_not_forgotten():
    room = room_in("CHECKOUT_DIRTY", fault=True, hotel=HotelFactory())
    supervisor = StaffFactory(hotel=room.hotel, role=rights.HOUSEKEEPING_SUPERVISOR)
    reporter = StaffFactory(hotel=room.hotel)
    overlap(
        lambda: complete_maintenance(room=Room.objects.get(pk=room.pk), staff=supervisor),
        lambda: flag_maintenance(room=Room.objects.get(pk=room.pk), staff=reporter, note="window"),
    )
    row = Room.objects.get(pk=room.pk)
    assert (row.room_status, row.maintenance_required, row.maintenance_notes) == (
        "MAINTENANCE_REQUIRED",
        True,
        "window",
    )


def test_groups_of_rooms_in_opposite_order_do_not_deadlock():
    hotel = HotelFactory()
    rooms = [room_in("CHECKOUT_DIRTY", hotel=hotel) for _ in range(3)]

    def change_all(order: list[Room], to_status: str) -> list[str]:
        mine = [Room.objects.get(pk=room.pk) for room in order]
        outcomes = set_room_statuses(changes=[(room, to_status) for room in mine], source=Source.SYSTEM)
        return [outcome.room.room_status for outcome in outcomes]

    first, [second] = overlap(
        partial(change_all, rooms, "CLEANING_IN_PROGRESS"), partial(change_all, rooms[::-1], "CLEANED_UNINSPECTED")
    )
    assert (first, second) == (["CLEANING_IN_PROGRESS"] * 3, ["CLEANED_UNINSPECTED"] * 3)
    for room in rooms:
        assert_unbroken(room)


def test_a_locked_room_does_not_block_rows_that_reference_it():
    """FOR NO KEY UPDATE: a task for the room can be opened while its status is being changed."""
    room = dirty_room()

    def open_task() -> str:
        with transaction.atomic():
            room.housekeeping_tasks.create(hotel=room.hotel, task_type="AMENITY")
        return "opened"

    _, [second] = overlap(partial(change, room, "CLEANING_IN_PROGRESS"), open_task, waits=False)
    assert second == "opened"


def test_related_rows_are_read_after_the_wait():
    """The name of the cleaner is in another row, which is read after waiting for the lock."""
    room = dirty_room()
    cleaner = StaffFactory(hotel=room.hotel, user__first_name="Maeve", user__last_name="Byrne")
    overlap(
        lambda: set_room_status(room=Room.objects.get(pk=room.pk), to_status="CLEANED_UNINSPECTED", staff=cleaner),
        partial(change, room, "CLEANING_IN_PROGRESS"),
    )
    assert RealtimeEvent.objects.latest("pk").envelope["payload"]["cleaned_by_staff"] == "Maeve Byrne"
