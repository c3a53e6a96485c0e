"""Test settings: HotelMate's own, with a fast password hash and mail kept in memory."""

from hotelmate.settings import *  # noqa: F403 - the tests run on the real settings

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

# More than any test has threads. Tests of the limit set their own value.
PAYMENT_CALLS_AT_ONCE = 100

DEFAULT_FROM_EMAIL = "HotelMate <stay@hotelmate.example>"

# Regardless of the environment: tests of the public channels turn them on.
REALTIME_PUBLIC_CHANNELS = False
