"""What is below each of many services, composed once for all of them: figures of edges in, limits out.

The graph is that of :mod:`apps.engine.graph.fleet`. A node's availability as a whole is the measured one, so a
dependency counts for what was observed; what it does by itself follows from that and from its dependencies. Where a
caller's calls fail less often than the target does overall, they meet a share of the target's failures. Where they fail
more often, what lies between the two fails in addition.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from apps.engine.document import CommunicationMode
from apps.engine.graph.composing import compose_fleet
from apps.engine.graph.fleet import FleetEdge, FleetGraph, GroupRule
from apps.engine.types import GraphFigure

NAMED = 10
"""Shared nodes and asynchronous edges that a figure names; all are counted."""


@dataclass(frozen=True, slots=True)
class EdgeFigure:
    """One edge as its caller's estimate has it.

    ``availability`` is the target's as this caller counts it, ``None`` where unknown. ``is_counted`` is false for
    asynchronous edges, unknown targets and those with a fallback. ``retries`` are those that the hardness does not
    already include. ``is_targets_own`` says that the availability was not observed over this edge.
    """

    target: str
    mode: CommunicationMode
    call_probability: float
    hardness: float
    availability: float | None
    is_counted: bool
    group: str = ""
    needed: int = 1
    retries: int = 0
    declared_retries: int = 0
    is_targets_own: bool = False


def compose_reachable(
    edges: Mapping[str, Sequence[EdgeFigure]],
    measured: Mapping[str, float],
    *,
    wanted: Sequence[str] | None = None,
    cut: frozenset[str] = frozenset(),
    seed: int = 0,
) -> dict[str, GraphFigure]:
    """Compose the graph of ``edges`` (by source) once; return the figure of each wanted service, or of all.

    ``measured`` holds the availability as a whole of observed services. ``cut`` are services below which nothing was
    read: figures that depend on them say so. The same input gives the same figures.
    """
    graph = _graph(edges, measured)
    composed = compose_fleet(graph, seed=seed)
    rounds = {name: (members, count) for members, count in composed.cycles.items() for name in members}
    reach = _Reach(edges, composed.components)
    found: dict[str, GraphFigure] = {}
    for name in sorted(edges) if wanted is None else wanted:
        if name not in graph.own:
            continue
        node = composed.nodes[name]
        shared, nodes, count = reach.shared(name)
        asynchronous, excluded = reach.excluded(name)
        loaded, calls = reach.loaded(name)
        cycle, turns = rounds.get(name, ((), None))
        found[name] = GraphFigure(
            limit=node.limit,
            standard_error=node.limit_error,
            is_exact=node.is_exact,
            services=reach.size(name),
            is_whole=reach.is_free_of(name, cut),
            shared=shared,
            shared_nodes=nodes,
            shared_count=count,
            excluded=asynchronous,
            excluded_count=excluded,
            cycle=cycle,
            cycle_rounds=turns,
            calls_in_outage=calls,
            loaded=loaded,
        )
    return found


def _graph(edges: Mapping[str, Sequence[EdgeFigure]], measured: Mapping[str, float]) -> FleetGraph:
    whole = dict(measured)
    for source in sorted(edges):
        for edge in edges[source]:
            # An unmeasured target is as good as the caller that sees it at its best says.
            if edge.target not in measured and edge.availability is not None:
                whole[edge.target] = max(edge.availability, whole.get(edge.target, 0.0))
    own = dict.fromkeys(sorted({*edges, *whole, *(e.target for each in edges.values() for e in each)}), 1.0)
    made: list[FleetEdge] = []
    rules: dict[tuple[str, str], GroupRule] = {}
    sizes: dict[tuple[str, str], int] = {}
    for source in sorted(edges):
        lost = 0.0
        for edge in edges[source]:
            if edge.target == source:
                continue
            if not edge.is_counted or edge.availability is None:
                # An asynchronous edge is named as excluded; any other uncounted edge counts for nothing, as in the
                # caller's document.
                if edge.mode == "async":
                    made.append(FleetEdge(source, edge.target, mode="async"))
                continue
            seen = whole[edge.target] if edge.is_targets_own else edge.availability
            down, target_down = 1 - seen, 1 - whole[edge.target]
            met = min(1.0, down / target_down) if target_down > 0 else 1.0
            connection = min(1.0, seen / whole[edge.target]) if whole[edge.target] > 0 else 1.0
            made.append(
                FleetEdge(
                    source,
                    edge.target,
                    edge.call_probability,
                    edge.hardness,
                    "sync",
                    edge.group,
                    edge.retries,
                    met=met,
                    connection=connection,
                )
            )
            lost += edge.call_probability * edge.hardness * down if not edge.group else 0.0
            if edge.group:
                key = (source, edge.group)
                sizes[key] = sizes.get(key, 0) + 1
                rules[key] = GroupRule(max(edge.needed, rules.get(key, GroupRule()).needed))
        if source in whole:
            own[source] = min(1.0, whole[source] / max(1 - lost, 1e-9))
    for name, availability in whole.items():
        if name not in edges:
            own[name] = availability
    rules = {key: GroupRule(max(1, min(rule.needed, sizes[key]))) for key, rule in rules.items()}
    return FleetGraph(own, made, rules, whole)


class _Reach:
    """Who depends on whom, as sets of bits: what is below a service, and where paths to it meet."""

    def __init__(
        self, edges: Mapping[str, Sequence[EdgeFigure]], components: Sequence[tuple[str, ...]]
    ) -> None:
        self.counted = {
            source: sorted({edge.target for edge in each if edge.is_counted and edge.target != source})
            for source, each in edges.items()
        }
        names = sorted({*self.counted, *(target for each in self.counted.values() for target in each)})
        self.names, self.bit = names, {name: at for at, name in enumerate(names)}
        self.asynchronous = {
            source: sorted({edge.target for edge in each if edge.mode == "async"})
            for source, each in edges.items()
            if any(edge.mode == "async" for edge in each)
        }
        self.below: dict[str, int] = {}
        self.worst: dict[str, tuple[float, str]] = {}
        retried: dict[tuple[str, str], int] = {}
        for source, each in edges.items():
            for edge in each:
                if edge.mode == "sync" and edge.declared_retries:
                    retried[source, edge.target] = edge.declared_retries
        # The composed graph has the same edges; a service without any edge is in no set here.
        for members in components:
            if members[0] not in self.bit:
                continue
            inside = set(members)
            mask, calls, at = 0, 1.0, members[0]
            around = 1.0
            for name in members:
                mask |= 1 << self.bit[name]
                for target in self.counted.get(name, ()):
                    factor = 1.0 + retried.get((name, target), 0)
                    if target in inside:
                        around = max(around, factor)
                        if factor == around and factor > 1:
                            at = target
                        continue
                    mask |= self.below[target]
            worst = (around, at)
            for name in members:
                for target in self.counted.get(name, ()):
                    if target not in inside:
                        calls = around * (1.0 + retried.get((name, target), 0)) * self.worst[target][0]
                        if calls > worst[0]:
                            end = self.worst[target][1] if self.worst[target][0] > 1 else target
                            worst = (calls, end)
            for name in members:
                self.below[name], self.worst[name] = mask, worst

    def _mask(self, name: str) -> int:
        return self.below.get(name, 0) & ~(1 << self.bit[name]) if name in self.bit else 0

    def _named(self, mask: int, most: int) -> tuple[str, ...]:
        found: list[str] = []
        while mask and len(found) < most:
            lowest = mask & -mask
            found.append(self.names[lowest.bit_length() - 1])
            mask ^= lowest
        return tuple(found)

    def size(self, name: str) -> int:
        """Return how many services are below."""
        return self._mask(name).bit_count()

    def is_free_of(self, name: str, cut: frozenset[str]) -> bool:
        """Whether neither the service nor anything below it was cut off."""
        mask = self.below.get(name, 0)
        return not any(each in self.bit and mask >> self.bit[each] & 1 for each in cut)

    def shared(self, name: str) -> tuple[tuple[str, ...], tuple[str, ...], int]:
        """Return targets that have a node in common with another, the first of those common nodes, and their number.

        Nodes where a path arrives from a node that is not common are named first.
        """
        targets = self.counted.get(name, [])
        seen = twice = 0
        for target in targets:
            twice |= seen & self.below[target]
            seen |= self.below[target]
        twice &= ~(1 << self.bit[name]) if name in self.bit else ~0
        if not twice:
            return (), (), 0
        shared = tuple(target for target in targets if self.below[target] & twice)
        first = 0
        for each in self._named(seen & ~twice, len(self.names)) if seen.bit_count() <= 100 else ():
            for target in self.counted.get(each, ()):
                first |= 1 << self.bit[target]
        for target in targets:
            first |= 1 << self.bit[target]
        meeting = first & twice
        nodes = self._named(meeting, NAMED) or self._named(twice, NAMED)
        return shared, nodes, twice.bit_count()

    def excluded(self, name: str) -> tuple[tuple[tuple[str, str], ...], int]:
        """Return asynchronous edges of the service and of what is below it."""
        mask = self.below.get(name, 0)
        pairs = [
            (source, target)
            for source, targets in self.asynchronous.items()
            if source == name or (source in self.bit and mask >> self.bit[source] & 1)
            for target in targets
        ]
        pairs.sort(key=lambda pair: (pair[0] != name, pair))
        return tuple(pairs[:NAMED]), len(pairs)

    def loaded(self, name: str) -> tuple[str | None, float]:
        """Return the service at the end of the worst chain of retries, and how many calls reach it for one."""
        calls, at = self.worst.get(name, (1.0, name))
        return (at, calls) if calls > 1 else (None, 1.0)
