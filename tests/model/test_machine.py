"""Days in a house that a machine thinks up, each step of them foretold by the rules in plain Python.

The same days every time, in seconds. ``MODEL_EXAMPLES=20000 make test ARGS=tests/model`` thinks up new ones, for as
long as that takes; what it finds is kept in ``test_found.py``.
"""

import faulthandler
import os

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.machine import Machine
from tests.model.world import SETTINGS

pytestmark = pytest.mark.django_db

EXAMPLES = int(os.environ.get("MODEL_EXAMPLES", 0))
SHRINK = os.environ.get("MODEL_SHRINK", "1") == "1"


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_house_keeps_the_rules(setting):
    faulthandler.cancel_dump_traceback_later()  # new days take hours, and to shorten what failed takes minutes
    machine = type("Machine", (Machine,), {"setting": setting})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES or 60,
            stateful_step_count=60 if EXAMPLES else 25,
            derandomize=not EXAMPLES,
            database=None,
            phases=[Phase.generate, Phase.shrink] if SHRINK else [Phase.generate],
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=False,
        ),
    )
