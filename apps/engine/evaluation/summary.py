"""From outcomes to the tables of the report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from apps.engine.evaluation.evaluate import CHANCES, TIERS, Outcome
from apps.engine.evaluation.scoring import deciles, missed, pinball, share_closed

LEAST_GROUP = 500
"""Groups of fewer services are shown, and judged by the looser bounds."""
OVERALL_BOUNDS = (0.01, 0.02, 0.04)
GROUP_BOUNDS = (0.02, 0.04, 0.08)
FAMILY_BOUNDS = (0.04, 0.08, 0.13)
"""How far a share may lie from what is said: over all, within what can be seen, within hidden families."""
RELIABILITY_CHANCES = TIERS

type Table = list[dict[str, object]]


def calibration(outcomes: Sequence[Outcome], bounds: Sequence[float]) -> dict[str, object]:
    """Missed shares of the three tiers in a group, with sampling error, and whether they lie within bounds."""
    found = [each for each in outcomes if "engine" in each.predictions]
    row: dict[str, object] = {"services": len(outcomes), "with_number": len(found)}
    predicted = np.array([each.predictions["engine"] for each in found]).reshape(-1, len(TIERS))
    actual = np.array([each.actual for each in found])
    requests = np.array([each.requests for each in found])
    for at, (tier, chance) in enumerate(zip(TIERS, CHANCES, strict=True)):
        if not found:
            row[tier] = None
            continue
        share = missed(predicted[:, at], actual, requests, chance)
        row[tier] = {
            "missed": round(share.below, 5),
            "missed_or_met_exactly": round(share.at_or_below, 5),
            "standard_error": round(share.error, 5),
            "within": bool(share.distance(chance) <= bounds[at] + 1e-12),
        }
    return row


def groups(outcomes: Sequence[Outcome]) -> dict[str, list[str]]:
    """Return the group of each outcome in every grouping that can be seen from outside."""
    traffic = deciles(np.array([each.window_requests for each in outcomes]))
    return {
        "regime": [each.regime or "none" for each in outcomes],
        "traffic decile": [f"{number + 1}" for number in traffic],
        "history": [
            "7 to 29 days" if each.days < 30 else "30 to 59 days" if each.days < 60 else "60 days and more"
            for each in outcomes
        ],
        "data quality": ["with gaps" if each.coverage < 0.99 else "complete" for each in outcomes],
        "dependencies": ["with" if each.has_dependency else "without" for each in outcomes],
    }


def losses(outcomes: Sequence[Outcome]) -> dict[str, dict[str, float]]:
    """Mean pinball loss by method and tier, averaged over each service's possible futures."""
    found = [each for each in outcomes if "engine" in each.predictions]
    methods = list(found[0].predictions) if found else []
    result: dict[str, dict[str, float]] = {}
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


def gap_closed(found: Mapping[str, Mapping[str, float]]) -> dict[str, float | None]:
    """Share of the way from the block bootstrap's loss to the oracle's, by tier."""
    if "oracle" not in found:
        return dict.fromkeys(TIERS)
    return {
        tier: share_closed(found["engine"][tier], found["block_bootstrap"][tier], found["oracle"][tier])
        for tier in TIERS
    }


def interval_coverage(outcomes: Sequence[Outcome]) -> dict[str, float | None]:
    """How often the oracle's quantile lies in the 90 % interval of the target, by tier."""
    known = [each for each in outcomes if "oracle" in each.predictions and each.intervals]
    if not known:
        return dict.fromkeys(TIERS)
    return {
        tier: float(
            np.mean(
                [
                    each.intervals[at][0] <= each.predictions["oracle"][at] <= each.intervals[at][1]
                    for each in known
                ]
            )
        )
        for at, tier in enumerate(TIERS)
    }


def reliability(outcomes: Sequence[Outcome]) -> dict[str, list[float]]:
    """Missed share of each tier by method: what the diagram draws."""
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


def summarise(outcomes: Sequence[Outcome]) -> dict[str, object]:
    """All tables of the report, JSON-ready."""
    families = list(dict.fromkeys(each.family for each in outcomes))
    by_group: dict[str, dict[str, object]] = {}
    for name, labels in groups(outcomes).items():
        by_group[name] = {}
        for label in sorted(set(labels), key=lambda each: (len(each), each)):
            members = _where(outcomes, labels, lambda each, label=label: each == label)  # type: ignore[misc]
            is_large = len(members) >= LEAST_GROUP
            by_group[name][label] = calibration(members, GROUP_BOUNDS if is_large else FAMILY_BOUNDS)
    found = losses(outcomes)
    return {
        "overall": calibration(outcomes, OVERALL_BOUNDS),
        "families": {
            family: calibration([each for each in outcomes if each.family == family], FAMILY_BOUNDS)
            for family in families
        },
        "groups": by_group,
        "pinball": found,
        "gap_closed": gap_closed(found),
        "gap_closed_by_family": {
            family: gap_closed(losses([each for each in outcomes if each.family == family]))
            for family in families
        },
        "interval_coverage": interval_coverage(outcomes),
        "reliability": reliability(outcomes),
    }


def _where(
    outcomes: Sequence[Outcome], labels: Sequence[str], is_member: Callable[[str], bool]
) -> list[Outcome]:
    return [each for each, label in zip(outcomes, labels, strict=True) if is_member(label)]
