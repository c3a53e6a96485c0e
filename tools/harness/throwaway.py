"""A throw-away HotelMate for one run: all processes and a fake Stripe, in a temporary folder."""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import requests

from local import LocalError
from local.datadir import PROJECT, DataDir
from local.environment import environment
from local.postgres import EmbeddedPostgres, public_place
from local.run import wait_for_response
from local.service import Pause, Service, free_port, wait_until
from tools.conformance.client import ORIGIN
from tools.harness.stripe_server import KEY, stripe_server

# Nothing else of the shell's environment: no existing database, provider or setting is touched.
INHERITED = ("HOME", "LANG", "LD_LIBRARY_PATH", "PATH")


class HotelMate(NamedTuple):
    """A running HotelMate: its URLs, and what else a run can use of it."""

    url: str
    pusher: str
    password: str
    stripe: Any = None
    database_url: str = ""
    environment: Mapping[str, str] = {}
    services: Mapping[str, Service] = {}


@contextmanager
def throwaway_hotelmate(pause: Pause, **more: str) -> Iterator[HotelMate]:
    """Start everything; at the end stop it all and delete the folder. ``more`` is added to the environment."""
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="hotelmate-throwaway-"))
        data = DataDir(folder)
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        stack.callback(shutil.rmtree, public_place(data.path), ignore_errors=True)
        data.prepare()
        postgres = EmbeddedPostgres(data, password=data.secrets()["POSTGRES_PASSWORD"])
        stack.callback(postgres.release)
        url = postgres.acquire(pause=pause)
        stripe = stack.enter_context(stripe_server())
        port, pusher_port = free_port(), free_port()
        env = environment(data, url, {name: os.environ[name] for name in INHERITED if name in os.environ}) | {
            "DEVELOPMENT": "1",
            "DJANGO_SETTINGS_MODULE": "hotelmate.settings",
            "PUSHER_PORT": str(pusher_port),
            "REALTIME_PUBLIC_CHANNELS": "1",
            "CORS_ALLOWED_ORIGINS": ORIGIN,
            "STRIPE_SECRET_KEY": KEY,
            "STRIPE_API_BASE": stripe.address,
            "TMPDIR": str(data.run),
            "WEB_CONCURRENCY": "1",
            **more,
        }

        def started(name: str, *words: object, port: int = 0) -> Service:
            service = data.service(name)
            service.start([sys.executable, *map(str, words)], port=port, env=env, cwd=PROJECT)
            stack.callback(service.stop)
            return service

        def done(*words: object) -> None:
            task = started("task", *words)
            wait_until(lambda: not task.is_running(), 300, pause)
            if task.exit_code != 0:
                raise LocalError(f"{' '.join(map(str, words))} failed:\n{task.log_tail(40)}")

        done("manage.py", "migrate")
        pusher = started("pusher", "-m", "local.pusher_server", "--port", pusher_port, port=pusher_port)
        done("-m", "tools.harness.two_hotels")
        command = ("-m", "gunicorn", "-c", "hotelmate/gunicorn.conf.py", "--bind", f"127.0.0.1:{port}")
        web = started("web", *command, "--no-control-socket", port=port)
        wait_for_response("The Pusher server", pusher, "/healthz", pause)
        wait_for_response("The web server", web, "/healthz", pause)
        address = f"http://127.0.0.1:{port}"
        # The worker's first round deletes old sent events and lets the late request expire.
        _until_sent(address, pause)
        worker = started("worker", "manage.py", "worker")
        socket = f"ws://127.0.0.1:{pusher_port}/app/{env['PUSHER_KEY']}?protocol=7&client=js&version=8.4.0"
        services = {"pusher": pusher, "web": web, "worker": worker}
        yield HotelMate(address, socket, env["DEMO_PASSWORD"], stripe, url, env, services)


def _until_sent(address: str, pause: Pause) -> None:
    deadline = time.monotonic() + 30
    while requests.get(f"{address}/readyz", timeout=10).json().get("relay", {}).get("waiting") != 0:
        if time.monotonic() > deadline:
            raise LocalError("The first events were not sent within half a minute.")
        pause(0.2)
