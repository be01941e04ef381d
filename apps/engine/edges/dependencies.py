"""The composite of one service: estimates turned into factors, and the document about them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from apps.engine.document import ComposedGraph, CompositePart, DependencyPart, RetryPart
from apps.engine.edges.composite import Composite, Factor, compose, shared_nodes
from apps.engine.edges.estimates import EdgeEstimate
from apps.engine.graph.redundancy import (
    PERSISTENT_SHARE,
    group_bounds,
    load_amplification,
    stand_in_unavailability,
)
from apps.engine.rounding import ratio
from apps.engine.types import GraphFigure

MOST_UNKNOWN = 20
"""Unknown dependencies that a document lists by name; the others are only counted."""
MOST_OF_A_CYCLE = 20
"""Members of a cycle that a dependency's row names."""


@dataclass(frozen=True, slots=True)
class CountedFactor:
    """A factor and the estimates behind it: one, or the members of a redundancy group."""

    factor: Factor
    members: tuple[EdgeEstimate, ...]
    is_shared: bool = False
    """Whether another dependency depends on a common node, where that was looked at."""


@dataclass(frozen=True, slots=True)
class ServiceComposite:
    """The composite with what went into it.

    ``own`` is the service's availability without its dependencies: what remains of the observed failures after the
    dependencies' share. ``limit`` is ``None`` where no dependency counts.
    """

    composite: Composite
    own: float
    naive_product: float | None
    factors: tuple[CountedFactor, ...]
    estimates: tuple[EdgeEstimate, ...]
    graph: GraphFigure | None = None

    @property
    def limit(self) -> float | None:
        """The availability that the dependencies alone would allow a service that never fails by itself."""
        return self.composite.limit if self.factors else None


def service_composite(
    observed: float | None,
    assumed_own: float,
    estimates: Sequence[EdgeEstimate],
    graph: GraphFigure | None = None,
) -> ServiceComposite:
    """Combine the estimates; ``assumed_own`` stands in for own reliability where nothing was ``observed``.

    With ``graph`` the limit is that of the whole graph below. Without, a node below two direct dependencies counts
    once, and what is below those nodes is not known.
    """
    factors = _with_shared(counted_factors(estimates), graph)
    plain = [counted.factor for counted in factors]
    known_limit = None if graph is None or not factors else (graph.limit, graph.standard_error)
    limit = compose(1.0, plain, known_limit).limit
    own = assumed_own
    if observed is not None:
        own = min(1.0, observed / limit) if limit > 0 else 1.0
    known = [each.availability for each in estimates if each.availability is not None]
    return ServiceComposite(
        composite=compose(own, plain, known_limit),
        own=own,
        naive_product=math.prod(sorted(known)) if known else None,
        factors=factors,
        estimates=tuple(estimates),
        graph=graph,
    )


def counted_factors(estimates: Sequence[EdgeEstimate]) -> tuple[CountedFactor, ...]:
    """Return the factors of the composite: one for each dependency or redundancy group."""
    groups: dict[str, list[EdgeEstimate]] = {}
    for estimate in estimates:
        if estimate.is_counted:
            group = estimate.dependency.redundancy_group
            name = f"group\0{group}" if group else f"single\0{estimate.dependency.target_id}"
            groups.setdefault(name, []).append(estimate)
    return tuple(CountedFactor(_factor(members), tuple(members)) for _, members in sorted(groups.items()))


def _with_shared(counted: Sequence[CountedFactor], graph: GraphFigure | None) -> tuple[CountedFactor, ...]:
    """Mark the factors that have a node in common with another."""
    factors = [each.factor for each in counted]
    nodes = shared_nodes(factors)
    shared = {factors[at].name for users in nodes.values() for at in users} | set(nodes)
    below = set() if graph is None else set(graph.shared)
    return tuple(
        replace(
            each,
            is_shared=each.factor.name in shared
            or any(member.dependency.target_id in below for member in each.members),
        )
        for each in counted
    )


def needed_of(members: Sequence[EdgeEstimate]) -> int:
    """Return how many of a group's counted members must be up; never more than there are."""
    return max(1, min(len(members), max(member.dependency.redundancy_needed for member in members)))


def _factor(members: Sequence[EdgeEstimate]) -> Factor:
    unavailabilities = [member.effective_unavailability for member in members]
    first = members[0]
    in_common = set(first.dependency.depends_on)
    for member in members[1:]:
        in_common &= set(member.dependency.depends_on)
    is_group = bool(first.dependency.redundancy_group)
    hardness = max(member.hardness or 0.0 for member in members)
    if is_group:
        needed = needed_of(members)
        probability = min(1.0, math.fsum(member.call_probability for member in members))
        unavailability = stand_in_unavailability(unavailabilities, needed=needed)
        least, most = group_bounds(unavailabilities, needed)
    else:
        probability = max(member.call_probability for member in members)
        unavailability = least = most = max(unavailabilities)
    return Factor(
        name=" or ".join(member.dependency.target_id for member in members)
        if is_group
        else first.dependency.target_id,
        call_probability=probability,
        hardness=hardness,
        unavailability=unavailability,
        least_unavailability=least,
        most_unavailability=max(most, unavailability) if is_group else most,
        depends_on=tuple(sorted(in_common)),
    )


def composite_document(composite: ServiceComposite) -> CompositePart:
    """Return the ``availability.composite`` object."""
    effects: dict[int, tuple[float, bool]] = {}
    for counted in composite.factors:
        for member in counted.members:
            effects[id(member)] = (-counted.factor.loss / len(counted.members), counted.is_shared)
    entries: list[DependencyPart] = []
    unknown = [each for each in composite.estimates if each.availability is None]
    unlisted = {id(each) for each in unknown[MOST_UNKNOWN:]}
    for estimate in composite.estimates:
        if id(estimate) in unlisted:
            continue
        dependency = estimate.dependency
        effect, is_shared = effects.get(id(estimate), (None, False))
        if dependency.mode == "async" or estimate.has_fallback:
            effect = 0.0
        entries.append(
            {
                "target_id": dependency.target_id,
                "mode": dependency.mode,
                "criticality": dependency.criticality,
                "call_probability": ratio(estimate.call_probability),
                "call_probability_source": estimate.call_probability_source,
                "call_probability_interval": _interval(estimate.call_probability_interval),
                "hardness": ratio(estimate.hardness),
                "hardness_source": estimate.hardness_source,
                "hardness_interval": _interval(estimate.hardness_interval),
                "behaves_hard": estimate.behaves_hard,
                "has_fallback": estimate.has_fallback,
                "availability": ratio(estimate.availability),
                "availability_source": estimate.availability_source,
                "effect": ratio(effect),
                "is_shared": is_shared,
                "redundancy_group": dependency.redundancy_group or None,
                "redundancy_needed": dependency.redundancy_needed if dependency.redundancy_group else None,
                "cycle": list(dependency.cycle[:MOST_OF_A_CYCLE]) or None,
                **_retries(estimate),
            }
        )
    return {
        "point": ratio(composite.composite.point),
        "lower_bound": ratio(composite.composite.lower),
        "upper_bound": ratio(composite.composite.upper),
        "standard_error": ratio(composite.composite.standard_error),
        "naive_product": ratio(composite.naive_product),
        "own": ratio(composite.own),
        **_graph_document(composite),
        "dependencies": entries,
        "dependency_count": len(composite.estimates),
    }


def _graph_document(composite: ServiceComposite) -> ComposedGraph:
    """Describe how the limit was found, and over how much of the graph."""
    graph = composite.graph
    if graph is None:
        return {
            "method": "sampled" if composite.composite.standard_error > 0 else "exact",
            "scope": "direct",
            "services_below": None,
            "shared_nodes": [],
            "shared_node_count": None,
            "excluded_edges": [],
            "excluded_edge_count": None,
            "cycle_rounds": None,
            "load_amplification_in_outage": None,
            "load_amplification_at": None,
        }
    return {
        "method": "exact" if graph.is_exact else "sampled",
        "scope": "whole_graph" if graph.is_whole else "nearest",
        "services_below": graph.services,
        "shared_nodes": list(graph.shared_nodes),
        "shared_node_count": graph.shared_count,
        "excluded_edges": [list(edge) for edge in graph.excluded],
        "excluded_edge_count": graph.excluded_count,
        "cycle_rounds": graph.cycle_rounds,
        "load_amplification_in_outage": graph.calls_in_outage,
        "load_amplification_at": graph.loaded,
    }


def _interval(interval: tuple[float, float] | None) -> list[float] | None:
    return None if interval is None else [ratio(interval[0]), ratio(interval[1])]


def _retries(estimate: EdgeEstimate) -> RetryPart:
    """Describe what retries cannot save, and how many calls they make of one: usually, and while the target is down."""
    retries = estimate.dependency.retries
    usual = None
    if estimate.availability is not None:
        usual = ratio(load_amplification(1 - estimate.availability, retries))
    return {
        "retries": retries,
        "retry_shared_share": PERSISTENT_SHARE if retries else None,
        "load_amplification": usual,
        "load_amplification_in_outage": 1.0 + retries,
    }
