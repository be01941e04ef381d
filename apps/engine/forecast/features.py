"""The features: what a history shows that matters for its next window.

They are computed for many variants of one service's failures at once (rows); explanations use that to evaluate changed
pasts. Levels are base-10 logarithms of failure rates, relative to the overall one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from apps.engine.forecast.changes import lines, what_speaks_for
from apps.engine.forecast.history import History
from apps.engine.forecast.requests import DAY_HOURS, WEEK_HOURS, Requests
from apps.engine.running_sums import running_sums, sums_of_stretches
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
    """Takes the next columns: one value for each row, or one for all."""

    def __call__(self, *values: Floats | NDArray[np.generic] | float) -> None: ...


@dataclass(frozen=True, slots=True)
class FeatureRows:
    """``features`` has shape ``(rows, len(FEATURES))``.

    ``centre`` and ``spread``, shape ``(rows,)``, are a rough prediction of the base-10 logarithm of the next window's
    unavailability and of its standard deviation. The forecast learns the distance from that prediction, in that unit.
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
    requests, known = history.requests, history.known_hours
    rows, hours = bad.shape
    window_days = window_hours / 24
    window = requests.all / known * window_hours
    failures = bad.sum(axis=1)
    rate = (failures + 1.0) / requests.all
    level = np.log10(rate)
    columns = np.empty((len(FEATURES), rows))
    filled = iter(columns)

    def put(*values: Floats | NDArray[np.generic] | float) -> None:
        for value in values:
            next(filled)[:] = value

    put(np.log10(window), np.log10(failures + 1), hours / 24, known / hours, window_days)
    running = running_sums(bad)
    put(*(_newest(running, requests, SUFFIXES, rate) - level))
    ground = _Ground.of(requests, bad)
    running_ground = running_sums(ground.bad)
    ground_level = np.log10(ground.rate)
    put(ground_level - level)
    put(*(_newest(running_ground, requests, SUFFIXES[2:], ground.rate) - ground_level))

    day_total, day_bad = requests.by_day, sums_of_stretches(running, DAY_HOURS)
    day_ground = sums_of_stretches(running_ground, DAY_HOURS)
    week_bad = sums_of_stretches(running, WEEK_HOURS)
    _put_concentration(put, bad, day_bad, week_bad, failures)
    expected = rate[:, None] * requests.total
    day_expected = rate[:, None] * day_total
    spreads = [
        _dispersion(expected, bad),
        _dispersion(day_expected, day_bad),
        _dispersion(rate[:, None] * requests.by_week, week_bad),
        _dispersion(ground.rate[:, None] * day_total, day_ground),
    ]
    put(*(each[0] for each in spreads))
    put(*(each[1] for each in spreads))
    _put_quiet(put, requests, bad, expected)
    days = day_total.size
    day_rates = np.sort((day_bad + 0.5) / (day_total + 0.5 / rate[:, None]), axis=1)
    places = [min(days - 1, int(quantile * days)) for quantile in (0.1, 0.25, 0.5, 0.75, 0.9)]
    put(*(np.log10(day_rates[:, places]).T - level))
    roots, day_roots = _roots(expected, bad), _roots(day_expected, day_bad)
    put(*_correlations(roots, (1,)), *_correlations(day_roots, (1, 2)))
    ahead = _put_change(put, day_total, day_ground, ground.rate, window_days)
    _put_incidents(put, ground, bad, requests.total, window, failures)
    _put_windows(put, running, requests.running, hours, rate, level)
    _put_load(put, requests, ground)
    put(float(has_dependency), 0.0 if dependency_share is None else dependency_share)
    # The rough prediction: the everyday level as it will be, and incidents at their past rate.
    incidents = np.maximum(0.0, rate - ground.rate)
    soon = np.minimum(1.0, ground.rate * 10**ahead.level + incidents)
    variation = np.clip(10 ** spreads[1][1], 0.0, 400.0) * (1 / window_days + 24 / hours)
    counting = 1 / (soon * window + 1) + 1 / (failures + 1)
    spread = np.log10(1 + np.sqrt(variation + counting)) + 0.01
    put(ahead.step_weight, ahead.slope_weight, ahead.level, np.log10(spread))
    return FeatureRows(np.ascontiguousarray(columns.T), np.log10(soon), spread, history.is_probed)


def _newest(running: Floats, requests: Requests, suffixes: Sequence[int], rate: Floats) -> Floats:
    """Return the levels of the newest hours, as many as each of ``suffixes`` says: ``(suffixes, rows)``.

    Half a failure draws each towards the overall rate.
    """
    newest = running.shape[1] - 1
    begins = [max(0, newest - hours) for hours in suffixes]
    bad = running[:, -1:] - running[:, begins]
    total = requests.running[-1] - requests.running[begins]
    levels: Floats = np.log10((bad + 0.5) / (total + 0.5 / rate[:, None])).T
    return levels


@dataclass(frozen=True, slots=True)
class _Ground:
    """The everyday level below incidents: its rate, the failures without incidents, and the incidents themselves.

    The latter are few: ``row_of`` and ``hour_of`` name each hour of an incident, in order.
    """

    rate: Floats
    bad: Floats
    row_of: NDArray[np.intp]
    hour_of: NDArray[np.intp]

    @classmethod
    def of(cls, requests: Requests, bad: Floats) -> _Ground:
        total, busy = requests.total, requests.busy_hours
        ratios = bad / np.maximum(total, 1e-12)
        if busy < total.size:
            ratios[:, ~requests.busy] = np.inf
        at = min(total.size - 1, max(0, int(EVERYDAY_QUANTILE * busy)))
        usual = (ratios <= np.sort(ratios, axis=1)[:, at : at + 1]).astype(np.float64)
        rate = (np.einsum("rh,rh->r", usual, bad) + 0.5) / np.maximum(np.einsum("rh,h->r", usual, total), 1.0)
        expected = rate[:, None] * total
        # Few hours pass the first limit, so the second, with its root, is computed for these alone.
        found = np.flatnonzero(bad > INCIDENT_RATIO * expected)
        level, failed = expected.ravel()[found], bad.ravel()[found]
        stands_out = failed > level + INCIDENT_SIGMA * np.sqrt(level + 1.0)
        found, level = found[stands_out], level[stands_out]
        ground = bad.copy()
        ground.ravel()[found] = level
        return cls(rate, ground, *np.divmod(found, total.size))


def _put_concentration(put: Put, bad: Floats, day_bad: Floats, week_bad: Floats, failures: Floats) -> None:
    some = np.maximum(failures, 1.0)
    top = min(12, bad.shape[1])
    hours = np.sort(bad, axis=1)[:, : -top - 1 : -1]
    days = np.sort(day_bad, axis=1)[:, ::-1]
    put(hours[:, 0] / some, hours[:, :3].sum(axis=1) / some, hours.sum(axis=1) / some)
    put(days[:, 0] / some, days[:, :3].sum(axis=1) / some, week_bad.max(axis=1) / some)
    put(np.log10((days[:, min(1, days.shape[1] - 1)] + 1) / (days[:, 0] + 1)))


def _dispersion(expected: Floats, bad: Floats) -> tuple[Floats, Floats]:
    """Return Pearson's dispersion, and the coefficient of variation of the rate beyond counting; both logarithms."""
    squares = bad - expected
    squares *= squares
    some = np.maximum(expected, 0.05)
    dispersion = _mean(np.divide(squares, some, out=some))
    squares -= expected
    excess = squares.sum(axis=1) / np.maximum(np.square(expected, out=some).sum(axis=1), 1e-12)
    return np.log10(dispersion + 1e-2), np.log10(np.clip(excess, 1e-4, 1e6))


def _put_quiet(put: Put, requests: Requests, bad: Floats, expected: Floats) -> None:
    """Put the share of hours with requests that passed without a failure, and the share expected at one rate."""
    is_quiet = bad <= 0
    if requests.busy_hours < requests.total.size:
        is_quiet &= requests.busy
    put(is_quiet.sum(axis=1) / max(1, requests.busy_hours))
    chance = np.minimum(50.0, np.ascontiguousarray(requests.in_busy_hours(expected)))
    np.exp(np.negative(chance, out=chance), out=chance)
    put(_mean(chance))


def _roots(expected: Floats, bad: Floats) -> Floats:
    """Return roots of observed over expected failures: their spread does not depend on the rate."""
    ratios = bad + 0.1
    ratios /= expected + 0.1
    return np.sqrt(ratios, out=ratios)


def _correlations(values: Floats, lags: Sequence[int]) -> list[Floats]:
    """Return the autocorrelation of each row ``(rows, n)``: ``(rows,)`` for each lag."""
    centred = values - _mean(values)[:, None]
    variance = np.maximum((centred * centred).sum(axis=1), 1e-12)
    return [
        np.zeros(values.shape[0])
        if values.shape[1] <= lag + 2
        else np.asarray(np.einsum("rh,rh->r", centred[:, lag:], centred[:, :-lag]) / variance)
        for lag in lags
    ]


def _mean(values: Floats) -> Floats:
    """Return the mean of each row, as numpy computes it but faster for few values."""
    mean: Floats = values.sum(axis=1) / values.shape[1]
    return mean


@dataclass(frozen=True, slots=True)
class _Ahead:
    """The everyday level in the middle of the next window, relative to the history's, and the weights of a step and of
    a slope against an even level.
    """

    level: Floats
    step_weight: Floats
    slope_weight: Floats


def _put_change(put: Put, day_total: Floats, day_bad: Floats, rate: Floats, window_days: float) -> _Ahead:
    """Put slope and likeliest change point of the days' level (its logarithm, without incidents).

    Schwarz's criterion (1978) weighs an even level, a step and a slope; the expected level is their weighted mean.
    """
    rows, days = day_bad.shape
    values = np.log10((day_bad + 0.5) / (day_total + 0.5 / rate[:, None]) / rate[:, None])
    if days < 2 * LEAST_DAYS_FOR_CHANGE:
        for _ in range(11):
            put(0.0)
        none = np.zeros(rows)
        return _Ahead(none, none, none)
    line = lines(days, LEAST_DAYS_FOR_CHANGE)
    centred = values - _mean(values)[:, None]
    squares = (centred**2).sum(axis=1)
    slope = (centred * line.time).sum(axis=1) / line.squares
    slope_left = np.maximum(squares - slope**2 * line.squares, 1e-9)
    put(slope * 30)
    put(slope * np.sqrt(line.squares) / np.sqrt(slope_left / (days - 2)))
    put(slope * ((days - 1) / 2 + 14.5))
    short = lines(min(days, 28), LEAST_DAYS_FOR_CHANGE)
    put((values[:, -short.time.size :] * short.time).sum(axis=1) / max(1.0, short.squares) * 30)
    sums = np.cumsum(centred, axis=1)[:, line.before[0] - 1 : line.before[-1]]
    gains = sums**2 * line.weights
    at = np.argmax(gains, axis=1)
    index = np.arange(rows)
    gain, first = gains[index, at], line.before[at]
    later = days - first
    step = -sums[index, at] * line.weights[at]
    left = np.maximum(squares - gain, 1e-9)
    after = values.sum(axis=1) - (values.cumsum(axis=1)[index, first - 1])
    level_after = after / later
    put(step, np.sign(step) * np.sqrt(gain / (left / (days - 2))), later, level_after)
    put(np.log10(left / slope_left), np.sqrt(squares / days))
    is_after = line.numbers >= first[:, None]
    spread = np.where(is_after, (values - level_after[:, None]) ** 2, 0.0).sum(axis=1)
    put(np.sqrt(spread / later))
    noise = 1e-4
    weights = what_speaks_for(squares, left, slope_left, days, noise)
    projected = np.clip(slope * ((days - 1) / 2 + min(window_days, 30) / 2 + 0.5), -2, 2)
    return _Ahead(weights[1] * after / later + weights[2] * projected, weights[1], weights[2])


def _put_incidents(
    put: Put, ground: _Ground, bad: Floats, total: Floats, window: float, failures: Floats
) -> None:
    rows, hours = bad.shape
    row_of, column_of = ground.row_of, ground.hour_of
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
        np.maximum.at(longest, row, np.append(begins[1:], row_of.size) - begins)
        is_worst = each >= worst[row]
        worst_age[row[is_worst]] = (hours - column[is_worst]) / 24
        # Of several hours in one row, the last is kept.
        age[row_of] = (hours - 1 - column_of) / 24
    recent = np.bincount(row[column >= hours - 672], minlength=rows)
    put(count, recent, lost / np.maximum(failures, 1.0), mean, worst, spread)
    put(np.log10(lasting + 1), np.log10(longest + 1))
    put(lost / np.maximum(np.bincount(row_of, total[column_of], rows), 1.0))
    put(age, worst_age)
    put(np.bincount(row_of[column_of >= hours - 2], minlength=rows) > 0)
    rates = bad / np.maximum(total, 1.0)
    put(np.log10((rates > DOWN_RATE).sum(axis=1) + 1), np.log10(np.maximum(rates.max(axis=1), 1e-9)))


def _put_windows(
    put: Put, running: Floats, running_total: Floats, hours: int, rate: Floats, level: Floats
) -> None:
    """Put past windows: four weeks and one week, or at most half the history."""
    for width, quantiles in ((672, (1.0, 0.5)), (168, (1.0, 0.8))):
        width = max(1, min(width, hours // 2))
        bad = running[:, width::12] - running[:, :-width:12]
        total = running_total[width::12] - running_total[:-width:12]
        levels = np.sort(np.log10((bad + 0.5) / (total + 0.5 / rate[:, None])), axis=1)
        size = levels.shape[1]
        for quantile in quantiles:
            put(levels[:, min(size - 1, int(quantile * size))] - level)


def _put_load(put: Put, requests: Requests, ground: _Ground) -> None:
    """Put how the everyday level rises with the load, as a power, and how certain that is."""
    load, rate = requests.load, ground.rate
    if load is None:
        put(0.0, 0.0)
        return
    # The sum over the hours of (bad − rate · requests) · centred load.
    score = np.einsum("rh,h->r", requests.in_busy_hours(ground.bad), load.centred) - rate * load.excess
    information = rate * load.information
    put(np.clip(score / information, -9, 9), np.clip(score / np.sqrt(information), -200, 200))
