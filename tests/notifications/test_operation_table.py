"""The events of every operation, in order and by channel: the whole table behind docs/realtime.md.

``U101`` is room_updated and ``O101`` room_occupancy_updated of that room on ``private-{slug}.rooms``, ``N101``
room_block_created, ``L101`` its later end, ``E101`` its completion, ``X101`` its cancellation; a booking's events are
on ``private-{slug}.room-bookings``, or, after ``>``, on its guest's own channel. A line without events is a decision
too; each new endpoint needs its line.
"""

import json

import pytest
from django.db import OperationalError, connection
from rest_framework.test import APIClient

from common import clock
from tests.conftest import token_client
from tests.endpoints import ENDPOINTS, MANAGER, NOBODY, ROLES, Endpoint
from tests.factories import PASSWORD, HotelFactory, StaffFactory
from tests.hotelmate.test_scope import member
from tests.http import DocumentedClient, nothing_written, rolled_back, stored_rows
from tests.notifications.every_operation import call, endpoint_of, operation_targets, operations, sent
from tests.room_bookings.small_hotel import NOW, last_event

pytestmark = pytest.mark.django_db

TABLE = """
PATCH access-config/ |
access config, checkout time |
POST rooms/<number:rno>/start-cleaning/ | U101
POST rooms/<number:rno>/mark-cleaned/ | U101
POST rooms/<number:rno>/inspect/ | U102
inspect, failed | U102
inspect, fault open | U115
POST rooms/<number:rno>/mark-maintenance/ | U103
mark-maintenance, room flagged | U104
mark-maintenance, guest in house | U108
POST rooms/<number:rno>/complete-maintenance/ | U104
complete-maintenance, guest in house | U111
complete-maintenance, turned over | U116
complete-maintenance, flag on a dirty room | U114
complete-maintenance, no fault |
POST rooms/<int:rid>/status/ | U103
POST housekeeping/rooms/<int:rid>/status/ | U103
POST housekeeping/rooms/<int:rid>/manager_override/ | U101
POST room-management/ |
PATCH room-management/<number:room>/ | U103
room, another number | U303
room, another type | U103
room, connected | U103 U107
DELETE room-management/<number:room>/ |
POST room-types/ |
PATCH room-types/<int:pk>/ |
DELETE room-types/<int:pk>/ |
POST room-types/<int:pk>/rooms/bulk-create/ |
POST room-blocks/ | N401
POST room-blocks/<int:pk>/extend/ | L402
POST room-blocks/<int:pk>/complete/ | E403 U403
POST room-blocks/<int:pk>/cancel/ | X402
POST housekeeping/tasks/ |
PATCH housekeeping/tasks/<int:pk>/ |
PUT housekeeping/tasks/<int:pk>/ |
DELETE housekeeping/tasks/<int:pk>/ |
POST housekeeping/tasks/<int:pk>/assign/ |
POST housekeeping/tasks/<int:pk>/start/ |
POST housekeeping/tasks/<int:pk>/complete/ |
POST housekeeping/tasks/<int:pk>/cancel/ |
POST rooms/checkin/ | U107 O107 booking_checked_in:arrival >booking_checked_in:arrival
bulk check-in, two rooms and one refused | U109 U107 O109 O107
    booking_checked_in:second booking_checked_in:arrival >booking_checked_in:second >booking_checked_in:arrival
POST rooms/checkout/ | U108 O108 booking_checked_out:overdue >booking_checked_out:overdue
bulk check-out, three rooms and one refused | U108 U110 U111 O108 O110 O111
    booking_checked_out:overdue booking_checked_out:staying booking_checked_out:dripping
    >booking_checked_out:overdue >booking_checked_out:staying >booking_checked_out:dripping
POST room-bookings/ | booking_created:new
create, by card | booking_created:new
PATCH room-bookings/<str:bid>/ | booking_updated:arrival
edit, departure of a guest in house | booking_updated:overdue
edit, notes of a stay that is over | booking_updated:gone
POST room-bookings/<str:bid>/mark-seen/ | booking_updated:arrival
PUT room-bookings/<str:bid>/party/companions/ | booking_party_updated:arrival
POST room-bookings/<str:bid>/confirm/ | booking_confirmed:request >booking_confirmed:request
confirm, draft | booking_confirmed:draft >booking_confirmed:draft
POST room-bookings/<str:bid>/approve/ | booking_confirmed:request >booking_confirmed:request
approve, by card | booking_confirmed:carded >booking_confirmed:carded
POST room-bookings/<str:bid>/decline/ | booking_updated:request >booking_declined:request
decline, by card | booking_updated:carded >booking_declined:carded
decline, refund | booking_updated:paid >booking_declined:paid
POST room-bookings/<str:bid>/cancel/ | booking_cancelled:arrival >booking_cancelled:arrival
cancel, no room | booking_cancelled:roomless >booking_cancelled:roomless
cancel, in house | U108 O108 booking_cancelled:overdue >booking_cancelled:overdue
POST room-bookings/<str:bid>/no-show/ | booking_no_show:late
no-show, with room | booking_no_show:absent
POST room-bookings/<str:bid>/reinstate/ | booking_updated:cancelled
reinstate, no-show | booking_updated:missed
POST room-bookings/<str:bid>/safe-assign-room/ | booking_updated:arrival >booking_room_assigned:arrival
assign, first room | booking_updated:roomless >booking_room_assigned:roomless
assign, same room, a note | booking_updated:arrival >booking_room_assigned:arrival
POST room-bookings/<str:bid>/unassign-room/ | booking_updated:arrival
POST room-bookings/<str:bid>/move-room/ | U108 U103 O108 O103 booking_updated:overdue >booking_room_moved:overdue
move, from maintenance | U111 U103 O111 O103 booking_updated:dripping >booking_room_moved:dripping
POST room-bookings/<str:bid>/check-in/ | U107 O107 booking_checked_in:arrival >booking_checked_in:arrival
check-in, room assigned | U103 O103 booking_checked_in:roomless >booking_checked_in:roomless
check-in, another room | U103 O103 booking_checked_in:arrival >booking_checked_in:arrival
POST room-bookings/<str:bid>/undo-check-in/ | U108 O108 booking_updated:overdue
undo check-in, room in maintenance | U111 O111 booking_updated:dripping
POST room-bookings/<str:bid>/check-out/ | U108 O108 booking_checked_out:overdue >booking_checked_out:overdue
POST room-bookings/<str:bid>/undo-check-out/ | U102 O102 booking_updated:departed >booking_checked_in:departed
check-out, room in maintenance | U111 O111 booking_checked_out:dripping >booking_checked_out:dripping
POST room-bookings/<str:bid>/overstay/acknowledge/ | booking_overstay_flagged:overdue
    booking_overstay_acknowledged:overdue
acknowledge, flagged | booking_overstay_acknowledged:flagged
dismiss | booking_overstay_acknowledged:flagged
POST room-bookings/<str:bid>/overstay/extend/ | booking_overstay_extended:overdue
POST room-bookings/<str:bid>/mails/<int:mail>/send-again/ | booking_updated:arrival
expire | booking_expired:lapsed booking_expired:lapsed2
drop drafts |
flag overstays | booking_overstay_flagged:overdue
settle payments | booking_confirmed:capturing >booking_confirmed:capturing
    booking_updated:refunding >booking_declined:refunding
tick | booking_expired:lapsed booking_expired:lapsed2
    booking_overstay_flagged:overdue
    booking_confirmed:capturing >booking_confirmed:capturing
    booking_updated:refunding >booking_declined:refunding
admin: send a mail again | booking_updated:arrival
admin: approve | booking_confirmed:request >booking_confirmed:request
admin: decline | booking_updated:request >booking_declined:request
admin: cancel | U108 O108 booking_cancelled:overdue >booking_cancelled:overdue
    booking_cancelled:second >booking_cancelled:second
admin: check out | U108 O108 booking_checked_out:overdue >booking_checked_out:overdue
    U110 O110 booking_checked_out:staying >booking_checked_out:staying
admin: no-show | booking_no_show:absent
admin: reinstate | booking_updated:cancelled
admin: retry payment | booking_updated:parked
admin: notes | booking_updated:gone
admin: status of rooms | U101 U102
admin: change a room | U303
admin: add a room |
admin: delete a room |
admin: change a room type |
admin: add a room type |
"""
EXPECTED = {
    name.strip(): " ".join(events.split())
    for name, _, events in (line.partition("|") for line in TABLE.strip().replace("\n    ", " ").split("\n"))
}
PUBLISHING = [name for name, events in EXPECTED.items() if events]


def test_every_operation_has_its_line(work):
    assert set(work) == set(EXPECTED)
    assert {endpoint.name for endpoint in ENDPOINTS if endpoint.method != "GET"} <= set(EXPECTED)


def test_exactly_these_events_in_this_order_on_these_channels(work, targets):
    published = {}
    for name, operation in work.items():
        with rolled_back():
            since = last_event()
            answer = operation()
            published[name] = sent(targets, since)
            assert getattr(answer, "status_code", 200) < 400, (name, answer.content)
    assert published == EXPECTED


def test_retry_publishes_nothing(work, targets):
    published = {}
    for name in PUBLISHING:
        with rolled_back():
            work[name]()
            since = last_event()
            answer = work[name]()
            published[name] = sent(targets, since)
            assert getattr(answer, "status_code", 200) < 500, (name, answer.content)
    assert published == dict.fromkeys(PUBLISHING, "")


def test_rolled_back_operation_publishes_nothing(work, targets, django_capture_on_commit_callbacks):
    before = last_event()
    for name in PUBLISHING:
        with django_capture_on_commit_callbacks() as callbacks:
            with pytest.raises(ZeroDivisionError), rolled_back():
                work[name]()
                assert sent(targets, before) == EXPECTED[name]
                raise ZeroDivisionError
            assert last_event() == before, name
        assert callbacks == [], name


def test_reads_publish_nothing(api, manager, targets):
    client = api(manager)
    since = last_event()
    for endpoint in ENDPOINTS:
        if endpoint.method == "GET":
            answer = call(endpoint, client, targets)
            assert answer.status_code == endpoint.status, (endpoint.name, answer.content)
    assert sent(targets, since) == ""


def test_sign_in_and_out_publish_nothing(api, manager, targets):
    since = last_event()
    client = api(manager)
    channel = {"socket_id": "1.1", "channel_name": f"private-{targets.hotel.slug}.rooms"}
    answers = [
        APIClient().post("/api/staff/login/", {"username": "manager", "password": "wrong"}, format="json"),
        APIClient().post("/api/staff/login/", {"username": "manager", "password": PASSWORD}, format="json"),
        client.post("/api/pusher/auth/"),
        client.post("/api/pusher/auth/", channel),
        client.get("/api/schema/"),
        client.post("/api/staff/logout/"),
        client.get("/api/staff/hotel/grand/me/"),
    ]
    assert [answer.status_code for answer in answers] == [401, 200, 400, 200, 200, 204, 401]
    assert sent(targets, since) == ""


# --- refusals ---------------------------------------------------------------------------------------------------------


def publishing_endpoints():
    return [endpoint_of(name) for name in PUBLISHING if name.split()[0] in ("POST", "PATCH", "PUT", "DELETE")]


def test_forbidden_operation_publishes_nothing(hotel, targets):
    since = last_event()
    strangers = {role: token_client(member(hotel, role)) for role in (*ROLES, NOBODY) if role != MANAGER} | {
        "another hotel's": token_client(StaffFactory(hotel=HotelFactory(), role=MANAGER))
    }
    refused = 0
    for endpoint in publishing_endpoints():
        for role, client in {**strangers, "nobody's": DocumentedClient(raise_request_exception=False)}.items():
            if role not in endpoint.roles:
                assert call(endpoint, client, targets).status_code in (401, 403), (endpoint.name, role)
                assert last_event() == since, (endpoint.name, role)
                refused += 1
    assert refused >= 3 * len(publishing_endpoints())


# Endpoint, target, changes to the body of ``tests.endpoints``, and the status. ``If-Match`` is a version that the
# target does not have.
REFUSED = """
POST rooms/<number:rno>/start-cleaning/ ready_no 409
POST rooms/<number:rno>/start-cleaning/ left_no 409
POST rooms/<number:rno>/mark-cleaned/ broken_no 409
POST rooms/<number:rno>/inspect/ dirty_no 409
POST rooms/<int:rid>/status/ broken If-Match 412
POST rooms/<int:rid>/status/ dirty {"to_status":"OCCUPIED"} 409
POST rooms/<int:rid>/status/ dirty {"to_status":"CLEANED_UNINSPECTED","expected_status":"READY_FOR_GUEST"} 409
POST rooms/<int:rid>/status/ dirty {"to_status":"CLEANED_UNINSPECTED","source":"SYSTEM"} 400
POST rooms/<int:rid>/status/ faulty {"to_status":"READY_FOR_GUEST"} 409
POST rooms/<int:rid>/status/ left {"to_status":"CHECKOUT_DIRTY"} 409
POST housekeeping/rooms/<int:rid>/manager_override/ dirty {"to_status":"READY_FOR_GUEST","note":" "} 400
POST housekeeping/rooms/<int:rid>/manager_override/ left {"to_status":"READY_FOR_GUEST","note":"x"} 409
POST room-blocks/ - {"reason":"WHIM"} 400
POST room-blocks/ - {"room_ids":["$due"],"from":"2026-07-01"} 409
POST room-blocks/<int:pk>/extend/ planned_block {"to":"2026-07-01"} 400
POST room-blocks/<int:pk>/complete/ planned_block 409
POST room-blocks/<int:pk>/cancel/ active_block 409
PATCH room-management/<number:room>/ ready {"room_status":"OCCUPIED"} 400
PATCH room-management/<number:room>/ ready {"room_number":101} 409
PATCH room-management/<number:room>/ left {"is_active":false} 409
POST rooms/checkin/ - {"room_ids":["$dirty"]} 409
POST rooms/checkout/ - {"room_ids":["$dirty"]} 409
POST room-bookings/ - {"room_type_id":"$other_type"} 409
PATCH room-bookings/<str:bid>/ arrival If-Match 412
PATCH room-bookings/<str:bid>/ overdue {"check_in":"2026-07-02"} 409
PATCH room-bookings/<str:bid>/ gone {"adults":2} 409
PATCH room-bookings/<str:bid>/ arrival {"adults":0} 400
PUT room-bookings/<str:bid>/party/companions/ gone {"companions":[]} 409
POST room-bookings/<str:bid>/confirm/ carded 403
POST room-bookings/<str:bid>/confirm/ lapsed 409
POST room-bookings/<str:bid>/approve/ lapsed 409
POST room-bookings/<str:bid>/approve/ gone 409
POST room-bookings/<str:bid>/decline/ arrival 409
POST room-bookings/<str:bid>/cancel/ carded 403
POST room-bookings/<str:bid>/cancel/ request 409
POST room-bookings/<str:bid>/cancel/ overdue 409
POST room-bookings/<str:bid>/no-show/ arrival 409
POST room-bookings/<str:bid>/reinstate/ arrival {"reason":"x"} 409
POST room-bookings/<str:bid>/safe-assign-room/ arrival {"room_id":"$second_room"} 409
POST room-bookings/<str:bid>/safe-assign-room/ overdue {"room_id":"$ready"} 409
POST room-bookings/<str:bid>/unassign-room/ overdue 409
POST room-bookings/<str:bid>/move-room/ arrival {"to_room_id":"$ready","reason":"x"} 409
POST room-bookings/<str:bid>/move-room/ overdue {"to_room_id":"$dirty","reason":"x"} 409
POST room-bookings/<str:bid>/move-room/ overdue {"to_room_id":"$staying_room","reason":"x"} 409
POST room-bookings/<str:bid>/check-in/ roomless 409
POST room-bookings/<str:bid>/check-in/ roomless {"room_id":"$dirty"} 409
POST room-bookings/<str:bid>/check-in/ refunding 409
POST room-bookings/<str:bid>/undo-check-in/ arrival {"reason":"x"} 409
POST room-bookings/<str:bid>/check-out/ arrival 409
POST room-bookings/<str:bid>/undo-check-out/ arrival {"reason":"x"} 409
POST room-bookings/<str:bid>/overstay/acknowledge/ staying 409
POST room-bookings/<str:bid>/overstay/extend/ arrival {"add_nights":1} 409
POST room-bookings/<str:bid>/overstay/extend/ overdue {"add_nights":99} 400
POST room-bookings/<str:bid>/mails/<int:mail>/send-again/ roomless 404
"""


def refused_endpoint(line: str) -> tuple[Endpoint, dict[str, str]]:
    """The call of a line of ``REFUSED``, and its headers."""
    method, route, target, rest = line.split(" ", 3)
    changes = json.loads(rest.rpartition(" ")[0].replace("If-Match", "") or "{}")
    stale = {"HTTP_IF_MATCH": '"9999"'} if "If-Match" in rest else {}
    known = endpoint_of(f"{method} {route}")
    return Endpoint(method, route, known.roles, target.strip("-"), {**(known.body or {}), **changes}), stale


def test_refused_operation_publishes_nothing(api, manager, targets):
    client, answered = api(manager), {}
    for line in REFUSED.strip().splitlines():
        endpoint, stale = refused_endpoint(line)
        with nothing_written():
            answer = endpoint.call(client, targets.hotel.slug, targets, **stale)
        answered[line] = str(answer.status_code)
    assert answered == {line: line.rpartition(" ")[2] for line in answered}


def test_every_http_operation_has_a_refusal():
    lines = [line.split(" ", 2)[:2] for line in REFUSED.strip().splitlines()]
    never = {
        # Allowed in every state: only the right and the room's existence are checked.
        "POST rooms/<number:rno>/mark-maintenance/",
        "POST rooms/<number:rno>/complete-maintenance/",
        "POST room-bookings/<str:bid>/mark-seen/",
        # An alias of ``rooms/{rid}/status/``.
        "POST housekeeping/rooms/<int:rid>/status/",
    }
    assert {" ".join(line) for line in lines} | never == {endpoint.name for endpoint in publishing_endpoints()}


# --- failing commits --------------------------------------------------------------------------------------------------

LAST_MOMENT = """
    CREATE FUNCTION refuse_events() RETURNS TRIGGER AS $$
        BEGIN RAISE EXCEPTION 'at the last moment' USING ERRCODE = 'deadlock_detected'; END;
    $$ LANGUAGE plpgsql;
    CREATE CONSTRAINT TRIGGER refuse_events AFTER INSERT ON notifications_realtimeevent
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse_events();
"""


@pytest.fixture
def publishing_commits_fail(transactional_db):
    """Make each transaction that published an event fail at its COMMIT, after all of its statements succeeded."""

    def start():
        with connection.cursor() as cursor:
            cursor.execute(LAST_MOMENT)

    yield start
    with connection.cursor() as cursor:
        cursor.execute("DROP FUNCTION IF EXISTS refuse_events CASCADE")


@pytest.mark.django_db(transaction=True)
def test_failed_commit_publishes_nothing(publishing_commits_fail):
    with clock.set_to(NOW):
        manager = StaffFactory(hotel=HotelFactory(slug="grand"), role=MANAGER, user__is_staff=True)
        targets = operation_targets(manager)
        work = operations(targets, manager)
        publishing_commits_fail()
        before, since = stored_rows(), last_event()
        for name in sorted(PUBLISHING, key="tick".__eq__):
            if name in work:
                try:
                    answer = work[name]()
                except OperationalError as error:
                    assert "at the last moment" in str(error)  # noqa: PT017 - a service has no response
                else:
                    assert name == "tick" or name.startswith("admin: ") or answer.status_code == 503, name
                # A tick keeps its changes that publish no event.
                assert last_event() == since if name == "tick" else stored_rows() == before, name
