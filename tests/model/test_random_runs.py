"""Random days in a hotel, each step compared with an independent model in plain Python.

By default the same days in each run, which takes seconds. ``MODEL_EXAMPLES=20000 make test ARGS=tests/model`` runs new
ones, for hours; failures are then recorded in ``test_recorded_runs.py``.
"""

import faulthandler
import os
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.lockstep import SETTINGS, Lockstep, RealHotel
from tests.model.random_steps import repeat_last_steps, run_random_steps
from tests.model.state_machine import HotelStateMachine

pytestmark = pytest.mark.django_db

EXAMPLES = int(os.environ.get("MODEL_EXAMPLES", 0))


@pytest.fixture(autouse=True)
def _no_hang_timeout():
    """New days take hours and shrinking a failure takes minutes, which is not a hung test."""
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture(params=SETTINGS)
def real(request, db):
    return RealHotel(request.param)


def test_state_machine_agrees_with_the_reference(real):
    """Hypothesis searches for a run on which the hotels differ, and shrinks it."""
    run_state_machine_as_test(
        type("HotelStateMachine", (HotelStateMachine,), {"real": real}),
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


def test_random_days_agree_with_the_reference(real):
    """Steps drawn at random reach more states than Hypothesis; a failure prints its steps, to be recorded."""
    first = Random().randrange(2**32) if EXAMPLES else 0
    for seed in range(first, first + (EXAMPLES or 10)):
        lockstep = Lockstep(real)
        try:
            run_random_steps(lockstep, Random(seed), 40)
            repeat_last_steps(lockstep)
        except BaseException:
            print(f"seed {seed}:", *lockstep.log, sep="\n")
            lockstep.discard()
            raise
        lockstep.close()
