"""A plugin of pytest (``-p tools.mutants.plugin``): the test database is there already, migrated and mutated."""

from typing import Any

import django.test.utils
from django.conf import settings


def take_what_is_there(*args: Any, **kwargs: Any) -> list[Any]:
    """In the place of Django's ``setup_databases``, which looks at every migration first."""
    from django.db import connection

    name = f"test_{connection.settings_dict['NAME']}"
    connection.close()
    settings.DATABASES["default"]["NAME"] = connection.settings_dict["NAME"] = name
    return []


django.test.utils.setup_databases = take_what_is_there
