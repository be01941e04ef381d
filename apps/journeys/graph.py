"""The graph below some services, with what the newest recommendations say of each node and edge.

Only workers and commands import this module.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import connection

from apps.catalog.queries import retries_of
from apps.engine.edges import CALL_PROBABILITY_PRIOR, HARDNESS_PRIOR, published_availability
from apps.engine.fleet import FleetEdge, FleetGraph, GroupRule
from apps.engine.predicted import Predicted
from apps.engine.types import TierName

_BELOW = """
WITH RECURSIVE below(id) AS (
    SELECT unnest(%(roots)s::bigint[])
    UNION
    SELECT d.target_id FROM below b JOIN catalog_dependency d
        ON d.source_id = b.id AND NOT d.is_stale AND d.mode = 'sync'
)
SELECT d.source_id, d.target_id, d.mode, d.criticality, d.redundancy_group, nullif(d.retry_config, '{}'::jsonb),
    d.calls_per_request, e.call_probability, CASE WHEN e.has_fallback THEN 0 ELSE e.hardness END, e.hardness_source,
    d.redundancy_needed
FROM below b JOIN catalog_dependency d ON d.source_id = b.id AND NOT d.is_stale
LEFT JOIN slos_edgeestimate e ON e.source_id = d.source_id AND e.target_id = d.target_id
ORDER BY d.source_id, d.target_id
"""

# The newest recommendation of each, whatever became of it: deciding on it does not change what it says.
_NODES = """
SELECT s.id, s.service_id, s.published_sla, r.own, r.composite, r.conservative, r.balanced, r.aggressive,
    r.better, r.worse, r.as_of
FROM catalog_service s
LEFT JOIN LATERAL (
    SELECT (n.document #>> '{composite,own}')::float8 AS own, n.composite, n.conservative, n.balanced, n.aggressive,
        (n.document #>> '{tiers,balanced,interval,1}')::float8 AS better,
        (n.document #>> '{tiers,balanced,interval,0}')::float8 AS worse, n.as_of
    FROM slos_recommendation n WHERE n.service_id = s.id AND n.sli_type = 'availability'
    ORDER BY n.generated_at DESC LIMIT 1
) r ON true
WHERE s.id = ANY(%(services)s) ORDER BY s.id
"""

# What callers saw of services that were never observed themselves; the careful side of it.
_SEEN_BY_CALLERS = """
SELECT s.service_id, min(e.availability) FROM slos_edgeestimate e JOIN catalog_service s ON s.id = e.target_id
WHERE e.target_id = ANY(%(services)s) AND e.availability IS NOT NULL GROUP BY s.service_id
"""


@dataclass(slots=True)
class GraphBelow:
    """``whole`` is each node's unavailability with all it depends on; ``unknown`` the nodes of which nothing is
    known: they count as never failing, and must be named. ``as_of`` is the oldest of the recommendations used.
    """

    graph: FleetGraph
    whole: dict[str, float]
    predicted: dict[str, Predicted]
    unknown: tuple[str, ...]
    as_of: datetime | None
    targets: dict[str, float] = field(default_factory=dict)


def load(roots: Collection[int]) -> GraphBelow:
    """Read all that these services depend on, directly or not: two queries, a third where callers must tell."""
    with connection.cursor() as cursor:
        cursor.execute(_BELOW, {"roots": list(roots)})
        rows = cursor.fetchall()
        pks = sorted({*roots, *(row[0] for row in rows), *(row[1] for row in rows)})
        cursor.execute(_NODES, {"services": pks})
        nodes = cursor.fetchall()
    names = {row[0]: str(row[1]) for row in nodes}
    own: dict[str, float] = {}
    whole: dict[str, float] = {}
    predicted: dict[str, Predicted] = {}
    targets: dict[str, float] = {}
    slas: dict[str, float | None] = {}
    missing: dict[int, str] = {}
    instants: list[datetime] = []
    for pk, name, sla, alone, point, conservative, balanced, aggressive, better, worse, as_of in nodes:
        slas[name] = None if sla is None else float(sla)
        if as_of is not None:
            instants.append(as_of)
        if alone is None:
            missing[pk] = name
        else:
            own[name] = _ratio(alone)
            whole[name] = 1 - _ratio(alone if point is None else point)
        if balanced is not None:
            tiers: dict[TierName, float] = {
                "conservative": 1 - conservative,
                "balanced": 1 - balanced,
                "aggressive": 1 - aggressive,
            }
            ends = (balanced if better is None else better, balanced if worse is None else worse)
            predicted[name] = Predicted(tiers, 1 - ends[0], 1 - ends[1])
            targets[name] = float(balanced)
    unknown = _fill_in(missing, slas, own, whole)
    edges = [_edge(row, names) for row in rows]
    graph = FleetGraph(own, edges, _rules(rows, edges))
    return GraphBelow(graph, whole, predicted, unknown, min(instants, default=None), targets)


def _fill_in(
    missing: dict[int, str], slas: dict[str, float | None], own: dict[str, float], whole: dict[str, float]
) -> tuple[str, ...]:
    """What callers saw, else the published SLA; those without either count as never failing and are returned."""
    if not missing:
        return ()
    with connection.cursor() as cursor:
        cursor.execute(_SEEN_BY_CALLERS, {"services": list(missing)})
        seen = dict(cursor.fetchall())
    unknown = []
    for name in missing.values():
        sla = slas[name]
        if name in seen:
            own[name] = _ratio(seen[name])
        elif sla is not None:
            own[name] = published_availability(sla)
        else:
            own[name] = 1.0
            unknown.append(name)
        whole[name] = 1 - own[name]
    return tuple(sorted(unknown))


def _edge(row: Sequence[Any], names: dict[int, str]) -> FleetEdge:
    (
        source,
        target,
        mode,
        criticality,
        group,
        retry_config,
        declared,
        probability,
        hardness,
        hardness_source,
    ) = row[:10]
    if probability is None:
        probability = CALL_PROBABILITY_PRIOR[criticality] if declared is None else declared
    if hardness is None:
        hardness = HARDNESS_PRIOR[criticality]
    # A hardness that was measured already holds what the retries of today save.
    retries = 0 if hardness_source == "observed" or not retry_config else retries_of(_mapping(retry_config))
    return FleetEdge(
        names[source],
        names[target],
        call_probability=_ratio(probability),
        hardness=0.0 if mode == "async" else _ratio(hardness),
        mode="async" if mode == "async" else "sync",
        group=group,
        retries=retries,
    )


def _rules(rows: Sequence[Sequence[Any]], edges: Sequence[FleetEdge]) -> dict[tuple[str, str], GroupRule]:
    """How many members of each group must be up, where it is more than one."""
    sizes: dict[tuple[str, str], int] = {}
    needed: dict[tuple[str, str], int] = {}
    for row, edge in zip(rows, edges, strict=True):
        if edge.group and edge.mode == "sync":
            key = (edge.source, edge.group)
            sizes[key] = sizes.get(key, 0) + 1
            needed[key] = max(needed.get(key, 1), int(row[10] or 1))
    return {key: GroupRule(min(count, sizes[key])) for key, count in needed.items() if count > 1}


def _mapping(value: Any) -> dict[str, Any]:
    import json

    return json.loads(value) if isinstance(value, str) else dict(value)


def _ratio(value: float) -> float:
    return min(1.0, max(0.0, float(value)))
