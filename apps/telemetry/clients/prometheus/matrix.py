"""Turns Prometheus' matrices into bins, and leaves out impossible counts."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from apps.telemetry.clients.base import CountBins
from apps.telemetry.clients.errors import BadAnswer
from apps.telemetry.clients.latencies.native_histograms import NativeHistogram, native_histogram

#: ``increase`` extrapolates each series alone, so a count of failures may be a little above its total without being
#: wrong.
EXTRAPOLATION_SLACK = 0.02
EXTRAPOLATION_SLACK_REQUESTS = 0.5
#: The extra millisecond of the window changes whole numbers by up to 3e-7. A value so near to a whole number is that
#: number.
_WHOLE_WITHIN = 1e-6

type Values = dict[int, float]


@dataclass(slots=True)
class Series:
    """One series of an answer: its labels, and its values and native histograms by instant (Unix seconds)."""

    labels: dict[str, str]
    values: Values
    histograms: dict[int, NativeHistogram] = field(default_factory=dict)

    @property
    def newest(self) -> str:
        """The last value as text, or the number of observations in the last histogram."""
        if self.values:
            return f"{self.values[max(self.values)]:g}"
        return f"{self.histograms[max(self.histograms)].count:g} observations" if self.histograms else ""


def series_of(data: Any, url: str) -> Iterator[Series]:
    """Read the ``data`` of a range or instant query.

    Raises:
        BadAnswer: the shape is not that of a vector or a matrix.
    """
    try:
        for row in data["result"]:
            yield Series(
                labels={str(name): str(value) for name, value in row["metric"].items()},
                values={int(at): float(value) for at, value in _points(row, "value")},
                histograms={int(at): native_histogram(sample) for at, sample in _points(row, "histogram")},
            )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise BadAnswer(
            f"{url} answered with something that is neither a vector nor a matrix ({error!r})."
        ) from error


def _points(row: Any, kind: str) -> Any:
    """Return the samples of one kind, from a range (``values``) or an instant (``value``), or none."""
    if f"{kind}s" in row:
        return row[f"{kind}s"]
    if kind in row:
        return [row[kind]]
    if row.keys() & {"value", "values", "histogram", "histograms"}:
        return []
    raise KeyError(kind)


@dataclass(slots=True)
class CountAssembly:
    """Collects the totals and failures of one service or edge, and makes bins from them."""

    total: Values = field(default_factory=dict)
    bad: Values = field(default_factory=dict)
    partial: set[int] = field(default_factory=set)

    def bins(self, step_seconds: int) -> CountBins:
        """Make bins. Without a count of failures a bin has none; without a total it is a gap."""
        made = CountBins(step_seconds)
        for ends_at in sorted(self.total.keys() | self.bad.keys()):
            at = ends_at - step_seconds
            total = self.total.get(ends_at, math.nan)
            bad = self.bad.get(ends_at, 0.0)
            if impossible(total, bad):
                made.implausible.append(at)
                continue
            made.at.append(at)
            made.total.append(whole(total))
            made.bad.append(min(whole(bad), whole(total)))
            made.partial.append(ends_at in self.partial)
        return made


def impossible(total: float, bad: float) -> str:
    """Return why these counts cannot be true, in words that follow "hours with"; empty where they can."""
    if math.isnan(total) or math.isnan(bad):
        return "NaN in place of a count"
    if not (math.isfinite(total) and math.isfinite(bad)):
        return "an infinite count"
    if total < 0.0 or bad < 0.0:
        return "a negative count"
    if bad > total * (1.0 + EXTRAPOLATION_SLACK) + EXTRAPOLATION_SLACK_REQUESTS:
        return "more failures than requests"
    return ""


def whole(value: float) -> float:
    """Round a count that is very near to a whole number."""
    nearest = round(value)
    return float(nearest) if abs(value - nearest) <= _WHOLE_WITHIN * max(1.0, value) else value
