"""Makes the histogram of a bin from the counts of its series, and says what had to be left out.

Series of one service may have different bucket bounds: a rollout changes them, and libraries differ. A sum by bound
then lacks, at each bound, the series that do not have it. So series are separated by their *layout*, the set of their
bounds, and then added up. At a bound that a layout lacks, it counts as many requests as at its bound before, because
at least so many were that fast. Counts at bounds that all layouts share are exact. The others are never too high, so a
percentile can only read too high.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from apps.telemetry.clients.base import Finding, PercentileBins
from apps.telemetry.clients.prometheus.matrix import (
    EXTRAPOLATION_SLACK,
    EXTRAPOLATION_SLACK_REQUESTS,
    Values,
    whole,
)

#: Cumulative counts by bound (ms) of series that have the same bounds, or of several layouts added up.
type Layout = dict[float, float]

NO_END = "no series has a +Inf bucket"
NO_NUMBER = "counts are negative or NaN"
FALLING = "cumulative counts fall"
SERIES_WITHOUT_END = "those of series without a +Inf bucket"
SERIES_WITHOUT_NUMBER = "those of series that count NaN or a negative number"
#: Bounds in another unit: the lowest is at least the first, or the highest at most the second and the lowest the third.
_LONG_MS = 5000.0
_SHORT_MS = 60.0
_TINY_MS = 0.1
_LEAST_BOUNDS = 3
#: How many bounds a finding names.
_BOUNDS_NAMED = 6


@dataclass(slots=True)
class Account:
    """What one metric counts for one service. Keys are the ends of bins.

    Parameters:
        layouts: one or several for each bin.
        shared: bounds that were left out already because not all series have them.
        not_numbers: bins in which series that count NaN or a negative number were left out.
        partial: bins of which the source said that its answer may lack data.
    """

    layouts: dict[int, list[Layout]] = field(default_factory=dict)
    shared: dict[int, frozenset[float]] = field(default_factory=dict)
    not_numbers: set[int] = field(default_factory=set)
    partial: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class HistogramBin:
    """A histogram: ``cumulative[j]`` requests took at most ``bounds_ms[j]``; the last bound is infinite."""

    bounds_ms: tuple[float, ...]
    cumulative: list[float]


@dataclass(slots=True)
class Assembly:
    """Histograms by the start of their bin, and what is known about their quality.

    Parameters:
        impossible: bins that were left out, by reason.
        lacking: bins that lack some of their series, by reason.
        uneven: for bins whose series have different bounds, the bounds that all series have and the other bounds.
        partial: bins of which the source said that its answer may lack data.
    """

    bins: dict[int, HistogramBin] = field(default_factory=dict)
    impossible: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    lacking: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    uneven: dict[int, tuple[frozenset[float], frozenset[float]]] = field(default_factory=dict)
    partial: set[int] = field(default_factory=set)
    metric: str = ""
    label: str = ""
    """The label of the metric that names the service."""

    @classmethod
    def of_totals(cls, totals: Mapping[int, float]) -> Assembly:
        """Make an assembly of a metric before its histograms are read, from the requests of each bin."""
        return cls({at: HistogramBin((math.inf,), [total]) for at, total in totals.items()})

    @property
    def totals(self) -> dict[int, float]:
        """Requests of each bin."""
        return {at: made.cumulative[-1] for at, made in self.bins.items()}

    @property
    def left_out(self) -> frozenset[int]:
        """The bins that were left out."""
        return frozenset().union(*self.impossible.values())

    def findings(self, taken: Collection[int]) -> list[Finding]:
        """Return the findings that concern the bins in ``taken``."""
        found = [
            Finding("histograms_impossible", hours, {"what": what}, subject=what)
            for by_reason in (self.impossible, self.lacking)
            for what, bins in by_reason.items()
            if (hours := bins.intersection(taken))
        ]
        uneven = {at: bounds for at, bounds in self.uneven.items() if at in taken}
        if uneven:
            kept = frozenset.intersection(*(each for each, _ in uneven.values()))
            others = frozenset().union(*(every | some for every, some in uneven.values())) - kept
            detail: dict[str, str | int | float] = {"kept": bounds_text(kept), "dropped": bounds_text(others)}
            found.append(Finding("bounds_shared", set(uneven), detail))
        units = {
            at: unit
            for at, made in self.bins.items()
            if at in taken and (unit := _other_unit(made.bounds_ms))
        }
        if units:
            newest = self.bins[max(units)].bounds_ms
            low, high = (
                f"{bound:,.10g} ms" for bound in (next(one for one in newest if one > 0), newest[-2])
            )
            detail = {"low": low, "high": high, "other": units[max(units)]}
            found.append(Finding("unit_doubtful", set(units), detail))
        return found


def _other_unit(bounds_ms: Sequence[float]) -> str:
    """Return the unit that bounds seem to have if it is not the one that they were read in, or an empty string."""
    finite = [bound for bound in bounds_ms if 0 < bound < math.inf]
    if len(finite) < _LEAST_BOUNDS:
        return ""
    if finite[0] >= _LONG_MS:
        return "ms"
    return "s" if finite[-1] <= _SHORT_MS and finite[0] <= _TINY_MS else ""


def assemble(account: Account, step_seconds: int, leave_out: Collection[int] = ()) -> Assembly:
    """Make the histogram of each bin.

    Parameters:
        leave_out: starts of bins to skip because their counts are implausible.
    """
    made = Assembly(partial={ends_at - step_seconds for ends_at in account.partial})
    for ends_at in sorted(account.layouts):
        at = ends_at - step_seconds
        if at in leave_out:
            continue
        layouts = [layout for layout in account.layouts[ends_at] if math.inf in layout]
        if not layouts:
            made.impossible[NO_END].add(at)
            continue
        if not all(0.0 <= count < math.inf for layout in layouts for count in layout.values()):
            made.impossible[NO_NUMBER].add(at)
            continue
        levelled = _levelled(layouts)
        if levelled is None:
            # Series that go on with other bounds have counts in this bin that are not of all of it.
            levelled = _levelled(_lasting(layouts, account, ends_at, step_seconds))
            if levelled is None:
                made.impossible[FALLING].add(at)
                continue
        if len(layouts) < len(account.layouts[ends_at]):
            made.lacking[SERIES_WITHOUT_END].add(at)
        if ends_at in account.not_numbers:
            made.lacking[SERIES_WITHOUT_NUMBER].add(at)
        made.bins[at] = combined(levelled)
        every = frozenset.intersection(*(frozenset(layout) for layout in levelled))
        others = (_bounds(layouts) - every) | account.shared.get(ends_at, frozenset())
        if others:
            made.uneven[at] = (every, others)
    return made


def combined(layouts: Sequence[Layout]) -> HistogramBin:
    """Add up layouts that each rise. At a bound that a layout lacks, it counts as at its bound before."""
    if len(layouts) == 1:
        (layout,) = layouts
        alone = sorted(layout)
        return HistogramBin(tuple(alone), [whole(layout[bound]) for bound in alone])
    bounds = sorted(_bounds(layouts))
    counts = [0.0] * len(bounds)
    for layout in layouts:
        known = 0.0
        for place, bound in enumerate(bounds):
            known = layout.get(bound, known)
            counts[place] += known
    return HistogramBin(tuple(bounds), [whole(count) for count in counts])


def uneven_bounds(series: Mapping[str, float], factor: float) -> list[tuple[str, ...]]:
    """Return the finite bounds that not every series seems to have, each with its spellings.

    This includes every bound that is spelled in several ways: the numbers do not show whether some series have it
    twice or each series has it once.

    Parameters:
        series: number of series at each bound, by the bound's spelling.
        factor: milliseconds in the metric's unit.
    """
    spellings: dict[float, list[str]] = defaultdict(list)
    for text in sorted(series):
        bound = bound_ms(text, factor)
        if bound is not None:
            spellings[bound].append(text)
    every = sum(series[text] for text in spellings.pop(math.inf, ()))
    if every == 0:
        return []  # without an end there is no histogram
    return [
        tuple(texts)
        for _, texts in sorted(spellings.items())
        if len(texts) > 1 or sum(series[text] for text in texts) != every
    ]


def bound_ms(text: str, factor: float) -> float | None:
    """Read a bound in milliseconds, the same for all its spellings; ``None`` if no latency can have it."""
    try:
        bound = float(text)
    except ValueError:
        return None
    # Bounds are labels: binary noise of the factor must not make two of one.
    return round(bound * factor, 6) if bound >= 0.0 else None


def bounds_text(bounds: Iterable[float]) -> str:
    """Name some bounds, at most :data:`_BOUNDS_NAMED`."""
    ordered = sorted(bounds)
    finite = [f"{bound:,g}" for bound in ordered if bound < math.inf]
    if len(finite) > _BOUNDS_NAMED:
        finite = [*finite[:_BOUNDS_NAMED], f"{len(finite) - _BOUNDS_NAMED} more"]
    words = [f"{', '.join(finite)} ms"] if finite else []
    return " and ".join([*words, *(["+Inf"] if math.inf in ordered else [])])


def percentile_bins(
    by_percentile: Mapping[int, Values], step_seconds: int, factor: float
) -> tuple[PercentileBins, set[int]]:
    """Make bins from the values per percentile (50, 95, 99); ``factor`` is the milliseconds in their unit.

    A negative, infinite or NaN value counts as absent: gauges are NaN when a bin has no request.

    Returns:
        The bins, and the starts of bins that were left out because a percentile was below a smaller one.
    """
    made = PercentileBins(step_seconds)
    impossible: set[int] = set()
    for ends_at in sorted(set().union(*by_percentile.values())) if by_percentile else ():
        row = [_latency(by_percentile.get(number, {}).get(ends_at), factor) for number in (50, 95, 99)]
        if row == [None, None, None]:
            continue
        if _falls([value for value in row if value is not None]):
            impossible.add(ends_at - step_seconds)
            continue
        made.at.append(ends_at - step_seconds)
        made.p50_ms.append(row[0])
        made.p95_ms.append(row[1])
        made.p99_ms.append(row[2])
    return made, impossible


def _bounds(layouts: Iterable[Layout]) -> frozenset[float]:
    return frozenset().union(*layouts)


def _lasting(layouts: Sequence[Layout], account: Account, ends_at: int, step_seconds: int) -> list[Layout]:
    """Return a bin's layouts with only the bounds that the neighbouring bins also have."""
    near = (ends_at - step_seconds, ends_at + step_seconds)
    lasting = _bounds(layouts).intersection(*(_bounds(account.layouts.get(at, layouts)) for at in near))
    return [
        {bound: count for bound, count in layout.items() if bound in lasting or bound == math.inf}
        for layout in layouts
    ]


def _levelled(layouts: Sequence[Layout]) -> list[Layout] | None:
    """Level small falls, which extrapolation causes; return ``None`` where the counts cannot be cumulative."""
    levelled: list[Layout] = []
    for layout in layouts:
        highest = 0.0
        rising: Layout = {}
        for bound in sorted(layout):
            if layout[bound] * (1.0 + EXTRAPOLATION_SLACK) + EXTRAPOLATION_SLACK_REQUESTS < highest:
                return None
            rising[bound] = highest = max(highest, layout[bound])
        levelled.append(rising)
    return levelled


def _falls(values: list[float]) -> bool:
    """Return whether a value is below the one before it by more than the error of estimated percentiles."""
    return any(after * (1.0 + EXTRAPOLATION_SLACK) < before for before, after in pairwise(values))


def _latency(value: float | None, factor: float) -> float | None:
    if value is None or not math.isfinite(value) or value < 0.0:
        return None
    return value * factor
