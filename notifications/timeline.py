"""Moves the event numbers ahead after a failover, before any event is numbered on the new primary.

If replication was asynchronous, the promoted standby lacks the old primary's latest commits, and among them event
numbers that clients have seen: they would ignore other events with these numbers. Nobody can tell whether it did, but
every promotion starts a new timeline of PostgreSQL. So the relay remembers where it numbered last: elsewhere the
numbers jump, and every client reloads.
"""

from django.db import connection, transaction
from django.db.models import Max

from common import clock
from hotel.models import Hotel
from notifications.models import STREAMS, EventStream, Timeline

# A restored or upgraded cluster counts its timelines from 1 again, but has another identifier. The name of the file
# that PostgreSQL is writing starts with the timeline, in eight hexadecimal digits. (The control file knows it only
# after the next checkpoint.)
HERE = """
    SELECT system_identifier, ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int
    FROM pg_control_system()
"""


def follow() -> None:
    """Make sure that the numbers are valid on the timeline to which this thread's connection leads.

    A connection to a primary keeps its timeline, so this asks once per connection. Call it before numbering events, in
    the same transaction.
    """
    connection.ensure_connection()
    driver = connection.connection
    if getattr(connection, "timeline_followed_on", None) is driver:
        return
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(HERE)
            here = cursor.fetchone()
            if _last() != here:
                # A second relay waits here for the first, then finds it done.
                cursor.execute("LOCK TABLE notifications_timeline IN SHARE ROW EXCLUSIVE MODE")
                if (last := _last()) != here:
                    jumped_to = jump_ahead() if last else None
                    Timeline.objects.create(system=here[0], number=here[1], jumped_to=jumped_to)
        # Only then: if the transaction is rolled back, the next one asks again.
        transaction.on_commit(lambda: setattr(connection, "timeline_followed_on", driver))


def _last() -> tuple[int, int] | None:
    return Timeline.objects.order_by("-pk").values_list("system", "number").first()


@transaction.atomic
def jump_ahead() -> int:
    """Make all streams continue after the same number, higher than any that a client can have seen; returns it.

    It is the current time in milliseconds: higher even after earlier jumps, and still exact in JavaScript. A client
    that catches up gets 410, and the next event shows as a gap.
    """
    # Including streams whose first event was lost.
    streams = [EventStream(hotel=hotel, name=name) for hotel in Hotel.objects.only("pk") for name in STREAMS]
    EventStream.objects.bulk_create(streams, ignore_conflicts=True)
    newest = EventStream.objects.aggregate(newest=Max("last_seq", default=0))["newest"]
    target = max(newest, int(clock.now().timestamp() * 1000))
    EventStream.objects.update(last_seq=target)
    return target
