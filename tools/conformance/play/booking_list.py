"""Section 6: the list with its filters, orders and buckets."""

from itertools import pairwise
from typing import Any

from tools.conformance.report import Table
from tools.conformance.shapes import BOOKINGS, BUCKETS
from tools.conformance.world import YESTERDAY, World

TABLE = Table("6")
row = TABLE.row

ORDERS = ("created_at", "updated_at", "check_in", "check_out", "total_amount", "guest_name", "booking_id", "status")
BAD = {
    "bucket": "departed",
    "date_mode": "born",
    "date_from": "tomorrow",
    "date_to": "2026-13-01",
    "assigned": "perhaps",
    "room_id": "x",
    "room_type": "no-such-code",
    "adults": "two",
    "children": "x",
    "party_size_min": "x",
    "party_size_max": "x",
    "amount_min": "cheap",
    "amount_max": "x",
    "currency": "euros",
    "seen": "perhaps",
    "seen_by_staff_id": "x",
    "status": "CONFIRMED,LOST",
    "ordering": "colour",
    "include_counts": "perhaps",
}


def found(w: World, **query: Any) -> list[str]:
    """The references that a query finds."""
    body = w.frontdesk.get("room-bookings/", query={"page_size": "100", **query}, shape=BOOKINGS)
    return [one["booking_id"] for one in body["results"]]


@row("GET room-bookings/: rows and bucket_counts; include_counts=0 leaves them out")
def bookings(w: World) -> None:
    body = w.frontdesk.get("room-bookings/", shape=BOOKINGS)
    w.see(set(body["bucket_counts"]), set(BUCKETS), "the buckets")
    w.see(body["bucket_counts"]["all"], body["count"], "bucket_counts.all")
    shown = {one["status"] for one in body["results"]}
    w.see(shown & {"PENDING_PAYMENT", "CANCELLED_DRAFT"}, set(), "hidden statuses")
    w.see("bucket_counts" in w.frontdesk.get("room-bookings/", query={"include_counts": "0"}), False, "the counts")


@row("filters: each finds what it should, and not what it should not")
def filters(w: World) -> None:
    word = f"Filter{w.run}"
    money = {"total_amount": "333.50", "currency": "CHF"}
    one = w.book(20, 3, primary_last_name=word, adults=2, children=1, **money)
    other = w.book(40, 1, primary_last_name=word)
    room = w.room()
    w.frontdesk.post(w.path(one, "safe-assign-room/"), {"room_id": str(room["id"])})
    w.frontdesk.post(w.path(one, "mark-seen/"))
    both = {one["booking_id"], other["booking_id"]}
    w.see(set(found(w, q=word.lower())), both, "q")
    w.see(set(found(w, q=word, room_type=w.type["code"])), both, "room_type by code")
    w.see(set(found(w, q=word, room_type=str(w.type["id"]))), both, "room_type by id")
    for query in (
        {"assigned": "true"},
        {"assigned": "1"},
        {"room_id": str(room["id"])},
        {"room_number": str(room["room_number"])},
        {"adults": "2"},
        {"children": "1"},
        {"party_size_min": "3"},
        {"amount_min": "300"},
        {"amount_min": "300.00", "amount_max": "333.50"},
        {"currency": "CHF"},
        {"seen": "true"},
        {"seen_by_staff_id": str(w.frontdesk.profile["staff_id"])},
        {"date_from": w.day(19), "date_to": w.day(25)},
        {"date_mode": "stay", "date_to": w.day(25)},
    ):
        w.see(found(w, q=word, **query), [one["booking_id"]], f"what {query} finds")
    for query in ({"assigned": "false"}, {"party_size_max": "2"}, {"seen": "0"}, {"date_from": w.day(30)}):
        w.see(found(w, q=word, **query), [other["booking_id"]], f"what {query} finds")
    for status, wanted in (("CONFIRMED,IN_HOUSE", both), ("CANCELLED", set())):
        w.see(set(found(w, q=word, status=status)), wanted, f"status={status}")


@row("q: without accents, in any Unicode form; a telephone number in any spelling")
def search(w: World) -> None:
    digits = f"{int(w.run, 16):08d}"[-7:]
    guest = {"primary_last_name": f"Müllér{w.run}", "primary_phone": f"+353 87 {digits[:3]} {digits[3:]}"}
    booking = w.book(50, 1, **guest)
    for text in (f"mullEr{w.run}", f"müller{w.run}", f"mu\u0308ller{w.run}"):
        w.see(found(w, q=text), [booking["booking_id"]], f"what {text} finds")
    for text in (f"087 {digits[:3]} {digits[3:]}", f"00353 87{digits}", f"(087) {digits}", f"+35387{digits}"):
        w.see(found(w, q=f"ada {text}"), [booking["booking_id"]], f"what ada {text} finds")


@row("date_mode: stay, created, updated, checked_in, checked_out")
def date_modes(w: World) -> None:
    word = f"Dated{w.run}"
    booking, _ = w.arrived(primary_last_name=word)
    today = {"date_from": w.day(0), "date_to": w.day(0)}
    for mode in ("stay", "created", "updated", "checked_in"):
        w.see(found(w, q=word, date_mode=mode, **today), [booking["booking_id"]], f"date_mode={mode}")
    w.see(found(w, q=word, date_mode="checked_out", **today), [], "date_mode=checked_out before the departure")
    w.frontdesk.post(w.path(booking, "check-out/"))
    w.see(found(w, q=word, date_mode="checked_out", **today), [booking["booking_id"]], "date_mode=checked_out")


@row("ordering: eight names, up and down")
def orderings(w: World) -> None:
    for name in ORDERS:
        for sign in ("", "-", "+"):
            query = {"ordering": f"{sign}{name}", "page_size": "100", "include_counts": "0"}
            rows = w.frontdesk.get("room-bookings/", query=query)["results"]
            values = [one[name] for one in rows if one[name] is not None]
            if name == "total_amount":
                values = [float(value) for value in values]
            if name in ("guest_name", "status"):
                continue  # by the database's own alphabet
            if name == "booking_id":
                values = [tuple(int(part) for part in value[3:].split("-")) for value in values]
            pairs = [pair[::-1] if sign == "-" else pair for pair in pairwise(values)]
            w.see([pair for pair in pairs if pair[0] > pair[1]], [], f"out of order by {sign}{name}")


@row("filters: what is no number, date or known name is 400 naming the field")
def bad_filters(w: World) -> None:
    for name, value in BAD.items():
        body = w.frontdesk.get("room-bookings/", query={name: value}, status=400, code="VALIDATION_ERROR")
        w.has(body.get("details"), {name: ["str"]}, f"details of {name}={value}")


@row("filters: an inverted range or an unknown room number: 200 and no rows")
def empty_filters(w: World) -> None:
    for query in (
        {"date_from": w.day(3), "date_to": w.day(1)},
        {"room_number": "987654"},
        {"room_id": "987654321"},
        {"amount_min": "5", "amount_max": "1"},
        {"party_size_min": "9", "party_size_max": "1"},
    ):
        w.see(found(w, **query), [], f"what {query} finds")


@row("room_number: several by commas; what is no number matches nothing, 200")
def room_numbers(w: World) -> None:
    (one, first), (other, second) = w.arrived(), w.arrived()
    numbers = [str(room["room_number"]) for room in (first, second)]
    for query in (numbers, [*numbers, "suite"], [f" {number} " for number in numbers]):
        wanted = {one["booking_id"], other["booking_id"]}
        w.see(set(found(w, room_number=",".join(query))), wanted, f"the rooms of {query}")
    for value in ("suite", "12a", "-1", "9" * 40, ","):
        w.see(found(w, room_number=value), [], f"room_number={value}")


@row("buckets: each booking in its own, by the hotel's day")
def buckets(w: World) -> None:
    word = f"Bucket{w.run}"
    name: dict[str, Any] = {"primary_last_name": word}
    arrival, future = w.book(**name), w.book(7, **name)
    staying, _ = w.arrived(**name)
    leaving, _ = w.arrived(0, 0, **name)
    gone, _ = w.arrived(**name)
    w.frontdesk.post(w.path(gone, "check-out/"))
    cancelled = w.book(**name)
    w.frontdesk.post(w.path(cancelled, "cancel/"))
    pending = w.by_card(**name)
    with w.rules(**YESTERDAY):
        overdue, _ = w.arrived(-1, 1, **name)
        missed = w.book(-1, 2, **name)
    w.frontdesk.post(w.path(missed, "no-show/"))
    wanted = {
        "all": [arrival, future, staying, leaving, gone, cancelled, pending, overdue, missed],
        "arrivals": [arrival],
        "in_house": [staying, leaving, overdue],
        "departures": [leaving, overdue],
        "pending": [pending],
        "checked_out": [gone],
        "cancelled": [cancelled],
        "expired": [],
        "no_show": [missed],
        "overdue_checkout": [overdue],
    }
    counts = w.frontdesk.get("room-bookings/", query={"q": word})["bucket_counts"]
    for bucket, members in wanted.items():
        w.see(set(found(w, q=word, bucket=bucket)), {one["booking_id"] for one in members}, f"bucket={bucket}")
        w.see(counts[bucket], len(members), f"bucket_counts.{bucket}")
    dates = {"date_from": w.day(6), "date_to": w.day(8)}
    w.see(found(w, q=word, bucket="arrivals", **dates), [future["booking_id"]], "arrivals of later days")


@row("late arrivals: among the arrivals until the last night is over, and marked")
def late_arrivals(w: World) -> None:
    word = f"Late{w.run}"
    name: dict[str, Any] = {"primary_last_name": word}
    today = w.book(0, 1, **name)
    with w.rules(**YESTERDAY):
        late, over = w.book(-1, 2, **name), w.book(-1, 1, **name)
    room = w.room()
    w.frontdesk.post(w.path(late, "safe-assign-room/"), {"room_id": str(room["id"])})
    wanted = {today["booking_id"]: False, late["booking_id"]: True}
    for days in ({}, {"date_from": w.day(0), "date_to": w.day(0)}):
        page = w.frontdesk.get("room-bookings/", query={"q": word, "bucket": "arrivals", **days}, shape=BOOKINGS)
        marked = {one["booking_id"]: one["is_late_arrival"] for one in page["results"]}
        w.see((marked, page["bucket_counts"]["arrivals"]), (wanted, 2), f"the arrivals {days or 'of today'}")
    w.see(w.frontdesk.get(w.path(over))["is_late_arrival"], False, "the mark of a stay whose last night is over")
    done = w.frontdesk.post("rooms/checkin/", {"room_ids": [str(room["id"])]})
    w.see(done["results"]["checked_in_bookings"], [late["booking_id"]], "the late guest, checked in with others")
    w.see(w.frontdesk.get(w.path(late))["is_late_arrival"], False, "the mark of a guest in house")
