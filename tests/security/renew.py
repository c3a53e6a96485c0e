"""Regenerates docs/permissions.md from the server's responses: `make permissions`."""

import pytest

from tests.security.permissions import FILE, document

pytestmark = pytest.mark.django_db


@pytest.mark.usefixtures("all_endpoints_configured")
def test_write_the_table():
    FILE.write_text(document())
