"""Conventions: headers, CORS, hotel scope, lists, ids, errors and status codes."""

import json
import re
import threading
from contextlib import closing

import requests

from tools.conformance.client import APP_HEADERS
from tools.conformance.report import Table
from tools.conformance.session import Session
from tools.conformance.shapes import ROOM, page

TABLE = Table("Conventions")
row = TABLE.row


@row("auth: 401 without a token or with a wrong one")
def authentication(s: Session) -> None:
    s.manager.get("me/")
    for headers in ({}, {"Authorization": "Token nobody"}, {"Authorization": "Token"}):
        response, _ = s.wire.send("GET", f"/api/staff/hotel/{s.hotel}/me/", headers=headers)
        s.equal(response.status_code, 401, f"the status with {headers}")


@row("extra headers: they never widen access")
def extra_headers(s: Session) -> None:
    other = {"X-Hotel-ID": str(s.stranger.profile["hotel_id"]), "X-Hotel-Slug": s.other}
    response, body = s.wire.send("GET", f"/api/staff/hotel/{s.hotel}/me/", headers=s.manager.headers | other)
    s.equal((response.status_code, body["hotel_slug"]), (200, s.hotel), "me/ with another hotel's headers")
    response, body = s.wire.send("GET", f"/api/staff/hotel/{s.other}/me/", headers=s.manager.headers | other)
    s.equal((response.status_code, body["code"]), (403, "HOTEL_ACCESS_DENIED"), "another hotel's me/ with its headers")


@row("CORS: a preflight of every path of the document")
def preflights(s: Session) -> None:
    for method, template in sorted(s.wire.document.operations):
        if "{slug}" in template or template.endswith(("login/", "logout/", "auth/")):
            path = re.sub(r"{\w+}", "1", template.replace("{slug}", s.hotel).replace("{bid}", "BK-2026-0001"))
            s.wire._preflight(method.upper(), path)
    s.wire._preflight("POST", "/pusher/auth")


@row("CORS: no other origin is allowed")
def other_origins(s: Session) -> None:
    for method in ("GET", "OPTIONS"):
        asks = {"Origin": "http://evil.example", "Access-Control-Request-Method": "GET"}
        asks["Access-Control-Request-Headers"] = APP_HEADERS
        url = f"{s.wire.url}/api/staff/hotel/{s.hotel}/me/"
        s.wire.row.calls += 1
        response = requests.request(method, url, headers=asks, timeout=20)
        s.equal(response.headers.get("Access-Control-Allow-Origin"), None, f"the CORS header of {method}")


@row("CORS: the app may read ETag and Retry-After")
def exposed(s: Session) -> None:
    room = s.room()
    path = f"/api/staff/hotel/{s.hotel}/room-management/{room['room_number']}/"
    response, body = s.wire.send("GET", path, headers=s.manager.headers)
    s.equal(response.headers.get("ETag"), f'"{body["status_version"]}"', "the ETag of a room")
    shown = response.headers.get("Access-Control-Expose-Headers", "").lower().replace(" ", "").split(",")
    s.equal({"etag", "retry-after"} <= set(shown), True, f"ETag and Retry-After exposed ({shown})")


@row("other hotel: its URL is 403, its objects under the own URL are 404")
def other_hotel(s: Session) -> None:
    stranger = s.stranger
    room = stranger.get("room-management/")["results"][0]
    booking = stranger.get("room-bookings/")["results"][0]["booking_id"]
    task = stranger.post("housekeeping/tasks/", {"room": room["id"], "task_type": "AMENITY"}, status=201)
    kind = stranger.get("room-types/")[0]["id"]
    for path in ("room-management/", "room-bookings/", "housekeeping/dashboard/", f"room-bookings/{booking}/"):
        s.manager.get(f"/api/staff/hotel/{s.other}/{path}", status=403, code="HOTEL_ACCESS_DENIED")
        s.manager.get(f"/api/staff/hotel/no-such-hotel/{path}", status=403, code="HOTEL_ACCESS_DENIED")
    rid = room["id"]
    for method, path, body in (
        ("GET", f"room-bookings/{booking}/", None),
        ("POST", f"room-bookings/{booking}/cancel/", {}),
        ("POST", f"rooms/{rid}/status/", {"to_status": "CHECKOUT_DIRTY"}),
        ("GET", f"rooms/{rid}/status-history/", None),
        ("PATCH", f"room-management/{rid}/", {"is_active": False}),
        ("DELETE", f"room-management/{rid}/", None),
        ("PATCH", f"room-types/{kind}/", {"name": "x"}),
        ("GET", f"housekeeping/tasks/{task['id']}/", None),
        ("POST", f"housekeeping/tasks/{task['id']}/start/", {}),
    ):
        s.manager.call(method, path, *([] if body is None else [body]), status=404)
    stranger.delete(f"housekeeping/tasks/{task['id']}/")


@row("lists: count, next, previous, results; page and page_size up to 100")
def lists(s: Session) -> None:
    first = s.manager.get("room-management/", shape=page(ROOM))
    s.equal(len(first["results"]), 10, "the default page's size")
    s.equal(first["previous"], None, "the first page's previous")
    second = s.manager.get("room-management/", query={"page": "2", "page_size": "3"}, shape=page(ROOM))
    s.equal(len(second["results"]), 3, "a page of three")
    s.equal("page=3" in second["next"] and bool(second["previous"]), True, "next and previous of page 2")
    most = s.manager.get("room-management/", query={"page_size": "1000"})
    s.equal(len(most["results"]), min(100, most["count"]), "the largest page")


@row("lists: a page past the end is 200 and empty, an invalid one 400")
def past_the_end(s: Session) -> None:
    for path in ("room-management/", "room-bookings/", "housekeeping/tasks/"):
        response = s.manager.get(path, query={"page": "9999"})
        s.equal((response["results"], response["next"]), ([], None), f"{path} past the end")
        for invalid in ("0", "-1", "abc", "1.5"):
            s.manager.get(path, query={"page": invalid}, status=400)


@row("ids: as int or numeric string, in paths and bodies")
def ids(s: Session) -> None:
    room, kind = s.room(), s.type["id"]
    for given in (kind, str(kind)):
        number = s.new_number()
        made = s.manager.post("room-management/", {"room_number": str(number), "room_type_id": given}, status=201)
        s.equal((made["room_number"], made["room_type"]), (number, kind), f"a room created with type {given!r}")
    for given in (room["id"], str(room["id"])):
        task = s.manager.post("housekeeping/tasks/", {"room": given, "task_type": "AMENITY"}, status=201)
        s.equal(task["room"], room["id"], f"the room of a task created with {given!r}")
        s.manager.delete(f"housekeeping/tasks/{task['id']!s}/")
    found = s.frontdesk.get(
        "room-bookings/", query={"room_id": str(room["id"]), "room_number": str(room["room_number"])}
    )
    s.equal(found["count"], 0, "the bookings of an unbooked room")


@row("errors: one shape, fields in details and at the top level")
def errors(s: Session) -> None:
    room = s.room()
    body = s.manager.post(f"rooms/{room['id']}/status/", {}, status=400, code="VALIDATION_ERROR")
    s.matches(body, {"details": {"to_status": ["str"]}, "to_status": ["str"]}, "a missing to_status")
    body = s.frontdesk.post("room-bookings/", {}, status=400, code="VALIDATION_ERROR")
    s.matches(body, {name: ["str"] for name in ("room_type_id", "check_in", "check_out")}, "an empty booking")
    s.manager.get("no-such-thing/", status=404)
    s.manager.call("DELETE", "me/", status=405)


@row("errors: login errors have non_field_errors")
def login_errors(s: Session) -> None:
    for body in ({}, {"username": f"{s.hotel}-{s.run_id}", "password": "wrong"}):
        response, content = s.wire.send(
            "POST", "/api/staff/login/", headers={"Content-Type": "application/json"}, data=json.dumps(body)
        )
        s.equal(response.status_code, 401 if body else 400, f"signing in with {sorted(body)}")
        s.matches(content, {"non_field_errors": ["str"]}, "a refused sign-in")


@row("errors: room messages begin as clients expect")
def room_messages(s: Session) -> None:
    room = s.room()
    status = f"rooms/{room['id']}/status/"
    begins = "Invalid transition"
    s.manager.post(status, {"to_status": "CLEANED_UNINSPECTED"}, status=409, code="INVALID_TRANSITION", begins=begins)
    s.housekeeper.post(status, {"to_status": "OUT_OF_ORDER"}, status=403, begins="Permission denied")
    s.manager.post("rooms/999999999/status/", {"to_status": "OUT_OF_ORDER"}, status=404, begins="Room not found")
    s.manager.post("rooms/999998/start-cleaning/", status=404, begins="Room not found")
    booking, occupied = s.arrived()
    s.manager.post(f"rooms/{occupied['id']}/status/", {"to_status": "OUT_OF_ORDER"}, status=409)
    body = {"to_status": "CHECKOUT_DIRTY"}
    s.manager.post(f"rooms/{occupied['id']}/status/", body, status=409, begins="Room occupied")
    other = s.book()
    refused = {"status": 409, "code": "ROOM_NOT_READY", "begins": "Room not ready"}
    s.frontdesk.post(s.path(other, "check-in/"), {"room_id": s.room("CHECKOUT_DIRTY")["id"]}, **refused)
    s.equal(booking["status"], "IN_HOUSE", "the guest of the occupied room")


@row("status codes: 400, 401, 403, 404, 409, 412, 422 with CORS headers")
def status_codes(s: Session) -> None:
    room = s.room()
    status = f"rooms/{room['id']}/status/"
    dirty = {"to_status": "CHECKOUT_DIRTY"}
    s.manager.post(status, "{", status=400)
    s.manager.post(status, {**dirty, "expected_status": "OUT_OF_ORDER"}, status=409, code="STATUS_CHANGED")
    s.manager.post(status, dirty, status=412, if_match='"9999"')
    key = f"conformance-{s.run_id}-code"
    body = {"room_type_id": s.type["id"], "check_in": s.day(60), "check_out": s.day(61), "adults": 1, "children": 0}
    body |= {"primary_first_name": "Ada", "primary_last_name": "Key"}
    made = s.frontdesk.post("room-bookings/", body, status=201, idempotency_key=key)
    s.run_bookings.add(made["booking_id"])
    s.frontdesk.post("room-bookings/", {**body, "adults": 2}, status=422, idempotency_key=key)


@row("status codes: 503 with Retry-After while the row is locked")
def busy(s: Session) -> None:
    if not s.database_url:
        s.not_reached("its database is not accessible")
        return
    import psycopg2

    room, held, done = s.room(), threading.Event(), threading.Event()

    def hold() -> None:
        with closing(psycopg2.connect(s.database_url)) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM rooms_room WHERE id = %s FOR UPDATE", [room["id"]])
            held.set()
            done.wait(30)

    thread = threading.Thread(target=hold, daemon=True)
    thread.start()
    held.wait(10)
    path = f"/api/staff/hotel/{s.hotel}/rooms/{room['id']}/status/"
    headers = s.manager.headers | {"Content-Type": "application/json"}
    try:
        response, _ = s.wire.send("POST", path, headers=headers, data='{"to_status": "CHECKOUT_DIRTY"}')
    finally:
        done.set()
    s.equal(response.status_code, 503, "the status while the room is locked")
    s.equal("Retry-After" in response.headers, True, "has Retry-After")
    thread.join()


@row("status codes: 413 above 1 MB, 405 for another method")
def too_large(s: Session) -> None:
    path = f"/api/staff/hotel/{s.hotel}/room-types/"
    headers = s.manager.headers | {"Content-Type": "application/json"}
    headers["Connection"] = "close"  # the server closes the connection while the client is sending
    response, _ = s.wire.send("POST", path, headers=headers, data=json.dumps({"name": "x" * 1_100_000}))
    s.equal(response.status_code, 413, "a body of more than 1 MB")
    s.manager.put("room-types/", {}, status=405)


@row("unknown query parameters and body fields are ignored")
def unknown(s: Session) -> None:
    for path in ("room-management/", "room-bookings/", "housekeeping/tasks/", "room-types/", "turnover/rooms/", "me/"):
        s.manager.get(path, query={"x_colour": "blue"})
    room = s.room()
    s.manager.post(f"rooms/{room['id']}/status/", {"to_status": "CHECKOUT_DIRTY", "x_colour": "blue", "x": [1]})
    s.manager.post(f"rooms/{room['room_number']}/start-cleaning/", {"staff_id": "7"})


@row("blank filters are ignored")
def blank(s: Session) -> None:
    names = ("q", "status", "room_type", "date_from", "date_to", "assigned", "seen", "adults", "bucket", "ordering")
    s.manager.get("room-bookings/", query=dict.fromkeys(names, ""))
    s.manager.get("housekeeping/tasks/", query={"status": "", "assigned_to": ""})


@row("throttles: forty requests in a row pass")
def throttles(s: Session) -> None:
    for _ in range(40):
        s.frontdesk.get("room-bookings/", query={"include_counts": "0", "page_size": "1"})


@row("a body that is not JSON is 400, even if none is needed")
def no_json(s: Session) -> None:
    room, booking = s.room("CHECKOUT_DIRTY"), s.book()
    number = room["room_number"]
    for path in (
        *(f"rooms/{number}/{action}/" for action in ("start-cleaning", "mark-cleaned", "inspect", "mark-maintenance")),
        *(s.path(booking, f"{action}/") for action in ("confirm", "mark-seen", "cancel", "check-in", "unassign-room")),
        *("housekeeping/tasks/", "rooms/checkout/", "rooms/checkin/"),
    ):
        s.manager.post(path, "{not json", status=400)
    s.equal(s.current(room)["room_status"], "CHECKOUT_DIRTY", "the room afterwards")
