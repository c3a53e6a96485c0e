"""The settings of the tests: HotelMate's own, with a password hash that costs nothing."""

from hotelmate.settings import *  # noqa: F403 - the tests run on the real settings

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
