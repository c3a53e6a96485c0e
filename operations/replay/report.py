"""The report of a replay: outcomes compared with the file, refusals, rows written and time taken."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from django.db.models import Sum

from housekeeping.models import RoomStatusEvent
from notifications.mail import open_mails
from notifications.models import RealtimeEvent
from operations.replay.hotels import HotelSetup
from operations.replay.meter import Meter
from operations.replay.records import Outcome, Stay
from operations.replay.runner import Replay
from room_bookings.models import BookingStatus, RoomBooking
from rooms.models import Room

STATUSES = {
    Outcome.CHECK_OUT: BookingStatus.COMPLETED,
    Outcome.CANCELED: BookingStatus.CANCELLED,
    Outcome.NO_SHOW: BookingStatus.NO_SHOW,
}


@dataclass(frozen=True)
class Result:
    """One hotel's number of bookings by outcome, in the file and in the database."""

    slug: str
    in_file: dict[str, int]
    in_database: dict[str, int]

    @property
    def is_right(self) -> bool:
        """Whether the counts of all outcomes match the file."""
        return self.in_file == self.in_database


def result_of(replay: Replay) -> Result:
    """The hotel's outcomes as spelled in the file; other statuses keep their own name."""
    words = {str(status): str(outcome) for outcome, status in STATUSES.items()}
    statuses = RoomBooking.objects.filter(hotel=replay.setup.hotel).values_list("status", flat=True)
    in_database = Counter(words.get(status, status) for status in statuses)
    return Result(replay.setup.hotel.slug, _outcomes(replay.stays), dict(in_database))


def _outcomes(stays: Sequence[Stay]) -> dict[str, int]:
    return dict(Counter(str(stay.outcome) for stay in stays))


def mails_waiting() -> int:
    """The number of mails in the queue."""
    return open_mails().count()


def outcome_lines(result: Result) -> Iterator[str]:
    """The outcome table of one hotel."""
    yield f"{result.slug:<24}{'file':>10}{'replay':>10}{'difference':>12}"
    for outcome in sorted(result.in_file.keys() | result.in_database.keys()):
        expected, got = result.in_file.get(outcome, 0), result.in_database.get(outcome, 0)
        yield f"  {outcome:<22}{expected:>10,}{got:>10,}{got - expected:>12,}"
    expected, got = sum(result.in_file.values()), sum(result.in_database.values())
    yield f"  {'all':<22}{expected:>10,}{got:>10,}{got - expected:>12,}"


def refusal_lines(meter: Meter) -> Iterator[str]:
    """The refusals by operation and code, each with its first message."""
    if not meter.refusals:
        yield "No refusals."
        return
    yield f"{'refusals':<24}{'code':<28}{'count':>8}"
    for (operation, code), count in meter.refusals.most_common():
        yield f"  {operation:<22}{code:<28}{count:>8,}  e.g.: {meter.examples[operation, code]}"


def written_lines(setups: Sequence[HotelSetup], *, mails: int) -> Iterator[str]:
    """The number of rows written for these hotels."""
    hotels = [setup.hotel for setup in setups]
    changes = Room.objects.filter(hotel__in=hotels).aggregate(total=Sum("status_version"))["total"] or 0
    yield f"{'status changes':<24}{changes:>10,}"
    yield f"{'audit rows':<24}{RoomStatusEvent.objects.filter(hotel__in=hotels).count():>10,}"
    yield f"{'events':<24}{RealtimeEvent.objects.filter(hotel__in=hotels).count():>10,}"
    yield f"{'mails queued':<24}{mails:>10,}"


def operation_lines(meter: Meter) -> Iterator[str]:
    """The calls, mean time and mean number of statements of each operation."""
    yield f"{'operation':<24}{'calls':>10}{'mean ms':>10}{'statements':>12}{'seconds':>10}"
    for operation, tally in sorted(meter.tallies.items(), key=lambda item: -item[1].seconds):
        mean, statements = 1000 * tally.seconds / tally.calls, tally.statements / tally.calls
        yield f"  {operation:<22}{tally.calls:>10,}{mean:>10.2f}{statements:>12.1f}{tally.seconds:>10,.1f}"
    calls = sum(tally.calls for tally in meter.tallies.values())
    statements = sum(tally.statements for tally in meter.tallies.values())
    yield f"  {'all':<22}{calls:>10,}{'':>10}{statements / max(calls, 1):>12.1f}"
