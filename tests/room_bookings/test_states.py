"""Every action in every status of a booking; the table is written by hand from docs/api.md (Bookings).

A cell has the booking's new status, ``=`` if the action succeeds without writing anything, or in lower case the error
code, after which nothing is written either.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from common.errors import HotelMateError
from room_bookings.models import BookingStatus, RoomBooking
from room_bookings.services.approval import approve_booking, confirm_booking, decline_booking
from room_bookings.services.cancel import cancel_booking
from room_bookings.services.check_in import check_in
from room_bookings.services.checkout import check_out
from room_bookings.services.edit import edit_booking, mark_seen, set_companions
from room_bookings.services.no_show import mark_no_show
from room_bookings.services.overstay import acknowledge_overstay, extend_stay
from room_bookings.services.reinstate import reinstate_booking
from room_bookings.services.room_assignment import assign_room, unassign_room
from room_bookings.services.room_move import move_room
from room_bookings.services.undo_check_in import undo_check_in
from room_bookings.services.undo_check_out import undo_check_out
from tests.factories import booking_in
from tests.http import rolled_back
from tests.room_bookings.small_hotel import NOW, SmallHotel, all_rows, assert_invariants_hold, day

pytestmark = pytest.mark.django_db

# drf draft (PENDING_PAYMENT) · ask request (PENDING_APPROVAL) · late its deadline has passed · askc with a card payment
# con confirmed · conr with room 101 · past arrival was yesterday · conc card payment captured · back its refund
# is in flight, with room 101 since yesterday · in in house since today · over since Monday, due out today · inc card
# payment captured · com completed · dec declined · can cancelled · cans cancelled in house · drop
# CANCELLED_DRAFT · exp expired · nos no-show
# fmt: off
TABLE = """
              drf  ask  late askc con  conr past conc back in   over inc  com  dec  can  cans drop exp  nos
edit_dates    elig ASK  ASK  ASK  CON  CON  CON  CON  CON  IN   IN   IN   elig elig elig elig elig elig elig
edit_arrival  elig ASK  ASK  ASK  CON  CON  CON  CON  CON  in   in   in   elig elig elig elig elig elig elig
edit_notes    DRF  ASK  ASK  ASK  CON  CON  CON  CON  CON  IN   IN   IN   COM  DEC  CAN  CAN  DROP EXP  NOS
mark_seen     DRF  ASK  ASK  ASK  CON  CON  CON  CON  CON  IN   IN   IN   COM  DEC  CAN  CAN  DROP EXP  NOS
companions    elig ASK  ASK  ASK  CON  CON  CON  CON  CON  IN   IN   IN   elig elig elig elig elig elig elig
confirm       CON  CON  late card =    =    =    =    =    elig elig card elig elig elig elig elig late elig
approve       elig CON  late nkey =    =    =    =    =    elig elig elig elig elig elig elig elig late elig
decline       elig DEC  DEC  nkey elig elig elig nkey nkey elig elig elig elig =    elig elig elig elig elig
cancel        elig elig elig card CAN  CAN  CAN  card card in   in   card elig elig =    =    elig elig elig
cancel_why    elig elig elig card CAN  CAN  CAN  card card in   in   card elig elig =    =    elig elig elig
cancel_mute   elig elig elig card CAN  CAN  CAN  card card in   in   card elig elig =    =    elig elig elig
cancel_stay   elig elig elig card CAN  CAN  CAN  card card CAN  CAN  card elig elig =    =    elig elig elig
no_show       elig elig elig elig wait wait NOS  wait busy elig elig elig elig elig elig elig elig elig =
reinstate     elig elig elig elig elig elig elig elig elig elig elig elig elig elig CON  CON  elig elig CON
reinstate_agt perm perm perm perm perm perm perm perm perm perm perm perm perm perm perm perm perm perm perm
undo          nin  nin  nin  nin  nin  nin  nin  nin  nin  CON  long CON  left nin  nin  left nin  nin  nin
undo_agt      perm perm perm perm perm perm perm perm perm perm perm perm perm perm perm perm perm perm perm
assign        elig elig elig elig CON  CON  CON  CON  CON  in   in   in   elig elig elig elig elig elig elig
unassign      =    =    =    =    =    CON  =    =    CON  in   in   in   elig =    =    =    =    =    =
check_in      elig elig elig elig elig IN   elig elig busy =    =    =    elig elig elig elig elig elig elig
check_in_102  elig elig elig elig IN   IN   IN   IN   busy =    =    =    elig elig elig elig elig elig elig
check_out     nin  nin  nin  nin  nin  nin  nin  nin  nin  COM  COM  COM  =    nin  nin  left nin  nin  nin
undo_out      nout nout nout nout nout nout nout nout nout nout nout nout IN   nout nout nout nout nout nout
undo_out_agt  nout nout nout nout nout nout nout nout nout nout nout nout perm nout nout nout nout nout nout
move          nin  nin  nin  nin  nin  nin  nin  nin  nin  IN   IN   IN   left nin  nin  left nin  nin  nin
acknowledge   nin  nin  nin  nin  nin  nin  nin  nin  nin  nov  IN   nov  left nin  nin  left nin  nin  nin
extend        nin  nin  nin  nin  nin  nin  nin  nin  nin  IN   IN   IN   left nin  nin  left nin  nin  nin
"""
# fmt: on

WORDS = {
    "=": "=",
    "DRF": "PENDING_PAYMENT",
    "ASK": "PENDING_APPROVAL",
    "CON": "CONFIRMED",
    "IN": "IN_HOUSE",
    "COM": "COMPLETED",
    "DEC": "DECLINED",
    "CAN": "CANCELLED",
    "DROP": "CANCELLED_DRAFT",
    "EXP": "EXPIRED",
    "NOS": "NO_SHOW",
    "elig": "BOOKING_NOT_ELIGIBLE",
    "in": "BOOKING_ALREADY_CHECKED_IN",
    "nin": "BOOKING_NOT_CHECKED_IN",
    "left": "BOOKING_ALREADY_CHECKED_OUT",
    "card": "STRIPE_BOOKING",
    "late": "BOOKING_EXPIRED",
    "nkey": "PAYMENTS_NOT_CONFIGURED",
    "perm": "PERMISSION_DENIED",
    "busy": "PAYMENT_IN_PROGRESS",
    "wait": "ARRIVAL_NOT_OVER",
    "long": "CHECKIN_TOO_LONG_AGO",
    "nov": "NO_OVERSTAY",
    "nout": "BOOKING_NOT_CHECKED_OUT",
}
HEAD, *ROWS = TABLE.strip("\n").splitlines()
STATES = HEAD.split()
EXPECTED: dict[str, dict[str, str]] = {state: {} for state in STATES}
for row in ROWS:
    step, *cells = row.split()
    for state, cell in zip(STATES, cells, strict=True):
        EXPECTED[state][step] = WORDS[cell]


def bookings(small_hotel: SmallHotel) -> dict[str, Callable[[], RoomBooking]]:
    """The columns of the table: how to create each booking."""
    hotel_fields: dict[str, Any] = {"hotel": small_hotel.hotel, "room_type": small_hotel.room_type}
    room: dict[str, Any] = {"assigned_room": small_hotel.rooms[0]}
    stay: dict[str, Any] = {"checked_in_at": NOW - timedelta(hours=2), "checked_out_at": NOW}
    return {
        "drf": lambda: booking_in("PENDING_PAYMENT", **hotel_fields),
        "ask": lambda: booking_in("PENDING_APPROVAL", **hotel_fields),
        "late": lambda: booking_in("PENDING_APPROVAL", **hotel_fields, approval_deadline_at=NOW - timedelta(seconds=1)),
        "askc": lambda: booking_in("PENDING_APPROVAL", card="AUTHORISED", **hotel_fields),
        "con": lambda: booking_in("CONFIRMED", **hotel_fields),
        "conr": lambda: booking_in("CONFIRMED", **room),
        "past": lambda: booking_in("CONFIRMED", **hotel_fields, check_in=day(-1), check_out=day(1)),
        "conc": lambda: booking_in("CONFIRMED", card="CAPTURED", **hotel_fields),
        "back": lambda: booking_in("CONFIRMED", card="REFUNDING", **room, check_in=day(-1), check_out=day(1)),
        "in": lambda: booking_in("IN_HOUSE", **room),
        "over": lambda: booking_in(
            "IN_HOUSE", **room, check_in=day(-2), check_out=day(0), checked_in_at=NOW - timedelta(days=2)
        ),
        "inc": lambda: booking_in("IN_HOUSE", card="CAPTURED", **room),
        "com": lambda: booking_in("COMPLETED", **room),
        "dec": lambda: booking_in("DECLINED", **hotel_fields),
        "can": lambda: booking_in("CANCELLED", **hotel_fields),
        "cans": lambda: booking_in("CANCELLED", **hotel_fields, **stay, cancelled_at=NOW),
        "drop": lambda: booking_in("CANCELLED_DRAFT", **hotel_fields),
        "exp": lambda: booking_in("EXPIRED", **hotel_fields),
        "nos": lambda: booking_in("NO_SHOW", **hotel_fields),
    }


def steps(small_hotel: SmallHotel, booking: RoomBooking) -> dict[str, Callable[[], RoomBooking]]:
    """The rows of the table: the actions on the booking."""
    it: dict[str, Any] = {"booking": booking, "staff": small_hotel.agent}
    boss: dict[str, Any] = {"booking": booking, "staff": small_hotel.manager}
    other = small_hotel.rooms[1].pk
    one = timedelta(days=1)
    return {
        "edit_dates": lambda: edit_booking(**it, check_out=booking.check_out + one),
        "edit_arrival": lambda: edit_booking(**it, check_in=booking.check_in + one),
        "edit_notes": lambda: edit_booking(**it, internal_notes="Loud at breakfast."),
        "mark_seen": lambda: mark_seen(**it),
        "companions": lambda: set_companions(
            booking=booking, companions=[{"first_name": "Charles", "last_name": "Babbage"}]
        ),
        "confirm": lambda: confirm_booking(**it),
        "approve": lambda: approve_booking(**it),
        "decline": lambda: decline_booking(**it),
        "cancel": lambda: cancel_booking(**it),
        "cancel_why": lambda: cancel_booking(**it, reason="Ferry cancelled"),
        "cancel_mute": lambda: cancel_booking(**boss, reason=" "),
        "cancel_stay": lambda: cancel_booking(**boss, reason="Ferry cancelled"),
        "no_show": lambda: mark_no_show(**it),
        "reinstate": lambda: reinstate_booking(**boss, reason="A mistake"),
        "reinstate_agt": lambda: reinstate_booking(**it, reason="A mistake"),
        "undo": lambda: undo_check_in(**boss, reason="Wrong guest"),
        "undo_agt": lambda: undo_check_in(**it, reason="Wrong guest"),
        "assign": lambda: assign_room(**it, room_id=other),
        "unassign": lambda: unassign_room(**it),
        "check_in": lambda: check_in(**it),
        "check_in_102": lambda: check_in(**it, room_id=other),
        "check_out": lambda: check_out(**it),
        "undo_out": lambda: undo_check_out(**boss, reason="Wrong guest"),
        "undo_out_agt": lambda: undo_check_out(**it, reason="Wrong guest"),
        "move": lambda: move_room(**it, to_room_id=other, reason="Shower drips"),
        "acknowledge": lambda: acknowledge_overstay(**it, note="Packing"),
        "extend": lambda: extend_stay(**it, add_nights=1),
    }


def outcome(booking: RoomBooking, work: Callable[[], RoomBooking]) -> str:
    """The outcome of ``work`` as a cell of the table; its writes are rolled back."""
    before = all_rows()
    with rolled_back():
        try:
            returned = work()
        except HotelMateError as refusal:
            result = refusal.code
            if all_rows() != before:
                result += ", and left a trace"
        else:
            stored = RoomBooking.objects.get(pk=booking.pk)
            written = all_rows() != before
            result = str(stored.status) if written else "="
            if (returned.status, returned.version) != (stored.status, stored.version):
                result += ", and returned what is not so"
            if written and stored.version <= booking.version:
                result += " without a new version"
            assert_invariants_hold()
    return result


@pytest.mark.parametrize("state", STATES)
def test_every_action_in_every_status(state, small_hotel):
    booking = bookings(small_hotel)[state]()
    tried = {name: outcome(booking, work) for name, work in steps(small_hotel, booking).items()}
    assert tried == EXPECTED[state]


def test_table_has_every_status():
    assert {WORDS[state.upper()] for state in STATES if state.upper() in WORDS} == set(BookingStatus.values)
