"""Dry runs of every endpoint: they change nothing, and report what the real call then does (docs/api.md, Dry run)."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.urls import URLPattern, URLResolver, get_resolver

from common import clock, dry_run
from common.views import HotelViewSet, WithoutDryRun
from hotel.models import Hotel, IdempotentAnswer, Staff
from hotel.rights import permission
from hotel.serializers import AccessConfig
from housekeeping.models import HousekeepingTask
from housekeeping.selectors import block_list, task_list
from housekeeping.services import set_room_status
from housekeeping.snapshots import block_snapshot, task_snapshot
from notifications.mail import mail_list, mail_row
from notifications.models import BookingMail, RealtimeEvent
from notifications.notification_manager import messages
from operations.effects import OMITTED
from room_bookings import payments
from room_bookings.models import BookingExtension, OverstayIncident, RoomBooking
from room_bookings.selectors import booking_list
from room_bookings.snapshots import booking_detail
from rooms.models import Room, RoomBlock, RoomType
from rooms.selectors import room_list
from rooms.serializers import RoomTypeOutput
from rooms.snapshots import room_snapshot
from tests.conftest import in_full, url
from tests.endpoints import MANAGER, NOBODY, WRITING
from tests.factories import PASSWORD, NewRoomFactory, StaffFactory, booking_in, room_in
from tests.hotelmate.test_scope import member
from tests.http import DocumentedClient, assert_error, document, rolled_back
from tests.notifications.every_operation import api_operations, operation_targets
from tests.notifications.test_operation_table import REFUSED, refused_endpoint
from tests.races import Writer, overlap, waiting
from tests.room_bookings.small_hotel import NOW, last_event
from tests.unknown_constraint import unknown_constraint

pytestmark = pytest.mark.django_db

DRY = "?dry_run=true"
NOTHING: dict[str, Any] = {name: [] for name in dry_run.EFFECTS}
# The values that only the real call can choose, by their names in the API.
UNKNOWN = {"id", "booking", "booking_id", "confirmation_number", "guest_token"}


# --- no trace ---------------------------------------------------------------------------------------------------------


def whole_database() -> dict[str, Any]:
    """A digest of each table's row versions, and the last value of each sequence."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT quote_ident(relname) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        )
        tables = [name for (name,) in cursor.fetchall()]
        rows = "md5(string_agg(concat(t.ctid, t.xmin, t), '' ORDER BY t.ctid))"
        cursor.execute(" UNION ALL ".join(f"SELECT '{table}', {rows} FROM {table} t" for table in tables))
        found: dict[str, Any] = dict(cursor.fetchall())
        cursor.execute("SELECT sequencename, last_value FROM pg_sequences WHERE schemaname = 'public'")
        return found | dict(cursor.fetchall())


@contextmanager
def no_trace() -> Iterator[None]:
    """Assert that the block changes no row version and takes no number."""
    before = whole_database()
    yield
    after = whole_database()
    assert {name for name in before if before[name] != after[name]} == set()


# --- what the real call does ------------------------------------------------------------------------------------------


Rows = dict[type, dict[int, dict[str, Any]]]  # by model and key


def stored_rows() -> Rows:
    """The rows that effects are about."""
    return {model: {row["id"]: row for row in model.objects.values()} for model in IDENTITY}


def shown_rows(hotel: Hotel, rows: Rows) -> Rows:
    """These rows as the API shows them."""
    now = clock.now()
    queries: dict[type, tuple[Any, Callable[[Any], Any]]] = {
        Room: (room_list(hotel), room_snapshot),
        RoomBooking: (booking_list(hotel), booking_detail),
        HousekeepingTask: (task_list(hotel), lambda task: task_snapshot(task, now)),
        RoomBlock: (block_list(hotel), block_snapshot),
        RoomType: (RoomType.objects.all(), lambda kind: RoomTypeOutput(kind).data),
        Hotel: (Hotel.objects.all(), lambda one: AccessConfig(one).data),
        BookingMail: (mail_list(), lambda mail: {"booking_id": mail.booking.booking_id, **mail_row(mail)}),
    }
    return {
        model: {row.pk: show(row) for row in query.filter(pk__in=rows[model])} if rows.get(model) else {}
        for model, (query, show) in queries.items()
    }


# Beside ``changes``: what identifies each row, and its version.
IDENTITY = {
    Room: ("rooms", ("id", "room_number"), "status_version"),
    RoomBooking: ("bookings", ("booking_id",), "version"),
    RoomBlock: ("blocks", ("id", "room_number"), None),
    HousekeepingTask: ("tasks", ("id", "room_number", "task_type"), None),
    RoomType: ("room_types", ("id", "name"), None),
    Hotel: ("settings", (), None),
    BookingMail: ("mails", ("id", "booking_id", "kind"), None),
}


@contextmanager
def watched(hotel: Hotel, before: Rows, shown_before: Rows) -> Iterator[dict[str, Any]]:
    """What the block does, as effects, which are filled when it ends. ``before`` is what is stored now."""
    effects: dict[str, Any] = {}
    since = last_event()
    yield effects
    after = stored_rows()
    changed = {
        model: {pk: {} for pk in before[model] | after[model] if before[model].get(pk) != after[model].get(pk)}
        for model in IDENTITY
    }
    shown_after = shown_rows(hotel, changed)
    for model, (name, identity, version) in IDENTITY.items():
        effects[name] = []
        for pk in sorted(changed[model]):
            old, new = shown_before[model].get(pk, {}), shown_after[model].get(pk, {})
            effect = {field: (new or old)[field] for field in identity}
            effect["changes"] = {
                field: [old.get(field), new.get(field)]
                for field in new or old
                if field not in OMITTED[model] | {"booking_id"} and old.get(field) != new.get(field)
            }
            if version:
                effect["if_match"] = f'"{old[version]}"' if old else None
            effects[name].append(effect)
    effects["events"] = [
        {"channel": sent["channel"], "type": sent["name"], "payload": json.loads(sent["data"])["payload"]}
        for event in RealtimeEvent.objects.filter(pk__gt=since).order_by("pk")
        for sent in messages(event)
    ]


def differences(rehearsed: Any, real: Any, where: str = "", key: str = "") -> Iterator[str]:
    """Where the two differ. A value that only the real call can choose is null in the rehearsed one."""
    if isinstance(real, dict) and isinstance(rehearsed, dict):
        for name in rehearsed.keys() | real.keys():
            yield from differences(rehearsed.get(name, "-"), real.get(name, "-"), f"{where}.{name}", name)
    elif isinstance(real, list) and isinstance(rehearsed, list) and len(real) == len(rehearsed):
        for place, pair in enumerate(zip(rehearsed, real, strict=True)):
            yield from differences(*pair, f"{where}[{place}]", key)
    elif rehearsed != real and not (rehearsed is None and key in UNKNOWN):
        yield f"{where}: {rehearsed!r}, really {real!r}"


@pytest.fixture
def targets(manager: Staff, stripe: Any) -> Iterator[SimpleNamespace]:
    with clock.set_to(NOW):
        yield operation_targets(manager, stripe)


def split(answer: Any) -> tuple[int, Any, Any]:
    """The status of the real call, its body, and the effects."""
    body = dict(answer.json())
    assert body.pop("dry_run") is True
    effects = body.pop("effects")
    return (body["status"], None, effects) if body.keys() == {"status"} else (answer.status_code, body, effects)


def charges(stripe: Any) -> list[tuple[str, str]]:
    """What was asked of the payment provider: action and payment."""
    return [(call.action.replace("cancel", "void"), call.reference) for call in stripe.calls]


def test_every_operation_leaves_no_trace_and_reports_what_the_real_call_does(
    targets, manager, stripe, django_capture_on_commit_callbacks
):
    authorised, rows = deepcopy(stripe.intents), stored_rows()
    shown = shown_rows(targets.hotel, rows)
    dry, real = (api_operations(targets, manager, cards=True, query=query) for query in (DRY, ""))
    wrong: dict[str, Any] = {}
    for name in dry:
        with rolled_back():
            with no_trace(), django_capture_on_commit_callbacks() as callbacks:
                status, body, effects = split(dry[name]())
            assert (callbacks, stripe.calls) == ([], []), name
            with watched(targets.hotel, rows, shown) as done:
                answer = real[name]()
            references = dict(RoomBooking.objects.values_list("booking_id", "payment_reference"))
            asked = [(one["request"], references[one["booking_id"]]) for one in effects.pop("payments")]
            found = [
                *differences(status, answer.status_code, "status"),
                *differences(body, answer.json() if answer.content else None, "body"),
                *differences(effects, done, "effects"),
                *differences(asked, charges(stripe), "payments"),
            ]
            stripe.calls.clear()
            stripe.intents = deepcopy(authorised)
            if found:
                wrong[name] = found
    assert wrong == {}


def test_the_names_of_omitted_fields_exist(targets):
    shown = shown_rows(targets.hotel, stored_rows())
    for model, omitted in OMITTED.items():
        assert omitted <= next(iter(shown[model].values())).keys(), model


def test_a_refused_operation_is_refused_alike_and_would_change_nothing(api, manager, targets):
    client, answered = api(manager), {}
    for line in REFUSED.strip().splitlines():
        endpoint, headers = refused_endpoint(line)
        plain = endpoint.call(client, targets.hotel.slug, targets, **headers)
        with no_trace():
            rehearsed = replace(endpoint, query=DRY).call(client, targets.hotel.slug, targets, **headers)
        assert rehearsed.status_code == plain.status_code, line
        assert rehearsed.json() == {**plain.json(), "dry_run": True, "effects": NOTHING}, line
        answered[line] = plain.status_code
    assert len(answered) > 40


# --- rights, and how a dry run is asked for ---------------------------------------------------------------------------


def writing_routes() -> Iterator[tuple[str, str, Any]]:
    """Every method and route of the API that can write, with its view."""

    def walk(patterns: Any, prefix: str) -> Iterator[tuple[str, Any]]:
        for pattern in patterns:
            route = prefix + str(pattern.pattern)
            if isinstance(pattern, URLResolver):
                yield from walk(pattern.url_patterns, route)
            elif isinstance(pattern, URLPattern):
                yield route, pattern.callback

    for route, view in walk(get_resolver().url_patterns, ""):
        if route.startswith(("api/", "pusher/")):
            methods = getattr(view, "actions", None) or [
                name for name in view.cls.http_method_names if hasattr(view.cls, name)
            ]
            for method in set(methods) - {"get", "head", "options"}:
                yield method, route, view


def test_every_writing_endpoint_has_a_dry_run_or_refuses_it():
    documented = {
        (method, path)
        for path, operations in document()["paths"].items()
        for method, operation in operations.items()
        if any(parameter["name"] == "dry_run" for parameter in operation.get("parameters", ()))
    }
    supporting = set()
    for method, route, view in writing_routes():
        if issubclass(view.cls, HotelViewSet):
            assert view.initkwargs["show_effects"], route
            supporting.add((method, "/" + re.sub(r"<\w+:(\w+)>", r"{\1}", route.replace("<int:pk>", "{id}"))))
        else:
            assert issubclass(view.cls, WithoutDryRun), route
    assert supporting == documented
    assert len(supporting) == len(WRITING)


@pytest.mark.parametrize(
    "path",
    ["api/staff/login/", "api/staff/logout/", "api/pusher/auth/", "api/pusher/auth", "pusher/auth", "pusher/auth/"],
)
@pytest.mark.parametrize("password", [PASSWORD, "wrong"])
def test_sign_in_sign_out_and_channels_have_none(api, manager, path, password):
    client, body = api(manager), {"username": "manager", "password": password}
    with no_trace():
        answer = client.post(f"/{path}{DRY}", body)
    assert_error(answer, 400, "VALIDATION_ERROR")
    assert answer.json()["details"] == {"dry_run": ["This endpoint has no dry run."]}
    assert client.get(url(manager, "me/")).status_code == 200


def test_sign_in_without_a_dry_run_is_a_sign_in(manager):
    answer = DocumentedClient().post("/api/staff/login/?dry_run=false", {"username": "manager", "password": PASSWORD})
    assert answer.json()["token"]


@pytest.mark.parametrize("query", ["dry_run=", "dry_run", "dry_run=maybe", "dry_run=yes", "dry_run=true&dry_run=false"])
def test_an_unclear_value_is_refused(api, manager, query):
    room = room_in("READY_FOR_GUEST", hotel=manager.hotel)
    client = api(manager)
    with no_trace():
        answer = client.post(url(manager, f"rooms/{room.pk}/status/?{query}"), {"to_status": "CHECKOUT_DIRTY"})
    assert_error(answer, 400, "VALIDATION_ERROR")
    assert answer.json()["details"] == {"dry_run": ["Must be true or false."]}


@pytest.mark.parametrize(
    ("value", "is_dry"), [("true", True), ("True", True), ("1", True), ("false", False), ("0", False)]
)
def test_true_and_false_are_understood(api, manager, value, is_dry):
    room = room_in("READY_FOR_GUEST", hotel=manager.hotel)
    answer = api(manager).post(
        url(manager, f"rooms/{room.pk}/status/?dry_run={value}"), {"to_status": "CHECKOUT_DIRTY"}
    )
    assert answer.status_code == 200
    room.refresh_from_db()
    assert room.room_status == ("READY_FOR_GUEST" if is_dry else "CHECKOUT_DIRTY")
    assert ("effects" in answer.json(), "ETag" in answer) == (is_dry, not is_dry)


def test_a_read_ignores_it(api, manager):
    for query in (DRY, "?dry_run=maybe"):
        answer = api(manager).get(url(manager, f"me/{query}"))
        assert answer.status_code == 200
        assert "dry_run" not in answer.json()


def test_strangers_and_callers_without_the_right_are_refused_as_always(api, manager):
    room = room_in("READY_FOR_GUEST", hotel=manager.hotel)
    path = url(manager, f"room-management/{room.pk}/{DRY}")
    for client, status, code in (
        (DocumentedClient(), 401, "NOT_AUTHENTICATED"),
        (api(member(manager.hotel, NOBODY)), 403, "PERMISSION_DENIED"),
        (api(StaffFactory(role=MANAGER)), 403, "HOTEL_ACCESS_DENIED"),
    ):
        with no_trace():
            answer = client.delete(path)
        assert_error(answer, status, code)
        assert (answer.json()["dry_run"], answer.json()["effects"]) == (True, NOTHING)


def with_rights(staff: Staff, *rights: str) -> Staff:
    for right in rights:
        app, _, codename = permission(right).partition(".")
        staff.user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
    return staff


def test_without_the_right_to_read_them_values_are_left_out(api, hotel):
    booking = booking_in(
        "IN_HOUSE", assigned_room=NewRoomFactory(hotel=hotel, room_number=101), primary_email="ada@example.com"
    )
    caller = with_rights(member(hotel, NOBODY), "rooms.checkout_bulk")
    body = {"room_ids": [booking.assigned_room_id]}
    effects = api(caller).post(url(caller, f"rooms/checkout/{DRY}"), body).json()["effects"]
    assert "Lovelace" not in json.dumps(effects)
    assert effects["bookings"] == [{"booking_id": booking.booking_id, "changes": {}, "if_match": '"0"'}]
    assert [task["changes"] for task in effects["tasks"]] == [{}]
    assert effects["rooms"][0]["changes"]["room_status"] == ["OCCUPIED", "CHECKOUT_DIRTY"]
    assert [(event["channel"].rpartition(".")[2], event["payload"] is None) for event in effects["events"]] == [
        ("rooms", False), ("rooms", False), ("room-bookings", True), (booking.booking_id, True),
    ]  # fmt: skip
    caller = with_rights(member(hotel, NOBODY), "bookings.checkout")
    effects = api(caller).post(url(caller, f"room-bookings/{booking.booking_id}/check-out/{DRY}")).json()["effects"]
    assert effects["bookings"][0]["changes"]["status"] == ["IN_HOUSE", "COMPLETED"]
    assert (effects["rooms"][0]["room_number"], effects["rooms"][0]["changes"]) == (101, {})
    assert [event["payload"] is None for event in effects["events"]] == [True, True, False, False]


def test_public_channels_are_reported_too(api, manager, settings):
    settings.REALTIME_PUBLIC_CHANNELS = True
    room = room_in("READY_FOR_GUEST", hotel=manager.hotel)
    answer = api(manager).post(url(manager, f"rooms/{room.pk}/status/{DRY}"), {"to_status": "CHECKOUT_DIRTY"})
    assert [event["channel"] for event in answer.json()["effects"]["events"]] == ["private-grand.rooms", "grand.rooms"]


def test_a_bulk_dry_run_takes_the_same_statements_for_any_number_of_rooms(api, manager, statements):
    client, counts = api(manager), []
    for size in (1, 3):
        rooms = [
            booking_in("IN_HOUSE", assigned_room=NewRoomFactory(hotel=manager.hotel)).assigned_room for _ in range(size)
        ]
        with statements() as made:
            answer = client.post(url(manager, f"rooms/checkout/{DRY}"), {"room_ids": [room.pk for room in rooms]})
        assert len(answer.json()["effects"]["bookings"]) == size
        counts.append(len(made))
    assert counts[0] == counts[1], counts


# --- keys, numbers, order ---------------------------------------------------------------------------------------------


def new_booking(targets: SimpleNamespace) -> dict[str, Any]:
    name = {"primary_first_name": "Grace", "primary_last_name": "Hopper", "primary_email": "grace@example.com"}
    return {"room_type_id": targets.room_type, "check_in": "2026-08-01", "check_out": "2026-08-03", **name}


def test_what_only_the_real_call_can_choose_is_null(api, manager, targets):
    body = {**new_booking(targets), "party": [{"first_name": "Vincent", "last_name": "Hopper"}]}
    answer = api(manager).post(url(manager, f"room-bookings/{DRY}"), body).json()
    assert (answer["booking_id"], answer["confirmation_number"], answer["guest_token"]) == (None, None, None)
    assert [person["id"] for person in answer["party"]["companions"]] == [None]
    effects = answer["effects"]
    [booking], [event], [mail] = effects["bookings"], effects["events"], effects["mails"]
    assert (booking["booking_id"], booking["if_match"]) == (None, None)
    assert booking["changes"]["status"] == [None, "CONFIRMED"]
    assert (event["payload"]["booking_id"], event["payload"]["guest_name"]) == (None, "Grace Hopper")
    assert (mail["id"], mail["booking_id"], mail["changes"]["to_address"]) == (None, None, [None, "grace@example.com"])


def test_an_idempotency_key_is_not_used_up(api, manager, targets):
    client, path, body, key = (
        api(manager),
        url(manager, "room-bookings/"),
        new_booking(targets),
        {"HTTP_IDEMPOTENCY_KEY": "k"},
    )
    with no_trace():
        client.post(path + DRY, body, **key)
    assert not IdempotentAnswer.objects.exists()
    made = client.post(path, body, **key).json()
    with no_trace():
        again = client.post(path + DRY, body, **key).json()
        other = client.post(path + DRY, {**body, "adults": 2}, **key)
    assert (again["booking_id"], again["effects"]) == (made["booking_id"], NOTHING)
    assert_error(other, 422, "IDEMPOTENCY_KEY_REUSED")


def test_new_rows_are_the_newest(api, manager, targets):
    """They have keys below all others: lists of what happened go by time."""
    booking = RoomBooking.objects.get(booking_id=targets.flagged)
    earlier, of_booking = NOW.replace(month=6), {"hotel": booking.hotel, "booking": booking}
    OverstayIncident.objects.filter(booking=booking).delete()
    OverstayIncident.objects.create(
        **of_booking, expected_checkout_date="2026-06-01", detected_at=earlier, status="RESOLVED", resolved_at=earlier
    )
    BookingExtension.objects.create(
        **of_booking, old_check_out="2026-06-01", new_check_out=booking.check_out, created_at=earlier
    )
    RoomBooking.objects.filter(pk=booking.pk).update(overstay_flagged_at=None)
    client, path = api(manager), url(manager, f"room-bookings/{booking.booking_id}/overstay/")
    for step, body in (("acknowledge/", {}), ("extend/", {"add_nights": 4})):
        rehearsed = client.post(f"{path}{step}{DRY}", body).json()["overstay"]
        assert rehearsed == client.post(path + step, body).json()["overstay"]
        assert rehearsed["status"] == {"acknowledge/": "ACKED", "extend/": "RESOLVED"}[step]
    assert [one["nights"] for one in rehearsed["extensions"]][1:] == [4]


def test_keys_are_made_up_only_in_a_dry_run():
    assert dry_run.new_key() is None
    with dry_run.Rehearsal().rolled_back():
        keys = [dry_run.new_key() for _ in range(3)]
        assert keys == sorted(keys)  # type: ignore[type-var]  # not None here
        assert keys[-1] < 0  # type: ignore[operator]
        assert keys[0] >= -(2**63)  # type: ignore[operator]
    assert dry_run.new_key() is None


# --- card payments ----------------------------------------------------------------------------------------------------


def test_an_unfinished_payment_is_assumed_to_have_succeeded(api, manager, targets, stripe):
    """Declined while another caller's capture is unfinished: captured, so it is refunded."""
    RoomBooking.objects.filter(booking_id=targets.capturing).update(total_amount="285.5", currency="EUR")
    client = api(manager)
    with no_trace():
        answer = client.post(url(manager, f"room-bookings/{targets.capturing}/decline/{DRY}"))
    amount = {"booking_id": targets.capturing, "amount": "285.50", "currency": "EUR"}
    assert answer.json()["status"] == "DECLINED"
    assert answer.json()["effects"]["payments"] == [{**amount, "request": "look_up"}, {**amount, "request": "refund"}]
    assert stripe.calls == []


def test_a_refusal_reports_what_was_committed_before_it(api, manager, targets, stripe):
    """Approved while another caller's refund is unfinished: the booking turns out to be declined."""
    path = url(manager, f"room-bookings/{targets.refunding}/approve/")
    RoomBooking.objects.filter(booking_id=targets.refunding).update(status="PENDING_APPROVAL")
    client = api(manager)
    with no_trace():
        rehearsed = client.post(path + DRY)
    assert_error(rehearsed, 409, "BOOKING_NOT_ELIGIBLE")
    assert rehearsed.json()["effects"]["bookings"][0]["changes"]["status"] == ["PENDING_APPROVAL", "DECLINED"]
    assert_error(client.post(path), 409, "BOOKING_NOT_ELIGIBLE")
    assert RoomBooking.objects.get(booking_id=targets.refunding).status == "DECLINED"


def test_a_dry_run_takes_no_slot_and_cannot_reach_the_provider(api, manager, targets, stripe, settings):
    settings.PAYMENT_CALLS_AT_ONCE = 1
    path, client = url(manager, f"room-bookings/{targets.carded}/approve/"), api(manager)
    with payments.provider_slot():
        assert_error(client.post(path), 503, "PAYMENTS_BUSY")
        assert client.post(path + DRY).json()["status"] == "CONFIRMED"
    with dry_run.Rehearsal().rolled_back(), pytest.raises(RuntimeError, match="never calls the payment provider"):
        payments.look_up("pi_1")
    settings.STRIPE_SECRET_KEY = ""
    assert_error(client.post(path + DRY), 503, "PAYMENTS_NOT_CONFIGURED")
    assert stripe.calls == []


# --- transactions -----------------------------------------------------------------------------------------------------

really = pytest.mark.django_db(transaction=True)


@pytest.fixture
def room(transactional_db: None, manager: Staff) -> Room:
    return room_in("READY_FOR_GUEST", hotel=manager.hotel, room_number=101)


def change(client: Any, manager: Staff, room: Room, to_status: str, query: str = DRY) -> Any:
    return client.post(url(manager, f"rooms/{room.pk}/status/{query}"), {"to_status": to_status})


@really
def test_the_transaction_is_rolled_back(api, manager, room):
    client = api(manager)
    with no_trace():
        answer = change(client, manager, room, "CHECKOUT_DIRTY")
    assert answer.json()["effects"]["rooms"][0]["if_match"] == '"0"'
    assert not connection.in_atomic_block
    assert change(client, manager, room, "CHECKOUT_DIRTY", "").status_code == 200
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM hotel_dryrunchange")
        assert cursor.fetchone() == (0,)


@really
def test_its_version_makes_the_real_call_conditional(api, manager, room):
    client, path = api(manager), url(manager, f"rooms/{room.pk}/status/")
    [effect] = change(client, manager, room, "CHECKOUT_DIRTY").json()["effects"]["rooms"]
    for status in (200, 412):  # the second time, somebody has changed the room: we have
        answer = client.post(path, {"to_status": "CHECKOUT_DIRTY"}, HTTP_IF_MATCH=effect["if_match"])
        assert answer.status_code == status


@really
def test_it_waits_for_a_writer_and_starts_from_what_that_committed(api, manager, room):
    client = api(manager)
    _, [answer] = overlap(
        lambda: set_room_status(room=room, to_status="CHECKOUT_DIRTY", staff=manager, source="FRONT_DESK"),
        lambda: change(client, manager, room, "CLEANING_IN_PROGRESS"),
    )
    [effect] = answer.json()["effects"]["rooms"]
    assert effect["changes"]["room_status"] == ["CHECKOUT_DIRTY", "CLEANING_IN_PROGRESS"]
    assert effect["if_match"] == '"1"'


@contextmanager
def during_a_dry_run(work: Callable[[], Any], *, waits: bool) -> Iterator[list[Any]]:
    """Run ``work`` in another thread while the block is being dry-run; its result is there after the block."""
    outcome: list[Any] = []
    writer = Writer(work)
    with dry_run.Rehearsal().rolled_back():
        yield outcome
        writer.start()
        while waits and not waiting("pg_backend_pid() = ANY(blockers)"):
            assert writer.is_alive(), writer.result
        if not waits:
            writer.outcome()
    outcome.append(writer.outcome())


@really
@pytest.mark.parametrize("query", [DRY, ""])
def test_it_releases_its_locks(api, manager, room, query):
    client = api(manager)
    with during_a_dry_run(lambda: change(client, manager, room, "CHECKOUT_DIRTY", query), waits=True) as outcome:
        set_room_status(room=room, to_status="OUT_OF_ORDER", staff=manager)
    [answer] = outcome
    assert answer.json()["room"]["room_status"] == "CHECKOUT_DIRTY"
    assert answer.json()["room"]["status_version"] == 1


@really
def test_new_rows_of_two_dry_runs_do_not_meet(api, manager, room):
    client, body = api(manager), {"room": room.pk, "task_type": "DEEP_CLEAN"}
    path = url(manager, f"housekeeping/tasks/{DRY}")
    with during_a_dry_run(lambda: client.post(path, body), waits=False) as outcome:
        HousekeepingTask.objects.create(hotel=room.hotel, room=room, task_type="DEEP_CLEAN")
    assert len(outcome[0].json()["effects"]["tasks"]) == 1


@really
@pytest.mark.parametrize(("state", "status"), [("23505", 409), ("23514", 500), ("40P01", 503)])
def test_deferred_constraints_refuse_as_at_a_commit(api, manager, room, state, status):
    client, body = api(manager), {"name": "Planted", "code": "P"}
    with unknown_constraint("rooms_roomtype", state):
        plain = client.post(url(manager, "room-types/"), body)
        rehearsed = client.post(url(manager, f"room-types/{DRY}"), body)
    assert (plain.status_code, rehearsed.status_code) == (status, status)
    if status != 500:
        assert rehearsed.json() == {**plain.json(), "dry_run": True, "effects": NOTHING}


@really
@pytest.mark.parametrize("moment", ["SET LOCAL", "UPDATE", "SET CONSTRAINTS"])
def test_a_lost_database_is_503(api, manager, room, moment):
    client = api(manager)

    def lose(execute: Any, sql: str, params: Any, many: Any, context: Any) -> Any:
        if in_full(sql).startswith(moment):
            other = connection.copy()
            with other.cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [connection.connection.info.backend_pid])
            other.close()
        return execute(sql, params, many, context)

    with connection.execute_wrapper(lose):
        answer = change(client, manager, room, "CHECKOUT_DIRTY")
    assert_error(answer, 503, "UNAVAILABLE")
    assert (answer.json()["dry_run"], answer.json()["effects"], answer["Retry-After"]) == (True, NOTHING, "1")
    connection.close()
    assert change(client, manager, room, "CHECKOUT_DIRTY").status_code == 200
    room.refresh_from_db()
    assert room.status_version == 0
