"""The states of the world behind a fleet's availability: enumerated where they are few, sampled beyond.

Given the states of the nodes that several others stand on, and of those in cycles, everything else is a tree
whose branches fail independently, and a node's availability is a product. So those states are columns, with
a weight each, and every node has one availability per column. Where the branches of a node have nothing in
common, no state needs to be held: their figures are multiplied. What has too many states is sampled
(:mod:`apps.engine.sampling`).

**Measured nodes.** Of a node whose availability was measured, its own is not known but found: it is what makes
the composed figure the measured one, own = measured / limit, where limit is the chance that no dependency fails
a request. Where the dependencies alone would fail more than was measured, own is 1 and each failure that reaches
the node is kept with the chance that makes both agree. In a cycle both are found by fixed point.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import networkx
import numpy as np

from apps.engine.fleet import MAX_CYCLE, FleetEdge, FleetGraph, GroupRule, NodeResult, group_weight
from apps.engine.redundancy import needed_unavailability
from apps.engine.sampling import Sampler
from apps.engine.types import Floats

MAX_CELLS = 4_000_000
"""Nodes times states that are enumerated for one node; beyond that worlds are sampled."""
_SETTLED = 1e-12
_CALIBRATED = 1e-10
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

    def solve(self) -> dict[str, NodeResult]:
        """Every node: exactly where few states decide, the rest together from one set of samples."""
        results: dict[str, NodeResult] = {}
        sampled: set[int] = set()
        reach: list[int] = []
        for at, members in enumerate(self.components):
            leaving = sorted({self.place_of[edge.target] for edge in self._leaving(members)})
            under = 1 << at
            is_disjoint = len(members) == 1 and len(self.outgoing[members[0]]) == len(leaving)
            for each in leaving:
                is_disjoint = is_disjoint and not under & reach[each]
                under |= reach[each]
            reach.append(under)
            # What stands on a sampled node is sampled as well.
            if self.max_conditioned < 0 or not sampled.isdisjoint(leaving):
                sampled.add(at)
                continue
            if is_disjoint:
                held = max((results[self.components[each][0]].conditioned for each in leaving), default=0)
                available = {edge.target: self._known(edge.target) for edge in self.outgoing[members[0]]}
                self._settle(members, _Columns(np.ones(1), available), set())
            else:
                conditioned = self._conditioned(under)
                lower = self._relevant(under, reach, conditioned, at)
                longest = max((len(self.components[each]) for each in lower), default=0)
                states = (len(lower) + 1) << min(60, len(conditioned))
                if (
                    len(conditioned) > self.max_conditioned
                    or longest > MAX_CYCLE
                    or (states > MAX_CELLS and len(lower) > MAX_CYCLE)
                ):
                    sampled.add(at)
                    continue
                held = len(conditioned)
                chosen = set(lower)
                columns = _Columns(np.ones(1), {})
                for each in lower:
                    for edge in self._leaving(self.components[each]):
                        if self.place_of[edge.target] not in chosen:
                            columns.available[edge.target] = np.full(
                                columns.weight.size, 1 - self.unavailability[edge.target]
                            )
                    self._settle(self.components[each], columns, conditioned)
            for name in members:
                results[name] = NodeResult(
                    1 - self.unavailability[name], 0.0, True, held, self.limit[name], 0.0
                )
        return results | self._sample(sampled)

    def _known(self, name: str) -> Floats:
        return np.full(1, 1 - self.unavailability[name])

    def _leaving(self, members: Sequence[str]) -> list[FleetEdge]:
        inside = set(members)
        return [edge for name in members for edge in self.outgoing[name] if edge.target not in inside]

    def _below(self, under: int) -> set[str]:
        """The nodes of the components whose bits are set."""
        names: set[str] = set()
        while under:
            lowest = under & -under
            names.update(self.components[lowest.bit_length() - 1])
            under ^= lowest
        return names

    def _conditioned(self, under: int) -> set[str]:
        """Nodes that two edges within ``under`` lead to, and those in cycles."""
        return self._held(self._below(under))

    def _held(self, below: set[str]) -> set[str]:
        reached: dict[str, int] = {}
        for name in below:
            for edge in self.outgoing[name]:
                reached[edge.target] = reached.get(edge.target, 0) + 1
        return {name for name in below if reached.get(name, 0) > 1 or name in self.cyclic}

    def _relevant(self, under: int, reach: Sequence[int], conditioned: set[str], at: int) -> list[int]:
        """Components below that stand on a conditioned node: the others have one figure in every state."""
        marked = 0
        for name in conditioned:
            marked |= 1 << self.place_of[name]
        places: list[int] = []
        while under:
            lowest = under & -under
            place = lowest.bit_length() - 1
            if reach[place] & marked or place == at:
                places.append(place)
            under ^= lowest
        return places

    def _sample(self, sampled: set[int]) -> dict[str, NodeResult]:
        if not sampled:
            return {}
        below = {name for at in sampled for name in self.components[at]}
        waiting = list(below)
        while waiting:
            targets = {edge.target for edge in self.outgoing[waiting.pop()]} - below
            below |= targets
            waiting += targets
        places = sorted({self.place_of[name] for name in below})
        sampler = Sampler(self, places)
        results: dict[str, NodeResult] = {}
        held = len(self._held(below))
        for at in places:
            members = self.components[at]
            rounds = sampler.settle(members, is_new=members[0] not in self.unavailability)
            if at not in sampled:
                continue
            if len(members) > 1:
                self.cycles[members] = rounds
            for name in members:
                down, error, limit, limit_error = sampler.figures(name)
                results[name] = NodeResult(1 - down, error, False, held, limit, limit_error)
        return results

    def _settle(self, members: tuple[str, ...], columns: _Columns, conditioned: set[str]) -> None:
        """Place a component; where its figures need each other, until they stand still."""
        is_new = members[0] not in self.unavailability
        if not is_new:
            self._place(members, columns, conditioned)
            return
        self.unavailability |= dict.fromkeys(members, 0.0)
        if len(members) == 1:
            self._calibrate(members[0], columns)
            self._place(members, columns, conditioned)
            self.unavailability[members[0]] = _mean_down(columns, members[0])
            return
        weight, available = columns.weight, dict(columns.available)

        def compose() -> dict[str, float]:
            columns.weight, columns.available = weight, dict(available)
            self._place(members, columns, conditioned)
            return {name: _mean_down(columns, name) for name in members}

        self.cycles[members] = self.until_still(members, compose, _SETTLED, _MAX_ROUNDS)
        for name in members:
            self.limit[name] = self.limit_of(name, self.unavailability[name])

    def until_still(
        self, members: tuple[str, ...], compose: Callable[[], dict[str, float]], tolerance: float, most: int
    ) -> int:
        """Compose a cycle until its figures stand still and the measured ones are met; returns the rounds."""
        inside = set(members)
        is_retried = any(
            edge.retries and edge.target in inside for name in members for edge in self.outgoing[name]
        )
        self._begin(members)
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

    def _begin(self, members: Sequence[str]) -> None:
        """Begin where every member's dependencies fail as measured: a round or two from the end."""
        usual = {name: self.measured.get(name, self.own[name]) for name in members}
        for name in members:
            spared = 1.0
            for edge in self.outgoing[name]:
                up = usual[edge.target] if edge.target in usual else 1 - self.unavailability[edge.target]
                if not edge.group:
                    spared *= 1 - edge.weight * edge.met * (1 - edge.connection * up)
            self.calibrate(name, spared)

    def _calibrate(self, name: str, columns: _Columns) -> None:
        """Find the limit of a node outside cycles, and what it fails by itself where it was measured."""
        limit = min(
            1.0, max(0.0, 1 - math.fsum(columns.weight * (1 - self._spared(name, columns.available))))
        )
        self.limit[name] = limit
        self.calibrate(name, limit)

    def calibrate(self, name: str, limit: float) -> None:
        """Set own, and the share of failures kept, so that a measured node comes out as measured."""
        measured = self.measured.get(name)
        if measured is None:
            return
        if limit >= measured:
            self.own[name] = min(1.0, measured / limit) if limit > 0 else 1.0
        else:
            self.own[name], self.kept[name] = 1.0, (1 - measured) / (1 - limit)

    def residuals(self, members: Sequence[str], found: Mapping[str, float]) -> dict[str, float]:
        """By how much each measured member's unavailability is above the measured."""
        return {name: found[name] - (1 - self.measured[name]) for name in members if name in self.measured}

    def recalibrate(self, found: Mapping[str, float], off: Mapping[str, float], step: float) -> None:
        """Move what a cycle's measured members fail by themselves, and what they keep, towards the measured.

        A member's figure answers its own one to one and, through the cycle, the others': ``step`` is cut by
        the caller where that overshoots.
        """
        for name in off:
            measured, kept = self.measured[name], self.kept.get(name, 1.0)
            if kept < 1.0 or (self.own[name] >= 1.0 and off[name] > 0):
                self.kept[name] = min(1.0, kept * ((1 - measured) / max(found[name], 1e-15)) ** step)
            else:
                self.own[name] = min(1.0, self.own[name] * (measured / max(1 - found[name], 1e-15)) ** step)

    def limit_of(self, name: str, down: float) -> float:
        """The limit of a cycle's member, from how often it is down: what is left without its own failures."""
        own = self.own[name]
        if own <= 0:
            return 0.0
        carried = max(0.0, 1 - (1 - down) / own)
        return min(1.0, max(0.0, 1 - carried / max(self.kept.get(name, 1.0), 1e-12)))

    def _place(self, members: tuple[str, ...], columns: _Columns, conditioned: set[str]) -> None:
        if members[0] not in conditioned and len(members) == 1:
            columns.available[members[0]] = self._survival(members[0], columns, columns.available)
        else:
            self._enumerate(members, columns)

    def _survival(self, name: str, columns: _Columns, available: Mapping[str, Floats]) -> Floats:
        """Probability that a node is up, given those of its dependencies, for every column at once."""
        spared = self._spared(name, available)
        survives = self.own[name] * (1 - self.kept.get(name, 1.0) * (1 - spared))
        return np.broadcast_to(survives, columns.weight.shape)

    def _spared(self, name: str, available: Mapping[str, Floats]) -> Floats:
        """Probability that no dependency fails a request."""
        spared: Floats = np.asarray(1.0)
        groups: dict[str, list[FleetEdge]] = {}
        for edge in self.outgoing[name]:
            if edge.group:
                groups.setdefault(edge.group, []).append(edge)
            else:
                spared = spared * (1 - edge.weight * self._down(edge, available))
        for group, edges in groups.items():
            ups = [1 - self._down(edge, available) for edge in edges]
            needed = self.needed(name, group)
            spared = spared * (
                1 - group_weight(edges) * needed_unavailability(np.broadcast_arrays(*ups), needed)
            )
        return spared

    def needed(self, name: str, group: str) -> int:
        """How many members of a group must be up."""
        return self.rules.get((name, group), GroupRule()).needed

    def _down(self, edge: FleetEdge, available: Mapping[str, Floats]) -> Floats:
        """Chance that a call over the edge meets a failure for good."""
        down: Floats = edge.met * self.carried(edge) * (1 - edge.connection * available[edge.target])
        return down

    def carried(self, edge: FleetEdge) -> float:
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


def _product(up: Sequence[Floats], chosen: int, size: int) -> Floats:
    result = np.ones(size)
    for at, each in enumerate(up):
        if chosen >> at & 1:
            result = result * each
    return result


def _mean_down(columns: _Columns, name: str) -> float:
    down = columns.weight * (1 - columns.available[name])
    return float(min(1.0, max(0.0, math.fsum(down))))


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
