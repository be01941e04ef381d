"""The chance that each upstream service fails because one service does: r = F(r), solved over the whole graph.

F_u(r) = 1 − Π over edges u → v of (1 − carried·r_v) · Π over groups of (1 − weight·hit), with r = 1 for the service
itself and ``hit`` from apps/slos/impact/stand_ins.py. F is monotone on [0, 1]^n, so sweeps that start at all 0 rise to
a solution, and sweeps that start at all 1 fall to one. Among services that a failure can reach at all (over edges that
carry something) the solution is unique as long as there are no groups: F(λr) > λF(r) for 0 < λ < 1 after as many steps
as the walk is long, so of two solutions neither can be below the other by a factor. The start is then free: 1 where
failures multiply on their way up, 0 where they die out. Redundancy groups in a cycle could keep each other down from a
start at 1. A failure that begins at the service reaches the least solution, so with groups the start is 0.
"""

from __future__ import annotations

import math
import sys
from array import array
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from apps.slos.impact.stand_ins import Group, group_hit

MAX_SWEEPS = 60
SETTLED = 1e-6
"""A smaller change of an influence is ignored: it shifts an availability by a millionth of the change."""
MANY_EDGES = 4_000
"""From this many edges on, loading numpy pays off; a web process that never meets such a graph does without it."""


@dataclass(frozen=True, slots=True)
class Edges:
    """Edges as columns: ids of source and target, the share of a failure that each carries, 0..1, and the edge's id if
    more is known of it, else 0.
    """

    sources: array[int] = field(default_factory=lambda: array("q"))
    targets: array[int] = field(default_factory=lambda: array("q"))
    carried: array[float] = field(default_factory=lambda: array("d"))
    more: array[int] = field(default_factory=lambda: array("q"))

    def add(self, block: bytes) -> array[int]:
        """Add edges as the database sends them (big-endian source, target, carried, more); return their sources."""
        whole, ratios = array("q", block), array("d", block)
        if sys.byteorder == "little":
            whole.byteswap()
            ratios.byteswap()
        sources = whole[0::4]
        self.sources.extend(sources)
        self.targets.extend(whole[1::4])
        self.carried.extend(ratios[2::4])
        self.more.extend(whole[3::4])
        return sources


def influence(
    start: int, nodes: Iterable[int], edges: Edges, groups: Sequence[Group] = (), change: float = 0.0
) -> dict[int, float]:
    """Return r of every node except ``start``; ``nodes`` are in the order of the walk, nearest first.

    ``change`` is how many more of its requests ``start`` fails: a group's common cause follows its best member only as
    long as that one remains the best.
    """
    order = list(nodes)
    solve = _by_arrays if len(edges.sources) >= MANY_EDGES else _by_lists
    found = dict(zip(order, solve(start, order, edges, groups, change), strict=True))
    del found[start]
    return found


def _by_lists(
    start: int, order: list[int], edges: Edges, groups: Sequence[Group] = (), change: float = 0.0
) -> list[float]:
    """Sweep from the nearest outwards; compute a service again only when one that it calls has changed."""
    number = {node: at for at, node in enumerate(order)}
    outgoing: list[list[tuple[int, float]]] = [[] for _ in order]
    callers: list[list[int]] = [[] for _ in order]
    together: dict[int, list[Group]] = defaultdict(list)
    for source, target, carried in zip(edges.sources, edges.targets, edges.carried, strict=True):
        if carried > 0:
            outgoing[number[source]].append((number[target], carried))
            callers[number[target]].append(number[source])
    for group in groups:
        if group.source in number and group.weight > 0:
            together[number[group.source]].append(group)
            for member in group.members:
                if member.target in number:
                    callers[number[member.target]].append(number[group.source])
    first = number[start]
    reached = {first}
    frontier = [first]
    while frontier:
        frontier = list({caller for called in frontier for caller in callers[called]} - reached)
        reached.update(frontier)
    reached.discard(first)
    multiplies = not groups and sum(carried for at in reached for _, carried in outgoing[at]) > len(reached)
    r = [0.0] * len(order)
    for at in reached if multiplies else ():
        r[at] = 1.0
    r[first] = 1.0

    def hit(group: Group) -> float:
        hits = [
            r[number[each.target]] * each.passed if each.target in number else 0.0 for each in group.members
        ]
        found = group_hit(hits, [each.down for each in group.members], group.needed, change)
        return group.weight * min(1.0, float(found))

    due = sorted(reached)
    for _ in range(MAX_SWEEPS):
        moved: set[int] = set()
        for at in due:
            spared = math.prod([1.0 - carried * r[called] for called, carried in outgoing[at]])
            now = 1.0 - spared * math.prod([1.0 - hit(group) for group in together.get(at, ())])
            if abs(now - r[at]) > SETTLED:
                moved.update(callers[at])
            r[at] = now
        moved.discard(first)
        if not moved:
            break
        due = sorted(moved)
    return r


def _by_arrays(
    start: int, order: list[int], edges: Edges, groups: Sequence[Group] = (), change: float = 0.0
) -> list[float]:
    """Sweep over all services at once, until none changes."""
    import numpy as np

    nodes = np.array(order, dtype=np.int64)
    by_id = np.argsort(nodes)
    sources, targets = (
        by_id[np.searchsorted(nodes, np.frombuffer(ends, dtype=np.int64), sorter=by_id)]
        for ends in (edges.sources, edges.targets)
    )
    carried = np.frombuffer(edges.carried, dtype=np.float64)
    number = {node: at for at, node in enumerate(order)} if groups else {}
    first = order.index(start)
    together = _alike([each for each in groups if each.source != start], number, np)
    kept = (carried > 0) & (sources != first)
    sources, targets, carried = sources[kept], targets[kept], carried[kept]
    # One more than there are nodes: members of groups that no failure reaches.
    reached = np.zeros(nodes.size + 1, dtype=bool)
    reached[first] = True
    count = levels = 0
    while count < (count := int(np.count_nonzero(reached))):
        reached[sources[reached[targets]]] = True
        for group in together:
            reached[group.sources[reached[group.members].any(axis=0)]] = True
        levels += 1
    kept = reached[sources] & reached[targets]
    sources, targets, carried = sources[kept], targets[kept], carried[kept]
    r = np.zeros(nodes.size + 1)
    if not groups and float(carried.sum()) > np.count_nonzero(reached) - 1:
        r[reached] = 1.0
    r[first] = 1.0
    by_source = np.argsort(sources, kind="stable")
    sources, targets, carried = sources[by_source], targets[by_source], carried[by_source]
    starts = np.flatnonzero(np.diff(sources, prepend=-1))
    callers = sources[starts]
    for _ in range(2 * MAX_SWEEPS + levels if sources.size or together else 0):
        spared = np.ones(r.size)
        if sources.size:
            spared[callers] = np.multiply.reduceat(1.0 - carried * r[targets], starts)
        for group in together:
            hits = group_hit(
                list(r[group.members] * group.passed), list(group.downs), group.needed, change, _least
            )
            np.multiply.at(spared, group.sources, 1.0 - group.weights * np.minimum(1.0, hits))
        now = 1.0 - spared
        now[first] = 1.0
        moved = float(np.abs(now - r).max())
        r = now
        if moved <= SETTLED:
            break
    result: list[float] = r[:-1].tolist()
    return result


@dataclass(frozen=True, slots=True)
class _Alike:
    """Groups with the same numbers of members and needed members, as arrays.

    Shape ``(groups,)``; for members ``(members, groups)``.
    """

    needed: int
    sources: Any
    weights: Any
    members: Any
    passed: Any
    downs: Any


def _alike(groups: Sequence[Group], number: dict[int, int], np: Any) -> list[_Alike]:
    by_shape: dict[tuple[int, int], list[Group]] = defaultdict(list)
    for group in groups:
        if group.source in number and group.weight > 0:
            by_shape[len(group.members), group.needed].append(group)
    nobody = len(number)
    return [
        _Alike(
            needed,
            np.array([number[each.source] for each in found]),
            np.array([each.weight for each in found]),
            np.array([[number.get(one.target, nobody) for one in each.members] for each in found]).T,
            np.array([[one.passed for one in each.members] for each in found]).T,
            np.array([[one.down for one in each.members] for each in found]).T,
        )
        for (_, needed), found in by_shape.items()
    ]


def _least(values: Sequence[Any]) -> Any:
    import numpy as np

    return np.minimum.reduce(values)
