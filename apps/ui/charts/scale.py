"""Linear scales and the few round numbers that an axis shows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from apps.ui.charts.svg import text_width, words
from apps.ui.format import day


@dataclass(frozen=True, slots=True)
class Linear:
    """Maps ``[low, high]`` to ``[start, end]``. Values outside can be clamped."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float, *, clamp: bool = False) -> float:
        share = (value - self.low) / (self.high - self.low) if self.high != self.low else 0.5
        if clamp:
            share = min(1.0, max(0.0, share))
        return self.start + share * (self.end - self.start)


def nice_step(span: float, parts: int) -> float:
    """Return the smallest of 1, 1.5, 2, 2.5, 3, 4, 5 × 10ⁿ that divides ``span`` into at most ``parts`` parts."""
    if span <= 0 or not math.isfinite(span):
        return 1.0
    raw = span / parts
    magnitude = 10.0 ** math.floor(math.log10(raw))
    for factor in (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 10.0):
        if factor * magnitude >= raw * (1 - 1e-9):
            return factor * magnitude
    return 10.0 * magnitude


def ticks_down_from_one(low: float) -> tuple[float, ...]:
    """Return at most three round availabilities from 1 downwards. The last is at or below ``low``."""
    span = max(1e-7, 1.0 - low)
    step = nice_step(span, 2)
    lines = min(2, max(1, math.ceil(span / step - 1e-9)))
    return tuple(max(0.0, round(1.0 - index * step, 12)) for index in range(lines + 1))


def ticks_from_zero(high: float) -> tuple[float, ...]:
    """Return at most three round values from 0 upwards. The last is at or above ``high``."""
    step = nice_step(max(high, 1e-9), 2)
    lines = min(2, max(1, math.ceil(high / step - 1e-9)))
    return tuple(round(index * step, 9) for index in range(lines + 1))


def as_date(value: date | datetime) -> date:
    return value.date() if isinstance(value, datetime) else value


def date_labels(days: Sequence[date], positions: Sequence[float], y: float, *, most: int = 5) -> list[str]:
    """Return labels for the first, the last and evenly spread dates, without overlaps and within the plot."""
    if not days:
        return []
    wanted = sorted({round(index * (len(days) - 1) / max(1, most - 1)) for index in range(most)})
    if len(days) == 1:
        return [words(positions[0], y, day(days[0], days[-1]))]
    parts: list[str] = []
    last_text = day(days[-1], days[-1])
    room_end = positions[-1] - text_width(last_text) - 8
    taken = -math.inf
    for index in wanted:
        text = day(days[index], days[-1])
        width = text_width(text)
        if index == wanted[-1]:
            parts.append(words(positions[-1], y, last_text, anchor="end"))
        elif index == 0:
            parts.append(words(positions[0], y, text))
            taken = positions[0] + width
        elif positions[index] - width / 2 > taken + 8 and positions[index] + width / 2 < room_end:
            parts.append(words(positions[index], y, text, anchor="middle"))
            taken = positions[index] + width / 2
    return parts


def spread(wanted: Sequence[float], gap: float, top: float, bottom: float) -> list[float]:
    """Move ascending places as little as needed, so that neighbours are ``gap`` apart.

    All stay between ``top`` and ``bottom``, if there is room.
    """
    placed: list[float] = []
    for at in wanted:
        placed.append(max(at, top, placed[-1] + gap if placed else top))
    limit = max(bottom, top + gap * (len(placed) - 1))
    for index in range(len(placed) - 1, -1, -1):
        placed[index] = min(placed[index], limit)
        limit = placed[index] - gap
    return placed
