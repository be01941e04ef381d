"""The features of latency: what histograms of the past show that matters for the next window's p95 and p99.

There are two kinds: percentiles read from buckets summed over hours, days, weeks and months (never averaged); and the
requests above the bucket bound near the percentile, hour by hour, which separate incidents from the everyday level.
Percentiles are natural logarithms of milliseconds, relative to that of the whole history.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from apps.engine.forecast.changes import CHANGE_FEATURES, Changes, changes
from apps.engine.forecast.latency_pieces import REPLICATES, blocks, by_hour, resampled
from apps.engine.forecast.requests import Load
from apps.engine.percentiles import percentiles
from apps.engine.running_sums import running_sums, sums_of_stretches
from apps.engine.sorted_quantiles import middle_of
from apps.engine.types import Floats

LOOK_BACK_DAYS = 90
"""Older hours are ignored, because services change."""
SHARES = (0.95, 0.99)
SUFFIX_DAYS = (0.25, 1, 3, 7, 14, 28)
LEAST_MS = 1e-3
"""No percentile is read as less than a microsecond."""
ABOVE_TOP = 1.5
"""Where a figure must be finite, what lies above the highest bound counts as this many times that bound."""
INCIDENT_RATIO = 4.0
INCIDENT_SIGMA = 6.0
INCIDENT_PART = 0.05

LATENCY_FEATURES = (
    "is_p99", "window_above", "days", "coverage", "window_days", "history_above",
    "bucket_width", "bucket_place", "tail_here", "tail_above", "tail_below", "room", "above_top",
    "over_median", "p99_over_p95", "bound_share",
    "last_6h", "last_day", "last_3_days", "last_week", "last_2_weeks", "last_4_weeks",
    "median_last_3_days", "median_last_week", "median_last_4_weeks",
    "day_q10", "day_q25", "day_q50", "day_q75", "day_q90", "day_second", "day_most",
    "week_least", "week_middle", "week_most", "month_least", "month_middle", "month_most", "month_last",
    "daily_spread", "weekly_spread", "monthly_spread", "daily_noise", "day_memory", "two_day_memory",
    "median_daily_spread", "median_day_memory",
    *CHANGE_FEATURES, *(f"median_{name}" for name in CHANGE_FEATURES),
    "hourly_dispersion", "daily_dispersion", "hour_memory", "same_hour_memory",
    "worst_hour_share", "worst_3_hours_share", "worst_12_hours_share", "worst_day_share", "worst_3_days_share",
    "incidents", "incidents_last_4_weeks", "incident_share", "incident_hours", "incident_worst", "incident_mean",
    "incident_age", "worst_age", "ground", "ground_last_week", "with_worst_day", "with_worst_week",
    "load_slope", "load_t", "hour_range",
    "days_q50", "days_q80", "days_q95", "days_q99", "weeks_q50", "weeks_q80", "weeks_q99", "days_sd", "weeks_sd",
    "ahead", "spread",
)  # fmt: skip
"""Names of the columns, in order."""


class Put(Protocol):
    """Takes the next columns: one value for each percentile, or one for all."""

    def __call__(self, *values: Floats | NDArray[np.generic] | float) -> None: ...


@dataclass(frozen=True, slots=True)
class LatencyHistory:
    """Cumulative counts of consecutive bins, ending with the newest: ``(bins, k)``, zeros in bins without data."""

    bounds_ms: Floats
    cumulative: Floats
    is_known: NDArray[np.bool_]
    per_day: int


@dataclass(frozen=True, slots=True)
class LatencyRows:
    """One row for each of :data:`SHARES`.

    ``centre`` and ``spread`` are a rough prediction of the natural logarithm of the next window's percentile and of its
    standard deviation.
    """

    features: Floats
    centre: Floats
    spread: Floats


def latency_rows(history: LatencyHistory, *, window_days: float) -> LatencyRows:
    """Compute the features of both percentiles of a history with requests."""
    bounds, counts, per_day = history.bounds_ms, history.cumulative, history.per_day
    size, width = counts.shape
    total = np.ascontiguousarray(counts[:, -1])
    running = np.zeros((size + 1, width))
    np.cumsum(counts, axis=0, out=running[1:])
    requests = float(running[-1, -1])
    known = max(1, int(np.count_nonzero(history.is_known)))
    allowance = 1 - np.array(SHARES)
    window = requests / known * window_days * per_day

    days = max(1, size // per_day)
    month = max(1, min(28 * per_day, size // 2))
    day_counts = blocks(running, per_day)
    pieces = [
        running[-1:],
        np.stack(
            [running[-1] - running[max(0, size - max(1, round(each * per_day)))] for each in SUFFIX_DAYS]
        ),
        day_counts,
        blocks(running, 7 * per_day),
        running[month :: max(1, per_day)] - running[: -month : max(1, per_day)],
        by_hour(counts, per_day),
        *resampled(day_counts, window_days),
    ]
    reads, medians = _reads(bounds, pieces)
    level, suffixes, day_levels, week_levels, month_levels, hour_levels, drawn_days, drawn_weeks = reads
    level = level[:, 0]
    relative = [each - level[:, None] for each in (suffixes, day_levels, week_levels, month_levels)]
    suffixes, day_levels, week_levels, month_levels = (_known(each) for each in relative)
    middle = float(medians[0][0])
    median_suffixes = _known(medians[1] - middle)
    median_days = _known(medians[2] - middle)

    columns = np.empty((len(LATENCY_FEATURES), len(SHARES)))
    filled = iter(columns)

    def put(*values: Floats | NDArray[np.generic] | float) -> None:
        for value in values:
            next(filled)[:] = value

    put(np.array([0.0, 1.0]), np.log10(window * allowance), size / per_day, known / size, window_days)
    put(np.log10(requests * allowance))
    at, tail = _put_bucket(put, bounds, running[-1], level)
    put(level - middle, float(level[1] - level[0]))
    exceeding = np.ascontiguousarray((total[:, None] - counts[:, at]).T)
    rate = (exceeding.sum(axis=1) + 0.5) / requests
    put(np.log10(rate / allowance))
    put(*suffixes.T, median_suffixes[2], median_suffixes[3], median_suffixes[5])
    ordered = np.sort(day_levels, axis=1)
    put(*(ordered[:, min(days - 1, int(each * days))] for each in (0.1, 0.25, 0.5, 0.75, 0.9)))
    put(ordered[:, max(0, days - 2)], ordered[:, -1])
    put(week_levels.min(axis=1), middle_of(week_levels), week_levels.max(axis=1))
    put(
        month_levels.min(axis=1),
        middle_of(month_levels),
        month_levels.max(axis=1),
        month_levels[:, -1],
    )
    noise = np.sqrt(SHARES / (requests / known * per_day * allowance)) / tail
    memory, two_days = _correlations(day_levels, (1, 2))
    put(day_levels.std(axis=1), week_levels.std(axis=1), month_levels.std(axis=1), noise)
    put(memory, two_days, float(median_days.std()), *_correlations(median_days[None], (1,)))
    found = changes(np.concatenate([day_levels, median_days[None]]), window_days)
    for column in found.columns:
        put(column[: len(SHARES)])
    for column in found.columns:
        put(column[-1])
    ground = _put_exceeding(put, history, exceeding, rate, running, level, window / requests)
    put(*_load(total, exceeding, rate), _range(hour_levels))
    sd = _put_resampled(put, drawn_days - level[:, None], drawn_weeks - level[:, None])
    ahead = _ahead(found, bounds, running, per_day, level)
    put(ahead)
    persistence = np.clip((1 + memory) / (1 - np.minimum(memory, 0.9)), 0.5, 12.0)
    beyond = np.maximum(sd**2 - noise**2 / window_days, 0.0) * persistence
    spread = np.sqrt(
        beyond * (1 + window_days * per_day / size) + noise**2 * (1 / window_days + per_day / known)
    )
    spread = spread + 0.05 * np.abs(ground) + 0.003
    put(np.log10(spread))
    return LatencyRows(np.ascontiguousarray(columns.T), level + ahead, spread)


def _reads(bounds: Floats, pieces: list[Floats]) -> tuple[list[Floats], list[Floats]]:
    """Return logarithms of the percentiles ``(shares, m)`` and of the medians ``(m,)`` of pieces of shape ``(m,
    k)``.
    """
    stacked = np.concatenate(pieces)
    values = _log(bounds, percentiles(bounds, stacked, (*SHARES, 0.5)))
    cuts = np.cumsum([each.shape[0] for each in pieces])[:-1]
    split = np.split(values, cuts, axis=1)
    return [each[: len(SHARES)] for each in split], [each[-1] for each in split]


def _known(values: Floats) -> Floats:
    """Replace unknown values (nothing was counted) by no difference."""
    result: Floats = np.where(np.isnan(values), 0.0, values)
    return result


def _log(bounds: Floats, values: Floats) -> Floats:
    finite = bounds[np.isfinite(bounds)]
    top = float(finite[-1]) * ABOVE_TOP if finite.size else 1.0
    result: Floats = np.log(np.maximum(np.where(np.isinf(values), top, values), LEAST_MS))
    return result


def _put_bucket(put: Put, bounds: Floats, summed: Floats, level: Floats) -> tuple[NDArray[np.int64], Floats]:
    """Put the bucket in which each percentile lies, and how steeply the tail falls there (``-d ln S / d ln ms``).

    Returns the number of the bound nearest to the percentile in its share above it, and that steepness.
    """
    total = summed[-1]
    above = (total - summed + 0.5) / (total + 0.5)
    logs = np.log(np.maximum(np.where(np.isfinite(bounds), bounds, 1.0), LEAST_MS))
    last = bounds.size - 2 if bounds.size > 1 else 0
    logs[-1] = logs[last] + 1.0
    logs = np.concatenate([[min(logs[0], float(level.min())) - 1.5], logs])
    above = np.concatenate([[1.0], above])
    falls = np.clip(-np.diff(np.log(above)) / np.maximum(np.diff(logs), 1e-3), 0.02, 50.0)
    upper = np.clip(np.searchsorted(logs, level, side="left"), 1, bounds.size)
    put(
        logs[upper] - logs[upper - 1],
        (level - logs[upper - 1]) / np.maximum(logs[upper] - logs[upper - 1], 1e-3),
    )
    tail = falls[upper - 1]
    put(
        np.log(tail),
        np.log(falls[np.minimum(upper, falls.size - 1)]),
        np.log(falls[np.maximum(upper - 2, 0)]),
    )
    put(logs[last + 1] - level, np.log10(above[last + 1]))
    nearest = (
        np.abs(np.log(above[1:-1, None]) - np.log(1 - np.array(SHARES)))
        if bounds.size > 1
        else np.zeros((1, 2))
    )
    return np.argmin(nearest, axis=0), tail


def _correlations(values: Floats, lags: Sequence[int]) -> list[Floats]:
    """Return the autocorrelation of each row ``(rows, n)``: ``(rows,)`` for each lag."""
    centred = values - values.mean(axis=1, keepdims=True)
    variance = np.maximum((centred**2).sum(axis=1), 1e-12)
    return [
        np.zeros(values.shape[0])
        if values.shape[1] <= lag + 2
        else (centred[:, lag:] * centred[:, :-lag]).sum(axis=1) / variance
        for lag in lags
    ]


def _put_exceeding(
    put: Put,
    history: LatencyHistory,
    exceeding: Floats,
    rate: Floats,
    running: Floats,
    level: Floats,
    windows: float,
) -> Floats:
    """Put incidents: hours in which far more requests than usual lay above the bound, and the percentile without them.

    Returns how far the percentile without incidents lies below that of all.
    """
    bounds, counts, per_day = history.bounds_ms, history.cumulative, history.per_day
    size = counts.shape[0]
    total = np.ascontiguousarray(counts[:, -1])
    rows = np.arange(len(SHARES))
    allowance = 1 - np.array(SHARES)
    some = np.maximum(exceeding.sum(axis=1), 1.0)
    expected = rate[:, None] * total
    squares = (exceeding - expected) ** 2 / np.maximum(expected, 0.05)
    put(np.log10(squares.mean(axis=1) + 1e-2))
    day_sums = sums_of_stretches(running_sums(exceeding), per_day)
    day_expected = rate[:, None] * sums_of_stretches(running[:, -1], per_day)
    put(np.log10(((day_sums - day_expected) ** 2 / np.maximum(day_expected, 0.05)).mean(axis=1) + 1e-2))
    roots = np.sqrt((exceeding + 0.1) / (expected + 0.1))
    put(*_correlations(roots, (1, per_day)))
    top = min(12, size)
    most = np.sort(exceeding, axis=1)[:, : -top - 1 : -1]
    put(most[:, 0] / some, most[:, :3].sum(axis=1) / some, most.sum(axis=1) / some)
    by_day = np.sort(day_sums, axis=1)[:, ::-1]
    put(by_day[:, 0] / some, by_day[:, :3].sum(axis=1) / some)
    busy = total > 0
    ratios = exceeding / np.maximum(total, 1e-12)
    usual = middle_of(ratios if busy.all() else ratios[:, busy]) if busy.any() else rate
    base = np.maximum(usual, rate * 0.1)[:, None] * total
    # Few bins pass the first limit, so the others are computed for these alone.
    found = np.flatnonzero(exceeding > INCIDENT_RATIO * base)
    usually, above, of_all = base.ravel()[found], exceeding.ravel()[found], total[found % size]
    limit = np.maximum(usually + INCIDENT_SIGMA * np.sqrt(usually + 1.0), usually + INCIDENT_PART * of_all)
    stands_out = above > limit
    found = found[stands_out]
    lost = np.zeros_like(exceeding)
    lost.ravel()[found] = (above - usually)[stands_out]
    incidents = [found[found // size == row] % size for row in rows]
    starts = [at[np.diff(at, prepend=-3) > 2] for at in incidents]
    number = np.array([at.size for at in starts])
    put(number, np.array([np.count_nonzero(at >= size - 28 * per_day) for at in starts]))
    put(lost.sum(axis=1) / some, np.log10(np.array([at.size for at in incidents]) + 1))
    allowed = running[-1, -1] * windows * allowance
    worst, worst_age, age = np.zeros(2), np.full(2, 99.0), np.full(2, 99.0)
    for row in rows:
        where = starts[row]
        if where.size:
            parts = np.add.reduceat(lost[row], where)
            worst[row] = parts.max() / allowed[row]
            worst_age[row] = (size - where[int(np.argmax(parts))]) / per_day
            age[row] = (size - 1 - incidents[row][-1]) / per_day
    put(np.log10(worst + 1e-3), np.log10(lost.sum(axis=1) / np.maximum(number, 1) / allowed + 1e-3))
    put(age, worst_age)
    without = [
        _without_incidents(counts, running, incidents[row], int(np.argmax(day_sums[row])), windows, per_day)
        for row in rows
    ]
    levels = _own_levels(bounds, np.concatenate(without)) - level[:, None]
    without_incidents: Floats = _known(levels)
    put(*without_incidents.T)
    return without_incidents[:, 0]


def _without_incidents(
    counts: Floats, running: Floats, incidents: NDArray[np.intp], worst: int, windows: float, per_day: int
) -> Floats:
    """Return counts without the bins of incidents, ``(4, k)``.

    These are: the whole history; the last week; and two windows of incident-free bins, one with the ``worst`` day added
    and one with the week around it.
    """
    size, week = counts.shape[0], 7 * per_day
    quiet = running[-1] - counts[incidents].sum(axis=0)
    quiet = quiet if quiet[-1] > 0 else running[-1]
    recent = running[-1] - running[max(0, size - week)]
    recent = recent - counts[incidents[incidents >= size - week]].sum(axis=0)
    scaled = quiet * (running[-1, -1] * windows / quiet[-1])
    days = max(1, size // per_day)
    begin, end = max(0, size - per_day * (days - worst)), size - per_day * (days - worst - 1)
    worst_day = running[end] - running[begin]
    at = max(0, min(size - week, begin - 3 * per_day)) if size > week else 0
    worst_week = running[min(size, at + week)] - running[at]
    return np.stack([quiet, recent, scaled + worst_day, scaled + worst_week])


def _own_levels(bounds: Floats, counts: Floats) -> Floats:
    """Return the logarithm of each percentile in counts of its own: ``(shares · n, k)`` → ``(shares, n)``."""
    read = _log(bounds, percentiles(bounds, counts, SHARES))
    return np.stack([own[row] for row, own in enumerate(read.reshape(len(SHARES), len(SHARES), -1))])


def _load(total: Floats, exceeding: Floats, rate: Floats) -> tuple[Floats, Floats]:
    """Return how the share above the bound rises with the load, as a power, and how certain that is."""
    busy = total > 0
    weights = total if busy.all() else total[busy]
    load = Load.of(weights)
    if load is None:
        none = np.zeros(len(SHARES))
        return none, none
    above = exceeding if busy.all() else exceeding[:, busy]
    score = ((above - rate[:, None] * weights) * load.centred).sum(axis=1)
    information = rate * load.information
    return np.clip(score / information, -9, 9), np.clip(score / np.sqrt(information), -200, 200)


def _range(levels: Floats) -> Floats:
    """Return the range of levels ``(shares, n)`` over the pieces where they are known."""
    levels = levels[:, ~np.isnan(levels).any(axis=0)]
    return np.asarray(np.ptp(levels, axis=1)) if levels.size else np.zeros(len(SHARES))


def _put_resampled(put: Put, by_days: Floats, by_weeks: Floats) -> Floats:
    """Put levels of resampled windows, each ``(shares, REPLICATES)``; return the standard deviation of ``by_days``."""
    by_days, by_weeks = np.sort(by_days, axis=1), np.sort(by_weeks, axis=1)
    put(*(by_days[:, int(each * REPLICATES)] for each in (0.5, 0.8, 0.95, 0.99)))
    put(*(by_weeks[:, int(each * REPLICATES)] for each in (0.5, 0.8, 0.99)))
    deviation = by_days.std(axis=1)
    put(np.log10(deviation + 1e-4), np.log10(by_weeks.std(axis=1) + 1e-4))
    return np.asarray(deviation)


def _ahead(found: Changes, bounds: Floats, running: Floats, per_day: int, level: Floats) -> Floats:
    """Return the level expected in the middle of the next window: a weighted mean of three.

    These are an even level, the level after the step (read from buckets summed since), and the slope's end.
    """
    size = running.shape[0] - 1
    begins = [max(0, size - int(days) * per_day) for days in found.age_days[: len(SHARES)]]
    since = running[-1] - running[begins]
    levels = _own_levels(bounds, since)[:, 0] - level
    after = np.where(since[:, -1] > 0, levels, 0.0)
    rows = slice(0, len(SHARES))
    return np.asarray(
        np.nan_to_num(found.step_weight[rows] * after + found.slope_weight[rows] * found.projected[rows])
    )
