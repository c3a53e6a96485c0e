"""The served OpenAPI document: validates responses against it, and lists the operations never called."""

import re
from functools import cached_property
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

# Any endpoint can return these; the document need not list them for each.
ANYWHERE = {405, 406, 500}
METHODS = ("get", "post", "put", "patch", "delete")

formats = FormatChecker(formats=())


@formats.checks("date-time")
def _is_moment(value: Any) -> bool:
    return not isinstance(value, str) or bool(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", value))


@formats.checks("date")
def _is_date(value: Any) -> bool:
    return not isinstance(value, str) or bool(re.fullmatch(r"\d{4}-\d\d-\d\d", value))


def as_json_schema(node: Any) -> Any:
    """Convert OpenAPI 3.0's dialect to JSON Schema: expand ``nullable``, and allow no unnamed keys."""
    if isinstance(node, list):
        return [as_json_schema(item) for item in node]
    if not isinstance(node, dict):
        return node
    schema = {key: as_json_schema(value) for key, value in node.items() if key != "nullable"}
    if node.get("type") == "object" and isinstance(node.get("properties"), dict):
        schema.setdefault("additionalProperties", False)
    return {"anyOf": [schema, {"type": "null"}]} if node.get("nullable") is True else schema


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of the response to a plain call: without what dry runs add, as the app makes none."""
    is_extended = schema.get("allOf", [])[1:] == [{"$ref": "#/components/schemas/DryRun"}]
    plain: dict[str, Any] = schema["allOf"][0] if is_extended else schema
    return plain


class Document:
    """The OpenAPI document of a server."""

    def __init__(self, content: dict[str, Any]) -> None:
        self.paths: dict[str, Any] = content["paths"]
        self._schemas: dict[str, Any] = content["components"]["schemas"]
        self._checks: dict[tuple[str, str, int], Draft202012Validator | None] = {}
        self.succeeded: set[tuple[str, str]] = set()
        # The fewest parameters first: rooms/checkin/ before rooms/{rid}/….
        self._patterns = [
            (re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path))), path)
            for path in sorted(self.paths, key=lambda path: path.count("{"))
        ]

    @cached_property
    def operations(self) -> set[tuple[str, str]]:
        """Every method and path template."""
        return {(method, path) for path, methods in self.paths.items() for method in methods if method in METHODS}

    def template(self, path: str) -> str:
        """The path template of a path, or ``""``."""
        return next((template for pattern, template in self._patterns if pattern.fullmatch(path)), "")

    def problems(self, method: str, path: str, status: int, body: Any, query: dict[str, Any]) -> list[str]:
        """The deviations of a response from the document. ``body`` is ``None`` if there was none."""
        method, template = method.lower(), self.template(path)
        described = self.paths.get(template, {}).get(method)
        if not described:
            # An unknown path or method is documented by its absence.
            return [] if status in (404, 405) else [f"OpenAPI: {method} {path} is not in the document"]
        if 200 <= status < 300:
            self.succeeded.add((method, template))
            wrong = self._unnamed(described, query)
        else:
            wrong = []
        if status in ANYWHERE and str(status) not in described["responses"]:
            return wrong
        if str(status) not in described["responses"]:
            return [*wrong, f"OpenAPI: {method} {template} does not document {status}"]
        check = self._check(method, template, status)
        if check is None:
            return wrong if body is None else [*wrong, f"OpenAPI: {method} {template} {status} has a body"]
        return wrong + [
            f"OpenAPI: {method} {template} {status} {error.json_path}: {error.message:.160}"
            for error in check.iter_errors(body)
        ]

    def untried(self) -> list[str]:
        """The operations that never succeeded."""
        return sorted(f"{method.upper()} {path}" for method, path in self.operations - self.succeeded)

    @staticmethod
    def _unnamed(described: dict[str, Any], query: dict[str, Any]) -> list[str]:
        named = {parameter["name"] for parameter in described.get("parameters", []) if parameter["in"] == "query"}
        # Parameters with x_ are sent to check that they are ignored.
        unnamed = [name for name in query if name not in named and not name.startswith("x_")]
        return [f"OpenAPI: the query parameter {name} is not in the document" for name in unnamed]

    def _check(self, method: str, template: str, status: int) -> Draft202012Validator | None:
        key = (method, template, status)
        if key not in self._checks:
            content = self.paths[template][method]["responses"][str(status)].get("content")
            schema = as_json_schema(self._whole(_plain(content["application/json"]["schema"]))) if content else None
            self._checks[key] = schema and Draft202012Validator(schema, format_checker=formats)
        return self._checks[key]

    def _whole(self, node: Any) -> Any:
        """The schema with its references replaced: resolving one costs more than validating it."""
        if isinstance(node, list):
            return [self._whole(item) for item in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            return self._whole(self._schemas[node["$ref"].removeprefix("#/components/schemas/")])
        return {key: self._whole(value) for key, value in node.items()}
