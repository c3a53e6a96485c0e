"""Blocks of rooms: what they take, when they begin and end, and what stands in their way."""

from datetime import UTC, datetime, time, timedelta

import pytest

from common import clock
from hotel import calendar, rights
from hotel.calendar import business_date
from housekeeping.blocks import (
    NewBlock,
    cancel_block,
    complete_block_early,
    create_blocks,
    due_blocks,
    extend_block,
    hotels_with_due_blocks,
    roll_blocks,
)
from housekeeping.models import HousekeepingTask, RoomStatusEvent
from housekeeping.services import set_room_status
from housekeeping.task_services import create_task
from housekeeping.turnover import flag_maintenance
from operations.periodic import tick
from room_bookings.inventory import NightsRequest, sold_out_nights
from room_bookings.models import RoomBooking
from room_bookings.selectors import available_rooms, booking_read
from room_bookings.services.check_in import check_in
from room_bookings.services.checkout import check_out, check_out_rooms
from room_bookings.services.create import create_booking
from room_bookings.services.overstay import extend_stay, flag_overstays
from room_bookings.services.room_assignment import assign_room
from room_bookings.services.room_blocks import block_rooms
from room_bookings.services.room_move import move_room
from rooms.models import BlockReason, Room, RoomBlock, RoomBlockEvent
from rooms.selectors import room_list
from rooms.snapshots import room_snapshot
from tests.factories import BookingFactory, NewRoomFactory, RoomTypeFactory, StaffFactory, booking_in
from tests.refusals import check_deferred_constraints
from tests.room_bookings.small_hotel import (
    NOW,
    assert_invariants_hold,
    day,
    last_event,
    locks_and_writes,
    open_small_hotel,
    published_events,
    refusal_of,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def boss(small_hotel):
    BlockReason.objects.create(hotel=small_hotel.hotel, code="REPAIR", label="Repair")
    return StaffFactory(hotel=small_hotel.hotel, role=rights.HOTEL_MANAGER)


def block(place, staff, first=0, free: int | None = 3, *, which=0, kind="OUT_OF_ORDER", back="CHECKOUT_DIRTY", **more):
    """A block of one of the small hotel's rooms."""
    reason, _ = BlockReason.objects.get_or_create(hotel=place.hotel, code="REPAIR", label="Repair")
    wanted = NewBlock(kind, reason, day(first), None if free is None else day(free), back, "shower")
    [done] = create_blocks(rooms=[place.rooms[which]], wanted=wanted, staff=staff, **more)
    return done.block


def status(room: Room) -> str:
    return Room.objects.get(pk=room.pk).room_status


def stay(place, first, last, *, which: int | None = 0, **fields) -> RoomBooking:
    return BookingFactory(
        hotel=place.hotel,
        room_type=place.room_type,
        assigned_room=None if which is None else place.rooms[which],
        check_in=day(first),
        check_out=day(last),
        **fields,
    )


def at(days: int, hours: int = 0):
    """At that many days and hours after the afternoon of 1 July."""
    return clock.set_to(NOW + timedelta(days=days, hours=hours))


def settled() -> None:
    check_deferred_constraints()
    assert_invariants_hold()


# --- the life of a block ----------------------------------------------------------------------------------------------


def test_a_block_for_today_closes_a_vacant_room_at_once(small_hotel, boss):
    room, since = small_hotel.rooms[0], last_event()
    made = block(small_hotel, boss)
    assert (made.status, status(room)) == ("ACTIVE", "OUT_OF_ORDER")
    audit = RoomStatusEvent.objects.get(room=room, to_status="OUT_OF_ORDER")
    assert (audit.source, audit.note, audit.changed_by) == ("SYSTEM", f"block {made.pk}: Repair", boss)
    assert published_events(since) == [("rooms", "room_block_created"), ("rooms", "room_updated")]
    shown = room_snapshot(room_list().get(pk=room.pk))
    assert shown["block"] == {
        "id": made.pk,
        "kind": "OUT_OF_ORDER",
        "reason": "REPAIR",
        "from": "2026-07-01",
        "to": "2026-07-04",
        "return_status": "CHECKOUT_DIRTY",
    }
    assert (shown["next_block"], shown["allowed_transitions"]) == (None, [])
    settled()


@pytest.mark.parametrize(
    ("back", "fault", "after", "tasks"),
    [
        ("CHECKOUT_DIRTY", False, "CHECKOUT_DIRTY", ["TURNOVER"]),
        ("CLEANED_UNINSPECTED", False, "CLEANED_UNINSPECTED", ["INSPECTION"]),
        ("READY_FOR_GUEST", False, "READY_FOR_GUEST", []),
        ("READY_FOR_GUEST", True, "MAINTENANCE_REQUIRED", []),
    ],
)
def test_a_planned_block_begins_and_ends_with_the_business_day(small_hotel, boss, back, fault, after, tasks):
    room = small_hotel.rooms[0]
    if fault:
        flag_maintenance(room=room, staff=boss, note="drips")
    made = block(small_hotel, boss, 1, 3, back=back)
    assert (made.status, made.first_night) == ("PLANNED", day(1))
    assert status(room) == ("MAINTENANCE_REQUIRED" if fault else "READY_FOR_GUEST")
    assert tick()["blocks_rolled"] == 0
    with at(1):
        assert tick()["blocks_rolled"] == 1
        assert status(room) == "OUT_OF_ORDER"
        settled()
    with at(3):
        assert [tick()["blocks_rolled"], tick()["blocks_rolled"]] == [1, 0]
        assert status(room) == after
        made.refresh_from_db()
        assert (made.status, made.ended_on) == ("COMPLETED", day(3))
        assert list(HousekeepingTask.objects.values_list("task_type", flat=True)) == tasks
        assert [event.action for event in made.events.order_by("version")] == ["CREATED", "STARTED", "COMPLETED"]
        settled()


def test_house_use_keeps_the_rooms_status_until_its_end(small_hotel, boss):
    made = block(small_hotel, boss, kind="HOUSE_USE")
    assert (made.status, status(small_hotel.rooms[0])) == ("ACTIVE", "READY_FOR_GUEST")
    complete_block_early(block=made, staff=boss)
    assert status(small_hotel.rooms[0]) == "CHECKOUT_DIRTY"
    settled()


def test_a_room_out_of_service_is_assigned_only_with_a_supervisors_reason(small_hotel, boss):
    made = block(small_hotel, boss, kind="OUT_OF_SERVICE", back="READY_FOR_GUEST")
    booking, room = stay(small_hotel, 1, 2, which=None), small_hotel.rooms[0]
    assert sold_out_nights([NightsRequest(small_hotel.hotel, small_hotel.room_type.pk, day(0), day(3))]) == [None]
    assert room not in available_rooms(booking_read(booking.pk))
    asked = {"booking": booking, "room_id": room.pk}
    assert refusal_of(lambda: assign_room(**asked, staff=small_hotel.agent)).code == "ROOM_NOT_BOOKABLE"
    assign_room(**asked, staff=small_hotel.manager, override_reason="the guest knows of the lamp")
    complete_block_early(block=made, staff=boss)
    assert status(room) == "READY_FOR_GUEST"
    settled()


def test_one_block_follows_another(small_hotel, boss):
    block(small_hotel, boss, 0, 2)
    block(small_hotel, boss, 2, 4, kind="OUT_OF_INVENTORY")
    with at(2):
        assert tick()["blocks_rolled"] == 2
        assert status(small_hotel.rooms[0]) == "OUT_OF_ORDER"
        assert list(RoomBlock.objects.order_by("pk").values_list("status", flat=True)) == ["COMPLETED", "ACTIVE"]
        settled()


def test_a_plain_out_of_order_ends_where_the_next_block_begins(small_hotel, boss):
    room = small_hotel.rooms[0]
    block(small_hotel, boss, 2, 4)
    set_room_status(room=room, to_status="OUT_OF_ORDER", staff=boss, note="leak")
    plain = RoomBlock.objects.get(by_status=True)
    assert (plain.free_from, plain.created_by, plain.remarks) == (day(2), boss, "leak")
    set_room_status(room=room, to_status="CHECKOUT_DIRTY", staff=boss)
    plain.refresh_from_db()
    assert (plain.status, status(room)) == ("COMPLETED", "CHECKOUT_DIRTY")
    settled()


def test_a_block_gets_another_end(small_hotel, boss):
    made = block(small_hotel, boss, 0, 3)
    booking = stay(small_hotel, 4, 6)
    assert refusal_of(lambda: extend_block(block=made, free_from=day(5), staff=boss)).code == "ROOM_NEEDED"
    assert extend_block(block=made, free_from=day(4), staff=boss).free_from == day(4)
    assert extend_block(block=made, free_from=day(1), staff=boss, note="done early").version == 3
    assert extend_block(block=made, free_from=day(1), staff=boss).version == 3  # the same again
    assert refusal_of(lambda: extend_block(block=made, free_from=day(0), staff=boss)).code == "VALIDATION_ERROR"
    assert booking.assigned_room_id == small_hotel.rooms[0].pk
    last = RoomBlockEvent.objects.order_by("pk").last()
    assert (last.action, last.from_free, last.to_free, last.note) == ("EXTENDED", day(4), day(1), "done early")
    settled()


def test_only_a_planned_block_is_cancelled_and_only_an_active_one_completed(small_hotel, boss):
    active, planned = block(small_hotel, boss), block(small_hotel, boss, 1, 2, which=1)
    assert refusal_of(lambda: cancel_block(block=active, staff=boss)).code == "INVALID_BLOCK_STEP"
    assert refusal_of(lambda: complete_block_early(block=planned, staff=boss)).code == "INVALID_BLOCK_STEP"
    for _ in range(2):
        assert cancel_block(block=planned, staff=boss).version == 2
        assert complete_block_early(block=active, staff=boss, return_status="READY_FOR_GUEST").version == 2
    assert [status(room) for room in small_hotel.rooms] == ["READY_FOR_GUEST", "READY_FOR_GUEST"]
    assert refusal_of(lambda: extend_block(block=active, free_from=None, staff=boss)).code == "INVALID_BLOCK_STEP"
    settled()


# --- what stands in the way -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "kind", "back", "code"),
    [
        (rights.HOUSEKEEPING_SUPERVISOR, "OUT_OF_ORDER", "READY_FOR_GUEST", None),
        (rights.HOUSEKEEPING_SUPERVISOR, "HOUSE_USE", "CHECKOUT_DIRTY", "PERMISSION_DENIED"),
        (rights.FRONT_OFFICE_MANAGER, "OUT_OF_INVENTORY", "CHECKOUT_DIRTY", "PERMISSION_DENIED"),
        (rights.FRONT_OFFICE_MANAGER, "OUT_OF_ORDER", "READY_FOR_GUEST", "PERMISSION_DENIED"),
        (rights.FRONT_OFFICE_MANAGER, "OUT_OF_ORDER", "CLEANED_UNINSPECTED", None),
    ],
)
def test_kinds_and_return_statuses_need_their_rights(small_hotel, role, kind, back, code):
    staff = StaffFactory(hotel=small_hotel.hotel, role=role)
    if code is None:
        assert block(small_hotel, staff, kind=kind, back=back)
    else:
        assert refusal_of(lambda: block(small_hotel, staff, kind=kind, back=back)).code == code


@pytest.mark.parametrize(("first", "free", "field"), [(-1, 3, "from"), (2, 2, "to"), (2, 1, "to")])
def test_a_block_lies_ahead(small_hotel, boss, first, free, field):
    refusal = refusal_of(lambda: block(small_hotel, boss, first, free))
    assert (refusal.code, list(refusal.details)) == ("VALIDATION_ERROR", [field])


def test_a_room_that_is_not_let_is_not_blocked(small_hotel, boss):
    Room.objects.filter(pk=small_hotel.rooms[0].pk).update(is_active=False)
    assert refusal_of(lambda: block(small_hotel, boss)).code == "ROOM_NOT_IN_SERVICE"


@pytest.mark.parametrize(("first", "code"), [(2, "ROOM_BLOCKED"), (3, None)])
@pytest.mark.parametrize("kind", ["HOUSE_USE", "OUT_OF_SERVICE"])
def test_two_blocks_of_one_night(small_hotel, boss, first, code, kind):
    block(small_hotel, boss, kind=kind)
    if code:
        assert refusal_of(lambda: block(small_hotel, boss, first, None, kind=kind)).code == code
    else:
        assert block(small_hotel, boss, first, None, kind=kind)


def test_the_last_room_of_a_sold_night_is_not_blocked(small_hotel, boss):
    stay(small_hotel, 1, 2, which=None)
    stay(small_hotel, 1, 2, which=None)
    refusal = refusal_of(lambda: block(small_hotel, boss, 0, 2))
    assert (refusal.code, len(refusal.details["conflicts"])) == ("ROOM_NEEDED", 2)
    block(small_hotel, boss, 2, 4)
    block(small_hotel, boss, 0, 1, which=1, forced=True)
    settled()


def test_many_rooms_are_blocked_all_or_each(small_hotel, boss):
    stay(small_hotel, 1, 2)
    reason = BlockReason.objects.create(hotel=small_hotel.hotel, code="PEST", label="Pest control")
    wanted = NewBlock("OUT_OF_ORDER", reason, day(0), day(3), "CHECKOUT_DIRTY")
    every = {"rooms": small_hotel.rooms, "wanted": wanted, "staff": boss}
    assert refusal_of(lambda: create_blocks(**every)).code == "ROOM_NEEDED"
    first, second = create_blocks(**every, all_or_nothing=False)
    assert (first.block, first.refusal.code, second.block.status) == (None, "ROOM_NEEDED", "ACTIVE")


def test_a_blocked_room_is_free_for_other_nights(small_hotel, boss):
    block(small_hotel, boss, 0, 3)
    later, now = stay(small_hotel, 3, 5, which=None), stay(small_hotel, 2, 4, which=None)
    room = small_hotel.rooms[0]
    assert assign_room(booking=later, room_id=room.pk, staff=small_hotel.agent).assigned_room == room
    refusal = refusal_of(lambda: assign_room(booking=now, room_id=room.pk, staff=small_hotel.agent))
    assert (refusal.code, refusal.details["block"]["to"]) == ("ROOM_NOT_BOOKABLE", "2026-07-04")
    settled()


def test_a_later_end_meets_no_other_block(small_hotel, boss):
    made = block(small_hotel, boss, 0, 1, kind="OUT_OF_SERVICE")
    block(small_hotel, boss, 2, 3, kind="OUT_OF_SERVICE")
    assert refusal_of(lambda: extend_block(block=made, free_from=None, staff=boss)).code == "ROOM_BLOCKED"


def test_only_a_manager_ends_what_only_a_manager_begins(small_hotel, boss):
    other = StaffFactory(hotel=small_hotel.hotel, role=rights.HOUSEKEEPING_SUPERVISOR)
    active, planned = block(small_hotel, boss, kind="HOUSE_USE"), block(small_hotel, boss, 5, 6, kind="HOUSE_USE")
    for work in (
        lambda: complete_block_early(block=active, staff=other),
        lambda: extend_block(block=active, free_from=day(2), staff=other),
        lambda: cancel_block(block=planned, staff=other),
    ):
        assert refusal_of(work).code == "PERMISSION_DENIED"


# --- the seven traps --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["SYSTEM", "MANAGER_OVERRIDE"])
@pytest.mark.parametrize("to_status", ["CHECKOUT_DIRTY", "READY_FOR_GUEST", "MAINTENANCE_REQUIRED"])
def test_trap_a_block_is_not_wiped_by_clean_from_another_screen(small_hotel, boss, source, to_status):
    made, room = block(small_hotel, boss), small_hotel.rooms[0]
    staff = boss if source == "MANAGER_OVERRIDE" else None
    refusal = refusal_of(
        lambda: set_room_status(room=room, to_status=to_status, staff=staff, source=source, note="clean again")
    )
    assert (refusal.code, refusal.blocker.type, refusal.blocker.id) == ("ROOM_BLOCKED", "block", made.pk)
    assert status(room) == "OUT_OF_ORDER"


def test_trap_a_mornings_block_reduces_what_is_sold(small_hotel, boss):
    """Made at three in the morning, when yesterday's business day still runs until 2 a.m. has passed."""
    tonight = NightsRequest(small_hotel.hotel, small_hotel.room_type.pk, day(1), day(2))
    with at(0, 12):
        block(small_hotel, boss, 1, 2)
        block(small_hotel, boss, 1, 2, which=1)
        assert sold_out_nights([tonight]) == [day(1)]
        with pytest.raises(Exception, match="No .* is left for the night of 2026-07-02"):
            create_booking(
                hotel=small_hotel.hotel,
                staff=boss,
                room_type_id=small_hotel.room_type.pk,
                check_in=day(1),
                check_out=day(2),
                primary_first_name="Ada",
                primary_last_name="Lovelace",
            )


def test_trap_a_room_does_not_always_come_back_dirty(small_hotel, boss):
    made = block(small_hotel, boss, 0, 1, back="READY_FOR_GUEST")
    with at(1):
        tick()
        room = Room.objects.get(pk=made.room_id)
        assert (room.room_status, room.last_inspected_at) == ("READY_FOR_GUEST", clock.now())
        assert not HousekeepingTask.objects.exists()


def test_trap_a_start_that_nobody_is_told_of(small_hotel, boss):
    block(small_hotel, boss, 1, 2)
    since = last_event()
    with at(1):
        tick()
        assert published_events(since) == [("rooms", "room_block_started"), ("rooms", "room_updated")]


def test_trap_no_block_is_put_over_a_guest(small_hotel, boss):
    guest = booking_in("IN_HOUSE", assigned_room=small_hotel.rooms[0], check_in=day(0), check_out=day(2))
    refusal = refusal_of(lambda: block(small_hotel, boss, 1, 3))
    [conflict] = refusal.details["conflicts"]
    assert (refusal.code, conflict["booking_id"], conflict["in_house"]) == ("ROOM_NEEDED", guest.booking_id, True)
    block(small_hotel, boss, 2, 3)  # from the departure on
    longer = refusal_of(lambda: extend_stay(booking=guest, staff=small_hotel.agent, add_nights=1))
    assert longer.code == "ROOM_BLOCKED"
    settled()


def test_trap_an_out_of_order_room_is_not_sold_tonight(small_hotel, boss):
    for room in small_hotel.rooms:
        set_room_status(room=room, to_status="OUT_OF_ORDER", staff=boss, note="leak")
    far = NightsRequest(small_hotel.hotel, small_hotel.room_type.pk, day(300), day(301))
    assert sold_out_nights([far]) == [day(300)]
    assert sold_out_nights([far._replace(first=day(0), free=day(1))]) == [day(0)]
    settled()


def test_trap_an_overstay_on_the_first_day(small_hotel, boss):
    """The block waits, says so once the guest is overdue, and begins when the guest leaves."""
    guest = booking_in("IN_HOUSE", assigned_room=small_hotel.rooms[0], check_in=day(-2), check_out=day(1))
    made = block(small_hotel, boss, 1, 3)
    with clock.set_to(calendar.at(small_hotel.hotel, day(1), time(10))):  # the guest may stay for another hour
        since = last_event()
        assert [tick()["blocks_rolled"], tick()["blocks_rolled"]] == [0, 0]
        made.refresh_from_db()
        assert (made.status, made.is_late, published_events(since)) == ("PLANNED", False, [])
    with at(1):
        since = last_event()
        assert [tick()["blocks_rolled"] for _ in range(3)] == [0, 1, 0]  # the first one flags the overstay
        made.refresh_from_db()
        assert (made.status, made.is_late, status(made.room)) == ("PLANNED", True, "OCCUPIED")
        assert ("rooms", "room_block_delayed") in published_events(since)
        night = NightsRequest(small_hotel.hotel, small_hotel.room_type.pk, day(1), day(2))
        stay(small_hotel, 1, 2, which=1)
        assert sold_out_nights([night]) == [day(1)]  # of the room, that is one: it counts once
        assert_invariants_hold()
        since = last_event()
        check_out(booking=guest, staff=small_hotel.agent)
        made.refresh_from_db()
        assert (made.status, status(made.room)) == ("ACTIVE", "OUT_OF_ORDER")
        assert ("rooms", "room_block_started") in published_events(since)
        settled()


def test_a_block_whose_nights_the_guest_has_stayed_is_cancelled(small_hotel, boss):
    booking_in("IN_HOUSE", assigned_room=small_hotel.rooms[0], check_in=day(-2), check_out=day(1))
    made = block(small_hotel, boss, 1, 2)
    with at(1):
        tick()
    with at(2):
        tick()
        made.refresh_from_db()
        assert (made.status, made.started_at) == ("CANCELLED", None)
        settled()


def test_blocks_that_wait_begin_in_a_constant_number_of_statements(small_hotel, boss, statements):
    """Also when many guests leave at once."""
    counts = []
    for number in (1, 3):
        rooms = [NewRoomFactory(hotel=small_hotel.hotel, room_type=small_hotel.room_type) for _ in range(number)]
        for room in rooms:
            booking_in("IN_HOUSE", assigned_room=room, check_in=day(-2), check_out=day(1))
            wanted = NewBlock("OUT_OF_ORDER", BlockReason.objects.get(), day(1), day(3), "CHECKOUT_DIRTY")
            block_rooms(rooms=[room], wanted=wanted, staff=boss)
        with at(1), statements() as made:
            check_out_rooms(hotel=small_hotel.hotel, room_ids=[room.pk for room in rooms], staff=boss)
        assert {status(room) for room in rooms} == {"OUT_OF_ORDER"}
        counts.append(len(made))
    assert counts[0] == counts[1]


# --- the roll ---------------------------------------------------------------------------------------------------------

ROLLS = [
    # both changes of the clock in each zone, an hour before and after the business day ends at 2 a.m.
    ("Europe/Dublin", datetime(2026, 3, 29, tzinfo=UTC)),
    ("Europe/Dublin", datetime(2026, 10, 25, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 3, 8, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 11, 1, tzinfo=UTC)),
    ("Australia/Sydney", datetime(2026, 10, 4, tzinfo=UTC)),
    ("Australia/Sydney", datetime(2026, 4, 5, tzinfo=UTC)),
]


@pytest.mark.parametrize(("zone", "midnight"), ROLLS)
def test_the_roll_at_two_through_the_changes_of_the_clock(zone, midnight, db):
    """Minute by minute around it: the block begins in the first tick of its business day, and never twice."""
    begins = midnight.date()
    with clock.set_to(midnight - timedelta(days=2)):
        place = open_small_hotel(timezone=zone)
        boss = StaffFactory(hotel=place.hotel, role=rights.HOTEL_MANAGER)
        reason = BlockReason.objects.create(hotel=place.hotel, code="REPAIR", label="Repair")
        wanted = NewBlock("OUT_OF_ORDER", reason, begins, begins + timedelta(days=1), "CHECKOUT_DIRTY")
        [made] = create_blocks(rooms=place.rooms[:1], wanted=wanted, staff=boss)
    rolled = 0
    for quarter in range(-14 * 4, 32 * 4):  # from before the date begins anywhere until it is over
        moment = midnight + timedelta(minutes=15 * quarter)
        with clock.set_to(moment):
            rolled += tick()["blocks_rolled"]
            expected = "PLANNED" if business_date(place.hotel) < begins else "ACTIVE"
            if business_date(place.hotel) > begins:
                expected = "COMPLETED"
            made.block.refresh_from_db()
            assert made.block.status == expected, moment
        if expected == "COMPLETED":
            break
    assert (expected, rolled) == ("COMPLETED", 2)
    assert list(made.block.events.values_list("action", flat=True)) == ["CREATED", "STARTED", "COMPLETED"]


def test_check_in_after_a_block_that_ends_today(small_hotel, boss):
    arrival = stay(small_hotel, 1, 2)
    block(small_hotel, boss, 0, 1, back="READY_FOR_GUEST")
    with at(1):
        refusal = refusal_of(lambda: check_in(booking=arrival, staff=small_hotel.agent))
        assert refusal.code == "ROOM_NOT_READY"
        tick()
        assert check_in(booking=arrival, staff=small_hotel.agent).status == "IN_HOUSE"
        settled()


# --- locks and races --------------------------------------------------------------------------------------------------

LOCK_ROOM = "lock Room"


@pytest.mark.parametrize("step", ["create", "extend", "complete", "cancel", "roll"])
def test_each_step_locks_the_room_before_it_writes(small_hotel, boss, statements, step):
    if step == "create":
        work = lambda: block(small_hotel, boss)  # noqa: E731 - one for each step
    else:
        made = block(small_hotel, boss, 0 if step == "complete" else 1, 3)
        work = {
            "extend": lambda: extend_block(block=made, free_from=day(2), staff=boss),
            "complete": lambda: complete_block_early(block=made, staff=boss),
            "cancel": lambda: cancel_block(block=made, staff=boss),
            "roll": lambda: roll_blocks(small_hotel.hotel, [made.pk]),
        }[step]
    with at(1 if step == "roll" else 0), statements() as made_statements:
        work()
    steps = [each for each in locks_and_writes(made_statements.sql()) if "blockreason" not in each]
    assert steps[0] == LOCK_ROOM
    assert any(each.startswith(("UPDATE", "INSERT")) for each in steps)


def test_relocating_locks_bookings_then_rooms_then_types(small_hotel, boss, statements):
    arrival = stay(small_hotel, 1, 2)
    reason = BlockReason.objects.create(hotel=small_hotel.hotel, code="PEST", label="Pest control")
    wanted = NewBlock("OUT_OF_ORDER", reason, day(0), day(3), "CHECKOUT_DIRTY")
    with statements() as made:
        block_rooms(rooms=small_hotel.rooms[:1], wanted=wanted, staff=boss, relocate=True)
    locks = [each for each in locks_and_writes(made.sql()) if each.startswith("lock")]
    assert locks == ["lock RoomBooking", LOCK_ROOM, "lock RoomType", LOCK_ROOM, "lock RoomType"]
    arrival.refresh_from_db()
    assert arrival.assigned_room == small_hotel.rooms[1]


def test_relocating_makes_a_constant_number_of_statements(small_hotel, boss, statements):
    """Each arrival takes its tasks along."""
    assert boss.can("rooms.block_manage")  # reads the rights, once
    counts = []
    for number in (1, 3):
        kind = RoomTypeFactory(hotel=small_hotel.hotel)
        rooms = [NewRoomFactory(hotel=small_hotel.hotel, room_type=kind) for _ in range(2 * number)]
        tasks = []
        for room in rooms[:number]:
            arrival = booking_in("CONFIRMED", assigned_room=room, check_in=day(1), check_out=day(2))
            tasks.append(create_task(hotel=small_hotel.hotel, staff=boss, room=room.pk, task_type="AMENITY",
                                     booking=arrival.booking_id, note=""))  # fmt: skip
        wanted = NewBlock("OUT_OF_ORDER", BlockReason.objects.get(), day(0), day(3), "CHECKOUT_DIRTY")
        with statements() as made:
            block_rooms(rooms=rooms[:number], wanted=wanted, staff=boss, relocate=True)
        for task in tasks:
            task.refresh_from_db()
            assert task.room in rooms[number:] and task.room == task.booking.assigned_room
        counts.append(len(made))
    assert counts[0] == counts[1]


def test_the_roll_makes_a_constant_number_of_statements(small_hotel, boss, statements):
    """For blocks that end and that begin, that are over, and that overdue guests delay."""
    hotel, counts = small_hotel.hotel, []
    for number in (1, 3):
        due = []
        for kind in ("ends", "begins", "over", "late") * number:
            room = NewRoomFactory(hotel=hotel, room_type=small_hotel.room_type)
            first, free = {"ends": (0, 1), "begins": (1, 3), "over": (0, 1), "late": (1, 3)}[kind]
            if kind in ("over", "late"):
                booking_in("IN_HOUSE", assigned_room=room, check_in=day(-2), check_out=day(first))
            wanted = NewBlock("OUT_OF_ORDER", BlockReason.objects.get(), day(first), day(free), "CHECKOUT_DIRTY")
            [outcome] = block_rooms(rooms=[room], wanted=wanted, staff=boss)
            due.append(outcome.block)
        with at(1):
            flag_overstays(hotel)
            with statements() as made:
                assert roll_blocks(hotel, [each.pk for each in due]) == 4 * number
        states = [(each.status, each.is_late) for each in RoomBlock.objects.filter(pk__in=[each.pk for each in due])]
        expected = [("COMPLETED", False), ("ACTIVE", False), ("CANCELLED", False), ("PLANNED", True)]
        assert sorted(states) == sorted(expected * number)
        counts.append(len(made))
    assert counts[0] == counts[1]


def test_a_block_of_another_hotel_is_not_rolled(small_hotel, boss):
    other = open_small_hotel()
    made = block(small_hotel, boss, 1, 2)
    with at(1):
        assert roll_blocks(other.hotel, [made.pk]) == 0
        assert [due_blocks(place.hotel).count() for place in (other, small_hotel)] == [0, 1]
        assert list(hotels_with_due_blocks()) == [small_hotel.hotel]


def test_a_guest_moves_into_no_blocked_room(small_hotel, boss):
    guest = booking_in("IN_HOUSE", assigned_room=small_hotel.rooms[0], check_in=day(0), check_out=day(2))
    made = block(small_hotel, boss, 1, 2, which=1)
    into = {"booking": guest, "to_room_id": small_hotel.rooms[1].pk, "reason": "noise"}
    assert refusal_of(lambda: move_room(**into, staff=small_hotel.agent)).code == "ROOM_OUT_OF_ORDER"
    cancel_block(block=made, staff=boss)
    small = block(small_hotel, boss, 1, 2, which=1, kind="OUT_OF_SERVICE")
    assert refusal_of(lambda: move_room(**into, staff=small_hotel.agent)).blocker.id == small.pk
    other = stay(small_hotel, 1, 2, which=None)
    RoomBooking.objects.filter(pk=other.pk).update(assigned_room=small_hotel.rooms[1])
    # A supervisor's reason lifts the small fault, not the other stay.
    assert refusal_of(lambda: move_room(**into, staff=small_hotel.manager)).code == "ROOM_OVERLAP_CONFLICT"
