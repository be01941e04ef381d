"""Shared parts of charts over time: size, grid lines, events, lines with gaps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from django.utils.safestring import SafeString

from apps.ui.charts.scale import Linear, as_date, spread
from apps.ui.charts.small import runs
from apps.ui.charts.svg import BOLD, document, element, fit, points_attribute, text_width, title, words
from apps.ui.format import day

WIDTH = 720.0
LEFT, RIGHT, TOP = 60.0, 712.0, 22.0
NAME_GAP = 8.0
_EVENT_TOP = 11.0


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, drawn as a tick with a word: ``deploy``, ``incident``, ``drift``."""

    at: date | datetime
    word: str
    detail: str = ""


def positions(amount: int, right: float = RIGHT) -> list[float]:
    scale = Linear(0, max(1, amount - 1), LEFT, right)
    return [scale(index) for index in range(amount)]


def right_of(labels: Sequence[str]) -> float:
    """Return the right end of a plot with the names of its lines to the right, clear of every line."""
    widest = max((text_width(text) * BOLD for text in labels), default=0.0)
    return RIGHT if not labels else min(RIGHT, WIDTH - NAME_GAP - 2 - widest)


def grid(
    ticks: Sequence[float],
    labels: Sequence[str],
    y: Linear,
    right: float = RIGHT,
) -> list[str]:
    """Return grid lines with their values at the left."""
    parts: list[str] = []
    for value, text in zip(ticks, labels, strict=True):
        parts.append(element("line", class_="grid-line", x1=LEFT, x2=right, y1=y(value), y2=y(value)))
        parts.append(words(LEFT - 8, y(value) + 4, text, anchor="end", class_="at-left"))
    return parts


def axis(ticks: Sequence[float], labels: Sequence[str], y: Linear, height: float) -> SafeString:
    """Return only the grid lines' values.

    On a narrow screen, which shows the newest end, they stay in place while the chart is scrolled behind them.
    """
    width = max(map(text_width, labels), default=0.0) + 7
    figures = [
        words(width - 5, y(value) + 4, text, anchor="end") for value, text in zip(ticks, labels, strict=True)
    ]
    return document(width, height, figures, label="", class_="axis", has_own_width=True)


def names(levels: Sequence[tuple[float, str]], right: float, bottom: float) -> list[str]:
    """Return the names of lines at their ends, moved apart where two would overlap."""
    ordered = sorted(levels)
    places = spread([at for at, _ in ordered], 14.0, TOP - 4, bottom)
    return [
        words(right + NAME_GAP, at + 4, text, class_="strong")
        for at, (_, text) in zip(places, ordered, strict=True)
    ]


def event_ticks(
    events: Sequence[Event],
    days: Sequence[date],
    xs: Sequence[float],
    bottom: float,
    right: float = RIGHT,
) -> list[str]:
    """Return ticks over the plot's whole height with a word on top. A word that would touch the last one is only in the
    tip.
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
        centre = min(max(x, LEFT + width / 2), right - width / 2)
        if centre - width / 2 > taken + 10:
            parts.append(words(centre, _EVENT_TOP, word, anchor="middle", class_="event-word", tip=tip))
            taken = centre + width / 2
    return parts


def line(values: Sequence[float | None], xs: Sequence[float], y: Linear, class_: str) -> list[str]:
    parts: list[str] = []
    for run in runs(values):
        pairs = [(xs[index], y(value, clamp=True)) for index, value in run]
        if len(pairs) == 1:
            radius = 1.8 if len(values) > 1 else 3.5
            parts.append(element("circle", class_="dot", cx=pairs[0][0], cy=pairs[0][1], r=radius))
        else:
            parts.append(element("polyline", class_=class_, points=points_attribute(pairs)))
    return parts
