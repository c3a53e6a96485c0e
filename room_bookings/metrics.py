"""Metrics of card payments that the payment sweep could not settle (common/metrics.py exposes them)."""

from collections.abc import Iterator

from django.db.backends.base.base import BaseDatabaseWrapper
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

FAILED = """
    SELECT count(*) FILTER (WHERE parked_at IS NULL), count(*) FILTER (WHERE parked_at IS NOT NULL)
    FROM room_bookings_paymentretry
"""


def payment_gauges(connection: BaseDatabaseWrapper) -> Iterator[Metric]:
    """Failing and parked payments as Prometheus gauges; one statement on a table that is almost empty."""
    with connection.cursor() as cursor:
        cursor.execute(FAILED)
        [(failing, parked)] = cursor.fetchall()
    yield GaugeMetricFamily(
        "hotelmate_payments_failing", "Card payments that failed to settle and will be retried.", value=failing
    )
    yield GaugeMetricFamily(
        "hotelmate_payments_parked_now",
        "Card payments given up until staff retry them.",
        value=parked,
    )
