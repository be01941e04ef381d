"""Evaluation of latency: how often a window's p95 and p99 exceed their thresholds, and how tight these are.

Losses use natural logarithms of milliseconds, so that slow services do not dominate fast ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from apps.engine.document import LatencyPart, LatencyPercentile
from apps.engine.evaluation.evaluate import CHANCES, CUT, TIERS
from apps.engine.forecast.latency_features import SHARES
from apps.engine.percentiles import percentile
from apps.engine.recommend import recommend
from apps.engine.simulation.latency_fleet import FAMILIES, SimulatedLatency, simulate_latency
from apps.engine.types import Floats, ServiceInput

PERCENTILES: dict[LatencyPercentile, float] = {"p95_ms": 0.95, "p99_ms": 0.99}
ORACLE_FUTURES = 200
SCORED_FUTURES = 40
REPLICATES = 500

type LatencyJob = tuple[int, Sequence[str], Iterable[int]]
"""One process's part of simulated services: ``(seed, families, services' numbers)``."""


@dataclass(frozen=True, slots=True)
class LatencyOutcome:
    """One percentile of one service: what each method predicted, and what happened (milliseconds).

    ``predictions`` holds thresholds at each of the chances by method; ``engine`` is missing where there is no number.
    ``actual`` is the held-out window's percentile as its buckets show it (infinite above the highest bound), ``exact``
    the true one where it is known. Losses are averaged over ``futures``, possible windows. ``top_ms`` is the highest
    bound.
    """

    family: str
    which: str
    scheme: str
    regime: str | None
    days: float
    coverage: float
    window_requests: float
    actual: float
    exact: float | None
    futures: tuple[float, ...]
    predictions: dict[str, tuple[float, ...]]
    intervals: tuple[tuple[float, float], ...]
    top_ms: float


def evaluate_latency(simulated: SimulatedLatency, name: str, seed: int) -> list[LatencyOutcome]:
    """Recommend for a simulated service at the end of its history; one outcome for each percentile."""
    generator = np.random.default_rng([seed, 78])
    futures, _ = simulated.futures(generator, ORACLE_FUTURES + SCORED_FUTURES, SHARES)
    came = [
        _Came(
            actual=simulated.read(share),
            exact=simulated.exact[share],
            futures=tuple(float(each) for each in futures[ORACLE_FUTURES:, at]),
            oracle=_quantiles(futures[:ORACLE_FUTURES, at]),
        )
        for at, share in enumerate(PERCENTILES.values())
    ]
    service = ServiceInput(name, buckets=simulated.series)
    return _outcomes(service, simulated.family, simulated.scheme, came, CUT, simulated.window_days, generator)


def evaluate_recorded_latency(
    service: ServiceInput, family: str, held_out: Floats, as_of: int, window_days: int
) -> list[LatencyOutcome]:
    """Recommend for a real service at ``as_of``; ``held_out`` is the cumulative histogram of the next window,
    ``(k,)``.
    """
    assert service.buckets is not None
    bounds = service.buckets.bounds_ms
    read = [float(percentile(bounds, held_out, share)[0]) for share in PERCENTILES.values()]
    came = [_Came(actual=each, exact=None, futures=(each,), oracle=None) for each in read]
    scheme = f"{bounds.size} bounds"
    return _outcomes(service, family, scheme, came, as_of, window_days, np.random.default_rng(1))


@dataclass(frozen=True, slots=True)
class _Came:
    """The next window of one percentile; ``exact`` and ``oracle`` where the process is known."""

    actual: float
    exact: float | None
    futures: tuple[float, ...]
    oracle: tuple[float, ...] | None


def _outcomes(
    service: ServiceInput,
    family: str,
    scheme: str,
    came: Sequence[_Came],
    as_of: int,
    window_days: int,
    generator: np.random.Generator,
) -> list[LatencyOutcome]:
    document = recommend(service, as_of=as_of, window_days=window_days)
    series = service.buckets
    assert series is not None
    rows = series.cumulative
    is_known = np.isfinite(rows[:, 0])
    resampled = _resampled(np.nan_to_num(rows), window_days, generator)
    past = _past(np.nan_to_num(rows), window_days)
    found = []
    for (which, share), one in zip(PERCENTILES.items(), came, strict=True):
        offer = document["latency"][which]
        predictions = {
            "past_windows": _quantiles(percentile(series.bounds_ms, past, share)),
            "block_bootstrap": _quantiles(percentile(series.bounds_ms, resampled, share)),
        }
        if one.oracle is not None:
            predictions["oracle"] = one.oracle
        engine, intervals = offered(offer)
        found.append(
            LatencyOutcome(
                family=family,
                which=which,
                scheme=scheme,
                regime=offer["regime"],
                days=rows.shape[0] / 24,
                coverage=float(is_known.mean()),
                window_requests=float(np.nansum(rows[:, -1]) / is_known.sum() * window_days * 24),
                actual=one.actual,
                exact=one.exact,
                futures=one.futures,
                predictions=predictions | engine,
                intervals=intervals,
                top_ms=float(series.bounds_ms[-2]),
            )
        )
    return found


def offered(
    offer: LatencyPart,
) -> tuple[dict[str, tuple[float, ...]], tuple[tuple[float, float], ...]]:
    """Return the engine's entry of ``predictions`` and its ``intervals`` for one percentile.

    Both are empty where there is no number.
    """
    if offer["tiers"] is None:
        return {}, ()
    tiers = [offer["tiers"][tier] for tier in TIERS]
    intervals = tuple((tier["interval"][0], tier["interval"][1]) for tier in tiers)
    return {"engine": tuple(tier["target"] for tier in tiers)}, intervals


def simulated_latencies(job: LatencyJob) -> Iterator[tuple[SimulatedLatency, str, int]]:
    """Simulate the services of one process's part; yield each with its name and the seed of its evaluation."""
    seed, families, numbers = job
    known = list(FAMILIES)
    for number in numbers:
        for family in families:
            kind = known.index(family)
            simulated = simulate_latency(np.random.default_rng([seed, 13, kind, number]), family)
            yield simulated, f"{family}-{number}", seed * 1_000_003 + kind * 100_003 + number


def evaluate_latency_numbers(job: LatencyJob) -> list[LatencyOutcome]:
    """Simulate and evaluate services by their histograms: one process's part."""
    return [outcome for each in simulated_latencies(job) for outcome in evaluate_latency(*each)]


def _quantiles(values: Floats) -> tuple[float, ...]:
    known = values[~np.isnan(values)]
    return tuple(float(each) for each in np.quantile(known, 1 - np.asarray(CHANCES), method="higher"))


def _past(rows: Floats, window_days: int) -> Floats:
    """Return the sums of all past windows of the length, a day apart; of the whole history where it is shorter."""
    width = min(window_days * 24, rows.shape[0])
    running = np.concatenate([np.zeros((1, rows.shape[1])), np.cumsum(rows, axis=0)])
    ends = np.arange(rows.shape[0], width - 1, -24)
    return np.asarray(running[ends] - running[ends - width])


def _resampled(rows: Floats, window_days: int, generator: np.random.Generator) -> Floats:
    """Return windows of whole days drawn at random (block bootstrap; Künsch 1989)."""
    days = rows.shape[0] // 24
    by_day = rows[-days * 24 :].reshape(days, 24, -1).sum(axis=1)
    by_day = by_day[by_day[:, -1] > 0]
    picks = generator.multinomial(window_days, np.full(len(by_day), 1 / len(by_day)), REPLICATES)
    return np.asarray(picks @ by_day)
