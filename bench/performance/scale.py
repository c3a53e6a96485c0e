"""How much of everything a run measures."""

from typing import NamedTuple


class Scale(NamedTuple):
    """How often, how many, and in houses of what size."""

    rounds: int
    changes: int  # of status, in a block at the service
    requests: int  # of a block over HTTP, with all connections
    alone: int  # of a block over HTTP, one after the other
    rooms: tuple[int, ...]
    bookings: tuple[int, ...]
    audit_rows: tuple[int, ...]
    hotels: tuple[int, ...]


FULL = Scale(7, 400, 400, 40, (50, 1000, 5000), (40, 2000, 100_000), (0, 1_000_000, 5_000_000), (1, 500))
QUICK = Scale(2, 40, 48, 4, (50, 1000), (40, 2000), (0, 20_000, 100_000), (1, 20))
