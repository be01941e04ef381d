"""Turns Prometheus' matrices into bins, and leaves out what cannot be true."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from apps.telemetry.clients.base import BucketBins, CountBins, PercentileBins
from apps.telemetry.clients.errors import BadAnswer

#: ``increase`` stretches each series on its own, so a failed count may pass its total by a little without
#: being wrong.
EXTRAPOLATION_SLACK = 0.02
EXTRAPOLATION_SLACK_REQUESTS = 0.5
#: The extra millisecond of the window stretches whole numbers by up to 3e-7; what is that near to one is that
#: one.
_WHOLE_WITHIN = 1e-6

type Values = dict[int, float]


@dataclass(slots=True)
class Series:
    """One series of an answer: its labels, and its values by the instant of evaluation."""

    labels: dict[str, str]
    values: Values


def series_of(data: Any, url: str) -> Iterator[Series]:
    """Read the ``data`` of a range or instant query.

    Raises:
        BadAnswer: the shape is not that of a vector or a matrix.
    """
    try:
        for row in data["result"]:
            points = row["values"] if "values" in row else [row["value"]]
            yield Series(
                labels={str(name): str(value) for name, value in row["metric"].items()},
                values={int(at): float(value) for at, value in points},
            )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise BadAnswer(
            f"{url} answered with something that is neither a vector nor a matrix ({error!r})."
        ) from error


@dataclass(slots=True)
class CountAssembly:
    """Collects the totals and failures of one service or edge, then makes bins of them."""

    total: Values = field(default_factory=dict)
    bad: Values = field(default_factory=dict)
    partial: set[int] = field(default_factory=set)

    def bins(self, step_seconds: int) -> CountBins:
        """Make bins; a failed count that is absent is zero, a total that is absent is a gap."""
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
    """Why so many requests and failures cannot be, in words that follow "hours with"; empty where they can."""
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
    """The whole number that the window's extra millisecond has stretched a little, or the value as it is."""
    nearest = round(value)
    return float(nearest) if abs(value - nearest) <= _WHOLE_WITHIN * max(1.0, value) else value


def bucket_bins(by_bound: Mapping[float, Values], step_seconds: int) -> tuple[BucketBins, int]:
    """Make histograms from the values per bound (ms).

    Returns:
        The bins, and how many were left out: without an infinite bound, with negative or not finite counts,
        or with cumulative counts that fall.
    """
    made = BucketBins(step_seconds)
    implausible = 0
    bounds = sorted(by_bound)
    for ends_at in sorted(set().union(*by_bound.values())) if by_bound else ():
        present = [bound for bound in bounds if ends_at in by_bound[bound]]
        counts = [by_bound[bound][ends_at] for bound in present]
        rising = _rising(counts)
        if not present or present[-1] != math.inf or rising is None:
            implausible += 1
            continue
        made.at.append(ends_at - step_seconds)
        made.bounds_ms.append(tuple(present))
        made.cumulative.append([whole(count) for count in rising])
    return made, implausible


def _rising(counts: list[float]) -> list[float] | None:
    """Level the small falls that extrapolation makes; ``None`` where the counts cannot be cumulative."""
    highest = 0.0
    rising: list[float] = []
    for count in counts:
        if not math.isfinite(count) or count < 0.0:
            return None
        if count * (1.0 + EXTRAPOLATION_SLACK) + EXTRAPOLATION_SLACK_REQUESTS < highest:
            return None
        highest = max(highest, count)
        rising.append(highest)
    return rising


def percentile_bins(
    by_percentile: Mapping[int, Values], step_seconds: int, factor: float
) -> tuple[PercentileBins, int]:
    """Make bins from the values per percentile (50, 95, 99); ``factor`` turns them into milliseconds.

    A value that is negative or not finite is no value: gauges say NaN when a bin had no request.

    Returns:
        The bins, and how many were left out because a percentile was below a smaller one.
    """
    made = PercentileBins(step_seconds)
    implausible = 0
    for ends_at in sorted(set().union(*by_percentile.values())) if by_percentile else ():
        row = [_latency(by_percentile.get(number, {}).get(ends_at), factor) for number in (50, 95, 99)]
        if row == [None, None, None]:
            continue
        if _falls([value for value in row if value is not None]):
            implausible += 1
            continue
        made.at.append(ends_at - step_seconds)
        made.p50_ms.append(row[0])
        made.p95_ms.append(row[1])
        made.p99_ms.append(row[2])
    return made, implausible


def _falls(values: list[float]) -> bool:
    """Whether a value is below the one before by more than the estimates of percentiles are apart."""
    return any(after * (1.0 + EXTRAPOLATION_SLACK) < before for before, after in pairwise(values))


def _latency(value: float | None, factor: float) -> float | None:
    if value is None or not math.isfinite(value) or value < 0.0:
        return None
    return value * factor
