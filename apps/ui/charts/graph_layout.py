"""Layers around one node: callers to the left, dependencies to the right, few crossings, no overlaps.

A small version of Sugiyama, Tagawa and Toda (1981): layers by distance, waypoints where an edge crosses a
layer, order inside a layer by the mean position of neighbours.
"""

from __future__ import annotations

import itertools
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

_SWEEPS = 6


@dataclass(frozen=True, slots=True)
class Placed:
    """The positions of nodes and waypoints, in rows and columns.

    ``column`` and ``row`` by node; ``waypoints`` by edge, the (column, row) between its ends, from source to
    target. Rows are centred on 0 and may be fractions.
    """

    column: Mapping[str, int]
    row: Mapping[str, float]
    waypoints: Mapping[tuple[str, str], tuple[tuple[int, float], ...]]


def distances(start: str, neighbours: Mapping[str, Iterable[str]]) -> dict[str, int]:
    """Return the steps from ``start`` to all nodes that it reaches, breadth first."""
    steps = {start: 0}
    queue = deque([start])
    while queue:
        at = queue.popleft()
        for other in neighbours.get(at, ()):
            if other not in steps:
                steps[other] = steps[at] + 1
                queue.append(other)
    return steps


def columns(nodes: Sequence[str], edges: Sequence[tuple[str, str]], focus: str) -> dict[str, int]:
    """Return the column of each node: 0 for the focus, positive for its dependencies, negative for its callers.

    A node on both sides (a cycle) goes to the nearer one, downstream on a tie. A node on neither side goes beside its
    neighbour, and one without any path into the last column.
    """
    down: dict[str, list[str]] = defaultdict(list)
    up: dict[str, list[str]] = defaultdict(list)
    for source, target in sorted(edges):
        down[source].append(target)
        up[target].append(source)
    below, above = distances(focus, down), distances(focus, up)
    column: dict[str, int] = {}
    for node in sorted(nodes):
        if node in below and (node not in above or below[node] <= above[node]):
            column[node] = below[node]
        elif node in above:
            column[node] = -above[node]
    rest = [node for node in sorted(nodes) if node not in column]
    while rest:
        settled: dict[str, int] = {}
        for node in rest:
            sides = [column[o] + 1 for o in up[node] if o in column] + [
                column[o] - 1 for o in down[node] if o in column
            ]
            if sides:
                side = min(sides, key=lambda value: (abs(value), -value))
                settled[node] = side or 1
        if not settled:
            far = max(column.values(), default=0) + 1
            settled = dict.fromkeys(rest, far)
        column.update(settled)
        rest = [node for node in rest if node not in column]
    return column


def place(nodes: Sequence[str], edges: Sequence[tuple[str, str]], focus: str) -> Placed:
    """Return columns and rows for all nodes, and waypoints for long edges. Equal input gives the same picture."""
    column = columns(nodes, edges, focus)
    layers: dict[int, list[str]] = defaultdict(list)
    for node in sorted(nodes):
        layers[column[node]].append(node)
    chains = _chains(sorted(set(edges)), column, layers)
    neighbours: dict[str, list[str]] = defaultdict(list)
    for chain in chains.values():
        for left, right in itertools.pairwise(chain):
            neighbours[left].append(right)
            neighbours[right].append(left)
    row = _order(layers, neighbours)
    where = {member: at for at, layer in layers.items() for member in layer}
    waypoints = {
        edge: tuple((where[member], row[member]) for member in chain[1:-1])
        for edge, chain in chains.items()
        if len(chain) > 2
    }
    return Placed(column, {node: row[node] for node in nodes}, waypoints)


def _chains(
    edges: Sequence[tuple[str, str]], column: Mapping[str, int], layers: dict[int, list[str]]
) -> dict[tuple[str, str], list[str]]:
    """Return each edge as a chain through all layers between its ends. Waypoints get names that no node can have."""
    chains: dict[tuple[str, str], list[str]] = {}
    for number, (source, target) in enumerate(edges):
        step = 1 if column[target] > column[source] else -1
        chain = [source]
        for at in (
            range(column[source] + step, column[target], step) if column[source] != column[target] else ()
        ):
            waypoint = f"\0{number}\0{at}"
            layers[at].append(waypoint)
            chain.append(waypoint)
        chains[source, target] = [*chain, target]
    return chains


def _order(layers: Mapping[int, list[str]], neighbours: Mapping[str, Sequence[str]]) -> dict[str, float]:
    row: dict[str, float] = {}
    for layer in layers.values():
        _spread(layer, row)
    for sweep in range(_SWEEPS):
        order = sorted(layers) if sweep % 2 == 0 else sorted(layers, reverse=True)
        for at in order:
            layer = layers[at]
            wish = {
                member: sum(row[other] for other in neighbours[member]) / len(neighbours[member])
                if neighbours.get(member)
                else row[member]
                for member in layer
            }
            layer.sort(key=lambda member: (wish[member], row[member], member))
            _spread(layer, row)
    return row


def _height(member: str) -> float:
    return 0.5 if member.startswith("\0") else 1.0


def _spread(layer: Sequence[str], row: dict[str, float]) -> None:
    """Give the members of a layer their rows, one under another, centred on 0."""
    at = -sum(map(_height, layer)) / 2
    for member in layer:
        row[member] = at + _height(member) / 2
        at += _height(member)
