"""Latency percentiles by day."""

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
    right_of,
)
from apps.ui.charts.kept import kept
from apps.ui.charts.scale import Linear, as_date, date_labels, ticks_from_zero
from apps.ui.charts.svg import Chart, ChartTable, document, element
from apps.ui.format import day, ms


@dataclass(frozen=True, slots=True)
class LatencySeries:
    """One percentile over time. ``values``, in milliseconds, match the chart's instants."""

    label: str
    values: tuple[float | None, ...]
    target_ms: float | None = None


@kept
def latency_lines(
    at: Sequence[date | datetime],
    series: Sequence[LatencySeries],
    *,
    events: Sequence[Event] = (),
    height: float = 206.0,
) -> Chart:
    """Draw latency percentiles over days, each named at its end, with its dashed target. The axis begins at 0."""
    days = [as_date(moment) for moment in at]
    finite = [v for one in series for v in (*one.values, one.target_ms) if v is not None and math.isfinite(v)]
    bottom = height - 24
    ticks = ticks_from_zero(max(finite, default=1.0))
    y = Linear(0.0, ticks[-1], bottom, TOP)
    targets = {
        one.label: f"{one.label} target {ms(one.target_ms)}" for one in series if one.target_ms is not None
    }
    right = right_of([one.label for one in series] + list(targets.values()))
    scale = Linear(0, max(1, len(days) - 1), LEFT, right)
    xs = [scale(index) for index in range(len(days))]
    figures = [ms(value) if value else "0" for value in ticks]
    parts = grid(ticks, figures, y, right)
    parts += event_ticks(events, days, xs, bottom, right)
    labels: list[tuple[float, str]] = []
    ranges: list[str] = []
    for rank, one in enumerate(series):
        if one.target_ms is not None:
            level = y(one.target_ms)
            parts.append(element("line", class_="target-line", x1=LEFT, x2=right, y1=level, y2=level))
            labels.append((level, targets[one.label]))
        parts += line(one.values, xs, y, f"series s{rank % 3}")
        known = [value for value in one.values if value is not None and math.isfinite(value)]
        if known:
            labels.append((y(known[-1]), one.label))
            ranges.append(f"{one.label} between {ms(min(known))} and {ms(max(known))}, last {ms(known[-1])}")
    parts += names(labels, right, bottom)
    parts += date_labels(days, xs, height - 4)
    span = f"{day(days[0], days[-1])} to {day(days[-1], days[-1])}" if days else "no data"
    alternative = f"Latency, {span}: {'; '.join(ranges) or 'no data'}."
    rows = tuple(
        (day(when, days[-1]), *(ms(one.values[index]) for one in series)) for index, when in enumerate(days)
    )
    table = ChartTable(("Day", *(one.label for one in series)), rows)
    svg = document(WIDTH, height, parts, label=alternative, class_="plot course")
    return Chart(svg, alternative, table, axis=axis(ticks, figures, y, height))
