"""What a latency threshold would have cost in the past: windows missed, pages and tickets a month.

A threshold sets a target for a share: so many requests at or under it. With histograms a window is missed where its
percentile, read from its summed buckets, lies above the threshold, which means that more requests than allowed were
slower. Where a source has only percentiles of its bins, bins take the place of requests. Then there are no alerts,
because a rule of one hour would rest on a handful of bins.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from apps.engine.document import Latencies, LatencyPercentile, LatencyTier, LatencyWindow
from apps.engine.latency.thresholds import BINS_SHARE, DAY_SECONDS, HOUR_SECONDS, Histograms
from apps.engine.percentiles import percentiles
from apps.engine.rounding import milliseconds
from apps.engine.types import BucketSeries, Floats, PercentileSeries
from apps.engine.window.backtest import (
    ALERT_DAYS,
    LEAST_ALERT_DAYS,
    MIN_COVERED_SHARE,
    MONTH_DAYS,
    backtest_document,
    day_text,
    past_spans,
)
from apps.engine.window.burn_rate import count_alerts

HOURS_A_DAY = 24
SHARES: Mapping[LatencyPercentile, float] = {"p95_ms": 0.95, "p99_ms": 0.99}

type Offered = dict[LatencyPercentile, list[LatencyTier]]
"""The tiers of each of the two objects that has any, by the object's name."""
type Judged = tuple[str, str, float]
"""First day of a window, the day after its last, and its percentile (``inf``: above the highest bucket)."""


def add_backtests(
    documents: Latencies,
    histograms: Histograms | None,
    series: BucketSeries | None,
    bins: PercentileSeries | None,
    *,
    window_days: int,
    as_of: int,
) -> None:
    """Put a ``backtest`` into each tier of the two ``latency`` objects; objects without tiers stay unchanged.

    ``histograms`` are those of ``series``; ``bins`` count only without them.
    """
    offered: Offered = {}
    for which in SHARES:
        named = documents[which]["tiers"]
        if named:
            offered[which] = list(named.values())
    if offered and histograms is not None and series is not None:
        _of_requests(offered, histograms, series.start, window_days, as_of)
    elif offered and bins is not None:
        for which, tiers in offered.items():
            windows = _bin_windows(bins, which, window_days, as_of)
            for tier in tiers:
                tier["backtest"] = backtest_document(_missed_windows(windows, tier["target"]), None, None)


def over_thresholds(bounds_ms: Floats, cumulative: Floats, thresholds: Floats) -> Floats:
    """Count the requests of each histogram that took longer than each threshold: ``(n, k)`` → ``(thresholds, n)``.

    Within a bucket requests are spread evenly; those above the last finite bound are above every threshold.
    """
    edges = np.concatenate([[0.0], bounds_ms])
    at = np.minimum(np.searchsorted(bounds_ms, thresholds, side="left"), bounds_ms.size - 1)
    width = edges[at + 1] - edges[at]
    inside = np.minimum(1.0, (thresholds - edges[at]) / np.where(width > 0, width, 1.0))
    columns = np.zeros((edges.size, cumulative.shape[0]))
    columns[1:] = cumulative.T
    under = columns[at] + inside[:, None] * (columns[at + 1] - columns[at])
    over: Floats = np.maximum(0.0, columns[-1] - under)
    return over


def _of_requests(offered: Offered, histograms: Histograms, start: int, window_days: int, as_of: int) -> None:
    starts = start + histograms.where * histograms.step_seconds
    hours, rows = _added_up(starts // HOUR_SECONDS, histograms.cumulative)
    days, sums = _added_up(hours // HOURS_A_DAY, rows)
    spans = _spans(int(days[0]), int(starts[-1]) + histograms.step_seconds, window_days, as_of)
    shares = [SHARES[which] for which in offered]
    windows = _request_windows(days, sums, spans, window_days, histograms.bounds_ms, shares)
    offers = [tier for some in offered.values() for tier in some]
    pages: Sequence[float | None] = [None] * len(offers)
    tickets = pages
    if histograms.step_seconds <= HOUR_SECONDS and histograms.span_days >= LEAST_ALERT_DAYS:
        targets = np.repeat(shares, [len(some) for some in offered.values()])
        thresholds = np.array([tier["target"] for tier in offers])
        pages, tickets = _alerts_per_month(
            hours, rows, histograms.bounds_ms, thresholds, targets, window_days
        )
    at = 0
    for found, some in zip(windows, offered.values(), strict=True):
        for tier in some:
            tier["backtest"] = backtest_document(
                _missed_windows(found, tier["target"]), pages[at], tickets[at]
            )
            at += 1


def _added_up(numbers: NDArray[np.int64], rows: Floats) -> tuple[NDArray[np.int64], Floats]:
    """Sum the rows with the same number, such as that of their day; numbers ascend."""
    begins = np.flatnonzero(np.diff(numbers, prepend=numbers[0] - 1))
    if begins.size == numbers.size:
        return numbers, rows
    return numbers[begins], np.add.reduceat(rows, begins, axis=0)


def _spans(first: int, newest_end: int, window_days: int, as_of: int) -> list[tuple[int, int]]:
    """Return the windows to look at, in day numbers: whole days from the first with data to the newest that had
    ended.
    """
    newest = min(newest_end + DAY_SECONDS - 1, as_of) // DAY_SECONDS
    return [(first + start, first + end) for start, end in past_spans(max(0, newest - first), window_days)]


def _request_windows(
    days: NDArray[np.int64],
    sums: Floats,
    spans: Sequence[tuple[int, int]],
    window_days: int,
    bounds_ms: Floats,
    shares: Sequence[float],
) -> list[list[Judged]]:
    """Return for each share the windows that can be judged."""
    if not spans:
        return [[] for _ in shares]
    begins, ends = np.searchsorted(days, np.array(spans)).T
    running = np.zeros((days.size + 1, sums.shape[1]))
    np.cumsum(sums, axis=0, out=running[1:])
    windows = running[ends] - running[begins]
    texts = [(day_text(start), day_text(end)) for start, end in spans]
    kept = np.flatnonzero((windows[:, -1] > 0) & (ends - begins >= MIN_COVERED_SHARE * window_days))
    return [
        [(*texts[at], float(value)) for at, value in zip(kept.tolist(), values, strict=True)]
        for values in percentiles(bounds_ms, windows[kept], shares)
    ]


def _bin_windows(
    bins: PercentileSeries, which: LatencyPercentile, window_days: int, as_of: int
) -> list[Judged]:
    """Return the windows that can be judged, each with the least value that enough of its bins do not exceed."""
    values = np.asarray(bins.p95_ms if which == "p95_ms" else bins.p99_ms, dtype=np.float64)
    starts = np.asarray(bins.at, dtype=np.int64)
    width = HOUR_SECONDS // max(1, bins.bins_per_hour)
    with np.errstate(invalid="ignore"):
        good = np.isfinite(values) & (values >= 0) & (starts + width <= as_of)
    values, starts = values[good], starts[good]
    if values.size == 0:
        return []
    days = starts // DAY_SECONDS
    windows: list[Judged] = []
    for start, end in _spans(int(days[0]), int(starts[-1]) + width, window_days, as_of):
        since, until = np.searchsorted(days, (start, end))
        covered = np.count_nonzero(np.diff(days[since:until])) + 1
        if until > since and covered >= MIN_COVERED_SHARE * window_days:
            at = math.ceil(BINS_SHARE * (until - since) - 1e-9) - 1
            windows.append((day_text(start), day_text(end), float(np.partition(values[since:until], at)[at])))
    return windows


def _missed_windows(windows: Sequence[Judged], threshold: float) -> list[LatencyWindow]:
    return [
        {"start": start, "end": end, "observed": milliseconds(value), "missed": value > threshold}
        for start, end, value in windows
    ]


def _alerts_per_month(
    hours: NDArray[np.int64],
    rows: Floats,
    bounds_ms: Floats,
    thresholds: Floats,
    targets: Floats,
    window_days: int,
) -> tuple[list[float], list[float]]:
    """Count the pages and tickets that each threshold would have raised, hour by hour over the newest days."""
    size = min(int(hours[-1] - hours[0]) + 1, ALERT_DAYS * HOURS_A_DAY)
    at = hours - hours[-1] + size - 1
    since = int(np.searchsorted(at, 0))
    total = np.full(size, np.nan)
    total[at[since:]] = rows[since:, -1]
    over = np.full((thresholds.size, size), np.nan)
    over[:, at[since:]] = over_thresholds(bounds_ms, rows[since:], thresholds)
    pages, tickets = count_alerts(total, over, HOUR_SECONDS, targets, window_days)
    months = size / HOURS_A_DAY / MONTH_DAYS
    return (pages / months).tolist(), (tickets / months).tolist()
