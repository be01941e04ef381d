"""Availability by day, with its interval, the target and the days that missed it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from apps.ui.charts.frame import (
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Event,
    axis,
    event_ticks,
    grid,
    line,
    names,
    positions,
    right_of,
)
from apps.ui.charts.kept import kept
from apps.ui.charts.scale import Linear, as_date, date_labels, ticks_down_from_one
from apps.ui.charts.small import runs
from apps.ui.charts.svg import Chart, ChartTable, document, element, points_attribute, title, words
from apps.ui.format import NO_VALUE, count, day, percent, percent_number


@dataclass(frozen=True, slots=True)
class AvailabilityPoint:
    """One day (or other bin): availability as a ratio, ``None`` without data; the interval may be missing."""

    at: date | datetime
    value: float | None
    low: float | None = None
    high: float | None = None
    total: float | None = None
    bad: float | None = None


@kept
def daily_availability(
    points: Sequence[AvailabilityPoint],
    *,
    target: float | None = None,
    events: Sequence[Event] = (),
    subject: str = "Availability by day",
    height: float = 218.0,
) -> Chart:
    """Draw availability over days (or other bins), with its interval as a band and the target as a dashed line.

    The axis ends at 100 and names its start. Days under the target have a square mark. Days below the axis have a
    triangle at its foot, and the three worst also have their number. Gaps stay gaps.
    """
    days = [as_date(point.at) for point in points]
    values = [point.value for point in points]
    known = [value for value in values if value is not None and math.isfinite(value)]
    bottom = height - 24
    ticks = ticks_down_from_one(_axis_floor(known, target))
    y = Linear(ticks[-1], 1.0, bottom, TOP)
    label = f"target {percent_number(target)}" if target is not None else ""
    right = right_of([label] if label else [])
    xs = positions(len(points), right)
    figures = [percent_number(value) for value in ticks]
    parts = grid(ticks, figures, y, right)
    parts += _band(points, xs, y)
    parts += event_ticks(events, days, xs, bottom, right)
    if target is not None:
        parts.append(element("line", class_="target-line", x1=LEFT, x2=right, y1=y(target), y2=y(target)))
        parts += names([(y(target), label)], right, bottom)
    parts += line(values, xs, y, "series")
    parts += _missed_marks(values, xs, y, target, bottom)
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
    svg = document(WIDTH, height, parts, label=alternative, class_="plot course")
    return Chart(svg, alternative, table, axis=axis(ticks, figures, y, height))


def _axis_floor(values: Sequence[float], target: float | None) -> float:
    """Return the start of the axis: below nearly all values and the target, so that one bad day cannot flatten the
    rest.

    Values further from 1 than six times the distance of the 10th percentile (and of the target) become marks at the
    bottom edge.
    """
    if not values:
        return target if target is not None else 0.999
    usual = sorted(values)[len(values) // 10]
    reach = 6 * max(1 - usual, 1 - target if target is not None else 0.0, 1e-5)
    inside = [value for value in values if 1 - value <= reach]
    if target is None and min(inside, default=1.0) == 1.0:
        return min([*values, 0.999])  # Nothing failed on most days, so show the worst of the others.
    return min([*inside, target if target is not None else 1.0])


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
            side = 5.0 if len(values) <= 120 else 3.0
            left, top = xs[index] - side / 2, y(value) - side / 2
            parts.append(element("rect", class_="miss", x=left, y=top, width=side, height=side))
    for _, index in below:
        x = xs[index]
        mark = points_attribute([(x - 4, bottom - 7), (x + 4, bottom - 7), (x, bottom)])
        parts.append(element("polygon", class_="miss", points=mark))
    taken: list[float] = []
    for value, index in sorted(below)[:3]:
        if all(abs(xs[index] - other) > 48 for other in taken):
            at_end = xs[index] > xs[-1] - 50
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
    """Return an invisible column over each day that shows its figures on hover."""
    width = (xs[-1] - xs[0]) / max(1, len(points) - 1) if len(xs) > 1 else RIGHT - LEFT
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
