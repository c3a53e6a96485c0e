"""Turn times by day: the figures, checked against days worked out by hand, and the page with their chart."""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any
from xml.etree import ElementTree

import pytest

from board.chart import HEIGHT, chart, duration, headline
from common import clock
from hotel.models import Hotel
from housekeeping.models import Source
from housekeeping.services import set_room_status
from housekeeping.statistics import turn_times_by_day
from rooms.models import Room
from tests.conftest import url
from tests.factories import HotelFactory, NewRoomFactory

PAGE = "/board/grand/turn-times/"
NOON = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
NONE = {"count": 0, "p50_minutes": None, "p90_minutes": None}


def turn(room: Room, ready_at: datetime, minutes: float, *detours: tuple[str, float]) -> None:
    """Make the room dirty ``minutes`` before it is ready at ``ready_at``; ``detours`` are statuses in between, with the
    minutes since it became dirty."""
    began = ready_at - timedelta(minutes=minutes)
    for status, after in [("CHECKOUT_DIRTY", 0), *detours, ("READY_FOR_GUEST", minutes)]:
        with clock.set_to(began + timedelta(minutes=after)):
            set_room_status(room=room, to_status=status, source=Source.SYSTEM)


def by_day(hotel: Hotel, days: int, now: datetime = NOON) -> dict[str, dict[str, Any]]:
    """The figures by ISO date, in order."""
    with clock.set_to(now):
        found = turn_times_by_day(hotel, days)
    return {day.pop("date").isoformat(): day for day in found}


def figures(count: int, p50: float, p90: float) -> dict[str, Any]:
    return {"count": count, "p50_minutes": p50, "p90_minutes": p90}


# --- the figures ------------------------------------------------------------------------------------------------------


def test_a_hotel_without_turns_has_an_entry_for_each_day(hotel):
    assert by_day(hotel, 3) == {"2026-06-29": NONE, "2026-06-30": NONE, "2026-07-01": NONE}
    assert len(by_day(hotel, 30)) == 30


def test_turns_are_counted_by_day(hotel):
    rooms = [NewRoomFactory(hotel=hotel) for _ in range(3)]
    turn(rooms[0], NOON - timedelta(days=3), 500)  # before the first day
    for room, minutes in zip(rooms, (60, 100, 20), strict=True):
        turn(room, NOON - timedelta(days=2), minutes)
    turn(rooms[0], NOON - timedelta(minutes=90), 45)
    turn(rooms[0], NOON - timedelta(minutes=10), 30)  # the same room again
    turn(NewRoomFactory(hotel=HotelFactory()), NOON, 999)
    with clock.set_to(NOON - timedelta(minutes=5)):
        set_room_status(room=rooms[1], to_status="CHECKOUT_DIRTY", source=Source.SYSTEM)  # not turned yet
    # p90 is interpolated: of 20, 60, 100 it is 92; of 30, 45 it is 43.5.
    assert by_day(hotel, 3) == {
        "2026-06-29": figures(3, 60.0, 92.0),
        "2026-06-30": NONE,
        "2026-07-01": figures(2, 37.5, 43.5),
    }


def test_a_failed_inspection_does_not_restart_the_turn(hotel):
    detours = [("CLEANED_UNINSPECTED", 30), ("CHECKOUT_DIRTY", 40), ("CLEANED_UNINSPECTED", 55)]
    turn(NewRoomFactory(hotel=hotel), NOON, 70, *detours)
    assert by_day(hotel, 1) == {"2026-07-01": figures(1, 70.0, 70.0)}


def test_a_turn_over_midnight_counts_on_the_day_it_ended(hotel):
    midnight = datetime(2026, 6, 30, 23, 0, tzinfo=UTC)  # in Dublin, in summer
    rooms = [NewRoomFactory(hotel=hotel) for _ in range(3)]
    turn(rooms[0], midnight + timedelta(minutes=40), 90)
    turn(rooms[1], midnight, 10)  # ready at midnight exactly
    turn(rooms[2], midnight - timedelta(microseconds=1), 20)
    assert by_day(hotel, 2) == {"2026-06-30": figures(1, 20.0, 20.0), "2026-07-01": figures(2, 50.0, 82.0)}


@pytest.mark.parametrize(
    ("day", "begins", "ends"),
    [
        # Dublin's clock goes forward (a day of 23 hours) and back (25 hours).
        (date(2026, 3, 29), datetime(2026, 3, 29, 0, 0, tzinfo=UTC), datetime(2026, 3, 29, 23, 0, tzinfo=UTC)),
        (date(2026, 10, 25), datetime(2026, 10, 24, 23, 0, tzinfo=UTC), datetime(2026, 10, 26, 0, 0, tzinfo=UTC)),
    ],
    ids=["23 hours", "25 hours"],
)
def test_days_with_a_clock_change_have_23_or_25_hours(hotel, day, begins, ends):
    rooms = [NewRoomFactory(hotel=hotel) for _ in range(4)]
    second = timedelta(seconds=1)
    turn(rooms[0], begins - second, 10)
    turn(rooms[1], begins, 20)
    turn(rooms[2], ends - second, 30)
    turn(rooms[3], ends, 40)
    # A turn across the clock change is measured in elapsed time.
    turn(rooms[0], begins + timedelta(hours=3), 150)
    found = by_day(hotel, 3, now=ends + timedelta(hours=10))
    assert list(found) == [(day + timedelta(days=offset)).isoformat() for offset in (-1, 0, 1)]
    assert [times["count"] for times in found.values()] == [1, 3, 1]
    assert found[day.isoformat()] == figures(3, 30.0, 126.0)  # of 20, 30, 150


def test_days_are_in_the_hotels_timezone(hotel):
    hotel.timezone = "Pacific/Auckland"  # twelve hours ahead in July
    hotel.save()
    turn(NewRoomFactory(hotel=hotel), NOON - timedelta(hours=1), 25)
    assert by_day(hotel, 2) == {"2026-07-01": figures(1, 25.0, 25.0), "2026-07-02": NONE}


@pytest.mark.parametrize("rooms", [1, 3])
@pytest.mark.parametrize("days", [1, 30])
def test_the_figures_take_one_statement(hotel, statements, rooms, days):
    for _ in range(rooms):
        turn(NewRoomFactory(hotel=hotel), NOON, 30)
    with statements() as made:
        assert by_day(hotel, days)["2026-07-01"]["count"] == rooms
    assert len(made) == 1, made.sql()


def test_todays_figures_agree_with_the_api(api, hotel, manager):
    for minutes in (12, 34, 56):
        turn(NewRoomFactory(hotel=hotel), NOON, minutes)
    with clock.set_to(NOON):
        assert_form_error = api(manager).get(url(manager, "turnover/stats/")).json()["turn_times"]["today"]
    assert by_day(hotel, 1)["2026-07-01"] == assert_form_error


# --- the page ---------------------------------------------------------------------------------------------------------


def page(browser, staff, now: datetime = NOON) -> str:
    with clock.set_to(now):
        answer = browser(staff).get(PAGE)
    assert answer.status_code == 200, answer.content
    return answer.content.decode()


def picture(text: str) -> ElementTree.Element:
    """The chart's SVG, which must be well-formed."""
    [drawing] = re.findall(r'<svg role="img".*?\n    </svg>', text, re.DOTALL)
    return ElementTree.fromstring(drawing)


def rows(text: str) -> list[list[str]]:
    """The text of the table's cells."""
    return [
        [re.sub("<[^>]*>", "", cell).strip() for cell in re.findall(r"<t[hd][ >].*?</t[hd]>", row)]
        for row in re.findall(r"<tr.*?</tr>", text, re.DOTALL)
    ]


def test_the_page_of_a_hotel_without_turns(browser, manager):
    text = page(browser, manager)
    assert "No room has been made ready in the last 30 days" in text
    assert "<figure" not in text
    assert "<table" not in text


def test_the_page_shows_headline_chart_and_table(browser, hotel, manager):
    rooms = [NewRoomFactory(hotel=hotel) for _ in range(3)]
    for room, minutes in zip(rooms, (80, 60, 100), strict=True):
        turn(room, NOON - timedelta(days=2), minutes)
    for room, minutes in zip(rooms, (40, 42, 80), strict=True):
        turn(room, NOON, minutes)
    text = page(browser, manager)
    assert "Today half of the rooms were ready within 42 minutes, nine in ten within 1 h 12</h2>" in text
    # Of 40, 42, 60, 80, 80, 100 the median is 70 and p90 is 90.
    assert "That is 28 minutes faster than usual. Over the last 30 days, of 6 rooms, half were ready within" in text
    assert "1 h 10 and nine in ten within 1 h 30." in text
    table = rows(text)
    assert table[0] == ["Day", "Rooms ready", "Half within", "Nine in ten within"]
    assert table[1:4] == [["Today", "3", "42", "72"], ["Tue 30 Jun", "0", "–", "–"], ["Mon 29 Jun", "3", "80", "96"]]
    assert len(table) == 1 + 30 + 1
    assert table[-1] == ["All 30 days", "6", "70", "90"]
    drawn = [title.text for title in picture(text).iter("title")]
    assert drawn == [
        "Mon 29 Jun: 3 rooms, half within 1 h 20, nine in ten within 1 h 36",
        "Wed 1 Jul: 3 rooms, half within 42 min, nine in ten within 1 h 12",
    ]


@pytest.mark.parametrize("size", [1, 3])
def test_the_page_takes_four_statements(browser, hotel, manager, statements, size):
    for _ in range(size):
        turn(NewRoomFactory(hotel=hotel), NOON, 30)
    client = browser(manager)
    with clock.set_to(NOON), statements() as made:
        assert client.get(PAGE).status_code == 200
    assert len(made) == 4, made.sql()  # session, user, by day, all together


def test_the_hotels_name_is_escaped(browser, hotel, manager):
    hotel.name = "<script>alert(1)</script>"
    hotel.save()
    assert "<script>alert" not in page(browser, manager)


# --- the drawing ------------------------------------------------------------------------------------------------------


def days_of(*times: tuple[float, float] | None) -> list[dict[str, Any]]:
    """Days ending today, given as (p50, p90); ``None`` is a day without turns."""
    first = date(2026, 7, 1) - timedelta(days=len(times) - 1)
    return [
        {"date": first + timedelta(days=index), **(NONE if pair is None else figures(5, *pair))}
        for index, pair in enumerate(times)
    ]


def test_a_bar_is_as_high_as_its_minutes():
    drawing = chart(days_of((30, 60), (60, 90), (15, 120)), usual=30)
    assert [line.label for line in drawing.lines] == ["0", "30 min", "1 h", "1 h 30", "2 h"]
    assert [line.y for line in drawing.lines] == [HEIGHT * part for part in (1, 0.75, 0.5, 0.25, 0)]
    assert [bar.height for bar in drawing.bars] == [HEIGHT / 4, HEIGHT / 2, HEIGHT / 8]
    assert [bar.top for bar in drawing.bars] == [HEIGHT * 3 / 4, HEIGHT / 2, HEIGHT * 7 / 8]
    assert [bar.whisker for bar in drawing.bars] == [HEIGHT / 2, HEIGHT / 4, 0]
    assert [bar.is_today for bar in drawing.bars] == [False, False, True]
    assert drawing.usual is not None and drawing.usual.y == HEIGHT * 3 / 4
    assert not drawing.is_cut_off


def test_a_day_without_turns_leaves_a_gap():
    full, gap = chart(days_of((30, 60), (60, 90), (15, 120)), 30), chart(days_of((30, 60), None, (15, 120)), 30)
    assert gap.bars == [full.bars[0], full.bars[2]]


@pytest.mark.parametrize("count", [1, 2, 29, 30, 90])
def test_bars_do_not_overlap_and_stay_within_the_chart(count):
    drawing = chart(days_of(*[(30, 60)] * count), 30)
    assert len(drawing.bars) == count
    edges = [edge for bar in drawing.bars for edge in (bar.x, bar.middle, bar.right)]
    assert edges == sorted(edges)
    assert edges[0] > 0 and edges[-1] < 100
    assert drawing.labels[-1].text == "Today"
    assert len(drawing.labels) == -(-count // 7)


def test_a_giant_outlier_is_cut_off():
    drawing = chart(days_of(*[(40, 70)] * 20, (60, 9000), *[(40, 70)] * 5, (9000, 9000), (45, 60)), 41)
    assert [bar.cut_off for bar in drawing.bars] == [False] * 20 + [True] + [False] * 5 + [True, False]
    assert drawing.is_cut_off
    assert drawing.bars[0].height > HEIGHT / 8
    assert drawing.bars[20].whisker == drawing.bars[26].whisker == drawing.bars[26].top == 0
    assert "nine in ten within 6 d 6 h" in drawing.bars[20].title


def test_a_single_slow_day_is_not_an_outlier():
    drawing = chart(days_of(None, (9000, 9500), None), 9000)
    assert not drawing.is_cut_off
    assert drawing.bars[0].height > HEIGHT / 2


@pytest.mark.parametrize(
    "slowest", [0, 0.2, 4, 5, 6, 25, 26, 59, 61, 299, 301, 1000, 1441, 7000, 10080, 100_000, 10**6]
)
def test_the_axis_has_few_lines_and_covers_the_data(slowest):
    drawing = chart(days_of((slowest, slowest)), slowest)
    labels = [line.label for line in drawing.lines]
    assert 2 <= len(labels) <= 6
    assert len(set(labels)) == len(labels)
    [bar] = drawing.bars
    assert not bar.cut_off
    assert bar.whisker >= 0
    assert 2 <= bar.height <= HEIGHT


def test_a_chart_of_no_days_is_empty():
    drawing = chart([], None)
    assert (drawing.bars, drawing.labels, drawing.usual) == ([], [], None)


def test_the_chart_contains_only_valid_numbers(browser, hotel, manager):
    """No ``1e-05``, ``nan`` or ``None`` anywhere."""
    turn(NewRoomFactory(hotel=hotel), NOON - timedelta(days=4), 0.001)
    turn(NewRoomFactory(hotel=hotel), NOON - timedelta(days=3), 6 * 1440)
    for days in range(3):
        turn(NewRoomFactory(hotel=hotel), NOON - timedelta(days=days), 33.3)
    drawing = picture(page(browser, manager))
    assert len(list(drawing.iter("rect"))) == 5
    places = ("x", "y", "x1", "x2", "y1", "y2", "width", "height")
    values = [value for element in drawing.iter() for name, value in element.items() if name in places]
    assert [value for value in values if not re.fullmatch(r"-?\d+(\.\d+)?%?", value)] == []
    assert len(values) > 40


# --- the words --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("minutes", "words"),
    [
        (0, "1 min"),
        (0.4, "1 min"),
        (1, "1 min"),
        (42.4, "42 min"),
        (59.4, "59 min"),
        (59.6, "1 h"),
        (60, "1 h"),
        (72, "1 h 12"),
        (65, "1 h 05"),
        (2879, "47 h 59"),
        (2880, "2 d"),
        (3060, "2 d 3 h"),
        (10080, "7 d"),
    ],
)
def test_durations_are_readable(minutes, words):
    assert duration(minutes) == words


SPOKEN = "Over the last 30 days, of 100 rooms, half were ready within 50 minutes and nine in ten within 1 h 30."


@pytest.mark.parametrize(
    ("today", "sentence", "comparison"),
    [
        (figures(10, 42, 72), "Today half of the rooms were ready within 42 minutes, nine in ten within 1 h 12",
         f"That is 8 minutes faster than usual. {SPOKEN}"),
        (figures(10, 125, 200), "Today half of the rooms were ready within 2 h 05, nine in ten within 3 h 20",
         f"That is 1 h 15 slower than usual. {SPOKEN}"),
        (figures(10, 52, 72), "Today half of the rooms were ready within 52 minutes, nine in ten within 1 h 12",
         f"That is about as fast as usual. {SPOKEN}"),
        (figures(1, 1, 1), "Today one room was ready, within 1 minute",
         f"That is 49 minutes faster than usual. {SPOKEN}"),
        (NONE, "No room has been made ready today yet", SPOKEN),
    ],
)  # fmt: skip
def test_headlines(today, sentence, comparison):
    assert headline(today, figures(100, 50, 90), 30) == (sentence, comparison)


def test_the_headline_of_a_first_day_has_no_comparison():
    assert headline(figures(3, 40, 50), figures(3, 40, 50), 30)[1] == (
        "They are the only rooms made ready in the last 30 days."
    )
    assert headline(figures(1, 40, 40), figures(1, 40, 40), 30)[1] == (
        "It is the only room made ready in the last 30 days."
    )
