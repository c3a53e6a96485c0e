"""The rows that each service locks before writing, in order (docs/locking.md), asserted on the SQL."""

import re
from datetime import timedelta
from functools import partial

import pytest

from common import clock
from hotel import rights
from hotel.services import update_access_config, update_staff
from housekeeping import task_services as tasks
from housekeeping import turnover
from housekeeping.models import Source
from housekeeping.services import set_room_status, set_room_statuses
from notifications import mail, mail_sending
from notifications.models import BookingMail, MailKind
from room_bookings.models import PaymentRetry, RoomBooking
from room_bookings.payments import Standing
from room_bookings.services import (
    approval,
    cancel,
    check_in,
    checkout,
    create,
    edit,
    expire,
    no_show,
    overstay,
    payment_sweep,
    reinstate,
    room_assignment,
    room_move,
    room_removal,
    settlement,
    undo_check_in,
    undo_check_out,
)
from rooms import services as inventory
from rooms.imports import import_files
from rooms.models import Room
from tests.factories import NewRoomFactory, RoomTypeFactory, StaffFactory, TaskFactory, booking_in, room_in
from tests.room_bookings.small_hotel import NOW, day, open_small_hotel

TABLES = {
    "auth_user": "user",
    "hotel_staff": "staff",
    "hotel_hotel": "hotel",
    "room_bookings_roombooking": "booking",
    "rooms_room": "room",
    "rooms_roomtype": "type",
    "housekeeping_housekeepingtask": "task",
}
LOCK = re.compile(r'FROM "(\w+)".*FOR NO KEY UPDATE', re.DOTALL)
WRITE = re.compile(r"(INSERT INTO|UPDATE|DELETE FROM) ")


@pytest.fixture
def locked(db, statements):
    """``locked(work)`` returns the tables whose rows ``work`` locks, in order; asserts no earlier write."""

    def run(work):
        with statements() as made:
            work()
        sql = made.sql()
        locks = [(place, found.group(1)) for place, one in enumerate(sql) if (found := LOCK.search(one))]
        writes = [place for place, one in enumerate(sql) if WRITE.match(one)]
        assert writes, "it changes nothing"
        assert locks, "it locks nothing"
        assert locks[0][0] < writes[0], "it writes before it locks"
        return " ".join(TABLES[table] for _, table in locks)

    return run


@pytest.fixture
def small_hotel(db):
    with clock.set_to(NOW):
        small_hotel = open_small_hotel(require_complete_party=False)
        small_hotel.chief = StaffFactory(hotel=small_hotel.hotel, role=rights.HOTEL_MANAGER)
        yield small_hotel


def task(small_hotel, **fields):
    return TaskFactory(**{"room": small_hotel.rooms[0], **fields})


def room(small_hotel, status):
    return room_in(status, hotel=small_hotel.hotel, room_type=small_hotel.room_type, room_number=201)


def booking(small_hotel, status="CONFIRMED", first=0, last=2, **fields):
    defaults = {"hotel": small_hotel.hotel, "room_type": small_hotel.room_type}
    return booking_in(status, **defaults | {"check_in": day(first), "check_out": day(last)} | fields)


def arriving(small_hotel):
    return booking(small_hotel, assigned_room=small_hotel.rooms[0])


def guest(small_hotel, first=-1, last=2):
    return booking(small_hotel, "IN_HOUSE", first, last, assigned_room=small_hotel.rooms[0])


def departed(small_hotel):
    found = guest(small_hotel)
    checkout.check_out(booking=found, staff=small_hotel.agent)
    return found


def capturing(small_hotel):
    return booking(
        small_hotel,
        "PENDING_APPROVAL",
        card="CAPTURING",
        payment_requested_at=NOW,
        payment_requested_by=small_hotel.agent,
    )


def step(service, found, small_hotel, **more):
    """The action as in a request: with an instance that was read before."""
    stale = RoomBooking.objects.get(pk=found.pk)
    return partial(service, booking=stale, staff=small_hotel.manager, **more)


def mailed(small_hotel, **fields):
    """A queued confirmation."""
    guest_of = booking(small_hotel, primary_email="ada@example.com")
    waiting = mail.queue_booking_mail(guest_of, MailKind.CONFIRMATION)
    BookingMail.objects.update(**fields or {"tries": 0})
    return waiting


COMING = {"primary_first_name": "Grace", "primary_last_name": "Hopper"}


def parked(small_hotel):
    given_up = booking(small_hotel, "EXPIRED", card="VOIDING", payment_requested_at=NOW)
    PaymentRetry.objects.create(booking=given_up, failures=12, last_error="Unclear", parked_at=NOW)
    return given_up


SERVICES = {
    "update_task": ("task", lambda small_hotel: partial(tasks.update_task, task=task(small_hotel), priority="HIGH")),
    "update_task, for a guest": (
        "booking task",
        lambda small_hotel: partial(
            tasks.update_task,
            task=task(small_hotel, created_by=small_hotel.agent),
            booking=booking(small_hotel).booking_id,
        ),
    ),
    "create_task": (
        "booking",
        lambda small_hotel: partial(
            tasks.create_task,
            hotel=small_hotel.hotel,
            staff=small_hotel.agent,
            room=small_hotel.rooms[0].pk,
            booking=booking(small_hotel).booking_id,
            task_type="AMENITY",
        ),
    ),
    "open_stayover_tasks": (
        "booking task",
        lambda small_hotel: (
            booking(
                small_hotel,
                "IN_HOUSE",
                -1,
                2,
                assigned_room=small_hotel.rooms[0],
                checked_in_at=NOW - timedelta(days=1),
            )
            and partial(tasks.open_stayover_tasks, small_hotel.hotel, day(0))
        ),
    ),
    "assign_task": (
        "task",
        lambda small_hotel: partial(tasks.assign_task, task=task(small_hotel), assigned_to_id=small_hotel.chief.pk),
    ),
    "start_task": (
        "task",
        lambda small_hotel: partial(tasks.start_task, task=task(small_hotel), staff=small_hotel.chief),
    ),
    "complete_task": (
        "task",
        lambda small_hotel: partial(
            tasks.complete_task,
            task=task(small_hotel, status="IN_PROGRESS", started_at=clock.now()),
            staff=small_hotel.chief,
        ),
    ),
    "cancel_task": ("task", lambda small_hotel: partial(tasks.cancel_task, task=task(small_hotel))),
    "delete_task": ("task", lambda small_hotel: partial(tasks.delete_task, task=task(small_hotel))),
    "set_room_status": (
        "room",
        lambda small_hotel: partial(
            set_room_status, room=small_hotel.rooms[0], to_status="CHECKOUT_DIRTY", source=Source.SYSTEM
        ),
    ),
    "set_room_statuses": (
        "room",
        lambda small_hotel: partial(
            set_room_statuses, changes=[(room, "CHECKOUT_DIRTY") for room in small_hotel.rooms], source=Source.SYSTEM
        ),
    ),
    "set_room_status, with a turnover": (
        "room task",
        lambda small_hotel: partial(
            set_room_status,
            room=task(small_hotel, room=room(small_hotel, "CHECKOUT_DIRTY")).room,
            to_status="CLEANED_UNINSPECTED",
            staff=small_hotel.chief,
        ),
    ),
    "start_cleaning": (
        "room",
        lambda small_hotel: partial(
            turnover.start_cleaning, room=room(small_hotel, "CHECKOUT_DIRTY"), staff=small_hotel.chief
        ),
    ),
    "mark_cleaned": (
        "room",
        lambda small_hotel: partial(
            turnover.mark_cleaned, room=room(small_hotel, "CHECKOUT_DIRTY"), staff=small_hotel.chief
        ),
    ),
    "inspect_room": (
        "room",
        lambda small_hotel: partial(
            turnover.inspect_room, room=room(small_hotel, "CLEANED_UNINSPECTED"), staff=small_hotel.chief, passed=True
        ),
    ),
    "flag_maintenance": (
        "room",
        lambda small_hotel: partial(
            turnover.flag_maintenance, room=small_hotel.rooms[0], staff=small_hotel.chief, note="it drips"
        ),
    ),
    "complete_maintenance": (
        "room",
        lambda small_hotel: partial(
            turnover.complete_maintenance, room=room(small_hotel, "MAINTENANCE_REQUIRED"), staff=small_hotel.chief
        ),
    ),
    "update_room": (
        "room",
        lambda small_hotel: partial(
            inventory.update_room, room=small_hotel.rooms[0], staff=small_hotel.chief, room_number=901
        ),
    ),
    "update_room, connecting": (
        "hotel room",
        lambda small_hotel: partial(
            inventory.update_room,
            room=small_hotel.rooms[0],
            staff=small_hotel.chief,
            connecting_rooms=[small_hotel.rooms[1].pk],
        ),
    ),
    "create_room, connecting": (
        "hotel room",
        lambda small_hotel: partial(
            inventory.create_room,
            hotel=small_hotel.hotel,
            room_number=301,
            room_type_id=small_hotel.room_type.pk,
            connecting_rooms=[small_hotel.rooms[0].pk],
        ),
    ),
    "update_room, out of service": (
        "room type",
        lambda small_hotel: partial(
            inventory.update_room, room=small_hotel.rooms[0], staff=small_hotel.chief, is_active=False
        ),
    ),
    "set_room_status, out of order": (
        "room type",
        lambda small_hotel: partial(
            set_room_status, room=small_hotel.rooms[0], to_status="OUT_OF_ORDER", source=Source.SYSTEM
        ),
    ),
    "force_room_status": (
        "booking room type room type",  # the second time by set_room_status, which already holds the lock
        lambda small_hotel: partial(
            room_removal.force_room_status,
            room=arriving(small_hotel).assigned_room,
            to_status="OUT_OF_ORDER",
            staff=small_hotel.manager,
            note="flooded",
        ),
    ),
    "force_room_status, of an upgraded arrival": (
        "booking room type room type",
        lambda small_hotel: partial(
            room_removal.force_room_status,
            room=booking(
                small_hotel, assigned_room=NewRoomFactory(hotel=small_hotel.hotel), room_type=small_hotel.room_type
            ).assigned_room,
            to_status="OUT_OF_ORDER",
            staff=small_hotel.manager,
            note="flooded",
        ),
    ),
    "delete_room": (
        "room type",
        lambda small_hotel: partial(
            inventory.delete_room, room=Room.objects.get(pk=NewRoomFactory(hotel=small_hotel.hotel).pk)
        ),
    ),
    "import_files": (
        "hotel room",
        lambda small_hotel: partial(
            import_files, small_hotel.hotel, [("a.csv", b"room_number,section\n101,North")], staff=None, dry_run=False
        ),
    ),
    "create_rooms": (
        "hotel",
        lambda small_hotel: partial(inventory.create_rooms, room_type=small_hotel.room_type, numbers=[301, 302]),
    ),
    "update_room_type": (
        "type",
        lambda small_hotel: partial(
            inventory.update_room_type, room_type=RoomTypeFactory(hotel=small_hotel.hotel), max_occupancy=3
        ),
    ),
    "update_access_config": (
        "hotel",
        lambda small_hotel: partial(update_access_config, hotel=small_hotel.hotel, late_checkout_grace_minutes=45),
    ),
    "update_staff": (
        "user staff",
        lambda small_hotel: partial(update_staff, staff=small_hotel.agent, by=small_hotel.chief.user, is_on_duty=True),
    ),
    "create_booking": (
        "type",
        lambda small_hotel: partial(
            create.create_booking,
            hotel=small_hotel.hotel,
            staff=small_hotel.agent,
            room_type_id=small_hotel.room_type.pk,
            check_in=day(1),
            check_out=day(2),
            **COMING,
        ),
    ),
    "confirm_booking": (
        "booking type",
        lambda small_hotel: step(approval.confirm_booking, booking(small_hotel, "PENDING_APPROVAL"), small_hotel),
    ),
    "approve_booking": (
        "booking type",
        lambda small_hotel: step(approval.approve_booking, booking(small_hotel, "PENDING_APPROVAL"), small_hotel),
    ),
    "decline_booking": (
        "booking task",
        lambda small_hotel: step(approval.decline_booking, booking(small_hotel, "PENDING_APPROVAL"), small_hotel),
    ),
    "cancel_booking": (
        "booking task",
        lambda small_hotel: step(cancel.cancel_booking, arriving(small_hotel), small_hotel),
    ),
    "cancel_booking, guest in house": (
        "booking room task",
        lambda small_hotel: step(cancel.cancel_booking, guest(small_hotel), small_hotel, reason="a quarrel"),
    ),
    "mark_no_show": (
        "booking task",
        lambda small_hotel: step(no_show.mark_no_show, booking(small_hotel, first=-2), small_hotel),
    ),
    "reinstate_booking": (
        "booking type",
        lambda small_hotel: step(
            reinstate.reinstate_booking, booking(small_hotel, "CANCELLED"), small_hotel, reason="a mistake"
        ),
    ),
    "edit_booking": (
        "booking",
        lambda small_hotel: step(edit.edit_booking, arriving(small_hotel), small_hotel, internal_notes="late"),
    ),
    "edit_booking, a larger party": (
        "booking type",
        lambda small_hotel: step(edit.edit_booking, arriving(small_hotel), small_hotel, adults=2),
    ),
    "edit_booking, other nights": (
        "booking room type",
        lambda small_hotel: step(edit.edit_booking, arriving(small_hotel), small_hotel, check_out=day(4)),
    ),
    "mark_seen": ("booking", lambda small_hotel: step(edit.mark_seen, arriving(small_hotel), small_hotel)),
    "set_companions": (
        "booking type",
        lambda small_hotel: partial(
            edit.set_companions,
            booking=arriving(small_hotel),
            companions=[{"first_name": "Ada", "last_name": "Lovelace"}],
        ),
    ),
    "assign_room": (
        "booking room task",
        lambda small_hotel: step(
            room_assignment.assign_room, booking(small_hotel), small_hotel, room_id=small_hotel.rooms[1].pk
        ),
    ),
    "unassign_room": (
        "booking",
        lambda small_hotel: step(room_assignment.unassign_room, arriving(small_hotel), small_hotel),
    ),
    "move_room": (
        "booking room room task task",
        lambda small_hotel: step(
            room_move.move_room, guest(small_hotel), small_hotel, to_room_id=small_hotel.rooms[1].pk, reason="noise"
        ),
    ),
    "check_in": ("booking room room", lambda small_hotel: step(check_in.check_in, arriving(small_hotel), small_hotel)),
    "undo_check_in": (
        "booking room task",
        lambda small_hotel: step(undo_check_in.undo_check_in, guest(small_hotel), small_hotel, reason="a mistake"),
    ),
    "check_out": ("booking room task", lambda small_hotel: step(checkout.check_out, guest(small_hotel), small_hotel)),
    "undo_check_out": (
        "booking room type room task task",
        lambda small_hotel: step(undo_check_out.undo_check_out, departed(small_hotel), small_hotel, reason="a mistake"),
    ),
    "acknowledge_overstay": (
        "booking",
        lambda small_hotel: step(overstay.acknowledge_overstay, guest(small_hotel, -3, -1), small_hotel),
    ),
    "extend_stay": (
        "booking room type",
        lambda small_hotel: step(overstay.extend_stay, guest(small_hotel), small_hotel, add_nights=1),
    ),
    "check_in_rooms": (
        "booking room room",
        lambda small_hotel: partial(
            check_in.check_in_rooms,
            hotel=small_hotel.hotel,
            room_ids=[arriving(small_hotel).assigned_room_id],
            staff=small_hotel.agent,
        ),
    ),
    "check_out_rooms": (
        "booking room task",
        lambda small_hotel: partial(
            checkout.check_out_rooms,
            hotel=small_hotel.hotel,
            room_ids=[guest(small_hotel).assigned_room_id],
            staff=small_hotel.agent,
        ),
    ),
    "flag_overstays": (
        "booking",
        lambda small_hotel: guest(small_hotel, -3, -1) and partial(overstay.flag_overstays, small_hotel.hotel),
    ),
    "expire_approvals": (
        "booking task",
        lambda small_hotel: (
            booking(small_hotel, "PENDING_APPROVAL", approval_deadline_at=NOW - timedelta(hours=1))
            and partial(expire.expire_approvals, small_hotel.hotel)
        ),
    ),
    "retry_payment": (
        "booking",
        lambda small_hotel: partial(payment_sweep.retry_payment, booking=parked(small_hotel), staff=small_hotel.agent),
    ),
    "a mail is claimed": (
        "booking",
        lambda small_hotel: partial(mail_sending._claim_of, mailed(small_hotel).booking_id),
    ),
    "a mail is put back": (
        "booking",
        lambda small_hotel: partial(
            mail_sending._failed, mail_sending._claim_of(mailed(small_hotel).booking_id), TimeoutError()
        ),
    ),
    "send_again": (
        "booking",
        lambda small_hotel: partial(mail.send_again, mail=mailed(small_hotel, tries=1), staff=small_hotel.agent),
    ),
    "drop_drafts": (
        "booking task",
        lambda small_hotel: (
            booking(small_hotel, "PENDING_PAYMENT", created_at=NOW - timedelta(days=2))
            and partial(expire.drop_drafts, small_hotel.hotel)
        ),
    ),
}


@pytest.mark.parametrize("service", SERVICES)
def test_services_lock_before_writing(locked, small_hotel, service):
    locks, prepared = SERVICES[service]
    assert locked(prepared(small_hotel)) == locks


@pytest.mark.django_db(transaction=True)
def test_a_payment_response_is_written_under_the_lock(locked):
    with clock.set_to(NOW):
        small_hotel = open_small_hotel()
        asked = capturing(small_hotel)
        assert locked(partial(settlement.settle, asked, Standing.CAPTURED)) == "booking"
