"""A fake of Stripe's HTTP API: payment intents with manual capture, refunds, idempotency keys, faults on demand.

It responds as Stripe does (statuses, error codes, stored responses for a reused key) to the real ``stripe`` library.
"""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

PATIENCE = 10  # seconds
KEY = "sk_test_hotelmate"

Response = tuple[int, dict[str, Any]]
# refuse: 402, nothing done · error: 500, nothing done · lost before, lost after: the connection ends without a
# response, nothing or everything done · hang: no response, nothing done, for ``hang_seconds`` or until the server stops
Fault = Literal["refuse", "error", "lost before", "lost after", "hang"]


@dataclass
class Call:
    """One request that reached the server."""

    method: str
    action: str  # look up, capture, cancel, refund
    reference: str
    key: str


@dataclass
class Intent:
    """A payment as Stripe stores it, and how often money really moved."""

    status: str = "requires_capture"
    cancellation_reason: str | None = None
    refunded: bool = False
    moved: Counter[str] = field(default_factory=Counter)


class StripeServer(ThreadingHTTPServer):
    """Runs in a thread of the caller's process; ``intents``, ``calls`` and ``moved()`` show what happened."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock = threading.RLock()
        self.intents: dict[str, Intent] = {}
        self.calls: list[Call] = []
        self.responses: dict[str, tuple[str, Response | None]] = {}  # by key: the request, and its response once known
        self.faults: list[tuple[str, Fault]] = []
        # The fault of a call for which none was ordered with ``fail``.
        self.choose_fault: Callable[[Call], Fault | None] = lambda _call: None
        self.hang_seconds: float | None = None
        # References with this prefix are authorised when first seen; with None, only those given to ``authorise``.
        self.authorised_prefix: str | None = None
        # Called in the request's thread: when the request is lost; when its key is stored but nothing is done yet; and
        # when everything is done but the response is not sent yet.
        self.on_loss: Callable[[Call], None] = lambda _call: None
        self.before_work: Callable[[Call], None] = lambda _call: None
        self.before_answer: Callable[[Call], None] = lambda _call: None
        self.refund_status = "succeeded"
        self.stopping = threading.Event()
        self.errors: list[BaseException] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def authorise(self, reference: str) -> Intent:
        """Authorise a payment, as the guest's browser does."""
        self.intents[reference] = Intent()
        return self.intents[reference]

    def expire(self, reference: str) -> None:
        """Cancel the payment, as Stripe does when it is not captured in time."""
        self.intents[reference].status, self.intents[reference].cancellation_reason = "canceled", "automatic"

    def fail(self, action: str, fault: Fault, times: int = 1) -> None:
        """Let the next ``times`` requests of that kind fail. (The library itself tries lost ones three times.)"""
        self.faults += [(action, fault)] * times

    def count(self, action: str) -> int:
        """How many requests of that kind arrived."""
        return sum(call.action == action for call in self.calls)

    def wait_for(self, action: str, times: int) -> None:
        """Wait until that many requests of that kind have arrived."""
        deadline = time.monotonic() + PATIENCE
        while self.count(action) < times:
            assert time.monotonic() < deadline, f"no {times} × {action}: {self.calls}"
            time.sleep(0.005)

    def moved(self, reference: str) -> dict[str, int]:
        """How often the payment was really captured, voided, refunded."""
        return dict(self.intents[reference].moved)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that disconnect."""

    # --- the API --------------------------------------------------------------------------------------------------

    def respond(self, call: Call, form: str) -> Response | None:
        """Status and body; ``None`` to close the connection without a response."""
        with self.lock:
            self.calls.append(call)
            if self.authorised_prefix is not None and call.reference.startswith(self.authorised_prefix):
                self.intents.setdefault(call.reference, Intent())
            fault = self._next_fault(call)
        if fault == "hang":
            self.stopping.wait(self.hang_seconds)
            return None
        if fault == "lost before":
            self.on_loss(call)
            return None
        response = self.once(call, form, lambda: self.work(call, fault))
        self.before_answer(call)
        return None if fault == "lost after" else response

    def _next_fault(self, call: Call) -> Fault | None:
        for ordered in self.faults:
            if ordered[0] == call.action:
                self.faults.remove(ordered)
                return ordered[1]
        return self.choose_fault(call)

    def once(self, call: Call, form: str, work: Callable[[], Response]) -> Response:
        """Do the work once for each idempotency key, and return the stored response for a reused key."""
        if call.method == "GET":
            return work()
        request = f"{call.action} {call.reference} {form}"
        with self.lock:
            if call.key in self.responses:
                before, response = self.responses[call.key]
                if before != request:
                    return error(400, "idempotency_error", None, "Keys can only be used with the same parameters.")
                if response is None:
                    return error(409, "idempotency_error", "idempotency_key_in_use", "Another request is in progress.")
                return response
            self.responses[call.key] = (request, None)
        response = work()
        with self.lock:
            self.responses[call.key] = (request, response)
        return response

    def work(self, call: Call, fault: Fault | None) -> Response:
        self.before_work(call)
        if fault == "refuse":
            return error(402, "card_error", "card_declined", "Your card was declined.")
        if fault == "error":
            return error(500, "api_error", None, "Something went wrong on Stripe's end.")
        with self.lock:
            intent = self.intents.get(call.reference)
            if intent is None:
                return error(404, "invalid_request_error", "resource_missing", "No such payment_intent.")
            if call.action == "look up":
                return 200, body(call.reference, intent)
            if call.action == "refund":
                return self.refund(intent)
            return self.change(call, intent)

    @staticmethod
    def change(call: Call, intent: Intent) -> Response:
        if intent.status != "requires_capture":
            message = f"This PaymentIntent could not be changed because it has a status of {intent.status}."
            return error(400, "invalid_request_error", "payment_intent_unexpected_state", message)
        intent.status = "succeeded" if call.action == "capture" else "canceled"
        intent.moved["captured" if call.action == "capture" else "voided"] += 1
        return 200, body(call.reference, intent)

    def refund(self, intent: Intent) -> Response:
        if intent.status != "succeeded":
            return error(400, "invalid_request_error", "payment_intent_unexpected_state", "No successful charge.")
        if intent.refunded:
            return error(400, "invalid_request_error", "charge_already_refunded", "The charge was refunded already.")
        if self.refund_status != "failed":
            intent.refunded = True
            intent.moved["refunded"] += 1
        return 200, {"id": "re_1", "object": "refund", "status": self.refund_status}


def body(reference: str, intent: Intent) -> dict[str, Any]:
    """The intent, with its charge expanded."""
    charge = {"id": f"ch_{reference}", "object": "charge", "refunded": intent.refunded}
    return {
        "id": reference,
        "object": "payment_intent",
        "status": intent.status,
        "cancellation_reason": intent.cancellation_reason,
        "latest_charge": charge,
    }


def error(status: int, kind: str, code: str | None, message: str) -> Response:
    """Stripe's error body."""
    return status, {"error": {"type": kind, "message": message} | ({"code": code} if code else {})}


class Handler(BaseHTTPRequestHandler):
    server: StripeServer

    def do_GET(self) -> None:
        self.serve("")

    def do_POST(self) -> None:
        self.serve(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode())

    def serve(self, form: str) -> None:
        parts = urlsplit(self.path).path.split("/")  # /v1/payment_intents/{id}/{action}, /v1/refunds
        if parts[2] == "refunds":
            action, reference = "refund", parse_qs(form)["payment_intent"][0]
        else:
            action, reference = (parts[4] if len(parts) > 4 else "look up"), parts[3]
        call = Call(self.command, action, reference, self.headers.get("Idempotency-Key", ""))
        if self.headers["Authorization"] != f"Bearer {KEY}":
            self.send(error(401, "invalid_request_error", None, "Invalid API Key provided."))
            return
        try:
            response = self.server.respond(call, form)
        except BaseException as exception:
            self.server.errors.append(exception)
            response = None
        if response is not None:
            self.send(response)

    def send(self, response: Response) -> None:
        status, content = response
        encoded = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(encoded)))
        self.send_header("Request-Id", f"req_{len(self.server.calls)}")
        if status == 500:
            self.send_header("Stripe-Should-Retry", "false")  # it would only get the stored response
        self.end_headers()
        self.wfile.write(encoded)

    def log_message(self, *_: Any) -> None:
        """Log nothing: ``calls`` has every request."""


@contextmanager
def stripe_server(*, strict: bool = True) -> Iterator[StripeServer]:
    """A server for one test or run; if ``strict``, an exception while it handled a request is raised at the end."""
    server = StripeServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stopping.set()
        server.shutdown()
        server.server_close()
        thread.join(PATIENCE)
    assert not strict or not server.errors, server.errors
