"""A stand-in of Stripe's HTTP API: payment intents with manual capture, refunds, idempotency keys, trouble on order.

It answers as Stripe does (statuses, error codes, replays of stored answers); the real ``stripe`` library talks to it.
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

Answer = tuple[int, dict[str, Any]]
# refuse: 402, nothing done · error: 500, nothing done · lost before, lost after: the connection ends without an answer,
# nothing or everything done · hang: no answer, nothing done, until the server stops
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
    """A payment as Stripe keeps it, and how often money really moved."""

    status: str = "requires_capture"
    cancellation_reason: str | None = None
    refunded: bool = False
    moved: Counter[str] = field(default_factory=Counter)


class StripeServer(ThreadingHTTPServer):
    """Runs in a thread of the test; ``intents``, ``calls`` and ``moved()`` tell what happened."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock = threading.RLock()
        self.intents: dict[str, Intent] = {}
        self.calls: list[Call] = []
        self.answers: dict[
            str, tuple[str, Answer | None]
        ] = {}  # by key: what was asked, and the answer once it is there
        self.faults: list[tuple[str, Fault]] = []
        # Called in the request's own thread: when it gets lost, when its key is taken and nothing is done, and when all
        # is done but the answer is not sent.
        self.on_loss: Callable[[Call], None] = lambda _call: None
        self.before_work: Callable[[Call], None] = lambda _call: None
        self.before_answer: Callable[[Call], None] = lambda _call: None
        self.refund_status = "succeeded"
        self.stopping = threading.Event()
        self.trouble: list[BaseException] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def authorise(self, reference: str) -> Intent:
        """The guest's browser has authorised a payment."""
        self.intents[reference] = Intent()
        return self.intents[reference]

    def expire(self, reference: str) -> None:
        """Nobody captured the payment in time."""
        self.intents[reference].status, self.intents[reference].cancellation_reason = "canceled", "automatic"

    def fail(self, action: str, fault: Fault, times: int = 1) -> None:
        """The next ``times`` requests of that kind go wrong. (The library itself tries lost ones three times.)"""
        self.faults += [(action, fault)] * times

    def count(self, action: str) -> int:
        """How many requests of that kind arrived."""
        return sum(call.action == action for call in self.calls)

    def wait_for(self, action: str, times: int) -> None:
        """Until that many requests of that kind have arrived."""
        deadline = time.monotonic() + PATIENCE
        while self.count(action) < times:
            assert time.monotonic() < deadline, f"no {times} × {action}: {self.calls}"
            time.sleep(0.005)

    def moved(self, reference: str) -> dict[str, int]:
        """How often the payment was really captured, voided, refunded."""
        return dict(self.intents[reference].moved)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""

    # --- the API --------------------------------------------------------------------------------------------------

    def answer(self, call: Call, form: str) -> Answer | None:
        """Status and body; ``None`` to hang up."""
        with self.lock:
            self.calls.append(call)
            fault = next((entry for entry in self.faults if entry[0] == call.action), None)
            if fault:
                self.faults.remove(fault)
        trouble = fault[1] if fault else None
        if trouble == "hang":
            self.stopping.wait()
            return None
        if trouble == "lost before":
            self.on_loss(call)
            return None
        answer = self.once(call, form, lambda: self.work(call, trouble))
        self.before_answer(call)
        return None if trouble == "lost after" else answer

    def once(self, call: Call, form: str, work: Callable[[], Answer]) -> Answer:
        """Under one idempotency key the work is done once, and its answer is repeated, whatever it was."""
        if call.method == "GET":
            return work()
        asked = f"{call.action} {call.reference} {form}"
        with self.lock:
            if call.key in self.answers:
                before, answer = self.answers[call.key]
                if before != asked:
                    return error(400, "idempotency_error", None, "Keys can only be used with the same parameters.")
                if answer is None:
                    return error(409, "idempotency_error", "idempotency_key_in_use", "Another request is in progress.")
                return answer
            self.answers[call.key] = (asked, None)
        answer = work()
        with self.lock:
            self.answers[call.key] = (asked, answer)
        return answer

    def work(self, call: Call, trouble: str | None) -> Answer:
        self.before_work(call)
        if trouble == "refuse":
            return error(402, "card_error", "card_declined", "Your card was declined.")
        if trouble == "error":
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
    def change(call: Call, intent: Intent) -> Answer:
        if intent.status != "requires_capture":
            message = f"This PaymentIntent could not be changed because it has a status of {intent.status}."
            return error(400, "invalid_request_error", "payment_intent_unexpected_state", message)
        intent.status = "succeeded" if call.action == "capture" else "canceled"
        intent.moved["captured" if call.action == "capture" else "voided"] += 1
        return 200, body(call.reference, intent)

    def refund(self, intent: Intent) -> Answer:
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


def error(status: int, kind: str, code: str | None, message: str) -> Answer:
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
            answer = self.server.answer(call, form)
        except BaseException as trouble:
            self.server.trouble.append(trouble)
            answer = None
        if answer is not None:
            self.send(answer)

    def send(self, answer: Answer) -> None:
        status, content = answer
        encoded = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(encoded)))
        self.send_header("Request-Id", f"req_{len(self.server.calls)}")
        if status == 500:
            self.send_header("Stripe-Should-Retry", "false")  # it would only repeat its stored answer
        self.end_headers()
        self.wfile.write(encoded)

    def log_message(self, *_: Any) -> None:
        """Nothing: the test reads ``calls``."""


@contextmanager
def stripe_server() -> Iterator[StripeServer]:
    """A server of its own for one test; what went wrong in one of its hooks fails the test."""
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
    assert not server.trouble, server.trouble
