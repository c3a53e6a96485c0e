"""A pytest plugin (``-p tools.mutants.plugin``) that uses an existing test database, migrated and mutated."""

from typing import Any

import django.test.utils
from django.conf import settings


def use_existing_database(*args: Any, **kwargs: Any) -> list[Any]:
    """Replaces Django's ``setup_databases``, which would check every migration first."""
    from django.db import connection

    name = f"test_{connection.settings_dict['NAME']}"
    connection.close()
    settings.DATABASES["default"]["NAME"] = connection.settings_dict["NAME"] = name
    return []


django.test.utils.setup_databases = use_existing_database
