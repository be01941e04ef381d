"""The probable next window: past windows, then a fan of chances, and each tier with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from apps.ui.charts.frame import LEFT, WIDTH, line
from apps.ui.charts.kept import kept
from apps.ui.charts.scale import Linear, as_date, spread, ticks_down_from_one
from apps.ui.charts.small import Window
from apps.ui.charts.svg import (
    BOLD,
    Chart,
    ChartTable,
    document,
    element,
    fit,
    fixed,
    points_attribute,
    text_width,
    title,
    words,
)
from apps.ui.format import NO_VALUE, chance_words, day, percent, percent_number

_HEIGHT, _TOP, _BOTTOM = 262.0, 14.0, 230.0
_FOOT = _HEIGHT - 6
_LINE = 14.5
_REACH = 1.5
"""Below the most careful tier the axis continues by at most half as much again."""
_MOST_ROOM = 80.0
"""The most of the past's width that long names may take."""
_BANDS = ("band b3", "band b2", "band b1")


@dataclass(frozen=True, slots=True)
class _Places:
    """Positions from left to right: the axis, the end of the past, the fan's full width and end, the intervals' bars,
    their leaders, and the words.
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
    """A level to compare with: ``observed``, ``dependencies``, ``SLO``."""

    label: str
    value: float


@kept
def next_window(
    tiers: Sequence[TierInterval],
    *,
    past: Sequence[Window] = (),
    references: Sequence[Reference] = (),
    window_days: int = 28,
) -> Chart:
    """Draw past windows as points and, from the last one, a fan with the chances of the next.

    Each band of the fan is between two tiers and says how many windows in 100 are expected to end in it. A past window
    below the middle tier has a square, one below the axis a triangle at its foot. An arrow with the true figure marks a
    level or an interval below the axis.
    """
    ordered = sorted(tiers, key=lambda tier: tier.target)
    known = [window for window in past if window.availability is not None]
    floor = _floor(ordered, known, references)
    lowest = max(0.0, floor - 0.05 * (1 - floor))
    y = Linear(lowest, 1.0, _BOTTOM, _TOP)
    # The axis ends a little below the drawing and not at the next round number, to leave room for the fan.
    ticks = [value for value in ticks_down_from_one(floor) if value >= lowest]
    middle = ordered[len(ordered) // 2] if ordered else None
    alternative = _alternative(ordered, known, references, middle, window_days)
    table = ChartTable(
        ("", "Availability", "90 % interval", "Missed"), _rows(ordered, past, references, window_days)
    )
    names = [_name_of(tier) for tier in ordered]
    drawn = [
        document(
            at.width,
            _HEIGHT,
            _drawing(at, y, ticks, ordered, past, references, window_days),
            label=alternative,
            class_=class_,
        )
        for at, class_ in (
            (_with_room(_WIDE, ticks, names, references), "plot course"),
            (_with_room(_NARROW, ticks, (), ()), "plot stacked"),
        )
    ]
    return Chart(drawn[0], alternative, table, stacked=drawn[1])


def _with_room(
    at: _Places, ticks: Sequence[float], names: Sequence[str], references: Sequence[Reference]
) -> _Places:
    """Return the places, moved so that neither the axis's figures nor the names of the levels are cut."""
    widths = [text_width(name) * BOLD for name in names]
    widths += [text_width(_level_of(one)) for one in references]
    more = min(_MOST_ROOM, max(0.0, max(widths, default=0.0) - (at.width - at.words)))
    left = max([at.left, *(text_width(percent_number(value)) + 8 for value in ticks)])
    return replace(
        at,
        left=left,
        now=at.now - more,
        open=at.open - more,
        end=at.end - more,
        whiskers=at.whiskers - more,
        leaders=at.leaders - more,
        words=at.words - more,
    )


def _name_of(tier: TierInterval) -> str:
    return f"{tier.name} {percent_number(tier.target)}"


def _level_of(one: Reference, *, brief: bool = False) -> str:
    label = one.label.partition(",")[0] if brief else one.label
    return f"{label} {percent_number(one.value)}"


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
    following = f"next {window_days} days"
    parts += _ends(at, tiers, references, y, text_width(following))
    parts += _time(at, past, window_days, following)
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
    """Return the bands from the best to the worst: above the most aggressive tier, then between the tiers."""
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
    marks: list[tuple[float, float]] = []
    below: list[tuple[float, float]] = []
    for window, x in zip(past, xs, strict=True):
        value = window.availability
        if value is None:
            continue
        missed = middle is not None and value < middle.target
        tip = title(f"{_span(window, past)}: {percent(value)}{', missed' if missed else ''}")
        marks.append((x, max(y.end, y(value)) if value >= y.low else _BOTTOM - 4))
        if value < y.low:
            below.append((value, x))
            mark = points_attribute([(x - 4, _BOTTOM - 7), (x + 4, _BOTTOM - 7), (x, _BOTTOM)])
            parts.append(element("polygon", tip, class_="miss", points=mark))
        elif missed:
            parts.append(element("rect", tip, class_="miss", x=x - 3, y=y(value) - 3, width=6, height=6))
        else:
            parts.append(element("circle", tip, class_="dot", cx=x, cy=y(value), r=at.dot))
    return parts + _figures_below(at, below, marks)


def _figures_below(
    at: _Places, below: Sequence[tuple[float, float]], marks: Sequence[tuple[float, float]]
) -> list[str]:
    """Return the figures of windows below the axis, the worst first, where they hide no mark and no other figure."""
    parts: list[str] = []
    taken: list[tuple[float, float, float]] = []
    labelled: set[str] = set()
    for value, x in sorted(below):
        text = percent_number(value)
        half = text_width(text) * BOLD / 2
        middle = min(max(x, at.left + half), at.now - half)
        for level in (_BOTTOM - 11, _BOTTOM - 25)[: 1 if text in labelled else 2]:
            on_a_mark = any(
                abs(mark - middle) < half + 4 and level - 13 < height < level + 4 for mark, height in marks
            )
            on_another = any(
                abs(other - middle) < half + width + 4 and abs(line - level) < _LINE - 1
                for other, width, line in taken
            )
            if not on_a_mark and not on_another:
                parts.append(words(middle, level, text, anchor="middle", class_="strong halo"))
                taken.append((middle, half, level))
                labelled.add(text)
                break
    return parts


def _ends(
    at: _Places, tiers: Sequence[TierInterval], references: Sequence[Reference], y: Linear, following: float
) -> list[str]:
    """Return each tier's interval as a bar with its target, and the names of all levels one under another."""
    parts: list[str] = []
    named: list[tuple[float, float, float, str, str]] = []
    room = at.width - at.words
    for index, tier in enumerate(tiers):
        x = at.whiskers + at.step * index
        top, foot = y(tier.high, clamp=True), y(tier.low, clamp=True)
        tip = title(
            f"{tier.name}: between {percent(tier.low)} and {percent(tier.high)}, with 90 % confidence"
        )
        bar = element(
            "rect", tip, class_="interval", x=x - 3, y=top, width=6, height=max(2.0, foot - top), rx=3
        )
        parts.append(bar)
        if tier.low < y.low:
            parts += [element("path", class_="cut", d=_break(x)), _arrow(x, _BOTTOM + 5, tip)]
        parts.append(element("circle", class_="dot", cx=x, cy=y(tier.target), r=3.5))
        named.append((y(tier.target), -tier.target, x + 5, _name_of(tier), "strong"))
    for one in references:
        text = _level_of(one)
        if text_width(text) > room:
            text = _level_of(one, brief=True)
        named.append((y(one.value, clamp=True), -one.value, at.end + 2, text, ""))
    named.sort(key=lambda item: (item[0], item[1], item[3]))
    levels = spread([item[0] for item in named], _LINE, _TOP, _BOTTOM)
    for (own, value, x, text, style), level in zip(named, levels, strict=True):
        shown = fit(text, room / BOLD if style else room)
        tip = text if shown != text else ""
        if -value < y.low:
            tip = f"{text}: below the axis"
            parts.append(_arrow(at.words - 9, level + 4, title(tip)))
        else:
            leader = points_attribute(
                [(x, own), (max(x, at.leaders), own), (at.words - 8, level), (at.words - 4, level)]
            )
            parts.append(element("polyline", class_="leader", points=leader))
        parts.append(words(at.words, level + 4, shown, class_=style or None, tip=tip))
    cut = [percent_number(tier.low) for tier in tiers if tier.low < y.low]
    if cut:
        text = f"{'bar' if len(cut) == 1 else 'bars'} to {', '.join(dict.fromkeys(cut))}"
        x = max(at.whiskers - 3, (at.now + at.end) / 2 + following / 2 + 9)
        parts.append(words(x, _FOOT, fit(text, at.width - x)))
    return parts


def _arrow(x: float, foot: float, tip: str) -> str:
    """Return an arrow that points below the axis."""
    stem = f"M{fixed(x)} {fixed(foot - 9)}V{fixed(foot - 1)}m-3 -4l3 4l3 -4"
    return element("path", tip, class_="beyond", d=stem)


def _break(x: float) -> str:
    """Return a gap across a bar that continues below the axis."""
    return f"M{fixed(x - 4)} {fixed(_BOTTOM - 8)}l8 -4"


def _time(at: _Places, past: Sequence[Window], window_days: int, following: str) -> list[str]:
    foot = _FOOT
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


def _alternative(
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
