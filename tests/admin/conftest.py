"""What the tests that ask thousands of pages share."""

import pytest


@pytest.fixture
def light_sessions(settings) -> None:
    """Sessions lie in the browser's cookie: what these tests ask is not about them, and they ask thousands of times."""
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
