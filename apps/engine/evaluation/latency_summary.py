"""Summarises outcomes of latency as the tables of the report."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from apps.engine.evaluation.evaluate import CHANCES, TIERS
from apps.engine.evaluation.grouping import (
    Bounds,
    by_family,
    calibrations,
    chance_errors,
    coverage_error,
    interval_coverage,
    judged,
    seen,
)
from apps.engine.evaluation.latency import PERCENTILES, LatencyOutcome
from apps.engine.evaluation.scoring import MissedShare, pinball, share_closed, standard_error
from apps.engine.evaluation.tables import ByTier, Calibration, LatencySummary, Losses
from apps.engine.forecast.latency_features import ABOVE_TOP, LEAST_MS
from apps.engine.types import Floats

LEAST_WAY = 0.02
"""If the block bootstrap's loss exceeds the oracle's by a smaller share than this, there is no gap to close."""


def summarise_latency(outcomes: Sequence[LatencyOutcome]) -> dict[str, LatencySummary]:
    """Return all tables about latency, by percentile, JSON-ready."""
    return {
        which: _summarise([each for each in outcomes if each.which == which])
        for which in PERCENTILES
        if any(each.which == which for each in outcomes)
    }


def _summarise(outcomes: Sequence[LatencyOutcome]) -> LatencySummary:
    groups = seen(outcomes) | {"buckets": [each.scheme for each in outcomes]}
    losses = _losses(outcomes)
    return {
        **calibrations(outcomes, groups, _calibration),
        "exact_slower": _exact_slower(outcomes),
        "pinball": losses,
        "gap_closed": _gap_closed(losses),
        "gap_closed_by_family": {
            family: _gap_closed(_losses(members)) for family, members in by_family(outcomes).items()
        },
        "interval_coverage": interval_coverage(outcomes),
        "interval_coverage_error": coverage_error(outcomes),
        "reliability": _reliability(outcomes),
        "reliability_error": chance_errors(outcomes),
    }


def _exact_slower(outcomes: Sequence[LatencyOutcome]) -> ByTier[float] | None:
    """Return how often the true percentile exceeded the threshold, by tier; ``None`` where it is not known."""
    known = [
        (each.exact, each.predictions["engine"])
        for each in outcomes
        if each.exact is not None and "engine" in each.predictions
    ]
    if not known:
        return None
    return {
        tier: round(float(np.mean([exact > predicted[at] for exact, predicted in known])), 5)
        for at, tier in enumerate(TIERS)
    }


def _methods(found: Sequence[LatencyOutcome]) -> tuple[str, ...]:
    known = ("past_windows", "block_bootstrap", "engine", "oracle")
    return tuple(each for each in known if all(each in one.predictions for one in found)) if found else ()


def _calibration(outcomes: Sequence[LatencyOutcome], bounds: Bounds) -> Calibration:
    """Return the shares of windows above their thresholds, and at or above: a reading ties on a bucket's bound."""
    found = [each for each in outcomes if "engine" in each.predictions]
    actual = np.array([each.actual for each in found])
    shares = []
    for at, chance in enumerate(CHANCES if found else ()):
        predicted = np.array([each.predictions["engine"][at] for each in found])
        above, at_or_above = float((actual > predicted).mean()), float((actual >= predicted).mean())
        shares.append(MissedShare(above, at_or_above, standard_error(chance, len(found)), len(found)))
    return judged(len(outcomes), len(found), shares, bounds)


def _losses(outcomes: Sequence[LatencyOutcome]) -> Losses:
    found = [each for each in outcomes if "engine" in each.predictions]
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
        for method in _methods(found)
    }


def _gap_closed(losses: Losses) -> ByTier[float | None]:
    result: ByTier[float | None] = dict.fromkeys(TIERS)
    if "oracle" in losses:
        for tier in TIERS:
            floor, oracle = losses["block_bootstrap"][tier], losses["oracle"][tier]
            if floor > oracle * (1 + LEAST_WAY):
                result[tier] = share_closed(losses["engine"][tier], floor, oracle)
    return result


def _reliability(outcomes: Sequence[LatencyOutcome]) -> dict[str, list[float]]:
    found = [each for each in outcomes if "engine" in each.predictions]
    return {
        method: [
            float(np.mean([each.actual > each.predictions[method][at] for each in found]))
            for at in range(len(CHANCES))
        ]
        for method in _methods(found)
    }


def _logarithm(outcome: LatencyOutcome, values: float | Sequence[float]) -> Floats:
    result: Floats = np.log(np.clip(np.asarray(values), LEAST_MS, ABOVE_TOP * outcome.top_ms))
    return result
