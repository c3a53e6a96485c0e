"""The OpenAPI document describes exactly what is served; every answer of the run was held against it."""

import os
import re

from tools.conformance.report import Table
from tools.conformance.world import World

TABLE = Table("9")
row = TABLE.row

# The document and its page; names of /api/pusher/auth/ that pusher-js and older clients look for.
ASIDE = {"api/schema/", "api/docs/", "api/pusher/auth", "pusher/auth", "pusher/auth/"}
# People's pages, front doors, and what probes.py answers for machines.
NOT_THE_API = ("admin", "board", "static/")


def routes() -> set[str]:
    """Every route that this code answers, as the document writes it."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hotelmate.settings")
    os.environ.setdefault("SECRET_KEY", "of no account: nothing is served from here")
    import django

    django.setup()
    from django.urls import URLPattern, URLResolver, get_resolver

    def walk(patterns: list[URLPattern | URLResolver], prefix: str) -> set[str]:
        found: set[str] = set()
        for pattern in patterns:
            route = prefix + str(pattern.pattern)
            found |= walk(pattern.url_patterns, route) if isinstance(pattern, URLResolver) else {route}
        return found

    served = walk(get_resolver().url_patterns, "")
    api = {route for route in served if route and not route.startswith(NOT_THE_API) and route not in ASIDE}
    return {"/" + re.sub(r"<\w+:(\w+)>", r"{\1}", route).replace("{pk}", "{id}") for route in api}


@row("every address that is served is in the OpenAPI document, and the reverse")
def addresses(w: World) -> None:
    documented = set(w.wire.document.paths)
    served = routes()
    w.see(sorted(served - documented), [], "served and not documented")
    w.see(sorted(documented - served), [], "documented and not served")


@row("every operation of the OpenAPI document was called with success")
def operations(w: World) -> None:
    w.see(w.wire.document.untried(), [], "operations without a 2xx answer")


@row("every path parameter and every reference of the document is declared")
def declared(w: World) -> None:
    for path, methods in w.wire.document.paths.items():
        for method, operation in methods.items():
            named = {one["name"] for one in operation.get("parameters", []) if one["in"] == "path"}
            w.see(named, set(re.findall(r"{(\w+)}", path)), f"the path parameters of {method} {path}")
