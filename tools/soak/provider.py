"""The card provider of the soak: the tests' stand-in, with which every payment is authorised; it fails on order."""

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tools.harness.stripe_server import Answer, Call, Fault, Intent, StripeServer

HANG = 2.5  # seconds: longer than the soak's web processes wait
PREFIX = "pi_soak_"
TROUBLES: tuple[Fault, ...] = ("refuse", "error", "lost before", "lost after")


class Provider(StripeServer):
    """``mood`` is none, failing (of every two calls about one), or hanging."""

    mood = "none"

    def answer(self, call: Call, form: str) -> Answer | None:
        """Status and body; ``None`` to hang up."""
        with self.lock:
            if call.reference.startswith(PREFIX):
                self.intents.setdefault(call.reference, Intent())
            fault: str = "" if self.mood == "none" or random.random() < 0.5 else self.mood
        if fault == "hanging":
            time.sleep(HANG)
            return None
        if fault != "failing":
            return self.once(call, form, lambda: self.work(call, None))
        kind = random.choice(TROUBLES)
        if kind == "lost before":
            return None
        answer = self.once(call, form, lambda: self.work(call, kind))
        return None if kind == "lost after" else answer


@contextmanager
def provider() -> Iterator[Provider]:
    """A server of its own for one soak."""
    server = Provider()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stopping.set()
        server.shutdown()
        server.server_close()
        thread.join(10)
