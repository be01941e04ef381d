"""Draws the map around one service: the services that are reached from it, as nodes that are links."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, cast

from django.http import QueryDict
from django.urls import reverse

from apps.catalog import queries
from apps.catalog.graph.traversal import SubgraphEdge, SubgraphNode
from apps.catalog.models import Service
from apps.ui.charts import Chart, GraphEdge, GraphNode, dependency_graph

MAX_DRAWN = 60
"""The most nodes in a readable drawing. If there are more, the nearest are drawn, and the page says so."""
DEPTHS = (1, 2, 3, 4)
DIRECTIONS = {"both": "both ways", "downstream": "what it depends on", "upstream": "who depends on it"}

type Direction = Literal["both", "downstream", "upstream"]


@dataclass(frozen=True, slots=True)
class MapView:
    """One map for the page."""

    service: Service
    chart: Chart
    depth: int
    direction: str
    include_stale: bool
    shown: int
    is_truncated: bool
    cycles: list[Any]

    @property
    def depths(self) -> tuple[int, ...]:
        return DEPTHS

    @property
    def directions(self) -> dict[str, str]:
        return DIRECTIONS


def map_around(service: Service, query: QueryDict) -> MapView:
    """Draw the map that the address asks for: ``depth`` 1..4, ``direction``, ``stale=1`` to include stale edges."""
    asked = query.get("depth", "2")
    depth = int(asked) if asked in {"1", "2", "3", "4"} else 2
    direction = query.get("direction", "both")
    direction = direction if direction in DIRECTIONS else "both"
    include_stale = query.get("stale") == "1"
    found = queries.subgraph(
        service.service_id,
        cast(Direction, direction),
        depth,
        include_stale=include_stale,
        max_nodes=MAX_DRAWN,
    )
    members = queries.cycle_members([row["service_id"] for row in found["nodes"]])
    nodes = [_node(row, service, members) for row in found["nodes"]]
    edges = [_edge(row, members) for row in found["edges"]]
    return MapView(
        service=service,
        chart=dependency_graph(nodes, edges, service.service_id),
        depth=depth,
        direction=direction,
        include_stale=include_stale,
        shown=len(nodes),
        is_truncated=bool(found["is_truncated"]),
        cycles=queries.cycles_of(service),
    )


def _node(row: SubgraphNode, focus: Service, members: dict[str, tuple[str, ...]]) -> GraphNode:
    name = row["service_id"]
    is_focus = name == focus.service_id
    return GraphNode(
        id=name,
        label=name,
        href=reverse("service" if is_focus else "dependency-map-of", args=[name]),
        note=" · ".join(part for part in (row["team"] or "", row["criticality"]) if part),
        in_cycle=name in members,
        external=row["is_external"],
    )


def _edge(row: SubgraphEdge, members: dict[str, tuple[str, ...]]) -> GraphEdge:
    kind: Any = "async" if row["mode"] == "async" else "hard" if row["criticality"] == "hard" else "soft"
    detail = [f"confidence {row['confidence']:.2f}"]
    if row["calls_per_request"] is not None:
        detail.append(f"{row['calls_per_request']:g} calls a request")
    if row["redundancy_group"]:
        needed = row["redundancy_needed"] or 1
        detail.append(f"stands in: {row['redundancy_group']}" + (f", {needed} needed" if needed > 1 else ""))
    in_cycle = row["target"] in members.get(row["source"], ())
    return GraphEdge(row["source"], row["target"], kind, row["is_stale"], in_cycle, ", ".join(detail))
