"""Which single failures reach a root, in sampled worlds: the basis of journeys and what-ifs.

An edge carries a failure of its target with probability q·h (times what retries leave), drawn once for each edge. Given
all these draws, a root without groups below it fails exactly when one of the nodes that it reaches over carrying edges
fails by itself. So its unavailability is 1 − Π(1 − u_v) over those nodes, in closed form for every u at once. Only the
carrying edges are sampled, never the rare failures themselves. Nodes that two paths share count once, because they are
one node in every world. A cycle adds no failure that did not begin somewhere, as in :mod:`apps.engine.graph.composing`.
What retries leave is not solved for here, but computed from the targets' given unavailabilities as a whole.

A redundancy group fails its caller where fewer than ``needed`` of its members are up. A node below the members that
takes down too many of them at once is found like any other; so is the members' common cause (β), a node of its own.
That members fail at the same time by chance is one leaf for each group, assumed to be independent of everything else:
right to the order of the product of two failures, which is small for services that are mostly up. A member whose own
search has not ended (redundancy in a cycle) counts there as a single node; so does every other one once the root's
search has visited ``MAX_LOOKED`` nodes, or within ``MAX_NESTED`` searches. Failures that members have in common below
them are then not followed on that path.

Samples are stratified: within each of ``BATCHES`` batches every edge carries as often as its probability says, to
within one sample (McKay, Beckman and Conover 1979). The standard error is that of the mean of the batches.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from apps.engine.graph.edge_table import EdgeTable
from apps.engine.graph.fleet import FleetEdge, FleetGraph, GroupRule, group_weight
from apps.engine.graph.reach_groups import Coincidence, CommonCause, Group, Worlds
from apps.engine.seeding import generator_for
from apps.engine.types import Floats

BATCHES = 20
MAX_SAMPLES = 2_000
MIN_SAMPLES = 160
MAX_CELLS = 8_000_000
"""Edges times samples: a large graph has fewer samples, and its error shows that."""
MAX_LOOKED = 1_000
"""Nodes visited for one root while the members of groups are followed. Half of them are for groups below groups, so
that the nearest are always followed.
"""
MAX_NESTED = 12
"""Groups below groups that are followed, one search within another."""
_BLOCK = 32
"""Edges whose random numbers are drawn together."""
_COINCIDENCE = "\0together\0"
_CAUSE = "\0cause\0"
_CARRYING = "carrying edges"
_USED = "used groups"


@dataclass(frozen=True, slots=True)
class Reached:
    """The nodes whose own failure fails one root, and in which worlds.

    ``names`` are in order; ``worlds`` has shape ``(samples, nodes)`` and holds 0 and 1.
    """

    names: tuple[str, ...]
    worlds: Floats

    def survival(self, unavailable: Sequence[Floats]) -> Floats:
        """Return the probability that the root is up, for every world and every column of ``unavailable``.

        ``unavailable`` has one array of shape ``(columns,)`` for each name; the result has shape ``(samples,
        columns)``.
        """
        logs = np.log1p(-np.minimum(np.stack(unavailable), 1 - 1e-12))
        result: Floats = np.exp(self.worlds @ logs)
        return result


class Reach:
    """Draws the worlds of one graph, then answers for any root.

    ``whole`` is the unavailability of each node with all it depends on: what retries meet. ``like`` is an earlier graph
    whose random numbers are used again: its edges in the same order, some changed, or new leaves at the end. So the
    difference of the two is the effect of the change. Raises ``ValueError`` for edges of unknown nodes.
    """

    def __init__(
        self, graph: FleetGraph, whole: Mapping[str, float], *, seed: int = 0, like: Reach | None = None
    ) -> None:
        self.own, self.rules, self.whole = graph.own, graph.rules, whole
        self.edges = EdgeTable.of(graph.edges)
        self.seed = seed
        per_batch = max(MIN_SAMPLES, min(MAX_SAMPLES, MAX_CELLS // max(1, len(self.edges)))) // BATCHES
        if like is not None:
            per_batch, self.seed = like.samples // BATCHES, like.seed
        self.samples: int = per_batch * BATCHES
        self.everywhere: Worlds = (1 << self.samples) - 1
        self.coincidences: dict[str, Coincidence] = {}
        self.causes: dict[str, CommonCause] = {}
        self.causes_of: dict[str, list[str]] = {}
        self._grouped: dict[str, list[tuple[str, list[int]]]] = {}
        self._singles: dict[str, list[tuple[str, Worlds]]] = {}
        self._groups: dict[str, list[Group]] = {}
        self._known: dict[str, dict[str, Worlds]] = {}
        self._open: set[str] = set()
        self._was_cut = False
        self._looked = 0
        self._order: dict[str, int] = {} if like is None else like._ranks()
        self._drawn: dict[tuple[str, int, bytes], list[Worlds]] = {} if like is None else like._drawn
        for at, name in enumerate(self.edges.names):
            if name not in graph.own:
                self._refuse(at)
        self._chances = self._weigh()

    def _refuse(self, number: int) -> None:
        for at in np.flatnonzero((self.edges.sources == number) | (self.edges.targets == number))[:1]:
            edge = self.edges[int(at)]
            raise ValueError(f"{edge.source} → {edge.target} leads from or to an unknown node")

    def _weigh(self) -> dict[str, Floats]:
        """Return for every edge the chance that it carries, and for the first edge of each group that the group is
        used.

        A member of a group carries what retries leave of its failures. Also stores the groups.
        """
        table = self.edges
        left = table.shared_share + (1 - table.shared_share)
        for at in np.flatnonzero(table.retries).tolist():
            left[at] = self._left_by_retries(table[at])
        counts = ~table.is_async & (table.sources != table.targets)
        chances = np.where(counts, table.call_probability * table.hardness * left, 0.0)
        used = np.zeros(len(table))
        grouped: dict[tuple[str, str], list[int]] = {}
        for at in sorted(table.groups):
            if counts[at]:
                chances[at] = left[at]
                grouped.setdefault((table[at].source, table[at].group), []).append(at)
        for (source, group), members in grouped.items():
            edges = tuple(table[at] for at in members)
            used[members[0]] = group_weight(edges)
            rule = self._rule(source, group, len(members))
            self._grouped.setdefault(source, []).append((group, members))
            self._add_cause(tuple(sorted({edge.target for edge in edges})), rule.common_cause)
            if len(members) > rule.needed:
                together = Coincidence(edges, tuple(float(chances[at]) for at in members), rule)
                self.coincidences[_leaf_of(source, group)] = together
        return {_CARRYING: chances, _USED: used}

    def _rule(self, source: str, group: str, members: int) -> GroupRule:
        """Return a group's rule; it never needs more members than there are, as in the composite of one service."""
        rule = self.rules.get((source, group), GroupRule())
        return rule if rule.needed <= members else replace(rule, needed=members)

    def _add_cause(self, members: tuple[str, ...], share: float) -> None:
        """Add a group's common cause; groups of the same members share one, with the largest share of any."""
        name = _CAUSE + "\0".join(members)
        known = self.causes.get(name)
        if len(members) < 2 or share <= (known.share if known else 0.0):
            return
        self.causes[name] = CommonCause(members, share)
        if known is None:
            for member in members:
                self.causes_of.setdefault(member, []).append(name)

    def _left_by_retries(self, edge: FleetEdge) -> float:
        again = self.whole.get(edge.target, 0.0) ** edge.retries if edge.retries else 1.0
        return edge.shared_share + (1 - edge.shared_share) * again

    def _singles_of(self, name: str) -> list[tuple[str, Worlds]]:
        """Return the nodes whose failure alone fails this one, and the worlds in which it does."""
        found = self._singles.get(name)
        if found is None:
            table, chances = self.edges, self._chances[_CARRYING]
            found = self._singles[name] = [
                (table.names[table.targets[at]], self._worlds(_CARRYING, at))
                for at in table.from_source(name)
                if chances[at] > 0 and at not in table.groups
            ]
            found += [(cause, self.everywhere) for cause in self.causes_of.get(name, ())]
        return found

    def _groups_of(self, name: str) -> list[Group]:
        found = self._groups.get(name)
        if found is None:
            found = self._groups[name] = [
                Group(
                    _leaf_of(name, group),
                    self._worlds(_USED, members[0]),
                    tuple(self.edges[at] for at in members),
                    tuple(self._worlds(_CARRYING, at) for at in members),
                    self._rule(name, group, len(members)),
                )
                for group, members in self._grouped.get(name, ())
            ]
        return found

    def _worlds(self, purpose: str, at: int) -> Worlds:
        """Return the worlds in which an edge carries, or a group is used.

        The random numbers depend only on the edge's place, not on its chance or on what was asked before; blocks are
        drawn when needed.
        """
        block = at // _BLOCK
        first = block * _BLOCK
        part = self._chances[purpose][first : first + _BLOCK]
        key = purpose, block, part.tobytes()
        found = self._drawn.get(key)
        if found is None:
            found = self._drawn[key] = self._draw(purpose, block, part)
        return found[at - first]

    def _draw(self, purpose: str, block: int, chances: Floats) -> list[Worlds]:
        per_batch = self.samples // BATCHES
        generator = generator_for("", self.seed, f"{purpose} {block}")
        shape = (_BLOCK, BATCHES, per_batch)
        strata = np.broadcast_to(np.arange(per_batch, dtype=np.float32), shape)
        luck = (generator.permuted(strata, axis=2) + generator.random(shape, dtype=np.float32)) / per_batch
        carries = luck.reshape(_BLOCK, self.samples)[: chances.size] < chances[:, None]
        packed = np.packbits(carries, axis=1, bitorder="little")
        return [
            self.everywhere if chance >= 1 else int.from_bytes(row.tobytes(), "little")
            for row, chance in zip(packed, chances, strict=True)
        ]

    def from_root(self, root: str) -> dict[str, Worlds]:
        """Return every node whose failure fails ``root``, with the worlds in which it does; ``root`` itself in all."""
        known = self._known.get(root)
        if known is not None:
            return known
        self._open.add(root)
        found: dict[str, Worlds] = {root: self.everywhere}
        order = self._ranks()
        waiting = [(order.get(root, 0), root)]
        while waiting:
            _, name = heapq.heappop(waiting)
            self._looked += len(self._open) > 1
            worlds = found[name]
            for target, carried in self._singles_of(name):
                _spread(found, waiting, order, target, worlds & carried)
            for group in self._groups_of(name):
                opened = worlds & group.used
                if group.too_many > 1:
                    found[group.leaf] = found.get(group.leaf, 0) | opened
                for target, enough in self._takes_down(group):
                    _spread(found, waiting, order, target, opened & enough)
        self._open.discard(root)
        # In a cycle through a group, what was found before the search ended is incomplete: do not store it.
        if not self._open or not self._was_cut:
            self._known[root] = found
        if not self._open:
            self._was_cut, self._looked = False, 0
        return found

    def _ranks(self) -> dict[str, int]:
        """Rank callers before what they call, except in cycles: then nearly every node is visited once."""
        if self._order:
            return self._order
        table = self.edges
        order, starts = table.by_source
        targets, begins = table.targets[order].tolist(), starts.tolist()
        seen = [False] * len(table.names)
        done: list[int] = []
        for first in (table.numbers[name] for name in self.own if name in table.numbers):
            stack = [] if seen[first] else [(first, iter(targets[begins[first] : begins[first + 1]]))]
            seen[first] = True
            while stack:
                number, below = stack[-1]
                for target in below:
                    if not seen[target]:
                        seen[target] = True
                        stack.append((target, iter(targets[begins[target] : begins[target + 1]])))
                        break
                else:
                    done.append(number)
                    stack.pop()
        self._order = {table.names[number]: -at for at, number in enumerate(done)}
        return self._order

    def _takes_down(self, group: Group) -> Iterable[tuple[str, Worlds]]:
        """Yield nodes whose failure leaves too few members of a group up, and the worlds in which it does."""
        self._was_cut = self._was_cut or any(edge.target in self._open for edge in group.edges)
        below = [self._from_member(edge.target) for edge in group.edges]
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

    def _from_member(self, name: str) -> Mapping[str, Worlds]:
        known = self._known.get(name)
        if known is not None:
            return known
        most = MAX_LOOKED if len(self._open) == 1 else MAX_LOOKED // 2
        if name in self._open or self._looked >= most or len(self._open) >= MAX_NESTED:
            return {name: self.everywhere}
        return self.from_root(name)

    def reached(self, root: str) -> Reached:
        """Return the nodes that fail one root in some world, as arrays."""
        found = {name: worlds for name, worlds in self.from_root(root).items() if worlds}
        names = tuple(sorted(found))
        size = (self.samples + 7) // 8
        packed = np.frombuffer(
            b"".join(found[name].to_bytes(size, "little") for name in names), dtype=np.uint8
        )
        bits = np.unpackbits(packed.reshape(len(names), size), axis=1, bitorder="little")[:, : self.samples]
        return Reached(names, np.ascontiguousarray(bits.T, dtype=np.float64))

    def point(self, name: str) -> Floats:
        """Return a node's own unavailability, shape ``(1,)``; a coincidence's from its members'."""
        return self.unavailable(name, _Lookup(self.own), _Lookup(self.whole, complement=False))

    def unavailable(self, name: str, own: Mapping[str, Floats], whole: Mapping[str, Floats]) -> Floats:
        """Return a node's own unavailability from arrays by name; that of causes and coincidences from their members'.

        A member of a group keeps its own unavailability as a whole: the common cause is taken out of it.
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
        """Return the nodes whose figures :meth:`unavailable` reads for a name."""
        if name in self.coincidences:
            return {edge.target for edge in self.coincidences[name].members}
        if name in self.causes:
            return set(self.causes[name].members)
        return {
            name,
            *(each for cause in self.causes_of.get(name, ()) for each in self.causes[cause].members),
        }

    def down(self, root: str) -> Floats:
        """Return the probability that a root is down, for every world, shape ``(samples,)``."""
        reached = self.reached(root)
        result: Floats = 1 - reached.survival([self.point(name) for name in reached.names])[:, 0]
        return result

    def weight(self, edge: FleetEdge) -> float:
        """Return the probability that an edge outside any group carries a failure of its target, retries included."""
        return 0.0 if edge.mode == "async" else edge.weight * self._left_by_retries(edge)

    def unavailability(self, root: str) -> tuple[float, float]:
        """Return the unavailability of a root today, and its standard error."""
        return batch_mean(self.down(root))


class _Lookup(Mapping[str, Floats]):
    """A mapping of single figures as arrays of one element; with ``complement``, 1 minus each figure."""

    def __init__(self, figures: Mapping[str, float], *, complement: bool = True) -> None:
        self.figures, self.complement = figures, complement

    def __getitem__(self, name: str) -> Floats:
        value = self.figures[name]
        return np.array([1 - value if self.complement else value])

    def __iter__(self) -> Iterator[str]:
        return iter(self.figures)

    def __len__(self) -> int:
        return len(self.figures)


def _leaf_of(source: str, group: str) -> str:
    return f"{_COINCIDENCE}{source}\0{group}"


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
    """Return the mean over samples of shape ``(samples,)`` and its standard error, from the batches."""
    means = values.reshape(BATCHES, -1).mean(axis=1)
    return float(means.mean()), float(means.std(ddof=1) / math.sqrt(BATCHES))
