"""The replay: every booking of a file ends as the file says, and each one that does not is reported."""

import gzip
from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from io import StringIO
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction

from hotel import calendar
from hotel.models import Hotel
from housekeeping.models import RoomStatusEvent
from operations.invariants import violations
from operations.replay.itinerary import Operation, steps
from operations.replay.records import Outcome, Stay, read_stays
from operations.replay.runner import create_hotels, deal
from room_bookings.models import BookingChange, RoomBooking
from rooms.models import Room
from tests.factories import HotelFactory, NewRoomFactory

COLUMNS = (
    "hotel,lead_time,arrival_date_year,arrival_date_month,arrival_date_day_of_month,stays_in_weekend_nights,"
    "stays_in_week_nights,adults,children,babies,assigned_room_type,adr,reservation_status,reservation_status_date"
)
LISBON = ZoneInfo("Europe/Lisbon")


def line(
    arrival: str,
    nights: int = 1,
    *,
    hotel: str = "Resort Hotel",
    lead: int = 3,
    adults: str = "2",
    children: str = "0",
    room_type: str = "A",
    adr: str = "80.5",
    outcome: str = "Check-Out",
    decided: str = "",
) -> str:
    """A row of the file; ``decided`` defaults to the day of departure."""
    day = date.fromisoformat(arrival)
    decided = decided or str(day + timedelta(days=nights))
    return (
        f"{hotel},{lead},{day.year},{day:%B},{day.day},0,{nights},{adults},{children},0,{room_type},{adr},"
        f"{outcome},{decided}"
    )


@pytest.fixture
def file(tmp_path: Path):
    """``file(line, …)`` writes a file of the data set."""

    def write(*lines: str, name: str = "bookings.csv") -> Path:
        path = tmp_path / name
        text = "\n".join([COLUMNS, *lines]) + "\n"
        if name.endswith(".gz"):
            path.write_bytes(gzip.compress(text.encode()))
        else:
            path.write_text(text)
        return path

    return write


def replay(path: Path, *options: str) -> tuple[int, str]:
    """The exit code and the output."""
    said = StringIO()
    try:
        call_command("replay_bookings", str(path), *options, stdout=said)
    except SystemExit as end:
        return int(end.code or 0), said.getvalue()
    return 0, said.getvalue()


def words(text: str, start: str) -> list[str]:
    """The words of the output line that starts with ``start``."""
    return next(each for each in text.splitlines() if each.strip().startswith(f"{start} ")).split()


def wall(moment: datetime | None) -> datetime:
    assert moment is not None
    return moment.astimezone(LISBON)


# --- outcomes ---------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_every_booking_ends_as_the_file_says(file, capsys):
    path = file(
        line("2016-03-25", 3, adults="0", children="2"),  # spans the night of 27 March, when summer time begins
        line("2016-03-26", 0, room_type="I", lead=0),  # day use, walked in
        line("2016-03-25", 5, decided="2016-03-27"),  # departs three days early
        line("2016-03-28", 2, outcome="No-Show", decided="2016-03-28"),
        line("2016-03-30", 1, outcome="Canceled", decided="2016-03-29", children="NA"),
        line("2016-03-30", 1, lead=300, outcome="Canceled", decided="2015-11-01"),  # long before the first day
        line("2016-03-29", 1, adr="-6.4"),
        line("2016-03-26", 1, outcome="Canceled", decided="2016-03-26", room_type="P"),  # a type without rooms
        name="bookings.csv.gz",
    )
    code, said = replay(path, "--workers", "1")

    assert code == 0, said
    assert words(said, "Check-Out") == ["Check-Out", "4", "4", "0"]
    assert words(said, "Canceled") == ["Canceled", "3", "3", "0"]
    assert words(said, "No-Show") == ["No-Show", "1", "1", "0"]
    assert words(said, "all")[:4] == ["all", "8", "8", "0"]
    assert "No refusals." in said
    assert words(said, "mails queued") == ["mails", "queued", "0"]
    assert "rules checked over the whole database, no violations." in said
    assert "100%" in capsys.readouterr().err
    assert violations() == []

    hotel = Hotel.objects.get(slug="replay-resort")
    assert hotel.allow_overbooking
    bookings = {(str(b.check_in), b.room_type.code, str(b.check_out)): b for b in hotel.bookings.all()}
    over_the_change = bookings["2016-03-25", "A", "2016-03-28"]
    assert (over_the_change.adults, over_the_change.children) == (1, 2)
    assert over_the_change.total_amount == Decimal("241.50")
    assert wall(over_the_change.checked_in_at).date() == date(2016, 3, 25)
    assert time(7, 30) <= wall(over_the_change.checked_out_at).time() <= time(10, 54)
    assert wall(over_the_change.checked_out_at).date() == date(2016, 3, 28)
    # Booked 22 March by its lead time, which is cut so that the run starts with the data.
    assert wall(over_the_change.created_at).date() == date(2016, 3, 25)

    day_use = bookings["2016-03-26", "I", "2016-03-26"]
    assert time(13) <= wall(day_use.checked_in_at).time() < time(14)
    assert time(16) <= wall(day_use.checked_out_at).time() < time(17)
    assert wall(bookings["2016-03-25", "A", "2016-03-30"].checked_out_at).date() == date(2016, 3, 27)
    assert bookings["2016-03-29", "A", "2016-03-30"].total_amount == 0
    no_show = bookings["2016-03-28", "A", "2016-03-30"].changes.first()
    assert wall(no_show.created_at).date() == date(2016, 3, 29)
    assert time(2, 30) <= wall(no_show.created_at).time() < time(3)
    cancelled = list(hotel.bookings.filter(check_in="2016-03-30").order_by("cancelled_at"))
    assert [wall(booking.cancelled_at).date() for booking in cancelled] == [date(2016, 3, 25), date(2016, 3, 29)]
    assert cancelled[0].cancelled_at == cancelled[0].created_at + timedelta(minutes=10)
    assert {booking.cancelled_by.user.username for booking in cancelled} == {"replay-resort-frontdesk"}

    # Four stays, and after each the room was cleaned, inspected and set ready.
    assert set(hotel.rooms.values_list("room_status", flat=True)) == {"READY_FOR_GUEST"}
    assert Counter(RoomStatusEvent.objects.values_list("to_status", flat=True)) == {
        "OCCUPIED": 4,
        "CHECKOUT_DIRTY": 4,
        "CLEANING_IN_PROGRESS": 4,
        "CLEANED_UNINSPECTED": 4,
        "READY_FOR_GUEST": 4,
    }
    assert words(said, "status changes") == ["status", "changes", "20"]
    assert words(said, "audit rows") == ["audit", "rows", "20"]
    assert words(said, "check-in")[:2] == ["check-in", "4"]
    assert words(said, "inspect")[:2] == ["inspect", "4"]
    assert BookingChange.objects.count() == 8 + 4 + 4 + 3 + 1


@pytest.mark.django_db
def test_full_hotel_has_ready_rooms_when_departures_precede_arrivals(file):
    full = [line("2016-08-01", 2, room_type="B"), line("2016-08-01", 2, room_type="B")]  # two rooms in all
    for_the_day = [line("2016-08-03", 0, room_type="B"), line("2016-08-03", 0, room_type="B")]
    next_ones = [line("2016-08-03", 1, room_type="B"), line("2016-08-03", 1, room_type="B")]
    code, said = replay(file(*full, *for_the_day, *next_ones))
    assert code == 0, said
    assert "No refusals." in said
    stays = RoomBooking.objects.filter(hotel__slug="replay-resort")
    assert Counter(stays.values_list("assigned_room__room_number", flat=True)).most_common(1)[0][1] == 3
    assert stays.filter(status="COMPLETED").count() == 6


@pytest.mark.django_db
def test_stays_are_spread_evenly_over_the_rooms_of_a_type(file):
    replay(file(*(line(f"2016-08-{day:02}", 1, room_type="C") for day in range(1, 27))))
    rooms = Room.objects.filter(hotel__slug="replay-resort", room_type__code="C")
    assert {room.bookings.count() for room in rooms} == {2}  # 26 stays in 13 rooms


@pytest.mark.django_db
def test_refusals_are_counted_and_explained_with_exit_code_1(file):
    path = file(*(line("2016-08-01", 1, room_type="B") for _ in range(3)))
    code, said = replay(path)
    assert code == 1
    assert words(said, "Check-Out") == ["Check-Out", "3", "2", "-1"]
    assert words(said, "CONFIRMED") == ["CONFIRMED", "0", "1", "1"]
    assert "  check-in              NO_READY_ROOM                      1  e.g.: No room of the type is ready." in said
    assert "no violations" in said


@pytest.mark.django_db
def test_violation_gives_exit_code_1(file):
    room = NewRoomFactory(hotel__slug="grand")
    with transaction.atomic():
        # The triggers that forbid it run at commit, which never happens.
        Room.objects.filter(pk=room.pk).update(room_status="OCCUPIED")
        code, said = replay(file(line("2016-08-01")))
        transaction.set_rollback(True)
    assert code == 1
    assert "Check-Out                      1         1           0" in said
    assert " of invariants:" in said
    assert "'grand'" in said


# --- which bookings ---------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_one_hotel_and_some_days_of_the_file(file):
    path = file(
        line("2016-08-01"),
        line("2016-08-02"),
        line("2016-08-03"),
        line("2016-08-02", hotel="City Hotel"),
    )
    code, said = replay(path, "--hotel", "resort", "--from", "2016-08-02", "--to", "2016-08-02", "--prefix", "some")
    assert code == 0, said
    assert said.startswith("1 bookings of bookings.csv; 2 arrive on other days and are left out.\n")
    assert list(Hotel.objects.values_list("slug", flat=True)) == ["some-resort"]

    with pytest.raises(CommandError, match="has no such booking"):
        replay(path, "--from", "2020-01-01")


@pytest.mark.django_db
def test_existing_hotel_is_left_alone(file):
    hotel = HotelFactory(slug="replay-city")
    path = file(line("2016-08-01"), line("2016-08-01", hotel="City Hotel"))
    with pytest.raises(CommandError, match="Hotel replay-city already exists.*--prefix"):
        replay(path)
    assert list(Hotel.objects.all()) == [hotel]  # and the other one was not created
    assert not hotel.rooms.exists()


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (line("2016-08-01", outcome="Vanished"), "row 2 of .*'Vanished' is not a valid Outcome"),
        (line("2016-08-01", hotel="Grand Hotel"), "row 2 of .*'Grand Hotel'"),
        ("Resort Hotel,1", "row 2 of .*not a row of the data set"),
    ],
)
def test_unreadable_row_is_named(file, bad: str, message: str):
    with pytest.raises(CommandError, match=message):
        replay(file(line("2016-08-01"), bad))


def test_missing_file_is_a_one_line_error(tmp_path: Path):
    with pytest.raises(CommandError, match="No such file"):
        replay(tmp_path / "none.csv.gz")


@pytest.mark.parametrize("workers", ["0", "-1"])
def test_there_is_at_least_one_worker(file, workers: str):
    with pytest.raises(CommandError, match="--workers must be 1 or more"):
        replay(file(line("2016-08-01")), f"--workers={workers}")


# --- several workers --------------------------------------------------------------------------------------------------


def outcomes(slug: str) -> list[tuple[object, ...]]:
    """The final state of each booking, with rooms by their position within the type."""
    places = {}
    for code in Room.objects.filter(hotel__slug=slug).values_list("room_type__code", flat=True).distinct():
        of_type = Room.objects.filter(hotel__slug=slug, room_type__code=code).order_by("room_number")
        places |= {room.pk: place for place, room in enumerate(of_type)}
    return sorted(
        (
            booking.room_type.code,
            booking.created_at,
            booking.check_in,
            booking.check_out,
            booking.primary_first_name,
            booking.primary_last_name,
            booking.status,
            booking.checked_in_at or booking.created_at,
            booking.checked_out_at or booking.created_at,
            booking.cancelled_at or booking.created_at,
            places.get(booking.assigned_room_id, -1),
        )
        for booking in RoomBooking.objects.filter(hotel__slug=slug).select_related("room_type")
    )


@pytest.mark.django_db(transaction=True)
def test_two_workers_give_the_same_result_as_one(file):
    path = file(
        *(
            line(f"2016-08-0{day}", day % 3, room_type=room_type, hotel=hotel)
            for day in (1, 2, 3)
            for room_type in "ABD"
            for hotel in ("Resort Hotel", "City Hotel")
        ),
        line("2016-08-02", 1, outcome="Canceled", decided="2016-08-01"),
        line("2016-08-01", 1, outcome="No-Show", decided="2016-08-01", room_type="D"),
    )
    said = {}
    for workers in ("1", "2"):
        code, said[workers] = replay(path, "--workers", workers, "--prefix", f"by-{workers}")
        assert code == 0, said[workers]
    assert "20 bookings" in said["2"]
    for name, count in (("resort", 11), ("city", 9)):
        assert len(outcomes(f"by-1-{name}")) == count
        assert outcomes(f"by-2-{name}") == outcomes(f"by-1-{name}")
    for operation in ("create", "check-in", "check-out", "inspect", "cancel", "no-show"):
        assert words(said["2"], operation)[:2] == words(said["1"], operation)[:2]


@pytest.mark.django_db
def test_types_are_distributed_evenly(file):
    path = file(
        *(line("2016-08-01", room_type=code) for code in "AAAAAABBBCC"),
        *(line("2016-08-01", room_type="A", hotel="City Hotel") for _ in range(4)),
    )
    replays = create_hotels(list(read_stays(path)), prefix="dealt")
    shares = deal(replays, 2)
    for place, codes in ((0, "ABC"), (1, "A")):
        dealt = [code for share in shares for code in share.types[place]]
        assert sorted(dealt) == list(codes)
    loads = [
        sum(stay.room_type in types for each, types in zip(replays, share.types, strict=True) for stay in each.stays)
        for share in shares
    ]
    assert sorted(loads) == [7, 8]
    assert len(deal(replays, 9)) == 4  # no worker without work


# --- hours ------------------------------------------------------------------------------------------------------------


def a_stay(number: int, arrival: date, nights: int, outcome: Outcome, **fields: object) -> Stay:
    departure = arrival + timedelta(days=nights)
    return Stay(
        **{
            "number": number,
            "hotel": "resort",
            "room_type": "A",
            "booked": arrival - timedelta(days=number % 5),
            "arrival": arrival,
            "departure": departure,
            "adults": 2,
            "children": 0,
            "amount": Decimal(100),
            "outcome": outcome,
            "decided": departure if outcome is Outcome.CHECK_OUT else arrival,
            **fields,
        }
    )


@pytest.mark.parametrize("first", [date(2016, 3, 25), date(2016, 10, 28), date(2016, 7, 1)])
@pytest.mark.parametrize("timezone", ["Europe/Lisbon", "Europe/Dublin"])
def test_hours_are_in_order_even_on_a_clock_change(first: date, timezone: str):
    hotel = Hotel(slug="grand", timezone=timezone)
    for number in range(300):
        arrival, nights = first + timedelta(days=number % 5), number % 4
        for outcome in Outcome:
            stay = a_stay(number, arrival, nights, outcome)
            planned = list(steps(stay, hotel, first))
            assert planned == sorted(planned)
            assert planned == list(steps(stay, hotel, first))
            moments = {step.operation: step.moment for step in planned}
            created = calendar.local_time(hotel, moments[Operation.CREATE]).date()
            assert created == max(stay.booked, first)
            if outcome is Outcome.CHECK_OUT:
                # Within the arrival's business day and, except for day use, out on the morning of the departure.
                begins, ends = calendar.business_day(hotel, arrival)
                assert begins < moments[Operation.CHECK_IN] < ends
                assert calendar.local_time(hotel, moments[Operation.CHECK_OUT]).date() == stay.departure
            elif outcome is Outcome.NO_SHOW:
                assert calendar.business_date(hotel, moments[Operation.NO_SHOW]) == arrival + timedelta(days=1)
            else:
                assert calendar.local_time(hotel, moments[Operation.CANCEL]).date() == max(stay.decided, created)


@pytest.mark.parametrize(
    ("nights", "decided", "left"),
    [
        (3, date(2016, 8, 4), date(2016, 8, 4)),
        (3, date(2016, 8, 2), date(2016, 8, 2)),  # before the departure date
        (3, date(2016, 8, 1), date(2016, 8, 2)),  # only day use arrives and departs on one day
        (0, date(2016, 8, 1), date(2016, 8, 1)),
        (1, date(2016, 9, 1), date(2016, 8, 2)),
    ],
)
def test_guest_departs_on_or_before_the_departure_date(nights: int, decided: date, left: date):
    stay = a_stay(1, date(2016, 8, 1), nights, Outcome.CHECK_OUT, decided=decided)
    assert stay.left == left


def test_replay_clock_is_in_the_hotels_timezone():
    hotel = Hotel(slug="far", timezone="Asia/Tokyo")
    planned = list(steps(a_stay(7, date(2016, 8, 1), 1, Outcome.CHECK_OUT), hotel, date(2016, 7, 1)))
    out = planned[-1].moment
    assert out.tzinfo is not None
    assert datetime(2016, 8, 1, 22, 30, tzinfo=UTC) <= out <= datetime(2016, 8, 2, 1, 54, tzinfo=UTC)
