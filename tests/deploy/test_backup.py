"""The backup and restore commands of docs/deployment.md, run as written while the hotel is in use.

They run against a separate PostgreSQL with its own programs (pg_dump, pg_restore, psql, createdb). Stubs replace
systemctl, runuser, and the paths of the environment file and of the backups.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from local.datadir import PROJECT, DataDir
from local.postgres import NAME, EmbeddedPostgres, public_place, wheel_folder
from local.service import wait_until

PROGRAMS = wheel_folder() / "pginstall" / "bin"
STUBS = {
    # `-u postgres --` means Debian's cluster.
    "runuser": "shift 3; PGHOST=127.0.0.1 PGDATABASE=postgres PGPORT=$SERVER_PORT PGUSER=$SERVER_USER"
    ' PGPASSWORD=$SERVER_PASSWORD exec "$@"',
    "systemctl": 'echo "$@" >> "$SYSTEMCTL"',
    "hotelmate": f'cd {PROJECT}; exec {sys.executable} manage.py "$@"',
    # The command lines that every account of the machine can read in `ps`.
    **{name: f'echo "$@" >> "$SHOWN"; exec {PROGRAMS}/{name} "$@"' for name in ("pg_dump", "pg_restore")},
}

# A hotel of six rooms whose statuses change continuously, each change with its numbered event.
WRITER = """
import itertools, sys
import django; django.setup()
from hotel.models import Hotel
from housekeeping.models import Source
from housekeeping.services import set_room_status
from notifications import relay
from notifications.models import EventStream
from tests.factories import HotelFactory, booking_in, room_in
hotel = HotelFactory(slug="grand")
booking_in("IN_HOUSE", assigned_room=room_in("READY_FOR_GUEST", hotel=hotel))
rooms = [room_in("READY_FOR_GUEST", hotel=hotel) for _ in range(5)]
for number in itertools.count(1):
    for room in rooms:
        status = "CHECKOUT_DIRTY" if number % 2 else "READY_FOR_GUEST"
        set_room_status(room=room, to_status=status, source=Source.SYSTEM)
    for name in ("rooms", "room-bookings"):
        relay.number(EventStream.objects.get_or_create(hotel=hotel, name=name)[0])
    print(number, flush=True)
"""

# A description of the database: each table's rows, constraints and triggers, and the event numbers.
LOOK = """
import json
import django; django.setup()
from django.db import connection
ask = connection.cursor()
def column(sql):
    ask.execute(sql)
    return [row[0] for row in ask.fetchall()]
tables = sorted(connection.introspection.table_names())
print(json.dumps({
    "rows": {table: column(f'SELECT count(*) FROM "{table}"')[0] for table in tables},
    "triggers": column(
        "SELECT concat_ws(' ', tgrelid::regclass, tgname, tgenabled, tgdeferrable, tginitdeferred)"
        " FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1"
    ),
    "constraints": column(
        "SELECT concat_ws(' ', conrelid::regclass, conname, contype, convalidated, condeferred)"
        " FROM pg_constraint WHERE connamespace = 'public'::regnamespace ORDER BY 1"
    ),
    "indexes": column(
        "SELECT concat_ws(' ', indexrelid::regclass, indisvalid, indisunique, indisexclusion) FROM pg_index"
        " WHERE indrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace) ORDER BY 1"
    ),
    "last_seq": column("SELECT last_seq FROM notifications_eventstream WHERE name = 'rooms'")[0],
}))
"""

# The restored hotel works: writes around the service are rejected, and new rows get unused ids.
WORK_ON = """
import django; django.setup()
from django.db import IntegrityError, connection, transaction
from hotel.models import Hotel
from housekeeping.models import Source
from housekeeping.services import set_room_status
from notifications import relay
from notifications.models import EventStream, RealtimeEvent
from rooms.models import Room
from tests.factories import room_in
hotel = Hotel.objects.get()
for sql in (
    "UPDATE rooms_room SET room_status = 'OUT_OF_ORDER'",
    "DELETE FROM housekeeping_roomstatusevent",
    "UPDATE room_bookings_roombooking SET checked_in_at = NULL",
):
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(sql)
            connection.check_constraints()
    except IntegrityError:
        continue
    raise SystemExit(f"not refused: {sql}")
room_in("CHECKOUT_DIRTY", hotel=hotel, room_type=hotel.room_types.first(), room_number=999)
stream = EventStream.objects.get(hotel=hotel, name="rooms")
before = stream.last_seq
relay.number(stream)
first = RealtimeEvent.objects.filter(stream="rooms").order_by("seq").first()
assert first.seq == before + 1, (first.seq, before)
"""


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    data = DataDir(tmp_path / "data")
    data.prepare()
    server = EmbeddedPostgres(data, password=data.secrets()["POSTGRES_PASSWORD"])
    server.acquire()
    yield server
    server.release()
    shutil.rmtree(public_place(data.path), ignore_errors=True)


@pytest.fixture
def env(postgres: EmbeddedPostgres, tmp_path: Path) -> dict[str, str]:
    """The environment of a root shell on the server."""
    for name, body in STUBS.items():
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
    url = urlsplit(postgres.url())
    assert url.password
    nameless = url._replace(netloc=url.netloc.replace(f":{url.password}@", "@")).geturl()
    (tmp_path / "hotelmate.env").write_text(
        f"DATABASE_URL='{nameless}'\nPGPASSWORD='{url.password}'\nALLOWED_HOSTS='hotel.example'\n"
    )
    return {
        **os.environ,
        "SERVER_PORT": str(postgres.service.port),
        "SERVER_USER": NAME,
        "SERVER_PASSWORD": url.password,
        "PATH": f"{tmp_path / 'bin'}:{PROGRAMS}:{os.environ['PATH']}",
        "PYTHONPATH": str(PROJECT),
        "DATABASE_URL": postgres.url(),
        "DJANGO_SETTINGS_MODULE": "hotelmate.settings",
        "SYSTEMCTL": str(tmp_path / "systemctl"),
        "SHOWN": str(tmp_path / "shown"),
    }


def documented(heading: str, tmp_path: Path) -> str:
    """The commands under a heading of the documentation page."""
    page = (PROJECT / "docs" / "deployment.md").read_text()
    [section] = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    text = "".join(re.findall(r"^```bash\n(.*?)^```", section, re.MULTILINE | re.DOTALL))
    return text.replace("/etc/hotelmate.env", str(tmp_path / "hotelmate.env")).replace(
        "/var/backups/hotelmate", str(tmp_path)
    )


def timer_command(tmp_path: Path) -> str:
    """The command of hotelmate-backup.service, without systemd's escapes."""
    unit = (PROJECT / "deploy" / "systemd" / "hotelmate-backup.service").read_text()
    [command] = re.findall(r"^ExecStart=(.*)$", unit, re.MULTILINE)
    return command.replace("$$", "$").replace("%%", "%").replace("/var/backups/hotelmate", str(tmp_path))


def shell(commands: str, env: dict[str, str]) -> str:
    done = subprocess.run(
        ["bash", "-euc", commands], env=env, cwd=PROJECT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def python(code: str, env: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, cwd=PROJECT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_documented_commands_restore_a_backup_made_under_load(env: dict[str, str], tmp_path: Path):
    shell("hotelmate migrate", env)
    log = tmp_path / "writer"
    with open(log, "w") as file:
        writer = subprocess.Popen([sys.executable, "-c", WRITER], env=env, cwd=PROJECT, stdout=file, stderr=file)
    try:
        assert wait_until(lambda: log.read_text().count("\n") >= 3 or writer.poll() is not None, 60)
        begin = json.loads(python(LOOK, env))
        shell(documented("Backup", tmp_path), env)
        rounds = log.read_text().count("\n")
        assert wait_until(lambda: log.read_text().count("\n") > rounds + 2 or writer.poll() is not None, 60)
        assert writer.poll() is None, log.read_text()
    finally:
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    end = json.loads(python(LOOK, env))

    said = shell(documented("Restore", tmp_path), env)

    assert "No violations." in said
    assert "No migrations to apply." in said
    assert (tmp_path / "systemctl").read_text() == (
        "stop hotelmate-web.socket hotelmate-web hotelmate-worker\n"
        "start hotelmate-web.socket hotelmate-web hotelmate-worker\n"
    )
    restored = json.loads(python(LOOK, env))
    for what in ("triggers", "constraints", "indexes"):
        assert restored[what] == begin[what]
    grow = {table for table in begin["rows"] if begin["rows"][table] != end["rows"][table]}
    assert grow == {"housekeeping_roomstatusevent", "notifications_realtimeevent"}
    for table, rows in begin["rows"].items():
        if table == "notifications_eventstream":
            assert restored["rows"][table] == 3  # those that have had no event yet, too
        else:
            assert rows <= restored["rows"][table] <= end["rows"][table], table
    assert restored["rows"]["housekeeping_roomstatusevent"] < end["rows"]["housekeeping_roomstatusevent"]
    assert restored["last_seq"] > 1_000_000 > end["last_seq"]
    python(WORK_ON, env)
    assert "No violations." in shell("hotelmate check_invariants", env)
    # The timer's own, with the settings of the file and no others.
    shell(f"set -a; . {tmp_path}/hotelmate.env; {timer_command(tmp_path)}", env | {"DATABASE_URL": ""})
    assert len([*tmp_path.glob("*-*-*-*.dump")]) == 1
    shown = (tmp_path / "shown").read_text()
    assert shown.count("/hotelmate\n") == 2  # the URL, of the two pg_dump
    assert env["SERVER_PASSWORD"] not in shown
    before = env | {"DATABASE_URL": re.sub(r"/\w+$", "/hotelmate_before", env["DATABASE_URL"])}
    assert json.loads(python(LOOK, before)) == end
