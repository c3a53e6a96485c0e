"""What somebody else did between the look at a row and the step: the service that comes too late refuses."""

import threading
from functools import partial

import pytest
from django.db import connection

from common import clock
from common.errors import Conflict
from hotel.idempotency import answer_once
from hotel.models import IdempotentAnswer
from housekeeping import task_services
from room_bookings.models import RoomBooking
from room_bookings.services import approval, settlement
from room_bookings.services.check_in import RoomNotReady, check_in
from room_bookings.services.edit import mark_seen
from room_bookings.services.errors import BookingNotFound, PaymentInProgress
from rooms import services as rooms
from rooms.errors import RoomNotFound
from rooms.models import Room, RoomType
from tests.factories import BookingFactory, NewRoomFactory, RoomTypeFactory, TaskFactory, booking_in
from tests.room_bookings.small_hotel import NOW, day, open_small_hotel

pytestmark = pytest.mark.django_db


def gone(row):
    """The row as somebody read it who did not see that it was deleted."""
    kept = type(row).objects.get(pk=row.pk)
    row.delete()
    return kept


def test_a_task_that_is_gone(manager):
    task = gone(TaskFactory())
    steps = [
        partial(task_services.cancel_task, task=task),
        partial(task_services.start_task, task=task, staff=manager),
    ]
    for step in steps:
        with pytest.raises(task_services.TaskNotFound):
            step()


def test_a_room_that_is_gone(manager):
    room = gone(NewRoomFactory(hotel=manager.hotel))
    with pytest.raises(RoomNotFound):
        rooms.update_room(room=room, staff=manager, is_active=False)
    assert not Room.objects.exists()


def test_a_room_type_that_is_gone(hotel):
    room_type = gone(RoomTypeFactory(hotel=hotel))
    with pytest.raises(rooms.RoomTypeNotFound):
        rooms.update_room_type(room_type=room_type, max_occupancy=3)
    assert not RoomType.objects.exists()


def test_a_booking_that_is_gone(agent):
    booking = gone(BookingFactory(hotel=agent.hotel))
    with pytest.raises(BookingNotFound):
        mark_seen(booking=booking, staff=agent)
    assert not RoomBooking.objects.exists()


def test_a_room_whose_guest_has_not_left_takes_no_other():
    with clock.set_to(NOW):
        small_hotel = open_small_hotel()
        arrival = booking_in("CONFIRMED", assigned_room=small_hotel.rooms[0], check_in=day(0), check_out=day(2))
        booking_in("IN_HOUSE", assigned_room=small_hotel.rooms[0], check_in=day(-2), check_out=day(0))
        with pytest.raises(RoomNotReady, match="a guest is still in house"):
            check_in(booking=arrival, staff=small_hotel.agent)


def test_whoever_is_overtaken_every_time_gives_up(monkeypatch, agent):
    monkeypatch.setattr(approval, "ROUNDS", 0)
    booking = booking_in("PENDING_APPROVAL", hotel=agent.hotel)
    with pytest.raises(PaymentInProgress):
        approval.approve_booking(booking=booking, staff=agent)


def test_a_key_that_is_forgotten_between_two_statements(agent):
    def forget(execute, sql, *rest):
        if sql.startswith("SELECT") and IdempotentAnswer._meta.db_table in sql:
            with connection.cursor() as cursor:
                cursor.cursor.execute(f"DELETE FROM {IdempotentAnswer._meta.db_table}")
        return execute(sql, *rest)

    with connection.execute_wrapper(forget), pytest.raises(Conflict, match="just expiring"):
        answer_once(staff=agent, key="a key", request={}, act=lambda: pytest.fail("it acted"))


def test_a_payment_that_somebody_else_is_just_asking_for(stripe):
    booking = booking_in("PENDING_APPROVAL", card="CAPTURING", payment_attempt=1, payment_requested_at=NOW)
    stripe.authorise(booking.payment_reference)
    stripe.before_work = lambda _call: stripe.wait_for("capture", 4)
    first = threading.Thread(target=settlement.ask, args=[booking, settlement.APPROVAL])
    first.start()
    stripe.wait_for("capture", 1)
    with pytest.raises(PaymentInProgress):
        settlement.ask(booking, settlement.APPROVAL)
    first.join()
    assert stripe.moved(booking.payment_reference) == {"captured": 1}
