"""The groups in which outcomes are judged, and what outcomes of availability and latency have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np

from apps.engine.evaluation.evaluate import CHANCES, TIERS
from apps.engine.evaluation.scoring import MissedShare, deciles, standard_error
from apps.engine.evaluation.tables import ByTier, Calibration, Calibrations

LEAST_GROUP = 500
"""Groups of fewer services are shown, but judged by the looser bounds."""

type Bounds = tuple[float, float, float]

OVERALL_BOUNDS: Bounds = (0.01, 0.02, 0.04)
GROUP_BOUNDS: Bounds = (0.02, 0.04, 0.08)
FAMILY_BOUNDS: Bounds = (0.04, 0.08, 0.13)
"""How far a missed share may lie from the stated chance: overall, in visible groups, in hidden families."""


class Judged(Protocol):
    """What an outcome has, whether of availability or of latency."""

    @property
    def family(self) -> str: ...
    @property
    def regime(self) -> str | None: ...
    @property
    def days(self) -> float: ...
    @property
    def coverage(self) -> float: ...
    @property
    def window_requests(self) -> float: ...
    @property
    def predictions(self) -> Mapping[str, Sequence[float]]: ...
    @property
    def intervals(self) -> Sequence[tuple[float, float]]: ...


def seen(outcomes: Sequence[Judged]) -> dict[str, list[str]]:
    """Return the group of each outcome in every grouping that an outsider can see."""
    traffic = deciles(np.array([each.window_requests for each in outcomes]))
    return {
        "regime": [each.regime or "none" for each in outcomes],
        "traffic decile": [f"{number + 1}" for number in traffic],
        "history": [
            "7 to 29 days" if each.days < 30 else "30 to 59 days" if each.days < 60 else "60 days and more"
            for each in outcomes
        ],
        "data quality": ["with gaps" if each.coverage < 0.99 else "complete" for each in outcomes],
    }


def calibrations[OutcomeT: Judged](
    outcomes: Sequence[OutcomeT],
    groupings: Mapping[str, Sequence[str]],
    calibration: Callable[[Sequence[OutcomeT], Bounds], Calibration],
) -> Calibrations:
    """Judge all outcomes, each hidden family, and each group of ``groupings`` (one label for each outcome)."""
    groups: dict[str, dict[str, Calibration]] = {}
    for name, labels in groupings.items():
        groups[name] = {}
        for label in sorted(set(labels), key=lambda each: (len(each), each)):
            members = [each for each, other in zip(outcomes, labels, strict=True) if other == label]
            groups[name][label] = calibration(
                members, GROUP_BOUNDS if len(members) >= LEAST_GROUP else FAMILY_BOUNDS
            )
    return {
        "overall": calibration(outcomes, OVERALL_BOUNDS),
        "families": {
            family: calibration(members, FAMILY_BOUNDS) for family, members in by_family(outcomes).items()
        },
        "groups": groups,
    }


def judged(services: int, with_number: int, shares: Sequence[MissedShare], bounds: Bounds) -> Calibration:
    """Return a group's missed share of each tier, with sampling error, and whether it lies within bounds; ``shares`` is
    empty where no service has a number.
    """
    row: Calibration = {
        "services": services,
        "with_number": with_number,
        "conservative": None,
        "balanced": None,
        "aggressive": None,
    }
    for tier, chance, share, bound in zip(TIERS, CHANCES, shares, bounds, strict=bool(shares)):
        row[tier] = {
            "missed": round(share.below, 5),
            "missed_or_met_exactly": round(share.at_or_below, 5),
            "standard_error": round(share.error, 5),
            "within": bool(share.distance(chance) <= bound + 1e-12),
        }
    return row


def by_family[OutcomeT: Judged](outcomes: Sequence[OutcomeT]) -> dict[str, list[OutcomeT]]:
    """Return the outcomes of each family, in the order in which families first appear."""
    found: dict[str, list[OutcomeT]] = {}
    for each in outcomes:
        found.setdefault(each.family, []).append(each)
    return found


NOMINAL_COVERAGE = 0.9
"""The stated coverage of a 90 % interval."""


def chance_errors(outcomes: Sequence[Judged]) -> list[float]:
    """Return the standard error of each tier's missed share, if the stated chance is exact."""
    with_number = sum("engine" in each.predictions for each in outcomes)
    return [round(standard_error(chance, with_number), 5) for chance in CHANCES]


def coverage_error(outcomes: Sequence[Judged]) -> float:
    """Return the standard error of :func:`interval_coverage`, if the true coverage is 90 %."""
    known = sum("oracle" in each.predictions and bool(each.intervals) for each in outcomes)
    return round(standard_error(NOMINAL_COVERAGE, known), 5)


def interval_coverage(outcomes: Sequence[Judged]) -> ByTier[float | None]:
    """Return how often the 90 % interval holds the oracle's number, by tier; ``None`` without an oracle."""
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
