"""Fuzzes the HTTP API with schemathesis: every operation of the OpenAPI document, as every caller."""

import random
import re
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, Config, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.generation.drivers import CoverageGenerator
from schemathesis.generation.feedback import NO_FEEDBACK
from schemathesis.generation.overrides import Override
from schemathesis.specs.openapi import checks

from tools.conformance.client import error_problems
from tools.fuzz.callers import TIMEOUT, Caller, KnownIds
from tools.harness.throwaway import HotelMate
from tools.harness.two_hotels import SLUG

CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.unsupported_method,
]
# In a dry run, values that only the real call can choose are null.
OF_DRY_RUNS = [check for check in CHECKS if check is not checks.response_schema_conformance]
# Any operation can return these; the document need not list them for each, and their body is the usual error.
ANYWHERE = ("405", "406", "413", "414", "431")
EXAMPLES = 3  # of each kind for one operation and caller, before the next pair
SECRETS = re.compile(r"(Token |GuestToken |sessionid[=:]\s*|csrftoken[=:]\s*|X-CSRFToken:\s*)[^'\";\s]+", re.IGNORECASE)
METHODS = {"get", "post", "put", "patch", "delete"}

Tick = Callable[[], None]


class Failure(NamedTuple):
    """A failed check, and the command that reproduces it."""

    caller: str
    operation: str
    what: str
    curl: str


class Target(NamedTuple):
    """An operation as called by a caller."""

    caller: str
    operation: str


class ApiFuzz:
    """Calls all operations as all callers, in random order, until the time is up."""

    def __init__(self, hotelmate: HotelMate, everybody: list[Caller], *, seed: int, only: str = "") -> None:
        self.hotelmate, self.callers, self.seed = hotelmate, everybody, seed
        self.ids = KnownIds(hotelmate, everybody[0], next(caller for caller in everybody if caller.name == "guest"))
        schema = requests.get(f"{hotelmate.url}/api/schema/", headers={"Accept": "application/json"}, timeout=TIMEOUT)
        self.schema = schemathesis.openapi.from_dict(prepared(schema.json()), config=config())
        results: Any = self.schema.get_all_operations()
        found = [result.ok() for result in results]
        self.operations = [operation for operation in found if only.lower() in operation.label.lower()]
        self.failures: dict[tuple[str, str], Failure] = {}
        self.again: Counter[tuple[str, str]] = Counter()
        self.responses: Counter[tuple[Target, int]] = Counter()
        self._session = requests.Session()
        self._stops_at = 0.0
        self._tick: Tick = lambda: None

    def run(self, seconds: float, tick: Tick) -> None:
        """Fuzz for ``seconds``; ``tick`` is called before each request, and can raise to stop."""
        self._stops_at, self._tick = time.monotonic() + seconds, tick
        rng = random.Random(self.seed)
        turn = 0
        while time.monotonic() < self._stops_at:
            self.ids.refill()
            turns = [(operation, caller) for operation in self.operations for caller in self.callers]
            rng.shuffle(turns)
            for number, (operation, caller) in enumerate(turns):
                if time.monotonic() > self._stops_at:
                    break
                if number % 100 == 99:
                    self.ids.refill()
                self._turn(operation, caller, turn)
            turn += 1

    def _turn(self, operation: Any, caller: Caller, turn: int) -> None:
        number = zlib.crc32(f"{self.seed} {turn} {caller.name} {operation.label}".encode())
        # The edge cases of a schema are the same each time: send them once as each caller.
        if turn < len(self.callers) and self.callers[turn] is caller:
            rng = random.Random(number)
            for case in edges(operation):
                if time.monotonic() > self._stops_at:
                    return
                self._send(case, caller, rng)
        for mode in GenerationMode:
            run = given(operation.as_strategy(mode), st.integers(0, 2**32 - 1))(self._example(caller))
            quiet = settings(
                max_examples=EXAMPLES,
                database=None,
                deadline=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            try:
                seed(number)(quiet(run))()
            except Unsatisfiable:
                continue  # this operation has no invalid input

    def _example(self, caller: Caller) -> Callable[[Case, int], None]:
        def example(case: Case, number: int) -> None:
            if time.monotonic() < self._stops_at:
                self._send(case, caller, random.Random(number))

        return example

    def _send(self, case: Case, caller: Caller, rng: random.Random) -> None:
        self._tick()
        case.path_parameters = self.ids.with_real_path(case.path, case.path_parameters or {}, rng)
        if isinstance(case.body, dict):
            body = dict(case.body)
            self.ids.fill_in(body, rng)
            case.body = body
        if case.query:
            query = dict(case.query)
            self.ids.fill_in(query, rng)
            case.query = query
        try:
            response = case.call(
                base_url=self.hotelmate.url,
                session=self._session,
                headers=caller.headers,
                cookies=caller.cookies,
                timeout=TIMEOUT,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            self._note(caller, case, f"no response: {type(error).__name__}", str(error)[:200])
            return
        finally:
            self._session.cookies.clear()
        target = Target(caller.name, case.operation.label)
        self.responses[target, response.status_code] += 1
        if response.status_code < 300 and case.operation.path == "/api/staff/logout/":
            caller.sign_in()
        try:
            case.validate_response(response, checks=OF_DRY_RUNS if b'"dry_run":true' in response.content else CHECKS)
        except FailureGroup as group:
            for failure in group.exceptions:
                self._note(caller, case, failure.title, str(failure.message))
        for wrong in own_checks(case, caller, response):
            self._note(caller, case, "HotelMate", wrong)

    def _note(self, caller: Caller, case: Case, title: str, message: str) -> None:
        key = (case.operation.label, f"{title}: {message.strip().splitlines()[0] if message.strip() else ''}"[:160])
        self.again[key] += 1
        if key not in self.failures:
            curl = case.as_curl_command(headers=caller.headers, base_url=self.hotelmate.url)
            self.failures[key] = Failure(
                caller.name, case.operation.label, f"{title}: {message.strip()[:1000]}", without_secrets(curl)
            )


def config() -> Config:
    """schemathesis without a database file, and without generated tokens."""
    return Config.from_dict({"generation": {"with-security-parameters": False, "database": "none"}})


def prepared(document: dict[str, Any]) -> dict[str, Any]:
    """The document with ANYWHERE added to each operation."""
    refusal = {"$ref": "#/components/schemas/ErrorBody"}
    response = {"description": "", "content": {"application/json": {"schema": refusal}}}
    for methods in document["paths"].values():
        for method, operation in methods.items():
            if method in METHODS:
                for status in ANYWHERE:
                    operation["responses"].setdefault(status, response)
    return document


def edges(operation: Any) -> Iterator[Case]:
    """The edge cases of the schema: limits, missing fields, wrong types, unknown methods."""
    yield from CoverageGenerator(
        operation=operation,
        generation_modes=list(GenerationMode),
        generation_config=operation.schema.config.generation,
        auth_storage=None,
        override=Override(query={}, headers={}, cookies={}, path_parameters={}, body={}),
        feedback=NO_FEEDBACK,
        hooks=None,
    )


def own_checks(case: Case, caller: Caller, response: Any) -> list[str]:
    """Checks beyond the document: the error shape, and that strangers are refused."""
    status, wrong = response.status_code, []
    if status >= 400:
        try:
            wrong = error_problems(response.json())
        except ValueError:
            wrong = [f"the body of a {status} is not JSON"]
    hotel = str((case.path_parameters or {}).get("slug", SLUG))
    if status < 300 and case.operation.path.startswith("/api/staff/hotel/"):
        if not caller.is_known:
            wrong.append(f"{caller.name} got a {status}")
        elif hotel != SLUG:
            wrong.append(f"staff of {SLUG} got a {status} at {hotel}")
    if case.meta and case.meta.generation.mode.is_positive and status == 400:
        body = response.json() if response.headers.get("content-type", [""])[0].startswith("application/json") else {}
        if isinstance(body, dict) and body.get("code") == "MALFORMED_REQUEST":
            wrong.append(f"a well-formed request is malformed: {body.get('message')}")
    return wrong


def without_secrets(curl: str) -> str:
    """The command without tokens."""
    return SECRETS.sub(r"\1…", curl)
