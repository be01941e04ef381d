"""Availability of a service from its own reliability and its dependencies.

A ≈ A_own · Π(1 − q·h·(1 − A_e)): q is the probability that a request uses the dependency, h the probability
that its failure fails the request (Treynor, Dahlin, Rau and Beyer, *The Calculus of Service Availability*,
2017, without q and h). The plain product Π A_e is only ever shown beside it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

UNKNOWN_SHARED_PART = 0.5
"""Share of the better dependency's failures put down to a node that two share and nobody has measured."""
MAX_SHARED_NODES = 6
"""States of shared nodes are enumerated, 2^n of them; where there are more, those that matter most."""


@dataclass(frozen=True, slots=True)
class Factor:
    """One dependency, or one group of stand-ins, as the composite sees it.

    ``unavailability`` is the best single figure; the Fréchet bounds use ``least_unavailability`` and
    ``most_unavailability``, which differ from it only for groups. ``depends_on`` are service ids below the
    dependency.
    """

    name: str
    call_probability: float
    hardness: float
    unavailability: float
    least_unavailability: float
    most_unavailability: float
    depends_on: tuple[str, ...] = ()

    @property
    def weight(self) -> float:
        """Probability that a request fails given that the dependency does."""
        return self.call_probability * self.hardness

    @property
    def loss(self) -> float:
        """Share of requests that fail because of it, taken alone."""
        return self.weight * self.unavailability


@dataclass(frozen=True, slots=True)
class Composite:
    """``point`` lies within ``[lower, upper]``; ``limit`` is the point with a service that never fails by
    itself.
    """

    point: float
    lower: float
    upper: float
    limit: float


def simple_factor(
    name: str,
    *,
    call_probability: float,
    hardness: float,
    availability: float,
    depends_on: tuple[str, ...] = (),
) -> Factor:
    """A factor for one dependency whose availability is known."""
    unavailability = 1 - availability
    return Factor(
        name, call_probability, hardness, unavailability, unavailability, unavailability, depends_on
    )


def compose(own: float, factors: Sequence[Factor]) -> Composite:
    """Combine ``own`` availability and the dependencies; the order of ``factors`` does not matter.

    The Fréchet bounds max(0, 1 − ΣU) ≤ A ≤ min A hold whatever the dependence between failures; the point
    takes failures as independent but for shared nodes, which are counted once (:func:`joint_availability`).
    """
    limit = joint_availability(factors)
    lower = max(0.0, own - math.fsum(sorted(each.weight * each.most_unavailability for each in factors)))
    upper = min([own, *(1 - each.weight * each.least_unavailability for each in factors)])
    return Composite(min(max(own * limit, lower), upper), lower, upper, limit)


def shared_nodes(factors: Sequence[Factor]) -> dict[str, list[int]]:
    """Nodes that two or more factors stand on, each with the positions of the factors above it.

    A factor that is itself such a node counts as one of the two. Factors that are shared nodes themselves
    are not listed above another one: chains of shared nodes are left to the Fréchet bounds.
    """
    position = {factor.name: at for at, factor in enumerate(factors)}
    above: dict[str, list[int]] = {}
    for at, factor in enumerate(factors):
        for node in set(factor.depends_on):
            if node != factor.name:
                above.setdefault(node, []).append(at)
    roots = {node for node in above if node in position}
    found: dict[str, list[int]] = {}
    for node, users in above.items():
        users = [at for at in users if factors[at].name not in roots]
        if len(users) + (node in position) >= 2 and users:
            found[node] = sorted(users)
    return dict(sorted(found.items()))


def joint_availability(factors: Sequence[Factor]) -> float:
    """Probability that no dependency fails a request, shared nodes counted once.

    The up and down states of shared nodes are enumerated; given them the dependencies are independent, and
    each keeps its own measured unavailability. A shared node that is a dependency itself has its own figure;
    of one that nobody measured half the better dependency's failures are assumed. Nodes under the same
    dependencies are one.
    """
    ordered = sorted(factors, key=lambda factor: (factor.name, factor.loss))
    position = {factor.name: at for at, factor in enumerate(ordered)}
    roots: list[tuple[float, int | None, list[int]]] = []
    unmeasured: set[tuple[int, ...]] = set()
    for node, users in shared_nodes(ordered).items():
        if node in position:
            roots.append((ordered[position[node]].unavailability, position[node], users))
        else:
            unmeasured.add(tuple(users))
    for group in sorted(unmeasured):
        worst_shared = min(ordered[at].unavailability for at in group)
        roots.append((UNKNOWN_SHARED_PART * worst_shared, None, list(group)))
    roots = [root for root in roots if root[0] > 0]
    roots.sort(key=lambda root: -root[0] * sum(ordered[at].weight for at in root[2]))
    roots = roots[:MAX_SHARED_NODES]

    pulls = np.zeros((len(roots), len(ordered)))
    rest = np.array([factor.unavailability for factor in ordered])
    for at, factor in enumerate(ordered):
        survival = 1.0
        wanted = 1.0 - factor.unavailability
        for number, (down, direct, users) in enumerate(roots):
            if direct == at:
                pulls[number, at], rest[at] = 1.0, 0.0
            elif at in users and survival > wanted:
                pulls[number, at] = min(1.0, (1 - wanted / survival) / down)
                survival *= 1 - pulls[number, at] * down
                rest[at] = 1 - wanted / survival if survival > 0 else 1.0
    weights = np.array([factor.weight for factor in ordered])
    available = 0.0
    for state in range(1 << len(roots)):
        chance = 1.0
        up = 1.0 - rest
        for number, (down, _, _) in enumerate(roots):
            if state >> number & 1:
                chance *= down
                up = up * (1.0 - pulls[number])
            else:
                chance *= 1 - down
        available += chance * float(np.prod(1.0 - weights * (1.0 - up)))
    return min(1.0, available)
