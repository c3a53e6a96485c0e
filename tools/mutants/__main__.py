"""``make mutants``: takes away each lock, each rule of the database, each policy check and each scope to one hotel, one
at a time, and sees that the test which is named for it turns red. Exit code 1 when one survives."""

import argparse
import json
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

from tqdm import tqdm

from local import LocalError
from local.run import say
from local.signals import StopRequestedError, StopSignals
from tools.mutants.named import Named, differences, followed, named_tests
from tools.mutants.rules import Rule, all_rules
from tools.mutants.sites import PROJECT, Site, all_sites
from tools.mutants.workspace import ALL_GREEN, SOME_RED, TAKING_THE_DATABASE, Workspace, throwaway_workspaces

CAUGHT, SURVIVED, EQUIVALENT = "caught", "SURVIVED", "equivalent"
BROKEN, UNNAMED, RED_BEFORE = "DOES NOT RUN", "NO TEST", "RED BEFORE"
GOOD = (CAUGHT, EQUIVALENT)

Guard = Site | Rule


class Verdict(NamedTuple):
    """What became of one removal; ``test`` is the reason where it is equivalent."""

    name: str
    test: str
    verdict: str
    seconds: float = 0.0


def main(arguments: list[str] | None = None) -> int:
    """Try the mutants; returns the exit code."""
    parser = argparse.ArgumentParser(prog="make mutants ARGS='…'", description=__doc__)
    parser.add_argument("--only", action="append", metavar="WORD", help="those whose names have it; may be repeated")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="at a time (default: one per processor)")
    parser.add_argument("--list", action="store_true", help="name them and their tests, and try none")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the verdicts there, too")
    options = parser.parse_args(arguments)
    if options.jobs < 1:
        parser.error("--jobs is 1 or more")

    signals = StopSignals()
    signals.install()
    began = time.monotonic()
    try:
        with throwaway_workspaces(options.jobs, signals.pause) as workspaces:
            guards = found_guards(workspaces[0])
            named = followed((guard.name for guard in guards), named_tests())
            wanted = [guard for guard in guards if is_wanted(guard.name, options.only)]
            if options.list:
                say("\n".join(row(listed(guard.name, named)) for guard in wanted))
                return 0
            wrong = [
                one for one in differences({guard.name for guard in guards}, named) if is_wanted(one, options.only)
            ]
            verdicts = tried(wanted, named, workspaces)
    except StopRequestedError:
        say("\nStopped.")
        return 130
    except LocalError as error:
        say(f"\n{error}")
        return 1
    if options.json:
        options.json.write_text(json.dumps([verdict._asdict() for verdict in verdicts], indent=1) + "\n")
    say(report(verdicts, wrong))
    say(f"In {time.monotonic() - began:.0f} s.")
    return 1 if wrong or any(verdict.verdict not in GOOD for verdict in verdicts) else 0


def found_guards(workspace: Workspace) -> list[Guard]:
    """All that guards something: in the code and in the migrated database."""
    workspace.renew_database()
    return [*all_rules(workspace.test_url), *sorted(all_sites(), key=lambda site: (site.kind, site.path, site.start))]


def is_wanted(name: str, words: Sequence[str] | None) -> bool:
    return not words or any(word in name for word in words)


def listed(name: str, named: Named) -> Verdict:
    """A guard as the table of named tests has it."""
    if reason := named.equivalent.get(name):
        return Verdict(name, reason, EQUIVALENT)
    test = named.tests.get(name, "")
    return Verdict(name, test, "" if test else UNNAMED)


def tried(guards: Sequence[Guard], named: Named, workspaces: Sequence[Workspace]) -> list[Verdict]:
    """The verdict on each guard, in their order. First all the named tests run with nothing removed."""
    todo = [guard for guard in guards if guard.name in named.tests and guard.name not in named.equivalent]
    free: SimpleQueue[Workspace] = SimpleQueue()
    for workspace in workspaces:
        free.put(workspace)
    verdicts = {guard.name: listed(guard.name, named) for guard in guards}
    with ThreadPoolExecutor(len(workspaces)) as pool:

        def red_of(tests: Sequence[str]) -> set[str]:
            workspace = free.get()
            try:
                return red_before(workspace, tests)
            finally:
                free.put(workspace)

        def verdict_on(guard: Guard) -> Verdict:
            workspace = free.get()
            try:
                return removed(workspace, guard, named.tests[guard.name])
            finally:
                free.put(workspace)

        tests = sorted({named.tests[guard.name] for guard in todo})
        shares = [
            tests[start :: len(workspaces)] for start in range(len(workspaces)) if tests[start :: len(workspaces)]
        ]
        red = set().union(*pool.map(red_of, shares))
        todo = [guard for guard in todo if named.tests[guard.name] not in red]
        for name, test in named.tests.items():
            if name in verdicts and test in red:
                verdicts[name] = Verdict(name, test, RED_BEFORE)
        try:
            for verdict in tqdm(pool.map(verdict_on, todo), total=len(todo), unit=" mutants", disable=None):
                verdicts[verdict.name] = verdict
                if verdict.verdict not in GOOD:
                    tqdm.write(row(verdict))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [verdicts[guard.name] for guard in guards]


def red_before(workspace: Workspace, tests: Sequence[str]) -> set[str]:
    """Which of ``tests`` are not green as things are; those that pytest does not find, too."""
    workspace.renew_database()
    ended = workspace.run(tests, [*TAKING_THE_DATABASE, "--maxfail=1000", "-rA"], patience=1800)
    if ended.code == ALL_GREEN:
        return set()
    if ended.code != SOME_RED:
        raise LocalError(f"The named tests do not run:\n{ended.said[-2000:]}")
    green = set(re.findall(r"^PASSED (.+)$", ended.said, re.MULTILINE))
    return {test for test in tests if test not in green and not any(name.startswith(f"{test}[") for name in green)}


def removed(workspace: Workspace, guard: Guard, test: str) -> Verdict:
    """What the named test says without the guard."""
    if isinstance(guard, Rule):
        workspace.renew_database([guard.removal])
        ended = workspace.run([test])
    else:
        whole = (PROJECT / guard.path).read_text()
        workspace.renew_database()
        workspace.write(guard.path, guard.removed_from(whole))
        try:
            ended = workspace.run([test])
        finally:
            workspace.write(guard.path, whole)
    verdict = {ALL_GREEN: SURVIVED, SOME_RED: CAUGHT}.get(ended.code if ended.code is not None else -1, BROKEN)
    return Verdict(guard.name, test, verdict, round(ended.seconds, 1))


def row(verdict: Verdict) -> str:
    return f"{verdict.name:<100} | {verdict.test} | {verdict.verdict} | {verdict.seconds:.1f}"


def report(verdicts: Sequence[Verdict], wrong: Sequence[str]) -> str:
    """The whole table, and the counts."""
    counts = Counter(verdict.verdict for verdict in verdicts)
    lines = ["mutant | named test | verdict | seconds", *(row(verdict) for verdict in verdicts), ""]
    lines += [f"{number:>5} {word}" for word, number in counts.most_common()]
    return "\n".join([*lines, *wrong])


if __name__ == "__main__":
    sys.exit(main())
