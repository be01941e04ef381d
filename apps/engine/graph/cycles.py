"""Cycles of a directed graph: Tarjan's strongly connected components and one path through each."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

import networkx


def strongly_connected(edges: Iterable[tuple[str, str]]) -> list[tuple[str, ...]]:
    """Return components that hold a cycle (two or more members, or a service that calls itself), all sorted.

    Tarjan (1972) in the iterative form of Nuutila and Soisalon-Soininen (1994), by networkx. The result does not depend
    on the order of ``edges``.
    """
    graph: networkx.DiGraph[str] = networkx.DiGraph()
    graph.add_edges_from(edges)
    return sorted(
        tuple(sorted(members))
        for members in networkx.strongly_connected_components(graph)
        if len(members) > 1 or any(graph.has_edge(member, member) for member in members)
    )


def cycle_path(component: Sequence[str], edges: Iterable[tuple[str, str]]) -> list[str]:
    """Return a shortest cycle through the component's first member in sorted order; it starts and ends there.

    The choice is canonical: breadth first, neighbours in sorted order. Raises ``ValueError`` where the component has no
    cycle through that member.
    """
    members = set(component)
    following: dict[str, list[str]] = {}
    for source, target in sorted(set(edges)):
        if source in members and target in members:
            following.setdefault(source, []).append(target)
    first = min(members)
    reached_from: dict[str, str] = {}
    waiting = deque([first])
    while waiting:
        here = waiting.popleft()
        for target in following.get(here, []):
            if target == first:
                path = [first]
                while here != first:
                    path.append(here)
                    here = reached_from[here]
                return [first, *reversed(path[1:]), first]
            if target not in reached_from:
                reached_from[target] = here
                waiting.append(target)
    raise ValueError(f"no cycle through {first}")
