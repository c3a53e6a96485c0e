"""``make audit`` reports no package as safe unless advisories were read."""

import pytest

from tools.release.audit import NOT_ASKED, SAFE, UNSAFE, of_npm, of_python

KNOWN = {"dependencies": [{"name": "django", "version": "3.2.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["4"]}]}]}
SOUND = {"dependencies": [{"name": "six", "version": "1.17.0", "vulns": []}]}
SKIPPED = {"dependencies": [*SOUND["dependencies"], {"name": "ruff", "skip_reason": "not found"}]}


@pytest.mark.parametrize(
    ("report", "canary", "status"),
    [
        (SOUND, KNOWN, SAFE),
        (KNOWN, KNOWN, UNSAFE),
        (SKIPPED, KNOWN, NOT_ASKED),
        (SOUND, SOUND, NOT_ASKED),  # the service returns no advisory, not even a well-known one
        (SOUND, {"dependencies": [{"name": "django", "skip_reason": "not found"}]}, NOT_ASKED),
        ({}, {}, NOT_ASKED),
    ],
)
def test_python_packages_are_safe_only_where_advisories_were_read(report, canary, status):
    found, lines = of_python(report, canary)
    assert found == status
    assert lines


@pytest.mark.parametrize(
    ("report", "status"),
    [
        ({"vulnerabilities": {}}, SAFE),
        ({"vulnerabilities": {"ws": {"severity": "high"}}}, UNSAFE),
        ({"message": "405 Method Not Allowed", "error": {}}, NOT_ASKED),
        ({}, NOT_ASKED),
    ],
)
def test_npm_packages_are_safe_only_where_advisories_were_read(report, status):
    found, lines = of_npm(report)
    assert found == status
    assert lines
