"""Six machines on one: network namespaces with etcd, or Patroni and PostgreSQL, from the files in deploy/cluster.

A machine can be killed, frozen and cut off. Everything runs in namespaces of the drill's own, so nothing of the host is
touched, and all ends with the drill.
"""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import requests
import yaml

from local import LocalError
from local.datadir import PROJECT
from local.postgres import UNSHARE
from local.service import Pause, wait_until

DEPLOY = PROJECT / "deploy" / "cluster"
WEB = "10.0.0.1"  # the address of everything that is no database machine
SUPERUSER_PASSWORD, REPLICATION_PASSWORD = secrets.token_hex(), secrets.token_hex()
PACKAGES = {
    "etcd": "etcd-server",
    "haproxy": "haproxy",
    "pgbouncer": "pgbouncer",
    "/usr/lib/postgresql/*/bin/postgres": "postgresql",
    "ip": "iproute2",
    "iptables": "iptables",
    "unshare": "util-linux",
}
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


def missing_packages() -> list[str]:
    """The Debian packages that the drill needs and that are not installed."""
    return sorted(package for program, package in PACKAGES.items() if not found(program))


def found(program: str) -> str | None:
    """The path of a program, or of the newest one that matches."""
    if program.startswith("/"):
        matching = sorted(Path("/").glob(program[1:]), key=lambda path: (len(str(path)), path))
        return str(matching[-1]) if matching else None
    return shutil.which(program, path=PATH)


def run(*words: object) -> None:
    """Run a command; raises LocalError with its output if it fails."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, env={"PATH": PATH})
    if done.returncode:
        raise LocalError(f"{' '.join(map(str, words))}: {done.stderr or done.stdout}")


def not_as_root(*words: object) -> list[str]:
    """The command, run as if by nobody: PostgreSQL and PgBouncer refuse to run as root (local/postgres.py)."""
    return [*UNSHARE, *map(str, words)]


class Machine:
    """A machine with its own network and one program, whose files are in ``deploy/cluster``."""

    def __init__(self, name: str, address: str, folder: Path) -> None:
        self.name, self.address = name, address
        self._folder = folder / name
        self._folder.mkdir()
        self._child: subprocess.Popen[bytes]

    def create(self) -> None:
        """Create its network interface."""
        link = f"to-{self.name}"
        run("ip", "netns", "add", self.name)
        run("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", self.name)
        run("ip", "link", "set", link, "master", "bridge", "up")
        inside = ("ip", "-n", self.name)
        run(*inside, "addr", "add", f"{self.address}/24", "dev", "eth0")
        run(*inside, "link", "set", "eth0", "up")
        run(*inside, "link", "set", "lo", "up")

    def start(self) -> None:
        """Start its program, and with it PostgreSQL."""
        raise NotImplementedError

    def _start(self, env: Mapping[str, str], *words: object) -> None:
        with open(self._folder / "log", "ab") as log:
            self._child = subprocess.Popen(
                [str(found("ip")), "netns", "exec", self.name, *not_as_root(*words)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"PATH": PATH, "LANG": "C.UTF-8", "HOME": str(self._folder), **env},
                cwd="/",
                start_new_session=True,
            )

    def pids(self) -> list[int]:
        """All its processes."""
        words = [str(found("ip")), "netns", "pids", self.name]
        listed = subprocess.run(words, capture_output=True, text=True)
        return [int(pid) for pid in listed.stdout.split()]

    def signal(self, number: int) -> None:
        """Send a signal to all its processes."""
        for pid in self.pids():
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    # --- faults ---

    def kill(self) -> None:
        """The power fails."""
        self.cut()
        while self.pids():
            self.signal(signal.SIGKILL)
            time.sleep(0.02)
        self._child.wait()

    def cut(self) -> None:
        """Its network is silent: nothing arrives, nothing is refused."""
        run("ip", "link", "set", f"to-{self.name}", "down")

    def join(self) -> None:
        """Its network is back."""
        run("ip", "link", "set", f"to-{self.name}", "up")

    def freeze(self) -> None:
        """It stands still, as a virtual machine that is paused: it does not even acknowledge packets."""
        self.cut()
        self.signal(signal.SIGSTOP)

    def wake(self) -> None:
        """It goes on where it stood."""
        self.signal(signal.SIGCONT)
        self.join()


class EtcdMachine(Machine):
    """One of three machines with etcd."""

    def __init__(self, number: int, folder: Path) -> None:
        super().__init__(f"etcd{number}", f"10.0.0.2{number}", folder)

    def start(self) -> None:
        lines = [line for line in (DEPLOY / "etcd").read_text().splitlines() if line and not line.startswith("#")]
        settings = dict(line.split("=", 1) for line in lines)
        for name, value in settings.items():
            if name != "ETCD_INITIAL_CLUSTER":
                settings[name] = value.replace("10.0.0.21", self.address)
        settings |= {"ETCD_NAME": self.name, "ETCD_DATA_DIR": str(self._folder / "data")}
        self._start(settings, found("etcd"))


class DatabaseMachine(Machine):
    """One of three machines with Patroni and PostgreSQL."""

    def __init__(self, number: int, folder: Path) -> None:
        super().__init__(f"db{number}", f"10.0.0.1{number}", folder)

    def start(self) -> None:
        self._start({}, found("patroni"), self._configuration())

    def _configuration(self) -> Path:
        text = (DEPLOY / "patroni.yml").read_text()
        config = yaml.safe_load(text.replace("10.0.0.11:", f"{self.address}:"))
        config["name"] = self.name
        postgres = config["postgresql"]
        postgres |= {
            "data_dir": str(self._folder / "data"),
            "pgpass": str(self._folder / "pgpass"),
            "bin_dir": str(Path(str(found("/usr/lib/postgresql/*/bin/postgres"))).parent),
        }
        # Nothing here kills the operating system, so nothing has to reach the disk.
        postgres["parameters"] |= {
            "unix_socket_directories": str(self._folder),
            "fsync": "off",
            "shared_buffers": "64MB",
        }
        postgres["authentication"]["superuser"]["password"] = SUPERUSER_PASSWORD
        postgres["authentication"]["replication"]["password"] = REPLICATION_PASSWORD
        file = self._folder / "patroni.yml"
        file.write_text(yaml.safe_dump(config))
        return file

    def hold_replication(self, *, hold: bool) -> None:
        """Its PostgreSQL's packets reach only the web machines, no standby."""
        rule = ["OUTPUT", "-p", "tcp", "--sport", 5432, "!", "-d", WEB, "-j", "DROP"]
        run("ip", "netns", "exec", self.name, "iptables", "-A" if hold else "-D", *rule)


class Cluster:
    """The three machines, and what Patroni says about them."""

    def __init__(self, folder: Path, pause: Pause) -> None:
        self.machines = [DatabaseMachine(number, folder) for number in (1, 2, 3)]
        self.etcd = [EtcdMachine(number, folder) for number in (1, 2, 3)]
        self._pause = pause

    def create(self) -> None:
        """Create the network and the machines, and start the cluster."""
        names = Path("/run/netns")  # the host's, if it has any
        names.mkdir(exist_ok=True)
        run("mount", "-t", "tmpfs", "tmpfs", names)
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", "bridge", "type", "bridge", "forward_delay", 0)
        run("ip", "addr", "add", f"{WEB}/24", "dev", "bridge")
        run("ip", "link", "set", "bridge", "up")
        for machine in (*self.etcd, *self.machines):
            machine.create()
            machine.start()
        self.await_health(120)

    def state(self) -> dict[str, dict[str, Any]]:
        """Patroni's members by name, as the first machine that responds sees them."""
        for machine in self.machines:
            with suppress(requests.RequestException, ValueError, KeyError):
                answer = requests.get(f"http://{machine.address}:8008/cluster", timeout=1)
                return {member["name"]: member for member in answer.json()["members"]}
        return {}

    def primary(self) -> DatabaseMachine:
        """The machine of the primary. Raises LocalError if there is none."""
        for machine in self.machines:
            with suppress(requests.RequestException):
                if requests.get(f"http://{machine.address}:8008/primary", timeout=1).status_code == 200:
                    return machine
        raise LocalError("The cluster has no primary.")

    def is_healthy(self) -> bool:
        """A primary, a synchronous standby if there should be one, and all standbys following."""
        members = self.state()
        roles = [member["role"] for member in members.values()]
        states = [member["state"] for member in members.values()]
        return (
            len(members) == len(self.machines)
            and roles.count("leader") == 1
            and (self.is_asynchronous or "sync_standby" in roles)
            and all(state in ("running", "streaming") for state in states)
            and states.count("streaming") == len(states) - 1
        )

    is_asynchronous = False

    def await_health(self, seconds: float) -> None:
        """Wait until the cluster is whole. Raises LocalError."""
        if not wait_until(self.is_healthy, seconds, lambda _: self._pause(0.5)):
            raise LocalError(f"The cluster is not whole after {seconds:.0f} s: {self.state()}")

    def switch_over(self) -> None:
        """Ask Patroni to make the synchronous standby the primary."""
        members = self.state()
        leader, standby = (
            next(name for name, member in members.items() if member["role"] == role)
            for role in ("leader", "sync_standby")
        )
        answer = requests.post(
            f"http://{self.primary().address}:8008/switchover",
            json={"leader": leader, "candidate": standby},
            timeout=60,
        )
        if answer.status_code != 200:
            raise LocalError(f"The switchover was refused: {answer.text}")

    def make_asynchronous(self) -> None:
        """Change the cluster's settings: no commit waits for a standby."""
        settings = {"synchronous_mode": False, "synchronous_mode_strict": False}
        address = self.primary().address
        requests.patch(f"http://{address}:8008/config", json=settings, timeout=10).raise_for_status()
        self.is_asynchronous = True
        wait_until(lambda: "sync_standby" not in [one["role"] for one in self.state().values()], 30, self._pause)
        self._pause(6)  # until Patroni has taken the standbys' names out of PostgreSQL's settings
