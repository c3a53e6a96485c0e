"""``make run``: starts everything that HotelMate needs in order, watches it, and stops it together."""

import fcntl
import http.client
import json
import math
import os
import shlex
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress

from local import LocalError, npm
from local.datadir import PROJECT, DataDir, try_lock
from local.environment import database, environment, uses_embedded_pusher
from local.metrics_folder import make_counters_folder, remove_counters_folders
from local.service import Pause, Service, free_port, port_is_free, wait_until
from local.signals import StopRequestedError, StopSignals

HOTELS = ("resort", "city")
ROLES = ("manager", "supervisor", "housekeeper", "frontdesk")


def say(line: str = "") -> None:
    """Print immediately. A closed terminal, or one that cannot print a character of a folder's name, must not prevent
    ``run`` from stopping the services."""
    with suppress(OSError):
        coding = sys.stdout.encoding or "ascii"
        print(line.encode(coding, "backslashreplace").decode(coding), flush=True)


def run(environ: Mapping[str, str] = os.environ) -> None:
    """Run HotelMate until it is stopped. Raises LocalError if it can't start or if a part of it dies."""
    signals = StopSignals()
    signals.install()
    began = time.monotonic()
    data = DataDir.from_environment(environ)
    port = wanted_port(environ)
    data.prepare()
    with single_instance(data, port), ExitStack() as stack:
        try:
            services, env = start(data, port, environ, stack, signals.pause)
            say(welcome(env, time.monotonic() - began, str(data.logs / "worker.log")))
            watch(services, signals.pause)
        except StopRequestedError:
            say("\nStopping ...")
    say("Stopped.")


def wanted_port(environ: Mapping[str, str]) -> int:
    text = environ.get("PORT") or "8000"
    if not text.isdecimal() or not 0 < int(text) < 2**16:
        raise LocalError(f"PORT is {text!r}, but must be a number from 1 to 65535.")
    return int(text)


@contextmanager
def single_instance(data: DataDir, port: int) -> Iterator[None]:
    """Allow only one HotelMate per data folder; the lock is released with the process, however it ends."""
    with open(data.run / "launcher", "a+") as file:
        if not try_lock(file.fileno(), fcntl.LOCK_EX):
            file.seek(0)
            running = json.loads(file.read() or "{}")
            raise LocalError(
                f"HotelMate is already running from {data.path} at http://127.0.0.1:{running.get('port')}: "
                f"use that one, or stop it first (Ctrl-C there, or `kill {running.get('pid')}`)."
            )
        file.truncate(0)
        json.dump({"pid": os.getpid(), "port": port}, file)
        file.flush()
        yield


def start(
    data: DataDir, port: int, environ: Mapping[str, str], stack: ExitStack, pause: Pause
) -> tuple[dict[str, Service], dict[str, str]]:
    """Start everything in order; ``stack`` stops it.

    Returns the services to watch, by name, and their environment.
    """
    embedded_pusher = uses_embedded_pusher(environ)
    pusher, setup, web = data.service("pusher"), data.service("setup", logged=False), data.service("web", logged=False)
    worker = data.service("worker")
    for service in (web, worker, setup, pusher):
        if service.is_running():
            say(f"Stopping {service.name}, left over from last time ...")
            service.stop()
    check_port(port)

    npm.install(say, pause, environ)
    say("Starting PostgreSQL ..." if not environ.get("DATABASE_URL") else "Checking DATABASE_URL ...")
    url = stack.enter_context(database(data, environ, pause))
    stack.callback(remove_counters_folders)
    for service in (pusher, setup, worker, web):
        stack.callback(service.stop)  # in reverse order, and before PostgreSQL
    services = {}
    if not environ.get("DATABASE_URL"):
        services["PostgreSQL"] = data.service("postgres")
    env = environment(data, url, environ) | {"DEVELOPMENT": "1", "PORT": str(port)}
    # The web server and the worker share their counters, which start at zero.
    if not environ.get("PROMETHEUS_MULTIPROC_DIR"):
        env["PROMETHEUS_MULTIPROC_DIR"] = str(make_counters_folder(data.run))
    if embedded_pusher:
        say("Starting the Pusher server ...")
        start_pusher(pusher, env, pause)
        env["PUSHER_PORT"] = str(pusher.port)
        services["The Pusher server"] = pusher

    for task in ("migrate", "seed_demo"):
        say(f"manage.py {task} ...")
        setup.start([sys.executable, "manage.py", task], port=0, env=env, cwd=PROJECT)
        wait_until(lambda: not setup.is_running(), math.inf, pause)
        if setup.exit_code:
            raise LocalError(f"`manage.py {task}` failed: see its output above.")

    say("Starting the worker ...")
    worker.start([sys.executable, "manage.py", "worker"], port=0, env=env, cwd=PROJECT)
    services["The worker"] = worker

    say("Starting the web server ...")
    command = [sys.executable, "-m", "gunicorn", "-c", "hotelmate/gunicorn.conf.py", "--bind", f"127.0.0.1:{port}"]
    # The control socket would be in the home folder, which may be missing, and be shared by two data folders.
    command += ["--no-control-socket", "hotelmate.wsgi"]
    web.start(command, port=port, env=env, cwd=PROJECT)
    services["The web server"] = web
    wait_for_response("The web server", web, "/api/docs/", pause)
    return services, env


def check_port(port: int) -> None:
    try:
        free = port_is_free(port)
    except PermissionError:
        raise LocalError(f"Port {port} is reserved for root: choose another one, as in `make run PORT=8001`.") from None
    if not free:
        raise LocalError(
            f"Port {port} is in use by another program: stop it, or choose another port, as in `make run PORT=8001`."
        )


def start_pusher(pusher: Service, env: Mapping[str, str], pause: Pause) -> None:
    port = free_port(pusher.port)
    command = [sys.executable, "-m", "local.pusher_server", "--port", str(port)]
    pusher.start(command, port=port, env=env, cwd=PROJECT)
    wait_for_response("The Pusher server", pusher, "/healthz", pause)


def wait_for_response(name: str, service: Service, path: str, pause: Pause) -> None:
    """Wait until the service returns any HTTP response. Raises LocalError if it ends or takes over a minute."""

    def responds() -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=10)
        try:
            connection.request("GET", path)
            connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        return True

    if not wait_until(lambda: not service.is_running() or responds(), 60, pause):
        raise LocalError(f"{name} doesn't respond on port {service.port}; {log_tail(service)}")
    require_running({name: service})


def watch(services: Mapping[str, Service], pause: Pause) -> None:
    """Run until ``pause`` raises. Raises LocalError if a service dies."""
    while True:
        require_running(services)
        pause(0.2)


def require_running(services: Mapping[str, Service]) -> None:
    for name, service in services.items():
        if not service.is_running():
            raise LocalError(f"{name} ended unexpectedly; {log_tail(service)}")


def log_tail(service: Service) -> str:
    if not service.log:
        return "see its output above."
    return f"{service.log} ends:\n{service.log_tail()}"


def welcome(env: Mapping[str, str], seconds: float, worker_log: str) -> str:
    """The text printed once everything is up: URLs, sign-ins and what to try first."""
    mail = f"not sent, but written to {worker_log}"
    if env.get("EMAIL_URL"):
        mail = "sent through the server in EMAIL_URL"
    base_url = f"http://127.0.0.1:{env['PORT']}"
    pusher = ":".join(filter(None, [env.get("PUSHER_HOST") or "Pusher Channels", env.get("PUSHER_PORT")]))
    body = json.dumps({"username": "resort-housekeeper", "password": env["DEMO_PASSWORD"]})
    sign_ins = "".join(f"             {', '.join(f'{hotel}-{role}' for role in ROLES)}\n" for hotel in HOTELS)
    return f"""
HotelMate is up after {seconds:.1f} s.

  Board      {base_url}/board/
  API docs   {base_url}/api/docs/
  Admin      {base_url}/admin/
  Pusher     {pusher}, key {env["PUSHER_KEY"]}
  Mail       {mail}

  Sign in    password {env["DEMO_PASSWORD"]}
{sign_ins}             admin

  Try it     curl -s {base_url}/api/staff/login/ -H 'Content-Type: application/json' -d {shlex.quote(body)}

Ctrl-C stops everything; the next `make run` continues with the same data.
"""


def stop_all(data: DataDir) -> None:
    """Stop everything that runs from this data folder, whichever process started it."""
    if not data.run.exists():
        return
    with open(data.run / "launcher", "a+") as file:
        if not try_lock(file.fileno(), fcntl.LOCK_EX):
            file.seek(0)
            pid = json.loads(file.read())["pid"]
            say(f"Stopping HotelMate (process {pid}) ...")
            os.kill(pid, signal.SIGTERM)
            wait_until(lambda: try_lock(file.fileno(), fcntl.LOCK_EX), 60)
        for state in data.run.glob("*.json"):
            service = data.service(state.stem)
            if service.is_running():
                say(f"Stopping {service.name} (process {service.pid}) ...")
                # SIGINT stops all our services cleanly; on SIGTERM, PostgreSQL would wait until all clients disconnect.
                service.stop(signal.SIGINT, seconds=30)
