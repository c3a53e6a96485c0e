"""What the security tests share."""

import pytest


@pytest.fixture
def everything_open(settings, db):
    """Live events and metrics are set up, so that nothing is refused for want of them."""
    settings.PUSHER_APP_ID, settings.PUSHER_KEY, settings.PUSHER_SECRET = "1", "key", "secret"
    settings.METRICS_TOKEN = "metrics"
