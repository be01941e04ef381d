"""Small drawings inside a line, a cell or a card: meter, sparkline, strip of past windows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from django.utils.safestring import SafeString

from apps.ui.charts.scale import Linear, as_date
from apps.ui.charts.svg import document, element, fixed, points_attribute, title
from apps.ui.format import day, missed_words, percent

type Level = Literal["ok", "warn", "bad", "none"]

_STEP, _BAR = 10.0, 7.0
"""The distance between the bars of a strip, and their width."""


@dataclass(frozen=True, slots=True)
class Window:
    """One past window, judged against a target. ``availability`` is a ratio or ``None`` (no data); ``value`` is the
    figure in words where it is no availability.
    """

    start: date | datetime
    end: date | datetime
    availability: float | None
    missed: bool
    value: str = ""

    @property
    def is_judged(self) -> bool:
        """Whether there was data to judge."""
        return self.availability is not None or bool(self.value)


def meter(share: float | None, *, label: str, level: Level = "ok") -> SafeString:
    """Draw a bar of how much is left of 1. Below 0 it is empty with a mark at its start; ``None`` gives only the
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
    """Draw the course of a few values, with the last one marked. ``None`` is a gap."""
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
    """Return the stretches without a gap, as (index, value)."""
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


def backtest_strip(windows: Sequence[Window]) -> SafeString:
    """Draw one bar for each past window, oldest first.

    A missed window is taller, red and crossed; one without data is a short stub.

    Every bar's name has its dates and value. The newest takes the focus. With the script the arrow keys move from
    there, and a bar's words appear under the strip.
    """
    parts: list[str] = []
    missed = 0
    for index, window in enumerate(windows):
        missed += window.missed
        x = index * _STEP
        kind = "gap" if not window.is_judged else "miss" if window.missed else "hit"
        top = {"gap": 15.0, "miss": 0.0, "hit": 7.0}[kind]
        tip = title(window_words(window, as_date(windows[-1].end)))
        bar = element("rect", class_=kind, x=x, y=top, width=_BAR, height=20 - top, rx=1)
        cross = f"M{fixed(x + 1.5)} 7l{fixed(_BAR - 3)} 6m0 -6l-{fixed(_BAR - 3)} 6"
        marks = [element("path", class_="cross", d=cross)] if kind == "miss" else []
        # A wider, invisible ground makes each bar easy to hit with a pointer or a finger.
        ground = element("rect", class_="hover", x=x - (_STEP - _BAR) / 2, width=_STEP, height=20)
        focus = "0" if index == len(windows) - 1 else "-1"
        parts.append(element("g", tip, bar, *marks, ground, role="img", class_="window", tabindex=focus))
    label = missed_words(missed, len(windows)) + " missed" if windows else "no past windows to try it on"
    width = max(26, len(windows)) * _STEP - (_STEP - _BAR)
    return document(width, 20, parts, label=label, class_="strip", role="group" if windows else "img")


def window_words(window: Window, newest: date) -> str:
    """Return a past window in words: ``10 Oct to 7 Nov: 99.93 %, missed``; with the year where it differs."""
    span = f"{day(as_date(window.start), newest)} to {day(as_date(window.end), newest)}"
    if not window.is_judged:
        return f"{span}: no data"
    return f"{span}: {window.value or percent(window.availability)}, {'missed' if window.missed else 'kept'}"
