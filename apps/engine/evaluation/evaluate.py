"""Recommend for services whose next window is known, and keep what is needed to score it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from apps.engine.document import RecommendationDocument
from apps.engine.evaluation.baselines import baselines
from apps.engine.recommend import recommend
from apps.engine.series import DAY_SECONDS, observe
from apps.engine.simulation.fleet import CUT_HOUR, HOUR_SECONDS, START, SimulatedService, simulate_service
from apps.engine.types import TIER_BREACH_PROBABILITY, ServiceInput

CUT = START + CUT_HOUR * HOUR_SECONDS
TIERS = tuple(TIER_BREACH_PROBABILITY)
CHANCES = tuple(TIER_BREACH_PROBABILITY.values())
ORACLE_FUTURES = 400
SCORED_FUTURES = 100
"""Further futures over which the loss is averaged, for the oracle and the engine alike."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One service: what each method predicted, and what happened.

    ``predictions`` holds unavailabilities at each of :data:`CHANCES` by method; ``engine`` is missing where there is no
    number, ``oracle`` where the truth is not known. Losses are averaged over ``futures``, possible next windows.
    """

    family: str
    verdict: str
    regime: str | None
    days: float
    coverage: float
    window_requests: float
    has_dependency: bool
    observed: float | None
    requests: float
    actual: float
    futures: tuple[float, ...]
    predictions: dict[str, tuple[float, ...]]
    intervals: tuple[tuple[float, float], ...]


def evaluate_service(
    family: str,
    service: ServiceInput,
    as_of: int,
    *,
    requests: float,
    actual: float,
    futures: Sequence[float],
    oracle: Sequence[float] | None,
    window_days: int = 28,
    recommended: RecommendationDocument | None = None,
) -> Outcome:
    """Recommend at ``as_of`` and keep it beside the ``actual`` share of failures among the next window's
    ``requests``.
    """
    document = recommended or recommend(service, as_of=as_of, window_days=window_days)
    counts = observe(service.counts, as_of)
    assert counts is not None
    found = document["availability"]
    bins_a_day = DAY_SECONDS // counts.step_seconds
    predictions = {
        name: tuple(float(each) for each in values)
        for name, values in baselines(
            counts.dense_total,
            counts.dense_bad,
            CHANCES,
            window_days * bins_a_day,
            np.random.default_rng(1),
            bins_a_day=bins_a_day,
        ).items()
    }
    if oracle is not None:
        predictions["oracle"] = tuple(oracle)
    intervals: tuple[tuple[float, float], ...] = ()
    if found["tiers"] is not None:
        tiers = [found["tiers"][name] for name in TIERS]
        predictions["engine"] = tuple(1 - tier["target"] for tier in tiers)
        intervals = tuple((1 - tier["interval"][1], 1 - tier["interval"][0]) for tier in tiers)
    quality = document["data_quality"]
    days, coverage, expected = quality["days"], quality["coverage"], quality["expected_requests"]
    assert days is not None
    assert coverage is not None
    assert expected is not None
    return Outcome(
        family=family,
        verdict=found["verdict"],
        regime=found["regime"],
        days=days,
        coverage=coverage,
        window_requests=expected,
        has_dependency=bool(service.dependencies),
        observed=found["observed"],
        requests=requests,
        actual=actual,
        futures=tuple(futures),
        predictions=predictions,
        intervals=intervals,
    )


def evaluate_simulated(simulated: SimulatedService, seed: int) -> Outcome:
    """Evaluate on a simulated service; the oracle's quantiles come from separate futures."""
    generator = np.random.default_rng([seed, 77])
    futures = simulated.futures(generator, ORACLE_FUTURES + SCORED_FUTURES)
    oracle = np.quantile(futures[:ORACLE_FUTURES], 1 - np.asarray(CHANCES), method="higher")
    return evaluate_service(
        simulated.family,
        simulated.service,
        CUT,
        requests=float(simulated.future_total.sum()),
        actual=simulated.unavailability,
        futures=[float(each) for each in futures[ORACLE_FUTURES:]],
        oracle=[float(each) for each in oracle],
        window_days=simulated.window_days,
    )


def evaluate_numbers(job: tuple[int, Sequence[str], Sequence[int], Iterable[int]]) -> list[Outcome]:
    """Simulate and evaluate services ``(seed, families, families' numbers, services' numbers)``: one process's part."""
    seed, families, kinds, numbers = job
    return [
        evaluate_simulated(
            simulate_service(np.random.default_rng([seed, kind, number]), family, f"{family}-{number}"),
            seed * 1_000_003 + kind * 100_003 + number,
        )
        for number in numbers
        for family, kind in zip(families, kinds, strict=True)
    ]
