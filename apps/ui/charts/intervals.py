"""The three tiers on one axis, each with its interval, beside what was observed and what dependencies
support.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from apps.ui.charts.scale import Linear
from apps.ui.charts.svg import (
    BOLD,
    Anchor,
    Chart,
    ChartTable,
    document,
    element,
    fit,
    text_width,
    title,
    words,
)
from apps.ui.format import chance_words, percent, percent_number

_WIDTH, _LABEL, _LEFT, _RIGHT, _ROW = 720.0, 116.0, 128.0, 640.0, 32.0


@dataclass(frozen=True, slots=True)
class TierInterval:
    """One tier: its target, its interval (both ratios) and the chance to miss it in one window."""

    name: str
    target: float
    low: float
    high: float
    breach_probability: float


@dataclass(frozen=True, slots=True)
class Reference:
    """A vertical line to compare with: ``observed``, ``dependencies support``, ``active SLO``."""

    label: str
    value: float


def tier_intervals(
    tiers: Sequence[TierInterval], *, references: Sequence[Reference] = (), window_days: int = 28
) -> Chart:
    """A row for each tier: the interval as a band, the target as a dot with its number."""
    values = [v for tier in tiers for v in (tier.low, tier.high, tier.target)] + [
        one.value for one in references
    ]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    pad = max((high - low) * 0.06, 1e-6)
    x = Linear(low - pad, min(1.0, high + pad), _LEFT, _RIGHT)
    marked = sorted(references, key=lambda one: (one.value, one.label))
    lines = _reference_rows(marked, x)
    head = 16.0 * (max((row for row, _ in lines), default=-1) + 1) + 6
    bottom = head + _ROW * len(tiers)
    parts: list[str] = []
    for one, (row, text) in zip(marked, lines, strict=True):
        at = x(one.value)
        parts.append(element("line", class_="target-line", x1=at, x2=at, y1=16 * row + 16, y2=bottom))
        anchor = _anchor(at, text_width(text))
        parts.append(words(at, 16 * row + 12, text, anchor=anchor))
    for index, tier in enumerate(tiers):
        middle = head + _ROW * index + _ROW / 2
        tip = f"{tier.name}: {percent(tier.low)} to {percent(tier.high)}"
        parts.append(element("line", class_="grid-line", x1=_LEFT, x2=_RIGHT, y1=middle, y2=middle))
        parts.append(
            element(
                "rect",
                title(tip),
                class_="interval",
                x=x(tier.low),
                y=middle - 6,
                width=max(2.0, x(tier.high) - x(tier.low)),
                height=12,
                rx=3,
            )
        )
        parts.append(element("circle", class_="dot", cx=x(tier.target), cy=middle, r=4.5))
        parts.append(words(_LABEL, middle + 4, fit(tier.name, _LABEL / BOLD), anchor="end", class_="strong"))
        parts.append(words(_RIGHT + 10, middle + 4, percent_number(tier.target), class_="strong"))
    height = bottom + 20
    parts.append(words(_LEFT, height - 4, f"{percent_number(x.low)}"))
    parts.append(words(_RIGHT, height - 4, f"{percent_number(x.high)}", anchor="end"))
    alternative = "; ".join(
        f"{tier.name} {percent(tier.target)}, between {percent(tier.low)} and {percent(tier.high)}"
        for tier in tiers
    )
    alternative += "".join(f"; {one.label} {percent(one.value)}" for one in marked) + "."
    rows = tuple(
        (
            tier.name,
            percent(tier.target),
            f"{percent_number(tier.low)} to {percent_number(tier.high)}",
            chance_words(tier.breach_probability, window_days),
        )
        for tier in tiers
    )
    table = ChartTable(("Tier", "Target", "90 % interval", "Missed"), rows)
    return Chart(document(_WIDTH, height, parts, label=alternative), alternative, table)


def _anchor(at: float, width: float) -> Anchor:
    if at - width / 2 < 0:
        return "start"
    return "end" if at + width / 2 > _WIDTH else "middle"


def _reference_rows(references: Sequence[Reference], x: Linear) -> list[tuple[int, str]]:
    """The row for each reference's words, so that none overlap."""
    ends: list[float] = []
    rows: list[tuple[int, str]] = []
    for one in references:
        text = f"{one.label} {percent_number(one.value)}"
        half = text_width(text) / 2 + 6
        row = next((index for index, end in enumerate(ends) if x(one.value) - half > end), len(ends))
        if row == len(ends):
            ends.append(0.0)
        ends[row] = x(one.value) + half
        rows.append((row, text))
    return rows
