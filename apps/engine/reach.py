"""Which single failures reach a root, in sampled worlds: what journeys and what-ifs are computed from.

An edge carries a failure of its target with probability q·h (times what retries leave), drawn once per edge.
Given all these draws, a root fails exactly when one of the nodes that it reaches over carrying edges fails by
itself, so its unavailability is 1 − Π(1 − u_v) over those nodes: known in closed form for every u at once. Only
the carrying edges are sampled, never the rare failures themselves, and nodes that two paths share are counted
once because they are one node in every world. A cycle adds no failure that did not begin somewhere, as in
:mod:`apps.engine.fleet`.

A group of stand-ins fails its caller where fewer than ``needed`` of its members are up. A node below the members
that takes down too many of them at once is found like any other, and so is the cause that they have in common (β),
a node of its own. That members fail at the same time by chance is one leaf for each group. An
approximation: a member whose own search is still under way (redundancy in a cycle) counts there as a single node,
and once ``MAX_GROUP_ROOTS`` roots are known every member that is looked at does; failures that members have in
common below them are then not followed on that path.

Samples are stratified: within each of ``BATCHES`` batches every edge carries as often as its probability says, to
within one sample (McKay, Beckman and Conover 1979). The standard error is that of the mean of the batches.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from apps.engine.fleet import FleetEdge, FleetGraph, GroupRule
from apps.engine.redundancy import needed_unavailability
from apps.engine.seeding import generator_for
from apps.engine.types import Floats

BATCHES = 20
MAX_SAMPLES = 2_000
MIN_SAMPLES = 160
MAX_CELLS = 8_000_000
"""Edges times samples: a large graph is sampled less often, and its error shows it."""
MAX_GROUP_ROOTS = 400
"""Members of groups whose common causes are followed; of more, only chance and β are counted."""
_BLOCK = 32
"""Edges that draw their luck together."""
_COINCIDENCE = "\0together\0"
_CAUSE = "\0cause\0"

type Worlds = int
"""A set of sampled worlds as the bits of one integer."""


@dataclass(frozen=True, slots=True)
class Coincidence:
    """Members of a group that fail at the same time by chance: a leaf with an unavailability from theirs.

    ``left`` is what retries leave of each member's failures.
    """

    members: tuple[FleetEdge, ...]
    left: tuple[float, ...]
    rule: GroupRule

    def unavailability(self, whole: Mapping[str, Floats]) -> Floats:
        """Probability that fewer than needed of the members are up, were they independent."""
        ups = [
            1 - left * (1 - self.rule.common_cause) * whole[edge.target]
            for edge, left in zip(self.members, self.left, strict=True)
        ]
        return needed_unavailability(np.broadcast_arrays(*ups), self.rule.needed)


@dataclass(frozen=True, slots=True)
class CommonCause:
    """What the members of a group have in common: ``share`` (β) of the best member's own failures."""

    members: tuple[str, ...]
    share: float

    def unavailability(self, own: Mapping[str, Floats]) -> Floats:
        """Its unavailability, a part of each member's own."""
        result: Floats = self.share * np.minimum.reduce([own[name] for name in self.members])
        return result


@dataclass(frozen=True, slots=True)
class _Group:
    """Stand-ins of one caller: the worlds in which a request uses them and those that retries do not save."""

    leaf: str
    used: Worlds
    edges: tuple[FleetEdge, ...]
    carried: tuple[Worlds, ...]
    rule: GroupRule

    @property
    def too_many(self) -> int:
        """How many members must fail for the caller to fail."""
        return len(self.edges) - self.rule.needed + 1


@dataclass(frozen=True, slots=True)
class Reached:
    """The nodes whose own failure fails one root, and in which worlds.

    ``names`` are in order; ``worlds`` has shape ``(samples, nodes)`` and holds 0 and 1.
    """

    names: tuple[str, ...]
    worlds: Floats

    def survival(self, unavailable: Sequence[Floats]) -> Floats:
        """Probability that the root is up, for every world and every column of ``unavailable``.

        ``unavailable`` has one array of shape ``(columns,)`` per name; the answer ``(samples, columns)``.
        """
        logs = np.log1p(-np.minimum(np.stack(unavailable), 1 - 1e-12))
        result: Floats = np.exp(self.worlds @ logs)
        return result


class Reach:
    """Draws the worlds of one graph, then answers for any root.

    ``whole`` is the unavailability of each node with all it depends on: what retries meet. With ``like`` an
    earlier graph's luck is met again: edges in the same order, some changed or new leaves at the end, so that the
    difference of the two is what the change does. Raises ``ValueError`` for edges of unknown nodes.
    """

    def __init__(
        self, graph: FleetGraph, whole: Mapping[str, float], *, seed: int = 0, like: Reach | None = None
    ) -> None:
        self.own, self.rules, self.whole = graph.own, graph.rules, whole
        self.edges = list(graph.edges)
        self.seed = seed
        per_batch = max(MIN_SAMPLES, min(MAX_SAMPLES, MAX_CELLS // max(1, len(self.edges)))) // BATCHES
        if like is not None:
            per_batch, self.seed = like.samples // BATCHES, like.seed
        self.samples: int = per_batch * BATCHES
        self.everywhere: Worlds = (1 << self.samples) - 1
        self.singles: dict[str, list[tuple[str, Worlds]]] = {}
        self.groups: dict[str, list[_Group]] = {}
        self.coincidences: dict[str, Coincidence] = {}
        self.causes: dict[str, CommonCause] = {}
        self.causes_of: dict[str, list[str]] = {}
        self._known: dict[str, dict[str, Worlds]] = {}
        self._open: set[str] = set()
        self._was_cut = False
        self._order: dict[str, int] = {} if like is None else like._ranks()
        self._drawn: dict[str, tuple[Floats, list[Worlds]]] = {}
        for edge in self.edges:
            if edge.source not in graph.own or edge.target not in graph.own:
                raise ValueError(f"{edge.source} → {edge.target} leads from or to an unknown node")
        self._draw({} if like is None else like._drawn)

    def _draw(self, known: Mapping[str, tuple[Floats, list[Worlds]]]) -> None:
        grouped: dict[tuple[str, str], list[int]] = {}
        chances = np.zeros(len(self.edges))
        for at, edge in enumerate(self.edges):
            if edge.mode == "async" or edge.source == edge.target:
                continue
            if edge.group:
                grouped.setdefault((edge.source, edge.group), []).append(at)
                chances[at] = self._left_by_retries(edge)
            else:
                chances[at] = edge.weight * self._left_by_retries(edge)
        carried = self._worlds("carrying edges", chances, known)
        used = np.zeros(len(self.edges))
        for members in grouped.values():
            probability = min(1.0, math.fsum(self.edges[at].call_probability for at in members))
            used[members[0]] = probability * max(self.edges[at].hardness for at in members)
        used_in = self._worlds("used groups", used, known) if grouped else []
        for at, edge in enumerate(self.edges):
            if chances[at] > 0 and not edge.group:
                self.singles.setdefault(edge.source, []).append((edge.target, carried[at]))
        for (source, group), members in grouped.items():
            edges = tuple(self.edges[at] for at in members)
            rule = self.rules.get((source, group), GroupRule())
            leaf = f"{_COINCIDENCE}{source}\0{group}"
            made = _Group(leaf, used_in[members[0]], edges, tuple(carried[at] for at in members), rule)
            self.groups.setdefault(source, []).append(made)
            self._add_cause(tuple(sorted({edge.target for edge in edges})), rule.common_cause)
            if made.too_many > 1:
                left = tuple(float(chances[at]) for at in members)
                self.coincidences[leaf] = Coincidence(edges, left, rule)

    def _add_cause(self, members: tuple[str, ...], share: float) -> None:
        """Groups of the same members have the same cause, with the largest share of any."""
        name = _CAUSE + "\0".join(members)
        known = self.causes.get(name)
        if len(members) < 2 or share <= (known.share if known else 0.0):
            return
        self.causes[name] = CommonCause(members, share)
        if known is None:
            for member in members:
                self.causes_of.setdefault(member, []).append(name)
                self.singles.setdefault(member, []).append((name, self.everywhere))

    def _left_by_retries(self, edge: FleetEdge) -> float:
        again = self.whole.get(edge.target, 0.0) ** edge.retries if edge.retries else 1.0
        return edge.shared_share + (1 - edge.shared_share) * again

    def _worlds(
        self, purpose: str, chances: Floats, known: Mapping[str, tuple[Floats, list[Worlds]]]
    ) -> list[Worlds]:
        """For every edge the worlds in which it carries. Its luck depends on its place, not on its chance."""
        before, worlds = known.get(purpose, (np.empty(0), []))
        shared = min(before.size, chances.size)
        moved = np.ones(chances.size, dtype=bool)
        moved[:shared] = before[:shared] != chances[:shared]
        result: list[Worlds] = worlds[:shared] + [0] * (chances.size - shared)
        per_batch = self.samples // BATCHES
        for block in np.unique(np.flatnonzero(moved) // _BLOCK):
            first = int(block) * _BLOCK
            part = chances[first : first + _BLOCK]
            generator = generator_for("", self.seed, f"{purpose} {block}")
            shape = (_BLOCK, BATCHES, per_batch)
            strata = np.broadcast_to(np.arange(per_batch, dtype=np.float32), shape)
            luck = (
                generator.permuted(strata, axis=2) + generator.random(shape, dtype=np.float32)
            ) / per_batch
            carries = luck.reshape(_BLOCK, self.samples)[: part.size] < part[:, None]
            packed = np.packbits(carries, axis=1, bitorder="little")
            for at, (row, chance) in enumerate(zip(packed, part, strict=True)):
                result[first + at] = (
                    self.everywhere if chance >= 1 else int.from_bytes(row.tobytes(), "little")
                )
        self._drawn[purpose] = chances, result
        return result

    def from_root(self, root: str) -> dict[str, Worlds]:
        """Every node whose failure fails ``root``, with the worlds in which it does; ``root`` in all of them."""
        known = self._known.get(root)
        if known is not None:
            return known
        self._open.add(root)
        found: dict[str, Worlds] = {root: self.everywhere}
        order = self._ranks()
        waiting = [(order.get(root, 0), root)]
        while waiting:
            _, name = heapq.heappop(waiting)
            worlds = found[name]
            for target, carried in self.singles.get(name, ()):
                _spread(found, waiting, order, target, worlds & carried)
            for group in self.groups.get(name, ()):
                opened = worlds & group.used
                if group.too_many > 1:
                    found[group.leaf] = found.get(group.leaf, 0) | opened
                for target, enough in self._takes_down(group):
                    _spread(found, waiting, order, target, opened & enough)
        self._open.discard(root)
        # In a cycle through a group, what was found on the way round is not all that there is.
        if not self._open or not self._was_cut:
            self._known[root] = found
        if not self._open:
            self._was_cut = False
        return found

    def _ranks(self) -> dict[str, int]:
        """Callers before what they call, but for cycles: then nearly every node is looked at once."""
        if self._order:
            return self._order
        calls: dict[str, list[str]] = {}
        for edge in self.edges:
            calls.setdefault(edge.source, []).append(edge.target)
        seen: set[str] = set()
        done: list[str] = []
        for first in self.own:
            stack = [(first, iter(calls.get(first, ())))] if first not in seen else []
            seen.add(first)
            while stack:
                name, below = stack[-1]
                target = next((each for each in below if each not in seen), None)
                if target is None:
                    done.append(name)
                    stack.pop()
                else:
                    seen.add(target)
                    stack.append((target, iter(calls.get(target, ()))))
        self._order = {name: -at for at, name in enumerate(done)}
        return self._order

    def _takes_down(self, group: _Group) -> Iterable[tuple[str, Worlds]]:
        """Nodes whose one failure leaves too few members of a group up, and the worlds in which it does."""
        follow = len(self._known) < MAX_GROUP_ROOTS
        self._was_cut = self._was_cut or any(edge.target in self._open for edge in group.edges)
        below = [
            self.from_root(edge.target)
            if follow and edge.target not in self._open
            else {edge.target: self.everywhere}
            for edge in group.edges
        ]
        for name in sorted({name for reached in below for name in reached}):
            # at_least[j]: the worlds in which j + 1 members fail with it.
            at_least = [0] * group.too_many
            for reached, carried in zip(below, group.carried, strict=True):
                worlds = reached.get(name, 0) & carried
                for at in range(group.too_many - 1, 0, -1):
                    at_least[at] |= at_least[at - 1] & worlds
                at_least[0] |= worlds
            if at_least[-1]:
                yield name, at_least[-1]

    def reached(self, root: str) -> Reached:
        """The answer for one root as arrays, only nodes that fail it in some world."""
        found = {name: worlds for name, worlds in self.from_root(root).items() if worlds}
        names = tuple(sorted(found))
        size = (self.samples + 7) // 8
        packed = np.frombuffer(
            b"".join(found[name].to_bytes(size, "little") for name in names), dtype=np.uint8
        )
        bits = np.unpackbits(packed.reshape(len(names), size), axis=1, bitorder="little")[:, : self.samples]
        return Reached(names, np.ascontiguousarray(bits.T, dtype=np.float64))

    def point(self, name: str) -> Floats:
        """A node's own unavailability, shape ``(1,)``; a coincidence's from its members'."""
        return self.unavailable(name, _Lookup(self.own), _Lookup(self.whole, complement=False))

    def unavailable(self, name: str, own: Mapping[str, Floats], whole: Mapping[str, Floats]) -> Floats:
        """A node's own unavailability from arrays by name; of causes and coincidences from their members'.

        A member of a group keeps its own unavailability as a whole: what is left beside the cause in common.
        """
        if name in self.coincidences:
            return self.coincidences[name].unavailability(whole)
        if name in self.causes:
            return self.causes[name].unavailability(own)
        alone = own[name]
        for cause in self.causes_of.get(name, ()):
            common = self.causes[cause].unavailability(own)
            alone = 1 - np.minimum(1.0, (1 - alone) / np.maximum(1 - common, 1e-12))
        return alone

    def needed_for(self, name: str) -> set[str]:
        """The nodes whose figures :meth:`unavailable` reads for a name."""
        if name in self.coincidences:
            return {edge.target for edge in self.coincidences[name].members}
        if name in self.causes:
            return set(self.causes[name].members)
        return {
            name,
            *(each for cause in self.causes_of.get(name, ()) for each in self.causes[cause].members),
        }

    def down(self, root: str) -> Floats:
        """Probability that a root is down, for every world, shape ``(samples,)``."""
        reached = self.reached(root)
        result: Floats = 1 - reached.survival([self.point(name) for name in reached.names])[:, 0]
        return result

    def weight(self, edge: FleetEdge) -> float:
        """Probability that an edge outside any group carries a failure of its target, retries counted."""
        return 0.0 if edge.mode == "async" else edge.weight * self._left_by_retries(edge)

    def unavailability(self, root: str) -> tuple[float, float]:
        """Unavailability of a root as things are, and its standard error."""
        return batch_mean(self.down(root))


class _Lookup(Mapping[str, Floats]):
    """Single figures as arrays of one: of availabilities their complement."""

    def __init__(self, figures: Mapping[str, float], *, complement: bool = True) -> None:
        self.figures, self.complement = figures, complement

    def __getitem__(self, name: str) -> Floats:
        value = self.figures[name]
        return np.array([1 - value if self.complement else value])

    def __iter__(self) -> Iterator[str]:
        return iter(self.figures)

    def __len__(self) -> int:
        return len(self.figures)


def _spread(
    found: dict[str, Worlds],
    waiting: list[tuple[int, str]],
    order: Mapping[str, int],
    target: str,
    worlds: Worlds,
) -> None:
    before = found.get(target, 0)
    now = before | worlds
    if now != before:
        found[target] = now
        if target in order:  # else a leaf
            heapq.heappush(waiting, (order[target], target))


def batch_mean(values: Floats) -> tuple[float, float]:
    """Mean over samples of shape ``(samples,)`` and its standard error, from the batches."""
    means = values.reshape(BATCHES, -1).mean(axis=1)
    return float(means.mean()), float(means.std(ddof=1) / math.sqrt(BATCHES))
