"""Sampled worlds of a graph, held as lists of the worlds in which each node is down.

Failures are rare, so a node's list is short, however many worlds there are: millions of worlds of thousands of nodes
cost only what their failures cost. Each draw is made once: a node's own failure in each world, and for each world in
which a target is down whether an edge carries that. A node's list is made from its own failures and the lists below it.
In a cycle the failed nodes grow until nothing new fails, as in the model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from apps.engine.graph.draws import NONE, Worlds, alone, at_least, before, thinned, union
from apps.engine.graph.figures import Figures
from apps.engine.graph.fleet import FleetEdge, group_weight
from apps.engine.graph.spreading import Cycle, standard_error
from apps.engine.seeding import generator_for

MAX_FAILURES = 25_000_000
"""Failures held at once, over all nodes and worlds (100 MB) …"""
MAX_FAILURES_IN_CYCLES = 3_000_000
"""… those in cycles, where failures spread in waves …"""
MAX_FAILURES_IN_A_CYCLE = 2 * MAX_FAILURES_IN_CYCLES
"""… those in one cycle, which may fail more than expected and then gets fewer worlds …"""
FAILURES_A_NODE = 50_000
"""… and enough for one node: the error is then half a percent of the unavailability."""
MIN_WORLDS = 20_000


class Sampler:
    """Draws a graph's worlds component by component, dependencies first; figures are those of ``solver``."""

    def __init__(self, solver: Figures, places: Sequence[int]) -> None:
        self.solver = solver
        self._expected = _expected_failures(solver, places)
        everywhere = math.fsum(self._expected.values())
        cyclic = math.fsum(each for members, each in self._expected.items() if len(members) > 1)
        wanted = min(MAX_FAILURES, FAILURES_A_NODE * sum(map(len, self._expected)))
        most = min(
            wanted / everywhere if everywhere > 0 else solver.samples,
            MAX_FAILURES_IN_CYCLES / cyclic if cyclic > 0 else solver.samples,
        )
        self.worlds = max(2, min(solver.samples, max(MIN_WORLDS, int(most))))
        self.drawn: dict[str, int] = {}
        self.failed: dict[str, Worlds] = {}
        self.carried_in: dict[str, int] = {}
        self.tried: dict[str, int] = {}

    def settle(self, members: tuple[str, ...], *, is_new: bool) -> int:
        """Draw a component's worlds; a new one's figures go to the solver. Returns the rounds that it took."""
        solver = self.solver
        # A component has no more worlds than the components that it depends on.
        below = {edge.target for name in members for edge in solver.outgoing[name]} - set(members)
        worlds = min((self.drawn[target] for target in below), default=self.worlds)
        if len(members) == 1:
            name = members[0]
            generator = generator_for(name, solver.seed, "fleet")
            carried = self._carried(name, worlds, generator)
            self.carried_in[name] = carried.size
            if is_new:
                solver.calibrate(name, 1 - carried.size / worlds)
            carried = thinned(carried, solver.kept.get(name, 1.0), generator)
            self.failed[name] = union([carried, alone(worlds, 1 - solver.own[name], generator)])
            self.drawn[name] = worlds
            solver.unavailability.setdefault(name, self.failed[name].size / worlds)
            return 1
        cycle = Cycle(solver, members, worlds)
        rounds = cycle.calibrate(self.failed, self._expected[members]) if is_new else 1
        if cycle.failures_a_world > 0:
            worlds = max(2, min(worlds, int(MAX_FAILURES_IN_A_CYCLE / cycle.failures_a_world)))
        self.failed |= cycle.spread(self.failed, worlds)
        self.drawn |= dict.fromkeys(members, worlds)
        self.tried |= dict.fromkeys(members, cycle.tried)
        if is_new:
            solver.unavailability |= {name: self.failed[name].size / worlds for name in members}
        return rounds

    def figures(self, name: str) -> tuple[float, float, float, float]:
        """Return the unavailability and its standard error, and the limit and its standard error."""
        solver, worlds = self.solver, self.drawn[name]
        down = self.failed[name].size / worlds
        error = standard_error(down, worlds)
        carried = self.carried_in.get(name)
        if carried is not None:
            if not solver.outgoing[name]:
                return down, error if solver.own[name] < 1 else 0.0, 1.0, 0.0
            return down, error, 1 - carried / worlds, standard_error(carried / worlds, worlds)
        # In a cycle, a member's own failures were found on the tried worlds, so they are only as certain as those.
        both = math.hypot(error, standard_error(down, self.tried[name]))
        kept = max(solver.kept.get(name, 1.0), 1e-12)
        shown = both if name in solver.measured else error
        return down, shown, solver.limit_of(name, down), min(1.0, both / kept)

    def _meets(self, edge: FleetEdge, worlds: int, generator: np.random.Generator) -> Worlds:
        """Return the worlds in which the target is down and a call over the edge fails even after retries."""
        return thinned(self._down(edge, worlds), edge.met * self.solver.carried(edge), generator)

    def _down(self, edge: FleetEdge, worlds: int) -> Worlds:
        found = self.failed[edge.target]
        return found if self.drawn[edge.target] == worlds else before(found, worlds)

    def _connections(self, edge: FleetEdge, worlds: int, generator: np.random.Generator) -> Worlds:
        """Return the worlds in which what lies between caller and target fails."""
        if edge.connection >= 1.0:
            return NONE
        return alone(worlds, (1 - edge.connection) * edge.met * self.solver.carried(edge), generator)

    def _carried(self, name: str, worlds: int, generator: np.random.Generator) -> Worlds:
        """Return the worlds in which a dependency fails a request of a node outside cycles."""
        parts: list[Worlds] = []
        groups: dict[str, list[FleetEdge]] = {}
        for edge in self.solver.outgoing[name]:
            if edge.group:
                groups.setdefault(edge.group, []).append(edge)
                continue
            share = edge.weight * edge.met * self.solver.carried(edge)
            parts.append(thinned(self._down(edge, worlds), share, generator))
            if edge.connection < 1.0:
                parts.append(alone(worlds, (1 - edge.connection) * share, generator))
        for group, edges in groups.items():
            lists = [
                union([self._meets(edge, worlds, generator), self._connections(edge, worlds, generator)])
                for edge in edges
            ]
            too_few = at_least(lists, len(edges) - self.solver.needed(name, group) + 1)
            parts.append(thinned(too_few, group_weight(edges), generator))
        return union(parts)


def _expected_failures(solver: Figures, places: Sequence[int]) -> dict[tuple[str, ...], float]:
    """Estimate how many nodes of each component are down in one world, which bounds how many worlds can be held."""
    down: dict[str, float] = {}
    expected: dict[tuple[str, ...], float] = {}
    for at in places:
        for name in solver.components[at]:
            measured = solver.measured.get(name)
            if measured is not None:
                down[name] = 1 - measured
                continue
            carried = math.fsum(
                edge.weight * (down.get(edge.target, 0.0) + 1 - edge.connection)
                for edge in solver.outgoing[name]
            )
            down[name] = min(1.0, 1 - solver.own[name] + carried)
        expected[solver.components[at]] = math.fsum(down[name] for name in solver.components[at])
    return expected
