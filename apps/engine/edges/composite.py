"""Availability of a service from its own reliability and its dependencies.

A ≈ A_own · Π(1 − q·h·(1 − A_e)): q is the probability that a request uses the dependency, h the probability that its
failure fails the request (Treynor, Dahlin, Rau and Beyer, *The Calculus of Service Availability*, 2017, without q and
h). The plain product Π A_e is only shown for comparison.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from apps.engine.seeding import generator_for
from apps.engine.types import Floats

UNKNOWN_SHARED_PART = 0.5
"""Share of the better dependency's failures that is attributed to a node that two share and nobody has measured."""
MAX_SHARED_NODES = 10
"""Up to this many shared nodes, all 2^n states are enumerated; with more, they are sampled."""
SAMPLES = 20_000


@dataclass(frozen=True, slots=True)
class Factor:
    """One dependency, or one redundancy group, as the composite sees it.

    ``unavailability`` is the best single figure. The Fréchet bounds use ``least_unavailability`` and
    ``most_unavailability``, which differ from it only for groups. ``depends_on`` holds the service ids below the
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
        """Probability that a request fails, given that the dependency fails."""
        return self.call_probability * self.hardness

    @property
    def loss(self) -> float:
        """Share of requests that fail because of it, taken alone."""
        return self.weight * self.unavailability


@dataclass(frozen=True, slots=True)
class Composite:
    """``point`` lies within ``[lower, upper]``; ``limit`` is the point of a service that never fails by itself.

    ``standard_error`` is that of both where states of shared nodes were sampled, 0 where they were enumerated.
    """

    point: float
    lower: float
    upper: float
    limit: float
    standard_error: float = 0.0


def compose(
    own: float, factors: Sequence[Factor], known_limit: tuple[float, float] | None = None
) -> Composite:
    """Combine ``own`` availability and the dependencies; the order of ``factors`` does not matter.

    ``known_limit`` (and its standard error) is that of the whole graph below, where it was composed.

    The Fréchet bounds max(0, 1 − ΣU) ≤ A ≤ min A hold for any correlation of failures. The point assumes independent
    failures, except that shared nodes count once (:func:`joint_availability`).
    """
    if known_limit is None:
        limit, error = joint_availability(factors)
    else:
        # Whatever is shared below: the dependencies together cost at least what the worst costs, and at most the sum.
        most = math.fsum(sorted(each.weight * each.most_unavailability for each in factors))
        best = min((1 - each.weight * each.least_unavailability for each in factors), default=1.0)
        limit, error = min(max(known_limit[0], 1 - most, 0.0), best), known_limit[1]
    lower = max(0.0, own - math.fsum(sorted(each.weight * each.most_unavailability for each in factors)))
    upper = min([own, *(1 - each.weight * each.least_unavailability for each in factors)])
    return Composite(min(max(own * limit, lower), upper), lower, upper, limit, error)


def shared_nodes(factors: Sequence[Factor]) -> dict[str, list[int]]:
    """Return the nodes below two or more factors, each with the positions of the factors above it.

    A factor that is itself such a node counts as one of the two. Factors that are shared nodes are not listed above
    another one: the Fréchet bounds cover chains of shared nodes.
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


def joint_availability(factors: Sequence[Factor]) -> tuple[float, float]:
    """Return the probability that no dependency fails a request, shared nodes counted once, and its standard error.

    The states (up or down) of shared nodes are enumerated (error 0) or sampled. Given these states the dependencies are
    independent, and each keeps its own measured unavailability. A shared node that is itself a dependency has its own
    figure; an unmeasured one gets half of the better dependency's failures. Nodes below the same dependencies count as
    one.
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
    is_down, chance = _states(np.array([root[0] for root in roots]))
    # In each state: the chance that each dependency is up, and from these the chance that none fails the request.
    spared = np.ones(chance.size)
    for at in range(len(ordered)):
        up = (1.0 - rest[at]) * np.prod(1.0 - is_down * pulls[:, at], axis=1)
        spared = spared * (1.0 - weights[at] * (1.0 - up))
    if len(roots) <= MAX_SHARED_NODES:
        return min(1.0, math.fsum(chance * spared)), 0.0
    missing = chance * (1.0 - spared)
    error = float(missing.std(ddof=1)) / math.sqrt(missing.size)
    return min(1.0, max(0.0, 1.0 - float(missing.mean()))), error


def _states(unavailability: Floats) -> tuple[Floats, Floats]:
    """Return the states of shared nodes as rows of 0 (up) and 1 (down), and the probability or weight of each.

    Samples have each node down at least once in as many rows as there are nodes, and weights correct for that
    (importance sampling), so that rare failures are not missed. They are the same on every call.
    """
    nodes = unavailability.size
    if nodes <= MAX_SHARED_NODES:
        down = (np.arange(1 << nodes)[:, None] >> np.arange(nodes)[None, :] & 1).astype(np.float64)
        chance: Floats = np.prod(np.where(down > 0, unavailability, 1 - unavailability), axis=1)
        return down, chance
    drawn_at = np.maximum(unavailability, 1 / nodes)
    draws = generator_for("", 0, "shared nodes").random((SAMPLES, nodes))
    down = (draws < drawn_at).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.where(down > 0, unavailability / drawn_at, (1 - unavailability) / (1 - drawn_at))
    weight: Floats = np.prod(ratios, axis=1)
    return down, weight
