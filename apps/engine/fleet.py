"""Availability of every service of a whole graph from what each does by itself and what each depends on.

What is computed is the chance that a request fails in this model of the world. A node is down by itself with
1 − own. An edge carries the failure of its target with probability q·h, drawn once per edge; asynchronous
edges carry nothing. A group of stand-ins carries a failure where fewer than ``needed`` members are up. The
failed nodes are the smallest set that these rules allow: the least that must have failed.

**A fixed point exists and is reached.** In one world (all draws made) let F map a set of failed nodes to the
nodes that are down by themselves or have a failed dependency that carries. The sets of nodes, ordered by
inclusion, are a finite, hence complete lattice; F is monotone, for more failures never repair anything. From
the top, where everything is up, ∅ ⊆ F(∅) ⊆ F²(∅) ⊆ … grows until it stands still, after at most n steps for
n nodes, at the least fixed point (Knaster 1928, Tarski 1955; Kleene 1952). So a cycle adds no failure that did
not begin somewhere: that is why it is counted once and not round and round. Only members of one strongly
connected component can act on each other both ways, so components are solved one by one, dependencies first.

**Retries** need the target's own unavailability U: a repeated call fails again with β + (1 − β)·U^r. Within a
component that makes the vector of unavailabilities the solution of U = Φ(U) on [0, 1]^n, a complete lattice
under the componentwise order. Φ is monotone and continuous: a larger U makes edges carry more. From the top,
U⁰ = 0, U⁰ ≤ Φ(U⁰) ≤ Φ²(U⁰) ≤ … rises below 1, hence converges, by continuity to the least fixed point. Each
U_v moves by at most Σ q·h·(1 − β)·r·U^(r−1)·U for a unit move of all U (the sum over the component's retried
edges, with the largest U): where that is below 1, Φ is a contraction in the maximum norm, the fixed point is
the only one, and the error shrinks by that factor each round (Banach 1922). At the unavailabilities of real
services it is far below 1 and a few rounds do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from apps.engine.redundancy import COMMON_CAUSE_SHARE, PERSISTENT_SHARE, load_amplification
from apps.engine.types import CommunicationMode

MAX_CONDITIONED = 12
"""Nodes whose states are enumerated, 2^n of them; beyond that worlds are sampled."""
MAX_CYCLE = 8
"""Members of a cycle whose joint states are enumerated, 3^n steps."""
SAMPLES = 4_000_000
"""Worlds sampled where there are too many to enumerate; fewer of a fleet that fails a lot."""


@dataclass(frozen=True, slots=True)
class FleetEdge:
    """``source`` calls ``target``. Edges of one source with the same non-empty ``group`` stand in for each
    other; ``shared_share`` is β of its retries: the share of failures that a retry meets again.

    Where this caller sees other figures than the target has as a whole: ``met`` is the share of the target's
    failures that its calls meet, ``connection`` the availability of what lies between the two.
    """

    source: str
    target: str
    call_probability: float = 1.0
    hardness: float = 1.0
    mode: CommunicationMode = "sync"
    group: str = ""
    retries: int = 0
    shared_share: float = PERSISTENT_SHARE
    met: float = 1.0
    connection: float = 1.0

    @property
    def weight(self) -> float:
        """Probability that a failure of the target fails a request, without retries."""
        return self.call_probability * self.hardness


@dataclass(frozen=True, slots=True)
class GroupRule:
    """How many members of a group must be up, and the share of failures that its members have in common."""

    needed: int = 1
    common_cause: float = COMMON_CAUSE_SHARE


def group_weight(edges: Sequence[FleetEdge]) -> float:
    """Probability that a request fails where too few of a group's members are up."""
    probability = min(1.0, math.fsum(edge.call_probability for edge in edges))
    return probability * max(edge.hardness for edge in edges)


@dataclass(frozen=True, slots=True)
class FleetGraph:
    """Nodes with their own availability, edges, and rules for groups by ``(source, group)``.

    ``measured`` holds the availability as a whole of nodes where it is known: their own is then found from it,
    and ``own`` only says how much of their failures a group may have in common.
    """

    own: Mapping[str, float]
    edges: Sequence[FleetEdge] = ()
    rules: Mapping[tuple[str, str], GroupRule] = field(default_factory=dict)
    measured: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NodeResult:
    """``standard_error`` is 0 where ``is_exact``; ``conditioned`` counts the nodes held fixed on the way.

    ``limit`` is the availability that the dependencies alone allow, were the node itself perfect.
    """

    availability: float
    standard_error: float
    is_exact: bool
    conditioned: int
    limit: float = 1.0
    limit_error: float = 0.0


@dataclass(frozen=True, slots=True)
class EdgeLoad:
    """Calls that retries make of one call: usually, and while the target is down."""

    source: str
    target: str
    usual: float
    in_outage: float


@dataclass(frozen=True, slots=True)
class FleetComposite:
    """``nodes`` by name; ``cycles`` and how many rounds each took; edges that count for nothing, named."""

    nodes: Mapping[str, NodeResult]
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
    ``MAX_CYCLE`` members); else from ``samples`` sampled worlds, with the standard error of each figure. See
    the module's docstring for the model and why cycles converge. Raises ``ValueError`` for a number outside
    0..1, an edge to or from an unknown node, or a group that needs more members than it has.
    """
    from apps.engine.worlds import Solver

    _check(graph)
    counted = [edge for edge in graph.edges if edge.mode == "sync" and edge.source != edge.target]
    solver = Solver(graph, counted, max_conditioned, samples, seed)
    nodes = solver.solve()
    return FleetComposite(
        nodes={name: nodes[name] for name in sorted(graph.own)},
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
