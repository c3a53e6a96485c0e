"""A hanging card provider blocks few of the web server's threads: real gunicorn, two processes of four threads."""

import time
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
import requests
from knox.models import AuthToken

from room_bookings.models import RoomBooking
from tests.factories import booking_in
from tests.notifications.conftest import STARTING, until
from tools.harness.stripe_server import KEY

pytestmark = pytest.mark.django_db(transaction=True)

AT_ONCE = 8.0  # seconds, on a loaded machine: a hanging call takes ten, with three attempts


def test_hanging_provider_blocks_two_threads_of_eight(start_web, unused_port, stripe, hotel, agent):
    bookings = [booking_in("PENDING_APPROVAL", card="AUTHORISED", hotel=hotel) for _ in range(8)]
    for booking in bookings:
        stripe.authorise(booking.payment_reference)
    untouched = list(RoomBooking.objects.order_by("pk").values())
    stripe.fail("capture", "hang", 8)
    _, token = AuthToken.objects.create(user=agent.user)
    headers = {"Authorization": f"Token {token}"}
    hotel_url = f"http://127.0.0.1:{unused_port}/api/staff/hotel/{hotel.slug}"
    start_web(unused_port, REALTIME_RELAY="off", STRIPE_SECRET_KEY=KEY, STRIPE_API_BASE=stripe.address)

    def answers() -> bool:
        try:
            return requests.get(f"{hotel_url}/me/", headers=headers, timeout=5).status_code == 200
        except requests.RequestException:
            return False

    def approve(booking: RoomBooking) -> requests.Response:
        return requests.post(f"{hotel_url}/room-bookings/{booking.booking_id}/approve/", headers=headers, timeout=60)

    until(answers, STARTING)
    for _ in range(4):
        answers()  # each process has served its first request
    with ThreadPoolExecutor(8) as desks:
        asked: dict[Future[requests.Response], RoomBooking] = {desks.submit(approve, one): one for one in bookings}
        until(lambda: sum(future.done() for future in asked) + stripe.count("capture") == 8, AT_ONCE)
        refused, waiting = [future for future in asked if future.done()], [f for f in asked if not f.done()]
        assert 1 <= len(waiting) <= 2
        for future in refused:
            answer = future.result()
            assert (answer.status_code, answer.json()["code"]) == (503, "PAYMENTS_BUSY")
            assert answer.headers["Retry-After"] == "5"
        # A refused call has changed nothing; a waiting one has committed its intent and holds no lock.
        at_stripe = {asked[future].pk for future in waiting}
        now = list(RoomBooking.objects.order_by("pk").values())
        assert [row for row in now if row["id"] not in at_stripe] == [
            row for row in untouched if row["id"] not in at_stripe
        ]
        assert {row["payment_state"] for row in now if row["id"] in at_stripe} == {"CAPTURING"}
        # Other requests are still served.
        for _ in range(20):
            began = time.monotonic()
            assert answers()
            assert time.monotonic() - began < AT_ONCE
        # Stripe responds again: the waiting calls succeed, and so do retries of the refused ones.
        stripe.faults.clear()
        stripe.stopping.set()
        assert [future.result().status_code for future in waiting] == [200] * len(waiting)
    for booking in bookings:
        assert approve(booking).status_code == 200
    assert set(RoomBooking.objects.values_list("status", "payment_state")) == {("CONFIRMED", "CAPTURED")}
    assert all(stripe.moved(booking.payment_reference) == {"captured": 1} for booking in bookings)
