"""A real PgBouncer is found out when a process starts; in ``make test-pooled``, which starts it."""

import os
from contextlib import closing

import pytest
from django.db import connection
from psycopg2.extensions import parse_dsn

from common.postgres.base import DatabaseWrapper
from common.postgres.validation import problems
from tests import pooled
from tools.harness.pgbouncer import pgbouncer

pytestmark = [
    pytest.mark.skipif(pooled.VARIABLES[pooled.POOLED] not in os.environ, reason="`make test-pooled` starts PgBouncer"),
    pytest.mark.django_db,
]
OPTIONS = {"options": "-c jit=off"}


def found(url, *, options, knows_of_it=False):
    """The ids of the problems of a web process that connects to this URL."""
    server = parse_dsn(url)
    ours = {
        "HOST": server["host"],
        "PORT": server["port"],
        "OPTIONS": options,
        "DISABLE_SERVER_SIDE_CURSORS": knows_of_it,
    }
    with closing(DatabaseWrapper({**connection.settings_dict, **ours})) as other:
        return [problem.id for problem in problems(other)]


def test_a_pooler_in_transaction_mode():
    url = os.environ[pooled.VARIABLES[pooled.POOLED]]
    assert found(url, options={}, knows_of_it=True) == []
    assert found(url, options={}) == ["hotelmate.E002"]
    assert found(url, options=OPTIONS) == ["hotelmate.E005"]


@pytest.mark.parametrize("order", ["0", "1"], ids=["last returned", "in turn"])
def test_a_pool_of_many_sessions(order):
    """With sessions that it can hand out in turn."""
    direct = os.environ[pooled.VARIABLES[pooled.DIRECTLY]]
    with pgbouncer(direct, server_round_robin=order, min_pool_size="4") as url:
        for _ in range(5):
            assert found(url, options={}) == ["hotelmate.E002"]


def test_a_pooler_in_session_mode_and_no_pooler():
    direct = os.environ[pooled.VARIABLES[pooled.DIRECTLY]]
    with pgbouncer(direct, pool_mode="session", ignore_startup_parameters="options") as url:
        assert found(url, options=OPTIONS) == []
    assert found(direct, options=OPTIONS) == []
