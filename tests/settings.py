"""The settings of the tests: HotelMate's own, with a password hash that costs nothing and mail that goes nowhere."""

from hotelmate.settings import *  # noqa: F403 - the tests run on the real settings

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

# As many as a test has threads. Tests of the limit set their own.
PAYMENT_CALLS_AT_ONCE = 100

# What the worker sends stays here; what is queued is in the table (tests/conftest.py).
MAILER_EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
DEFAULT_FROM_EMAIL = "HotelMate <stay@hotelmate.example>"

# Whatever the environment says: tests of the public channels turn them on.
REALTIME_PUBLIC_CHANNELS = False
