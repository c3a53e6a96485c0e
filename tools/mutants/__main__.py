"""``make mutants``: mutation tests. Removes each lock, database rule, policy check and hotel filter, one at a time, and
checks that the test named for it fails. The exit code is 1 if a mutant survives."""

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
from tools.mutants.workspace import EXISTING_DATABASE, FAILED, PASSED, Workspace, throwaway_workspaces

CAUGHT, SURVIVED, EQUIVALENT = "caught", "SURVIVED", "equivalent"
BROKEN, UNNAMED, FAILS_BEFORE = "DOES NOT RUN", "NO TEST", "FAILS BEFORE"
GOOD = (CAUGHT, EQUIVALENT)

Guard = Site | Rule


class Verdict(NamedTuple):
    """The result of one removal; ``test`` is the reason if it is equivalent."""

    name: str
    test: str
    verdict: str
    seconds: float = 0.0


def main(arguments: list[str] | None = None) -> int:
    """Run the mutation tests; returns the exit code."""
    parser = argparse.ArgumentParser(prog="make mutants ARGS='…'", description=__doc__)
    parser.add_argument("--only", action="append", metavar="WORD", help="only names that contain it; may be repeated")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="at a time (default: one per processor)")
    parser.add_argument("--list", action="store_true", help="list them and their tests, and run none")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results to this file")
    options = parser.parse_args(arguments)
    if options.jobs < 1:
        parser.error("--jobs must be at least 1")

    signals = StopSignals()
    signals.install()
    began = time.monotonic()
    try:
        with throwaway_workspaces(options.jobs, signals.pause) as workspaces:
            guards = found_guards(workspaces[0])
            named = followed((guard.name for guard in guards), named_tests())
            selected = [guard for guard in guards if is_selected(guard.name, options.only)]
            if options.list:
                say("\n".join(row(listed(guard.name, named)) for guard in selected))
                return 0
            wrong = [
                one for one in differences({guard.name for guard in guards}, named) if is_selected(one, options.only)
            ]
            verdicts = verdicts_on(selected, named, workspaces)
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
    """All guards in the code and in the migrated database."""
    workspace.renew_database()
    return [*all_rules(workspace.test_url), *sorted(all_sites(), key=lambda site: (site.kind, site.path, site.start))]


def is_selected(name: str, words: Sequence[str] | None) -> bool:
    return not words or any(word in name for word in words)


def listed(name: str, named: Named) -> Verdict:
    """A guard with its entry in the table of named tests."""
    if reason := named.equivalent.get(name):
        return Verdict(name, reason, EQUIVALENT)
    test = named.tests.get(name, "")
    return Verdict(name, test, "" if test else UNNAMED)


def verdicts_on(guards: Sequence[Guard], named: Named, workspaces: Sequence[Workspace]) -> list[Verdict]:
    """The verdict on each guard, in order. First, all named tests run with nothing removed."""
    todo = [guard for guard in guards if guard.name in named.tests and guard.name not in named.equivalent]
    free: SimpleQueue[Workspace] = SimpleQueue()
    for workspace in workspaces:
        free.put(workspace)
    verdicts = {guard.name: listed(guard.name, named) for guard in guards}
    with ThreadPoolExecutor(len(workspaces)) as pool:

        def failing(tests: Sequence[str]) -> set[str]:
            workspace = free.get()
            try:
                return failing_before(workspace, tests)
            finally:
                free.put(workspace)

        def verdict_on(guard: Guard) -> Verdict:
            workspace = free.get()
            try:
                return verdict_without(workspace, guard, named.tests[guard.name])
            finally:
                free.put(workspace)

        tests = sorted({named.tests[guard.name] for guard in todo})
        shares = [
            tests[start :: len(workspaces)] for start in range(len(workspaces)) if tests[start :: len(workspaces)]
        ]
        failed = set().union(*pool.map(failing, shares))
        todo = [guard for guard in todo if named.tests[guard.name] not in failed]
        for name, test in named.tests.items():
            if name in verdicts and test in failed:
                verdicts[name] = Verdict(name, test, FAILS_BEFORE)
        try:
            for verdict in tqdm(pool.map(verdict_on, todo), total=len(todo), unit=" mutants", disable=None):
                verdicts[verdict.name] = verdict
                if verdict.verdict not in GOOD:
                    tqdm.write(row(verdict))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [verdicts[guard.name] for guard in guards]


def failing_before(workspace: Workspace, tests: Sequence[str]) -> set[str]:
    """The ``tests`` that fail, or that pytest does not find, with nothing removed."""
    workspace.renew_database()
    ended = workspace.run(tests, [*EXISTING_DATABASE, "--maxfail=1000", "-rA"], patience=1800)
    if ended.code == PASSED:
        return set()
    if ended.code != FAILED:
        raise LocalError(f"The named tests do not run:\n{ended.output[-2000:]}")
    passed = set(re.findall(r"^PASSED (.+)$", ended.output, re.MULTILINE))
    return {test for test in tests if test not in passed and not any(name.startswith(f"{test}[") for name in passed)}


def verdict_without(workspace: Workspace, guard: Guard, test: str) -> Verdict:
    """Run the named test without the guard."""
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
    verdict = {PASSED: SURVIVED, FAILED: CAUGHT}.get(ended.code if ended.code is not None else -1, BROKEN)
    return Verdict(guard.name, test, verdict, round(ended.seconds, 1))


def row(verdict: Verdict) -> str:
    return f"{verdict.name:<100} | {verdict.test} | {verdict.verdict} | {verdict.seconds:.1f}"


def report(verdicts: Sequence[Verdict], wrong: Sequence[str]) -> str:
    """The table of verdicts, and their counts."""
    counts = Counter(verdict.verdict for verdict in verdicts)
    lines = ["mutant | named test | verdict | seconds", *(row(verdict) for verdict in verdicts), ""]
    lines += [f"{number:>5} {word}" for word, number in counts.most_common()]
    return "\n".join([*lines, *wrong])


if __name__ == "__main__":
    sys.exit(main())
