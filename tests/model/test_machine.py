"""Days in a house that chance thinks up, each step of them foretold by the rules in plain Python.

The same days every time, in seconds. ``MODEL_EXAMPLES=20000 make test ARGS=tests/model`` thinks up new ones, for as
long as that takes; what it finds is kept in ``test_found.py``.
"""

import faulthandler
import os
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.busy import live, repeat
from tests.model.machine import Machine
from tests.model.world import SETTINGS, RealHouse, World

pytestmark = pytest.mark.django_db

EXAMPLES = int(os.environ.get("MODEL_EXAMPLES", 0))


@pytest.fixture(autouse=True)
def _takes_its_time():
    """New days take hours, and to shorten what failed takes minutes: that is no test that hangs."""
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture(params=SETTINGS)
def real(request, db):
    return RealHouse(request.param)


def test_a_machine_finds_no_broken_rule(real):
    """Hypothesis looks for a run that breaks a rule, and shortens it."""
    run_state_machine_as_test(
        type("Machine", (Machine,), {"real": real}),
        settings=settings(
            max_examples=EXAMPLES or 8,
            stateful_step_count=50 if EXAMPLES else 12,
            derandomize=not EXAMPLES,
            database=None,
            phases=[Phase.generate, Phase.shrink],
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=False,
        ),
    )


def test_busy_days_break_no_rule(real):
    """Evenly drawn, which gets further in as many steps; a failure prints what was done, to be kept."""
    first = Random().randrange(2**32) if EXAMPLES else 0
    for seed in range(first, first + (EXAMPLES or 10)):
        world = World(real)
        try:
            live(world, Random(seed), 40)
            repeat(world)
        except BaseException:
            print(f"seed {seed}:", *world.log, sep="\n")
            world.discard()
            raise
        world.close()
