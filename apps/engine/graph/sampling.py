"""Sampled worlds of a fleet, held as lists of the worlds in which each node is down.

Failures are rare, so a node's list is short, however many worlds there are: millions of worlds of thousands of
nodes cost what their failures cost. A failure is drawn once: each node's own in each world, and for each world
in which a target is down whether an edge carries that. So a list is what its node's own failures and the lists
below it make of it, and the failed nodes of a cycle grow until nothing new fails, as in the model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from apps.engine.graph.draws import NONE, Worlds, alone, at_least, before, thinned, union
from apps.engine.graph.figures import Figures
from apps.engine.graph.fleet import FleetEdge, group_weight
from apps.engine.graph.spreading import Cycle
from apps.engine.seeding import generator_for

MAX_FAILURES = 25_000_000
"""Failures held at once, over all nodes and worlds (100 MB) …"""
MAX_FAILURES_IN_CYCLES = 3_000_000
"""… of them in cycles, where each spreads in waves …"""
MOST_FAILURES_IN_CYCLES = 2 * MAX_FAILURES_IN_CYCLES
"""… and no more, where cycles turn out to fail more than was expected …"""
FAILURES_A_NODE = 50_000
"""… and enough of them: the error is then half a percent of what is missing to 1."""
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
        self.failed: dict[str, Worlds] = {}
        self.carried_in: dict[str, tuple[int, int]] = {}
        self.tried: dict[str, int] = {}

    def settle(self, members: tuple[str, ...], *, is_new: bool) -> int:
        """Draw a component's worlds; a new one's figures go to the solver. Returns the rounds that it took."""
        solver = self.solver
        if len(members) == 1:
            name = members[0]
            generator = generator_for(name, solver.seed, "fleet")
            carried = self._carried(name, generator)
            self.carried_in[name] = carried.size, self.worlds
            if is_new:
                solver.calibrate(name, 1 - carried.size / self.worlds)
            carried = thinned(carried, solver.kept.get(name, 1.0), generator)
            self.failed[name] = union([carried, alone(self.worlds, 1 - solver.own[name], generator)])
            solver.unavailability.setdefault(name, self.failed[name].size / self.worlds)
            return 1
        cycle = Cycle(solver, members, self.worlds)
        rounds = cycle.calibrate(self.failed, self._expected[members]) if is_new else 1
        self._hold_at_most(MOST_FAILURES_IN_CYCLES, cycle.failures_a_world)
        self.failed |= cycle.spread(self.failed, self.worlds)
        self.tried |= dict.fromkeys(members, cycle.tried)
        if is_new:
            down = {name: self.failed[name].size / self.worlds for name in members}
            solver.unavailability |= down
        return rounds

    def _hold_at_most(self, failures: int, a_world: float) -> None:
        """Go on with fewer worlds where one more component would hold too many failures."""
        worlds = max(2, int(failures / a_world)) if a_world > 0 else self.worlds
        if worlds < self.worlds:
            self.worlds = worlds
            self.failed = {name: before(found, worlds) for name, found in self.failed.items()}

    def figures(self, name: str) -> tuple[float, float, float, float]:
        """Unavailability and its standard error, limit and its standard error."""
        down = self.failed[name].size / self.worlds
        carried = self.carried_in.get(name)
        if carried is not None:
            share = carried[0] / carried[1]
            return down, self._error(down), 1 - share, math.sqrt(share * (1 - share) / carried[1])
        # In a cycle what a member fails by itself is known as well as its figure was on the worlds tried.
        error = math.hypot(self._error(down), math.sqrt(down * (1 - down) / self.tried[name]))
        kept = max(self.solver.kept.get(name, 1.0), 1e-12)
        return down, self._error(down), self.solver.limit_of(name, down), min(1.0, error / kept)

    def _error(self, share: float) -> float:
        return math.sqrt(share * (1 - share) / self.worlds)

    def _meets(self, edge: FleetEdge, down: Worlds, generator: np.random.Generator) -> Worlds:
        """Worlds, of those given, in which a call over the edge meets the failure for good."""
        return thinned(down, edge.met * self.solver.carried(edge), generator)

    def _connections(self, edge: FleetEdge, generator: np.random.Generator) -> Worlds:
        """Worlds in which what lies between caller and target fails."""
        if edge.connection >= 1.0:
            return NONE
        return alone(self.worlds, (1 - edge.connection) * edge.met * self.solver.carried(edge), generator)

    def _carried(self, name: str, generator: np.random.Generator) -> Worlds:
        """Worlds in which a dependency fails a request of a node outside cycles."""
        parts: list[Worlds] = []
        groups: dict[str, list[FleetEdge]] = {}
        for edge in self.solver.outgoing[name]:
            if edge.group:
                groups.setdefault(edge.group, []).append(edge)
                continue
            share = edge.weight * edge.met * self.solver.carried(edge)
            parts.append(thinned(self.failed[edge.target], share, generator))
            if edge.connection < 1.0:
                parts.append(alone(self.worlds, (1 - edge.connection) * share, generator))
        for group, edges in groups.items():
            lists = [
                union(
                    [
                        self._meets(edge, self.failed[edge.target], generator),
                        self._connections(edge, generator),
                    ]
                )
                for edge in edges
            ]
            too_few = at_least(lists, len(edges) - self.solver.needed(name, group) + 1)
            parts.append(thinned(too_few, group_weight(edges), generator))
        return union(parts)


def _expected_failures(solver: Figures, places: Sequence[int]) -> dict[tuple[str, ...], float]:
    """About how many nodes of each component are down in one world: it bounds how many worlds can be held."""
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
