"""Catching up on missed events: in order, without gaps, with the channel's rights (docs/realtime.md, Missed events)."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection

from common import clock
from housekeeping.models import Source
from housekeeping.services import set_room_status
from notifications import relay
from notifications.models import BOOKINGS, GUESTS, ROOMS, EventStream, RealtimeEvent
from notifications.notification_manager import messages
from notifications.retention import forget_events
from tests.conftest import url
from tests.factories import HotelFactory, NewRoomFactory, StaffFactory, booking_in
from tests.http import DocumentedClient, assert_error, nothing_written
from tests.notifications.event_log import log_of, unnumbered

pytestmark = pytest.mark.django_db

LONG_AGO = timedelta(days=8)


def ask(client, hotel, channel: str = "rooms", **query: Any):
    return client.get(f"/api/staff/hotel/{hotel.slug}/events/", {"channel": channel, **query})


def seqs(answer) -> list[int]:
    assert answer.status_code == 200, answer.content
    return [envelope["meta"]["seq"] for envelope in answer.json()["results"]]


# --- results ----------------------------------------------------------------------------------------------------------


def test_events_are_returned_in_order_as_sent(api, hotel, housekeeper):
    room = NewRoomFactory(hotel=hotel)
    for to_status in ("CHECKOUT_DIRTY", "CLEANING_IN_PROGRESS", "CLEANED_UNINSPECTED"):
        set_room_status(room=room, to_status=to_status, source=Source.SYSTEM)
    relay.number(EventStream.objects.create(hotel=hotel, name=ROOMS))
    answer = ask(api(housekeeper), hotel, after=0)
    results = answer.json()["results"]
    assert [envelope["payload"]["room_status"] for envelope in results] == [
        "CHECKOUT_DIRTY",
        "CLEANING_IN_PROGRESS",
        "CLEANED_UNINSPECTED",
    ]
    assert seqs(answer) == [1, 2, 3]
    assert answer.json()["latest_seq"] == 3
    assert results[0]["meta"]["scope"] == {"room_number": room.room_number}


def test_each_envelope_is_byte_for_byte_as_sent_to_pusher(api, hotel, manager):
    log_of(hotel, 2)
    booking_in("CONFIRMED", hotel=hotel)
    body = ask(api(manager), hotel, after=0).content.decode()
    sent = [messages(event)[0]["data"] for event in RealtimeEvent.objects.order_by("seq")]
    assert "Lüftung, 窓" in sent[0]
    assert body == '{"results":[' + ",".join(sent) + '],"latest_seq":2}'


def test_all_numbered_events_are_returned(api, hotel, housekeeper):
    now = clock.now()
    log_of(hotel, 1)
    log_of(hotel, 1, sent_at=None)
    log_of(hotel, 1, sent_at=None, parked_at=now, last_error="413")
    log_of(hotel, 1)
    unnumbered(hotel)
    answer = ask(api(housekeeper), hotel, after=0)
    assert seqs(answer) == [1, 2, 3, 4]
    assert answer.json()["latest_seq"] == 4


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8, 500])
def test_pages_add_up_to_the_log(api, hotel, housekeeper, limit):
    stored = log_of(hotel, 7)
    client, after, pages, received = api(housekeeper), 0, 0, []
    while True:
        body = ask(client, hotel, after=after, limit=limit).json()
        assert len(body["results"]) <= limit
        received += [envelope["meta"]["event_id"] for envelope in body["results"]]
        after, pages = body["results"][-1]["meta"]["seq"], pages + 1
        if after == body["latest_seq"]:
            break
    assert received == [str(event.event_id) for event in stored]
    assert pages == -(-7 // limit)


def test_new_client_gets_the_latest_number(api, hotel, housekeeper):
    client = api(housekeeper)
    assert ask(client, hotel).json() == {"results": [], "latest_seq": 0}
    log_of(hotel, 5)
    assert ask(client, hotel).json() == {"results": [], "latest_seq": 5}
    assert ask(client, hotel, after="").json() == {"results": [], "latest_seq": 5}
    assert ask(client, hotel, limit=2).json() == {"results": [], "latest_seq": 5}


@pytest.mark.parametrize("after", [5, 6, 1000, 2**63 - 1])
def test_up_to_date_client_gets_an_empty_page(api, hotel, housekeeper, after):
    log_of(hotel, 5)
    assert ask(api(housekeeper), hotel, after=after).json() == {"results": [], "latest_seq": 5}


@pytest.mark.parametrize("after", [0, 1])
def test_hotel_without_events(api, hotel, housekeeper, after):
    assert ask(api(housekeeper), hotel, after=after).json() == {"results": [], "latest_seq": 0}


def test_limit(api, hotel, housekeeper):
    log_of(hotel, 501)
    client = api(housekeeper)
    assert len(seqs(ask(client, hotel, after=0))) == 100
    for limit in (500, 501, 10**9, 10**30):
        answer = ask(client, hotel, after=0, limit=limit)
        assert seqs(answer) == list(range(1, 501))
        assert answer.json()["latest_seq"] == 501


# --- deleted events ---------------------------------------------------------------------------------------------------


def test_position_before_the_oldest_event_is_gone(api, hotel, housekeeper):
    log_of(hotel, 4, created_at=clock.now() - LONG_AGO)
    log_of(hotel, 3)
    client = api(housekeeper)
    assert seqs(ask(client, hotel, after=0)) == [1, 2, 3, 4, 5, 6, 7]
    assert forget_events(hotel) == 4
    assert seqs(ask(client, hotel, after=4)) == [5, 6, 7]
    for after in (0, 3):
        body = assert_error(ask(client, hotel, after=after, limit=1), 410, "EVENTS_EXPIRED")
        assert body["details"] == {"oldest_seq": 5, "latest_seq": 7}
        assert body["message"] == f"The events after {after} are no longer available: reload, then continue from 7."
    assert ask(client, hotel).json() == {"results": [], "latest_seq": 7}


def test_only_an_up_to_date_client_continues_after_all_events_are_deleted(api, hotel, housekeeper):
    log_of(hotel, 3, created_at=clock.now() - LONG_AGO)
    assert forget_events(hotel) == 3
    client = api(housekeeper)
    assert ask(client, hotel, after=3).json() == {"results": [], "latest_seq": 3}
    assert_error(ask(client, hotel, after=2), 410, "EVENTS_EXPIRED")
    log_of(hotel, 1)
    assert seqs(ask(client, hotel, after=3)) == [4]
    assert_error(ask(client, hotel, after=2), 410, "EVENTS_EXPIRED")


# --- while events are being numbered ----------------------------------------------------------------------------------


class BetweenTheReads:
    """Runs ``work`` between the first statement that reads events or streams and the next."""

    def __init__(self, work):
        self.work = work

    def __call__(self, execute, sql, params, many, context):
        result = execute(sql, params, many, context)
        if self.work and "notifications_" in sql:
            work, self.work = self.work, None
            work()
        return result


@pytest.mark.parametrize("after", [1, 2, 3, 4])
def test_event_numbered_between_the_reads(api, hotel, housekeeper, after):
    log_of(hotel, 3)
    client = api(housekeeper)
    between = BetweenTheReads(lambda: log_of(hotel, 1))
    with connection.execute_wrapper(between):
        answer = ask(client, hotel, after=after)
    assert between.work is None
    assert seqs(answer) == list(range(after + 1, 5))
    # Never below the last result; an event beyond it may only be in the next response.
    assert answer.json()["latest_seq"] == (4 if after < 4 else 3)


def test_events_deleted_between_the_reads_are_gone(api, hotel, housekeeper):
    log_of(hotel, 3, created_at=clock.now() - LONG_AGO)
    log_of(hotel, 2)
    client = api(housekeeper)
    with connection.execute_wrapper(BetweenTheReads(lambda: forget_events(hotel))):
        assert_error(ask(client, hotel, after=1), 410, "EVENTS_EXPIRED")


# --- rights -----------------------------------------------------------------------------------------------------------


def test_events_of_other_hotels_and_channels_are_never_returned(api, hotel, manager):
    other = HotelFactory(slug="other")
    log_of(other, 9)
    log_of(hotel, 2)
    log_of(hotel, 3, stream=BOOKINGS)
    log_of(hotel, 4, stream=GUESTS)
    client = api(manager)
    for channel, count in (("rooms", 2), (BOOKINGS, 3)):
        body = ask(client, hotel, channel, after=0).json()
        assert {envelope["meta"]["hotel_slug"] for envelope in body["results"]} == {"grand"}
        assert {envelope["category"] for envelope in body["results"]} == {
            {"rooms": "rooms", BOOKINGS: "room_booking"}[channel]
        }
        assert (len(body["results"]), body["latest_seq"]) == (count, count)
    for slug in ("other", "nowhere"):
        answer = client.get(f"/api/staff/hotel/{slug}/events/?channel=rooms&after=0")
        assert_error(answer, 403, "HOTEL_ACCESS_DENIED")


@pytest.mark.parametrize(
    ("member", "rooms", "bookings"),
    [
        ("housekeeper", 200, 403),
        ("supervisor", 200, 403),
        ("agent", 200, 200),
        ("office_manager", 200, 200),
        ("manager", 200, 200),
    ],
)
def test_rights_are_those_of_the_channel(api, hotel, member, rooms, bookings, request):
    log_of(hotel, 1)
    log_of(hotel, 1, stream=BOOKINGS)
    client = api(request.getfixturevalue(member))
    for channel, status in (("rooms", rooms), (BOOKINGS, bookings)):
        for query in ({}, {"after": 0}):
            answer = ask(client, hotel, channel, **query)
            assert answer.status_code == status
            if status == 403:
                assert_error(answer, 403, "PERMISSION_DENIED")


def test_role_without_rights_gets_no_channel(api, hotel):
    Group.objects.get_or_create(name="lift attendant")
    client = api(StaffFactory(hotel=hotel, role="lift attendant"))
    for channel in ("rooms", BOOKINGS):
        assert_error(ask(client, hotel, channel, after=0), 403, "PERMISSION_DENIED")


# --- invalid credentials ----------------------------------------------------------------------------------------------


def refused(client, hotel) -> None:
    body = assert_error(ask(client, hotel, after=0), 403, "CHANNEL_REFUSED")
    assert body["message"] == "Permission denied: these credentials are not valid for this channel."


def test_credentials_that_do_not_open_the_channel_are_403(api, hotel, housekeeper):
    log_of(hotel, 1)
    left = StaffFactory(hotel=hotel)
    client, gone = api(housekeeper), api(left)
    assert seqs(ask(client, hotel, after=0)) == seqs(ask(gone, hotel, after=0)) == [1]
    left.is_active = False
    left.save()
    refused(gone, hotel)
    with clock.set_to(clock.now() + timedelta(days=15)):
        refused(client, hotel)


@pytest.mark.parametrize("header", ["GuestToken abc", "Token", "Token abc", "Token a b", "Token \xff", "Bearer x"])
def test_any_other_authorization_is_403(hotel, header):
    client = DocumentedClient(raise_request_exception=False)
    client.credentials(HTTP_AUTHORIZATION=header)
    refused(client, hotel)


@pytest.mark.parametrize("headers", [{}, {"HTTP_AUTHORIZATION": ""}])
def test_missing_credentials_are_401(hotel, headers):
    client = DocumentedClient(raise_request_exception=False)
    client.credentials(**headers)
    answer = ask(client, hotel, after=0)
    assert_error(answer, 401, "NOT_AUTHENTICATED")
    assert answer["WWW-Authenticate"] == "Token"


def test_session_of_a_deactivated_member_is_refused(hotel, housekeeper):
    log_of(hotel, 1)
    client = DocumentedClient(raise_request_exception=False)
    client.force_login(housekeeper.user)
    assert seqs(ask(client, hotel, after=0)) == [1]
    housekeeper.is_active = False
    housekeeper.save()
    refused(client, hotel)


# --- invalid parameters -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "query",
    ["channel=", "channel=%20", "channel=guest-bookings", "channel=private-grand.rooms", "channel=ROOMS", "channel=%00",
     "channel=%ED%A0%80", "after=-1", "after=abc", "after=1.5", "after=%00", "after=9223372036854775808",
     "after=99999999999999999999999999999999999999999", "after=null", "limit=0", "limit=-1", "limit=abc", "limit=1.5",
     "limit=%00"],
)  # fmt: skip
def test_invalid_parameter_is_400_and_named(api, manager, query):
    name = query.partition("=")[0]
    full = query if name == "channel" else f"channel=rooms&{query}"
    with nothing_written():
        body = assert_error(api(manager).get(url(manager, f"events/?{full}")), 400, "VALIDATION_ERROR")
    assert list(body["details"]) == [name]


def test_huge_numbers_are_400(api, manager):
    client = api(manager)
    for name in ("after", "limit"):
        assert_error(client.get(url(manager, f"events/?channel=rooms&{name}=" + "9" * 5000)), 400, "VALIDATION_ERROR")


def test_missing_channel_is_400(api, manager):
    body = assert_error(api(manager).get(url(manager, "events/?after=0")), 400, "VALIDATION_ERROR")
    assert body["details"] == {"channel": ["This field is required."]}


# --- statements -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 3, 100])
@pytest.mark.parametrize("channel", ["rooms", BOOKINGS])
def test_any_number_of_events_takes_three_statements(api, hotel, manager, statements, channel, count):
    """Sign-in, stream, events."""
    log_of(hotel, count, stream=channel)
    client = api(manager)
    with statements() as made:
        assert len(seqs(ask(client, hotel, channel, after=0, limit=500))) == count
    assert len(made) == 3, made.sql()
    with statements() as made:
        assert ask(client, hotel, channel).json()["latest_seq"] == count
    assert len(made) == 2, made.sql()
