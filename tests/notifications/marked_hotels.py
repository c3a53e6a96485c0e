"""Two hotels in which every text and name carries a mark, and every operation that publishes an event.

A mark names its owner and field: ``zqA_primary_email_qz`` is the e-mail address of guest A. Owners: A, the guest whom
an operation is about; O, another guest of the hotel; S, its staff; B, anybody in the other hotel.
"""

import re
import smtplib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model
from django.core.mail.backends.base import BaseEmailBackend
from django.db import connection, models
from django.test import override_settings

from common import clock
from hotel import rights
from hotel.models import Hotel, Staff
from housekeeping import task_services, turnover
from housekeeping.blocks import NewBlock, cancel_block, complete_block_early, extend_block, roll_blocks
from housekeeping.services import set_room_status, set_room_statuses
from notifications.mail import queue_booking_mail, send_again
from notifications.mail_sending import send_queued
from notifications.models import BookingMail, MailKind
from operations.periodic import tick
from room_bookings.models import BookingGuest, BookingStatus, PaymentRetry, RoomBooking
from room_bookings.services.approval import approve_booking, confirm_booking, decline_booking
from room_bookings.services.cancel import cancel_booking
from room_bookings.services.check_in import check_in, check_in_rooms
from room_bookings.services.checkout import check_out_rooms
from room_bookings.services.create import create_booking
from room_bookings.services.edit import edit_booking, set_companions
from room_bookings.services.expire import drop_drafts, expire_approvals
from room_bookings.services.no_show import mark_no_show
from room_bookings.services.overstay import acknowledge_overstay, flag_overstays
from room_bookings.services.payment_sweep import retry_payment
from room_bookings.services.reinstate import reinstate_booking
from room_bookings.services.room_assignment import assign_room
from room_bookings.services.room_blocks import block_rooms
from room_bookings.services.room_move import move_room
from room_bookings.services.room_removal import force_room_status
from room_bookings.services.undo_check_in import undo_check_in
from room_bookings.services.undo_check_out import undo_check_out
from rooms.models import BlockReason, Room, RoomBlock
from rooms.services import update_room
from tests.factories import NewRoomFactory, StaffFactory, booking_in
from tests.room_bookings.small_hotel import NOW, SmallHotel, day, open_small_hotel
from tests.room_bookings.test_states import EXPECTED, bookings, steps

AMOUNT = "9753124.68"  # the cost of each stay: a mark that is not text
MARK = re.compile(r"zq([A-Z])_([a-z_]+)_qz")
USER = get_user_model()
APPS = ("hotel", "rooms", "room_bookings", "housekeeping")


def mark(owner: str, what: str) -> str:
    """A text that names its owner and field."""
    return f"zq{owner}_{what}_qz"


def address(owner: str, what: str) -> str:
    return f"{mark(owner, what)}@example.com"


def marks_in(text: str) -> set[tuple[str, str]]:
    """Every (owner, what) whose mark is in ``text``."""
    return set(MARK.findall(text))


def person(owner: str) -> dict[str, str]:
    """A companion, as clients send one."""
    return {
        "first_name": mark(owner, "companion_first"),
        "last_name": mark(owner, "companion_last"),
        "email": address(owner, "companion_email"),
        "phone": mark(owner, "companion_phone"),
    }


def primary(owner: str) -> dict[str, str]:
    """The guest's fields of a new booking."""
    return {
        "primary_first_name": mark(owner, "first"),
        "primary_last_name": mark(owner, "last"),
        "primary_email": address(owner, "email"),
        "primary_phone": mark(owner, "phone"),
        "special_requests": mark(owner, "special_requests"),
    }


def with_marks(booking: RoomBooking, owner: str) -> RoomBooking:
    """The booking with a mark in each of its texts, and with a marked companion."""
    fields = primary(owner) | {
        "booker_type": "THIRD_PARTY",
        "booker_first_name": mark(owner, "booker_first"),
        "booker_last_name": mark(owner, "booker_last"),
        "booker_company": mark(owner, "booker_company"),
        "booker_email": address(owner, "booker_email"),
        "booker_phone": mark(owner, "booker_phone"),
        "internal_notes": mark(owner, "internal_notes"),
        "assignment_notes": mark(owner, "assignment_notes"),
        "guest_token_hash": f"{mark(owner, 'token')}{booking.pk}",
        "confirmation_number": mark(owner, "number"),
        "decline_reason_code": mark(owner, "decline_code"),
        "decline_reason_note": mark(owner, "decline_note"),
        "cancellation_reason": mark(owner, "cancel_reason"),
        "auto_expire_reason_code": mark(owner, "expire_code"),
        "total_amount": AMOUNT,
    }
    if not booking.payment_provider:
        fields["payment_reference"] = mark(owner, "payment")
    RoomBooking.objects.filter(pk=booking.pk).update(**fields)
    BookingGuest.objects.create(booking=booking, **person(owner))
    booking.refresh_from_db()
    return booking


@dataclass
class MarkedHotels:
    """The hotel of the operations, with rooms 101 to 104, and another hotel."""

    small_hotel: SmallHotel
    other: SmallHotel
    manager: Staff  # has every right in the first hotel
    stay: RoomBooking  # guest O, in house in room 103


def open_marked_hotels() -> MarkedHotels:
    """Create both hotels, with every text marked; call within ``clock.set_to(NOW)``."""
    small_hotel, other = open_small_hotel(slug="grand-marked"), open_small_hotel(slug="grand")
    for each in (small_hotel, other):
        each.room_type.max_occupancy = 4  # the parties here have three guests
        each.room_type.save(update_fields=["max_occupancy"])
    StaffFactory(hotel=small_hotel.hotel, role=rights.HOTEL_MANAGER)
    for each, owner in ((small_hotel, "S"), (other, "B")):
        _mark_hotel(each, owner)
    room = NewRoomFactory(hotel=small_hotel.hotel, room_type=small_hotel.room_type, room_number=103)
    NewRoomFactory(hotel=small_hotel.hotel, room_type=small_hotel.room_type, room_number=104)
    stay = with_marks(booking_in("IN_HOUSE", assigned_room=room), "O")
    overdue = {"check_in": day(-2), "check_out": day(0), "checked_in_at": NOW - timedelta(days=2)}
    with_marks(booking_in("IN_HOUSE", assigned_room=other.rooms[0], **overdue), "B")
    late = {"room_type": other.room_type, "approval_deadline_at": NOW - timedelta(hours=1)}
    with_marks(booking_in("PENDING_APPROVAL", hotel=other.hotel, **late), "B")
    Room.objects.update(guest_fcm_token=mark("O", "fcm_token"))
    for each, owner in ((small_hotel, "S"), (other, "B")):
        each.rooms[:] = Room.objects.filter(hotel=each.hotel).order_by("room_number")
        Room.objects.filter(hotel=each.hotel).update(turnover_notes=mark(owner, "turnover_note"))
        each.agent = staff_member(each, rights.FRONT_DESK_AGENT)
        each.manager = staff_member(each, rights.FRONT_OFFICE_MANAGER)
    return MarkedHotels(small_hotel, other, staff_member(small_hotel, rights.HOTEL_MANAGER), stay)


def staff_member(each: SmallHotel, role: str) -> Staff:
    return Staff.objects.select_related("user", "hotel").get(hotel=each.hotel, role__name=role)


def _mark_hotel(each: SmallHotel, owner: str) -> None:
    Hotel.objects.filter(pk=each.hotel.pk).update(phone=mark(owner, "hotel_phone"))
    each.hotel.refresh_from_db()
    Staff.objects.filter(hotel=each.hotel).update(phone_number=mark(owner, "staff_phone"))
    for user in USER.objects.filter(staff_profile__hotel=each.hotel):
        user.username = f"{mark(owner, 'username')}{user.pk}"
        user.first_name, user.last_name = mark(owner, "staff_first"), mark(owner, "staff_last")
        user.email = address(owner, "staff_email")
        user.save()


# --- operations -------------------------------------------------------------------------------------------------------


def operations(hotels: MarkedHotels) -> Iterator[tuple[str, Callable[[], Callable[[], Any]]]]:
    """Every operation: its name, and a function that prepares it and returns the operation."""
    yield from booking_steps(hotels.small_hotel)
    yield from typed_steps(hotels)
    yield from room_steps(hotels)
    yield from periodic_steps(hotels)
    yield from mail_steps(hotels)


def booking_steps(small_hotel: SmallHotel) -> Iterator[tuple[str, Callable[[], Callable[[], Any]]]]:
    """Every action that changes a booking, once for each resulting status: the table of ``test_states``."""

    def prepare(state: str, step: str) -> Callable[[], Any]:
        return steps(small_hotel, with_marks(bookings(small_hotel)[state](), "A"))[step]

    first = {
        (step, outcome): state
        for state, outcomes in reversed(EXPECTED.items())
        for step, outcome in outcomes.items()
        if outcome in BookingStatus.values
    }
    for (step, _), state in first.items():
        yield f"{step} of {state}", partial(prepare, state, step)


def typed_steps(hotels: MarkedHotels) -> Iterator[tuple[str, Callable[[], Callable[[], Any]]]]:
    """Operations on bookings that take free text."""
    small_hotel = hotels.small_hotel

    def typed(state: str, operation: Callable[..., Any], **words: Any) -> Callable[[], Callable[[], Any]]:
        def prepare() -> Callable[[], Any]:
            booking = with_marks(bookings(small_hotel)[state](), "A")
            return partial(operation, booking=booking, staff=small_hotel.manager, **words)

        return prepare

    beyond = {"override_reason": mark("A", "override_reason")}

    def companions() -> Callable[[], Any]:
        booking = with_marks(bookings(small_hotel)["con"](), "A")
        party = [person("A"), person("A")]
        return partial(set_companions, booking=booking, companions=party, staff=small_hotel.manager, **beyond)

    def forced() -> Callable[[], Any]:
        with_marks(bookings(small_hotel)["conr"](), "A")
        for _ in small_hotel.rooms:
            bookings(small_hotel)["con"]()
        words = {"to_status": "OUT_OF_ORDER", "staff": small_hotel.manager, "note": mark("S", "room_note")}
        return partial(force_room_status, room=small_hotel.rooms[0], **words)

    def blocked() -> Callable[[], Any]:
        booking = with_marks(bookings(small_hotel)["conr"](), "A")
        return partial(_blocks_from_begin_to_end, small_hotel, booking.assigned_room)

    def bulk(operation: Callable[..., Any], state: str) -> Callable[[], Callable[[], Any]]:
        def prepare() -> Callable[[], Any]:
            with_marks(bookings(small_hotel)[state](), "A")
            ids = [room.pk for room in small_hotel.rooms]
            return partial(operation, hotel=small_hotel.hotel, room_ids=ids, staff=small_hotel.manager)

        return prepare

    def parked() -> Callable[[], Any]:
        fields = {"hotel": small_hotel.hotel, "room_type": small_hotel.room_type}
        booking = with_marks(booking_in("EXPIRED", card="VOIDING", **fields), "A")
        PaymentRetry.objects.create(booking=booking, failures=12, last_error="Unclear", parked_at=NOW)
        return partial(retry_payment, booking=booking, staff=small_hotel.manager)

    stay = {
        "hotel": small_hotel.hotel,
        "room_type_id": small_hotel.room_type.pk,
        "check_in": day(0),
        "check_out": day(2),
    }
    new = partial(create_booking, staff=small_hotel.agent, **stay, **primary("A"), adults=2, party=[person("A")])
    reason, other_room = mark("A", "typed_reason"), small_hotel.rooms[1].pk
    notes = {"internal_notes": mark("A", "internal_notes_typed"), "special_requests": mark("A", "requests_typed")}
    yield "create", lambda: new
    yield "create, to be approved", lambda: partial(new, needs_approval=True)
    yield "companions with addresses", companions
    yield "edit texts", typed("con", edit_booking, **notes, primary_email=address("A", "email"), adults=3, **beyond)
    yield "assign with notes", typed("con", assign_room, room_id=other_room, notes=mark("A", "assign_note"))
    yield "confirm", typed("ask", confirm_booking)
    yield "approve", typed("ask", approve_booking)
    yield (
        "decline with a note",
        typed("ask", decline_booking, reason_code=mark("A", "typed_code"), reason_note=reason),
    )
    yield "retry a parked payment", parked
    yield "cancel with a reason", typed("conr", cancel_booking, reason=reason)
    yield "cancel a stay", typed("in", cancel_booking, reason=reason)
    yield "no-show with a reason", typed("past", mark_no_show, reason=mark("A", "no_show_reason"))
    yield "reinstate with a reason", typed("can", reinstate_booking, reason=mark("A", "reinstate_reason"))
    yield "undo with a reason", typed("in", undo_check_in, reason=mark("A", "undo_reason"))
    yield "undo check-out with a reason", typed("com", undo_check_out, reason=mark("A", "back_reason"))
    move = {"to_room_id": other_room, "reason": reason, "notes": mark("A", "move_note")}
    yield "move with notes", typed("in", move_room, **move)
    yield "acknowledge with a note", typed("over", acknowledge_overstay, note=mark("A", "overstay_note"))
    yield "dismiss with a note", typed("over", acknowledge_overstay, note=mark("A", "overstay_note"), dismiss=True)
    yield "check-in with a reason", typed("conr", check_in, **beyond)
    yield "check-in of many rooms", bulk(check_in_rooms, "conr")
    yield "out of order by force", forced
    yield "blocks", blocked
    yield "check-out of many rooms", bulk(check_out_rooms, "in")


def room_steps(hotels: MarkedHotels) -> Iterator[tuple[str, Callable[[], Callable[[], Any]]]]:
    """Operations on rooms: on room 104, which is free, or 103, where guest O is in house."""
    small_hotel, manager = hotels.small_hotel, hotels.manager
    note, fault = mark("S", "room_note"), mark("S", "fault_note")

    def room(number: int, *way: str, faulty: bool = False) -> Room:
        found = Room.objects.get(hotel=small_hotel.hotel, room_number=number)
        for status in way:
            set_room_status(room=found, to_status=status, staff=manager)
        if faulty:
            turnover.flag_maintenance(room=found, staff=manager, note=fault)
        return found

    def step(
        operation: Callable[..., Any], number: int, *way: str, faulty: bool = False, **words: Any
    ) -> Callable[[], Callable[[], Any]]:
        return lambda: partial(operation, room=room(number, *way, faulty=faulty), staff=manager, **words)

    def to(status: str, **words: Any) -> Callable[..., Any]:
        return partial(set_room_status, to_status=status, note=note, **words)

    dirty, cleaning, cleaned = "CHECKOUT_DIRTY", "CLEANING_IN_PROGRESS", "CLEANED_UNINSPECTED"
    yield "start cleaning", step(turnover.start_cleaning, 104, dirty, note=note)
    yield "mark cleaned", step(turnover.mark_cleaned, 104, dirty, cleaning, note=note)
    yield "inspect", step(turnover.inspect_room, 104, dirty, cleaned, passed=True, note=note)
    yield "inspect, failed", step(turnover.inspect_room, 104, dirty, cleaned, passed=False, note=note)
    for number in (103, 104):
        where = "guest in house" if number == 103 else "free"
        yield f"report a fault, {where}", step(turnover.flag_maintenance, number, note=fault)
        yield f"report the fault again, {where}", step(turnover.flag_maintenance, number, faulty=True, note=note)
        yield f"complete maintenance, {where}", step(turnover.complete_maintenance, number, faulty=True, note=note)
    yield "front desk", step(to(dirty, source="FRONT_DESK"), 104)
    yield "out of order", step(to("OUT_OF_ORDER"), 104, faulty=True)
    yield "override", step(to("READY_FOR_GUEST", source="MANAGER_OVERRIDE"), 104, dirty)
    yield "the system", lambda: partial(to(dirty, source="SYSTEM"), room=room(104))
    yield (
        "several rooms",
        lambda: partial(set_room_statuses, changes=[(room(101), dirty), (room(104), dirty)], staff=manager, note=note),
    )
    yield "take out of service", step(update_room, 104, is_active=False)
    yield "another number", step(update_room, 103, room_number=303)
    yield "connected", step(update_room, 103, connecting_rooms=[small_hotel.rooms[0].pk])
    yield "task", lambda: partial(_task_from_begin_to_end, small_hotel, manager, room(104))


def _blocks_from_begin_to_end(small_hotel: SmallHotel, taken: Room) -> None:
    """Every event of a block, with an arrival that is moved and a guest who stays too long."""
    boss = StaffFactory(hotel=small_hotel.hotel, role=rights.HOTEL_MANAGER)
    reason = BlockReason.objects.create(hotel=small_hotel.hotel, code="REPAIR", label="Repair")
    free, left = (NewRoomFactory(hotel=small_hotel.hotel, room_type=small_hotel.room_type) for _ in range(2))
    guest = with_marks(booking_in("IN_HOUSE", assigned_room=left, check_in=day(0), check_out=day(1)), "A")

    def block(room: Room, first: int, last: int) -> RoomBlock:
        wanted = NewBlock("OUT_OF_ORDER", reason, day(first), day(last), "CHECKOUT_DIRTY", mark("S", "room_note"))
        [outcome] = block_rooms(rooms=[room], wanted=wanted, staff=boss, relocate=True)
        assert outcome.block is not None
        return outcome.block

    made = block(taken, 0, 3)
    extend_block(block=made, free_from=day(2), staff=boss, note=mark("S", "room_note"))
    complete_block_early(block=made, staff=boss)
    cancel_block(block=block(free, 5, 6), staff=boss)
    due = [block(taken, 1, 2), block(left, 1, 2)]
    with clock.set_to(NOW + timedelta(days=1)):
        flag_overstays(small_hotel.hotel, [guest.pk])
        roll_blocks(small_hotel.hotel, [each.pk for each in due])


def _task_from_begin_to_end(small_hotel: SmallHotel, staff: Staff, room: Room) -> None:
    words = {"room": room.pk, "task_type": "AMENITY", "note": mark("S", "task_note")}
    task = task_services.create_task(hotel=small_hotel.hotel, staff=staff, **words)
    task_services.assign_task(task=task, assigned_to_id=staff.pk, note=mark("S", "task_note"))
    task_services.start_task(task=task, staff=staff)
    task_services.complete_task(task=task, staff=staff)


def periodic_steps(hotels: MarkedHotels) -> Iterator[tuple[str, Callable[[], Callable[[], Any]]]]:
    """The periodic work; the other hotel also has a late request and an overdue guest."""

    def with_late_ones(operation: Callable[..., Any], *arguments: Any) -> Callable[[], Callable[[], Any]]:
        def prepare() -> Callable[[], Any]:
            for state in ("late", "over", "drf"):
                with_marks(bookings(hotels.small_hotel)[state](), "A")
            RoomBooking.objects.filter(status="PENDING_PAYMENT").update(created_at=NOW - timedelta(days=3))
            return partial(operation, *arguments)

        return prepare

    yield "expire", with_late_ones(expire_approvals, hotels.small_hotel.hotel)
    yield "drop drafts", with_late_ones(drop_drafts, hotels.small_hotel.hotel)
    yield "flag overstays", with_late_ones(flag_overstays, hotels.small_hotel.hotel)
    yield "tick", with_late_ones(tick)


class RefusingBackend(BaseEmailBackend):
    """A mail provider that refuses every mail and names its recipient."""

    def send_messages(self, email_messages: Any) -> int:
        [email] = email_messages
        raise smtplib.SMTPRecipientsRefused({email.to[0]: (550, f"no {email.to[0]} here".encode())})


def mail_steps(hotels: MarkedHotels) -> Iterator[tuple[str, Callable[[], Callable[[], Any]]]]:
    """A mail that cannot be sent, and one that staff send again."""
    small_hotel = hotels.small_hotel

    def waiting() -> BookingMail:
        booking = with_marks(bookings(small_hotel)["con"](), "A")
        mail = queue_booking_mail(booking, MailKind.CONFIRMATION)
        assert mail is not None
        return mail

    def overtaken() -> Callable[[], Any]:
        waiting()
        RoomBooking.objects.filter(primary_first_name=mark("A", "first")).update(status="NO_SHOW", assigned_room=None)
        return send_queued

    def refused() -> Callable[[], Any]:
        waiting()
        return override_settings(EMAIL_BACKEND=f"{__name__}.RefusingBackend")(send_queued)

    def again() -> Callable[[], Any]:
        mail = waiting()
        assert send_queued() == 1
        return partial(send_again, mail=mail, staff=small_hotel.agent)

    yield "a mail that is overtaken", overtaken
    yield "a mail that is refused", refused
    yield "a mail sent again", again


# --- the database -----------------------------------------------------------------------------------------------------


def text_fields() -> dict[str, tuple[str, str]]:
    """Every free-text field: its name, table and column."""
    return {
        f"{model.__name__}.{field.name}": (model._meta.db_table, field.column)
        for model in [USER, *(model for app in APPS for model in apps.get_app_config(app).get_models())]
        if model._meta.managed
        for field in model._meta.concrete_fields
        if isinstance(field, models.CharField | models.TextField) and not field.choices
    }


def marked_fields() -> set[str]:
    """The text fields that currently hold a mark in some row."""
    parts = [
        f"SELECT '{name}' WHERE EXISTS (SELECT 1 FROM {table} WHERE {column} LIKE '%%zq__%%_qz%%')"
        for name, (table, column) in text_fields().items()
    ]
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(parts).replace("%%", "%"))
        return {name for (name,) in cursor.fetchall()}
