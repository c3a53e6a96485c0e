"""The chart of turn times by day: its texts, bars and axes, computed from the figures."""

import statistics
from collections.abc import Sequence
from datetime import date
from typing import Any, NamedTuple

# Minutes between gridlines: familiar round intervals. Beyond the last one, multiples of a week.
STEPS = (5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 10080)
MOST_LINES = 5
# Days slower than this many times the median are cut off at the top, so that the others remain readable.
OUTLIER = 3
DAYS_PER_LABEL = 7
# The bar's share of its day's width, and the plot's height in pixels.
BAR = 0.64
HEIGHT = 320


class Line(NamedTuple):
    """A horizontal line; ``y`` in pixels from the top."""

    y: float
    label: str


class Bar(NamedTuple):
    """A day's bar. ``x``, ``middle``, ``right`` and ``width`` are percentages of the plot's width, the rest pixels."""

    x: float
    middle: float
    right: float
    width: float
    top: float
    height: float
    whisker: float
    """The top of the line up to the p90 time."""
    cut_off: bool
    is_today: bool
    title: str


class DayLabel(NamedTuple):
    """A date label below the plot."""

    middle: float
    text: str


class Chart(NamedTuple):
    """Everything the template draws."""

    bars: list[Bar]
    lines: list[Line]
    labels: list[DayLabel]
    height: int
    usual: Line | None
    """The p50 over all days."""
    is_cut_off: bool


def chart(days: Sequence[dict[str, Any]], usual: float | None) -> Chart:
    """Lay out the chart of ``statistics.turn_times_by_day``; ``usual`` is the overall p50 in minutes."""
    slowest = [day["p90_minutes"] for day in days if day["count"]]
    top, step = _axis(slowest)
    place = 100 / max(len(days), 1)

    def y(minutes: float) -> float:
        return round(HEIGHT * (1 - min(minutes / top, 1)), 1)

    bars = [
        Bar(
            x=round(place * (index + (1 - BAR) / 2), 3),
            middle=round(place * (index + 0.5), 3),
            right=round(place * (index + (1 + BAR) / 2), 3),
            width=round(place * BAR, 3),
            # At least two pixels high, so that a bar near zero stays visible.
            top=min(y(day["p50_minutes"]), HEIGHT - 2),
            height=round(HEIGHT - min(y(day["p50_minutes"]), HEIGHT - 2), 1),
            whisker=y(day["p90_minutes"]),
            cut_off=day["p90_minutes"] > top,
            is_today=index == len(days) - 1,
            title=f"{day_name(day['date'])}: {rooms(day['count'])}, half within {duration(day['p50_minutes'])}, "
            f"nine in ten within {duration(day['p90_minutes'])}",
        )
        for index, day in enumerate(days)
        if day["count"]
    ]
    labels = [
        DayLabel(
            middle=round(place * (index + 0.5), 3),
            text="Today" if index == len(days) - 1 else f"{days[index]['date'].day} {days[index]['date']:%b}",
        )
        for index in range(len(days) - 1, -1, -DAYS_PER_LABEL)
    ]
    return Chart(
        bars=bars,
        lines=[Line(y(minutes), axis_label(minutes)) for minutes in range(0, top + 1, step)],
        labels=labels[::-1],
        height=HEIGHT,
        usual=None if usual is None or usual > top else Line(y(usual), duration(usual)),
        is_cut_off=any(bar.cut_off for bar in bars),
    )


def _axis(slowest: list[float]) -> tuple[int, int]:
    """The minutes at the top of the plot, and between gridlines."""
    highest = max(slowest, default=0.0)
    if slowest:
        highest = min(highest, OUTLIER * max(statistics.median_low(slowest), STEPS[0]))
    highest = max(highest, STEPS[0])
    step = next((step for step in STEPS if step * MOST_LINES >= highest), 0)
    if not step:
        weeks = -(-highest // (STEPS[-1] * MOST_LINES))
        step = int(STEPS[-1] * weeks)
    return int(-(-highest // step)) * step, step


# --- words ------------------------------------------------------------------------------------------------------------


def headline(today: dict[str, Any], month: dict[str, Any], days: int) -> tuple[str, str]:
    """The headline for today, and the comparison with the last ``days``, including today."""
    if not month["count"]:
        return f"No room has been made ready in the last {days} days", ""
    usually = (
        f"Over the last {days} days, of {rooms(month['count'])}, half were ready within "
        f"{spoken(month['p50_minutes'])} and nine in ten within {spoken(month['p90_minutes'])}."
    )
    if not today["count"]:
        return "No room has been made ready today yet", usually
    if today["count"] == 1:
        first = f"Today one room was ready, within {spoken(today['p50_minutes'])}"
    else:
        first = (
            f"Today half of the rooms were ready within {spoken(today['p50_minutes'])}, "
            f"nine in ten within {spoken(today['p90_minutes'])}"
        )
    if month["count"] == today["count"]:
        these = "It is the only room" if today["count"] == 1 else "They are the only rooms"
        return first, f"{these} made ready in the last {days} days."
    return first, f"{_compared(today['p50_minutes'], month['p50_minutes'])} {usually}"


def _compared(today: float, usual: float) -> str:
    difference = round(today) - round(usual)
    if abs(difference) <= max(1, usual * 0.05):
        return "That is about as fast as usual."
    return f"That is {spoken(abs(difference))} {'slower' if difference > 0 else 'faster'} than usual."


def duration(minutes: float) -> str:
    """Such as ``42 min``, ``1 h 12``, ``2 d 3 h``."""
    whole = round(minutes)
    if whole < 1:
        return "1 min"
    if whole < 60:
        return f"{whole} min"
    if whole < 2 * 1440:
        return f"{whole // 60} h" + (f" {whole % 60:02d}" if whole % 60 else "")
    days, hours = divmod(round(minutes / 60), 24)
    return f"{days} d" + (f" {hours} h" if hours else "")


def spoken(minutes: float) -> str:
    """Like ``duration``, for use in a sentence: ``42 minutes``."""
    whole = max(round(minutes), 1)
    return f"{whole} minute{'' if whole == 1 else 's'}" if whole < 60 else duration(minutes)


def axis_label(minutes: int) -> str:
    """The label of a gridline."""
    return "0" if minutes == 0 else duration(minutes)


def rooms(count: int) -> str:
    """Such as ``1 room``, ``18 rooms``."""
    return f"{count} room{'' if count == 1 else 's'}"


def day_name(day: date) -> str:
    """Such as ``Tue 24 Nov``."""
    return f"{day:%a} {day.day} {day:%b}"
