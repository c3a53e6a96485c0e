"""Bookings: the list with its filters, orderings and buckets."""

from itertools import pairwise
from typing import Any

from tools.conformance.report import Table
from tools.conformance.session import YESTERDAY, Session
from tools.conformance.shapes import BOOKINGS, BUCKETS

TABLE = Table("Bookings")
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


def found(s: Session, **query: Any) -> list[str]:
    """The booking references that a query finds."""
    body = s.frontdesk.get("room-bookings/", query={"page_size": "100", **query}, shape=BOOKINGS)
    return [one["booking_id"] for one in body["results"]]


@row("GET room-bookings/: rows and bucket_counts; include_counts=0 omits the counts")
def bookings(s: Session) -> None:
    body = s.frontdesk.get("room-bookings/", shape=BOOKINGS)
    s.equal(set(body["bucket_counts"]), set(BUCKETS), "the buckets")
    s.equal(body["bucket_counts"]["all"], body["count"], "bucket_counts.all")
    shown = {one["status"] for one in body["results"]}
    s.equal(shown & {"PENDING_PAYMENT", "CANCELLED_DRAFT"}, set(), "hidden statuses")
    s.equal("bucket_counts" in s.frontdesk.get("room-bookings/", query={"include_counts": "0"}), False, "the counts")


@row("filters: each finds exactly the matching bookings")
def filters(s: Session) -> None:
    word = f"Filter{s.run_id}"
    money = {"total_amount": "333.50", "currency": "CHF"}
    one = s.book(20, 3, primary_last_name=word, adults=2, children=1, **money)
    other = s.book(40, 1, primary_last_name=word)
    room = s.room()
    s.frontdesk.post(s.path(one, "safe-assign-room/"), {"room_id": str(room["id"])})
    s.frontdesk.post(s.path(one, "mark-seen/"))
    both = {one["booking_id"], other["booking_id"]}
    s.equal(set(found(s, q=word.lower())), both, "q")
    s.equal(set(found(s, q=word, room_type=s.type["code"])), both, "room_type by code")
    s.equal(set(found(s, q=word, room_type=str(s.type["id"]))), both, "room_type by id")
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
        {"seen_by_staff_id": str(s.frontdesk.profile["staff_id"])},
        {"date_from": s.day(19), "date_to": s.day(25)},
        {"date_mode": "stay", "date_to": s.day(25)},
    ):
        s.equal(found(s, q=word, **query), [one["booking_id"]], f"the bookings for {query}")
    for query in ({"assigned": "false"}, {"party_size_max": "2"}, {"seen": "0"}, {"date_from": s.day(30)}):
        s.equal(found(s, q=word, **query), [other["booking_id"]], f"the bookings for {query}")
    for status, expected in (("CONFIRMED,IN_HOUSE", both), ("CANCELLED", set())):
        s.equal(set(found(s, q=word, status=status)), expected, f"status={status}")


@row("q: ignores accents and Unicode form; finds a phone number in any format")
def search(s: Session) -> None:
    digits = f"{int(s.run_id, 16):08d}"[-7:]
    guest = {"primary_last_name": f"Müllér{s.run_id}", "primary_phone": f"+353 87 {digits[:3]} {digits[3:]}"}
    booking = s.book(50, 1, **guest)
    for text in (f"mullEr{s.run_id}", f"müller{s.run_id}", f"mu\u0308ller{s.run_id}"):
        s.equal(found(s, q=text), [booking["booking_id"]], f"the bookings for {text}")
    for text in (f"087 {digits[:3]} {digits[3:]}", f"00353 87{digits}", f"(087) {digits}", f"+35387{digits}"):
        s.equal(found(s, q=f"ada {text}"), [booking["booking_id"]], f"the bookings for ada {text}")


@row("date_mode: stay, created, updated, checked_in, checked_out")
def date_modes(s: Session) -> None:
    word = f"Dated{s.run_id}"
    booking, _ = s.arrived(primary_last_name=word)
    today = {"date_from": s.day(0), "date_to": s.day(0)}
    for mode in ("stay", "created", "updated", "checked_in"):
        s.equal(found(s, q=word, date_mode=mode, **today), [booking["booking_id"]], f"date_mode={mode}")
    s.equal(found(s, q=word, date_mode="checked_out", **today), [], "date_mode=checked_out before check-out")
    s.frontdesk.post(s.path(booking, "check-out/"))
    s.equal(found(s, q=word, date_mode="checked_out", **today), [booking["booking_id"]], "date_mode=checked_out")


@row("ordering: eight names, ascending and descending")
def orderings(s: Session) -> None:
    for name in ORDERS:
        for sign in ("", "-", "+"):
            query = {"ordering": f"{sign}{name}", "page_size": "100", "include_counts": "0"}
            rows = s.frontdesk.get("room-bookings/", query=query)["results"]
            values = [one[name] for one in rows if one[name] is not None]
            if name == "total_amount":
                values = [float(value) for value in values]
            if name in ("guest_name", "status"):
                continue  # by the database's collation
            if name == "booking_id":
                values = [tuple(int(part) for part in value[3:].split("-")) for value in values]
            pairs = [pair[::-1] if sign == "-" else pair for pair in pairwise(values)]
            s.equal([pair for pair in pairs if pair[0] > pair[1]], [], f"out of order by {sign}{name}")


@row("filters: an invalid number, date or name is 400 and names the field")
def bad_filters(s: Session) -> None:
    for name, value in BAD.items():
        body = s.frontdesk.get("room-bookings/", query={name: value}, status=400, code="VALIDATION_ERROR")
        s.matches(body.get("details"), {name: ["str"]}, f"details of {name}={value}")


@row("filters: an inverted range or an unknown room number: 200 and no rows")
def empty_filters(s: Session) -> None:
    for query in (
        {"date_from": s.day(3), "date_to": s.day(1)},
        {"room_number": "987654"},
        {"room_id": "987654321"},
        {"amount_min": "5", "amount_max": "1"},
        {"party_size_min": "9", "party_size_max": "1"},
    ):
        s.equal(found(s, **query), [], f"the bookings for {query}")


@row("room_number: comma-separated; a non-number matches nothing, 200")
def room_numbers(s: Session) -> None:
    (one, first), (other, second) = s.arrived(), s.arrived()
    numbers = [str(room["room_number"]) for room in (first, second)]
    for query in (numbers, [*numbers, "suite"], [f" {number} " for number in numbers]):
        expected = {one["booking_id"], other["booking_id"]}
        s.equal(set(found(s, room_number=",".join(query))), expected, f"the rooms of {query}")
    for value in ("suite", "12a", "-1", "9" * 40, ","):
        s.equal(found(s, room_number=value), [], f"room_number={value}")


@row("buckets: each booking in the right ones, by the business date")
def buckets(s: Session) -> None:
    word = f"Bucket{s.run_id}"
    name: dict[str, Any] = {"primary_last_name": word}
    arrival, future = s.book(**name), s.book(7, **name)
    staying, _ = s.arrived(**name)
    leaving, _ = s.arrived(0, 0, **name)
    gone, _ = s.arrived(**name)
    s.frontdesk.post(s.path(gone, "check-out/"))
    cancelled = s.book(**name)
    s.frontdesk.post(s.path(cancelled, "cancel/"))
    pending = s.by_card(**name)
    with s.rules(**YESTERDAY):
        overdue, _ = s.arrived(-1, 1, **name)
        missed = s.book(-1, 2, **name)
    s.frontdesk.post(s.path(missed, "no-show/"))
    expected = {
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
    counts = s.frontdesk.get("room-bookings/", query={"q": word})["bucket_counts"]
    for bucket, members in expected.items():
        s.equal(set(found(s, q=word, bucket=bucket)), {one["booking_id"] for one in members}, f"bucket={bucket}")
        s.equal(counts[bucket], len(members), f"bucket_counts.{bucket}")
    dates = {"date_from": s.day(6), "date_to": s.day(8)}
    s.equal(found(s, q=word, bucket="arrivals", **dates), [future["booking_id"]], "arrivals of later days")


@row("late arrivals: in arrivals until the last night is over, with is_late_arrival")
def late_arrivals(s: Session) -> None:
    word = f"Late{s.run_id}"
    name: dict[str, Any] = {"primary_last_name": word}
    today = s.book(0, 1, **name)
    with s.rules(**YESTERDAY):
        late, over = s.book(-1, 2, **name), s.book(-1, 1, **name)
    room = s.room()
    s.frontdesk.post(s.path(late, "safe-assign-room/"), {"room_id": str(room["id"])})
    expected = {today["booking_id"]: False, late["booking_id"]: True}
    for days in ({}, {"date_from": s.day(0), "date_to": s.day(0)}):
        page = s.frontdesk.get("room-bookings/", query={"q": word, "bucket": "arrivals", **days}, shape=BOOKINGS)
        marked = {one["booking_id"]: one["is_late_arrival"] for one in page["results"]}
        s.equal((marked, page["bucket_counts"]["arrivals"]), (expected, 2), f"the arrivals {days or 'of today'}")
    s.equal(s.frontdesk.get(s.path(over))["is_late_arrival"], False, "is_late_arrival after the last night")
    done = s.frontdesk.post("rooms/checkin/", {"room_ids": [str(room["id"])]})
    s.equal(done["results"]["checked_in_bookings"], [late["booking_id"]], "the late arrival, checked in in bulk")
    s.equal(s.frontdesk.get(s.path(late))["is_late_arrival"], False, "is_late_arrival of an in-house guest")
