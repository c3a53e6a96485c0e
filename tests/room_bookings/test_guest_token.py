"""Who calls with a guest's token: the guest of one booking, or nobody."""

import pytest
from django.test import RequestFactory
from rest_framework.exceptions import AuthenticationFailed

from room_bookings.authentication import GuestTokenAuthentication
from room_bookings.models import hash_token
from tests.factories import BookingFactory


def caller(header):
    return GuestTokenAuthentication().authenticate(RequestFactory().get("/", headers={"Authorization": header}))


@pytest.mark.django_db
def test_a_token_is_that_of_its_booking_and_any_other_is_refused():
    booking = BookingFactory(guest_token_hash=hash_token("a-token"))
    BookingFactory(guest_token_hash=hash_token("another-token"))
    assert caller("GuestToken a-token")[1] == booking
    assert caller("Token a-token") is None
    for header in ("GuestToken nobodys", "GuestToken", "GuestToken ", "GuestToken a-token a-token"):
        with pytest.raises(AuthenticationFailed):
            caller(header)
