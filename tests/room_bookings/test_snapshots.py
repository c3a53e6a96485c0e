"""A booking's row and detail: every documented field, and those that depend on the time."""

import json
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest

from common import clock
from room_bookings.models import STRIPE, BookingGuest, BookingStatus, PaymentState, RoomBooking
from room_bookings.selectors import booking_list, booking_lock
from room_bookings.snapshots import booking_detail, booking_row
from tests.factories import BookingFactory, HotelFactory, NewRoomFactory, RoomTypeFactory, StaffFactory

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 7, 1, 14, 0, tzinfo=UTC)  # 3 p.m. in Dublin
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


@pytest.fixture(autouse=True)
def _at_three():
    with clock.set_to(NOW):
        yield


def shown(booking: RoomBooking) -> RoomBooking:
    """The booking as the list and the detail load it."""
    return booking_list().get(pk=booking.pk)


def moments(**given: str) -> dict[str, datetime]:
    return {name: datetime.fromisoformat(moment) for name, moment in given.items()}


def fully_filled(**fields: Any) -> RoomBooking:
    """A booking with every field set that its status allows."""
    hotel = HotelFactory(slug="grand")
    standard = RoomTypeFactory(hotel=hotel, code="A", name="Std")
    suite = RoomTypeFactory(hotel=hotel, code="S", name="Sea")
    clerk = StaffFactory(hotel=hotel, user__first_name="Aoife", user__last_name="Kelly")
    filled = dict(
        hotel=hotel,
        booking_id="BK-2026-0005",
        confirmation_number="7KQ2M9XA",
        version=7,
        check_in=date(2026, 6, 29),
        check_out=date(2026, 7, 1),
        adults=4,
        children=1,
        room_type=standard,
        primary_email="ada@example.com",
        primary_phone="+44 20 7946 0000",
        booker_type="COMPANY",
        booker_first_name="Charles",
        booker_last_name="Babbage",
        booker_company="Engines Ltd",
        booker_email="office@example.com",
        booker_phone="+44 20 7946 1111",
        special_requests="quiet room",
        internal_notes="regular",
        total_amount=Decimal("1285.5"),
        currency="GBP",
        payment_provider=STRIPE,
        payment_reference="pi_123",
        payment_state=PaymentState.CAPTURED,
        assigned_room=NewRoomFactory(hotel=hotel, room_type=suite, room_number=412),
        assignment_notes="sea side",
        staff_seen_by=clerk,
        decline_reason_code="FULL",
        decline_reason_note="no rooms",
        auto_expire_reason_code="DEADLINE",
        cancellation_reason="ill",
        status=BookingStatus.IN_HOUSE,
        **moments(
            created_at="2026-05-01T09:00:00.250000+00:00",
            updated_at="2026-06-30T08:00:00+00:00",
            paid_at="2026-05-02T10:00:00+00:00",
            room_assigned_at="2026-06-28T10:00:00+00:00",
            checked_in_at="2026-06-29T14:05:00+00:00",
            room_moved_at="2026-06-30T07:59:00+00:00",
            staff_seen_at="2026-05-01T09:30:00+00:00",
            approval_deadline_at="2026-05-01T22:00:00+00:00",
            decision_at="2026-05-01T09:31:00+00:00",
            overstay_flagged_at="2026-07-01T10:30:01+00:00",
            overstay_acknowledged_at="2026-07-01T11:00:00+00:00",
        ),
    )
    booking = BookingFactory(**{**filled, **fields})
    BookingGuest.objects.create(booking=booking, first_name="Luigi", last_name="Menabrea", email="l@example.com")
    BookingGuest.objects.create(booking=booking, first_name="Mary", last_name="Somerville", phone="+44 1")
    return booking


ROW = {
    "booking_id": "BK-2026-0005",
    "confirmation_number": "7KQ2M9XA",
    "status": "IN_HOUSE",
    "created_at": "2026-05-01T09:00:00.250000Z",
    "updated_at": "2026-06-30T08:00:00Z",
    "check_in": "2026-06-29",
    "check_out": "2026-07-01",
    "nights": 2,
    "room_type_name": "Std",
    "guest_name": "Ada Lovelace",
    "guest_display_name": "Ada Lovelace",
    "primary_email": "ada@example.com",
    "primary_phone": "+44 20 7946 0000",
    "party_primary_full_name": "Ada Lovelace",
    "party_total_count": 3,
    "party_complete": True,
    "party_missing_count": 1,
    "adults": 4,
    "children": 1,
    "total_amount": "1285.50",
    "currency": "GBP",
    "paid_at": "2026-05-02T10:00:00Z",
    "checked_in_at": "2026-06-29T14:05:00Z",
    "checked_out_at": None,
    "assigned_room_number": 412,
    "room_number": 412,
    "is_upgraded": True,
    "room_moved_at": "2026-06-30T07:59:00Z",
    "staff_seen_at": "2026-05-01T09:30:00Z",
    "is_new_for_staff": False,
    "is_late_arrival": False,
    "approval_deadline_at": "2026-05-01T22:00:00Z",
    "approval_risk_level": "OK",
    "approval_overdue_minutes": 0,
    "is_approval_due_soon": False,
    "is_approval_overdue": False,
    # 11 a.m. in Dublin, four hours ago, of which half an hour is the grace period
    "checkout_deadline_at": "2026-07-01T10:00:00Z",
    "overstay_risk_level": "CRITICAL",
    "overstay_minutes": 240,
    "is_overstay": True,
}
PRIMARY = {
    "first_name": "Ada",
    "last_name": "Lovelace",
    "email": "ada@example.com",
    "phone": "+44 20 7946 0000",
}
COMPANY = {
    "type": "COMPANY",
    "first_name": "Charles",
    "last_name": "Babbage",
    "company": "Engines Ltd",
    "email": "office@example.com",
    "phone": "+44 20 7946 1111",
}


def detail_of(booking: RoomBooking) -> dict[str, Any]:
    """The whole detail of ``fully_filled()``, in house."""
    luigi, mary = booking.companions.order_by("pk")
    return {
        **ROW,
        "primary_first_name": "Ada",
        "primary_last_name": "Lovelace",
        "party": {
            "primary": PRIMARY,
            "companions": [
                {
                    "id": luigi.pk,
                    "first_name": "Luigi",
                    "last_name": "Menabrea",
                    "email": "l@example.com",
                    "phone": "",
                },
                {"id": mary.pk, "first_name": "Mary", "last_name": "Somerville", "email": "", "phone": "+44 1"},
            ],
            "booker": COMPANY,
            "total_count": 3,
        },
        "booker": COMPANY,
        "room": {
            "id": booking.assigned_room_id,
            "room_number": 412,
            "room_type_name": "Sea",
            "room_status": "READY_FOR_GUEST",
            "is_bookable": True,
        },
        "assigned_room": {"id": booking.assigned_room_id, "room_number": 412},
        "room_assigned_at": "2026-06-28T10:00:00Z",
        "assignment_notes": "sea side",
        "flags": {
            "is_checked_in": True,
            "can_check_in": False,
            "can_check_out": True,
            "can_assign_room": False,
            "can_unassign_room": False,
            "can_move_room": True,
            "can_cancel": False,  # paid by card
            "can_edit_party": True,
        },
        "staff_seen_by_display": "Aoife Kelly",
        "special_requests": "quiet room",
        "internal_notes": "regular",
        "payment_provider": "stripe",
        "payment_reference": "pi_123",
        "payment_parked_at": None,
        "cancelled_at": None,
        "cancellation_reason": "ill",
        "decision_at": "2026-05-01T09:31:00Z",
        "decline_reason_code": "",
        "decline_reason_note": "",
        "expired_at": None,
        "auto_expire_reason_code": "DEADLINE",
        "overstay_flagged_at": "2026-07-01T10:30:01Z",
        "overstay_acknowledged_at": "2026-07-01T11:00:00Z",
        "version": 7,
    }


# --- all fields -------------------------------------------------------------------------------------------------------


def test_row_has_every_documented_field(django_assert_num_queries):
    booking = shown(fully_filled())
    with django_assert_num_queries(0):
        row = booking_row(booking)
    assert row == ROW
    assert list(row) == list(ROW), "in the documented order"


def test_detail_has_every_documented_field(django_assert_num_queries):
    booking = fully_filled()
    read = shown(booking)
    with django_assert_num_queries(0):
        detail = booking_detail(read)
    assert detail == detail_of(booking)


def test_instance_from_a_service_gives_the_same_detail():
    booking = fully_filled()
    (locked,) = booking_lock([booking.pk])
    assert booking_detail(locked) == detail_of(booking)


@pytest.mark.parametrize("status", BookingStatus.values)
def test_detail_is_json_serializable(status):
    detail = booking_detail(shown(in_status(status)))
    assert json.loads(json.dumps(detail)) == detail
    assert type(detail["status"]) is str
    assert detail["room"] is None or type(detail["room"]["room_status"]) is str


def test_unset_fields_are_empty_not_missing():
    booking = BookingFactory(check_in=date(2026, 7, 3), check_out=date(2026, 7, 3))
    detail = booking_detail(shown(booking))
    assert set(detail) == set(detail_of(fully_filled()))
    empty = {name: value for name, value in detail.items() if value in (None, "", 0)}
    nulls = (
        "total_amount paid_at checked_in_at checked_out_at assigned_room_number room_number room_moved_at "
        "staff_seen_at approval_deadline_at room assigned_room room_assigned_at staff_seen_by_display cancelled_at "
        "decision_at expired_at overstay_flagged_at overstay_acknowledged_at payment_parked_at"
    )
    blank = (
        "confirmation_number primary_email primary_phone assignment_notes special_requests internal_notes "
        "payment_provider payment_reference cancellation_reason decline_reason_code decline_reason_note "
        "auto_expire_reason_code"
    )
    zero = "nights party_missing_count children approval_overdue_minutes overstay_minutes version"
    untrue = "is_upgraded is_late_arrival is_approval_due_soon is_approval_overdue is_overstay"
    assert empty == {
        **dict.fromkeys(nulls.split(), None),
        **dict.fromkeys(blank.split(), ""),
        **dict.fromkeys(zero.split(), 0),
        **dict.fromkeys(untrue.split(), False),
    }
    assert detail["is_new_for_staff"] is True
    assert detail["party"]["companions"] == []


@pytest.mark.parametrize(
    ("adults", "children", "companions", "named", "missing"),
    [
        (1, 0, 0, True, 0),
        (1, 3, 0, True, 0),
        (2, 0, 0, False, 1),
        (2, 0, 1, True, 0),
        (4, 0, 1, False, 2),
        (1, 0, 2, True, 0),
    ],
)
@pytest.mark.parametrize("required", [False, True])
def test_party_is_complete_if_the_hotel_does_not_require_names(adults, children, companions, named, missing, required):
    """The staff app offers rooms only to a complete party."""
    booking = BookingFactory(adults=adults, children=children, hotel__require_complete_party=required)
    for _ in range(companions):
        BookingGuest.objects.create(booking=booking, first_name="Mary", last_name="Somerville")
    complete = named or not required
    detail = booking_detail(shown(booking))
    for row in (booking_row(shown(booking)), detail):
        assert (row["party_complete"], row["party_missing_count"]) == (complete, missing)
        assert row["party_total_count"] == 1 + companions
    assert detail["flags"]["can_assign_room"] is complete


HERSELF = {"booker_type": "SELF", **dict.fromkeys([f"booker_{name}" for name in PRIMARY], "")}


@pytest.mark.parametrize(
    ("fields", "booker"),
    [
        (HERSELF, {"type": "SELF", **PRIMARY, "company": "Engines Ltd"}),
        ({**HERSELF, "booker_company": ""}, {"type": "SELF", **PRIMARY, "company": ""}),
        ({"booker_type": "COMPANY"}, COMPANY),
        ({"booker_type": "THIRD_PARTY", "booker_company": ""}, {**COMPANY, "type": "THIRD_PARTY", "company": ""}),
    ],
)
def test_booker_fields(fields, booker):
    detail = booking_detail(shown(fully_filled(**fields)))
    assert detail["booker"] == detail["party"]["booker"] == booker
    assert detail["party"]["primary"] == PRIMARY


# --- the approval deadline --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("after", "level", "minutes"),
    [
        (-24 * HOUR, "OK", 0),
        (-HOUR, "OK", 0),
        (-HOUR + SECOND, "DUE_SOON", 0),
        (-SECOND, "DUE_SOON", 0),
        (0 * SECOND, "DUE_SOON", 0),
        (SECOND, "OVERDUE", 0),
        (59 * SECOND, "OVERDUE", 0),
        (MINUTE, "OVERDUE", 1),
        (HOUR, "OVERDUE", 60),
        (HOUR + SECOND, "CRITICAL", 60),
        (24 * HOUR, "CRITICAL", 1440),
    ],
)
def test_risk_of_an_approval(after, level, minutes):
    """The hour before the deadline is DUE_SOON, the hour after it OVERDUE; then it is CRITICAL."""
    booking = in_status("PENDING_APPROVAL", approval_deadline_at=NOW - after)
    row = booking_row(shown(booking))
    assert {name: row[name] for name in row if "approval" in name} == {
        "approval_deadline_at": (NOW - after).isoformat().replace("+00:00", "Z"),
        "approval_risk_level": level,
        "approval_overdue_minutes": minutes,
        "is_approval_due_soon": level == "DUE_SOON",
        "is_approval_overdue": level in ("OVERDUE", "CRITICAL"),
    }


@pytest.mark.parametrize("status", [s for s in BookingStatus.values if s != "PENDING_APPROVAL"])
def test_only_an_open_approval_is_at_risk(status):
    row = booking_row(shown(in_status(status, approval_deadline_at=NOW - 5 * HOUR)))
    assert (row["approval_risk_level"], row["approval_overdue_minutes"]) == ("OK", 0)
    assert not row["is_approval_due_soon"] and not row["is_approval_overdue"]
    assert row["approval_deadline_at"] == "2026-07-01T09:00:00Z"


def test_an_approval_without_a_deadline_is_at_no_risk():
    row = booking_row(shown(in_status("PENDING_APPROVAL", approval_deadline_at=None)))
    assert (row["approval_deadline_at"], row["approval_risk_level"]) == (None, "OK")


# --- the departure deadline -------------------------------------------------------------------------------------------

# Timezone, departure, checkout time, and the time at which the guest is due out, worked out by hand.
DEADLINES = [
    ("Europe/Dublin", date(2026, 7, 1), time(11), datetime(2026, 7, 1, 10, 0, tzinfo=UTC)),
    ("America/New_York", date(2026, 7, 1), time(11), datetime(2026, 7, 1, 15, 0, tzinfo=UTC)),
    # the clocks go forward that morning
    ("Europe/Dublin", date(2026, 3, 28), time(11), datetime(2026, 3, 28, 11, 0, tzinfo=UTC)),
    ("Europe/Dublin", date(2026, 3, 29), time(11), datetime(2026, 3, 29, 10, 0, tzinfo=UTC)),
    ("America/New_York", date(2026, 3, 8), time(11), datetime(2026, 3, 8, 15, 0, tzinfo=UTC)),
    # … and back
    ("Europe/Dublin", date(2026, 10, 25), time(11), datetime(2026, 10, 25, 11, 0, tzinfo=UTC)),
    ("America/New_York", date(2026, 11, 1), time(11), datetime(2026, 11, 1, 16, 0, tzinfo=UTC)),
    # 01:30 is skipped, or occurs twice and means the first
    ("Europe/Dublin", date(2026, 3, 29), time(1, 30), datetime(2026, 3, 29, 1, 30, tzinfo=UTC)),
    ("Europe/Dublin", date(2026, 10, 25), time(1, 30), datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
]


@pytest.mark.parametrize(
    ("after", "level", "minutes"),
    [
        (-24 * HOUR, "OK", 0),
        (-SECOND, "OK", 0),
        (0 * SECOND, "OK", 0),
        (SECOND, "GRACE", 0),
        (45 * MINUTE, "GRACE", 45),
        (45 * MINUTE + SECOND, "OVERDUE", 45),
        (165 * MINUTE, "OVERDUE", 165),
        (165 * MINUTE + SECOND, "CRITICAL", 165),
        (48 * HOUR, "CRITICAL", 2880),
    ],
)
@pytest.mark.parametrize(("timezone", "check_out", "due", "deadline"), DEADLINES)
def test_risk_of_an_overstay(timezone, check_out, due, deadline, after, level, minutes):
    """After the deadline, 45 minutes of the hotel's grace period, then two hours OVERDUE, then CRITICAL."""
    hotel = HotelFactory(timezone=timezone, standard_checkout_time=due, late_checkout_grace_minutes=45)
    stay = {"check_in": check_out - timedelta(days=2), "check_out": check_out, "checked_in_at": deadline - 40 * HOUR}
    booking = in_status("IN_HOUSE", assigned_room=NewRoomFactory(hotel=hotel), **stay)
    with clock.set_to(deadline + after):
        row = booking_row(shown(booking))
    assert {name: row[name] for name in row if "overstay" in name or name == "checkout_deadline_at"} == {
        "checkout_deadline_at": deadline.isoformat().replace("+00:00", "Z"),
        "overstay_risk_level": level,
        "overstay_minutes": minutes,
        "is_overstay": level in ("OVERDUE", "CRITICAL"),
    }


@pytest.mark.parametrize("status", [s for s in BookingStatus.values if s != "IN_HOUSE"])
def test_only_a_guest_in_house_overstays(status):
    booking = in_status(status, check_in=date(2026, 6, 1), check_out=date(2026, 6, 3))
    row = booking_row(shown(booking))
    assert (row["overstay_risk_level"], row["overstay_minutes"], row["is_overstay"]) == ("OK", 0, False)
    assert row["checkout_deadline_at"] == "2026-06-03T10:00:00Z"


# --- flags ------------------------------------------------------------------------------------------------------------


def in_status(status: str, **fields: Any) -> RoomBooking:
    """A booking from 30 June to 2 July in ``status``, with a room if the status needs one."""
    day_ago = NOW - 24 * HOUR
    facts: dict[str, dict[str, Any]] = {
        "IN_HOUSE": {"checked_in_at": day_ago, "assigned_room": fields.get("assigned_room") or NewRoomFactory()},
        "COMPLETED": {"checked_in_at": day_ago, "checked_out_at": NOW},
        "CANCELLED": {"cancelled_at": day_ago},
        "EXPIRED": {"expired_at": day_ago},
    }
    given = {"check_in": date(2026, 6, 30), "check_out": date(2026, 7, 2), **facts.get(status, {}), **fields}
    if room := given.get("assigned_room"):
        given = {"hotel": room.hotel, "room_type": room.room_type, **given}
    return BookingFactory(status=status, **given)


def flags(booking: RoomBooking) -> list[str]:
    """The flags that are true."""
    all_flags = booking_detail(shown(booking))["flags"]
    assert list(all_flags) == [
        "is_checked_in",
        "can_check_in",
        "can_check_out",
        "can_assign_room",
        "can_unassign_room",
        "can_move_room",
        "can_cancel",
        "can_edit_party",
    ]
    assert all(type(up) is bool for up in all_flags.values())
    return [name.removeprefix("can_") for name, up in all_flags.items() if up]


@pytest.mark.parametrize(
    ("status", "up"),
    [
        ("PENDING_PAYMENT", []),
        ("PENDING_APPROVAL", ["edit_party"]),
        ("CONFIRMED", ["check_in", "assign_room", "cancel", "edit_party"]),
        ("IN_HOUSE", ["is_checked_in", "check_out", "move_room", "cancel", "edit_party"]),
        ("COMPLETED", []),
        ("DECLINED", []),
        ("CANCELLED", []),
        ("CANCELLED_DRAFT", []),
        ("EXPIRED", []),
        ("NO_SHOW", []),
    ],
)
def test_flags_by_status(status, up):
    assert flags(in_status(status)) == up


def test_assigned_room_can_be_unassigned():
    with_room = in_status("CONFIRMED", assigned_room=NewRoomFactory())
    assert flags(with_room) == ["check_in", "assign_room", "unassign_room", "cancel", "edit_party"]


def test_decline_reason_appears_only_once_declined():
    """The reason is written before Stripe is asked for the refund; if that fails, nothing visible has changed."""
    reason = {"decline_reason_code": "FULL", "decline_reason_note": "no rooms"}
    details = {status: booking_detail(shown(in_status(status, **reason))) for status in ("DECLINED", "CONFIRMED")}
    assert {name: details["DECLINED"][name] for name in reason} == reason
    assert {name: details["CONFIRMED"][name] for name in reason} == dict.fromkeys(reason, "")


def test_no_check_in_during_a_refund():
    card = {"payment_provider": STRIPE, "paid_at": clock.now()}
    arriving = {"check_in": date(2026, 7, 1), "check_out": date(2026, 7, 2)}
    with clock.set_to(datetime(2026, 7, 1, 14, tzinfo=UTC)):
        assert "check_in" in flags(
            in_status("CONFIRMED", payment_state="CAPTURED", payment_reference="pi_1", **card, **arriving)
        )
        assert "check_in" not in flags(
            in_status("CONFIRMED", payment_state="REFUNDING", payment_reference="pi_2", **card, **arriving)
        )


@pytest.mark.parametrize("status", ["CONFIRMED", "IN_HOUSE"])
def test_card_booking_is_declined_instead_of_cancelled(status):
    card = {"payment_provider": STRIPE, "payment_reference": "pi_1", "payment_state": PaymentState.AUTHORISED}
    assert "cancel" in flags(in_status(status))
    assert "cancel" not in flags(in_status(status, **card))


@pytest.mark.parametrize(
    ("check_in", "check_out", "at", "may"),
    [
        # local time in Dublin is an hour ahead; the business day ends at two in the morning
        ((2026, 7, 1), (2026, 7, 3), (2026, 6, 30, 22, 59), False),
        ((2026, 7, 1), (2026, 7, 3), (2026, 7, 1, 6, 59), False),
        ((2026, 7, 1), (2026, 7, 3), (2026, 7, 1, 7, 0), True),  # 8 a.m., when check-in opens
        ((2026, 7, 1), (2026, 7, 3), (2026, 7, 3, 0, 59), True),  # the second night, until its end
        ((2026, 7, 1), (2026, 7, 3), (2026, 7, 3, 1, 0), False),
        ((2026, 7, 1), (2026, 7, 1), (2026, 7, 1, 14, 0), True),  # day use
        ((2026, 7, 1), (2026, 7, 1), (2026, 7, 2, 0, 59), True),
        ((2026, 7, 1), (2026, 7, 1), (2026, 7, 2, 1, 0), False),
    ],
)
def test_a_guest_may_arrive_until_the_last_night_is_over(check_in, check_out, at, may):
    booking = in_status("CONFIRMED", check_in=date(*check_in), check_out=date(*check_out))
    with clock.set_to(datetime(*at, tzinfo=UTC)):
        assert ("check_in" in flags(booking)) is may
