"""The OpenAPI document describes exactly the served endpoints; every response of the run was validated against it."""

import os
import re

from tools.conformance.report import Table
from tools.conformance.session import Session

TABLE = Table("OpenAPI")
row = TABLE.row

# The document and its page; aliases of /api/pusher/auth/ that pusher-js and older clients use.
ASIDE = {"api/schema/", "api/docs/", "api/pusher/auth", "pusher/auth", "pusher/auth/"}
# Pages for people, and the probes.
NOT_API = ("admin", "board", "static/")


def routes() -> set[str]:
    """Every route of this code, in the document's notation."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hotelmate.settings")
    os.environ.setdefault("SECRET_KEY", "unused: nothing is served from here")
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
    api = {route for route in served if route and not route.startswith(NOT_API) and route not in ASIDE}
    return {"/" + re.sub(r"<\w+:(\w+)>", r"{\1}", route).replace("{pk}", "{id}") for route in api}


@row("every served path is in the OpenAPI document, and vice versa")
def paths(s: Session) -> None:
    documented = set(s.wire.document.paths)
    served = routes()
    s.equal(sorted(served - documented), [], "served and not documented")
    s.equal(sorted(documented - served), [], "documented and not served")


@row("every operation of the OpenAPI document was called successfully")
def operations(s: Session) -> None:
    s.equal(s.wire.document.untried(), [], "operations without a 2xx response")


@row("every path parameter and every reference of the document is declared")
def declared(s: Session) -> None:
    for path, methods in s.wire.document.paths.items():
        for method, operation in methods.items():
            named = {one["name"] for one in operation.get("parameters", []) if one["in"] == "path"}
            s.equal(named, set(re.findall(r"{(\w+)}", path)), f"the path parameters of {method} {path}")
