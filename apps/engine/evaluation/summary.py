"""Summarises outcomes as the tables of the report."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from apps.engine.evaluation.evaluate import CHANCES, TIERS, Outcome
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
from apps.engine.evaluation.scoring import missed, pinball, share_closed
from apps.engine.evaluation.tables import ByTier, Calibration, Losses, Summary


def calibration(outcomes: Sequence[Outcome], bounds: Bounds) -> Calibration:
    """Return a group's missed shares of the three tiers, with sampling error, and whether they lie within bounds."""
    found = [each for each in outcomes if "engine" in each.predictions]
    predicted = np.array([each.predictions["engine"] for each in found]).reshape(-1, len(TIERS))
    actual = np.array([each.actual for each in found])
    requests = np.array([each.requests for each in found])
    shares = (
        [missed(predicted[:, at], actual, requests, chance) for at, chance in enumerate(CHANCES)]
        if found
        else []
    )
    return judged(len(outcomes), len(found), shares, bounds)


def losses(outcomes: Sequence[Outcome]) -> Losses:
    """Return the mean pinball loss by method and tier, averaged over each service's possible futures."""
    found = [each for each in outcomes if "engine" in each.predictions]
    methods = list(found[0].predictions) if found else []
    result: Losses = {}
    for method in sorted(methods, key=_order):
        result[method] = {
            tier: float(
                np.mean(
                    [
                        pinball(
                            np.full(len(each.futures), each.predictions[method][at]),
                            np.array(each.futures),
                            chance,
                        ).mean()
                        for each in found
                    ]
                )
            )
            for at, (tier, chance) in enumerate(zip(TIERS, CHANCES, strict=True))
        }
    return result


def _order(method: str) -> int:
    known = ("clopper_pearson", "past_windows", "iid_bootstrap", "block_bootstrap", "engine", "oracle")
    return known.index(method)


def gap_closed(found: Losses) -> ByTier[float | None]:
    """Return the share of the gap between the block bootstrap's loss and the oracle's that is closed, by tier."""
    if "oracle" not in found:
        return dict.fromkeys(TIERS)
    return {
        tier: share_closed(found["engine"][tier], found["block_bootstrap"][tier], found["oracle"][tier])
        for tier in TIERS
    }


def reliability(outcomes: Sequence[Outcome]) -> dict[str, list[float]]:
    """Return the missed share of each tier by method, which the diagram draws."""
    found = [each for each in outcomes if "engine" in each.predictions]
    result = {}
    for method in sorted(found[0].predictions, key=_order) if found else ():
        predicted = np.array([each.predictions[method] for each in found])
        actual = np.array([each.actual for each in found])
        requests = np.array([each.requests for each in found])
        result[method] = [
            missed(predicted[:, at], actual, requests, chance).below for at, chance in enumerate(CHANCES)
        ]
    return result


def summarise(outcomes: Sequence[Outcome]) -> Summary:
    """Return all tables of the report, JSON-ready."""
    groups = seen(outcomes) | {
        "dependencies": ["with" if each.has_dependency else "without" for each in outcomes]
    }
    found = losses(outcomes)
    return {
        **calibrations(outcomes, groups, calibration),
        "pinball": found,
        "gap_closed": gap_closed(found),
        "gap_closed_by_family": {
            family: gap_closed(losses(members)) for family, members in by_family(outcomes).items()
        },
        "interval_coverage": interval_coverage(outcomes),
        "interval_coverage_error": coverage_error(outcomes),
        "reliability": reliability(outcomes),
        "reliability_error": chance_errors(outcomes),
    }
