"""Section 1: sign-in headers, scope, lists, ids, errors and status codes."""

import json
import re
import threading
from contextlib import closing

import requests

from tools.conformance.client import APP_HEADERS
from tools.conformance.report import Table
from tools.conformance.shapes import ROOM, page
from tools.conformance.world import World

TABLE = Table("1")
row = TABLE.row


@row("auth: a token; without one, or with a wrong one, 401")
def authentication(w: World) -> None:
    w.manager.get("me/")
    for headers in ({}, {"Authorization": "Token nobody"}, {"Authorization": "Token"}):
        answer, _ = w.wire.send("GET", f"/api/staff/hotel/{w.hotel}/me/", headers=headers)
        w.see(answer.status_code, 401, f"the status with {headers}")


@row("extra headers: they never widen access")
def extra_headers(w: World) -> None:
    other = {"X-Hotel-ID": str(w.stranger.profile["hotel_id"]), "X-Hotel-Slug": w.other}
    answer, body = w.wire.send("GET", f"/api/staff/hotel/{w.hotel}/me/", headers=w.manager.headers | other)
    w.see((answer.status_code, body["hotel_slug"]), (200, w.hotel), "me/ with another hotel's headers")
    answer, body = w.wire.send("GET", f"/api/staff/hotel/{w.other}/me/", headers=w.manager.headers | other)
    w.see((answer.status_code, body["code"]), (403, "HOTEL_ACCESS_DENIED"), "another hotel's me/ with its headers")


@row("CORS: a preflight of every path of the document")
def preflights(w: World) -> None:
    for method, template in sorted(w.wire.document.operations):
        if "{slug}" in template or template.endswith(("login/", "logout/", "auth/")):
            path = re.sub(r"{\w+}", "1", template.replace("{slug}", w.hotel).replace("{bid}", "BK-2026-0001"))
            w.wire._preflight(method.upper(), path)
    w.wire._preflight("POST", "/pusher/auth")


@row("CORS: another origin is let in nowhere")
def other_origins(w: World) -> None:
    for method in ("GET", "OPTIONS"):
        asks = {"Origin": "http://evil.example", "Access-Control-Request-Method": "GET"}
        asks["Access-Control-Request-Headers"] = APP_HEADERS
        url = f"{w.wire.url}/api/staff/hotel/{w.hotel}/me/"
        w.wire.row.calls += 1
        answer = requests.request(method, url, headers=asks, timeout=20)
        w.see(answer.headers.get("Access-Control-Allow-Origin"), None, f"{method} from elsewhere: the CORS header")


@row("CORS: the app may read ETag and Retry-After")
def exposed(w: World) -> None:
    room = w.room()
    path = f"/api/staff/hotel/{w.hotel}/room-management/{room['room_number']}/"
    answer, body = w.wire.send("GET", path, headers=w.manager.headers)
    w.see(answer.headers.get("ETag"), f'"{body["status_version"]}"', "the ETag of a room")
    shown = answer.headers.get("Access-Control-Expose-Headers", "").lower().replace(" ", "").split(",")
    w.see({"etag", "retry-after"} <= set(shown), True, f"exposing ETag and Retry-After (exposed: {shown})")


@row("other hotel: its URL is 403, its objects under one's own are 404")
def other_hotel(w: World) -> None:
    stranger = w.stranger
    room = stranger.get("room-management/")["results"][0]
    booking = stranger.get("room-bookings/")["results"][0]["booking_id"]
    task = stranger.post("housekeeping/tasks/", {"room": room["id"], "task_type": "AMENITY"}, status=201)
    kind = stranger.get("room-types/")[0]["id"]
    for path in ("room-management/", "room-bookings/", "housekeeping/dashboard/", f"room-bookings/{booking}/"):
        w.manager.get(f"/api/staff/hotel/{w.other}/{path}", status=403, code="HOTEL_ACCESS_DENIED")
        w.manager.get(f"/api/staff/hotel/no-such-hotel/{path}", status=403, code="HOTEL_ACCESS_DENIED")
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
        w.manager.call(method, path, *([] if body is None else [body]), status=404)
    stranger.delete(f"housekeeping/tasks/{task['id']}/")


@row("lists: count, next, previous, results; page and page_size up to 100")
def lists(w: World) -> None:
    first = w.manager.get("room-management/", shape=page(ROOM))
    w.see(len(first["results"]), 10, "the default page's size")
    w.see(first["previous"], None, "the first page's previous")
    second = w.manager.get("room-management/", query={"page": "2", "page_size": "3"}, shape=page(ROOM))
    w.see(len(second["results"]), 3, "a page of three")
    w.see("page=3" in second["next"] and bool(second["previous"]), True, "next and previous of page 2")
    most = w.manager.get("room-management/", query={"page_size": "1000"})
    w.see(len(most["results"]), min(100, most["count"]), "the largest page")


@row("lists: a page past the end is 200 and empty, a senseless one 400")
def past_the_end(w: World) -> None:
    for path in ("room-management/", "room-bookings/", "housekeeping/tasks/"):
        answer = w.manager.get(path, query={"page": "9999"})
        w.see((answer["results"], answer["next"]), ([], None), f"{path} past the end")
        for senseless in ("0", "-1", "abc", "1.5"):
            w.manager.get(path, query={"page": senseless}, status=400)


@row("ids: as int or numeric string, in paths and bodies")
def ids(w: World) -> None:
    room, kind = w.room(), w.type["id"]
    for given in (kind, str(kind)):
        number = w.new_number()
        made = w.manager.post("room-management/", {"room_number": str(number), "room_type_id": given}, status=201)
        w.see((made["room_number"], made["room_type"]), (number, kind), f"a room made with the type {given!r}")
    for given in (room["id"], str(room["id"])):
        task = w.manager.post("housekeeping/tasks/", {"room": given, "task_type": "AMENITY"}, status=201)
        w.see(task["room"], room["id"], f"the room of a task made with {given!r}")
        w.manager.delete(f"housekeeping/tasks/{task['id']!s}/")
    found = w.frontdesk.get(
        "room-bookings/", query={"room_id": str(room["id"]), "room_number": str(room["room_number"])}
    )
    w.see(found["count"], 0, "bookings of a room that has none")


@row("errors: one shape, fields in details and at the top level")
def errors(w: World) -> None:
    room = w.room()
    body = w.manager.post(f"rooms/{room['id']}/status/", {}, status=400, code="VALIDATION_ERROR")
    w.has(body, {"details": {"to_status": ["str"]}, "to_status": ["str"]}, "a missing to_status")
    body = w.frontdesk.post("room-bookings/", {}, status=400, code="VALIDATION_ERROR")
    w.has(body, {name: ["str"] for name in ("room_type_id", "check_in", "check_out")}, "an empty booking")
    w.manager.get("no-such-thing/", status=404)
    w.manager.call("DELETE", "me/", status=405)


@row("errors: a login's carry non_field_errors")
def login_errors(w: World) -> None:
    for body in ({}, {"username": f"{w.hotel}-{w.run}", "password": "wrong"}):
        answer, said = w.wire.send(
            "POST", "/api/staff/login/", headers={"Content-Type": "application/json"}, data=json.dumps(body)
        )
        w.see(answer.status_code, 401 if body else 400, f"signing in with {sorted(body)}")
        w.has(said, {"non_field_errors": ["str"]}, "a refused sign-in")


@row("errors: room messages begin as clients expect")
def room_messages(w: World) -> None:
    room = w.room()
    status = f"rooms/{room['id']}/status/"
    begins = "Invalid transition"
    w.manager.post(status, {"to_status": "CLEANED_UNINSPECTED"}, status=409, code="INVALID_TRANSITION", begins=begins)
    w.housekeeper.post(status, {"to_status": "OUT_OF_ORDER"}, status=403, begins="Permission denied")
    w.manager.post("rooms/999999999/status/", {"to_status": "OUT_OF_ORDER"}, status=404, begins="Room not found")
    w.manager.post("rooms/999998/start-cleaning/", status=404, begins="Room not found")
    booking, occupied = w.arrived()
    w.manager.post(f"rooms/{occupied['id']}/status/", {"to_status": "OUT_OF_ORDER"}, status=409)
    body = {"to_status": "CHECKOUT_DIRTY"}
    w.manager.post(f"rooms/{occupied['id']}/status/", body, status=409, begins="Room occupied")
    other = w.book()
    refused = {"status": 409, "code": "ROOM_NOT_READY", "begins": "Room not ready"}
    w.frontdesk.post(w.path(other, "check-in/"), {"room_id": w.room("CHECKOUT_DIRTY")["id"]}, **refused)
    w.see(booking["status"], "IN_HOUSE", "the guest of the occupied room")


@row("status codes: 400, 401, 403, 404, 409, 412, 422 with CORS headers")
def status_codes(w: World) -> None:
    room = w.room()
    status = f"rooms/{room['id']}/status/"
    dirty = {"to_status": "CHECKOUT_DIRTY"}
    w.manager.post(status, "{", status=400)
    w.manager.post(status, {**dirty, "expected_status": "OUT_OF_ORDER"}, status=409, code="STATUS_CHANGED")
    w.manager.post(status, dirty, status=412, if_match='"9999"')
    key = f"conformance-{w.run}-code"
    body = {"room_type_id": w.type["id"], "check_in": w.day(60), "check_out": w.day(61), "adults": 1, "children": 0}
    body |= {"primary_first_name": "Ada", "primary_last_name": "Key"}
    made = w.frontdesk.post("room-bookings/", body, status=201, idempotency_key=key)
    w.own_bookings.add(made["booking_id"])
    w.frontdesk.post("room-bookings/", {**body, "adults": 2}, status=422, idempotency_key=key)


@row("status codes: 503 with Retry-After while somebody holds the row")
def busy(w: World) -> None:
    if not w.database_url:
        w.not_reached("its database can't be asked to hold a lock")
        return
    import psycopg2

    room, held, answered = w.room(), threading.Event(), threading.Event()

    def hold() -> None:
        with closing(psycopg2.connect(w.database_url)) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM rooms_room WHERE id = %s FOR UPDATE", [room["id"]])
            held.set()
            answered.wait(30)

    thread = threading.Thread(target=hold, daemon=True)
    thread.start()
    held.wait(10)
    path = f"/api/staff/hotel/{w.hotel}/rooms/{room['id']}/status/"
    headers = w.manager.headers | {"Content-Type": "application/json"}
    try:
        answer, _ = w.wire.send("POST", path, headers=headers, data='{"to_status": "CHECKOUT_DIRTY"}')
    finally:
        answered.set()
    w.see(answer.status_code, 503, "the status while the room is locked")
    w.see("Retry-After" in answer.headers, True, "Retry-After there")
    thread.join()


@row("status codes: 413 above 1 MB, 405 for another method")
def too_large(w: World) -> None:
    path = f"/api/staff/hotel/{w.hotel}/room-types/"
    headers = w.manager.headers | {"Content-Type": "application/json"}
    headers["Connection"] = "close"  # the server hangs up on who goes on talking
    answer, _ = w.wire.send("POST", path, headers=headers, data=json.dumps({"name": "x" * 1_100_000}))
    w.see(answer.status_code, 413, "a body of more than 1 MB")
    w.manager.put("room-types/", {}, status=405)


@row("unknown query parameters and body fields are ignored")
def unknown(w: World) -> None:
    for path in ("room-management/", "room-bookings/", "housekeeping/tasks/", "room-types/", "turnover/rooms/", "me/"):
        w.manager.get(path, query={"x_colour": "blue"})
    room = w.room()
    w.manager.post(f"rooms/{room['id']}/status/", {"to_status": "CHECKOUT_DIRTY", "x_colour": "blue", "x": [1]})
    w.manager.post(f"rooms/{room['room_number']}/start-cleaning/", {"staff_id": "7"})


@row("blank filters are ignored")
def blank(w: World) -> None:
    names = ("q", "status", "room_type", "date_from", "date_to", "assigned", "seen", "adults", "bucket", "ordering")
    w.manager.get("room-bookings/", query=dict.fromkeys(names, ""))
    w.manager.get("housekeeping/tasks/", query={"status": "", "assigned_to": ""})


@row("throttles leave a busy desk alone: forty requests at once")
def throttles(w: World) -> None:
    for _ in range(40):
        w.frontdesk.get("room-bookings/", query={"include_counts": "0", "page_size": "1"})


@row("a body that is not JSON is 400, also where none is needed")
def no_json(w: World) -> None:
    room, booking = w.room("CHECKOUT_DIRTY"), w.book()
    number = room["room_number"]
    for path in (
        *(f"rooms/{number}/{step}/" for step in ("start-cleaning", "mark-cleaned", "inspect", "mark-maintenance")),
        *(w.path(booking, f"{step}/") for step in ("confirm", "mark-seen", "cancel", "check-in", "unassign-room")),
        *("housekeeping/tasks/", "rooms/checkout/", "rooms/checkin/"),
    ):
        w.manager.post(path, "{not json", status=400)
    w.see(w.now(room)["room_status"], "CHECKOUT_DIRTY", "the room afterwards")
