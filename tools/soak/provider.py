"""The soak's card provider: the fake Stripe, with every payment authorised and faults that can be switched on."""

import random
from typing import Literal

from tools.harness.stripe_server import Call, Fault, StripeServer

HANG = 2.5  # seconds: longer than the soak's web processes wait
PREFIX = "pi_soak_"
FAULTS: tuple[Fault, ...] = ("refuse", "error", "lost before", "lost after")


class Provider:
    """Configures ``server``: while ``fault_mode`` is failing or hanging, about every other call fails so."""

    def __init__(self, server: StripeServer) -> None:
        self.fault_mode: Literal["none", "failing", "hanging"] = "none"
        self.server = server
        server.authorised_prefix = PREFIX
        server.hang_seconds = HANG
        server.choose_fault = self._choose_fault

    def _choose_fault(self, _call: Call) -> Fault | None:
        if self.fault_mode == "none" or random.random() < 0.5:
            return None
        return "hang" if self.fault_mode == "hanging" else random.choice(FAULTS)
