"""Guards: generators that yield every refusal of an action, in the order in which they are reported.

The service raises the first (``require``); pre-flight lists them all (``examine``). So what is said beforehand and what
happens cannot differ. A guard stores nothing: it decides on the rows that it is given, locked or just read, and returns
what the service needs to go on.
"""

from collections.abc import Generator
from typing import Any, Generic, NamedTuple, TypeVar

from common.errors import HotelMateError

T = TypeVar("T")
Guard = Generator[HotelMateError, None, T]


def require(guard: Guard[T]) -> T:
    """What the guard returns if it refuses nothing; otherwise its first refusal is raised."""
    try:
        refusal = next(guard)
    except StopIteration as done:
        value: T = done.value
        return value
    guard.close()  # runs no further: it may lock and read as it goes
    raise refusal


def refuses_nothing(*guards: Guard[Any]) -> bool:
    """Whether none of the guards refuses."""
    return all(next(guard, None) is None for guard in guards)


class Verdict(NamedTuple, Generic[T]):
    """All refusals of a guard, and what it returned."""

    refusals: list[HotelMateError]
    value: T


def examine(guard: Guard[T]) -> Verdict[T]:
    """Every refusal of the guard, and what it returned in spite of them."""
    refusals = []
    while True:
        try:
            refusals.append(next(guard))
        except StopIteration as done:
            return Verdict(refusals, done.value)
