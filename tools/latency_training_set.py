"""Histograms and what came after them, as rows of features: the training set of the latency forecast."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from apps.engine.forecast.latency_features import ABOVE_TOP, LEAST_MS, SHARES, LatencyHistory, latency_rows
from apps.engine.latency.thresholds import from_buckets, history_of
from apps.engine.simulation.fleet import CUT_HOUR, HOUR_SECONDS, START
from apps.engine.simulation.latency_fleet import FAMILIES, MIXED, SimulatedLatency, simulate_latency
from apps.engine.types import BucketSeries, Floats

CUT = START + CUT_HOUR * HOUR_SECONDS
ALL_FAMILIES = (*FAMILIES, MIXED)
OTHER_WINDOWS = (7, 14, 30, 60, 90)
NAMES = ("features", "centre", "spread", "futures", "exact", "family")


@dataclass(frozen=True, slots=True)
class LatencyTraining:
    """``features`` ``(n, features)`` with ``centre`` and ``spread`` ``(n,)``.

    ``futures`` and ``exact`` ``(n, k)`` are logarithms of possible next windows' percentiles, read and true. ``family``
    ``(n,)`` is the family's number.
    """

    features: Floats
    centre: Floats
    spread: Floats
    futures: Floats
    exact: Floats
    family: Floats


def make_rows(
    seed: int, numbers: range, futures: int, *, vary: bool = True, is_exact: bool = False
) -> LatencyTraining:
    """Simulate these numbers of each family: two rows for each service, p95 and p99."""
    columns: dict[str, list[Floats]] = {name: [] for name in NAMES}
    for number in numbers:
        for at, family in enumerate(ALL_FAMILIES):
            generator = np.random.default_rng([seed, 31, at, number])
            window_days = 28
            if vary and generator.random() < 0.2:
                window_days = int(generator.choice(OTHER_WINDOWS))
            simulated = simulate_latency(generator, family, window_days=window_days)
            series = _varied(generator, simulated.series) if vary else simulated.series
            rows = latency_rows(_history(series), window_days=window_days)
            read, exact = simulated.futures(generator, futures, SHARES, is_exact=is_exact)
            columns["features"].append(rows.features.astype(np.float32))
            columns["centre"].append(rows.centre)
            columns["spread"].append(rows.spread)
            columns["futures"].append(_logarithms(simulated, read).T)
            columns["exact"].append(_logarithms(simulated, exact).T)
            columns["family"].append(np.full(len(SHARES), float(at)))
    return LatencyTraining(*(np.concatenate(columns[name]) for name in NAMES))


def read_rows(paths: list[Path]) -> LatencyTraining:
    """Read and join chunks."""
    parts = [np.load(path) for path in paths]
    return LatencyTraining(*(np.concatenate([part[name] for part in parts]) for name in NAMES))


def _history(series: BucketSeries) -> LatencyHistory:
    found = from_buckets(series, CUT)
    assert found is not None
    return history_of(found)


def _logarithms(simulated: SimulatedLatency, values: Floats) -> Floats:
    top = float(simulated.series.bounds_ms[-2]) * ABOVE_TOP
    result: Floats = np.log(np.clip(values, LEAST_MS, top))
    return result


def _varied(generator: np.random.Generator, series: BucketSeries) -> BucketSeries:
    """Make some services younger than a week, and show only daily histograms of some."""
    chance = generator.random()
    size = series.cumulative.shape[0]
    if chance < 0.05:
        hours = int(generator.integers(24, 7 * 24))
        rows = series.cumulative[-hours:]
        if np.nansum(rows[:, -1]) <= 0:
            return series
        return BucketSeries(
            series.start + (size - hours) * HOUR_SECONDS, HOUR_SECONDS, series.bounds_ms, rows
        )
    if chance < 0.08:
        whole = size // 24 * 24
        rows = np.nansum(series.cumulative[-whole:].reshape(-1, 24, series.bounds_ms.size), axis=1)
        rows[rows[:, -1] <= 0] = np.nan
        start = series.start + (size - whole) * HOUR_SECONDS
        return BucketSeries(start, 24 * HOUR_SECONDS, series.bounds_ms, rows)
    return series
