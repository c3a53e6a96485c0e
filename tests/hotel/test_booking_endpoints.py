"""Creating, reading, listing and changing bookings, mark-seen, and the party (docs/api.md, Bookings)."""

import pytest

from hotel.models import Hotel
from room_bookings.models import BookingGuest, RoomBooking, hash_token
from rooms.models import RoomType
from tests.conftest import url
from tests.endpoints import ENDPOINTS
from tests.factories import HotelFactory, RoomTypeFactory
from tests.hotel.booking_api import NOW, NOW_ISO, booking_url, changed_fields, day, event_types
from tests.http import assert_error, nothing_written, stored_rows

pytestmark = pytest.mark.usefixtures("afternoon")

ADA = {"first_name": "Ada", "last_name": "Lovelace", "email": "", "phone": ""}
ROW = {
    "booking_id": "BK-2025-0001",
    "confirmation_number": "",
    "status": "CONFIRMED",
    "created_at": NOW_ISO,
    "updated_at": NOW_ISO,
    "check_in": "2025-07-02",
    "check_out": "2025-07-04",
    "nights": 2,
    "room_type_name": "Standard",
    "guest_name": "Ada Lovelace",
    "guest_display_name": "Ada Lovelace",
    "primary_email": "",
    "primary_phone": "",
    "party_primary_full_name": "Ada Lovelace",
    "party_total_count": 2,
    "party_complete": True,
    "party_missing_count": 0,
    "adults": 2,
    "children": 0,
    "total_amount": "285.00",
    "currency": "EUR",
    "paid_at": None,
    "checked_in_at": None,
    "checked_out_at": None,
    "assigned_room_number": 101,
    "room_number": 101,
    "is_upgraded": False,
    "room_moved_at": None,
    "staff_seen_at": None,
    "is_new_for_staff": True,
    "is_late_arrival": False,
    "approval_deadline_at": None,
    "approval_risk_level": "OK",
    "approval_overdue_minutes": 0,
    "is_approval_due_soon": False,
    "is_approval_overdue": False,
    "checkout_deadline_at": "2025-07-04T10:00:00Z",
    "overstay_risk_level": "OK",
    "overstay_minutes": 0,
    "is_overstay": False,
}


@pytest.fixture
def booking(book, rooms) -> RoomBooking:
    """A booking of Ada and Charles for room 101."""
    made = book(booking_id="BK-2025-0001", adults=2, total_amount="285.00", assigned_room=rooms[0])
    BookingGuest.objects.create(booking=made, first_name="Charles", last_name="Babbage")
    return made


# --- lookup -----------------------------------------------------------------------------------------------------------

BOOKING_ENDPOINTS = [endpoint for endpoint in ENDPOINTS if "<str:bid>" in endpoint.route]


@pytest.mark.parametrize(
    "reference",
    ["BK-2025-9999", "nonsense", "1", "bk-2025-0001", "BK-2025-0001x", "BK-2025-0001%00", "%00", "BK-2025-0001%0A",
     "%20BK-2025-0001", "BK-2025-%D9%A1", "%F0%9F%9A%AA", "..%5C", "'", "%25", "B" * 5000],
)  # fmt: skip
def test_invalid_booking_references_are_not_found(api, manager, booking, reference):
    client = api(manager)
    with nothing_written():
        for endpoint in BOOKING_ENDPOINTS:
            path = url(manager, endpoint.route.replace("<str:bid>", reference).replace("<int:mail>", "1"))
            body = assert_error(client.generic(endpoint.method, path), 404, "BOOKING_NOT_FOUND")
            assert body["message"] == "There is no such booking.", endpoint.name


def test_another_hotels_booking_is_not_found(api, manager, book):
    elsewhere = HotelFactory(slug="other")
    theirs = book(hotel=elsewhere, room_type=RoomTypeFactory(hotel=elsewhere))
    client = api(manager)
    with nothing_written():
        for endpoint in BOOKING_ENDPOINTS:
            path = url(manager, endpoint.route.replace("<str:bid>", theirs.booking_id).replace("<int:mail>", "1"))
            assert_error(client.generic(endpoint.method, path), 404, "BOOKING_NOT_FOUND")


# --- the list ---------------------------------------------------------------------------------------------------------


def test_the_list_is_a_page_of_rows_with_counts(agent_client, agent, book, booking):
    book("PENDING_PAYMENT")
    answer = agent_client.get(url(agent, "room-bookings/"))
    assert answer.status_code == 200
    assert answer.json() == {
        "count": 1,
        "next": None,
        "previous": None,
        "results": [ROW],
        "bucket_counts": {
            "all": 1,
            "arrivals": 1,
            "in_house": 0,
            "departures": 0,
            "pending": 0,
            "checked_out": 0,
            "cancelled": 0,
            "expired": 0,
            "no_show": 0,
            "overdue_checkout": 0,
        },
    }


def test_a_page_of_a_bucket_counts_that_bucket(agent_client, agent, book):
    for _ in range(3):
        book()
    book("CANCELLED")
    answer = agent_client.get(url(agent, "room-bookings/?bucket=arrivals&page_size=2")).json()
    assert answer["count"] == 3
    assert len(answer["results"]) == 2
    assert answer["next"] == "http://testserver/api/staff/hotel/grand/room-bookings/?bucket=arrivals&page=2&page_size=2"
    assert answer["bucket_counts"]["all"] == 4
    past_the_end = agent_client.get(url(agent, "room-bookings/?bucket=arrivals&page=3&page_size=2")).json()
    assert (past_the_end["count"], past_the_end["results"], past_the_end["next"]) == (3, [], None)


def test_counts_can_be_left_out(agent_client, agent, booking):
    answer = agent_client.get(url(agent, "room-bookings/?include_counts=0"))
    assert answer.json() == {"count": 1, "next": None, "previous": None, "results": [ROW]}


def test_another_hotels_bookings_are_not_listed(agent_client, agent, book):
    elsewhere = HotelFactory(slug="other")
    book(hotel=elsewhere, room_type=RoomTypeFactory(hotel=elsewhere))
    answer = agent_client.get(url(agent, "room-bookings/")).json()
    assert (answer["count"], answer["results"], answer["bucket_counts"]["all"]) == (0, [], 0)


@pytest.mark.parametrize("query", ["bucket=x", "date_from=x", "room_id=x", "q=%00", "ordering=x", "seen=x", "status=x"])
def test_an_invalid_filter_is_named(agent_client, agent, query):
    body = assert_error(agent_client.get(url(agent, f"room-bookings/?{query}")), 400, "VALIDATION_ERROR")
    assert list(body["details"]) == [query.partition("=")[0]]


# --- one --------------------------------------------------------------------------------------------------------------


def test_every_field_of_the_detail(agent_client, agent, booking, rooms):
    answer = agent_client.get(booking_url(agent, booking))
    assert answer.status_code == 200
    assert answer["ETag"] == '"0"'
    [companion] = BookingGuest.objects.all()
    charles = {"id": companion.pk, "first_name": "Charles", "last_name": "Babbage", "email": "", "phone": ""}
    booker = {"type": "SELF", "company": "", **ADA}
    assert answer.json() == {
        **ROW,
        "primary_first_name": "Ada",
        "primary_last_name": "Lovelace",
        "party": {"primary": ADA, "companions": [charles], "total_count": 2, "booker": booker},
        "booker": booker,
        "room": {
            "id": rooms[0].pk,
            "room_number": 101,
            "room_type_name": "Standard",
            "room_status": "READY_FOR_GUEST",
            "is_bookable": True,
        },
        "assigned_room": {"id": rooms[0].pk, "room_number": 101},
        "room_assigned_at": NOW_ISO,
        "assignment_notes": "",
        "flags": {
            "is_checked_in": False,
            "can_check_in": True,
            "can_check_out": False,
            "can_assign_room": True,
            "can_unassign_room": True,
            "can_move_room": False,
            "can_cancel": True,
            "can_edit_party": True,
        },
        "staff_seen_by_display": None,
        "special_requests": "",
        "internal_notes": "",
        "payment_provider": "",
        "payment_reference": "",
        "payment_parked_at": None,
        "cancelled_at": None,
        "cancellation_reason": "",
        "decision_at": None,
        "decline_reason_code": "",
        "decline_reason_note": "",
        "expired_at": None,
        "auto_expire_reason_code": "",
        "overstay_flagged_at": None,
        "overstay_acknowledged_at": None,
        "version": 0,
    }


# --- create -----------------------------------------------------------------------------------------------------------


def new_booking(standard, **fields):
    """The body of a new booking."""
    return {
        "room_type_id": standard.pk,
        "check_in": str(day(1)),
        "check_out": str(day(3)),
        "primary_first_name": "Grace",
        "primary_last_name": "Hopper",
        "adults": 2,
        "children": 1,
    } | fields


def make(agent_client, agent, standard, **fields):
    return agent_client.post(url(agent, "room-bookings/"), new_booking(standard, **fields))


def test_creating_a_booking(agent_client, agent, standard, rooms):
    answer = make(
        agent_client,
        agent,
        standard,
        room_type_id=str(standard.pk),  # ids are accepted as text too
        primary_email="grace@example.com",
        primary_phone="+1 202 555 0100",
        special_requests="high floor",
        total_amount=190,
        currency="USD",
        party=[{"first_name": "Vincent", "last_name": "Hopper"}],
        colour="blue",
        status="COMPLETED",
    )
    body = answer.json()
    assert answer.status_code == 201
    assert answer["ETag"] == '"0"'
    made = RoomBooking.objects.get()
    token = body.pop("guest_token")
    assert made.guest_token_hash == hash_token(token)
    assert token not in str(stored_rows())
    assert body == agent_client.get(booking_url(agent, made)).json()
    assert {key: body[key] for key in ("booking_id", "status", "check_in", "check_out", "nights", "adults")} == {
        "booking_id": "BK-2025-0001",
        "status": "CONFIRMED",
        "check_in": "2025-07-03",
        "check_out": "2025-07-05",
        "nights": 2,
        "adults": 2,
    }
    assert len(body["confirmation_number"]) == 8
    assert (body["total_amount"], body["currency"], body["children"]) == ("190.00", "USD", 1)
    assert body["party"]["primary"] == {
        "first_name": "Grace",
        "last_name": "Hopper",
        "email": "grace@example.com",
        "phone": "+1 202 555 0100",
    }
    assert [person["first_name"] for person in body["party"]["companions"]] == ["Vincent"]
    assert event_types() == ["booking_created"]


def test_the_required_fields_are_few(agent_client, agent, standard, rooms):
    body = new_booking(
        standard, primary_email=None, primary_phone="", party=[], total_amount=None, special_requests=None
    )
    del body["adults"], body["children"]
    answer = agent_client.post(url(agent, "room-bookings/"), body)
    made = answer.json()
    assert answer.status_code == 201
    assert (made["adults"], made["children"], made["total_amount"], made["currency"]) == (1, 0, None, "EUR")


def test_a_booking_with_a_card_payment_waits_for_approval(agent_client, agent, standard, rooms):
    answer = make(agent_client, agent, standard, payment_provider="stripe", payment_reference="pi_123")
    body = answer.json()
    assert answer.status_code == 201
    assert (body["status"], body["confirmation_number"]) == ("PENDING_APPROVAL", "")
    assert (body["payment_provider"], body["payment_reference"]) == ("stripe", "pi_123")
    assert body["approval_deadline_at"] == "2025-07-02T22:00:00Z"
    again = make(agent_client, agent, standard, payment_provider="stripe", payment_reference="pi_123")
    details = assert_error(again, 409, "PAYMENT_REFERENCE_TAKEN")["details"]
    assert details == {"payment_reference": ["Another booking already has this payment."]}


def test_day_use_and_the_longest_stay_are_accepted(agent_client, agent, standard, rooms):
    assert make(agent_client, agent, standard, check_in=str(day(0)), check_out=str(day(0))).json()["nights"] == 0
    assert make(agent_client, agent, standard, check_in=str(day(1)), check_out=str(day(366))).json()["nights"] == 365


def test_too_many_decimals_for_the_currency_are_refused(agent_client, agent, standard, rooms):
    with nothing_written():
        answer = make(agent_client, agent, standard, total_amount="9000.5", currency="JPY")
    assert assert_error(answer, 400, "VALIDATION_ERROR")["total_amount"] == ["Amounts in JPY have no decimals."]
    made = make(agent_client, agent, standard, total_amount="9000.00", currency="JPY").json()
    assert (made["total_amount"], made["currency"]) == ("9000", "JPY")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("room_type_id", "x"),
        ("room_type_id", 0),
        ("room_type_id", 10**30),
        ("room_type_id", 987654321),
        ("check_in", "2025-13-01"),
        ("check_in", "1999-12-31"),
        ("check_in", None),
        ("check_out", "2101-01-01"),
        ("check_out", "2025-07-02"),  # before the arrival
        ("check_out", "2026-07-04"),  # 366 nights
        ("primary_first_name", "  "),
        ("primary_first_name", "x" * 101),
        ("primary_last_name", "\u0000"),
        ("primary_last_name", None),
        ("primary_email", "no address"),
        ("primary_email", "\u0000@example.com"),
        ("primary_phone", "9" * 41),
        ("primary_phone", "\u0000"),
        ("adults", 0),
        ("adults", 51),
        ("adults", 1.5),
        ("adults", True),
        ("children", -1),
        ("children", 51),
        ("special_requests", "x" * 2001),
        ("special_requests", "a\u0000b"),
        ("total_amount", -1),
        ("total_amount", "1.005"),
        ("total_amount", "12345678901"),
        ("total_amount", "NaN"),
        ("total_amount", "Infinity"),
        ("total_amount", True),
        ("currency", "eur"),
        ("currency", "EURO"),
        ("currency", ""),
        ("currency", "QQQ"),
        ("party", "Vincent"),
        ("party", ["Vincent"]),
        ("party", [{"first_name": "Vincent"}]),
        ("party", [{"first_name": "\u0000", "last_name": "x"}]),
        ("party", [{"first_name": "Vincent", "last_name": "Hopper"}] * 51),
        ("payment_provider", "paypal"),
        ("payment_reference", "x" * 256),
    ],
)
def test_an_invalid_field_is_named_and_no_booking_created(agent_client, agent, standard, rooms, field, value):
    with nothing_written():
        body = assert_error(make(agent_client, agent, standard, **{field: value}), 400, "VALIDATION_ERROR")
    assert list(body["details"]) == [field]
    assert body[field] == body["details"][field]


def test_a_card_payment_requires_its_reference(agent_client, agent, standard, rooms):
    for missing in ({}, {"payment_reference": " "}, {"payment_reference": None}):
        with nothing_written():
            answer = make(agent_client, agent, standard, payment_provider="stripe", **missing)
        assert list(assert_error(answer, 400)["details"]) == ["payment_reference"]


def test_a_stay_in_the_past_cannot_be_booked(agent_client, agent, standard, rooms):
    with nothing_written():
        answer = make(agent_client, agent, standard, check_in=str(day(-3)), check_out=str(day(-1)))
    assert list(assert_error(answer, 400)["details"]) == ["check_out"]


def test_another_hotels_room_type_cannot_be_booked(agent_client, agent, standard, rooms):
    theirs = RoomTypeFactory(hotel=HotelFactory(slug="other"))
    with nothing_written():
        answer = make(agent_client, agent, standard, room_type_id=theirs.pk)
    assert list(assert_error(answer, 400)["details"]) == ["room_type_id"]


def test_a_sold_out_type_is_refused_unless_overbooking_is_allowed(agent_client, agent, standard, rooms, book):
    for _ in rooms:
        book(check_in=day(2), check_out=day(4))
    with nothing_written():
        body = assert_error(make(agent_client, agent, standard), 409, "NO_AVAILABILITY")
    assert body["details"] == {"room_type_id": standard.pk, "date": "2025-07-04"}
    Hotel.objects.update(allow_overbooking=True)
    assert make(agent_client, agent, standard).status_code == 201


# --- change -----------------------------------------------------------------------------------------------------------


def test_changing_a_booking(agent_client, agent, booking):
    path = booking_url(agent, booking)
    before = agent_client.get(path).json()
    answer = agent_client.patch(
        path,
        {
            "check_out": str(day(3)),
            "adults": 3,
            "children": 1,
            "primary_phone": "+353 1 555 0000",
            "special_requests": "cot",
            "internal_notes": "regular",
            "total_amount": "200.5",
            "currency": "KWD",
            # of another step, and as it is
            "status": "CONFIRMED",
            "nights": "2",
            "room_type_id": str(booking.room_type_id),
            "flags": before["flags"],
            # of no meaning here
            "shoe_size": 44,
        },
        HTTP_IF_MATCH='"0"',
    )
    assert answer.status_code == 200
    assert answer["ETag"] == '"1"'
    assert answer.json() == agent_client.get(path).json()
    ada = ADA | {"phone": "+353 1 555 0000"}
    booker = {"type": "SELF", "company": "", **ada}
    assert changed_fields(before, answer.json()) == {
        "check_out": "2025-07-05",
        "nights": 3,
        "checkout_deadline_at": "2025-07-05T10:00:00Z",
        "adults": 3,
        "children": 1,
        "party_missing_count": 1,
        "primary_phone": "+353 1 555 0000",
        "party": before["party"] | {"primary": ada, "booker": booker},
        "booker": booker,
        "special_requests": "cot",
        "internal_notes": "regular",
        "total_amount": "200.500",
        "currency": "KWD",
        "version": 1,
    }
    assert event_types() == ["booking_updated"]


def test_sending_the_read_fields_back_changes_nothing(agent_client, agent, booking):
    path = booking_url(agent, booking)
    read = agent_client.get(path).json()
    with nothing_written():
        answer = agent_client.patch(path, read)
    assert (answer.status_code, answer.json()) == (200, read)


@pytest.mark.parametrize(
    "sent",
    [{"status": "COMPLETED"}, {"assigned_room": None, "adults": 3}, {"version": 77}],
    ids=lambda sent: next(iter(sent)),
)
def test_fields_with_their_own_action_are_refused(agent_client, agent, booking, sent):
    with nothing_written():
        body = assert_error(agent_client.patch(booking_url(agent, booking), sent), 400, "READ_ONLY_FIELD")
    [name, *_] = sent
    sentence = f"{name} can't be changed here: send its current value or leave it out."
    assert (body["message"], body["details"], body[name]) == (sentence, {name: [sentence]}, [sentence])


def test_two_read_only_fields_are_both_named(agent_client, agent, booking):
    body = assert_error(
        agent_client.patch(booking_url(agent, booking), {"status": "X", "nights": 9}), 400, "READ_ONLY_FIELD"
    )
    assert list(body["details"]) == ["status", "nights"]
    assert body["message"].count("can't be changed here") == 2


def test_unchanged_values_change_nothing(agent_client, agent, booking):
    with nothing_written():
        answer = agent_client.patch(
            booking_url(agent, booking), {"adults": "2", "primary_email": None, "check_in": str(day(0))}
        )
        assert answer.status_code == 200
        assert agent_client.patch(booking_url(agent, booking), {}).status_code == 200


@pytest.mark.parametrize("header", ['"1"', 'W/"1"', '"1-gzip"', '"x"', '"99999999999999999999"'])
def test_a_stale_version_is_412(agent_client, agent, booking, header):
    with nothing_written():
        answer = agent_client.patch(booking_url(agent, booking), {"adults": 3}, HTTP_IF_MATCH=header)
    body = assert_error(answer, 412, "PRECONDITION_FAILED")
    assert body["details"] == {"booking_id": "BK-2025-0001", "status": "CONFIRMED", "version": 0}


@pytest.mark.parametrize(
    ("header", "status"), [('"3", "0"', 200), ('W/"0"', 200), ('"0-gzip"', 200), ("*", 200), ("", 200), ("0", 400)]
)
def test_other_forms_of_if_match(agent_client, agent, booking, header, status):
    answer = agent_client.patch(booking_url(agent, booking), {"adults": 3}, HTTP_IF_MATCH=header)
    assert answer.status_code == status


def test_dates_cannot_overlap_the_rooms_next_booking(agent_client, agent, booking, book, rooms):
    following = book(assigned_room=rooms[0], check_in=day(3), check_out=day(5))
    path = booking_url(agent, booking)
    with nothing_written():
        body = assert_error(agent_client.patch(path, {"check_out": str(day(4))}), 409, "ROOM_OVERLAP_CONFLICT")
    assert body["details"]["conflicts"] == [
        {
            "booking_id": following.booking_id,
            "room_number": 101,
            "start_date": "2025-07-05",
            "end_date": "2025-07-07",
        }
    ]
    assert agent_client.patch(path, {"check_out": str(day(3))}).status_code == 200


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"check_in": "2025-07-05"}, "check_in"),  # after the departure, which is not sent
        ({"check_in": "2025-07-03", "check_out": "2025-07-02"}, "check_out"),
        ({"check_out": "2026-07-03"}, "check_out"),
        ({"check_out": "1999-01-01"}, "check_out"),
        ({"check_out": None}, "check_out"),
        ({"check_in": "2025-06-01", "check_out": "2025-06-03"}, "check_out"),
        ({"adults": 0}, "adults"),
        ({"primary_first_name": ""}, "primary_first_name"),
        ({"internal_notes": "\u0000"}, "internal_notes"),
        ({"total_amount": "-1"}, "total_amount"),
        ({"total_amount": "1.234"}, "total_amount"),
        ({"total_amount": "1.23456"}, "total_amount"),
        ({"total_amount": 10**30}, "total_amount"),
        ({"total_amount": "a lot"}, "total_amount"),
        ({"currency": "eur"}, "currency"),
        ({"currency": "QQQ"}, "currency"),
        ({"currency": None}, "currency"),
        ({"currency": ["EUR"]}, "currency"),
        ({"total_amount": "0.5", "currency": "JPY"}, "total_amount"),
        ({"internal_notes": "x" * 2001}, "internal_notes"),
        ({"special_requests": "x" * 10_001}, "special_requests"),
    ],
)
def test_an_invalid_change_is_named(agent_client, agent, booking, fields, named):
    with nothing_written():
        body = assert_error(agent_client.patch(booking_url(agent, booking), fields), 400, "VALIDATION_ERROR")
    assert list(body["details"]) == [named]


def test_in_house_only_the_departure_can_change(agent_client, agent, book, rooms):
    stay = book("IN_HOUSE", assigned_room=rooms[0], check_in=day(-1))
    path = booking_url(agent, stay)
    with nothing_written():
        assert_error(agent_client.patch(path, {"check_in": str(day(0))}), 409, "BOOKING_ALREADY_CHECKED_IN")
    assert agent_client.patch(path, {"check_out": str(day(5))}).json()["check_out"] == "2025-07-07"


def test_only_the_notes_of_a_closed_booking_can_change(agent_client, agent, book):
    over = book("CANCELLED")
    path = booking_url(agent, over)
    with nothing_written():
        assert_error(agent_client.patch(path, {"adults": 3}), 409, "BOOKING_NOT_ELIGIBLE")
    assert (
        agent_client.patch(path, {"internal_notes": "rang to apologise"}).json()["internal_notes"]
        == "rang to apologise"
    )


# --- seen -------------------------------------------------------------------------------------------------------------


def test_first_viewer_is_recorded(api, agent_client, agent, manager, booking):
    path = booking_url(agent, booking, "mark-seen/")
    answer = agent_client.post(path)
    assert answer.status_code == 200
    assert answer.json() == {
        "booking_id": "BK-2025-0001",
        "staff_seen_at": NOW_ISO,
        "staff_seen_by": {"id": agent.pk, "name": agent.name},
        "is_new_for_staff": False,
    }
    assert event_types() == ["booking_updated"]
    with nothing_written():
        assert api(manager).post(path).json() == answer.json()
    detail = agent_client.get(booking_url(agent, booking)).json()
    assert (detail["staff_seen_at"], detail["staff_seen_by_display"]) == (NOW.isoformat()[:-6] + "Z", agent.name)


# --- the party --------------------------------------------------------------------------------------------------------


def test_reading_and_replacing_the_party(agent_client, agent, booking):
    path = booking_url(agent, booking, "party/")
    [charles] = BookingGuest.objects.all()
    assert agent_client.get(path).json() == {
        "primary": ADA,
        "companions": [{"id": charles.pk, "first_name": "Charles", "last_name": "Babbage", "email": "", "phone": ""}],
        "total_count": 2,
    }
    companions = [
        {"first_name": "Mary", "last_name": "Somerville", "email": "mary@example.com", "phone": "+44 1"},
        {"first_name": "Annabella", "last_name": "Byron", "email": None},
    ]
    answer = agent_client.put(path + "companions/", {"companions": companions})
    assert answer.status_code == 200
    mary, annabella = BookingGuest.objects.order_by("pk")
    assert answer.json() == agent_client.get(path).json()
    assert answer.json() == {
        "primary": ADA,
        "companions": [
            {"id": mary.pk, **companions[0]},
            {"id": annabella.pk, "first_name": "Annabella", "last_name": "Byron", "email": "", "phone": ""},
        ],
        "total_count": 3,
    }
    assert event_types() == ["booking_party_updated"]
    with nothing_written():
        assert agent_client.put(path + "companions/", {"companions": companions}).json() == answer.json()
    assert agent_client.put(path + "companions/", {"companions": []}).json()["total_count"] == 1


@pytest.mark.parametrize(
    "companions",
    [
        None,
        "Mary",
        {},
        [None],
        [[]],
        [{"first_name": "Mary", "last_name": " "}],
        [{"first_name": "Mary\u0000", "last_name": "S"}],
        [{"first_name": "Mary", "last_name": "S", "email": "x"}],
        [{"first_name": "Mary", "last_name": "S"}] * 51,
    ],
)
def test_invalid_companions_are_refused(agent_client, agent, booking, companions):
    with nothing_written():
        answer = agent_client.put(booking_url(agent, booking, "party/companions/"), {"companions": companions})
    assert list(assert_error(answer, 400, "VALIDATION_ERROR")["details"]) == ["companions"]


def test_fifty_companions_are_accepted(agent_client, agent, booking):
    RoomType.objects.update(max_occupancy=51)
    crowd = [{"first_name": f"Guest {n}", "last_name": "S"} for n in range(50)]
    answer = agent_client.put(booking_url(agent, booking, "party/companions/"), {"companions": crowd})
    assert answer.json()["total_count"] == 51


def test_the_party_of_a_closed_booking_cannot_change(agent_client, agent, book):
    over = book("NO_SHOW")
    with nothing_written():
        answer = agent_client.put(booking_url(agent, over, "party/companions/"), {"companions": []})
    assert_error(answer, 409, "BOOKING_NOT_ELIGIBLE")
