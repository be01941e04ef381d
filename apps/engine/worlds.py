"""The states of the world behind a fleet's availability: enumerated where they are few, sampled beyond.

Given the states of the nodes that several others stand on, and of those in cycles, everything else is a tree
whose branches fail independently, and a node's availability is a product. So those states are columns, with
a weight each, and every node has one availability per column. Columns are all states with their exact
probabilities, or samples. Rare failures are sampled more often than they happen and weighted down
(importance sampling), so that a figure near 1 has an error that is small beside what it lacks to 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import networkx
import numpy as np

from apps.engine.fleet import MAX_CELLS, MAX_CYCLE, FleetEdge, GroupRule, NodeResult
from apps.engine.redundancy import needed_unavailability
from apps.engine.seeding import generator_for
from apps.engine.types import Floats

_SETTLED = 1e-12
_MAX_ROUNDS = 200
_CAUSE = "\0cause\0"


@dataclass(slots=True)
class _Columns:
    """States of the world: a weight for each, and the availability of every node solved, given the state."""

    weight: Floats
    available: dict[str, Floats]


class Solver:
    """Solves one graph: :meth:`solve` gives every node's result, ``cycles`` how many rounds each took."""

    def __init__(
        self,
        own: Mapping[str, float],
        edges: Sequence[FleetEdge],
        rules: Mapping[tuple[str, str], GroupRule],
        max_conditioned: int,
        samples: int,
        seed: int,
    ) -> None:
        ordered = sorted(edges, key=lambda edge: (edge.source, edge.target, edge.group, edge.weight))
        self.rules = rules
        self.own, self.edges = _with_common_causes(own, ordered, rules)
        self.max_conditioned, self.seed = max_conditioned, seed
        self.samples = max(2, min(samples, MAX_CELLS // max(1, len(self.own))))
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

    def solve(self) -> dict[str, NodeResult]:
        """Every node: exactly where few states decide, the rest together from one set of samples."""
        results: dict[str, NodeResult] = {}
        sampled: list[int] = []
        for at, members in enumerate(self.components):
            # What stands on a sampled node is sampled as well.
            below: set[str] = set()
            if not any(self.place_of[edge.target] in sampled for edge in self._leaving(members)):
                below = set(members) | networkx.descendants(self.graph, members[0])
            conditioned = self._conditioned(below)
            lower = sorted({self.place_of[name] for name in below})
            longest = max((len(self.components[each]) for each in lower), default=0)
            if not below or len(conditioned) > self.max_conditioned or longest > MAX_CYCLE:
                sampled.append(at)
                continue
            columns = _Columns(np.ones(1), {})
            for each in lower:
                self._settle(self.components[each], columns, conditioned, None)
            for name in members:
                results[name] = NodeResult(1 - self.unavailability[name], 0.0, True, len(conditioned))
        return results | self._sample(sampled)

    def _leaving(self, members: Sequence[str]) -> list[FleetEdge]:
        return [edge for name in members for edge in self.outgoing[name] if edge.target not in members]

    def _conditioned(self, below: set[str]) -> set[str]:
        """Nodes that two edges within ``below`` lead to, and those in cycles."""
        reached: dict[str, int] = {}
        for name in below:
            for edge in self.outgoing[name]:
                reached[edge.target] = reached.get(edge.target, 0) + 1
        return {name for name in below if reached.get(name, 0) > 1 or name in self.cyclic}

    def _sample(self, sampled: Sequence[int]) -> dict[str, NodeResult]:
        below = {name for at in sampled for name in self.components[at]}
        waiting = list(below)
        while waiting:
            targets = {edge.target for edge in self.outgoing[waiting.pop()]} - below
            below |= targets
            waiting += targets
        conditioned = self._conditioned(below)
        generator = generator_for("", self.seed, "fleet")
        columns = _Columns(np.ones(self.samples), {})
        results: dict[str, NodeResult] = {}
        for at in sorted({self.place_of[name] for name in below}):
            members = self.components[at]
            is_new = members[0] not in self.unavailability
            draws = generator.random((2, len(members), self.samples))
            self._settle(members, columns, conditioned, draws)
            if is_new:
                for name in members:
                    value, error = _sampled_mean(columns, name)
                    results[name] = NodeResult(1 - value, error, False, len(conditioned))
        return results

    def _settle(
        self, members: tuple[str, ...], columns: _Columns, conditioned: set[str], draws: Floats | None
    ) -> None:
        """Place a component; where its own retries need its own unavailabilities, until they stand still."""
        is_new = members[0] not in self.unavailability
        inside = set(members)
        repeats = is_new and any(
            edge.retries and edge.target in inside for name in members for edge in self.outgoing[name]
        )
        if is_new:
            self.unavailability |= dict.fromkeys(members, 0.0)
        weight, available = columns.weight, dict(columns.available)
        rounds = 0
        while True:
            rounds += 1
            columns.weight, columns.available = weight, dict(available)
            self._place(members, columns, conditioned, draws)
            if not is_new:
                return
            mean = _exact_mean if draws is None else _sampled_mean
            found = {name: mean(columns, name)[0] for name in members}
            moved = max(abs(found[name] - self.unavailability[name]) for name in members)
            self.unavailability |= found
            if not repeats or moved < _SETTLED or rounds >= _MAX_ROUNDS:
                break
        if len(members) > 1:
            self.cycles[members] = rounds

    def _place(
        self, members: tuple[str, ...], columns: _Columns, conditioned: set[str], draws: Floats | None
    ) -> None:
        if members[0] not in conditioned:
            columns.available[members[0]] = self._survival(members[0], columns, columns.available)
        elif draws is None:
            self._enumerate(members, columns)
        else:
            self._draw(members, columns, draws, len(conditioned))

    def _survival(self, name: str, columns: _Columns, available: Mapping[str, Floats]) -> Floats:
        """Probability that a node is up, given those of its dependencies, for every column at once."""
        survives: Floats = np.asarray(self.own[name], dtype=np.float64)
        groups: dict[str, list[FleetEdge]] = {}
        for edge in self.outgoing[name]:
            if edge.group:
                groups.setdefault(edge.group, []).append(edge)
            else:
                survives = survives * (1 - edge.weight * self._carried(edge) * (1 - available[edge.target]))
        for group, edges in groups.items():
            probability = min(1.0, math.fsum(edge.call_probability for edge in edges))
            hardness = max(edge.hardness for edge in edges)
            ups = [1 - self._carried(edge) * (1 - available[edge.target]) for edge in edges]
            needed = self.rules.get((name, group), GroupRule()).needed
            survives = survives * (
                1 - probability * hardness * needed_unavailability(np.broadcast_arrays(*ups), needed)
            )
        return np.broadcast_to(survives, columns.weight.shape)

    def _carried(self, edge: FleetEdge) -> float:
        """Share of the target's failures that are still there after the retries."""
        if not edge.retries:
            return 1.0
        again = self.unavailability[edge.target] ** edge.retries
        return edge.shared_share + (1 - edge.shared_share) * again

    def _enumerate(self, members: tuple[str, ...], columns: _Columns) -> None:
        """Every joint state of a component, as columns, with its probability given the states below.

        P(exactly T fails) = g(T) · Π over v outside T of P(v up | T failed), where g(T), the chance that all of
        T fail with no help from outside it, is what remains of 1 when the exact failures of all proper subsets
        within T are taken away (the final-size recursion of epidemics: Ball 1986).
        """
        size = len(members)
        before = columns.weight.size
        up: list[list[Floats]] = []
        for failed in range(1 << size):
            state = columns.available | {
                name: np.full(before, 1.0 - (failed >> at & 1)) for at, name in enumerate(members)
            }
            up.append([self._survival(name, columns, state) for name in members])
        inside: list[Floats] = []
        for failed in range(1 << size):
            rest = np.ones(before)
            smaller = failed
            while smaller:
                smaller = (smaller - 1) & failed
                rest = rest - inside[smaller] * _product(up[smaller], failed & ~smaller, before)
            inside.append(np.maximum(rest, 0.0))
        everyone = (1 << size) - 1
        weights = [
            columns.weight * inside[failed] * _product(up[failed], everyone & ~failed, before)
            for failed in range(1 << size)
        ]
        keep = [np.flatnonzero(weight > 0) for weight in weights]
        columns.weight = np.concatenate([weight[kept] for weight, kept in zip(weights, keep, strict=True)])
        columns.available = {
            name: np.concatenate([values[kept] for kept in keep])
            for name, values in columns.available.items()
        }
        for at, name in enumerate(members):
            columns.available[name] = np.concatenate(
                [np.full(kept.size, 1.0 - (failed >> at & 1)) for failed, kept in enumerate(keep)]
            )

    def _draw(self, members: tuple[str, ...], columns: _Columns, draws: Floats, conditioned: int) -> None:
        """Sample a component's states: each node fails once its level of trouble exceeds its own draw.

        A node's draw is uniform, and it is up while its draw is below its survival given what has failed;
        started from all up and repeated until nothing changes. Where it fails without the others' help it is
        made to do so at least once in ``conditioned`` samples, and the sample's weight corrected.
        """
        state = columns.available | {name: np.ones(self.samples) for name in members}
        level: list[Floats] = []
        for at, name in enumerate(members):
            alone = 1 - self._survival(name, columns, state)
            forced = np.where(alone > 0, np.maximum(alone, min(0.5, 1 / max(1, conditioned))), 0.0)
            fails = draws[0, at] < forced
            with np.errstate(divide="ignore", invalid="ignore"):
                factor = np.where(fails, alone / forced, (1 - alone) / (1 - forced))
            columns.weight = columns.weight * factor
            level.append(np.where(fails, 1 - alone * draws[1, at], (1 - alone) * draws[1, at]))
        for _ in members:
            moved = False
            for at, name in enumerate(members):
                now = (level[at] < self._survival(name, columns, state)).astype(np.float64)
                now = np.minimum(now, state[name])
                moved = moved or bool((now != state[name]).any())
                state[name] = now
            if not moved:
                break
        columns.available |= {name: state[name] for name in members}


def _product(up: Sequence[Floats], chosen: int, size: int) -> Floats:
    result = np.ones(size)
    for at, each in enumerate(up):
        if chosen >> at & 1:
            result = result * each
    return result


def _exact_mean(columns: _Columns, name: str) -> tuple[float, float]:
    down = columns.weight * (1 - columns.available[name])
    return float(min(1.0, max(0.0, math.fsum(down)))), 0.0


def _sampled_mean(columns: _Columns, name: str) -> tuple[float, float]:
    """Unavailability of a node over all samples, and its standard error."""
    down = columns.weight * (1 - columns.available[name])
    return float(min(1.0, down.mean())), float(down.std(ddof=1) / math.sqrt(down.size))


def _with_common_causes(
    own: Mapping[str, float], edges: Sequence[FleetEdge], rules: Mapping[tuple[str, str], GroupRule]
) -> tuple[dict[str, float], list[FleetEdge]]:
    """Make what a group's members have in common a node of its own: β times the best member's own failures.

    Every member depends on it, and keeps its own availability as a whole. Groups of the same members have the
    same cause, with the largest β.
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


_ALWAYS = FleetEdge("", "")
