"""Availability of every service of a whole graph, from what each does by itself and what each depends on.

The result is the chance that a request fails in the following model. A node is down by itself with 1 − own. An edge
carries the failure of its target with probability q·h, drawn once for each edge; asynchronous edges carry nothing. A
redundancy group carries a failure where fewer than ``needed`` members are up. The failed nodes are the smallest set
that these rules allow.

**A fixed point exists and is reached.** In one world (all draws made) let F map a set of failed nodes to the nodes that
are down by themselves or have a failed dependency whose failure is carried. The sets of nodes, ordered by inclusion,
are a finite, hence complete lattice. F is monotone, because more failures never repair anything. Starting with
everything up, ∅ ⊆ F(∅) ⊆ F²(∅) ⊆ … grows until nothing changes, after at most n steps for n nodes, at the least fixed
point (Knaster 1928, Tarski 1955; Kleene 1952). So a cycle adds no failure that did not begin somewhere, and each
failure counts once. Only members of one strongly connected component can affect each other both ways, so components are
solved one by one, dependencies first.

**Retries** need the target's own unavailability U: a repeated call fails again with β + (1 − β)·U^r. Within a component
that makes the vector of unavailabilities the solution of U = Φ(U) on [0, 1]^n, a complete lattice under the
componentwise order. Φ is monotone and continuous: a larger U makes edges carry more. Starting with U⁰ = 0, U⁰ ≤ Φ(U⁰) ≤
Φ²(U⁰) ≤ … rises and is bounded by 1, so it converges, by continuity to the least fixed point. Each U_v moves by at most
Σ q·h·(1 − β)·r·U^(r−1)·U for a unit move of all U (the sum over the component's retried edges, with the largest U).
Where that is below 1, Φ is a contraction in the maximum norm, the fixed point is the only one, and the error shrinks by
that factor each round (Banach 1922). At the unavailabilities of real services it is far below 1, and a few rounds
suffice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from apps.engine.graph.fleet import FleetGraph, NodeResult
from apps.engine.graph.redundancy import load_amplification
from apps.engine.graph.worlds import Solver

MAX_CONDITIONED = 12
"""Up to this many nodes, all 2^n states are enumerated; with more, worlds are sampled."""
SAMPLES = 4_000_000
"""Worlds sampled where there are too many to enumerate; fewer of a graph that fails a lot."""


@dataclass(frozen=True, slots=True)
class EdgeLoad:
    """Calls that retries make of one call: usually, and while the target is down."""

    source: str
    target: str
    usual: float
    in_outage: float


@dataclass(frozen=True, slots=True)
class FleetComposite:
    """The composed graph.

    ``nodes`` are by name. ``components`` are strongly connected, dependencies first. ``cycles`` is how many rounds
    each cycle took. ``excluded`` names the edges that count for nothing.
    """

    nodes: Mapping[str, NodeResult]
    components: Sequence[tuple[str, ...]]
    cycles: Mapping[tuple[str, ...], int]
    excluded: tuple[tuple[str, str], ...]
    loads: tuple[EdgeLoad, ...]


def compose_fleet(
    graph: FleetGraph,
    *,
    max_conditioned: int = MAX_CONDITIONED,
    samples: int = SAMPLES,
    seed: int = 0,
) -> FleetComposite:
    """Compose every node of ``graph``; the order of nodes and edges does not matter.

    Exact where at most ``max_conditioned`` nodes below a node are shared or in a cycle (of at most
    :data:`~apps.engine.graph.worlds.MAX_CYCLE` members); else from ``samples`` sampled worlds, with the standard error
    of each figure. The module's docstring describes the model and why cycles converge. Raises ``ValueError`` for a
    number outside 0..1, an edge to or from an unknown node, or a group that needs more members than it has.
    """
    _check(graph)
    counted = [edge for edge in graph.edges if edge.mode == "sync" and edge.source != edge.target]
    solver = Solver(graph, counted, max_conditioned, samples, seed)
    nodes = solver.solve()
    return FleetComposite(
        nodes={name: nodes[name] for name in sorted(graph.own)},
        components=[members for members in solver.components if members[0] in graph.own],
        cycles=solver.cycles,
        excluded=tuple(sorted({(edge.source, edge.target) for edge in graph.edges if edge.mode == "async"})),
        loads=tuple(
            EdgeLoad(
                edge.source,
                edge.target,
                load_amplification(1 - nodes[edge.target].availability, edge.retries, edge.shared_share),
                1.0 + edge.retries,
            )
            for edge in sorted(counted, key=lambda each: (each.source, each.target, each.group))
            if edge.retries
        ),
    )


def _check(graph: FleetGraph) -> None:
    for name, own in (*graph.own.items(), *graph.measured.items()):
        if not 0 <= own <= 1:
            raise ValueError(f"the availability of {name} is not within 0..1")
        if name not in graph.own:
            raise ValueError(f"{name} is not a node")
    sizes: dict[tuple[str, str], int] = {}
    for edge in graph.edges:
        for end in (edge.source, edge.target):
            if end not in graph.own:
                raise ValueError(f"{end} is not a node")
        shares = (edge.call_probability, edge.hardness, edge.shared_share, edge.met, edge.connection)
        if not all(0 <= each <= 1 for each in shares):
            raise ValueError(f"a probability of {edge.source} → {edge.target} is not within 0..1")
        if edge.retries < 0:
            raise ValueError(f"{edge.source} → {edge.target} cannot be retried {edge.retries} times")
        if edge.group and edge.mode == "sync" and edge.source != edge.target:
            sizes[edge.source, edge.group] = sizes.get((edge.source, edge.group), 0) + 1
    for (source, group), rule in graph.rules.items():
        if not 0 <= rule.common_cause <= 1:
            raise ValueError(f"the common cause of {source}'s {group} is not within 0..1")
        if not 1 <= rule.needed <= sizes.get((source, group), rule.needed):
            raise ValueError(f"{source} cannot need {rule.needed} members of {group}")
