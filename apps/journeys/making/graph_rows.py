"""Read the graph below some services from the database, fast enough for a whole fleet.

Only workers and commands import this module.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from django.db import connection
from numpy.typing import NDArray
from psycopg import sql

from apps.catalog.queries import retries_of
from apps.core.json_types import JsonObject
from apps.engine.document import Criticality

CRITICALITIES: tuple[Criticality, ...] = ("hard", "soft", "degraded")

# One row, with each column packed into one value, because fetching the edges one by one costs more than finding them. A
# missing value is NaN; ``more`` is the id of an edge that needs another query, else 0.
_EDGES = """
COPY (
    WITH RECURSIVE below(id) AS (
        SELECT unnest({roots}::bigint[])
        UNION
        SELECT d.target_id FROM below b JOIN catalog_dependency d
            ON d.source_id = b.id AND NOT d.is_stale AND d.mode = 'sync'
    )
    SELECT string_agg(int8send(d.source_id), ''), string_agg(int8send(d.target_id), ''),
        string_agg(boolsend(d.mode = 'async'), ''),
        string_agg(int4send(CASE d.criticality WHEN 'hard' THEN 0 WHEN 'soft' THEN 1 ELSE 2 END), ''),
        string_agg(float8send(coalesce(e.call_probability, d.calls_per_request, 'NaN')), ''),
        string_agg(float8send(coalesce(e.hardness, 'NaN')), ''),
        string_agg(float8send(CASE WHEN e.availability_source <> 'target' THEN coalesce(e.availability, 'NaN')
            ELSE 'NaN' END), ''),
        string_agg(boolsend(coalesce(e.has_fallback, false)), ''),
        string_agg(int8send(CASE WHEN d.redundancy_group = '' AND d.retry_config = '{{}}' THEN 0 ELSE d.id END), '')
    FROM below b JOIN catalog_dependency d ON d.source_id = b.id AND NOT d.is_stale
    LEFT JOIN slos_edgeestimate e ON e.source_id = d.source_id AND e.target_id = d.target_id
) TO STDOUT (FORMAT BINARY)
"""
_COLUMNS = {
    "source": "i8",
    "target": "i8",
    "is_async": "b1",
    "criticality": "i4",
    "call_probability": "f8",
    "hardness": "f8",
    "availability": "f8",
    "has_fallback": "b1",
    "more": "i8",
}

# A measured hardness already includes what present retries save.
_MORE = """
SELECT d.id, d.redundancy_group, coalesce(d.redundancy_needed, 1),
    CASE WHEN e.hardness_source = 'observed' THEN '{}' ELSE d.retry_config::text END
FROM catalog_dependency d
LEFT JOIN slos_edgeestimate e ON e.source_id = d.source_id AND e.target_id = d.target_id
WHERE d.id = ANY(%(edges)s)
"""

# The newest recommendation of each, decided or not, because a decision does not change its figures. Each document is
# unpacked once.
_NODES = """
SELECT s.id, s.service_id, s.published_sla, r.own, r.composite, r.conservative, r.balanced, r.aggressive,
    r.as_of
FROM catalog_service s
LEFT JOIN LATERAL (
    SELECT (d.composite ->> 'own')::float8 AS own, n.composite, n.conservative, n.balanced, n.aggressive,
        n.as_of
    FROM (
        SELECT * FROM slos_recommendation
        WHERE service_id = s.id AND sli_type = 'availability' ORDER BY generated_at DESC LIMIT 1
    ) n, jsonb_to_record(n.document) AS d(composite jsonb)
) r ON true
WHERE s.id = ANY(%(services)s) ORDER BY s.id
"""

# What callers saw of services that were never observed themselves. The lowest value is the careful one.
_SEEN_BY_CALLERS = """
SELECT s.service_id, min(e.availability) FROM slos_edgeestimate e JOIN catalog_service s ON s.id = e.target_id
WHERE e.target_id = ANY(%(services)s) AND e.availability IS NOT NULL GROUP BY s.service_id
"""


@dataclass(frozen=True, slots=True)
class More:
    """What few edges have: a group (else ``""``), how many of it must be up, and retries that hardness does not
    include.
    """

    group: str
    needed: int
    retries: int


@dataclass(frozen=True, slots=True)
class Node:
    """A service and its newest recommendation; ``None`` for figures that it lacks."""

    pk: int
    name: str
    published_sla: float | None
    own: float | None
    composite: float | None
    conservative: float | None
    balanced: float | None
    aggressive: float | None
    as_of: datetime | None


def edges_below(roots: Collection[int]) -> NDArray[Any]:
    """Return all live edges of these services and of those below, with their estimates, sorted by source and target.
    The fields are those of ``_COLUMNS``.
    """
    query = sql.SQL(_EDGES).format(roots=sql.Literal(list(roots)))
    with connection.cursor() as cursor, cursor.copy(query) as copy:
        copy.set_types(["bytea"] * len(_COLUMNS))
        (packed,) = copy.rows()
    columns = {
        name: np.frombuffer(column or b"", dtype=kind if kind == "b1" else f">{kind}")
        for (name, kind), column in zip(_COLUMNS.items(), packed, strict=True)
    }
    order = np.lexsort((columns["target"], columns["source"]))
    found = np.empty(order.size, dtype=list(_COLUMNS.items()))
    for name, column in columns.items():
        found[name] = column[order]
    return found


def more_of(edges: Collection[int]) -> dict[int, More]:
    """Return the rarer attributes of these edges, by id."""
    if not edges:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_MORE, {"edges": list(edges)})
        return {
            pk: More(group, int(needed), retries_of(_mapping(retry_config)))
            for pk, group, needed, retry_config in cursor.fetchall()
        }


def nodes(services: Collection[int]) -> list[Node]:
    """Return the services, sorted by key."""
    with connection.cursor() as cursor:
        cursor.execute(_NODES, {"services": list(services)})
        return [Node(*row) for row in cursor.fetchall()]


def seen_by_callers(services: Collection[int]) -> dict[str, float]:
    """Return the lowest availability that any caller saw of each of these services, by name."""
    with connection.cursor() as cursor:
        cursor.execute(_SEEN_BY_CALLERS, {"services": list(services)})
        return dict(cursor.fetchall())


def _mapping(text: str) -> JsonObject:
    found = json.loads(text)
    return found if isinstance(found, dict) else {}
