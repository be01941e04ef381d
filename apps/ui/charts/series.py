"""Time series: availability by day, budget burn-down, latency."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from apps.ui.charts.scale import Linear, as_date, date_labels, ticks_down_from_one, ticks_from_zero
from apps.ui.charts.small import runs
from apps.ui.charts.svg import (
    Chart,
    ChartTable,
    document,
    element,
    fit,
    points_attribute,
    text_width,
    title,
    words,
)
from apps.ui.format import NO_VALUE, count, day, ms, percent, percent_number, utc_text

WIDTH = 720.0
LEFT, RIGHT, TOP = 52.0, 712.0, 22.0
_EVENT_TOP = 11.0


@dataclass(frozen=True, slots=True)
class AvailabilityPoint:
    """One day (or other bin): availability as a ratio, ``None`` without data; the interval may be missing."""

    at: date | datetime
    value: float | None
    low: float | None = None
    high: float | None = None
    total: float | None = None
    bad: float | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, drawn as a tick with a word: ``deploy``, ``incident``, ``drift``."""

    at: date | datetime
    word: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class BudgetPoint:
    """How much of the error budget was left at an instant: 1 is all of it, below 0 is overspent."""

    at: datetime
    left: float | None


@dataclass(frozen=True, slots=True)
class LatencySeries:
    """One percentile by time; ``values`` in milliseconds match the chart's instants."""

    label: str
    values: tuple[float | None, ...]
    target_ms: float | None = None


def _grid(ticks: Sequence[float], labels: Sequence[str], y: Linear) -> list[str]:
    parts: list[str] = []
    for value, text in zip(ticks, labels, strict=True):
        parts.append(element("line", class_="grid-line", x1=LEFT, x2=RIGHT, y1=y(value), y2=y(value)))
        parts.append(words(LEFT - 8, y(value) + 4, text, anchor="end"))
    return parts


def _events(events: Sequence[Event], days: Sequence[date], xs: Sequence[float], bottom: float) -> list[str]:
    """Ticks over the plot's whole height with a word on top; a word that would touch the last one stays in
    the tip.
    """
    parts: list[str] = []
    taken = -math.inf
    for event in sorted(events, key=lambda one: (as_date(one.at), one.word)):
        when = as_date(event.at)
        if not days or not days[0] <= when <= days[-1]:
            continue
        nearest = min(range(len(days)), key=lambda index: (abs((days[index] - when).days), index))
        x = xs[nearest]
        tip = f"{day(when, days[-1])}: {event.word}" + (f", {event.detail}" if event.detail else "")
        word = fit(event.word, 110)
        width = text_width(word)
        parts.append(element("line", title(tip), class_="event", x1=x, x2=x, y1=TOP - 6, y2=bottom))
        centre = min(max(x, LEFT + width / 2), RIGHT - width / 2)
        if centre - width / 2 > taken + 10:
            parts.append(words(centre, _EVENT_TOP, word, anchor="middle", class_="event-word", tip=tip))
            taken = centre + width / 2
    return parts


def _line(values: Sequence[float | None], xs: Sequence[float], y: Linear, class_: str) -> list[str]:
    parts: list[str] = []
    for run in runs(values):
        pairs = [(xs[index], y(value, clamp=True)) for index, value in run]
        if len(pairs) == 1:
            parts.append(element("circle", class_="dot", cx=pairs[0][0], cy=pairs[0][1], r=1.8))
        else:
            parts.append(element("polyline", class_=class_, points=points_attribute(pairs)))
    return parts


def _band(points: Sequence[AvailabilityPoint], xs: Sequence[float], y: Linear) -> list[str]:
    parts: list[str] = []
    lows = [point.low if point.value is not None and point.high is not None else None for point in points]
    for run in runs(lows):
        if len(run) < 2:
            continue
        upper = [(xs[index], y(points[index].high or 1.0, clamp=True)) for index, _ in run]
        lower = [(xs[index], y(value, clamp=True)) for index, value in run]
        parts.append(element("polygon", class_="band", points=points_attribute([*upper, *reversed(lower)])))
    return parts


def _axis_floor(values: Sequence[float], target: float | None) -> float:
    """Where the axis starts: below nearly all values and the target, so that one terrible day cannot flatten
    the rest.

    Values further from 1 than six times the distance of the 10th percentile (and of the target) are drawn at
    the bottom edge as a mark with their number.
    """
    if not values:
        return target if target is not None else 0.999
    usual = sorted(values)[len(values) // 10]
    reach = 6 * max(1 - usual, 1 - target if target is not None else 0.0, 1e-5)
    inside = [value for value in values if 1 - value <= reach]
    return min([*inside, target if target is not None else 1.0])


def daily_availability(
    points: Sequence[AvailabilityPoint],
    *,
    target: float | None = None,
    events: Sequence[Event] = (),
    subject: str = "Availability by day",
    height: float = 218.0,
) -> Chart:
    """Availability over days (or other bins) with its interval as a band and the target as a dashed line.

    The axis ends at 100 and says where it starts. Days under the target carry a square mark; days below the
    axis a triangle at its foot, the three worst of them with their number. Gaps stay gaps.
    """
    days = [as_date(point.at) for point in points]
    values = [point.value for point in points]
    known = [value for value in values if value is not None and math.isfinite(value)]
    bottom = height - 24
    ticks = ticks_down_from_one(_axis_floor(known, target))
    y = Linear(ticks[-1], 1.0, bottom, TOP)
    xs = _positions(len(points))
    parts = _grid(ticks, [percent_number(value) for value in ticks], y)
    parts += _band(points, xs, y)
    parts += _events(events, days, xs, bottom)
    if target is not None:
        parts.append(element("line", class_="target-line", x1=LEFT, x2=RIGHT, y1=y(target), y2=y(target)))
    parts += _line(values, xs, y, "series")
    parts += _missed_marks(values, xs, y, target, bottom)
    if target is not None:
        parts.append(
            words(LEFT + 6, y(target) + 15, f"target {percent_number(target)}", class_="strong halo")
        )
    parts += _tips(points, days, xs, bottom)
    parts += date_labels(days, xs, height - 4)
    missed = sum(1 for value in known if target is not None and value < target)
    alternative = _availability_words(days, values, target, missed, subject, ticks[-1])
    rows = tuple(
        (
            day(when, days[-1]),
            percent(point.value),
            f"{percent_number(point.low)} to {percent_number(point.high)}"
            if point.low is not None
            else NO_VALUE,
            count(point.bad),
            count(point.total),
        )
        for when, point in zip(days, points, strict=True)
    )
    table = ChartTable(("Day", "Availability", "90 % interval", "Failed", "Requests"), rows)
    return Chart(document(WIDTH, height, parts, label=alternative), alternative, table)


def _positions(amount: int) -> list[float]:
    scale = Linear(0, max(1, amount - 1), LEFT, RIGHT)
    return [scale(index) for index in range(amount)]


def _missed_marks(
    values: Sequence[float | None], xs: Sequence[float], y: Linear, target: float | None, bottom: float
) -> list[str]:
    parts: list[str] = []
    below: list[tuple[float, int]] = []
    for index, value in enumerate(values):
        if value is None or not math.isfinite(value):
            continue
        if value < y.low:
            below.append((value, index))
        elif target is not None and value < target:
            parts.append(
                element("rect", class_="miss", x=xs[index] - 2.5, y=y(value) - 2.5, width=5, height=5)
            )
    for _, index in below:
        x = xs[index]
        mark = points_attribute([(x - 4, bottom - 7), (x + 4, bottom - 7), (x, bottom)])
        parts.append(element("polygon", class_="miss", points=mark))
    taken: list[float] = []
    for value, index in sorted(below)[:3]:
        if all(abs(xs[index] - other) > 48 for other in taken):
            at_end = xs[index] > RIGHT - 50
            text = percent_number(value)
            parts.append(
                words(
                    xs[index] + (-8 if at_end else 8),
                    bottom - 2,
                    text,
                    anchor="end" if at_end else "start",
                    class_="strong halo",
                )
            )
            taken.append(xs[index])
    return parts


def _tips(
    points: Sequence[AvailabilityPoint], days: Sequence[date], xs: Sequence[float], bottom: float
) -> list[str]:
    """An unseen column over each day that tells its figures on hover."""
    width = (RIGHT - LEFT) / max(1, len(points) - 1)
    parts: list[str] = []
    for point, when, x in zip(points, days, xs, strict=True):
        tip = f"{day(when, days[-1])}: {percent(point.value) if point.value is not None else 'no data'}"
        if point.bad is not None and point.total is not None:
            tip += f", {count(point.bad)} of {count(point.total)} failed"
        parts.append(
            element(
                "rect", title(tip), class_="hover", x=x - width / 2, y=TOP, width=width, height=bottom - TOP
            )
        )
    return parts


def _availability_words(
    days: Sequence[date],
    values: Sequence[float | None],
    target: float | None,
    missed: int,
    subject: str,
    floor: float,
) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return f"{subject}: no data."
    text = f"{subject}, {day(days[0], days[-1])} to {day(days[-1], days[-1])}: "
    text += f"between {percent(min(known))} and {percent(max(known))}"
    if target is not None:
        text += f", under the target of {percent(target)} on {missed} of {len(known)} days"
    gaps = len(values) - len(known)
    return text + (f", {gaps} without data" if gaps else "") + f". The axis starts at {percent(floor)}."


def burn_down(
    points: Sequence[BudgetPoint],
    *,
    start: datetime,
    end: datetime,
    forecast_end: float | None = None,
    events: Sequence[Event] = (),
    height: float = 196.0,
) -> Chart:
    """What is left of the error budget over one window, beside an even spend (dashed) and, dotted, where it
    leads.

    ``forecast_end`` is the share expected to be left at ``end``. Below zero the budget is overspent.
    """
    known = [point for point in points if point.left is not None and math.isfinite(point.left)]
    lowest = min([0.0, *(point.left for point in known if point.left is not None), forecast_end or 0.0])
    floor = 0.0 if lowest >= 0 else -math.ceil(-lowest * 4) / 4
    bottom = height - 24
    y = Linear(floor, 1.0, bottom, TOP)
    x = Linear(start.timestamp(), end.timestamp(), LEFT, RIGHT)
    ticks = (1.0, 0.5, 0.0) if floor == 0 else (1.0, 0.0, floor)
    parts = _grid(ticks, [percent(value, 0) for value in ticks], y)
    if floor < 0:
        parts.append(
            element("rect", class_="overspent", x=LEFT, y=y(0), width=RIGHT - LEFT, height=bottom - y(0))
        )
        parts.append(words(LEFT + 6, bottom - 6, "overspent", class_="bad-word"))
    xs = [x(point.at.timestamp(), clamp=True) for point in points]
    span = [start.date(), end.date()]
    parts += _events(events, *_daily_span(start, end), bottom)
    parts.append(element("line", class_="target-line", x1=LEFT, x2=RIGHT, y1=y(1), y2=y(0)))
    parts.append(words(RIGHT - 4, y(0.14), "even spend", anchor="end", class_="halo"))
    parts += _line([point.left for point in points], xs, y, "series")
    alternative = f"Error budget left, {day(span[0], span[1])} to {day(span[1], span[1])}: no data."
    if known:
        last = known[-1]
        left = last.left or 0.0
        at = (x(last.at.timestamp(), clamp=True), y(left))
        if forecast_end is not None:
            parts.append(
                element(
                    "line", class_="forecast", x1=at[0], y1=at[1], x2=RIGHT, y2=y(forecast_end, clamp=True)
                )
            )
        parts.append(element("circle", class_="dot", cx=at[0], cy=at[1], r=3))
        near_end = at[0] > RIGHT - 70
        label_y = at[1] - 9 if at[1] > TOP + 14 else at[1] + 18
        parts.append(
            words(
                at[0] + (0 if near_end else 6),
                label_y,
                f"{percent(left, 0)} left",
                anchor="end" if near_end else "start",
                class_="strong halo",
            )
        )
        alternative = (
            f"Error budget left, {day(span[0], span[1])} to {day(span[1], span[1])}: {percent(left, 0)} at "
            f"{utc_text(last.at, last.at)}"
        )
        if forecast_end is not None:
            alternative += f", {percent(forecast_end, 0)} expected at the end"
        alternative += "."
    days, positions = _daily_span(start, end)
    parts += date_labels(days, positions, height - 4)
    rows = tuple((f"{day(point.at, end)}, {point.at:%H:%M}", percent(point.left, 1)) for point in points)
    table = ChartTable(("Time (UTC)", "Budget left"), rows)
    return Chart(document(WIDTH, height, parts, label=alternative), alternative, table)


def _daily_span(start: datetime, end: datetime) -> tuple[list[date], list[float]]:
    amount = max(1, (end.date() - start.date()).days)
    first = start.date().toordinal()
    return [date.fromordinal(first + index) for index in range(amount + 1)], _positions(amount + 1)


def latency_lines(
    at: Sequence[date | datetime],
    series: Sequence[LatencySeries],
    *,
    events: Sequence[Event] = (),
    height: float = 206.0,
) -> Chart:
    """Latency percentiles over days, each named at its end, each with its own dashed target. The axis begins
    at 0.
    """
    days = [as_date(moment) for moment in at]
    finite = [v for one in series for v in (*one.values, one.target_ms) if v is not None and math.isfinite(v)]
    bottom = height - 24
    ticks = ticks_from_zero(max(finite, default=1.0))
    y = Linear(0.0, ticks[-1], bottom, TOP)
    name_room = 40.0
    scale = Linear(0, max(1, len(days) - 1), LEFT, RIGHT - name_room)
    xs = [scale(index) for index in range(len(days))]
    parts = _grid(ticks, [ms(value) if value else "0" for value in ticks], y)
    parts += _events(events, days, xs, bottom)
    labels: list[tuple[float, str]] = []
    said: list[str] = []
    for rank, one in enumerate(series):
        if one.target_ms is not None:
            level = y(one.target_ms)
            parts.append(
                element("line", class_="target-line", x1=LEFT, x2=RIGHT - name_room, y1=level, y2=level)
            )
            parts.append(
                words(LEFT + 6, level - 5, f"{one.label} target {ms(one.target_ms)}", class_="strong halo")
            )
        parts += _line(one.values, xs, y, f"series s{rank % 3}")
        known = [value for value in one.values if value is not None and math.isfinite(value)]
        if known:
            labels.append((y(known[-1]), one.label))
            said.append(f"{one.label} between {ms(min(known))} and {ms(max(known))}, last {ms(known[-1])}")
    parts += _end_labels(labels, RIGHT - name_room + 8)
    parts += date_labels(days, xs, height - 4)
    span = f"{day(days[0], days[-1])} to {day(days[-1], days[-1])}" if days else "no data"
    alternative = f"Latency, {span}: {'; '.join(said) or 'no data'}."
    rows = tuple(
        (day(when, days[-1]), *(ms(one.values[index]) for one in series)) for index, when in enumerate(days)
    )
    table = ChartTable(("Day", *(one.label for one in series)), rows)
    return Chart(document(WIDTH, height, parts, label=alternative), alternative, table)


def _end_labels(labels: Sequence[tuple[float, str]], x: float) -> list[str]:
    """Names at the lines' ends, pushed down where two would overlap."""
    parts: list[str] = []
    lowest = -math.inf
    for y, text in sorted(labels):
        lowest = max(y, lowest + 14)
        parts.append(words(x, lowest + 4, text, class_="strong"))
    return parts
