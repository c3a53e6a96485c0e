"""The drill reports each kind of failure, follows its plan, and leaves nothing behind."""

import math
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import psutil
import pytest

from local.datadir import PROJECT
from local.service import wait_until
from rooms.models import TRANSITIONS, RoomStatus
from tools.harness.chaos import FAULTS, plan
from tools.harness.delivery import Applied, Arrival, Change, Sent, Stored, delivery_times, failures, percentile, repeats
from tools.harness.writer import NEXT

STEPS = ("READY_FOR_GUEST", "CHECKOUT_DIRTY", "CLEANED_UNINSPECTED", "READY_FOR_GUEST")


class Log:
    """Two rooms that go through ``STEPS`` alternately: six changes, delivered correctly."""

    def __init__(self) -> None:
        self.changes = [
            Change("north", room, version, STEPS[version - 1], STEPS[version])
            for version in (1, 2, 3)
            for room in (101, 102)
        ]
        self.stored = [
            Stored("north", f"id-{seq}", seq, change.room, change.version, sent=True, parked=False)
            for seq, change in enumerate(self.changes, start=1)
        ]
        self.sent = [Sent("north", event.event_id, event.seq or 0) for event in self.stored]
        self.arrivals = [
            Arrival("north", "live", f"id-{seq}", seq, *change[1:], body=f"body-{seq}")
            for seq, change in enumerate(self.changes, start=1)
        ]
        self.applied = [Applied("north", event.event_id, event.seq) for event in self.arrivals]
        self.last_seqs = {"north": 6}
        self.acknowledged = {change[:3] for change in self.changes}

    def failures(self) -> list[str]:
        return failures(
            self.changes,
            self.stored,
            self.sent,
            self.arrivals,
            self.applied,
            last_seqs=self.last_seqs,
            acknowledged=self.acknowledged,
        )


@pytest.fixture
def log() -> Log:
    return Log()


def test_good_log_has_no_failures(log: Log):
    assert log.failures() == []


def test_repeats_and_replays_are_no_failure(log: Log):
    log.sent += [log.sent[3], log.sent[4], log.sent[3]]
    log.arrivals += [log.arrivals[3], log.arrivals[4], log.arrivals[0]._replace(way="replay")]
    assert log.failures() == []
    assert repeats(log.sent) == 3


def test_replayed_event_may_arrive_live_later(log: Log):
    log.arrivals[2:4] = [event._replace(way="replay") for event in log.arrivals[2:4]] + log.arrivals[2:4]
    assert log.failures() == []


def test_lost_event_is_reported(log: Log):
    del log.arrivals[4], log.applied[4]
    assert log.failures() == [
        "lost: north, room 101, version 3 (CLEANED_UNINSPECTED to READY_FOR_GUEST) never arrived",
        "north: seq 5 is missing at the subscriber",
        "north: the subscriber did not apply the events 1 to 6, each once and in order",
    ]


def test_change_without_an_event_is_reported(log: Log):
    for rows in (log.stored, log.sent, log.arrivals, log.applied):
        del rows[5]
    log.last_seqs = {"north": 5}
    assert log.failures() == [
        "lost: north, room 102, version 3 (CLEANED_UNINSPECTED to READY_FOR_GUEST) never arrived",
        "north, room 102, version 3 (CLEANED_UNINSPECTED to READY_FOR_GUEST) has 0 events instead of one",
    ]


def test_event_without_a_change_is_reported(log: Log):
    del log.changes[5]
    log.acknowledged = set()
    assert log.failures() == [
        "invented: north, room 102, version 3 (CLEANED_UNINSPECTED to READY_FOR_GUEST) arrived and never happened"
    ]


def test_lost_confirmed_change_is_reported(log: Log):
    log.acknowledged.add(("north", 101, 4))
    assert log.failures() == [
        "north: version 4 of room 101 was confirmed to the writer and is not in the database",
    ]


def test_number_used_twice_is_reported(log: Log):
    """One event was sent as 3 before a crash, another one after it."""
    log.sent.insert(3, log.sent[3]._replace(seq=3))
    assert log.failures() == [
        "north: seq 3 is carried by 2 events: id-3, id-4",
        "north: event id-4 has had several numbers: ['3', '4']",
    ]


def test_gap_in_the_numbers_is_reported(log: Log):
    for rows in (log.stored, log.sent, log.arrivals, log.applied):
        rows[5] = rows[5]._replace(seq=7)
    log.last_seqs = {"north": 7}
    assert log.failures() == [
        "north: seq 6 is missing in the database",
        "north: seq 6 is missing at the subscriber",
        "north: the subscriber did not apply the events 1 to 7, each once and in order",
    ]


def test_event_without_a_number_is_reported(log: Log):
    log.stored[5] = log.stored[5]._replace(seq=None, sent=False)
    found = log.failures()
    assert "north: event id-6 (seq None) is still waiting" in found
    assert "north: seq 6 is missing in the database" in found


def test_unassigned_number_is_reported(log: Log):
    log.last_seqs = {"north": 5}
    assert "north: seq 6 at the subscriber was never assigned" in log.failures()


@pytest.mark.parametrize(("fields", "word"), [({"sent": False}, "still waiting"), ({"parked": True}, "parked")])
def test_waiting_and_parked_events_are_reported(log: Log, fields: dict[str, bool], word: str):
    log.stored[1] = log.stored[1]._replace(**fields)
    assert log.failures() == [f"north: event id-2 (seq 2) is {word}"]


def test_event_marked_as_sent_but_never_published_is_reported(log: Log):
    """The subscriber has caught up after the gap, so only the Pusher server's record shows it."""
    del log.sent[3]
    log.arrivals[3] = log.arrivals[3]._replace(way="replay")
    assert log.failures() == ["north: event id-4 (seq 4) is marked as sent, and the Pusher server never published it"]


def test_sending_out_of_order_is_reported(log: Log):
    log.sent[1], log.sent[2] = log.sent[2], log.sent[1]
    assert log.failures() == ["north: seq 2 was first sent after seq 3"]


def test_numbers_that_reverse_a_rooms_versions_are_reported(log: Log):
    log.stored[0] = log.stored[0]._replace(version=2)
    log.stored[2] = log.stored[2]._replace(version=1)
    assert log.failures() == [
        "north: by the numbers, event 1 of room 101 has version 2",
        "north: by the numbers, event 2 of room 101 has version 1",
    ]


def test_repeat_with_another_body_is_reported(log: Log):
    log.arrivals.append(log.arrivals[2]._replace(way="replay", body="another"))
    assert log.failures() == ["event id-3 arrived with 2 different bodies"]


def test_event_applied_twice_is_reported(log: Log):
    log.applied.insert(3, log.applied[2])
    assert log.failures() == ["north: the subscriber did not apply the events 1 to 6, each once and in order"]


def test_long_lists_of_failures_are_cut(log: Log):
    log.stored = [event._replace(sent=False) for event in log.stored]
    assert log.failures()[5:] == ["… and 1 more like that"]


def test_each_hotel_is_a_separate_stream(log: Log):
    for rows in (log.changes, log.stored, log.sent, log.arrivals, log.applied):
        rows += [row._replace(hotel="south") for row in rows]  # type: ignore[attr-defined]
    log.last_seqs = {"north": 6, "south": 6}
    assert log.failures() == []


def test_percentiles_use_the_nearest_rank():
    values = [float(value) for value in range(100, 0, -1)]
    assert [percentile(values, share) for share in (0.5, 0.95, 0.99, 1.0)] == [50, 95, 99, 100]
    assert percentile([7.0], 0.5) == 7.0
    assert math.isnan(percentile([], 0.5))


def test_delivery_times_use_the_first_live_arrival(log: Log):
    """Committed at 0, 1, … 5 seconds; each is published 2 ms later and received 5 ms later."""
    commits = {change: float(second) for second, change in enumerate(log.changes)}
    sent = [event._replace(at=second + 0.002) for second, event in enumerate(log.sent)]
    arrivals = [event._replace(at=second + 0.005) for second, event in enumerate(log.arrivals)]
    arrivals[3] = arrivals[3]._replace(way="replay")
    sent.append(sent[2]._replace(at=9))
    arrivals.append(arrivals[2]._replace(at=9))
    to_pusher, to_client = delivery_times(commits, sent, arrivals, since=1, until=5)  # 1, 2 and 4
    assert to_pusher == pytest.approx([2, 2, 2])
    assert to_client == pytest.approx([5, 5, 5])


def test_same_seed_gives_the_same_plan_with_every_fault_in_each_round():
    planned_faults = list(islice(plan(7), 22))
    assert planned_faults == list(islice(plan(7), 22))
    assert planned_faults != list(islice(plan(8), 22))
    long_away, long_hang = planned_faults[5:7]
    del planned_faults[5:7]
    assert (long_away.fault, long_hang.fault, long_away.recovery) == ("crashed", "hung", 0)
    assert Counter(planned.fault for planned in planned_faults) == dict.fromkeys(FAULTS, 4)
    for planned in planned_faults:
        shortest, longest = FAULTS[planned.fault]
        assert shortest <= planned.seconds <= longest
        assert all(0 <= moment <= planned.seconds for moment, _ in planned.kills)
    assert {kind for planned in planned_faults for _, kind in planned.kills} == {"web", "worker"}


def test_writers_follow_the_workflow_map_and_need_no_guest():
    assert set(NEXT) == set(RoomStatus.values) - {RoomStatus.OCCUPIED}
    for status, following in NEXT.items():
        assert set(following) <= set(TRANSITIONS[status]) - {RoomStatus.OCCUPIED}


@contextmanager
def drill_in(folder: Path) -> Iterator["subprocess.Popen[str]"]:
    """A drill with its folder below ``folder``, once PostgreSQL, the Pusher server and the web server are running."""
    with subprocess.Popen(
        [sys.executable, "-m", "tools.drill_events", "--seed", "1"],
        cwd=PROJECT,
        env={**os.environ, "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as drill:
        try:
            assert drill.stdout
            first = drill.stdout.readline()
            assert first.startswith("Seed 1, in "), first + drill.stdout.read()
            assert wait_until(lambda: any(file.read_text() for file in folder.glob("*/run/web.json")), 30)
            assert running_from(folder)
            yield drill
        finally:
            drill.kill()


def test_ctrl_c_leaves_nothing_behind(tmp_path: Path):
    with drill_in(tmp_path) as drill:
        drill.send_signal(signal.SIGINT)
        output, _ = drill.communicate(timeout=60)
    assert (drill.returncode, output.strip()) == (130, "Stopped.")
    assert list(tmp_path.iterdir()) == []
    assert not running_from(tmp_path)


def test_after_kill_9_clean_leaves_nothing_behind(tmp_path: Path):
    with drill_in(tmp_path) as drill:
        drill.kill()
    (folder,) = tmp_path.iterdir()
    clean = [sys.executable, "-m", "local", "clean"]
    subprocess.run(clean, cwd=PROJECT, env={**os.environ, "HOTELMATE_DATA_DIR": str(folder)}, check=True)
    assert list(tmp_path.iterdir()) == []
    assert not running_from(tmp_path)


def running_from(folder: Path) -> list[list[str]]:
    """The processes that use this data folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("HOTELMATE_DATA_DIR", "").startswith(str(folder)):
                found.append(process.cmdline())
        except psutil.Error:
            continue
    return found
