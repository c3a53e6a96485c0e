"""How many card payments the worker's sweep has not settled yet (common/metrics.py says how it is shown)."""

from collections.abc import Iterator

from django.db.backends.base.base import BaseDatabaseWrapper
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

FAILED = """
    SELECT count(*) FILTER (WHERE parked_at IS NULL), count(*) FILTER (WHERE parked_at IS NOT NULL)
    FROM room_bookings_paymentretry
"""


def payment_gauges(connection: BaseDatabaseWrapper) -> Iterator[Metric]:
    """The payments that were tried in vain, as Prometheus reads them; one statement on a table that is almost empty."""
    with connection.cursor() as cursor:
        cursor.execute(FAILED)
        [(failing, parked)] = cursor.fetchall()
    yield GaugeMetricFamily(
        "hotelmate_payments_failing", "Card payments that were tried in vain and will be tried again.", value=failing
    )
    yield GaugeMetricFamily(
        "hotelmate_payments_parked_now",
        "Card payments that are given up until somebody of the staff looks at them.",
        value=parked,
    )
