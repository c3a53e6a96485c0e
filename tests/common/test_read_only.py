"""A database that has become read-only, such as a demoted primary: writes cause a 503 and close the connection."""

from contextlib import suppress
from datetime import timedelta

import pytest
from django.db import InternalError, close_old_connections, connection
from django.test import Client
from knox.models import AuthToken

from common.database import is_unreachable
from housekeeping.models import RoomStatusEvent
from operations import periodic
from room_bookings.models import PaymentState
from room_bookings.services.payment_sweep import settle_payments
from tests.conftest import token_client, url
from tests.endpoints import ENDPOINTS, WRITING, endpoint_targets
from tests.factories import PASSWORD, room_in
from tests.http import assert_error, nothing_written, rolled_back
from tests.notifications.test_worker import run_job
from tests.room_bookings.test_approval import card, long_ago


def demote(session=False):
    """Make the rest of the transaction, or of the session, read-only."""
    with connection.cursor() as cursor:
        cursor.execute(f"SET {'default_transaction_read_only = on' if session else 'TRANSACTION READ ONLY'}")


@pytest.fixture
def demoted(transactional_db):
    """``demoted()`` makes the current database session read-only; later sessions can write."""
    yield lambda: demote(session=True)
    connection.close()


@pytest.mark.django_db
@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name)
def test_writing_endpoints_return_503_and_reading_ones_succeed(hotel, manager, endpoint):
    things = endpoint_targets(hotel, manager)
    client = token_client(manager)
    with rolled_back():
        demote()
        answer = endpoint.call(client, hotel.slug, things)
    if endpoint in WRITING:
        assert_error(answer, 503, "UNAVAILABLE")
        assert answer["Retry-After"] == "1"
    else:
        assert answer.status_code == endpoint.status


def test_the_connection_is_closed_and_the_next_request_succeeds(api, hotel, manager, demoted):
    room = room_in("READY_FOR_GUEST", hotel=hotel)
    client, path, body = api(manager), url(manager, f"rooms/{room.pk}/status/"), {"to_status": "CHECKOUT_DIRTY"}
    demoted()
    with nothing_written():
        answer = client.post(path, body, HTTP_IDEMPOTENCY_KEY="once")
    assert_error(answer, 503, "UNAVAILABLE")
    close_old_connections()  # as at the end of each request
    assert connection.connection is None
    assert client.post(path, body, HTTP_IDEMPOTENCY_KEY="once").status_code == 200
    assert RoomStatusEvent.objects.filter(room=room, to_status="CHECKOUT_DIRTY").count() == 1


def test_other_errors_keep_the_connection(demoted):
    connection.close()  # an old one would be closed for its age
    connection.ensure_connection()
    with connection.cursor() as cursor, suppress(InternalError):
        cursor.execute("DO $$ BEGIN RAISE 'no' USING ERRCODE = 'XX000'; END $$")
    assert connection.errors_occurred
    close_old_connections()
    assert connection.connection is not None


@pytest.mark.parametrize("path", ["/board/sign-in/", "/admin/login/", "/api/staff/login/"])
def test_signing_in(manager, demoted, path):
    demoted()
    form = {"username": "manager", "password": PASSWORD}
    form = {"data": form, "content_type": "application/json"} if path.startswith("/api") else {"data": form}
    answer = Client(raise_request_exception=False).post(path, **form)
    assert (answer.status_code, answer["Retry-After"]) == (503, "1")


def test_an_admin_action(hotel, manager, demoted):
    client = Client(raise_request_exception=False)
    client.force_login(manager.user)
    room = room_in("READY_FOR_GUEST", hotel=hotel)
    demoted()
    form = {"action": "change_status", "apply": "1", "_selected_action": [room.pk]}
    answer = client.post("/admin/rooms/room/", form | {"to_status": "CHECKOUT_DIRTY", "reason": "seen it"})
    assert (answer.status_code, answer["Retry-After"]) == (503, "1")


def test_an_admin_action_on_bookings_stops_at_the_first(hotel, manager, demoted):
    """The first gets the error message, and the others are not tried."""
    client = Client(raise_request_exception=False)
    client.force_login(manager.user)
    first, second = (card(None, hotel, payment_state="", payment_provider="") for _ in range(2))
    demoted()
    form = {"action": "approve", "apply": "1", "_selected_action": [first.pk, second.pk]}
    answer = client.post("/admin/room_bookings/roombooking/", form)
    tried, left = [str(message) for message in answer.wsgi_request._messages]
    tried, _, sentence = tried.partition(": ")
    assert sentence == "The database cannot be reached right now. Try again in a moment."
    assert {f"Not tried: {tried}.", left} == {f"Not tried: {booking.booking_id}." for booking in (first, second)}


@pytest.mark.parametrize("kind", ["page", "api"])
def test_saving_the_session_after_the_view(manager, demoted, settings, kind):
    """Django takes the failed save for a deleted session (400) or, if the session is new, a bug (500)."""
    settings.SESSION_SAVE_EVERY_REQUEST = True
    client = Client(raise_request_exception=False)
    client.force_login(manager.user)
    demoted()
    answer = client.get(f"/board/{manager.hotel.slug}/" if kind == "page" else url(manager, "turnover/stats/"))
    assert (answer.status_code, answer["Retry-After"]) == (503, "1")
    assert answer["Content-Type"].partition(";")[0] == ("text/plain" if kind == "page" else "application/json")


def test_worker_jobs_wait_and_reconnect(hotel, demoted, caplog):
    steps = [lambda: demote(session=True), lambda: write(hotel), lambda: write(hotel)]
    assert run_job(*steps) == 3
    assert caplog.messages == [
        "the database is away (django.db.utils.InternalError: SQLSTATE 25006): retrying",
        "the database is back, after 0 s",
    ]


def write(hotel):
    hotel.save(update_fields=["name"])


def test_periodic_work_stops_at_the_first_error(stripe, hotel, manager, demoted):
    card(stripe, hotel, PaymentState.CAPTURING, **long_ago(manager))
    stripe.intents[next(iter(stripe.intents))].status = "succeeded"
    AuthToken.objects.create(user=manager.user, expiry=timedelta(days=-1))  # to be deleted
    demoted()
    for work in (settle_payments, periodic.tick):
        with pytest.raises(InternalError) as found:
            work()
        assert is_unreachable(found.value)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("severity", "status"), [("WARNING", 503), ("NOTICE", 200)])
def test_a_commit_that_may_be_lost_is_503(api, hotel, manager, severity, status):
    """PostgreSQL commits locally and warns, if it stops waiting for the synchronous standby."""
    room = room_in("READY_FOR_GUEST", hotel=hotel)
    with connection.cursor() as cursor:
        cursor.execute(f"""
            CREATE FUNCTION pg_temp.warn() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE {severity} 'storniere Warten auf synchrone Replikation'; RETURN NULL; END $$;
            CREATE CONSTRAINT TRIGGER warn AFTER INSERT ON housekeeping_roomstatusevent
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION pg_temp.warn();
        """)
    client, path = api(manager), url(manager, f"rooms/{room.pk}/status/")
    try:
        answer = client.post(path, {"to_status": "CHECKOUT_DIRTY"})
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TRIGGER warn ON housekeeping_roomstatusevent; DROP FUNCTION pg_temp.warn")
    assert answer.status_code == status
    if status == 503:
        assert_error(answer, 503, "UNAVAILABLE")
    assert client.post(path, {"to_status": "CLEANING_IN_PROGRESS"}).status_code == 200
