"""Fixtures of the security tests."""

import pytest


@pytest.fixture
def all_endpoints_configured(settings, db):
    """Configure live events and metrics, so that nothing is refused because they are missing."""
    settings.PUSHER_APP_ID, settings.PUSHER_KEY, settings.PUSHER_SECRET = "1", "key", "secret"
    settings.METRICS_TOKEN = "metrics"
