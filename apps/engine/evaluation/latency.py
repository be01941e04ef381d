"""The same test for latencies: how often a window's p95 and p99 exceed their thresholds, and how tight those are.

Losses are of natural logarithms of milliseconds, so that slow services do not drown quick ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from apps.engine.evaluation.evaluate import CHANCES, CUT, TIERS
from apps.engine.evaluation.scoring import deciles, pinball, share_closed
from apps.engine.forecast.latency_features import ABOVE_TOP, LEAST_MS, SHARES
from apps.engine.percentiles import percentile
from apps.engine.recommend import recommend
from apps.engine.simulation.latency_fleet import FAMILIES, SimulatedLatency, simulate_latency
from apps.engine.types import Floats, ServiceInput

PERCENTILES = {"p95_ms": 0.95, "p99_ms": 0.99}
ORACLE_FUTURES = 200
SCORED_FUTURES = 40
REPLICATES = 500
LEAST_GROUP = 500
OVERALL_BOUNDS = (0.01, 0.02, 0.04)
GROUP_BOUNDS = (0.02, 0.04, 0.08)
FAMILY_BOUNDS = (0.04, 0.08, 0.13)
LEAST_WAY = 0.02
"""Where the block bootstrap loses less than this part more than the oracle, there is no gap to close."""

type Bounds = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class LatencyOutcome:
    """One percentile of one service: what was said of it, by whom, and what came (milliseconds).

    ``predictions`` holds thresholds at each of the chances by method; ``engine`` is missing where there was no
    number. ``actual`` is the held-out window's percentile as its buckets show it (infinite above the highest bound),
    ``exact`` the true one; ``futures`` are possible windows to average losses over; ``top_ms`` the highest bound.
    """

    family: str
    which: str
    scheme: str
    regime: str | None
    days: float
    coverage: float
    window_requests: float
    actual: float
    exact: float
    futures: tuple[float, ...]
    predictions: dict[str, tuple[float, ...]]
    intervals: tuple[tuple[float, float], ...]
    top_ms: float


def evaluate_latency(simulated: SimulatedLatency, name: str, seed: int) -> list[LatencyOutcome]:
    """Recommend for a simulated service at the end of its history; one outcome for each percentile."""
    document: dict[str, Any] = recommend(
        ServiceInput(name, buckets=simulated.series), as_of=CUT, window_days=simulated.window_days
    )
    generator = np.random.default_rng([seed, 78])
    futures, _ = simulated.futures(generator, ORACLE_FUTURES + SCORED_FUTURES, SHARES)
    rows = simulated.series.cumulative
    is_known = np.isfinite(rows[:, 0])
    resampled = _resampled(np.nan_to_num(rows), simulated.window_days, generator)
    past = _past(np.nan_to_num(rows), simulated.window_days)
    found = []
    for at, (which, share) in enumerate(PERCENTILES.items()):
        told = document["latency"][which]
        predictions = {
            "past_windows": _quantiles(percentile(simulated.series.bounds_ms, past, share)),
            "block_bootstrap": _quantiles(percentile(simulated.series.bounds_ms, resampled, share)),
            "oracle": _quantiles(futures[:ORACLE_FUTURES, at]),
        }
        intervals: tuple[tuple[float, float], ...] = ()
        if told["tiers"] is not None:
            tiers = [told["tiers"][tier] for tier in TIERS]
            predictions["engine"] = tuple(tier["target"] for tier in tiers)
            intervals = tuple((tier["interval"][0], tier["interval"][1]) for tier in tiers)
        found.append(
            LatencyOutcome(
                family=simulated.family,
                which=which,
                scheme=simulated.scheme,
                regime=told["regime"],
                days=rows.shape[0] / 24,
                coverage=float(is_known.mean()),
                window_requests=float(np.nansum(rows[:, -1]) / is_known.sum() * simulated.window_days * 24),
                actual=simulated.read(share),
                exact=simulated.exact[share],
                futures=tuple(float(each) for each in futures[ORACLE_FUTURES:, at]),
                predictions=predictions,
                intervals=intervals,
                top_ms=float(simulated.series.bounds_ms[-2]),
            )
        )
    return found


def evaluate_latency_numbers(job: tuple[int, Sequence[str], Iterable[int]]) -> list[LatencyOutcome]:
    """Simulate and evaluate services ``(seed, families, services' numbers)``: one process's part."""
    seed, families, numbers = job
    known = list(FAMILIES)
    return [
        outcome
        for number in numbers
        for family in families
        for outcome in evaluate_latency(
            simulate_latency(np.random.default_rng([seed, 13, known.index(family), number]), family),
            f"{family}-{number}",
            seed * 1_000_003 + known.index(family) * 100_003 + number,
        )
    ]


def summarise_latency(outcomes: Sequence[LatencyOutcome]) -> dict[str, object]:
    """All tables about latency, by percentile, JSON-ready."""
    return {
        which: _summarise([each for each in outcomes if each.which == which])
        for which in PERCENTILES
        if any(each.which == which for each in outcomes)
    }


def _summarise(outcomes: Sequence[LatencyOutcome]) -> dict[str, object]:
    families = list(dict.fromkeys(each.family for each in outcomes))
    by_group: dict[str, dict[str, object]] = {}
    for name, labels in _groups(outcomes).items():
        by_group[name] = {}
        for label in sorted(set(labels), key=lambda each: (len(each), each)):
            members = [each for each, other in zip(outcomes, labels, strict=True) if other == label]
            is_large = len(members) >= LEAST_GROUP
            by_group[name][label] = _calibration(members, GROUP_BOUNDS if is_large else FAMILY_BOUNDS)
    losses = _losses(outcomes)
    return {
        "overall": _calibration(outcomes, OVERALL_BOUNDS),
        "families": {
            family: _calibration([each for each in outcomes if each.family == family], FAMILY_BOUNDS)
            for family in families
        },
        "groups": by_group,
        "exact_slower": {
            tier: round(float(np.mean([each.exact > each.predictions["engine"][at] for each in found])), 5)
            for at, tier in enumerate(TIERS)
        }
        if (found := [each for each in outcomes if "engine" in each.predictions])
        else None,
        "pinball": losses,
        "gap_closed": _gap_closed(losses),
        "gap_closed_by_family": {
            family: _gap_closed(_losses([each for each in outcomes if each.family == family]))
            for family in families
        },
        "interval_coverage": _coverage(outcomes),
        "reliability": _reliability(outcomes),
    }


def _groups(outcomes: Sequence[LatencyOutcome]) -> dict[str, list[str]]:
    traffic = deciles(np.array([each.window_requests for each in outcomes]))
    return {
        "regime": [each.regime or "none" for each in outcomes],
        "traffic decile": [f"{number + 1}" for number in traffic],
        "history": [
            "7 to 29 days" if each.days < 30 else "30 to 59 days" if each.days < 60 else "60 days and more"
            for each in outcomes
        ],
        "buckets": [each.scheme for each in outcomes],
        "data quality": ["with gaps" if each.coverage < 0.99 else "complete" for each in outcomes],
    }


def _calibration(outcomes: Sequence[LatencyOutcome], bounds: Bounds) -> dict[str, object]:
    """Shares of windows above their thresholds, and at or above them: a reading can tie where it lies on a bound."""
    found = [each for each in outcomes if "engine" in each.predictions]
    row: dict[str, object] = {"services": len(outcomes), "with_number": len(found)}
    actual = np.array([each.actual for each in found])
    for at, (tier, chance) in enumerate(zip(TIERS, CHANCES, strict=True)):
        if not found:
            row[tier] = None
            continue
        said = np.array([each.predictions["engine"][at] for each in found])
        above, at_or_above = float((actual > said).mean()), float((actual >= said).mean())
        distance = max(0.0, above - chance, chance - at_or_above)
        row[tier] = {
            "missed": round(above, 5),
            "missed_or_met_exactly": round(at_or_above, 5),
            "standard_error": round(float(np.sqrt(chance * (1 - chance) / len(found))), 5),
            "within": bool(distance <= bounds[at] + 1e-12),
        }
    return row


def _losses(outcomes: Sequence[LatencyOutcome]) -> dict[str, dict[str, float]]:
    found = [each for each in outcomes if "engine" in each.predictions]
    methods = ("past_windows", "block_bootstrap", "engine", "oracle") if found else ()
    return {
        method: {
            tier: float(
                np.mean(
                    [
                        pinball(
                            np.array(_logarithm(each, each.predictions[method][at])),
                            _logarithm(each, each.futures),
                            chance,
                        ).mean()
                        for each in found
                    ]
                )
            )
            for at, (tier, chance) in enumerate(zip(TIERS, CHANCES, strict=True))
        }
        for method in methods
    }


def _gap_closed(losses: Mapping[str, Mapping[str, float]]) -> dict[str, float | None]:
    result: dict[str, float | None] = dict.fromkeys(TIERS)
    if losses:
        for tier in TIERS:
            floor, oracle = losses["block_bootstrap"][tier], losses["oracle"][tier]
            if floor > oracle * (1 + LEAST_WAY):
                result[tier] = share_closed(losses["engine"][tier], floor, oracle)
    return result


def _coverage(outcomes: Sequence[LatencyOutcome]) -> dict[str, float | None]:
    """How often the oracle's threshold lies in the 90 % interval."""
    known = [each for each in outcomes if each.intervals]
    return {
        tier: float(
            np.mean(
                [
                    each.intervals[at][0] <= each.predictions["oracle"][at] <= each.intervals[at][1]
                    for each in known
                ]
            )
        )
        if known
        else None
        for at, tier in enumerate(TIERS)
    }


def _reliability(outcomes: Sequence[LatencyOutcome]) -> dict[str, list[float]]:
    found = [each for each in outcomes if "engine" in each.predictions]
    return {
        method: [
            float(np.mean([each.actual > each.predictions[method][at] for each in found]))
            for at in range(len(CHANCES))
        ]
        for method in ("past_windows", "block_bootstrap", "engine", "oracle")
        if found
    }


def _logarithm(outcome: LatencyOutcome, values: float | Sequence[float]) -> Floats:
    result: Floats = np.log(np.clip(np.asarray(values), LEAST_MS, ABOVE_TOP * outcome.top_ms))
    return result


def _quantiles(values: Floats) -> tuple[float, ...]:
    known = values[~np.isnan(values)]
    return tuple(float(each) for each in np.quantile(known, 1 - np.asarray(CHANCES), method="higher"))


def _past(rows: Floats, window_days: int) -> Floats:
    """Sums of all past windows of the length, a day apart; of the whole history where it is shorter."""
    width = min(window_days * 24, rows.shape[0])
    running = np.concatenate([np.zeros((1, rows.shape[1])), np.cumsum(rows, axis=0)])
    ends = np.arange(rows.shape[0], width - 1, -24)
    return np.asarray(running[ends] - running[ends - width])


def _resampled(rows: Floats, window_days: int, generator: np.random.Generator) -> Floats:
    """Windows of days drawn as a whole (block bootstrap; Künsch 1989)."""
    days = rows.shape[0] // 24
    by_day = rows[-days * 24 :].reshape(days, 24, -1).sum(axis=1)
    by_day = by_day[by_day[:, -1] > 0]
    picks = generator.multinomial(window_days, np.full(len(by_day), 1 / len(by_day)), REPLICATES)
    return np.asarray(picks @ by_day)
