"""The error budget over one window: what is left, an even spend, and the forecast."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from apps.ui.charts.frame import (
    LEFT,
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
from apps.ui.charts.scale import Linear, date_labels
from apps.ui.charts.svg import Chart, ChartTable, document, element, words
from apps.ui.format import day, percent, utc_stamp


@dataclass(frozen=True, slots=True)
class BudgetPoint:
    """The share of the error budget that was left at an instant: 1 is all of it, below 0 is overspent."""

    at: datetime
    left: float | None


@kept
def burn_down(
    points: Sequence[BudgetPoint],
    *,
    start: datetime,
    end: datetime,
    forecast_end: float | None = None,
    events: Sequence[Event] = (),
    height: float = 196.0,
) -> Chart:
    """Draw the budget left over one window, with an even spend (dashed) and the forecast (dotted).

    ``forecast_end`` is the share expected to be left at ``end``. Below zero the budget is overspent.
    """
    known = [point for point in points if point.left is not None and math.isfinite(point.left)]
    lowest = min([0.0, *(point.left for point in known if point.left is not None), forecast_end or 0.0])
    floor = 0.0 if lowest >= 0 else -math.ceil(-lowest * 4) / 4
    bottom = height - 24
    y = Linear(floor, 1.0, bottom, TOP)
    left_text = f"{percent(known[-1].left, 0)} left" if known else ""
    right = right_of([left_text] if left_text else [])
    x = Linear(start.timestamp(), end.timestamp(), LEFT, right)
    ticks = (1.0, 0.5, 0.0) if floor == 0 else (1.0, 0.0, floor)
    figures = [percent(value, 0) for value in ticks]
    parts = grid(ticks, figures, y, right)
    if floor < 0:
        parts.append(
            element("rect", class_="overspent", x=LEFT, y=y(0), width=right - LEFT, height=bottom - y(0))
        )
        parts.append(words(LEFT + 6, bottom - 6, "overspent", class_="bad-word"))
    xs = [x(point.at.timestamp(), clamp=True) for point in points]
    span = [start.date(), end.date()]
    parts += event_ticks(events, *_daily_span(start, end, right), bottom, right)
    parts.append(element("line", class_="target-line", x1=LEFT, x2=right, y1=y(1), y2=y(0)))
    parts += line([point.left for point in points], xs, y, "series")
    parts.append(_even_spend([(at, point.left) for at, point in zip(xs, points, strict=True)], y, right))
    alternative = f"Error budget left, {day(span[0], span[1])} to {day(span[1], span[1])}: no data."
    if known:
        last = known[-1]
        left = last.left or 0.0
        at = (x(last.at.timestamp(), clamp=True), y(left))
        if forecast_end is not None:
            parts.append(
                element(
                    "line", class_="forecast", x1=at[0], y1=at[1], x2=right, y2=y(forecast_end, clamp=True)
                )
            )
        parts.append(element("circle", class_="dot", cx=at[0], cy=at[1], r=3))
        if at[0] > right - 12:
            parts += names([(at[1], left_text)], right, bottom)
        else:
            label_y = at[1] - 9 if at[1] > TOP + 14 else at[1] + 18
            parts.append(words(at[0] + 6, label_y, left_text, class_="strong halo"))
        alternative = (
            f"Error budget left, {day(span[0], span[1])} to {day(span[1], span[1])}: {percent(left, 0)} at "
            f"{utc_stamp(last.at, last.at)}"
        )
        if forecast_end is not None:
            alternative += f", {percent(forecast_end, 0)} expected at the end"
        alternative += "."
    parts += date_labels(*_daily_span(start, end, right), height - 4)
    rows = tuple((f"{day(point.at, end)}, {point.at:%H:%M}", percent(point.left, 1)) for point in points)
    table = ChartTable(("Time (UTC)", "Budget left"), rows)
    svg = document(WIDTH, height, parts, label=alternative, class_="plot course")
    return Chart(svg, alternative, table, axis=axis(ticks, figures, y, height))


def _even_spend(course: Sequence[tuple[float, float | None]], y: Linear, right: float) -> str:
    """Return the name of the dashed line, on the side where the budget's line does not run."""
    share = 0.42
    x = LEFT + share * (right - LEFT)
    near = [(at, left) for at, left in course if left is not None and abs(at - x) < 90]
    if any(left < 1 - (at - LEFT) / (right - LEFT) for at, left in near):  # The line runs below it.
        return words(x + 8, y(1 - share) - 5, "even spend")
    return words(x - 8, y(1 - share) + 12, "even spend", anchor="end")


def _daily_span(start: datetime, end: datetime, right: float) -> tuple[list[date], list[float]]:
    amount = max(1, (end.date() - start.date()).days)
    first = start.date().toordinal()
    return [date.fromordinal(first + index) for index in range(amount + 1)], positions(amount + 1, right)
