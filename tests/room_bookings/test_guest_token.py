"""Guest tokens give access to one booking."""

import pytest
from django.test import RequestFactory
from rest_framework.exceptions import AuthenticationFailed

from room_bookings.authentication import GuestTokenAuthentication
from room_bookings.models import hash_token
from tests.factories import BookingFactory


def caller(header):
    return GuestTokenAuthentication().authenticate(RequestFactory().get("/", headers={"Authorization": header}))


@pytest.mark.django_db
def test_token_is_valid_for_its_booking_only():
    booking = BookingFactory(guest_token_hash=hash_token("a-token"))
    BookingFactory(guest_token_hash=hash_token("another-token"))
    assert caller("GuestToken a-token")[1] == booking
    assert caller("Token a-token") is None
    for header in ("GuestToken nobodys", "GuestToken", "GuestToken ", "GuestToken a-token a-token"):
        with pytest.raises(AuthenticationFailed):
            caller(header)
