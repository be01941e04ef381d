"""The groups that outcomes are judged in, and what both kinds of outcome, availability and latency, have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np

from apps.engine.evaluation.evaluate import CHANCES, TIERS
from apps.engine.evaluation.scoring import deciles, standard_error

LEAST_GROUP = 500
"""Groups of fewer services are shown, and judged by the looser bounds."""

type Bounds = tuple[float, float, float]

OVERALL_BOUNDS: Bounds = (0.01, 0.02, 0.04)
GROUP_BOUNDS: Bounds = (0.02, 0.04, 0.08)
FAMILY_BOUNDS: Bounds = (0.04, 0.08, 0.13)
"""How far a share may lie from what is said: over all, within what can be seen, within hidden families."""


class Judged(Protocol):
    """What is known of an outcome, whatever it is of."""

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
    }


def calibrations[OutcomeT: Judged](
    outcomes: Sequence[OutcomeT],
    groupings: Mapping[str, Sequence[str]],
    calibration: Callable[[Sequence[OutcomeT], Bounds], dict[str, object]],
) -> dict[str, object]:
    """Judge all outcomes, each hidden family, and each group of ``groupings``, which hold a label an outcome."""
    groups: dict[str, dict[str, object]] = {}
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


def by_family[OutcomeT: Judged](outcomes: Sequence[OutcomeT]) -> dict[str, list[OutcomeT]]:
    """The outcomes of each family, in the order in which families first come."""
    found: dict[str, list[OutcomeT]] = {}
    for each in outcomes:
        found.setdefault(each.family, []).append(each)
    return found


NOMINAL_COVERAGE = 0.9
"""How often a 90 % interval says that it holds the truth."""


def chance_errors(outcomes: Sequence[Judged]) -> list[float]:
    """Standard error of the missed share of each tier, were its statement exact."""
    with_number = sum("engine" in each.predictions for each in outcomes)
    return [round(standard_error(chance, with_number), 5) for chance in CHANCES]


def coverage_error(outcomes: Sequence[Judged]) -> float:
    """Standard error of :func:`interval_coverage`, were it 90 %."""
    known = sum("oracle" in each.predictions and bool(each.intervals) for each in outcomes)
    return round(standard_error(NOMINAL_COVERAGE, known), 5)


def interval_coverage(outcomes: Sequence[Judged]) -> dict[str, float | None]:
    """How often the oracle's number lies in the 90 % interval, by tier; ``None`` where nobody knows it."""
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
