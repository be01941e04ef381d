"""Drawings that sit inside a line, a cell or a card: meter, sparkline, strip of past windows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from django.utils.safestring import SafeString

from apps.ui.charts.scale import Linear, as_date
from apps.ui.charts.svg import document, element, points_attribute, title
from apps.ui.format import day, missed_words, percent

type Level = Literal["ok", "warn", "bad", "none"]


@dataclass(frozen=True, slots=True)
class Window:
    """One past window and what a target would have met in it. ``availability`` is a ratio or ``None`` (no
    data).
    """

    start: date | datetime
    end: date | datetime
    availability: float | None
    missed: bool


def meter(share: float | None, *, label: str, level: Level = "ok") -> SafeString:
    """A bar of how much is left of 1. Below 0 it is empty with a mark at its start; ``None`` leaves only the
    groove.
    """
    parts = [element("rect", class_="groove", width=100, height=8, rx=2)]
    if share is not None and math.isfinite(share):
        width = 100 * min(1.0, max(0.02, share))
        parts.append(element("rect", class_=f"level {level}", width=width, height=8, rx=2))
    return document(100, 8, parts, label=label, class_="meter")


def sparkline(
    values: Sequence[float | None], *, label: str, width: float = 96, height: float = 22
) -> SafeString:
    """The course of a few values, its last one marked; ``None`` is a gap."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    if not known:
        return document(width, height, [], label=label, class_="sparkline")
    x = Linear(0, max(1, len(values) - 1), 3, width - 3)
    y = Linear(min(known), max(known), height - 3, 3)
    parts: list[str] = []
    last: tuple[float, float] | None = None
    for run in runs(values):
        pairs = [(x(index), y(value)) for index, value in run]
        last = pairs[-1]
        if len(pairs) > 1:
            parts.append(element("polyline", class_="series", points=points_attribute(pairs)))
        else:
            parts.append(element("circle", class_="dot", cx=last[0], cy=last[1], r=1.2))
    if last is not None:
        parts.append(element("circle", class_="dot", cx=last[0], cy=last[1], r=2.2))
    return document(width, height, parts, label=label, class_="sparkline")


def runs(values: Sequence[float | None]) -> list[list[tuple[int, float]]]:
    """The stretches without a gap, as (index, value)."""
    found: list[list[tuple[int, float]]] = []
    open_run = False
    for index, value in enumerate(values):
        if value is None or not math.isfinite(value):
            open_run = False
            continue
        if not open_run:
            found.append([])
            open_run = True
        found[-1].append((index, value))
    return found


def backtest_strip(windows: Sequence[Window], *, window_days: int = 28) -> SafeString:
    """One bar for each past window, oldest first: a missed one is taller and red, one without data a short
    stub.
    """
    step, bar = 9.0, 6.0
    columns = max(26, len(windows))
    parts: list[str] = []
    missed = 0
    for index, window in enumerate(windows):
        missed += window.missed
        newest = as_date(windows[-1].end)
        span = f"{day(as_date(window.start), newest)} to {day(as_date(window.end), newest)}"
        if window.availability is None:
            kind, top, tip = "gap", 11.0, f"{span}: no data"
        elif window.missed:
            kind, top, tip = "miss", 0.0, f"{span}: {percent(window.availability)}, missed"
        else:
            kind, top, tip = "hit", 4.0, f"{span}: {percent(window.availability)}, kept"
        parts.append(
            element("rect", title(tip), class_=kind, x=index * step, y=top, width=bar, height=14 - top, rx=1)
        )
    label = (
        missed_words(missed, len(windows), window_days) + " missed"
        if windows
        else "no past windows to try it on"
    )
    return document(columns * step - (step - bar), 14, parts, label=label, class_="strip")
