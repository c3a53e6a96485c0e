"""Every lock, check and hotel filter has a named test that fails without it."""

import ast
from functools import cache

import pytest
from django.db import connection

from tools.mutants.__main__ import BROKEN, CAUGHT, EQUIVALENT, SURVIVED, Verdict, report
from tools.mutants.named import Named, differences, followed, named_tests
from tools.mutants.rules import CATALOG, KINDS, rules_of
from tools.mutants.sites import DISREGARDED, LOCK, POLICY, PROJECT, SCOPE, all_sites, sites_of

RULES = tuple(f"{kind} " for kind in KINDS)


def of(kinds: tuple[str, ...]) -> Named:
    """The part of the table for ``kinds``."""
    tests, equivalent = named_tests()
    return Named(
        {name: test for name, test in tests.items() if name.startswith(kinds)},
        {name: reason for name, reason in equivalent.items() if name.startswith(kinds)},
    )


def test_each_guard_in_the_code_has_a_named_test():
    found = [site.name for site in all_sites()]
    assert len(found) == len(set(found))
    listed = of((f"{LOCK} ", f"{POLICY} ", f"{SCOPE} "))
    assert differences(set(found), followed(found, listed)) == []


@pytest.mark.parametrize(
    "now",
    [
        "lock rooms/moved.py lock_rooms select_for_update",
        "lock rooms/services.py renamed select_for_update",
        "lock rooms/moved.py and_renamed select_for_update",
    ],
)
def test_an_entry_follows_a_moved_file_and_a_renamed_function(now):
    table = {
        "lock rooms/services.py lock_rooms select_for_update": "tests/a.py::test_a",
        "policy rooms/services.py lock_rooms raise RoomNotFound": "tests/a.py::test_b",
    }
    listed = Named(table, {})
    found = [now, "policy rooms/services.py lock_rooms raise RoomNotFound"]
    assert followed(found, listed).tests == {found[0]: "tests/a.py::test_a", found[1]: "tests/a.py::test_b"}


@pytest.mark.parametrize(
    "found",
    [
        [],
        ["lock rooms/services.py other room_lock"],
        ["lock rooms/services.py one select_for_update", "lock rooms/services.py two select_for_update"],
    ],
)
def test_an_entry_follows_nothing_else(found):
    listed = Named({"lock rooms/services.py lock_rooms select_for_update": "tests/a.py::test_a"}, {})
    assert len(differences(set(found), followed(found, listed))) == len(found) + 1


@pytest.mark.django_db
def test_each_database_rule_has_a_named_test():
    with connection.cursor() as cursor:
        cursor.execute(CATALOG)
        found = [rule.name for rule in rules_of(cursor.fetchall())]
    assert len(found) == len(set(found))
    assert differences(set(found), of(RULES)) == []


@cache
def functions(path: str) -> set[str]:
    tree = ast.parse((PROJECT / path).read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_each_named_test_exists():
    missing = {
        test
        for test in named_tests().tests.values()
        if test.partition("::")[2].partition("[")[0] not in functions(test.partition("::")[0])
    }
    assert missing == set()


def test_code_without_a_guard_still_parses():
    for site in all_sites():
        text = (PROJECT / site.path).read_text()
        assert ast.parse(site.removed_from(text)), site.name
        assert site.removed_from(text) != text


def without_each(text: str) -> list[tuple[str, str]]:
    """The kind and text of each mutant of a module."""
    return [(site.kind, site.removed_from(text)) for site in sites_of(text, "somewhere.py")]


@pytest.mark.parametrize(
    ("text", "mutants"),
    [
        ("def f():\n    return A.objects.select_for_update(no_key=True).get(pk=1)", [
            (LOCK, "def f():\n    return A.objects.all().get(pk=1)"),
        ]),
        ("x = lock_rooms([room])", [
            (LOCK, 'x = __import__("tools.mutants.without", fromlist=["unlocked"]).unlocked(lock_rooms)([room])'),
        ]),
        ('with advisory_lock(1, 2) as alone: pass', [
            (LOCK, 'with __import__("contextlib").nullcontext(True) as alone: pass'),
        ]),
        ('x = "SELECT pg_advisory_xact_lock(%s, %s)"', [(LOCK, 'x = "SELECT ((%s, %s) IS NOT NULL)"')]),
        ('x = f"WHERE a.hotel_id = %s AND {b}"', [(SCOPE, 'x = f"WHERE %s IS NOT NULL AND {b}"')]),
        ("x = rooms.filter(hotel=hotel, pk=pk)", [(SCOPE, "x = rooms.filter(pk=pk)")]),
        ("x = rooms.filter(query, hotel=hotel)", [(SCOPE, "x = rooms.filter(query)")]),
        ("x = Q(hotel__in=é_hotels)", [(SCOPE, "x = Q()")]),
        ("x = room_list(self.hotel).first()", [(SCOPE, "x = room_list().first()")]),
        ("x = rooms.filter(**{lookup: hotel.pk})", [(SCOPE, "x = rooms.filter()")]),
        ("x = staff.hotel_id != room.hotel_id", [(SCOPE, "x = False")]),
        ("x = staff.hotel_id == room.hotel_id", [(SCOPE, "x = True")]),
        ("if bad:\n    raise Refused('no')", [(POLICY, "if bad:\n    pass")]),
        ("raise ValueError", []),
        ("try:\n    f()\nexcept E:\n    raise", []),
        ("def f():\n    return False, 'no'", [(POLICY, "def f():\n    pass")]),
        ("def has_add_permission(s):\n    return a or b", [(POLICY, "def has_add_permission(s):\n    return True")]),
        ("if staff.can(RIGHT): pass", [(POLICY, "if True: pass")]),
        ("class V:\n    rights: C = {'a': X, 'b': [Y]}", [
            (POLICY, "class V:\n    rights: C = {'a': None, 'b': [Y]}"),
            (POLICY, "class V:\n    rights: C = {'a': X, 'b': None}"),
        ]),
        ("def f() -> Guard[None]:\n    yield No()\n    yield from g()", [
            (POLICY, "def f() -> Guard[None]:\n    yield from ()\n    yield from g()"),
            (POLICY, "def f() -> Guard[None]:\n    yield No()\n    yield from ()"),
        ]),
        ("def f() -> Guard[int]:\n    return (yield from g())", [
            (POLICY, f"def f() -> Guard[int]:\n    return ((yield from ()) or {DISREGARDED}(g()))"),
        ]),
        ("x = require(f())", [(POLICY, f"x = {DISREGARDED}(f())")]),
        ("create(hotel=hotel)\nA(hotel_id=1)\nx = pk == 1", []),
    ],
)  # fmt: skip
def test_sites_and_the_text_without_them(text, mutants):
    assert without_each(text) == mutants


def test_guards_of_one_kind_in_one_function_are_numbered():
    sites = sites_of("def f():\n    a.can(X)\n    a.can(X)\nclass C:\n    def f(self): a.can(X)", "a.py")
    assert [site.name for site in sites] == [
        "policy a.py f a.can(X)",
        "policy a.py f a.can(X) (2)",
        "policy a.py C.f a.can(X)",
    ]


def test_differences_are_reported():
    named = Named({"lock a": "t", "lock b": "t", "lock c": "t"}, {"lock c": "why"})
    assert differences({"lock a", "lock c", "lock d"}, named) == [
        "no named test: lock d",
        "not in the code: lock b",
        "named twice: lock c",
    ]


def test_report_counts_verdicts():
    verdicts = [
        Verdict("lock a", "t::a", CAUGHT, 1.5),
        Verdict("lock b", "t::b", SURVIVED),
        Verdict("lock c", "t::c", CAUGHT),
        Verdict("lock d", "another lock does it", EQUIVALENT),
        Verdict("lock e", "t::e", BROKEN),
    ]
    text = report(verdicts, ["no named test: lock f"])
    assert "lock a" in text
    assert "t::a | caught | 1.5" in text
    assert "    2 caught" in text
    assert "    1 SURVIVED" in text
    assert text.endswith("no named test: lock f")
