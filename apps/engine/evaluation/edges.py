"""How often the 90 % intervals of call probability and hardness hold the true value, on simulated services."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from apps.engine.edges.estimates import EdgeEstimate, estimate_edges
from apps.engine.evaluation.grouping import NOMINAL_COVERAGE
from apps.engine.evaluation.scoring import standard_error
from apps.engine.evaluation.tables import Coverage, EdgeCoverage
from apps.engine.series import ObservedCounts, observe
from apps.engine.simulation.fleet import HOUR_SECONDS, START
from apps.engine.simulation.known_edges import Seen, simulated_service
from apps.engine.types import DependencyInput

COVERAGE_BOUNDS = (0.85, 0.95)
"""The bounds of the share of 90 % intervals that hold the true value."""
LEAST_JUDGED = 100
"""With fewer intervals the share is shown but not judged: chance alone could put it out of bounds."""

type Figure = Literal["q", "h"]
type Estimate = Callable[[ObservedCounts | None, Sequence[DependencyInput], int], Sequence[EdgeEstimate]]

LEARNED: dict[str, tuple[Seen, Figure, str]] = {
    "q_from_calls": ("edge", "q", "observed"),
    "q_from_traffic": ("target", "q", "co_movement"),
    "h_from_edge_series": ("edge", "h", "observed"),
    "h_from_target_series": ("target", "h", "observed"),
}
"""The figures that data can show: what is seen of the dependency, which figure, and the source that the estimate then
names.
"""


@dataclass(frozen=True, slots=True)
class EdgeOutcome:
    """One figure of one edge: its true value, and the interval and source of its estimate."""

    seen: Seen
    figure: Figure
    truth: float
    interval: tuple[float, float] | None
    source: str | None

    @property
    def is_held(self) -> bool:
        """Whether there is an interval that holds the true value."""
        return self.interval is not None and self.interval[0] - 1e-9 <= self.truth <= self.interval[1] + 1e-9


def evaluate_edges(
    seed: int, number: int, seen: Seen, *, estimate: Estimate = estimate_edges
) -> list[EdgeOutcome]:
    """Simulate a service and let ``estimate`` find q and h of its dependencies; two outcomes for each edge."""
    counts, known = simulated_service(np.random.default_rng([seed, number]), seen)
    end = START + counts.total.size * HOUR_SECONDS
    found = estimate(observe(counts, end), [each.dependency for each in known], end)
    outcomes: list[EdgeOutcome] = []
    for true, one in zip(known, found, strict=True):
        outcomes += [
            EdgeOutcome(seen, "q", true.q, one.call_probability_interval, one.call_probability_source),
            EdgeOutcome(seen, "h", true.h, one.hardness_interval, one.hardness_source),
        ]
    return outcomes


def evaluate_edge_numbers(job: tuple[int, Iterable[int]]) -> list[EdgeOutcome]:
    """Evaluate the edges of services ``(seed, services' numbers)``, seen in both ways: one process's part."""
    seed, numbers = job
    return [
        outcome
        for number in numbers
        for seen in get_args(Seen.__value__)
        for outcome in evaluate_edges(seed, number, seen)
    ]


def summarise_edges(outcomes: Sequence[EdgeOutcome]) -> dict[str, EdgeCoverage]:
    """Summarise coverage by figure, JSON-ready; empty where nothing was evaluated.

    A true value of 0 or 1 can be missed on one side only, so those edges are counted apart and not judged.
    """
    if not outcomes:
        return {}
    return {name: _summarise(outcomes, *kind) for name, kind in LEARNED.items()}


def _summarise(outcomes: Sequence[EdgeOutcome], seen: Seen, figure: Figure, source: str) -> EdgeCoverage:
    asked = [each for each in outcomes if (each.seen, each.figure) == (seen, figure)]
    learned = [each for each in asked if each.source == source and each.interval is not None]
    inside = _coverage([each for each in learned if 0 < each.truth < 1])
    if inside is not None:
        low, high = COVERAGE_BOUNDS
        inside["within"] = low <= inside["covered"] <= high if inside["edges"] >= LEAST_JUDGED else None
    return {
        "edges": len(asked),
        "learned": len(learned),
        "inside": inside,
        "at_0_or_1": _coverage([each for each in learned if not 0 < each.truth < 1]),
    }


def _coverage(learned: Sequence[EdgeOutcome]) -> Coverage | None:
    """Return the share that holds the true value; its standard error assumes that the share is 90 %."""
    if not learned:
        return None
    return {
        "edges": len(learned),
        "covered": round(sum(each.is_held for each in learned) / len(learned), 5),
        "standard_error": round(standard_error(NOMINAL_COVERAGE, len(learned)), 5),
    }
