"""Finds what a service depends on and who depends on it, up to some hops, with one recursive query.

``UNION`` over (node, depth) keeps each node once for each level; a path array would keep every path to it. The walk
uses the partial indexes on live edges, one for each direction.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, TypedDict

from django.db import connection

from apps.catalog.models import Service
from apps.core.errors import NotFound

MAX_DEPTH = 10
MAX_NODES = 2_000
MAX_EDGES = 10_000

type Direction = Literal["downstream", "upstream", "both"]


class SubgraphNode(TypedDict):
    """A service of a subgraph; the depths are its hops along and against the calls, ``None`` where no path leads."""

    service_id: str
    depth_down: int | None
    depth_up: int | None
    team: str | None
    criticality: str
    is_external: bool
    is_discovered: bool


class SubgraphEdge(TypedDict):
    """An edge of a subgraph."""

    source: str
    target: str
    mode: str
    criticality: str
    protocol: str
    timeout_ms: int | None
    calls_per_request: float | None
    redundancy_group: str
    redundancy_needed: int | None
    confidence: float
    is_stale: bool
    is_declared: bool
    last_observed_at: datetime


class Subgraph(TypedDict):
    """What is reached from a service, nearest first, and the edges among it."""

    service_id: str
    direction: Direction
    depth: int
    include_stale: bool
    is_truncated: bool
    nodes: list[SubgraphNode]
    edges: list[SubgraphEdge]


def _walk(name: str, here: str, there: str, alive: str) -> str:
    return f"""
    {name} (node, depth) AS (
        SELECT %(start)s::bigint, 0
        UNION
        SELECT d.{there}, w.depth + 1
        FROM {name} w JOIN catalog_dependency d ON d.{here} = w.node {alive}
        WHERE w.depth < %(depth)s
    )"""  # noqa: S608


def _nodes_sql(direction: Direction, *, include_stale: bool) -> str:
    alive = "" if include_stale else "AND NOT d.is_stale"
    down = _walk("down", "source_id", "target_id", alive)
    up = _walk("up", "target_id", "source_id", alive)
    return {
        "downstream": _one_way_sql(down, "down", "r.nearest, NULL::int"),
        "upstream": _one_way_sql(up, "up", "NULL::int, r.nearest"),
        "both": _both_ways_sql(down, up),
    }[direction]


# A walk yields level by level and stops once its reader has enough. Without the limit on steps, a walk over a hub would
# visit everything to keep a part. If there are too many nodes, the nearest are kept. Python sorts by name, because
# collation in the query is expensive.
def _one_way_sql(walk: str, name: str, below_and_above: str) -> str:
    return f"""
    WITH RECURSIVE {walk},
    steps (node, depth) AS MATERIALIZED (SELECT node, depth FROM {name} LIMIT %(max_steps)s),
    reached (node, nearest) AS (
        SELECT node, min(depth) FROM steps GROUP BY node ORDER BY 2, node LIMIT %(max_nodes)s + 1
    )
    SELECT r.node, (SELECT count(*) FROM steps), {below_and_above}, r.nearest,
        s.service_id, t.name, s.criticality, s.is_external, s.is_discovered
    FROM reached r JOIN catalog_service s ON s.id = r.node LEFT JOIN accounts_team t ON t.id = s.team_id
    """  # noqa: S608


def _both_ways_sql(down: str, up: str) -> str:
    below = "SELECT node, depth AS below, NULL::int AS above FROM down LIMIT %(max_steps)s"
    above = "SELECT node, NULL::int AS below, depth AS above FROM up LIMIT %(max_steps)s"
    return f"""
    WITH RECURSIVE {down}, {up},
    reached (node, below, above, nearest, steps) AS (
        SELECT node, min(below), min(above), LEAST(min(below), min(above)),
            GREATEST(sum(count(below)) OVER (), sum(count(above)) OVER ())
        FROM (({below}) UNION ALL ({above})) AS found
        GROUP BY node ORDER BY 4, node LIMIT %(max_nodes)s + 1
    )
    SELECT r.node, r.steps, r.below, r.above, r.nearest,
        s.service_id, t.name, s.criticality, s.is_external, s.is_discovered
    FROM reached r JOIN catalog_service s ON s.id = r.node LEFT JOIN accounts_team t ON t.id = s.team_id
    """  # noqa: S608


# The array comes from a subquery so that planning does not look at each element; the query still uses the index on both
# ends.
_EDGES_SQL = """
    SELECT d.source_id, d.target_id, d.mode, d.criticality, d.protocol, d.timeout_ms, d.calls_per_request,
        d.redundancy_group, d.redundancy_needed, d.confidence, d.is_stale, d.is_declared, d.last_observed_at
    FROM (SELECT %(nodes)s::bigint[] AS ids OFFSET 0) reached
    JOIN catalog_dependency d ON d.source_id = ANY(reached.ids) AND d.target_id = ANY(reached.ids) {alive}
    LIMIT %(max_edges)s + 1
"""
EDGE_COLUMNS = (
    "mode",
    "criticality",
    "protocol",
    "timeout_ms",
    "calls_per_request",
    "redundancy_group",
    "redundancy_needed",
    "confidence",
    "is_stale",
    "is_declared",
    "last_observed_at",
)


def _reached(
    cursor: Any, start: int, direction: Direction, depth: int, *, include_stale: bool, max_nodes: int
) -> list[tuple[Any, ...]]:
    """Return the nearest nodes; one more than ``max_nodes`` if there are more.

    A walk meets a node at most once for each level, so ``max_nodes · (depth + 1)`` steps always suffice to find more
    than ``max_nodes``. A quarter more steps than nodes nearly always suffice, even over a hub, and are tried first;
    then twice as many as nodes. Steps suffice if they found too many nodes or reached the end of the walk.
    """
    statement = _nodes_sql(direction, include_stale=include_stale)
    rows: list[tuple[Any, ...]] = []
    for max_steps in (max_nodes * 5 // 4 + 1, max_nodes * 2 + 1, max_nodes * (depth + 1) + 1):
        parameters = {"start": start, "depth": depth, "max_nodes": max_nodes, "max_steps": max_steps}
        cursor.execute(statement, parameters)
        rows = cursor.fetchall()
        if len(rows) > max_nodes or rows[0][1] < max_steps:
            break
    return rows


def subgraph(
    service_id: str,
    direction: Direction = "downstream",
    depth: int = 3,
    *,
    include_stale: bool = False,
    max_nodes: int = MAX_NODES,
    max_edges: int = MAX_EDGES,
) -> Subgraph:
    """Return the services that are reached from a service, and the edges among them.

    ``nodes`` begin with the service itself; the nearest are first. ``depth_down`` and ``depth_up`` are a node's hops
    along and against the calls, ``None`` where no path leads there. ``is_truncated`` says that nodes or edges were left
    out; the nearest nodes are kept. ``depth`` is clamped to 1..10. Raises :class:`NotFound`.
    """
    depth = max(1, min(depth, MAX_DEPTH))
    start = Service.objects.filter(service_id=service_id).values_list("pk", flat=True).first()
    if start is None:
        raise NotFound(f"There is no service called {service_id}.")
    with connection.cursor() as cursor:
        rows = _reached(cursor, start, direction, depth, include_stale=include_stale, max_nodes=max_nodes)
        rows.sort(key=lambda row: (row[4], row[5] != service_id, row[5]))
        is_truncated = len(rows) > max_nodes
        rows = rows[:max_nodes]
        names: dict[int, str] = {row[0]: row[5] for row in rows}
        parameters: dict[str, list[int] | int] = {"nodes": list(names), "max_edges": max_edges}
        cursor.execute(_EDGES_SQL.format(alive="" if include_stale else "AND NOT d.is_stale"), parameters)
        edges = cursor.fetchall()
    is_truncated = is_truncated or len(edges) > max_edges
    found = [_edge(names[source], names[target], rest) for source, target, *rest in edges[:max_edges]]
    found.sort(key=lambda edge: (edge["source"], edge["target"]))
    return {
        "service_id": service_id,
        "direction": direction,
        "depth": depth,
        "include_stale": include_stale,
        "is_truncated": is_truncated,
        "nodes": [
            {
                "service_id": name,
                "depth_down": below,
                "depth_up": above,
                "team": team,
                "criticality": criticality,
                "is_external": is_external,
                "is_discovered": is_discovered,
            }
            for _, _, below, above, _, name, team, criticality, is_external, is_discovered in rows
        ],
        "edges": found,
    }


def _edge(source: str, target: str, row: Sequence[Any]) -> SubgraphEdge:
    """Make an edge of a row of :data:`EDGE_COLUMNS`, as the database gives it."""
    edge: Any = {"source": source, "target": target, **dict(zip(EDGE_COLUMNS, row, strict=True))}
    typed: SubgraphEdge = edge
    return typed
