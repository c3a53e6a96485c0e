"""``manage.py check_invariants``: checks every rule of ``operations.invariants`` over the whole database."""

from typing import Any

from django.core.management.base import BaseCommand

from operations.invariants import RULES, Rule, Violation, violations

LISTED = 20  # violations listed for each rule; the counts include all


class Command(BaseCommand):
    help = "Check every rule over the whole database; list the violations and exit with 1 if there are any."

    def handle(self, *args: Any, **options: Any) -> None:
        found = violations(report=self._report)
        if not found:
            self.stdout.write("No violations.")
            return
        for rule in RULES:
            broken = [violation for violation in found if violation.rule == rule.name]
            if broken:
                self._list(rule, broken)
        self.stdout.write(f"\n{len(found)} violation{'' if len(found) == 1 else 's'} in total.")
        raise SystemExit(1)

    def _report(self, rule: Rule, broken: list[Violation], seconds: float) -> None:
        self.stdout.write(f"{rule.name:<20}{len(broken):>7}{seconds:>8.2f} s  {rule.sentence}")
        self.stdout.flush()  # show progress, also when piped

    def _list(self, rule: Rule, broken: list[Violation]) -> None:
        self.stdout.write(f"\n{rule.sentence} ({rule.name}):")
        for _, hotel, subject, detail in broken[:LISTED]:
            self.stdout.write(f"  {hotel}, {subject}: {detail}")
        if len(broken) > LISTED:
            self.stdout.write(f"  … and {len(broken) - LISTED} more")
