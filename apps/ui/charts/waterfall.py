"""How a target comes about: its base, what adds and what takes, its sum."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from apps.ui.charts.scale import Linear, nice_step
from apps.ui.charts.svg import BOLD, Chart, ChartTable, document, element, fit, text_width, title, words
from apps.ui.format import percent, percent_number, points

_WIDTH, _RIGHT, _ROW, _BAR = 720.0, 650.0, 27.0, 18.0
_NARROWEST, _WIDEST, _GAP = 120.0, 300.0, 10.0
"""The column of labels is as wide as the longest of them, within these bounds."""


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one feature adds to the base, as a ratio (−0.0002 is −0.02 points)."""

    label: str
    amount: float


def waterfall_floor(base: float, contributions: Sequence[Contribution], target: float) -> float:
    """Where the scale begins: a round value a little below everything drawn, never below 0."""
    levels = [base, target]
    running = base
    for one in contributions:
        running += one.amount
        levels.append(running)
    low, high = min(levels), max(levels)
    span = max(high - low, 1e-6)
    step = nice_step(span, 4)
    floor = math.floor((low - 0.15 * span) / step + 1e-9) * step
    return max(0.0, round(floor, 10))


def waterfall(
    base: float,
    contributions: Sequence[Contribution],
    target: float,
    *,
    base_label: str = "Base",
    target_label: str = "Suggested target",
) -> Chart:
    """Bars from the base to the target; the scale's beginning is written under it and cut into the long bars.

    The contributions are drawn in the order given and must add up: ``base + sum = target`` (up to rounding).
    """
    floor = waterfall_floor(base, contributions, target)
    running = base
    high = max(base, target)
    for one in contributions:
        running += one.amount
        high = max(high, running)
    label = _label_width(base_label, target_label, contributions)
    left_edge = label + _GAP
    x = Linear(floor, max(high, floor + 1e-9), left_edge, _RIGHT)
    height = _ROW * (len(contributions) + 2) + 24
    parts: list[str] = []
    parts += _total(0, base_label, base, x, label)
    running = base
    for index, one in enumerate(contributions, start=1):
        begin, running = running, running + one.amount
        left, right = sorted((x(begin), x(running)))
        top = index * _ROW + 5
        kind = "up" if one.amount > 0 else "down" if one.amount < 0 else "base"
        tip = f"{one.label}: {points(one.amount)} points"
        parts.append(element("line", class_="connector", x1=x(begin), x2=x(begin), y1=top - 9, y2=top + _BAR))
        parts.append(
            element(
                "rect",
                title(tip),
                class_=kind,
                x=left,
                y=top,
                width=max(1.5, right - left),
                height=_BAR,
                rx=2,
            )
        )
        parts.append(words(label, top + 13, fit(one.label, label - 6), anchor="end", tip=one.label))
        parts.append(words(right + 7, top + 13, points(one.amount), class_="strong halo"))
    parts += _total(len(contributions) + 1, target_label, target, x, label)
    if floor > 0:
        parts.append(words(left_edge, height - 5, f"the scale begins at {percent(floor)}"))
    alternative = (
        f"{base_label} {percent(base)}; "
        + "; ".join(f"{one.label} {points(one.amount)}" for one in contributions)
        + f"; {target_label} {percent(target)}. The scale begins at {percent(floor)}."
    )
    rows = (
        (base_label, percent(base)),
        *((one.label, points(one.amount)) for one in contributions),
        (target_label, percent(target)),
    )
    table = ChartTable(("Part", "Points of availability"), rows)
    return Chart(document(_WIDTH, height, parts, label=alternative), alternative, table)


def _label_width(base_label: str, target_label: str, contributions: Sequence[Contribution]) -> float:
    bold = [text_width(text) * BOLD for text in (base_label, target_label)]
    widths = [*bold, *(text_width(one.label) for one in contributions)]
    return min(_WIDEST, max(_NARROWEST, max(widths) + 8))


def _total(row: int, label: str, value: float, x: Linear, label_width: float) -> list[str]:
    top = row * _ROW + 5
    left = x.start
    right = max(x(value), left + 2)
    parts = [
        words(
            label_width,
            top + 13,
            fit(label, (label_width - 6) / BOLD),
            anchor="end",
            class_="strong",
            tip=label,
        ),
        element("rect", class_="base", x=left, y=top, width=right - left, height=_BAR, rx=2),
    ]
    if x.low > 0 and right - left > 30:
        cut = f"M{left + 12:.0f} {top + _BAR + 2:.0f}l5 -{_BAR + 4:.0f}"
        parts.append(element("path", class_="cut", d=cut))
    text = percent_number(value)
    inside = right + 7 + text_width(text) > _WIDTH
    parts.append(
        words(
            right - 7 if inside else right + 7,
            top + 13,
            text,
            anchor="end" if inside else "start",
            class_="strong halo",
        )
    )
    return parts
