"""Test settings: HotelMate's own, with a fast password hash and mail kept in memory."""

from hotelmate.settings import *  # noqa: F403 - the tests run on the real settings

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

# More than any test has threads. Tests of the limit set their own value.
PAYMENT_CALLS_AT_ONCE = 100

# Mail that the worker sends stays in memory; queued mail is in the database table (tests/conftest.py).
MAILER_EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
DEFAULT_FROM_EMAIL = "HotelMate <stay@hotelmate.example>"

# Regardless of the environment: tests of the public channels turn them on.
REALTIME_PUBLIC_CHANNELS = False
