"""The chance that each upstream service fails because one service does: r = F(r), solved over the whole graph.

F_u(r) = 1 − Π over edges u → v of (1 − carried·r_v), with r = 1 for the service itself. F is monotone on
[0, 1]^n, so sweeps from all 0 rise to a solution and sweeps from all 1 fall to one. Among services that a
failure reaches at all (by edges that carry something) there is only one: F(λr) > λF(r) for 0 < λ < 1 after as
many steps as the walk is long, so of two solutions neither can be below the other by a factor. The start may
therefore be chosen: 1 where failures multiply on their way up, 0 where they die out.
"""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field

MAX_SWEEPS = 60
SETTLED = 1e-6
"""An influence that moves by less moves nobody else's: it shifts an availability by a millionth of the
change.
"""
MANY_EDGES = 4_000
"""From here on arrays are worth loading numpy for; a web process that never meets such a graph does without."""


@dataclass(frozen=True, slots=True)
class Edges:
    """Edges as columns: numbers of source and target, and what each carries of a failure, 0..1."""

    sources: array[int] = field(default_factory=lambda: array("q"))
    targets: array[int] = field(default_factory=lambda: array("q"))
    carried: array[float] = field(default_factory=lambda: array("d"))

    def add(self, block: bytes) -> array[int]:
        """Add edges as the database sends them (big-endian source, target, carried); return their sources."""
        whole, ratios = array("q", block), array("d", block)
        if sys.byteorder == "little":
            whole.byteswap()
            ratios.byteswap()
        sources = whole[0::3]
        self.sources.extend(sources)
        self.targets.extend(whole[1::3])
        self.carried.extend(ratios[2::3])
        return sources


def influence(start: int, nodes: Iterable[int], edges: Edges) -> dict[int, float]:
    """r of every node but ``start``; ``nodes`` in the order of the walk, nearest first."""
    order = list(nodes)
    solve = _by_arrays if len(edges.sources) >= MANY_EDGES else _by_lists
    found = dict(zip(order, solve(start, order, edges), strict=True))
    del found[start]
    return found


def _by_lists(start: int, order: list[int], edges: Edges) -> list[float]:
    """Sweep from the nearest outwards; work a service out again only when one that it calls has moved."""
    number = {node: at for at, node in enumerate(order)}
    outgoing: list[list[tuple[int, float]]] = [[] for _ in order]
    callers: list[list[int]] = [[] for _ in order]
    for source, target, carried in zip(edges.sources, edges.targets, edges.carried, strict=True):
        if carried > 0:
            outgoing[number[source]].append((number[target], carried))
            callers[number[target]].append(number[source])
    first = number[start]
    reached = {first}
    frontier = [first]
    while frontier:
        frontier = list({caller for called in frontier for caller in callers[called]} - reached)
        reached.update(frontier)
    reached.discard(first)
    multiplies = sum(carried for at in reached for _, carried in outgoing[at]) > len(reached)
    r = [0.0] * len(order)
    for at in reached if multiplies else ():
        r[at] = 1.0
    r[first] = 1.0
    due = sorted(reached)
    for _ in range(MAX_SWEEPS):
        moved: set[int] = set()
        for at in due:
            now = 1.0 - math.prod([1.0 - carried * r[called] for called, carried in outgoing[at]])
            if abs(now - r[at]) > SETTLED:
                moved.update(callers[at])
            r[at] = now
        moved.discard(first)
        if not moved:
            break
        due = sorted(moved)
    return r


def _by_arrays(start: int, order: list[int], edges: Edges) -> list[float]:
    """Sweep over all services at once, until none moves."""
    import numpy as np

    nodes = np.array(order, dtype=np.int64)
    by_id = np.argsort(nodes)
    sources, targets = (
        by_id[np.searchsorted(nodes, np.frombuffer(ends, dtype=np.int64), sorter=by_id)]
        for ends in (edges.sources, edges.targets)
    )
    carried = np.frombuffer(edges.carried, dtype=np.float64)
    first = order.index(start)
    kept = (carried > 0) & (sources != first)
    sources, targets, carried = sources[kept], targets[kept], carried[kept]
    reached = np.zeros(nodes.size, dtype=bool)
    reached[first] = True
    count = 0
    while count < (count := int(np.count_nonzero(reached))):
        reached[sources[reached[targets]]] = True
    kept = reached[sources] & reached[targets]
    sources, targets, carried = sources[kept], targets[kept], carried[kept]
    r = np.zeros(nodes.size)
    if float(carried.sum()) > np.count_nonzero(reached) - 1:
        r[reached] = 1.0
    r[first] = 1.0
    if sources.size:
        by_source = np.argsort(sources, kind="stable")
        sources, targets, carried = sources[by_source], targets[by_source], carried[by_source]
        starts = np.flatnonzero(np.diff(sources, prepend=-1))
        callers = sources[starts]
        for _ in range(2 * MAX_SWEEPS):
            now = 1.0 - np.multiply.reduceat(1.0 - carried * r[targets], starts)
            moved = float(np.abs(now - r[callers]).max())
            r[callers] = now
            if moved <= SETTLED:
                break
    result: list[float] = r.tolist()
    return result
