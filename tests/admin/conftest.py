"""Fixtures of the admin tests."""

import pytest


@pytest.fixture
def light_sessions(settings) -> None:
    """Keep sessions in the cookie, which saves statements in tests that request thousands of pages."""
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
