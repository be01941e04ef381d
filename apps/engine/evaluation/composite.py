"""How far composed availabilities of random graphs are from brute force, in standard errors of the difference.

If both are right, the differences are standard normal. A difference beyond three standard errors is sampled again with
sixteen times the worlds: a fault of the method then grows to twelve standard errors, chance disappears.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.special import betainc

from apps.engine.evaluation.brute_force import simulate
from apps.engine.evaluation.tables import Composite, Differences
from apps.engine.graph.composing import FleetComposite, compose_fleet
from apps.engine.graph.fleet import FleetGraph
from apps.engine.simulation.random_graphs import random_graph

WORLDS = 100_000
SAMPLES = 20_000
MORE = 16
"""Factor on worlds and samples where a difference is checked again."""
METHODS: Mapping[str, int] = {"enumerated": 12, "sampled": -1}
"""How many shared nodes each method may condition on: all there are, or none."""
LIMITS = (1, 2, 3)
FAR = LIMITS[-1]
LEAST_CHANCE = 0.001
"""More nodes beyond three standard errors than chance gives with this probability count as a fault."""


class Compose(Protocol):
    """A function that finds the availability of every node, such as
    :func:`~apps.engine.graph.composing.compose_fleet`.
    """

    def __call__(
        self, graph: FleetGraph, *, max_conditioned: int, samples: int, seed: int
    ) -> FleetComposite: ...


@dataclass(frozen=True, slots=True)
class CompositeOutcome:
    """One node of one graph: ``off`` is the difference in standard errors, ``again`` that of the second sample where
    the first was too far off.
    """

    method: str
    graph: int
    node: str
    off: float
    again: float | None


def evaluate_graph(
    seed: int, number: int, *, worlds: int = WORLDS, compose: Compose = compose_fleet
) -> list[CompositeOutcome]:
    """Compose a random graph by every method and compare each with a simulation of ``worlds`` worlds."""
    graph = random_graph(np.random.default_rng([seed, number]))

    def simulated(times: int) -> dict[str, float]:
        return simulate(graph, times * worlds, np.random.default_rng([seed, number, times]))

    def off(method: str, seen: Mapping[str, float], times: int) -> dict[str, float]:
        composed = compose(
            graph,
            max_conditioned=METHODS[method],
            samples=times * SAMPLES,
            seed=(seed * 1_000_003 + number) * 2 * MORE + times,
        )
        return {
            name: (composed.nodes[name].availability - share)
            / math.hypot(
                math.sqrt(share * (1 - share) / (times * worlds)) + 1e-9, composed.nodes[name].standard_error
            )
            for name, share in seen.items()
        }

    seen = simulated(1)
    found = {method: off(method, seen, 1) for method in METHODS}
    doubted = [method for method, each in found.items() if any(abs(one) > FAR for one in each.values())]
    more = simulated(MORE) if doubted else {}
    again = {method: off(method, more, MORE) for method in doubted}
    return [
        CompositeOutcome(method, number, name, each, again[method][name] if abs(each) > FAR else None)
        for method, nodes in found.items()
        for name, each in nodes.items()
    ]


def evaluate_graph_numbers(job: tuple[int, Iterable[int]]) -> list[CompositeOutcome]:
    """Evaluate graphs ``(seed, their numbers)``: one process's part."""
    seed, numbers = job
    return [outcome for number in numbers for outcome in evaluate_graph(seed, number)]


def by_chance(limit: float) -> float:
    """Return the share of a standard normal that lies beyond ``limit`` on either side."""
    return math.erfc(limit / math.sqrt(2))


def is_chance(beyond: int, of: int) -> bool:
    """Whether chance alone may put that many of so many differences beyond three standard errors.

    The chance of as many or more is a tail of the binomial distribution, an incomplete beta function.
    """
    return beyond == 0 or float(betainc(beyond, of - beyond + 1, by_chance(FAR))) >= LEAST_CHANCE


def summarise_composite(outcomes: Sequence[CompositeOutcome]) -> Composite:
    """Summarise differences by method, JSON-ready, with what chance alone gives; empty where nothing was evaluated."""
    if not outcomes:
        return {}
    return {
        "graphs": len({each.graph for each in outcomes}),
        "chance": {str(limit): round(by_chance(limit), 5) for limit in LIMITS},
        "methods": {
            method: _summarise([each for each in outcomes if each.method == method]) for method in METHODS
        },
    }


def _summarise(outcomes: Sequence[CompositeOutcome]) -> Differences:
    off = np.array([each.off for each in outcomes])
    again = [each.again for each in outcomes if each.again is not None]
    still = sum(abs(each) > FAR for each in again)
    return {
        "nodes": len(outcomes),
        "mean": round(float(off.mean()), 5),
        "standard_deviation": round(float(off.std()), 5),
        "beyond": {str(limit): round(float((np.abs(off) > limit).mean()), 5) for limit in LIMITS},
        "largest": round(float(np.abs(off).max()), 5),
        "looked_at_again": len(again),
        "still_beyond": still,
        "within": is_chance(len(again), len(outcomes)) and is_chance(still, len(again)),
    }
