"""What the next window will probably bring: past windows, then a fan of chances, each tier with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from apps.ui.charts.frame import LEFT, WIDTH, line
from apps.ui.charts.scale import Linear, as_date, spread, ticks_down_from_one
from apps.ui.charts.small import Window
from apps.ui.charts.svg import (
    BOLD,
    Chart,
    ChartTable,
    document,
    element,
    fit,
    points_attribute,
    text_width,
    title,
    words,
)
from apps.ui.format import NO_VALUE, chance_words, day, percent, percent_number

_HEIGHT, _TOP, _BOTTOM = 262.0, 14.0, 230.0
_LINE = 14.5
_REACH = 1.5
"""Below the most careful tier the axis goes on by at most half as much again."""
_BANDS = ("band b3", "band b2", "band b1")


@dataclass(frozen=True, slots=True)
class _Places:
    """Where things stand from left to right: the axis, where the past ends, where the fan is open and ends, the bars
    of the intervals, their leaders, and the words.
    """

    left: float
    now: float
    open: float
    end: float
    whiskers: float
    step: float
    leaders: float
    words: float
    width: float
    dot: float


_WIDE = _Places(LEFT, 400.0, 436.0, 520.0, 529.0, 9.0, 552.0, 570.0, WIDTH, dot=2.2)
_NARROW = _Places(36.0, 104.0, 116.0, 172.0, 179.0, 7.0, 197.0, 206.0, 354.0, dot=1.4)


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
    """A level to compare with: ``observed``, ``dependencies``, ``promised``."""

    label: str
    value: float


def next_window(
    tiers: Sequence[TierInterval],
    *,
    past: Sequence[Window] = (),
    references: Sequence[Reference] = (),
    window_days: int = 28,
) -> Chart:
    """Past windows as points, and from the last of them a fan: how likely the next one ends where.

    Each band of the fan lies between two tiers and says how many windows in 100 are expected to end in it. A
    past window below the tier in the middle carries a square; one below the axis a triangle at its foot.
    """
    ordered = sorted(tiers, key=lambda tier: tier.target)
    known = [window for window in past if window.availability is not None]
    floor = _floor(ordered, known, references)
    lowest = max(0.0, floor - 0.05 * (1 - floor))
    y = Linear(lowest, 1.0, _BOTTOM, _TOP)
    # The axis ends a little below what is drawn: the room belongs to the fan, not to the next round number.
    ticks = [value for value in ticks_down_from_one(floor) if value >= lowest]
    middle = ordered[len(ordered) // 2] if ordered else None
    alternative = _said(ordered, known, references, middle, window_days)
    table = ChartTable(
        ("", "Availability", "90 % interval", "Missed"), _rows(ordered, past, references, window_days)
    )
    drawn = [
        document(
            at.width,
            _HEIGHT,
            _drawing(at, y, ticks, ordered, past, references, window_days),
            label=alternative,
            class_=class_,
        )
        for at, class_ in ((_WIDE, "plot course"), (_NARROW, "plot stacked"))
    ]
    return Chart(drawn[0], alternative, table, stacked=drawn[1])


def _drawing(
    at: _Places,
    y: Linear,
    ticks: Sequence[float],
    tiers: Sequence[TierInterval],
    past: Sequence[Window],
    references: Sequence[Reference],
    window_days: int,
) -> list[str]:
    xs = _points_in_time(at, len(past))
    parts = [
        element("line", class_="grid-line", x1=at.left, x2=at.end, y1=y(value), y2=y(value))
        for value in ticks
    ]
    parts += [words(at.left - 6, y(value) + 4, percent_number(value), anchor="end") for value in ticks]
    for one in references:
        if one.value >= y.low:
            level = y(one.value)
            parts.append(element("line", class_="target-line", x1=at.left, x2=at.now, y1=level, y2=level))
    known = [window.availability for window in past if window.availability is not None]
    parts += _fan(at, tiers, known[-1] if known else None, y)
    parts += line([window.availability for window in past], xs, y, "series faint")
    parts += _marks(at, past, xs, y, tiers[len(tiers) // 2] if tiers else None)
    parts += _ends(at, tiers, references, y)
    parts += _time(at, past, window_days)
    return parts


def _floor(tiers: Sequence[TierInterval], past: Sequence[Window], references: Sequence[Reference]) -> float:
    if not tiers:
        return 0.99
    reach = _REACH * max(1 - tiers[0].target, 1e-6)
    values = [
        *(tier.low for tier in tiers),
        *(window.availability for window in past if window.availability is not None),
        *(one.value for one in references),
    ]
    return min([tiers[0].target, *(value for value in values if 1 - value <= reach)])


def _points_in_time(at: _Places, amount: int) -> list[float]:
    scale = Linear(0, max(1, amount - 1), at.left + 6, at.now)
    return [scale(index) if amount > 1 else at.now for index in range(amount)]


def _fan(at: _Places, tiers: Sequence[TierInterval], anchor: float | None, y: Linear) -> list[str]:
    """The bands from the best to the worst: above the boldest tier, then between the tiers."""
    levels = [1.0, *(tier.target for tier in reversed(tiers))]
    chances = [0.0, *(1 - tier.breach_probability for tier in reversed(tiers))]
    parts = []
    for index, (high, low) in enumerate(pairwise(levels)):
        share = round(100 * (chances[index + 1] - chances[index]))
        tip = f"{share} windows in 100 end between {percent(low)} and {percent(high)}"
        corners = [(at.open, y(high)), (at.end, y(high)), (at.end, y(low)), (at.open, y(low))]
        if anchor is not None:
            corners.append((at.now, y(anchor, clamp=True)))
        parts.append(
            element("polygon", title(tip), class_=_BANDS[min(index, 2)], points=points_attribute(corners))
        )
        if y(low) - y(high) >= 13:
            middle = (y(low) + y(high)) / 2 + 4
            parts.append(
                words((at.open + at.end) / 2, middle, f"{share} in 100", anchor="middle", class_="halo")
            )
    return parts


def _marks(
    at: _Places, past: Sequence[Window], xs: Sequence[float], y: Linear, middle: TierInterval | None
) -> list[str]:
    parts: list[str] = []
    taken = -1e9
    for window, x in zip(past, xs, strict=True):
        value = window.availability
        if value is None:
            continue
        missed = middle is not None and value < middle.target
        tip = title(f"{_span(window, past)}: {percent(value)}{', missed' if missed else ''}")
        if value < y.low:
            mark = points_attribute([(x - 4, _BOTTOM - 7), (x + 4, _BOTTOM - 7), (x, _BOTTOM)])
            parts.append(element("polygon", tip, class_="miss", points=mark))
            text = percent_number(value)
            if x - text_width(text) * BOLD - 8 > taken:
                parts.append(words(x - 7, _BOTTOM - 3, text, anchor="end", class_="strong halo"))
                taken = x + 4
        elif missed:
            parts.append(element("rect", tip, class_="miss", x=x - 3, y=y(value) - 3, width=6, height=6))
        else:
            parts.append(element("circle", tip, class_="dot", cx=x, cy=y(value), r=at.dot))
    return parts


def _ends(
    at: _Places, tiers: Sequence[TierInterval], references: Sequence[Reference], y: Linear
) -> list[str]:
    """Each tier's interval as a bar with its target on it, and the names of all levels one under the other."""
    parts: list[str] = []
    named: list[tuple[float, float, str, str]] = []
    for index, tier in enumerate(tiers):
        x = at.whiskers + at.step * index
        top, foot = y(tier.high, clamp=True), y(tier.low, clamp=True)
        tip = title(
            f"{tier.name}: between {percent(tier.low)} and {percent(tier.high)}, with 90 % confidence"
        )
        bar = element(
            "rect", tip, class_="interval", x=x - 3, y=top, width=6, height=max(2.0, foot - top), rx=3
        )
        parts += [bar, element("circle", class_="dot", cx=x, cy=y(tier.target), r=3.5)]
        named.append((y(tier.target), x + 5, f"{tier.name} {percent_number(tier.target)}", "strong"))
    named += [
        (y(one.value, clamp=True), at.end + 2, f"{one.label} {percent_number(one.value)}", "")
        for one in references
    ]
    named.sort(key=lambda item: (item[0], item[2]))
    levels = spread([item[0] for item in named], _LINE, _TOP, _BOTTOM)
    for (own, x, text, style), level in zip(named, levels, strict=True):
        leader = points_attribute(
            [(x, own), (max(x, at.leaders), own), (at.words - 8, level), (at.words - 4, level)]
        )
        parts.append(element("polyline", class_="leader", points=leader))
        room = at.width - at.words
        shown = fit(text, room / BOLD if style else room)
        parts.append(
            words(at.words, level + 4, shown, class_=style or None, tip=text if shown != text else "")
        )
    return parts


def _time(at: _Places, past: Sequence[Window], window_days: int) -> list[str]:
    foot = _HEIGHT - 6
    following = f"next {window_days} days"
    parts = [words((at.now + at.end) / 2, foot, following, anchor="middle")]
    between = (at.left + at.now) / 2
    if not past:
        none = f"no past {window_days} days yet"
        if text_width(none) <= at.now - at.left:
            parts.append(words(between, (_TOP + _BOTTOM) / 2, none, anchor="middle"))
    else:
        newest = as_date(past[-1].end)
        edge = (at.now + at.end) / 2 - text_width(following) / 2 - 10
        until = f"to {day(newest, newest)}"
        begun = f"{window_days} days to {day(as_date(past[0].end), newest)}"
        end = min(at.now, edge)
        parts.append(words(end, foot, until, anchor="end"))
        if len(past) > 1 and at.left + text_width(begun) + 10 < end - text_width(until):
            parts.append(words(at.left, foot, begun))
    return parts


def _span(window: Window, past: Sequence[Window]) -> str:
    newest = as_date(past[-1].end)
    return f"{day(as_date(window.start), newest)} to {day(as_date(window.end), newest)}"


def _said(
    tiers: Sequence[TierInterval],
    past: Sequence[Window],
    references: Sequence[Reference],
    middle: TierInterval | None,
    window_days: int,
) -> str:
    text = f"The next {window_days} days. " + "; ".join(
        f"{tier.name} {percent(tier.target)}, missed {chance_words(tier.breach_probability, window_days)}, "
        f"between {percent(tier.low)} and {percent(tier.high)}"
        for tier in tiers
    )
    text += "".join(f"; {one.label} {percent(one.value)}" for one in references) + "."
    if past and middle is not None:
        values = [window.availability for window in past if window.availability is not None]
        missed = sum(value < middle.target for value in values)
        text += (
            f" {len(values)} past windows lay between {percent(min(values))} and {percent(max(values))}; "
            f"{missed} of them below {middle.name.lower()}."
        )
    return text


def _rows(
    tiers: Sequence[TierInterval],
    past: Sequence[Window],
    references: Sequence[Reference],
    window_days: int,
) -> tuple[tuple[str, ...], ...]:
    rows = [
        (
            tier.name,
            percent(tier.target),
            f"{percent_number(tier.low)} to {percent_number(tier.high)}",
            chance_words(tier.breach_probability, window_days),
        )
        for tier in tiers
    ]
    rows += [(one.label.capitalize(), percent(one.value), NO_VALUE, NO_VALUE) for one in references]
    for window in past:
        value = window.availability
        below = [tier.name.lower() for tier in tiers if value is not None and value < tier.target]
        rows.append((_span(window, past), percent(value), NO_VALUE, ", ".join(below) or "none"))
    return tuple(rows)
