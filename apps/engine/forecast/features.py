"""What a history shows that bears on its next window.

Features are computed for many variants of one service's failures at once (rows), which is how explanations
ask what would be different. Levels are base-10 logarithms of failure rates, relative to the overall one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from apps.engine.forecast.history import History
from apps.engine.running_sums import running_sums
from apps.engine.types import Floats

SUFFIXES = (6, 24, 72, 168, 336, 672)
EVERYDAY_QUANTILE = 0.9
INCIDENT_RATIO = 5.0
INCIDENT_SIGMA = 6.0
DOWN_RATE = 0.5
LEAST_DAYS_FOR_CHANGE = 3

FEATURES = (
    "window_requests", "failures", "days", "coverage", "window_days",
    "last_6h", "last_day", "last_3_days", "last_week", "last_2_weeks", "last_4_weeks",
    "ground", "ground_last_3_days", "ground_last_week", "ground_last_2_weeks", "ground_last_4_weeks",
    "worst_hour_share", "worst_3_hours_share", "worst_12_hours_share", "worst_day_share", "worst_3_days_share",
    "worst_week_share", "second_day_ratio",
    "hourly_dispersion", "daily_dispersion", "weekly_dispersion", "ground_dispersion",
    "hourly_variation", "daily_variation", "weekly_variation", "ground_variation",
    "quiet_hours", "quiet_hours_expected", "day_q10", "day_q25", "day_q50", "day_q75", "day_q90",
    "hour_memory", "day_memory", "two_day_memory",
    "slope", "slope_t", "slope_forecast", "recent_slope", "change", "change_t", "change_age", "after_change",
    "step_over_slope", "day_noise", "after_noise",
    "incidents", "incidents_last_4_weeks", "incident_share", "incident_loss", "incident_worst_loss",
    "incident_spread", "incident_hours", "incident_longest", "incident_depth", "incident_age", "worst_age",
    "incident_now", "down_hours", "worst_hour", "month_worst", "month_median", "week_worst", "week_q80",
    "load_slope", "load_t", "has_dependency", "dependency_share",
    "step_weight", "slope_weight", "ahead", "spread",
)  # fmt: skip
"""Names of the columns, in order."""


class Put(Protocol):
    """Takes the next columns, one value a row or one for all."""

    def __call__(self, *values: Floats | NDArray[np.generic] | float) -> None: ...


@dataclass(frozen=True, slots=True)
class FeatureRows:
    """``features`` has shape ``(rows, len(FEATURES))``. ``centre`` and ``spread``, shape ``(rows,)``, are a rough
    prediction of the base-10 logarithm of the next window's unavailability and of its standard deviation: the unit in
    which the forecast learns what is left to say.
    """

    features: Floats
    centre: Floats
    spread: Floats
    is_probed: bool = False


def feature_rows(
    history: History,
    bad: Floats,
    *,
    window_hours: int,
    has_dependency: bool = False,
    dependency_share: Floats | None = None,
) -> FeatureRows:
    """Compute the features of each row of ``bad``, shape ``(rows, hours)``."""
    total = history.total
    rows, hours = bad.shape
    requests = float(total.sum())
    known = max(1, int(np.count_nonzero(history.is_known)))
    window = requests / known * window_hours
    failures = bad.sum(axis=1)
    rate = (failures + 1.0) / requests
    level = np.log10(rate)
    columns = np.empty((len(FEATURES), rows))
    filled = iter(columns)

    def put(*values: Floats | NDArray[np.generic] | float) -> None:
        for value in values:
            next(filled)[:] = value

    put(np.log10(window), np.log10(failures + 1), hours / 24, known / hours, window_hours / 24)
    running = running_sums(bad)
    running_total = running_sums(total)
    for suffix in SUFFIXES:
        put(_suffix(running, running_total, suffix, rate) - level)
    ground = _Ground.of(total, bad)
    running_ground = running_sums(ground.bad)
    put(np.log10(ground.rate) - level)
    for suffix in SUFFIXES[2:]:
        put(_suffix(running_ground, running_total, suffix, ground.rate) - np.log10(ground.rate))

    days = max(1, hours // 24)
    day_total = _blocks(running_total[None], days, 24, hours)[0]
    day_bad = _blocks(running, days, 24, hours)
    day_ground = _blocks(running_ground, days, 24, hours)
    weeks = max(1, hours // 168)
    week_total = _blocks(running_total[None], weeks, 168, hours)[0]
    week_bad = _blocks(running, weeks, 168, hours)
    _put_concentration(put, bad, day_bad, week_bad, failures)
    spreads = [
        _dispersion(total, bad, rate),
        _dispersion(day_total, day_bad, rate),
        _dispersion(week_total, week_bad, rate),
        _dispersion(day_total, day_ground, ground.rate),
    ]
    put(*(each[0] for each in spreads))
    put(*(each[1] for each in spreads))
    busy = total > 0
    busy_hours = max(1, int(np.count_nonzero(busy)))
    put(((bad <= 0) & busy).sum(axis=1) / busy_hours)
    some = _chosen(total, busy)
    put(np.exp(-np.minimum(50.0, rate[:, None] * some)).mean(axis=1))
    day_rates = np.sort((day_bad + 0.5) / (day_total + 0.5 / rate[:, None]), axis=1)
    for quantile in (0.1, 0.25, 0.5, 0.75, 0.9):
        put(np.log10(day_rates[:, min(days - 1, int(quantile * days))]) - level)
    _put_memory(put, total, bad, day_bad, day_total, rate)
    ahead = _put_change(put, day_total, day_ground, ground.rate, window_hours / 24)
    _put_incidents(put, ground, bad, total, window, failures)
    _put_windows(put, running, running_total, hours, rate, level)
    _put_load(put, total, ground.bad, ground.rate, busy)
    put(float(has_dependency), 0.0 if dependency_share is None else dependency_share)
    # The everyday level as it will be, and incidents as they were.
    incidents = np.maximum(0.0, rate - ground.rate)
    expected = np.minimum(1.0, ground.rate * 10**ahead.level + incidents)
    centre = np.log10(expected)
    window_days = window_hours / 24
    variation = np.clip(10 ** spreads[1][1], 0.0, 400.0) * (1 / window_days + 24 / hours)
    counting = 1 / (expected * window + 1) + 1 / (failures + 1)
    spread = np.log10(1 + np.sqrt(variation + counting)) + 0.01
    put(ahead.step_weight, ahead.slope_weight, ahead.level, np.log10(spread))
    return FeatureRows(np.ascontiguousarray(columns.T), centre, spread, history.is_probed)


def _chosen(values: Floats, hours: NDArray[np.bool_]) -> Floats:
    """The columns of some hours, without a copy where these are all."""
    return values if hours.all() else values[..., hours]


def _suffix(running: Floats, running_total: Floats, hours: int, rate: Floats) -> Floats:
    """Level of the newest hours, drawn towards the overall rate by half a failure."""
    at = max(0, running.shape[1] - 1 - hours)
    bad = running[:, -1] - running[:, at]
    total = running_total[-1] - running_total[at]
    return np.asarray(np.log10((bad + 0.5) / (total + 0.5 / rate)))


def _blocks(running: Floats, count: int, width: int, hours: int) -> Floats:
    """Sums of ``count`` blocks of ``width`` hours, the last one ending with the history."""
    edges = np.maximum(0, hours - width * np.arange(count, -1, -1))
    return np.diff(running[:, edges], axis=1)


@dataclass(frozen=True, slots=True)
class _Ground:
    """The everyday level beneath incidents: its rate, the failures without what stands out, and what does."""

    rate: Floats
    bad: Floats
    is_incident: NDArray[np.bool_]

    @classmethod
    def of(cls, total: Floats, bad: Floats) -> _Ground:
        ratios = bad / np.maximum(total, 1e-12)
        busy = int(np.count_nonzero(total > 0))
        if busy < total.size:
            ratios[:, total <= 0] = np.inf
        at = min(total.size - 1, max(0, int(EVERYDAY_QUANTILE * busy)))
        usual = (ratios <= np.sort(ratios, axis=1)[:, at : at + 1]).astype(np.float64)
        requests = np.einsum("rh,h->r", usual, total)
        rate = (np.einsum("rh,rh->r", usual, bad) + 0.5) / np.maximum(requests, 1.0)
        expected = rate[:, None] * total
        limit = np.maximum(INCIDENT_RATIO * expected, expected + INCIDENT_SIGMA * np.sqrt(expected + 1.0))
        is_incident = bad > limit
        return cls(rate, np.where(is_incident, expected, bad), is_incident)


def _put_concentration(put: Put, bad: Floats, day_bad: Floats, week_bad: Floats, failures: Floats) -> None:
    some = np.maximum(failures, 1.0)
    top = min(12, bad.shape[1])
    hours = np.sort(bad, axis=1)[:, : -top - 1 : -1]
    days = np.sort(day_bad, axis=1)[:, ::-1]
    put(hours[:, 0] / some, hours[:, :3].sum(axis=1) / some, hours.sum(axis=1) / some)
    put(days[:, 0] / some, days[:, :3].sum(axis=1) / some, week_bad.max(axis=1) / some)
    put(np.log10((days[:, min(1, days.shape[1] - 1)] + 1) / (days[:, 0] + 1)))


def _dispersion(total: Floats, bad: Floats, rate: Floats) -> tuple[Floats, Floats]:
    """Pearson's dispersion, and the coefficient of variation of the rate beyond counting; both logarithms."""
    expected = rate[:, None] * total
    squares = (bad - expected) ** 2
    dispersion = (squares / np.maximum(expected, 0.05)).mean(axis=1)
    excess = (squares - expected).sum(axis=1) / np.maximum((expected**2).sum(axis=1), 1e-12)
    return np.log10(dispersion + 1e-2), np.log10(np.clip(excess, 1e-4, 1e6))


def _correlation(values: Floats, lag: int) -> Floats:
    if values.shape[1] <= lag + 2:
        return np.zeros(values.shape[0])
    centred = values - values.mean(axis=1, keepdims=True)
    variance = (centred**2).sum(axis=1)
    together = np.einsum("rh,rh->r", centred[:, lag:], centred[:, :-lag])
    return np.asarray(together / np.maximum(variance, 1e-12))


def _put_memory(
    put: Put, total: Floats, bad: Floats, day_bad: Floats, day_total: Floats, rate: Floats
) -> None:
    roots = np.sqrt((bad + 0.1) / (rate[:, None] * total + 0.1))
    put(_correlation(roots, 1))
    daily = np.sqrt((day_bad + 0.1) / (rate[:, None] * day_total + 0.1))
    put(_correlation(daily, 1), _correlation(daily, 2))


@dataclass(frozen=True, slots=True)
class _Ahead:
    """The everyday level in the middle of the next window, relative to the history's, and what speaks for a step or a
    slope rather than an even level.
    """

    level: Floats
    step_weight: Floats
    slope_weight: Floats


def _put_change(put: Put, day_total: Floats, day_bad: Floats, rate: Floats, window_days: float) -> _Ahead:
    """Slope and the most likely change point of the days' level (its logarithm, without incidents).

    An even level, a step and a slope are weighed by Schwarz's criterion (1978), and what they expect is averaged.
    """
    rows, days = day_bad.shape
    values = np.log10((day_bad + 0.5) / (day_total + 0.5 / rate[:, None]) / rate[:, None])
    if days < 2 * LEAST_DAYS_FOR_CHANGE:
        for _ in range(11):
            put(0.0)
        none = np.zeros(rows)
        return _Ahead(none, none, none)
    time = np.arange(days) - (days - 1) / 2
    mean = values.mean(axis=1, keepdims=True)
    centred = values - mean
    squares = (centred**2).sum(axis=1)
    slope = (centred * time).sum(axis=1) / (time**2).sum()
    slope_left = np.maximum(squares - slope**2 * (time**2).sum(), 1e-9)
    put(slope * 30)
    put(slope * np.sqrt((time**2).sum()) / np.sqrt(slope_left / (days - 2)))
    put(slope * ((days - 1) / 2 + 14.5))
    recent = min(days, 28)
    short = np.arange(recent) - (recent - 1) / 2
    put((values[:, -recent:] * short).sum(axis=1) / max(1.0, float((short**2).sum())) * 30)
    before = np.arange(LEAST_DAYS_FOR_CHANGE, days - LEAST_DAYS_FOR_CHANGE + 1)
    sums = np.cumsum(centred, axis=1)[:, before - 1]
    gains = sums**2 * (1 / before + 1 / (days - before))
    at = np.argmax(gains, axis=1)
    index = np.arange(rows)
    gain, first = gains[index, at], before[at]
    step = -sums[index, at] * (1 / first + 1 / (days - first))
    left = np.maximum(squares - gain, 1e-9)
    after = values.sum(axis=1) - (values.cumsum(axis=1)[index, first - 1])
    put(step, np.sign(step) * np.sqrt(gain / (left / (days - 2))), days - first, after / (days - first))
    put(np.log10(left / slope_left), np.sqrt(squares / days))
    is_after = np.arange(days)[None, :] >= first[:, None]
    spread = np.where(is_after, (values - (after / (days - first))[:, None]) ** 2, 0.0).sum(axis=1)
    put(np.sqrt(spread / (days - first)))
    noise = 1e-4
    criteria = np.stack(
        [
            days * np.log(each / days + noise) + parameters * np.log(days)
            for each, parameters in ((squares, 1), (left, 4), (slope_left, 2.5))
        ]
    )
    weights = np.exp(-(criteria - criteria.min(axis=0)) / 2)
    weights /= weights.sum(axis=0)
    projected = np.clip(slope * ((days - 1) / 2 + min(window_days, 30) / 2 + 0.5), -2, 2)
    return _Ahead(weights[1] * after / (days - first) + weights[2] * projected, weights[1], weights[2])


def _put_incidents(
    put: Put, ground: _Ground, bad: Floats, total: Floats, window: float, failures: Floats
) -> None:
    rows, hours = bad.shape
    mask = ground.is_incident
    # Incidents are few: each hour of one by its row and column, in order.
    row_of, column_of = np.nonzero(mask)
    lost_of = bad[row_of, column_of]
    is_first = np.ones(row_of.size, dtype=np.bool_)
    is_first[1:] = (row_of[1:] != row_of[:-1]) | (column_of[1:] - column_of[:-1] > 2)
    begins = np.flatnonzero(is_first)
    row, column = row_of[begins], column_of[begins]
    count, lasting = np.bincount(row, minlength=rows), np.bincount(row_of, minlength=rows)
    lost = np.bincount(row_of, lost_of, rows)
    mean, spread = np.full(rows, -9.0), np.zeros(rows)
    worst, longest = np.full(rows, -9.0), np.zeros(rows)
    age, worst_age = np.full(rows, 99.0), np.full(rows, 99.0)
    if row.size:
        each = np.log10(np.add.reduceat(lost_of, begins)) - np.log10(window)
        number = np.maximum(1, count)
        mean = np.where(count > 0, np.bincount(row, each, rows) / number, mean)
        spread = np.sqrt(np.maximum(0.0, np.bincount(row, (each - mean[row]) ** 2, rows) / number))
        np.maximum.at(worst, row, each)
        np.maximum.at(longest, row, np.diff(begins, append=row_of.size))
        is_worst = each >= worst[row]
        worst_age[row[is_worst]] = (hours - column[is_worst]) / 24
        # Of a row's hours the last is kept.
        age[row_of] = (hours - 1 - column_of) / 24
    recent = np.bincount(row[column >= hours - 672], minlength=rows)
    put(count, recent, lost / np.maximum(failures, 1.0), mean, worst, spread)
    put(np.log10(lasting + 1), np.log10(longest + 1))
    put(lost / np.maximum(np.bincount(row_of, total[column_of], rows), 1.0))
    put(age, worst_age)
    put(mask[:, -2:].any(axis=1))
    rates = bad / np.maximum(total, 1.0)
    put(np.log10((rates > DOWN_RATE).sum(axis=1) + 1), np.log10(np.maximum(rates.max(axis=1), 1e-9)))


def _put_windows(
    put: Put, running: Floats, running_total: Floats, hours: int, rate: Floats, level: Floats
) -> None:
    """Past windows: four weeks and one week, or as much as half the history."""
    for width, quantiles in ((672, (1.0, 0.5)), (168, (1.0, 0.8))):
        width = max(1, min(width, hours // 2))
        bad = running[:, width::12] - running[:, :-width:12]
        total = running_total[width::12] - running_total[:-width:12]
        levels = np.sort(np.log10((bad + 0.5) / (total + 0.5 / rate[:, None])), axis=1)
        size = levels.shape[1]
        for quantile in quantiles:
            put(levels[:, min(size - 1, int(quantile * size))] - level)


def _put_load(put: Put, total: Floats, bad: Floats, rate: Floats, busy: NDArray[np.bool_]) -> None:
    """How the everyday level rises with the load, as a power, and how sure that is."""
    if np.count_nonzero(busy) < 48:
        put(0.0, 0.0)
        return
    weights = _chosen(total, busy)
    load = np.log(weights / weights.mean())
    centred = load - np.average(load, weights=weights)
    information = float((weights * centred**2).sum())
    if information <= 1e-9 * float(weights.sum()):
        put(0.0, 0.0)
        return
    # The sum over the hours of (bad − rate · weight) · centred load.
    score = np.einsum("rh,h->r", _chosen(bad, busy), centred) - rate * float((weights * centred).sum())
    put(np.clip(score / (rate * information), -9, 9), np.clip(score / np.sqrt(rate * information), -200, 200))
