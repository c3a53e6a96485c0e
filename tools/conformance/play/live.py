"""Section 7: who may listen, catching up, and what of it the other sections have not tried."""

from tools.conformance.report import Table
from tools.conformance.shapes import REPLAY
from tools.conformance.world import World

TABLE = Table("7")
row = TABLE.row


@row("POST /pusher/auth, /pusher/auth/, /api/pusher/auth(/): form and JSON")
def auth(w: World) -> None:
    channel = f"private-{w.hotel}.rooms"
    for path in ("/pusher/auth", "/pusher/auth/", "/api/pusher/auth", "/api/pusher/auth/"):
        for kind in ("form", "json"):
            body = w.signature(w.frontdesk.headers, channel, kind=kind, path=path)
            w.has(body, {"auth": "str"}, f"the answer of {path} to {kind}")


@row("/pusher/auth: everything else 403")
def auth_refused(w: World) -> None:
    rooms, bookings = f"private-{w.hotel}.rooms", f"private-{w.hotel}.room-bookings"
    booking, another = w.book(), w.book()
    guest = {"Authorization": f"GuestToken {booking['guest_token']}"}
    for headers, channel in (
        ({}, rooms),
        ({"Authorization": "Token wrong"}, rooms),
        (w.stranger.headers, rooms),
        (w.housekeeper.headers, bookings),
        (w.frontdesk.headers, f"private-guest-booking.{booking['booking_id']}"),
        (w.frontdesk.headers, f"private-{w.other}.rooms"),
        (w.frontdesk.headers, "private-anything"),
        (guest, rooms),
        (guest, f"private-guest-booking.{another['booking_id']}"),
        ({"Authorization": "GuestToken wrong"}, f"private-guest-booking.{booking['booking_id']}"),
    ):
        w.signature(headers, channel, status=403)
    w.signature(w.housekeeper.headers, rooms)
    w.signature(guest, f"private-guest-booking.{booking['booking_id']}")


@row("GET events/: after, limit, latest_seq; in order, gapless")
def events(w: World) -> None:
    for channel in ("rooms", "room-bookings"):
        start = w.manager.get("events/", query={"channel": channel}, shape=REPLAY)
        w.see(start["results"], [], "events without after")
        after = max(0, start["latest_seq"] - 5)
        body = w.manager.get("events/", query={"channel": channel, "after": str(after)}, shape=REPLAY)
        numbers = [one["meta"]["seq"] for one in body["results"]]
        w.see(numbers, list(range(after + 1, start["latest_seq"] + 1)), f"the numbers on {channel}")
        query = {"channel": channel, "after": str(after), "limit": "2"}
        w.see(len(w.manager.get("events/", query=query, shape=REPLAY)["results"]), 2, "two events")
        w.manager.get("events/", query={**query, "limit": "5000"}, shape=REPLAY)
        beyond = {"channel": channel, "after": str(start["latest_seq"] + 100)}
        w.see(w.manager.get("events/", query=beyond, shape=REPLAY)["results"], [], "events beyond the last")
    w.housekeeper.get("events/", query={"channel": "rooms"}, shape=REPLAY)
    w.housekeeper.get("events/", query={"channel": "room-bookings"}, status=403)
    w.manager.get("events/", query={"channel": "news"}, status=400)
    w.manager.get("events/", status=400)


@row("GET events/: 410 EVENTS_EXPIRED when after is too old")
def gone(w: World) -> None:
    for channel in ("room-bookings", "rooms"):
        path = f"/api/staff/hotel/{w.hotel}/events/"
        query = {"channel": channel, "after": "0"}
        answer, body = w.wire.send("GET", path, headers=w.manager.headers, query=query)
        if answer.status_code == 410:
            w.see(body["code"], "EVENTS_EXPIRED", "the code")
            w.has(body["details"], {"latest_seq": "int"}, "details")
            return
    w.not_reached("all its events are kept yet")


@row("expiry: booking_expired told")
def expired(w: World) -> None:
    path = f"/api/staff/hotel/{w.hotel}/events/"
    query = {"channel": "room-bookings", "after": "0"}
    answer, body = w.wire.send("GET", path, headers=w.manager.headers, query=query)
    after = body["details"]["oldest_seq"] - 1 if answer.status_code == 410 else 0
    types: set[str] = set()
    while told := w.events("room-bookings", after=after, limit=500)["results"]:
        types |= {one["type"] for one in told}
        after = told[-1]["meta"]["seq"]
    if "booking_expired" not in types:
        w.not_reached("no request has expired of late")


@row("PATCH of a room, tasks, settings: one room_updated, and nothing")
def other_writes(w: World) -> None:
    room = w.room()
    with w.tells(rooms=[("room_updated", room["room_number"])]):
        w.manager.patch(f"room-management/{room['id']}/", {"is_active": False})
    with w.tells():
        w.supervisor.post("housekeeping/tasks/", {"room": room["id"], "task_type": "AMENITY"}, status=201)
        w.manager.patch("access-config/", {"late_checkout_grace_minutes": 30})
        w.frontdesk.post("rooms/checkin/", {"room_ids": [room["id"]]}, status=409)


@row("create: booking_created with a new booking's row; by card as well")
def created(w: World) -> None:
    with w.tells_created():
        w.book(3, 2)
    with w.tells_created():
        w.by_card()


@row("public channels: whatever was told in this run, without secrets")
def public(w: World) -> None:
    for stream in ("rooms", "room-bookings"):
        private, open_ = w.ears.on(f"private-{w.hotel}.{stream}"), w.ears.on(f"{w.hotel}.{stream}")
        w.see([one.event_id for one in open_], [one.event_id for one in private], f"all events on {w.hotel}.{stream}")
        for heard in open_:
            w.look_at_public_text(heard)
