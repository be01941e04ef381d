"""The hours of each day with data: complete, partial, left out, missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from apps.ui.charts.frame import LEFT, TOP, WIDTH, axis, grid, right_of
from apps.ui.charts.scale import Linear, date_labels
from apps.ui.charts.svg import Chart, ChartTable, document, element, title
from apps.ui.format import day, plural

_HEIGHT = 132.0
_WIDEST_BAR = 18.0
#: The parts of a day's column, from below: the class and the words.
_PARTS = (("whole", "complete"), ("partial", "partial"), ("miss", "left out"))


@dataclass(frozen=True, slots=True)
class DayOfHours:
    """Hours of one UTC day. The rest up to 24 was not read, or is outside the shown time."""

    day: date
    whole: int = 0
    partial: int = 0
    left_out: int = 0

    def counts(self) -> tuple[int, int, int]:
        """The counts in the order of drawing."""
        return self.whole, self.partial, self.left_out

    def words(self) -> str:
        """Return the day's hours in words: ``21 complete, 1 partial, 2 left out``."""
        named = [f"{hours} {word}" for hours, (_, word) in zip(self.counts(), _PARTS, strict=True) if hours]
        return ", ".join(named) or "nothing"


def hours_by_day(days: Sequence[DayOfHours]) -> Chart:
    """Draw one column a day, oldest first. ``days`` has one entry for each day shown."""
    bottom = _HEIGHT - 24
    y = Linear(0, 24, bottom, TOP)
    right = right_of([])
    ticks = (24.0, 12.0, 0.0)
    figures = ["24 h", "12", "0"]
    parts = grid(ticks, figures, y, right)
    width = (right - LEFT) / max(1, len(days))
    bar = min(_WIDEST_BAR, max(1.0, width - 1.5))
    middles = [LEFT + (place + 0.5) * width for place in range(len(days))]
    newest = days[-1].day if days else date.min
    for middle, one in zip(middles, days, strict=True):
        below = 0
        inside = [title(f"{day(one.day, newest)}: {one.words()}")]
        for hours, (kind, _) in zip(one.counts(), _PARTS, strict=True):
            if hours:
                top = y(below + hours)
                inside.append(
                    element("rect", class_=kind, x=middle - bar / 2, y=top, width=bar, height=y(below) - top)
                )
                below += hours
        inside.append(
            element("rect", class_="hover", x=middle - width / 2, y=TOP, width=width, height=bottom - TOP)
        )
        parts.append(element("g", *inside))
    if days:
        parts += date_labels([one.day for one in days], middles, _HEIGHT - 4)
    alternative = _alternative(days)
    rows = tuple((day(one.day, newest), *map(str, one.counts())) for one in days)
    table = ChartTable(("Day (UTC)", "Complete", "Partial", "Left out"), rows)
    svg = document(WIDTH, _HEIGHT, parts, label=alternative, class_="plot")
    return Chart(svg, alternative, table, axis=axis(ticks, figures, y, _HEIGHT))


def _alternative(days: Sequence[DayOfHours]) -> str:
    if not days:
        return "No hours were read."
    whole, partial, left_out = (sum(one.counts()[place] for one in days) for place in range(3))
    missing = 24 * len(days) - whole - partial - left_out
    return (
        f"Hours of {plural(len(days), 'day')}: {whole:,} complete, {partial:,} partial, {left_out:,} left out, "
        f"{missing:,} missing."
    )
