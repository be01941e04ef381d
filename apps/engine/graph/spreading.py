"""Failures that spread within a cycle, all members and worlds at once.

A failed node in one world is one number, position · worlds + world. A wave is the set of new failures; the next wave is
what their edges carry, drawn once each, without what has already failed. It ends after at most as many waves as there
are members: nothing is repaired, so the waves are disjoint.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from apps.engine.graph.draws import NONE, Worlds, alone, before, distinct, thinned, union
from apps.engine.graph.figures import Figures
from apps.engine.graph.fleet import FleetEdge, group_weight
from apps.engine.seeding import generator_for

type Keys = NDArray[np.int64]

TRIED_FAILURES = 200_000
"""Failures held while the figures of a cycle of a thousand are searched for; up to five times as many in smaller
ones.
"""
MOST_TRIED = 2_000_000
"""Most failures held where one failure brings down many. Measured services are hardly ever such a cycle, but assumed
edges can make one.
"""
PROBED_WORLDS, PROBED_FAILURES = 100, 500
MOST_OFF = 3.0
"""Up to this many standard errors (about √2 each), the mean square of members' deviations counts as chance …"""
FURTHEST = 1.0
"""… and the furthest may lie this many standard errors beyond what is usual among so many …"""
SURE = 1.0
"""… and only a member's deviation beyond this many standard errors is corrected."""
MAX_ROUNDS = 40
MIN_ROUNDS = 4
ROUNDS_OF_MEMBERS = 20_000
"""Rounds times members: a cycle of thousands gets fewer rounds."""


class Cycle:
    """One strongly connected component of several members."""

    def __init__(self, solver: Figures, members: tuple[str, ...], worlds: int) -> None:
        self.solver, self.members, self.worlds = solver, members, worlds
        place = {name: at for at, name in enumerate(members)}
        single: list[tuple[int, int, FleetEdge]] = []
        self.entering: list[tuple[int, FleetEdge]] = []
        self.groups: dict[tuple[str, str], list[FleetEdge]] = {}
        for at, name in enumerate(members):
            for edge in solver.outgoing[name]:
                if edge.group:
                    self.groups.setdefault((name, edge.group), []).append(edge)
                elif edge.target in place:
                    single.append((place[edge.target], at, edge))
                else:
                    self.entering.append((at, edge))
        self.targets = np.array([target for target, _, _ in single], dtype=np.int64)
        self.sources = np.array([source for _, source, _ in single], dtype=np.int64)
        self.shares = np.array([edge.weight * edge.met for _, _, edge in single], dtype=np.float64)
        self.broken = np.array([1 - edge.connection for _, _, edge in single], dtype=np.float64)
        self.retried = [(number, edge) for number, (_, _, edge) in enumerate(single) if edge.retries]
        self.tried = worlds
        self.failures_a_world = 0.0
        self.below: dict[int, tuple[Worlds, Keys]] = {}
        self.place = place
        self.grouped = [
            (number, member)
            for number, members_of in enumerate(self.groups.values())
            for member in members_of
        ]
        self.is_retried = any(
            edge.retries and edge.target in place for _, edge in (*self.retried, *self.grouped)
        )

    def calibrate(self, failed: Mapping[str, Worlds], expected: float) -> int:
        """Find what the members fail by themselves, on fewer worlds; return the rounds that it took.

        A sample is at rest once its members, together and singly, are off by no more than chance. Only deviations
        beyond that are corrected, so that no round mistakes the noise of the previous one for a fact.
        """
        solver = self.solver
        solver.unavailability |= dict.fromkeys(self.members, 0.0)
        solver.begin(self.members)
        self.tried = worlds = self._affordable(failed, expected)
        most = max(MIN_ROUNDS, min(MAX_ROUNDS, int(ROUNDS_OF_MEMBERS / len(self.members))))
        step, last = 1.0, math.inf
        for rounds in range(1, most + 1):
            found = self._found(self.spread(failed, worlds), worlds)
            noise = {
                name: standard_error(1 - solver.measured.get(name, 1 - down), worlds)
                for name, down in found.items()
            }
            off = solver.residuals(self.members, found)
            # Two samples differ by √2 of one sample's error.
            moved = {
                name: (down - solver.unavailability[name]) / math.sqrt(2) for name, down in found.items()
            }
            solver.unavailability |= found
            if _is_chance(off, noise) and not (self.is_retried and not _is_chance(moved, noise)):
                return rounds
            furthest = max((abs(each) / noise[name] for name, each in off.items()), default=0.0)
            if furthest > 0.7 * last:
                step = max(step / 2, 1 / len(self.members))
            last = furthest
            sure = {name: _beyond(each, SURE * noise[name]) for name, each in off.items()}
            if rounds < most:
                usual = {name: found[name] - off[name] + each for name, each in sure.items()}
                solver.recalibrate(usual, sure, step)
        return most

    def _affordable(self, failed: Mapping[str, Worlds], expected: float) -> int:
        """Return how many worlds to try.

        They are enough to hold the wanted number of failures, given that ``expected`` happen in one world, but not too
        many for the failures that a first few worlds show.
        """
        tried = TRIED_FAILURES * min(5.0, max(1.0, 1_000 / len(self.members)))
        worlds = max(min(self.worlds, 2_000), min(self.worlds, int(tried / max(expected, 1e-9))))
        probed = min(worlds, PROBED_WORLDS)
        self._found(self.spread(failed, probed), probed)
        while self.failures_a_world * probed < PROBED_FAILURES and probed < worlds:
            probed = min(worlds, 10 * probed)
            self._found(self.spread(failed, probed), probed)
        if self.failures_a_world <= 0:
            return worlds
        return max(probed, min(worlds, int(MOST_TRIED / self.failures_a_world)))

    def _found(self, down: Mapping[str, Worlds], worlds: int) -> dict[str, float]:
        shares = {name: found.size / worlds for name, found in down.items()}
        self.failures_a_world = math.fsum(shares.values())
        return shares

    def spread(self, failed: Mapping[str, Worlds], worlds: int) -> dict[str, Worlds]:
        """Return the worlds in which each member is down, of the first ``worlds``; every round uses the same seed."""
        solver = self.solver
        generator = generator_for(self.members[0], solver.seed, "fleet")
        kept = np.array([solver.kept.get(name, 1.0) for name in self.members])
        carried = np.ones(self.shares.size)
        for number, edge in self.retried:
            carried[number] = solver.carried(edge)
        shares = self.shares * carried * kept[self.sources]
        at = np.concatenate([np.arange(len(self.members)), self.sources])
        own = np.array([solver.own[name] for name in self.members])
        begun = [_struck(at, np.concatenate([1 - own, self.broken * shares]), worlds, generator)]
        begun += self._enter(failed, worlds, kept, generator)
        carries = _Carrier(self.targets, self.sources, shares, len(self.members))
        groups = _Groups(self, failed, worlds, generator) if self.groups else None
        fallen = _Fallen()
        wave = distinct(np.concatenate(begun))
        while True:
            if groups is not None:
                wave = fallen.new(distinct(np.concatenate([wave, groups.struck(kept)])))
            if not wave.size:
                break
            fallen.take(wave)
            if groups is not None:
                groups.hear(wave)
            wave = fallen.new(carries.next(wave, worlds, generator))
        down = np.sort(np.concatenate([wave, *fallen.runs]))
        bounds = np.searchsorted(down, np.arange(len(self.members) + 1, dtype=np.int64) * worlds)
        return {
            name: (down[bounds[at] : bounds[at + 1]] - at * worlds).astype(np.int32)
            for at, name in enumerate(self.members)
        }

    def _enter(
        self,
        failed: Mapping[str, Worlds],
        worlds: int,
        kept: NDArray[np.float64],
        generator: np.random.Generator,
    ) -> list[Keys]:
        """Return the failures that come from below the cycle; what is below does not change from round to round."""
        if not self.entering:
            return []
        if worlds not in self.below:
            cut = {
                name: before(failed[name], worlds)
                for name in dict.fromkeys(edge.target for _, edge in self.entering)
            }
            lists = [cut[edge.target] for _, edge in self.entering]
            self.below[worlds] = (
                np.concatenate(lists),
                np.repeat(np.arange(len(lists)), [each.size for each in lists]),
            )
        at = np.array([member for member, _ in self.entering], dtype=np.int64)
        edges = [edge for _, edge in self.entering]
        shares = np.array([edge.weight * edge.met * self.solver.carried(edge) for edge in edges]) * kept[at]
        broken = np.array([1 - edge.connection for edge in edges]) * shares
        below, number = self.below[worlds]
        carried = generator.random(below.size, dtype=np.float32) < shares[number]
        keys = at[number[carried]] * worlds + below[carried]
        return [_struck(at, broken, worlds, generator), keys]


def standard_error(share: float, worlds: int) -> float:
    """Return the standard error of a share of so many sampled worlds; with none (or all) hit, that of one hit."""
    share = min(max(share, 1 / worlds), 1 - 1 / worlds) if worlds > 2 else 0.5
    return math.sqrt(share * (1 - share) / worlds)


def _is_chance(off: Mapping[str, float], noise: Mapping[str, float]) -> bool:
    """Whether sampling explains the deviations of so many: their mean square, and the furthest."""
    if not off:
        return True
    in_noise = [each / noise[name] for name, each in off.items()]
    mean_square = math.fsum(each**2 for each in in_noise) / len(in_noise)
    furthest = max(map(abs, in_noise))
    return (
        mean_square <= 1 + MOST_OFF / math.sqrt(len(in_noise))
        and furthest <= math.sqrt(2 * math.log(len(in_noise))) + FURTHEST
    )


def _beyond(value: float, noise: float) -> float:
    """Return what remains of a value beyond its noise."""
    return math.copysign(max(0.0, abs(value) - noise), value)


class _Fallen:
    """What has already failed, in few sorted runs: each at least twice as long as the next."""

    def __init__(self) -> None:
        self.runs: list[Keys] = []

    def take(self, wave: Keys) -> None:
        """Add a wave of new failures."""
        self.runs.append(wave)
        while len(self.runs) > 1 and self.runs[-2].size < 2 * self.runs[-1].size:
            last = self.runs.pop()
            self.runs[-1] = np.sort(np.concatenate([self.runs[-1], last]))

    def new(self, keys: Keys) -> Keys:
        """Return those of the sorted ``keys`` that have not failed yet."""
        for run in self.runs:
            at = np.minimum(np.searchsorted(run, keys), run.size - 1)
            keys = keys[run[at] != keys]
        return keys


class _Carrier:
    """The edges among the members, by target."""

    def __init__(self, targets: Keys, sources: Keys, shares: NDArray[np.float64], members: int) -> None:
        order = np.argsort(targets, kind="stable")
        self.sources, self.shares = sources[order], shares[order]
        self.first = np.searchsorted(targets[order], np.arange(members + 1))

    def next(self, wave: Keys, worlds: int, generator: np.random.Generator) -> Keys:
        """Return what the edges carry on from the failures of one wave."""
        nodes, at = np.divmod(wave, worlds)
        degrees = self.first[nodes + 1] - self.first[nodes]
        total = int(degrees.sum())
        if not total:
            return np.empty(0, dtype=np.int64)
        # The edge numbers of each failure in a row: its first edge, then the following ones.
        starts = np.repeat(self.first[nodes] - np.cumsum(degrees) + degrees, degrees)
        edges = starts + np.arange(total)
        carried = generator.random(total, dtype=np.float32) < self.shares[edges]
        edges = edges[carried]
        return distinct(self.sources[edges] * worlds + np.repeat(at, degrees)[carried])


class _Groups:
    """Redundancy groups of the members: counts the failures that each meets until too few members are up."""

    def __init__(
        self, cycle: Cycle, failed: Mapping[str, Worlds], worlds: int, generator: np.random.Generator
    ) -> None:
        self.cycle, self.worlds, self.generator = cycle, worlds, generator
        solver = cycle.solver
        self.met: list[Worlds] = []
        for _, edge in cycle.grouped:
            share = edge.met * solver.carried(edge)
            first = alone(worlds, (1 - edge.connection) * share, generator)
            if edge.target not in cycle.place:
                below = before(failed[edge.target], worlds)
                first = union([first, thinned(below, share, generator)])
            self.met.append(first)
        self.before: list[Worlds] = [NONE for _ in cycle.groups]

    def hear(self, wave: Keys) -> None:
        """Take in the failures of one wave."""
        solver = self.cycle.solver
        for number, (_, edge) in enumerate(self.cycle.grouped):
            at = self.cycle.place.get(edge.target)
            if at is None:
                continue
            low, high = np.searchsorted(wave, [at * self.worlds, (at + 1) * self.worlds])
            new = (wave[low:high] - at * self.worlds).astype(np.int32)
            met = thinned(new, edge.met * solver.carried(edge), self.generator)
            self.met[number] = union([self.met[number], met])

    def struck(self, kept: NDArray[np.float64]) -> Keys:
        """Return failures of members whose groups have had too few members up since the last call."""
        solver, found = self.cycle.solver, [np.empty(0, dtype=np.int64)]
        lists: list[list[Worlds]] = [[] for _ in self.cycle.groups]
        for (number, _), met in zip(self.cycle.grouped, self.met, strict=True):
            lists[number].append(met)
        for number, (key, edges) in enumerate(self.cycle.groups.items()):
            worlds, times = np.unique(np.concatenate(lists[number]), return_counts=True)
            too_few = worlds[times >= len(edges) - solver.needed(*key) + 1]
            new = np.setdiff1d(too_few, self.before[number], assume_unique=True)
            self.before[number] = too_few
            at = self.cycle.place[key[0]]
            share = group_weight(edges) * float(kept[at])
            found.append(_keys(at, thinned(new, share, self.generator), self.worlds))
        return np.concatenate(found)


def _struck(at: Keys, chances: NDArray[np.float64], worlds: int, generator: np.random.Generator) -> Keys:
    """Return the worlds in which each of many things happens, drawn as in :func:`apps.engine.graph.draws.alone`."""
    rare = np.where(chances <= 0.05, chances, 0.0)
    times = generator.poisson(-worlds * np.log1p(-rare))
    positions = generator.integers(0, worlds, int(times.sum()), dtype=np.int64)
    found = [np.repeat(at, times) * worlds + positions]
    found.extend(
        _keys(int(at[number]), alone(worlds, float(chances[number]), generator), worlds)
        for number in np.flatnonzero(chances > 0.05)
    )
    return np.concatenate(found)


def _keys(at: int, worlds: Worlds, size: int) -> Keys:
    return worlds.astype(np.int64) + at * size
