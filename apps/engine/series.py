"""Counts as the engine may see them: cut at ``as_of``, implausible bins removed, gaps marked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from apps.engine.types import CountSeries, Floats

DAY_SECONDS = 86_400
_EXCESS_TOLERANCE = 1e-9
"""``bad`` may exceed ``total`` by this share: counts that were computed from ratios have rounding errors."""


@dataclass(frozen=True, slots=True)
class ObservedCounts:
    """The part of a :class:`CountSeries` that has data, on its own regular grid.

    ``total`` and ``bad`` have shape ``(n,)`` and hold ``nan`` in gaps; ``present`` marks the bins with data. The first
    and the last bin have data. ``as_of`` is where the reading was cut. The arrays are read-only: they may be those of
    the series.
    """

    start: int
    step_seconds: int
    as_of: int
    total: Floats
    bad: Floats
    present: NDArray[np.bool_]
    implausible_bins: int

    @property
    def end(self) -> int:
        """End of the newest bin with data, in Unix seconds."""
        return self.start + self.total.size * self.step_seconds

    @property
    def starts(self) -> NDArray[np.int64]:
        """Beginning of every bin, gaps too, in Unix seconds: shape ``(n,)``."""
        return self.start + self.step_seconds * np.arange(self.total.size, dtype=np.int64)

    @property
    def span_days(self) -> float:
        """Days from the first to the last bin with data."""
        return (self.end - self.start) / DAY_SECONDS

    @property
    def days(self) -> float:
        """Days of data: the span, but no more than twice the time that bins cover.

        Without that cap, two bins a month apart would count as a month of history.
        """
        covered = float(np.count_nonzero(self.present)) * self.step_seconds / DAY_SECONDS
        return min(self.span_days, 2.0 * covered)

    @property
    def dense_total(self) -> Floats:
        """Totals of the bins with data, in order of time; read-only."""
        return self.total if self.present.all() else self.total[self.present]

    @property
    def dense_bad(self) -> Floats:
        """Failures of the bins with data, in order of time; read-only."""
        return self.bad if self.present.all() else self.bad[self.present]

    @property
    def requests(self) -> float:
        """All requests seen."""
        return float(self.dense_total.sum())

    @property
    def failures(self) -> float:
        """All failed requests seen."""
        return float(self.dense_bad.sum())

    @property
    def availability(self) -> float | None:
        """Good requests over all requests (event-weighted), ``None`` without a request."""
        requests = self.requests
        return None if requests <= 0 else 1.0 - self.failures / requests


def observe(series: CountSeries | None, as_of: int) -> ObservedCounts | None:
    """Read a series up to ``as_of``: only bins that ended by then, only plausible ones.

    A bin is implausible when a count is negative or more requests failed than were made; it becomes a gap and is
    counted. Returns ``None`` when nothing is left.
    """
    if series is None or series.step_seconds <= 0:
        return None
    complete = max(0, (as_of - series.start) // series.step_seconds)
    total, bad = (
        np.asarray(each if complete >= each.size else each[:complete], dtype=np.float64)
        for each in (series.total, series.bad)
    )
    # Failures between 0 and a finite total are finite, and such a total is not negative.
    with np.errstate(invalid="ignore"):
        plausible = np.isfinite(total) & (bad >= 0) & (bad <= total * (1 + _EXCESS_TOLERANCE))
    if plausible.size and plausible.all():
        # Nothing to remove, which is the usual case.
        return ObservedCounts(
            series.start, series.step_seconds, as_of, total, np.minimum(bad, total), plausible, 0
        )
    where = np.flatnonzero(plausible)
    if where.size == 0:
        return None
    first, last = int(where[0]), int(where[-1]) + 1
    present = plausible[first:last]
    known = np.isfinite(total) & np.isfinite(bad)
    return ObservedCounts(
        start=series.start + first * series.step_seconds,
        step_seconds=series.step_seconds,
        as_of=as_of,
        total=np.where(present, total[first:last], np.nan),
        bad=np.where(present, np.minimum(bad, total)[first:last], np.nan),
        present=present,
        implausible_bins=int(np.count_nonzero(known & ~plausible)),
    )


def align(counts: ObservedCounts | None, grid: ObservedCounts) -> tuple[Floats, Floats] | None:
    """Put ``counts`` on the bins of ``grid``; bins that ``counts`` does not cover are ``nan``.

    Finer bins are summed where their width divides the grid's. Returns ``None`` when the two do not fit (coarser or
    shifted bins) or do not overlap.
    """
    if counts is None or grid.step_seconds % counts.step_seconds:
        return None
    offset = counts.start - grid.start
    if offset % counts.step_seconds:
        return None
    if offset == 0 and counts.step_seconds == grid.step_seconds and counts.total.size == grid.total.size:
        # With the same bins, gaps are nan already.
        return (counts.total, counts.bad) if counts.present.any() else None
    fine_per_bin = grid.step_seconds // counts.step_seconds
    at = offset // counts.step_seconds + np.arange(counts.total.size)
    bins = at // fine_per_bin
    inside = counts.present & (bins >= 0) & (bins < grid.total.size)
    if not inside.any():
        return None
    size = grid.total.size
    bins = bins[inside]
    seen = np.bincount(bins, minlength=size) > 0
    total = np.where(seen, np.bincount(bins, weights=counts.total[inside], minlength=size), np.nan)
    bad = np.where(seen, np.bincount(bins, weights=counts.bad[inside], minlength=size), np.nan)
    return total, bad


def daily(*sources: ObservedCounts | None) -> tuple[int, Floats, Floats] | None:
    """Sum to whole UTC days: ``(first day, total, bad)`` with ``nan`` for days without data.

    The first source that knows a day is used. A day counts only when it had ended by ``as_of``.
    """
    known = [source for source in sources if source is not None]
    if not known:
        return None
    first = min(source.start for source in known) // DAY_SECONDS
    last = max(min(source.end + DAY_SECONDS - 1, source.as_of) // DAY_SECONDS for source in known)
    size = last - first
    if size <= 0:
        return None
    total, bad = np.full(size, np.nan), np.full(size, np.nan)
    for source in known:
        at = source.starts // DAY_SECONDS - first
        inside = source.present & (at >= 0) & (at < size)
        requests, failures = source.total, source.bad
        if not inside.all():
            at, requests, failures = at[inside], requests[inside], failures[inside]
        seen = np.bincount(at, minlength=size) > 0
        fill = seen & np.isnan(total)
        total = np.where(fill, np.bincount(at, weights=requests, minlength=size), total)
        bad = np.where(fill, np.bincount(at, weights=failures, minlength=size), bad)
    return int(first), total, bad
