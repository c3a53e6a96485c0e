"""What each service locks, and in which order, before it writes anything (docs/locking.md): asserted on the SQL."""

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
)
from rooms import services as inventory
from rooms.models import Room
from tests.factories import NewRoomFactory, RoomTypeFactory, StaffFactory, TaskFactory, booking_in, room_in
from tests.room_bookings.desk import NOW, day, open_desk

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
    """``locked(work)``: the tables of which ``work`` locks rows, in that order. It writes nothing before the first."""

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
def desk(db):
    with clock.set_to(NOW):
        desk = open_desk(require_complete_party=False)
        desk.chief = StaffFactory(hotel=desk.hotel, role=rights.HOTEL_MANAGER)
        yield desk


def task(desk, **fields):
    return TaskFactory(**{"room": desk.rooms[0], **fields})


def room(desk, status):
    return room_in(status, hotel=desk.hotel, room_type=desk.room_type, room_number=201)


def booking(desk, status="CONFIRMED", first=0, last=2, **fields):
    house = {"hotel": desk.hotel, "room_type": desk.room_type}
    return booking_in(status, **house | {"check_in": day(first), "check_out": day(last)} | fields)


def arriving(desk):
    return booking(desk, assigned_room=desk.rooms[0])


def guest(desk, first=-1, last=2):
    return booking(desk, "IN_HOUSE", first, last, assigned_room=desk.rooms[0])


def capturing(desk):
    return booking(
        desk, "PENDING_APPROVAL", card="CAPTURING", payment_requested_at=NOW, payment_requested_by=desk.agent
    )


def step(service, found, desk, **more):
    """The step as a request takes it: with an instance that it read before."""
    stale = RoomBooking.objects.get(pk=found.pk)
    return partial(service, booking=stale, staff=desk.manager, **more)


def mailed(desk, **fields):
    """A confirmation in the queue."""
    guest_of = booking(desk, primary_email="ada@example.com")
    waiting = mail.queue_booking_mail(guest_of, MailKind.CONFIRMATION)
    BookingMail.objects.update(**fields or {"tries": 0})
    return waiting


COMING = {"primary_first_name": "Grace", "primary_last_name": "Hopper"}


def parked(desk):
    given_up = booking(desk, "EXPIRED", card="VOIDING", payment_requested_at=NOW)
    PaymentRetry.objects.create(booking=given_up, failures=12, last_error="Unclear", parked_at=NOW)
    return given_up


SERVICES = {
    "update_task": ("task", lambda d: partial(tasks.update_task, task=task(d), priority="HIGH")),
    "update_task, for a guest": (
        "booking task",
        lambda d: partial(tasks.update_task, task=task(d, created_by=d.agent), booking=booking(d).booking_id),
    ),
    "create_task": (
        "booking",
        lambda d: partial(
            tasks.create_task,
            hotel=d.hotel,
            staff=d.agent,
            room=d.rooms[0].pk,
            booking=booking(d).booking_id,
            task_type="AMENITY",
        ),
    ),
    "open_stayover_tasks": (
        "booking task",
        lambda d: (
            booking(d, "IN_HOUSE", -1, 2, assigned_room=d.rooms[0], checked_in_at=NOW - timedelta(days=1))
            and partial(tasks.open_stayover_tasks, d.hotel, day(0))
        ),
    ),
    "assign_task": ("task", lambda d: partial(tasks.assign_task, task=task(d), assigned_to_id=d.chief.pk)),
    "start_task": ("task", lambda d: partial(tasks.start_task, task=task(d), staff=d.chief)),
    "complete_task": (
        "task",
        lambda d: partial(
            tasks.complete_task, task=task(d, status="IN_PROGRESS", started_at=clock.now()), staff=d.chief
        ),
    ),
    "cancel_task": ("task", lambda d: partial(tasks.cancel_task, task=task(d))),
    "delete_task": ("task", lambda d: partial(tasks.delete_task, task=task(d))),
    "set_room_status": (
        "room",
        lambda d: partial(set_room_status, room=d.rooms[0], to_status="CHECKOUT_DIRTY", source=Source.SYSTEM),
    ),
    "set_room_statuses": (
        "room",
        lambda d: partial(
            set_room_statuses, changes=[(room, "CHECKOUT_DIRTY") for room in d.rooms], source=Source.SYSTEM
        ),
    ),
    "set_room_status, with a turnover": (
        "room task",
        lambda d: partial(
            set_room_status,
            room=task(d, room=room(d, "CHECKOUT_DIRTY")).room,
            to_status="CLEANED_UNINSPECTED",
            staff=d.chief,
        ),
    ),
    "start_cleaning": (
        "room",
        lambda d: partial(turnover.start_cleaning, room=room(d, "CHECKOUT_DIRTY"), staff=d.chief),
    ),
    "mark_cleaned": ("room", lambda d: partial(turnover.mark_cleaned, room=room(d, "CHECKOUT_DIRTY"), staff=d.chief)),
    "inspect_room": (
        "room",
        lambda d: partial(turnover.inspect_room, room=room(d, "CLEANED_UNINSPECTED"), staff=d.chief, passed=True),
    ),
    "flag_maintenance": (
        "room",
        lambda d: partial(turnover.flag_maintenance, room=d.rooms[0], staff=d.chief, note="it drips"),
    ),
    "complete_maintenance": (
        "room",
        lambda d: partial(turnover.complete_maintenance, room=room(d, "MAINTENANCE_REQUIRED"), staff=d.chief),
    ),
    "update_room": ("room", lambda d: partial(inventory.update_room, room=d.rooms[0], staff=d.chief, room_number=901)),
    "update_room, out of service": (
        "room type",
        lambda d: partial(inventory.update_room, room=d.rooms[0], staff=d.chief, is_active=False),
    ),
    "set_room_status, out of order": (
        "room type",
        lambda d: partial(set_room_status, room=d.rooms[0], to_status="OUT_OF_ORDER", source=Source.SYSTEM),
    ),
    "force_room_status": (
        "booking room type room type",  # the second time by set_room_status, which has them already
        lambda d: partial(
            room_removal.force_room_status,
            room=arriving(d).assigned_room,
            to_status="OUT_OF_ORDER",
            staff=d.manager,
            note="flooded",
        ),
    ),
    "force_room_status, of an upgraded arrival": (
        "booking room type room type",
        lambda d: partial(
            room_removal.force_room_status,
            room=booking(d, assigned_room=NewRoomFactory(hotel=d.hotel), room_type=d.room_type).assigned_room,
            to_status="OUT_OF_ORDER",
            staff=d.manager,
            note="flooded",
        ),
    ),
    "delete_room": (
        "room type",
        lambda d: partial(inventory.delete_room, room=Room.objects.get(pk=NewRoomFactory(hotel=d.hotel).pk)),
    ),
    "create_rooms": ("hotel", lambda d: partial(inventory.create_rooms, room_type=d.room_type, numbers=[301, 302])),
    "update_room_type": (
        "type",
        lambda d: partial(inventory.update_room_type, room_type=RoomTypeFactory(hotel=d.hotel), max_occupancy=3),
    ),
    "update_access_config": (
        "hotel",
        lambda d: partial(update_access_config, hotel=d.hotel, late_checkout_grace_minutes=45),
    ),
    "update_staff": (
        "user staff",
        lambda d: partial(update_staff, staff=d.agent, by=d.chief.user, is_on_duty=True),
    ),
    "create_booking": (
        "type",
        lambda d: partial(
            create.create_booking,
            hotel=d.hotel,
            staff=d.agent,
            room_type_id=d.room_type.pk,
            check_in=day(1),
            check_out=day(2),
            **COMING,
        ),
    ),
    "confirm_booking": ("booking type", lambda d: step(approval.confirm_booking, booking(d, "PENDING_APPROVAL"), d)),
    "approve_booking": ("booking type", lambda d: step(approval.approve_booking, booking(d, "PENDING_APPROVAL"), d)),
    "decline_booking": ("booking task", lambda d: step(approval.decline_booking, booking(d, "PENDING_APPROVAL"), d)),
    "cancel_booking": ("booking task", lambda d: step(cancel.cancel_booking, arriving(d), d)),
    "cancel_booking, guest in house": (
        "booking room task",
        lambda d: step(cancel.cancel_booking, guest(d), d, reason="a quarrel"),
    ),
    "mark_no_show": ("booking task", lambda d: step(no_show.mark_no_show, booking(d, first=-2), d)),
    "reinstate_booking": (
        "booking type",
        lambda d: step(reinstate.reinstate_booking, booking(d, "CANCELLED"), d, reason="a mistake"),
    ),
    "edit_booking": ("booking", lambda d: step(edit.edit_booking, arriving(d), d, internal_notes="late")),
    "edit_booking, a larger party": ("booking type", lambda d: step(edit.edit_booking, arriving(d), d, adults=2)),
    "edit_booking, other nights": (
        "booking room type",
        lambda d: step(edit.edit_booking, arriving(d), d, check_out=day(4)),
    ),
    "mark_seen": ("booking", lambda d: step(edit.mark_seen, arriving(d), d)),
    "set_companions": (
        "booking type",
        lambda d: partial(
            edit.set_companions, booking=arriving(d), companions=[{"first_name": "Ada", "last_name": "Lovelace"}]
        ),
    ),
    "assign_room": (
        "booking room task",
        lambda d: step(room_assignment.assign_room, booking(d), d, room_id=d.rooms[1].pk),
    ),
    "unassign_room": ("booking", lambda d: step(room_assignment.unassign_room, arriving(d), d)),
    "move_room": (
        "booking room room task task",
        lambda d: step(room_move.move_room, guest(d), d, to_room_id=d.rooms[1].pk, reason="noise"),
    ),
    "check_in": ("booking room room", lambda d: step(check_in.check_in, arriving(d), d)),
    "undo_check_in": (
        "booking room task",
        lambda d: step(undo_check_in.undo_check_in, guest(d), d, reason="a mistake"),
    ),
    "check_out": ("booking room task", lambda d: step(checkout.check_out, guest(d), d)),
    "acknowledge_overstay": (
        "booking",
        lambda d: step(overstay.acknowledge_overstay, guest(d, -3, -1), d),
    ),
    "extend_stay": ("booking room type", lambda d: step(overstay.extend_stay, guest(d), d, add_nights=1)),
    "check_in_rooms": (
        "booking room room",
        lambda d: partial(
            check_in.check_in_rooms, hotel=d.hotel, room_ids=[arriving(d).assigned_room_id], staff=d.agent
        ),
    ),
    "check_out_rooms": (
        "booking room task",
        lambda d: partial(checkout.check_out_rooms, hotel=d.hotel, room_ids=[guest(d).assigned_room_id], staff=d.agent),
    ),
    "flag_overstays": ("booking", lambda d: guest(d, -3, -1) and partial(overstay.flag_overstays, d.hotel)),
    "expire_approvals": (
        "booking task",
        lambda d: (
            booking(d, "PENDING_APPROVAL", approval_deadline_at=NOW - timedelta(hours=1))
            and partial(expire.expire_approvals, d.hotel)
        ),
    ),
    "retry_payment": (
        "booking",
        lambda d: partial(payment_sweep.retry_payment, booking=parked(d), staff=d.agent),
    ),
    "a mail is claimed": ("booking", lambda d: partial(mail_sending._claim_of, mailed(d).booking_id)),
    "a mail is put back": (
        "booking",
        lambda d: partial(mail_sending._failed, mail_sending._claim_of(mailed(d).booking_id), TimeoutError()),
    ),
    "send_again": (
        "booking",
        lambda d: partial(mail.send_again, mail=mailed(d, tries=1), staff=d.agent),
    ),
    "settle_lost": ("booking", lambda d: mailed(d, queue_number=-1) and mail.settle_lost),
    "drop_drafts": (
        "booking task",
        lambda d: (
            booking(d, "PENDING_PAYMENT", created_at=NOW - timedelta(days=2)) and partial(expire.drop_drafts, d.hotel)
        ),
    ),
}


@pytest.mark.parametrize("service", SERVICES)
def test_what_a_service_locks_before_it_writes(locked, desk, service):
    locks, prepared = SERVICES[service]
    assert locked(prepared(desk)) == locks


@pytest.mark.django_db(transaction=True)
def test_a_provider_s_answer_is_written_under_the_lock(locked):
    with clock.set_to(NOW):
        desk = open_desk()
        asked = capturing(desk)
        assert locked(partial(settlement.settle, asked, Standing.CAPTURED)) == "booking"
