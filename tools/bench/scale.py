"""The sizes of a run."""

from typing import NamedTuple


class Scale(NamedTuple):
    """Rounds, counts and hotel sizes."""

    rounds: int
    changes: int  # status changes in a block of the service section
    requests: int  # in a block over HTTP, on all connections
    alone: int  # in a block over HTTP, one after the other
    rooms: tuple[int, ...]
    bookings: tuple[int, ...]
    audit_rows: tuple[int, ...]
    hotels: tuple[int, ...]
    event_rates: tuple[int, ...]  # changes a second
    event_rounds: int
    event_seconds: float  # of each rate in each round
    replay_hotels: int
    replay_rounds: int
    many_hotels: int
    many_bookings: int


FULL = Scale(
    rounds=7,
    changes=400,
    requests=400,
    alone=40,
    rooms=(50, 1000, 5000),
    bookings=(40, 2000, 100_000),
    audit_rows=(0, 1_000_000, 5_000_000),
    hotels=(1, 500),
    event_rates=(1, 50, 200),
    event_rounds=3,
    event_seconds=20,
    replay_hotels=50,
    replay_rounds=3,
    many_hotels=5000,
    many_bookings=2_000_000,
)
QUICK = Scale(
    rounds=2,
    changes=40,
    requests=48,
    alone=4,
    rooms=(50, 1000),
    bookings=(40, 2000),
    audit_rows=(0, 20_000, 100_000),
    hotels=(1, 20),
    event_rates=(1, 50),
    event_rounds=1,
    event_seconds=4,
    replay_hotels=4,
    replay_rounds=1,
    many_hotels=100,
    many_bookings=40_000,
)
