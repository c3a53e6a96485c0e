"""A guard's first refusal is raised, and all of them are listed."""

import pytest

from common.errors import Conflict, NotAllowed
from common.guards import examine, require


def guard(*refusals, looked):
    yield from refusals
    looked.append("everything")
    return "the room"


def test_the_first_refusal_is_raised_and_the_guard_runs_no_further():
    looked = []
    with pytest.raises(NotAllowed):
        require(guard(NotAllowed("no right"), Conflict("occupied"), looked=looked))
    assert looked == []


def test_a_guard_without_refusals_gives_its_value():
    assert require(guard(looked=[])) == "the room"


def test_all_refusals_are_listed_with_the_value():
    first, second = NotAllowed("no right"), Conflict("occupied")
    assert examine(guard(first, second, looked=[])) == ([first, second], "the room")
    assert examine(guard(looked=[])) == ([], "the room")
