"""The parts of a target: its base, the contributions, and their sum."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.safestring import SafeString

from apps.ui.charts.kept import kept
from apps.ui.charts.scale import Linear, nice_step
from apps.ui.charts.svg import BOLD, Chart, ChartTable, document, element, fit, text_width, title, words
from apps.ui.format import percent, percent_number, points

_WIDTH, _RIGHT, _ROW, _BAR = 720.0, 650.0, 27.0, 18.0
_NARROWEST, _WIDEST, _GAP = 120.0, 300.0, 10.0
"""The column of labels is as wide as its longest label, within these bounds."""
_STACKED_WIDTH, _STACKED_ROW, _STACKED_BAR = 320.0, 38.0, 14.0
"""On a narrow screen a label and its figure are above their bar, which has the whole width."""


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one feature adds to the base, as a ratio (−0.0002 is −0.02 points)."""

    label: str
    amount: float


def waterfall_floor(base: float, contributions: Sequence[Contribution], target: float) -> float:
    """Return the start of the scale: a round value a little below everything drawn, never below 0."""
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


@kept
def waterfall(
    base: float,
    contributions: Sequence[Contribution],
    target: float,
    *,
    base_label: str = "Base",
    target_label: str = "Suggested target",
) -> Chart:
    """Draw bars from the base to the target. The scale's start is named under it and cut into the long bars.

    The contributions are drawn in the given order and must add up: ``base + sum = target`` (up to rounding).
    """
    floor = waterfall_floor(base, contributions, target)
    steps = _steps(base, contributions, target, base_label, target_label)
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
    return Chart(
        _beside(steps, floor, alternative), alternative, table, stacked=_stacked(steps, floor, alternative)
    )


@dataclass(frozen=True, slots=True)
class _Step:
    """One bar from ``begin`` to ``end``. A total begins at the start of the scale."""

    label: str
    text: str
    begin: float
    end: float
    is_total: bool = False

    @property
    def kind(self) -> str:
        if self.is_total or self.end == self.begin:
            return "base"
        return "up" if self.end > self.begin else "down"


def _steps(
    base: float, contributions: Sequence[Contribution], target: float, base_label: str, target_label: str
) -> list[_Step]:
    found = [_Step(base_label, percent_number(base), base, base, is_total=True)]
    running = base
    for one in contributions:
        found.append(_Step(one.label, points(one.amount), running, running + one.amount))
        running += one.amount
    return [*found, _Step(target_label, percent_number(target), running, target, is_total=True)]


def _scale(steps: Sequence[_Step], floor: float, left: float, right: float) -> Linear:
    return Linear(floor, max(*(step.end for step in steps), floor + 1e-9), left, right)


def _beside(steps: Sequence[_Step], floor: float, alternative: str) -> SafeString:
    """Draw labels in their own column left of the bars, and figures right of them."""
    label = _label_width(steps)
    x = _scale(steps, floor, label + _GAP, _RIGHT)
    height = _ROW * len(steps) + 24
    parts: list[str] = []
    for index, step in enumerate(steps):
        top = index * _ROW + 5
        parts += _bar(step, x, top, _BAR, join=9)
        room = label - 6
        shown = fit(step.label, room / BOLD if step.is_total else room)
        style = "strong" if step.is_total else None
        parts.append(words(label, top + 13, shown, anchor="end", class_=style, tip=step.label))
        right = max(x(step.begin), x(step.end))
        inside = step.is_total and right + 7 + text_width(step.text) > _WIDTH
        at = right - 7 if inside else right + 7
        parts.append(
            words(at, top + 13, step.text, anchor="end" if inside else "start", class_="strong halo")
        )
    if floor > 0:
        parts.append(words(x.start, height - 5, f"the scale begins at {percent(floor)}"))
    return document(_WIDTH, height, parts, label=alternative)


def _stacked(steps: Sequence[_Step], floor: float, alternative: str) -> SafeString:
    """Draw labels and figures above the bars."""
    x = _scale(steps, floor, 0, _STACKED_WIDTH)
    height = _STACKED_ROW * len(steps) + 20
    parts: list[str] = []
    for index, step in enumerate(steps):
        top = index * _STACKED_ROW
        parts += _bar(step, x, top + 17, _STACKED_BAR, join=_STACKED_ROW - _STACKED_BAR)
        room = _STACKED_WIDTH - text_width(step.text) * BOLD - 12
        shown = fit(step.label, room / BOLD if step.is_total else room)
        style = "strong halo" if step.is_total else "halo"
        parts.append(words(0, top + 12, shown, class_=style, tip=step.label))
        parts.append(words(_STACKED_WIDTH, top + 12, step.text, anchor="end", class_="strong halo"))
    if floor > 0:
        parts.append(words(0, height - 5, f"the scale begins at {percent(floor)}"))
    return document(_STACKED_WIDTH, height, parts, label=alternative, class_="plot stacked")


def _bar(step: _Step, x: Linear, top: float, height: float, *, join: float) -> list[str]:
    """Return a step's bar, cut where the scale does not begin at 0. ``join`` connects it to the bar before."""
    left, right = sorted((x.start if step.is_total else x(step.begin), x(step.end)))
    width = max(2.0 if step.is_total else 1.5, right - left)
    parts = []
    if not step.is_total:
        begin = x(step.begin)
        parts.append(element("line", class_="connector", x1=begin, x2=begin, y1=top - join, y2=top + height))
    inside = () if step.is_total else (title(f"{step.label}: {step.text} points"),)
    parts.append(element("rect", *inside, class_=step.kind, x=left, y=top, width=width, height=height, rx=2))
    if step.is_total and x.low > 0 and width > 30:
        cut = f"M{left + 12:.0f} {top + height + 2:.0f}l5 -{height + 4:.0f}"
        parts.append(element("path", class_="cut", d=cut))
    return parts


def _label_width(steps: Sequence[_Step]) -> float:
    widths = [text_width(step.label) * (BOLD if step.is_total else 1.0) for step in steps]
    return min(_WIDEST, max(_NARROWEST, max(widths) + 8))
