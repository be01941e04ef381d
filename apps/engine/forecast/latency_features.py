"""What histograms of the past show that bears on the next window's p95 and p99.

Two kinds of figures: percentiles read from buckets summed over hours, days, weeks and months (never averaged), and
the requests above one bucket bound near the percentile, hour by hour, which tell incidents from an everyday level.
Percentiles are natural logarithms of milliseconds, relative to that of the whole history.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from apps.engine.forecast.changes import CHANGE_FEATURES, Changes, changes
from apps.engine.latency.percentiles import percentile, percentiles
from apps.engine.running_sums import running_sums
from apps.engine.sorted_quantiles import middle_of
from apps.engine.types import Floats

DAY_SECONDS = 86_400
LOOK_BACK_DAYS = 90
"""Older hours are not looked at: services change."""
SHARES = (0.95, 0.99)
SUFFIX_DAYS = (0.25, 1, 3, 7, 14, 28)
LEAST_MS = 1e-3
"""Nothing is read as faster than a microsecond."""
ABOVE_TOP = 1.5
"""What lies above the highest bound is taken for this many times that bound, in figures that cannot be infinite."""
REPLICATES = 200
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
    """Takes the next columns, one value for each percentile or one for all."""

    def __call__(self, *values: Floats | NDArray[np.generic] | float) -> None: ...


@dataclass(frozen=True, slots=True)
class LatencyHistory:
    """Cumulative counts of consecutive bins that end with the newest: ``(bins, k)``, zeros where nothing is known."""

    bounds_ms: Floats
    cumulative: Floats
    is_known: NDArray[np.bool_]
    per_day: int


@dataclass(frozen=True, slots=True)
class LatencyRows:
    """One row for each of :data:`SHARES`. ``centre`` and ``spread`` are a rough prediction of the natural logarithm of
    the next window's percentile and of its standard deviation.
    """

    features: Floats
    centre: Floats
    spread: Floats


def latency_rows(history: LatencyHistory, *, window_days: float) -> LatencyRows:
    """Compute the features of both percentiles of a history with requests."""
    bounds, counts, per_day = history.bounds_ms, history.cumulative, history.per_day
    size, width = counts.shape
    total = counts[:, -1]
    running = np.zeros((size + 1, width))
    np.cumsum(counts, axis=0, out=running[1:])
    requests = float(running[-1, -1])
    known = max(1, int(np.count_nonzero(history.is_known)))
    allowance = 1 - np.array(SHARES)
    window = requests / known * window_days * per_day

    days = max(1, size // per_day)
    weeks = max(1, size // (7 * per_day))
    month = max(1, min(28 * per_day, size // 2))
    day_counts = _blocks(running, days, per_day)
    pieces = [
        running[-1:],
        np.stack(
            [running[-1] - running[max(0, size - max(1, round(each * per_day)))] for each in SUFFIX_DAYS]
        ),
        day_counts,
        _blocks(running, weeks, 7 * per_day),
        running[month :: max(1, per_day)] - running[: -month : max(1, per_day)],
    ]
    reads, medians = _reads(bounds, pieces)
    level, suffixes, day_levels, week_levels, month_levels = reads
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
    spreads = day_levels.std(axis=1)
    noise = np.sqrt(SHARES / (requests / known * per_day * allowance)) / tail
    memory = _correlation(day_levels, 1)
    put(spreads, week_levels.std(axis=1), month_levels.std(axis=1), noise)
    put(memory, _correlation(day_levels, 2), float(median_days.std()), _correlation(median_days[None], 1))
    found = changes(np.concatenate([day_levels, median_days[None]]), window_days)
    for column in found.columns:
        put(column[: len(SHARES)])
    for column in found.columns:
        put(column[-1])
    ground = _put_exceeding(put, history, exceeding, rate, running, level, window / requests)
    put(*_load(total, exceeding, rate), _hour_range(bounds, counts, per_day))
    sd = _put_resampled(put, bounds, day_counts, level, window_days)
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
    """Logarithms of the percentiles ``(shares, m)`` and of the medians ``(m,)`` of pieces of shape ``(m, k)``."""
    stacked = np.concatenate(pieces)
    values = _log(bounds, percentiles(bounds, stacked, (*SHARES, 0.5)))
    cuts = np.cumsum([each.shape[0] for each in pieces])[:-1]
    split = np.split(values, cuts, axis=1)
    return [each[: len(SHARES)] for each in split], [each[-1] for each in split]


def _known(values: Floats) -> Floats:
    """Where nothing was counted, nothing is known to differ."""
    result: Floats = np.where(np.isnan(values), 0.0, values)
    return result


def _log(bounds: Floats, values: Floats) -> Floats:
    finite = bounds[np.isfinite(bounds)]
    top = float(finite[-1]) * ABOVE_TOP if finite.size else 1.0
    result: Floats = np.log(np.maximum(np.where(np.isinf(values), top, values), LEAST_MS))
    return result


def _blocks(running: Floats, count: int, width: int) -> Floats:
    """Sums of ``count`` blocks of ``width`` bins, the last one ending with the history."""
    edges = np.maximum(0, running.shape[0] - 1 - width * np.arange(count, -1, -1))
    return np.diff(running[edges], axis=0)


def _put_bucket(put: Put, bounds: Floats, summed: Floats, level: Floats) -> tuple[NDArray[np.int64], Floats]:
    """The bucket in which each percentile lies, and how steeply the tail falls there (``-d ln S / d ln ms``).

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


def _correlation(values: Floats, lag: int) -> Floats:
    if values.shape[1] <= lag + 2:
        return np.zeros(values.shape[0])
    centred = values - values.mean(axis=1, keepdims=True)
    variance = (centred**2).sum(axis=1)
    return np.asarray((centred[:, lag:] * centred[:, :-lag]).sum(axis=1) / np.maximum(variance, 1e-12))


def _put_exceeding(
    put: Put,
    history: LatencyHistory,
    exceeding: Floats,
    rate: Floats,
    running: Floats,
    level: Floats,
    windows: float,
) -> Floats:
    """Incidents: hours in which far more requests than usual lay above the bound, and what the percentile is without
    them. Returns how far that lies below the percentile of all.
    """
    bounds, counts, per_day = history.bounds_ms, history.cumulative, history.per_day
    size = counts.shape[0]
    total = counts[:, -1]
    rows = np.arange(len(SHARES))
    allowance = 1 - np.array(SHARES)
    some = np.maximum(exceeding.sum(axis=1), 1.0)
    expected = rate[:, None] * total
    squares = (exceeding - expected) ** 2 / np.maximum(expected, 0.05)
    put(np.log10(squares.mean(axis=1) + 1e-2))
    days = max(1, size // per_day)
    sums = running_sums(exceeding)
    edges = np.maximum(0, size - per_day * np.arange(days, -1, -1))
    day_sums = np.diff(sums[:, edges], axis=1)
    day_expected = rate[:, None] * np.diff(running[edges, -1])
    put(np.log10(((day_sums - day_expected) ** 2 / np.maximum(day_expected, 0.05)).mean(axis=1) + 1e-2))
    roots = np.sqrt((exceeding + 0.1) / (expected + 0.1))
    put(_correlation(roots, 1), _correlation(roots, per_day))
    top = min(12, size)
    most = np.sort(exceeding, axis=1)[:, : -top - 1 : -1]
    put(most[:, 0] / some, most[:, :3].sum(axis=1) / some, most.sum(axis=1) / some)
    by_day = np.sort(day_sums, axis=1)[:, ::-1]
    put(by_day[:, 0] / some, by_day[:, :3].sum(axis=1) / some)
    ratios = exceeding / np.maximum(total, 1e-12)
    usual = middle_of(ratios[:, total > 0]) if (total > 0).any() else rate
    base = np.maximum(usual, rate * 0.1)[:, None] * total
    limit = np.maximum(INCIDENT_RATIO * base, base + INCIDENT_SIGMA * np.sqrt(base + 1.0))
    limit = np.maximum(limit, base + INCIDENT_PART * total)
    is_incident = exceeding > limit
    before = np.zeros_like(is_incident)
    before[:, 1:] |= is_incident[:, :-1]
    before[:, 2:] |= is_incident[:, :-2]
    starts = is_incident & ~before
    number = starts.sum(axis=1)
    lost = np.where(is_incident, exceeding - base, 0.0)
    put(number, starts[:, -28 * per_day :].sum(axis=1), lost.sum(axis=1) / some)
    put(np.log10(is_incident.sum(axis=1) + 1))
    allowed = running[-1, -1] * windows * allowance
    worst, worst_age, age = np.zeros(2), np.full(2, 99.0), np.full(2, 99.0)
    for row in rows:
        where = np.flatnonzero(starts[row])
        if where.size:
            parts = np.add.reduceat(lost[row], where)
            worst[row] = parts.max() / allowed[row]
            worst_age[row] = (size - where[int(np.argmax(parts))]) / per_day
            age[row] = (size - 1 - np.flatnonzero(is_incident[row])[-1]) / per_day
    put(np.log10(worst + 1e-3), np.log10(lost.sum(axis=1) / np.maximum(number, 1) / allowed + 1e-3))
    put(age, worst_age)
    without = np.empty((4, len(SHARES)))
    week = 7 * per_day
    for row in rows:
        apart = counts[is_incident[row]]
        quiet = running[-1] - apart.sum(axis=0)
        quiet = quiet if quiet[-1] > 0 else running[-1]
        recent = running[-1] - running[max(0, size - week)]
        recent = recent - counts[-week:][is_incident[row][-week:]].sum(axis=0)
        scaled = quiet * (running[-1, -1] * windows / quiet[-1])
        day = int(np.argmax(day_sums[row]))
        worst_day = running[edges[day + 1]] - running[edges[day]]
        at = max(0, min(size - week, int(edges[day]) - 3 * per_day)) if size > week else 0
        worst_week = running[min(size, at + week)] - running[at]
        stacked = np.stack([quiet, recent, scaled + worst_day, scaled + worst_week])
        without[:, row] = _log(bounds, percentile(bounds, stacked, SHARES[row])) - level[row]
    without = _known(without)
    put(*without)
    return np.asarray(without[0])


def _load(total: Floats, exceeding: Floats, rate: Floats) -> tuple[Floats, Floats]:
    """How the share above the bound rises with the load, as a power, and how sure that is."""
    busy = total > 0
    none = np.zeros(len(SHARES))
    if np.count_nonzero(busy) < 48:
        return none, none
    weights = total[busy]
    load = np.log(weights / weights.mean())
    centred = load - np.average(load, weights=weights)
    information = float((weights * centred**2).sum())
    if information <= 1e-9 * float(weights.sum()):
        return none, none
    score = ((exceeding[:, busy] - rate[:, None] * weights) * centred).sum(axis=1)
    slope = np.clip(score / (rate * information), -9, 9)
    return slope, np.clip(score / np.sqrt(rate * information), -200, 200)


def _hour_range(bounds: Floats, counts: Floats, per_day: int) -> Floats:
    """How far the percentiles of the hours of the day lie apart."""
    days = counts.shape[0] // per_day
    if days < 1 or per_day < 2:
        return np.zeros(len(SHARES))
    by_hour = counts[-days * per_day :].reshape(days, per_day, -1).sum(axis=0)
    levels = _log(bounds, percentiles(bounds, by_hour, SHARES))
    levels = levels[:, ~np.isnan(levels).any(axis=0)]
    return np.asarray(np.ptp(levels, axis=1)) if levels.size else np.zeros(len(SHARES))


@lru_cache(maxsize=256)
def _picks(blocks: int, wanted: int) -> Floats:
    """How often each block is taken in each resampled window: the same for every history of so many blocks."""
    generator = np.random.default_rng([blocks, wanted])
    return generator.multinomial(wanted, np.full(blocks, 1 / blocks), REPLICATES).astype(np.float64)


def _put_resampled(put: Put, bounds: Floats, day_counts: Floats, level: Floats, window_days: float) -> Floats:
    """Windows of days, and of weeks, drawn as a whole (block bootstrap; Künsch 1989). Returns the standard deviation of
    the former's levels.
    """
    by_day = day_counts[day_counts[:, -1] > 0]
    days = by_day.shape[0]
    running = np.concatenate([by_day, by_day[:6]]).cumsum(axis=0)
    length = 7 if days >= 14 else 1
    weeks = running[length - 1 : length - 1 + days].copy()
    weeks[1:] -= running[: days - 1]
    picked = [
        _picks(days, max(1, round(window_days))) @ by_day,
        _picks(days, max(1, round(window_days / length))) @ weeks,
    ]
    drawn = np.sort(
        np.stack([_log(bounds, percentiles(bounds, each, SHARES)) for each in picked]) - level[:, None],
        axis=2,
    )
    by_days, by_weeks = drawn
    put(*(by_days[:, int(each * REPLICATES)] for each in (0.5, 0.8, 0.95, 0.99)))
    put(*(by_weeks[:, int(each * REPLICATES)] for each in (0.5, 0.8, 0.99)))
    deviation = by_days.std(axis=1)
    put(np.log10(deviation + 1e-4), np.log10(by_weeks.std(axis=1) + 1e-4))
    return np.asarray(deviation)


def _ahead(found: Changes, bounds: Floats, running: Floats, per_day: int, level: Floats) -> Floats:
    """The level expected in the middle of the next window: an even one, the one after the step (read from buckets
    summed since), and the slope's end, by what speaks for each.
    """
    size = running.shape[0] - 1
    after = np.zeros(len(SHARES))
    for row, share in enumerate(SHARES):
        since = running[-1] - running[max(0, size - int(found.age_days[row]) * per_day)]
        if since[-1] > 0:
            after[row] = float(_log(bounds, percentile(bounds, since, share))[0]) - level[row]
    rows = slice(0, len(SHARES))
    return np.asarray(
        np.nan_to_num(found.step_weight[rows] * after + found.slope_weight[rows] * found.projected[rows])
    )
