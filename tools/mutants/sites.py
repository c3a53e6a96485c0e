"""Finds the guards in the code by parsing it: locks, refusals, rights and hotel filters; and the text without each.

Pure: it imports no product code.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

PROJECT = Path(__file__).resolve().parents[2]
APPS = (
    "board",
    "common",
    "hotel",
    "hotelmate",
    "housekeeping",
    "notifications",
    "operations",
    "room_bookings",
    "rooms",
)
# Code that is not part of the running application, or only checks afterwards.
ELSEWHERE = (
    "operations/replay/",
    "operations/demo.py",
    "operations/invariants.py",
    "hotelmate/settings.py",
)
LOCK, POLICY, SCOPE = "lock", "policy", "scope"

# A function named for locking returns locked rows.
LOCKING = re.compile(r"(^|_)lock(_|$)")
SQL_LOCK = re.compile(r"\bpg_(?:try_)?advisory_(?:xact_)?lock\(([^)]*)\)")
SQL_HOTEL = re.compile(r"\b(?:\w+\.)?hotel_id = (%s|%\(hotel\)s|hotel\.id)")
NARROWING = {"filter", "exclude", "get", "Q", "aggregate", "find", "get_or_create", "read", "stream"}
HOTEL_KEYWORD = re.compile(r"hotel(_id|__\w+)?$")
# A comparison that checks that both sides belong to one hotel or one guest.
HOTEL_COMPARISON = re.compile(r"\bhotel_id\b|\.hotel\.slug\b|\bguest_channel\(")
LIVE_CREDENTIALS = re.compile(r"(.*__)?(is_active|expiry__gt|digest|guest_token_hash)$")
# The caller's status, where it is checked and not only returned.
CALLER_STATUS = re.compile(r"(.*\buser|user_obj|staff|profile|found\[0\])\.is_active|.*\buser\.is_superuser")
CAN = {"can", "can_any", "has_perm"}
UNLOCKED = '__import__("tools.mutants.without", fromlist=["unlocked"]).unlocked({})'
DISREGARDED = '(lambda guard: __import__("common.guards", fromlist=["examine"]).examine(guard).value)'
NO_ONE_ELSE = '__import__("contextlib").nullcontext(True)'
# Programming errors, and errors of shape in Django's forms and DRF's serializers.
NO_REFUSALS = {
    "AssertionError", "CommandError", "ImproperlyConfigured", "IncorrectLookupParameters", "NotImplementedError",
    "SystemExit", "TypeError", "ValueError", "serializers.ValidationError", "ValidationError", "ParseError",
}  # fmt: skip


class Site(NamedTuple):
    """One guard in the code: the text from ``start`` to ``end`` becomes ``without`` when it is removed."""

    kind: str
    path: str
    within: str  # the qualified name of the function or class
    what: str
    start: int
    end: int
    without: str
    late: bool  # within a function: evaluated when it runs, not on import

    @property
    def name(self) -> str:
        return f"{self.kind} {self.path} {self.within} {self.what}"

    def removed_from(self, text: str) -> str:
        return text[: self.start] + self.without + text[self.end :]


def product_files(root: Path = PROJECT) -> Iterator[Path]:
    """The modules of the running application."""
    for app in APPS:
        for path in sorted((root / app).rglob("*.py")):
            relative = path.relative_to(root).as_posix()
            if "/migrations/" not in relative and "/management/" not in relative and not relative.startswith(ELSEWHERE):
                yield path


def all_sites(root: Path = PROJECT) -> list[Site]:
    """Every site in the code, each with a unique name."""
    found: list[Site] = []
    for path in product_files(root):
        found += sites_of(path.read_text(), path.relative_to(root).as_posix())
    return found


def sites_of(text: str, path: str) -> list[Site]:
    """The sites of one module. Several of a kind in one function are numbered in order."""
    finder = _Finder(text, path)
    finder.visit(ast.parse(text))
    return _numbered(sorted(finder.sites, key=lambda site: (site.start, -site.end)))


def _numbered(sites: Iterable[Site]) -> list[Site]:
    seen: Counter[str] = Counter()
    numbered = []
    for site in sites:
        seen[site.name] += 1
        number = seen[site.name]
        numbered.append(site if number == 1 else site._replace(what=f"{site.what} ({number})"))
    return numbered


class _Finder(ast.NodeVisitor):
    def __init__(self, text: str, path: str) -> None:
        self.text, self.path = text, path
        self.sites: list[Site] = []
        self._names: list[str] = []
        self._functions = 0
        self._yields_refusals = False  # within a guard (common.guards)
        lines = text.splitlines(keepends=True)
        self._line_starts = [0]
        for line in lines:
            self._line_starts.append(self._line_starts[-1] + len(line))
        self._lines = lines

    # --- positions in the text ----------------------------------------------------------------------------------------

    def _offset(self, line: int, column: int) -> int:
        # The columns of the syntax tree count bytes.
        return self._line_starts[line - 1] + len(self._lines[line - 1].encode()[:column].decode())

    def _span(self, node: ast.AST) -> tuple[int, int]:
        return (
            self._offset(node.lineno, node.col_offset),  # type: ignore[attr-defined]
            self._offset(node.end_lineno, node.end_col_offset),  # type: ignore[attr-defined]
        )

    def _source(self, node: ast.AST) -> str:
        start, end = self._span(node)
        return self.text[start:end]

    def _short(self, node: ast.AST) -> str:
        return " ".join(self._source(node).split())[:70]

    def _add(self, kind: str, what: str, span: tuple[int, int], without: str) -> None:
        within = ".".join(self._names) or "(module)"
        self.sites.append(Site(kind, self.path, within, what, *span, without, self._functions > 0))

    # --- scopes -------------------------------------------------------------------------------------------------------

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._names.append(node.name)
        self.generic_visit(node)
        self._names.pop()

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._names.append(node.name)
        for decorator in node.decorator_list:
            self.visit(decorator)
        outer, self._yields_refusals = self._yields_refusals, self._is_guard(node)
        self._functions += 1
        for statement in node.body:
            self.visit(statement)
        self._functions -= 1
        self._yields_refusals = outer
        self._names.pop()

    def _is_guard(self, node: ast.FunctionDef) -> bool:
        return node.returns is not None and self._source(node.returns).startswith("Guard[")

    # --- sites --------------------------------------------------------------------------------------------------------

    def visit_Call(self, node: ast.Call) -> None:
        name = _called(node)
        if name == "select_for_update" and isinstance(node.func, ast.Attribute):
            self._add(LOCK, "select_for_update", self._span(node), f"{self._source(node.func.value)}.all()")
        elif name == "advisory_lock":
            self._add(LOCK, name, self._span(node), NO_ONE_ELSE)
        elif LOCKING.search(name) and isinstance(node.func, ast.Name):
            self._add(LOCK, name, self._span(node.func), UNLOCKED.format(name))
        if name == "require" and isinstance(node.func, ast.Name):
            self._add(POLICY, f"require {_name_of(node.args[0])}", self._span(node.func), DISREGARDED)
        if name in CAN:
            self._add(POLICY, self._short(node), self._span(node), "True")
        if name == "_grant":
            self._add(POLICY, f"grant {self._short(node.args[0])} {self._short(node.args[2])}", self._span(node), "*()")
        if name == "scoped":
            self._add(SCOPE, self._short(node), self._span(node), self._source(node.args[1]))
        if name == "join_rows":
            self._add(SCOPE, name, self._span(node), self._source(node.args[0]))
        self._hotel_arguments(node, name)
        self.generic_visit(node)

    def _hotel_arguments(self, node: ast.Call, name: str) -> None:
        narrowing = name in NARROWING
        for keyword in node.keywords:
            if keyword.arg is None:
                if narrowing and "lookup: hotel" in self._source(keyword.value):
                    self._argument(SCOPE, f"{name} **{self._short(keyword.value)}", node, keyword)
            elif HOTEL_KEYWORD.match(keyword.arg) and (narrowing or LOCKING.search(name)):
                self._argument(SCOPE, f"{name} {keyword.arg}", node, keyword)
            elif narrowing and self._is_about_callers and LIVE_CREDENTIALS.match(keyword.arg):
                self._argument(POLICY, f"{name} {keyword.arg}", node, keyword)
        if name in ("room_list", "booking_list"):
            for argument in node.args:
                self._argument(SCOPE, f"{name} {self._short(argument)}", node, argument)

    @property
    def _is_about_callers(self) -> bool:
        functions = {"staff_list", "booking_of_guest"}
        return self.path.endswith(("authentication.py", "backends.py")) or not functions.isdisjoint(self._names)

    def _argument(self, kind: str, what: str, call: ast.Call, argument: ast.AST) -> None:
        """Add the call without one of its arguments."""
        start, end = self._span(argument)
        call_start, call_end = self._span(call)
        tail = re.match(r"\s*,\s*", self.text[end:call_end])
        if tail:
            end += tail.end()
        elif head := re.search(r",\s*$", self.text[call_start:start]):
            start -= len(head.group())
        without = self.text[call_start:start] + self.text[end:call_end]
        self._add(kind, what, (call_start, call_end), without)

    def visit_Compare(self, node: ast.Compare) -> None:
        operator = node.ops[0]
        if isinstance(operator, ast.Eq | ast.NotEq) and HOTEL_COMPARISON.search(self._source(node)):
            self._add(SCOPE, self._short(node), self._span(node), str(isinstance(operator, ast.Eq)))
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        # A permission that is returned is one site as a whole.
        only_returned = self.path.endswith("serializers.py") or re.fullmatch(
            r"has_\w+_permission", (self._names or [""])[-1]
        )
        if CALLER_STATUS.fullmatch(self._source(node)) and not only_returned:
            self._add(POLICY, self._short(node), self._span(node), "True")
        self.generic_visit(node)

    def visit_Dict(self, node: ast.Dict) -> None:
        for value in node.values:
            if not CALLER_STATUS.fullmatch(self._source(value)):  # only returned
                self.visit(value)

    def visit_Raise(self, node: ast.Raise) -> None:
        raised = _name_of(node.exc) if node.exc is not None else ""
        if raised and raised not in NO_REFUSALS:
            self._add(POLICY, f"raise {raised}", self._span(node), "pass")
        self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> None:
        value = node.value
        if isinstance(value, ast.Yield | ast.YieldFrom) and value.value is not None and self._yields_refusals:
            verb = "yield" if isinstance(value, ast.Yield) else "yield from"
            self._add(POLICY, f"{verb} {_name_of(value.value)}", self._span(node), "yield from ()")
            self.visit(value.value)
        else:
            self.generic_visit(node)

    def visit_YieldFrom(self, node: ast.YieldFrom) -> None:
        """A guard whose value is used: it still runs, and its refusals are disregarded."""
        if self._yields_refusals:
            without = f"(yield from ()) or {DISREGARDED}({self._source(node.value)})"
            self._add(POLICY, f"yield from {_name_of(node.value)}", self._span(node), without)
        self.generic_visit(node)

    def visit_Return(self, node: ast.Return) -> None:
        value = node.value
        if isinstance(value, ast.Tuple) and isinstance(value.elts[0], ast.Constant) and value.elts[0].value is False:
            self._add(POLICY, f"return {self._short(value)}", self._span(node), "pass")
        elif (
            value is not None and re.fullmatch(r"has_\w+_permission", self._names[-1]) and self._source(value) != "True"
        ):
            self._add(POLICY, f"return {self._short(value)}", self._span(value), "True")
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        self._class_attribute(node.targets[0], node.value)
        self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self._class_attribute(node.target, node.value)
        self.generic_visit(node)

    def _class_attribute(self, target: ast.AST, value: ast.AST | None) -> None:
        name = target.id if isinstance(target, ast.Name) else ""
        if name == "rights" and isinstance(value, ast.Dict):
            for key, right in zip(value.keys, value.values, strict=True):
                self._add(POLICY, f"rights {self._short(key)}" if key else "rights", self._span(right), "None")
        elif name == "throttle_classes" and value is not None:
            self._add(POLICY, name, self._span(value), "()")

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str):
            self._sql(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        self._sql(node)
        for value in node.values:
            if isinstance(value, ast.FormattedValue):
                self.visit(value.value)

    def _sql(self, node: ast.AST) -> None:
        start, end = self._span(node)
        for found in SQL_LOCK.finditer(self.text, start, end):
            span = found.span()
            self._add(LOCK, found.group().partition("(")[0], span, f"(({found.group(1)}) IS NOT NULL)")
        for found in SQL_HOTEL.finditer(self.text, start, end):
            given = found.group(1)
            without = f"{given} IS NOT NULL" if given.startswith("%") else "TRUE"
            self._add(SCOPE, f"SQL {found.group()}", found.span(), without)


def _called(node: ast.Call) -> str:
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else ""


def _name_of(error: ast.AST) -> str:
    """The name of an error's class, or of what makes the error."""
    return ast.unparse(error.func if isinstance(error, ast.Call) else error)
