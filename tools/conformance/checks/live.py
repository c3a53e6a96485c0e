"""Live events: channel authorisation, the event log, and events not covered elsewhere (docs/realtime.md)."""

from tools.conformance.report import Table
from tools.conformance.session import Session
from tools.conformance.shapes import REPLAY

TABLE = Table("Live events")
row = TABLE.row


@row("POST /pusher/auth, /pusher/auth/, /api/pusher/auth(/): form and JSON")
def auth(s: Session) -> None:
    channel = f"private-{s.hotel}.rooms"
    for path in ("/pusher/auth", "/pusher/auth/", "/api/pusher/auth", "/api/pusher/auth/"):
        for kind in ("form", "json"):
            body = s.signature(s.frontdesk.headers, channel, kind=kind, path=path)
            s.matches(body, {"auth": "str"}, f"the response of {path} to {kind}")


@row("/pusher/auth: everything else 403")
def auth_refused(s: Session) -> None:
    rooms, bookings = f"private-{s.hotel}.rooms", f"private-{s.hotel}.room-bookings"
    booking, another = s.book(), s.book()
    guest = {"Authorization": f"GuestToken {booking['guest_token']}"}
    for headers, channel in (
        ({}, rooms),
        ({"Authorization": "Token wrong"}, rooms),
        (s.stranger.headers, rooms),
        (s.housekeeper.headers, bookings),
        (s.frontdesk.headers, f"private-guest-booking.{booking['booking_id']}"),
        (s.frontdesk.headers, f"private-{s.other}.rooms"),
        (s.frontdesk.headers, "private-anything"),
        (guest, rooms),
        (guest, f"private-guest-booking.{another['booking_id']}"),
        ({"Authorization": "GuestToken wrong"}, f"private-guest-booking.{booking['booking_id']}"),
    ):
        s.signature(headers, channel, status=403)
    s.signature(s.housekeeper.headers, rooms)
    s.signature(guest, f"private-guest-booking.{booking['booking_id']}")


@row("GET events/: after, limit, latest_seq; in order, gapless")
def events(s: Session) -> None:
    for channel in ("rooms", "room-bookings"):
        start = s.manager.get("events/", query={"channel": channel}, shape=REPLAY)
        s.equal(start["results"], [], "events without after")
        after = max(0, start["latest_seq"] - 5)
        body = s.manager.get("events/", query={"channel": channel, "after": str(after)}, shape=REPLAY)
        numbers = [one["meta"]["seq"] for one in body["results"]]
        s.equal(numbers, list(range(after + 1, start["latest_seq"] + 1)), f"the seqs on {channel}")
        query = {"channel": channel, "after": str(after), "limit": "2"}
        s.equal(len(s.manager.get("events/", query=query, shape=REPLAY)["results"]), 2, "two events")
        s.manager.get("events/", query={**query, "limit": "5000"}, shape=REPLAY)
        beyond = {"channel": channel, "after": str(start["latest_seq"] + 100)}
        s.equal(s.manager.get("events/", query=beyond, shape=REPLAY)["results"], [], "events beyond the last")
    s.housekeeper.get("events/", query={"channel": "rooms"}, shape=REPLAY)
    s.housekeeper.get("events/", query={"channel": "room-bookings"}, status=403)
    s.manager.get("events/", query={"channel": "news"}, status=400)
    s.manager.get("events/", status=400)


@row("GET events/: 410 EVENTS_EXPIRED when after is too old")
def gone(s: Session) -> None:
    for channel in ("room-bookings", "rooms"):
        path = f"/api/staff/hotel/{s.hotel}/events/"
        query = {"channel": channel, "after": "0"}
        response, body = s.wire.send("GET", path, headers=s.manager.headers, query=query)
        if response.status_code == 410:
            s.equal(body["code"], "EVENTS_EXPIRED", "the code")
            s.matches(body["details"], {"latest_seq": "int"}, "details")
            return
    s.not_reached("no event has been deleted yet")


@row("expiry: sends booking_expired")
def expired(s: Session) -> None:
    path = f"/api/staff/hotel/{s.hotel}/events/"
    query = {"channel": "room-bookings", "after": "0"}
    response, body = s.wire.send("GET", path, headers=s.manager.headers, query=query)
    after = body["details"]["oldest_seq"] - 1 if response.status_code == 410 else 0
    types: set[str] = set()
    while page := s.events("room-bookings", after=after, limit=500)["results"]:
        types |= {one["type"] for one in page}
        after = page[-1]["meta"]["seq"]
    if "booking_expired" not in types:
        s.not_reached("no request has expired recently")


@row("PATCH of a room: one room_updated; tasks, settings: no event")
def other_writes(s: Session) -> None:
    room = s.room()
    with s.expects_events(rooms=[("room_updated", room["room_number"])]):
        s.manager.patch(f"room-management/{room['id']}/", {"is_active": False})
    with s.expects_events():
        s.supervisor.post("housekeeping/tasks/", {"room": room["id"], "task_type": "AMENITY"}, status=201)
        s.manager.patch("access-config/", {"late_checkout_grace_minutes": 30})
        s.frontdesk.post("rooms/checkin/", {"room_ids": [room["id"]]}, status=409)


@row("create: booking_created, also by card")
def created(s: Session) -> None:
    with s.expects_created():
        s.book(3, 2)
    with s.expects_created():
        s.by_card()


@row("public channels: every event of this run, without secrets")
def public(s: Session) -> None:
    for stream in ("rooms", "room-bookings"):
        private, open_ = s.recorder.on(f"private-{s.hotel}.{stream}"), s.recorder.on(f"{s.hotel}.{stream}")
        s.equal([one.event_id for one in open_], [one.event_id for one in private], f"all events on {s.hotel}.{stream}")
        for received in open_:
            s.check_public_text(received)
