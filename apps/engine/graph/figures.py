"""The figures of a graph while it is solved: what each node fails by itself, what reaches it, what retries leave.

**Measured nodes.** The own availability of a measured node is not known but follows: own = measured / limit makes the
composed figure the measured one, where limit is the chance that no dependency fails a request. Where the dependencies
alone would fail it more often than was measured, own is 1, and the failures that reach the node are thinned until both
agree. In a cycle both are found by iteration.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import networkx

from apps.engine.graph.fleet import FleetEdge, FleetGraph, GroupRule

_CALIBRATED = 1e-10
_CAUSE = "\0cause\0"
_ALWAYS = FleetEdge("", "")


class Figures:
    """Nodes in the order in which they can be solved, and what is known of each so far.

    ``own`` and ``kept`` are what a node fails by itself and which share of the failures that reach it is kept (see
    above). ``unavailability`` and ``limit`` are filled as components are solved. ``cycles`` are the rounds that each
    took.
    """

    def __init__(
        self, graph: FleetGraph, edges: Sequence[FleetEdge], max_conditioned: int, samples: int, seed: int
    ) -> None:
        ordered = sorted(edges, key=lambda edge: (edge.source, edge.target, edge.group, edge.weight))
        self.rules, self.measured = graph.rules, graph.measured
        self.own, self.edges = _with_common_causes(graph.own, ordered, graph.rules)
        self.kept: dict[str, float] = {}
        self.max_conditioned, self.samples, self.seed = max_conditioned, samples, seed
        self.cycles: dict[tuple[str, ...], int] = {}
        self.outgoing: dict[str, list[FleetEdge]] = {name: [] for name in sorted(self.own)}
        for edge in self.edges:
            self.outgoing[edge.source].append(edge)
        self.graph: networkx.DiGraph[str] = networkx.DiGraph()
        self.graph.add_nodes_from(self.outgoing)
        self.graph.add_edges_from((edge.source, edge.target) for edge in self.edges)
        # Tarjan's components come dependencies first.
        self.components = [
            tuple(sorted(members)) for members in networkx.strongly_connected_components(self.graph)
        ]
        self.place_of = {name: at for at, members in enumerate(self.components) for name in members}
        self.cyclic = {name for members in self.components if len(members) > 1 for name in members}
        self.unavailability: dict[str, float] = {}
        self.limit: dict[str, float] = {}

    def until_still(
        self, members: tuple[str, ...], compose: Callable[[], dict[str, float]], tolerance: float, most: int
    ) -> int:
        """Compose a cycle until its figures no longer change and the measured ones are met; return the rounds."""
        inside = set(members)
        is_retried = any(
            edge.retries and edge.target in inside for name in members for edge in self.outgoing[name]
        )
        self.begin(members)
        step, before = 1.0, math.inf
        for rounds in range(1, most + 1):
            found = compose()
            moved = max(abs(found[name] - self.unavailability[name]) for name in members)
            self.unavailability |= found
            off = self.residuals(members, found)
            furthest = max((abs(each) for each in off.values()), default=0.0)
            if furthest <= max(tolerance, _CALIBRATED) and not (is_retried and moved > tolerance):
                return rounds
            if furthest > 0.7 * before:
                step = max(step / 2, 1 / len(members))
            before = furthest
            if rounds < most and furthest > max(tolerance, _CALIBRATED):
                self.recalibrate(found, off, step)
        return most

    def begin(self, members: Sequence[str]) -> None:
        """Start with each member's dependencies failing as measured, a round or two from the result."""
        usual = {name: self.measured.get(name, self.own[name]) for name in members}
        for name in members:
            spared = 1.0
            for edge in self.outgoing[name]:
                up = usual[edge.target] if edge.target in usual else 1 - self.unavailability[edge.target]
                if not edge.group:
                    spared *= 1 - edge.weight * edge.met * (1 - edge.connection * up)
            self.calibrate(name, spared)

    def calibrate(self, name: str, limit: float) -> None:
        """Set own, and the share of failures kept, so that a measured node's composed figure is the measured one."""
        measured = self.measured.get(name)
        if measured is None:
            return
        if limit >= measured:
            self.own[name] = min(1.0, measured / limit) if limit > 0 else 1.0
        else:
            self.own[name], self.kept[name] = 1.0, (1 - measured) / (1 - limit)

    def residuals(self, members: Sequence[str], found: Mapping[str, float]) -> dict[str, float]:
        """Return by how much each measured member's unavailability exceeds the measured one."""
        return {name: found[name] - (1 - self.measured[name]) for name in members if name in self.measured}

    def recalibrate(self, found: Mapping[str, float], off: Mapping[str, float], step: float) -> None:
        """Move a cycle's measured members towards their measured figures, by what they fail by themselves and what they
        keep.

        A member's figure moves one to one with its own and, through the cycle, moves the others'. The caller reduces
        ``step`` where that overshoots.
        """
        for name in off:
            measured, kept = self.measured[name], self.kept.get(name, 1.0)
            if kept < 1.0 or (self.own[name] >= 1.0 and off[name] > 0):
                self.kept[name] = min(1.0, kept * ((1 - measured) / max(found[name], 1e-15)) ** step)
            else:
                self.own[name] = min(1.0, self.own[name] * (measured / max(1 - found[name], 1e-15)) ** step)

    def limit_of(self, name: str, down: float) -> float:
        """Return the limit of a cycle's member from how often it is down: what remains without its own failures."""
        own = self.own[name]
        if own <= 0:
            return 0.0
        carried = max(0.0, 1 - (1 - down) / own)
        return min(1.0, max(0.0, 1 - carried / max(self.kept.get(name, 1.0), 1e-12)))

    def needed(self, name: str, group: str) -> int:
        """Return how many members of a group must be up."""
        return self.rules.get((name, group), GroupRule()).needed

    def carried(self, edge: FleetEdge) -> float:
        """Return the share of the target's failures that remain after the retries."""
        if not edge.retries:
            return 1.0
        again = self.unavailability[edge.target] ** edge.retries
        return edge.shared_share + (1 - edge.shared_share) * again


def _with_common_causes(
    own: Mapping[str, float], edges: Sequence[FleetEdge], rules: Mapping[tuple[str, str], GroupRule]
) -> tuple[dict[str, float], list[FleetEdge]]:
    """Make what a group's members have in common a node of its own: β times the best member's own failures.

    Every member depends on it, and keeps its own availability as a whole. Groups of the same members have the same
    cause, with the largest β.
    """
    groups: dict[tuple[str, str], set[str]] = {}
    for edge in edges:
        if edge.group:
            groups.setdefault((edge.source, edge.group), set()).add(edge.target)
    shares: dict[tuple[str, ...], float] = {}
    for key, targets in sorted(groups.items()):
        members = tuple(sorted(targets))
        share = rules.get(key, GroupRule()).common_cause
        if len(members) > 1 and share > 0:
            shares[members] = max(share, shares.get(members, 0.0))
    result, more = dict(own), list(edges)
    for members, share in shares.items():
        down = share * min(1 - own[name] for name in members)
        if down <= 0:
            continue
        cause = _CAUSE + "\0".join(members)
        result[cause] = 1 - down
        for name in members:
            result[name] = min(1.0, result[name] / (1 - down))
            more.append(replace(_ALWAYS, source=name, target=cause))
    return result, more
