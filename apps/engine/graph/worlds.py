"""The states of the world behind a graph's availability: enumerated where they are few, else sampled.

Given the states of shared nodes and of those in cycles, everything else is a tree whose branches fail independently,
and a node's availability is a product. So those states are columns, with a weight each, and every node has one
availability for each column. Where the branches of a node have nothing in common, no state needs to be fixed: their
availabilities multiply. Where there are too many states, worlds are sampled (:mod:`apps.engine.graph.sampling`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from apps.engine.graph.figures import Figures
from apps.engine.graph.fleet import FleetEdge, NodeResult, group_weight
from apps.engine.graph.redundancy import needed_unavailability
from apps.engine.graph.sampling import Sampler
from apps.engine.types import Floats

MAX_CYCLE = 8
"""Members of a cycle whose joint states are enumerated, in 3^n steps."""
MAX_CELLS = 4_000_000
"""Nodes times states that are enumerated for one node; with more, worlds are sampled."""
_SETTLED = 1e-12
_MAX_ROUNDS = 200


@dataclass(slots=True)
class _Columns:
    """States of the world: a weight for each, and the availability of every solved node, given the state."""

    weight: Floats
    available: dict[str, Floats]


class Solver(Figures):
    """Solves one graph: :meth:`solve` gives every node's result, ``cycles`` how many rounds each took."""

    def solve(self) -> dict[str, NodeResult]:
        """Return every node's result: exact where few states decide, the others from one common set of samples."""
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
            # A node with a sampled node below it is sampled as well.
            if self.max_conditioned < 0 or not sampled.isdisjoint(leaving):
                sampled.add(at)
                continue
            if is_disjoint:
                held = max((results[self.components[each][0]].conditioned for each in leaving), default=0)
                self._settle_alone(members[0])
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

    def _leaving(self, members: Sequence[str]) -> list[FleetEdge]:
        inside = set(members)
        return [edge for name in members for edge in self.outgoing[name] if edge.target not in inside]

    def _below(self, under: int) -> set[str]:
        """Return the nodes of the components whose bits are set."""
        names: set[str] = set()
        while under:
            lowest = under & -under
            names.update(self.components[lowest.bit_length() - 1])
            under ^= lowest
        return names

    def _conditioned(self, under: int) -> set[str]:
        """Return the nodes that two edges within ``under`` lead to, and those in cycles."""
        return self._held(self._below(under))

    def _held(self, below: set[str]) -> set[str]:
        reached: dict[str, int] = {}
        for name in below:
            for edge in self.outgoing[name]:
                reached[edge.target] = reached.get(edge.target, 0) + 1
        return {name for name in below if reached.get(name, 0) > 1 or name in self.cyclic}

    def _relevant(self, under: int, reach: Sequence[int], conditioned: set[str], at: int) -> list[int]:
        """Return the components below that depend on a conditioned node: the others have one figure in every state."""
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

    def _settle_alone(self, name: str) -> None:
        """Solve a node whose branches have nothing in common, in one state of the world.

        Uses plain numbers where there is no redundancy group.
        """
        edges = self.outgoing[name]
        if any(edge.group for edge in edges):
            available = {edge.target: np.full(1, 1 - self.unavailability[edge.target]) for edge in edges}
            self._settle((name,), _Columns(np.ones(1), available), set())
            return
        spared = 1.0
        for edge in edges:
            up = 1 - self.unavailability[edge.target]
            spared *= 1 - edge.weight * (edge.met * self.carried(edge) * (1 - edge.connection * up))
        self.limit[name] = limit = min(1.0, max(0.0, 1 - (1 - spared)))
        self.calibrate(name, limit)
        survives = self.own[name] * (1 - self.kept.get(name, 1.0) * (1 - spared))
        self.unavailability[name] = min(1.0, max(0.0, 1 - survives))

    def _settle(self, members: tuple[str, ...], columns: _Columns, conditioned: set[str]) -> None:
        """Solve a component; where its figures depend on each other, iterate until they no longer change."""
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

    def _calibrate(self, name: str, columns: _Columns) -> None:
        """Find the limit of a node outside cycles, and, where it was measured, what it fails by itself."""
        limit = min(
            1.0, max(0.0, 1 - math.fsum(columns.weight * (1 - self._spared(name, columns.available))))
        )
        self.limit[name] = limit
        self.calibrate(name, limit)

    def _place(self, members: tuple[str, ...], columns: _Columns, conditioned: set[str]) -> None:
        if members[0] not in conditioned and len(members) == 1:
            columns.available[members[0]] = self._survival(members[0], columns, columns.available)
        else:
            self._enumerate(members, columns)

    def _survival(self, name: str, columns: _Columns, available: Mapping[str, Floats]) -> Floats:
        """Return the probability that a node is up, given those of its dependencies, for every column at once."""
        spared = self._spared(name, available)
        survives = self.own[name] * (1 - self.kept.get(name, 1.0) * (1 - spared))
        return np.broadcast_to(survives, columns.weight.shape)

    def _spared(self, name: str, available: Mapping[str, Floats]) -> Floats:
        """Return the probability that no dependency fails a request."""
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

    def _down(self, edge: FleetEdge, available: Mapping[str, Floats]) -> Floats:
        """Return the chance that a call over the edge fails even after retries."""
        down: Floats = edge.met * self.carried(edge) * (1 - edge.connection * available[edge.target])
        return down

    def _enumerate(self, members: tuple[str, ...], columns: _Columns) -> None:
        """Return every joint state of a component, as columns, with its probability given the states below.

        P(exactly T fails) = g(T) · Π over v outside T of P(v up | T failed). g(T) is the chance that all of T fail with
        no help from outside T: 1 minus the exact failures of all proper subsets within T (the final-size recursion of
        epidemics: Ball 1986).
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
