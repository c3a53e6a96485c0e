"""Services refuse rows that were deleted or changed after they were read."""

import threading
from functools import partial

import pytest
from django.db import connection

from common import clock
from common.errors import Conflict
from hotel.idempotency import run_once
from hotel.models import IdempotentAnswer
from housekeeping import task_services
from room_bookings.errors import BookingNotFound, PaymentInProgress
from room_bookings.models import RoomBooking
from room_bookings.services import approval, settlement
from room_bookings.services.check_in import RoomNotReady, check_in
from room_bookings.services.edit import mark_seen
from rooms import services as rooms
from rooms.errors import RoomNotFound
from rooms.models import Room, RoomType
from tests.factories import BookingFactory, NewRoomFactory, RoomTypeFactory, TaskFactory, booking_in
from tests.room_bookings.small_hotel import NOW, day, open_small_hotel

pytestmark = pytest.mark.django_db


def deleted_row(row):
    """A stale instance of a row that has been deleted."""
    kept = type(row).objects.get(pk=row.pk)
    row.delete()
    return kept


def test_a_deleted_task(manager):
    task = deleted_row(TaskFactory())
    steps = [
        partial(task_services.cancel_task, task=task),
        partial(task_services.start_task, task=task, staff=manager),
    ]
    for step in steps:
        with pytest.raises(task_services.TaskNotFound):
            step()


def test_a_deleted_room(manager):
    room = deleted_row(NewRoomFactory(hotel=manager.hotel))
    with pytest.raises(RoomNotFound):
        rooms.update_room(room=room, staff=manager, is_active=False)
    assert not Room.objects.exists()


def test_a_deleted_room_type(hotel):
    room_type = deleted_row(RoomTypeFactory(hotel=hotel))
    with pytest.raises(rooms.RoomTypeNotFound):
        rooms.update_room_type(room_type=room_type, max_occupancy=3)
    assert not RoomType.objects.exists()


def test_a_deleted_booking(agent):
    booking = deleted_row(BookingFactory(hotel=agent.hotel))
    with pytest.raises(BookingNotFound):
        mark_seen(booking=booking, staff=agent)
    assert not RoomBooking.objects.exists()


def test_a_room_whose_guest_has_not_left_accepts_no_other():
    with clock.set_to(NOW):
        small_hotel = open_small_hotel()
        arrival = booking_in("CONFIRMED", assigned_room=small_hotel.rooms[0], check_in=day(0), check_out=day(2))
        booking_in("IN_HOUSE", assigned_room=small_hotel.rooms[0], check_in=day(-2), check_out=day(0))
        with pytest.raises(RoomNotReady, match="still has a guest in house"):
            check_in(booking=arrival, staff=small_hotel.agent)


def test_a_service_overtaken_every_time_gives_up(monkeypatch, agent):
    monkeypatch.setattr(approval, "ROUNDS", 0)
    booking = booking_in("PENDING_APPROVAL", hotel=agent.hotel)
    with pytest.raises(PaymentInProgress):
        approval.approve_booking(booking=booking, staff=agent)


def test_an_idempotency_key_deleted_between_two_statements(agent):
    def forget(execute, sql, *rest):
        if sql.startswith("SELECT") and IdempotentAnswer._meta.db_table in sql:
            with connection.cursor() as cursor:
                cursor.cursor.execute(f"DELETE FROM {IdempotentAnswer._meta.db_table}")
        return execute(sql, *rest)

    with connection.execute_wrapper(forget), pytest.raises(Conflict, match="just expired"):
        run_once(staff=agent, key="a key", request={}, act=lambda: pytest.fail("it acted"))


def test_a_payment_with_a_call_in_progress(stripe):
    booking = booking_in("PENDING_APPROVAL", card="CAPTURING", payment_attempt=1, payment_requested_at=NOW)
    stripe.authorise(booking.payment_reference)
    stripe.before_work = lambda _call: stripe.wait_for("capture", 4)
    first = threading.Thread(target=settlement.send_or_look_up, args=[booking, settlement.APPROVAL])
    first.start()
    stripe.wait_for("capture", 1)
    with pytest.raises(PaymentInProgress):
        settlement.send_or_look_up(booking, settlement.APPROVAL)
    first.join()
    assert stripe.moved(booking.payment_reference) == {"captured": 1}
