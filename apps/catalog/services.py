"""Changes the graph for the API, files, observers and the demo: all services and edges are stored, or none."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypedDict

from django.db import connection

from apps.catalog.graph.cycles import refresh_cycles
from apps.catalog.graph.locking import lock_graph
from apps.catalog.graph.merging import merge_edges
from apps.catalog.ingesting.validation import Graph, validate_graph
from apps.catalog.schemas import DependencyRow, ServiceRow
from apps.catalog.sources import declares
from apps.catalog.spelling import Spellings
from apps.core import instants
from apps.core.actions import Actor
from apps.core.delivery import outbox
from apps.core.json_types import JsonObject
from apps.core.models import AuditEntry

__all__ = [
    "Graph",
    "apply_graph",
    "lock_graph",
    "publish_graph_changed",
    "record_service_updates",
    "upsert_graph",
    "validate_graph",
]

NAMES_IN_EVENT = 500
"""The most changed services that an event names. Above it, subscribers treat all services as changed."""
BATCH_ROWS = 5_000

_UNTOLD = {"updated_at", "version"}

type Report = Callable[[int], None]


class GraphCounts(TypedDict):
    """What a graph changed: rows ``created``, ``updated``, ``unchanged``, ``discovered``; cycles ``open`` and so on."""

    services: dict[str, int]
    dependencies: dict[str, int]
    cycles: dict[str, int]


class GraphSummary(GraphCounts):
    """The same with remarks on ids that are or look the same."""

    warnings: list[str]


def upsert_graph(
    services: Iterable[Mapping[str, Any] | ServiceRow],
    dependencies: Iterable[Mapping[str, Any] | DependencyRow],
    *,
    discovery_source: str,
    observed_at: datetime,
    origin: str = "",
    actor: Actor | None = None,
) -> GraphSummary:
    """Validate services and edges as a whole, and store them in the catalog, inside the caller's transaction.

    Rows are those of :mod:`apps.catalog.schemas`; ``observed_at`` applies to edges without one of their own; ``origin``
    marks the services and teams that this call creates. Returns the summary that :func:`apply_graph` describes, with
    ``warnings`` about ids that are or look the same. Raises :class:`~apps.core.errors.InvalidInput` that names every
    bad row; then nothing has changed.

    Until the caller's transaction ends, no other change of the graph can start. Keep it short.
    """
    spellings = Spellings.of_catalog(discovery_source)
    graph, problems = validate_graph(
        [(1, {"services": list(services), "dependencies": list(dependencies)})], spellings=spellings
    )
    if problems:
        raise problems.error()
    summary = apply_graph(
        graph.services,
        graph.dependencies,
        discovery_source=discovery_source,
        observed_at=observed_at,
        origin=origin,
        actor=actor,
    )
    return {**summary, "warnings": spellings.remarks()}


def apply_graph(
    services: Sequence[ServiceRow],
    dependencies: Sequence[DependencyRow],
    *,
    discovery_source: str,
    observed_at: datetime,
    origin: str = "",
    now: datetime | None = None,
    report: Report | None = None,
    actor: Actor | None = None,
) -> GraphCounts:
    """Store a valid graph in the catalog, inside the caller's transaction.

    A row of a declaring source declares its service and overrides the fields that it has. A row of an observing source
    changes only services that nobody has declared. A service that only an edge names becomes a discovered service. Each
    edge stores this source's statement as one sighting, unless there is a newer one, and is merged again.

    Returns counts: ``services`` and ``dependencies`` with ``created``, ``updated``, ``unchanged`` (services also
    ``discovered``), and ``cycles`` with ``open``, ``opened``, ``resolved``. Publishes ``catalog.graph_changed`` when
    anything changed. ``report`` gets the number of rows done. With an ``actor``, every existing service that changed
    gets an audit entry of its own.
    """
    lock_graph()
    now = now or instants.now()
    done = 0

    def progress(count: int) -> None:
        nonlocal done
        done += count
        if report is not None:
            report(done)

    changed: set[str] = set()
    service_counts = _write_services(services, discovery_source, origin, changed, progress, actor)
    service_counts["discovered"] = _discover(services, dependencies, origin, changed)
    edge_counts = _write_dependencies(dependencies, discovery_source, observed_at, now, changed, progress)
    cycles = refresh_cycles(now)
    if changed:
        publish_graph_changed(changed)
    return {"services": service_counts, "dependencies": edge_counts, "cycles": cycles}


def publish_graph_changed(service_ids: Iterable[str]) -> None:
    """Publish that these services or their edges changed. The event has ``None`` where they are too many to name."""
    names = sorted(service_ids)
    outbox.publish(
        "catalog.graph_changed",
        {"count": len(names), "service_ids": names if len(names) <= NAMES_IN_EVENT else None},
        aggregate="catalog",
    )


def _batches[T](rows: Sequence[T]) -> Iterable[Sequence[T]]:
    return (rows[start : start + BATCH_ROWS] for start in range(0, len(rows), BATCH_ROWS))


def _fetch(statement: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


_SERVICE_INPUT = """
WITH input AS (
    SELECT r.*, t.id AS team_id
    FROM jsonb_to_recordset(%(rows)s::jsonb) AS r (
        service_id text, team text, criticality text, is_external boolean, published_sla numeric, archetype text,
        on_call text, failure_semantics jsonb, capacity jsonb, metadata jsonb)
    LEFT JOIN accounts_team t ON t.name = r.team
)
"""
_SERVICE_INSERT = (
    _SERVICE_INPUT
    + """
INSERT INTO catalog_service (service_id, team_id, criticality, is_external, is_discovered, published_sla, archetype,
    on_call, failure_semantics, capacity, metadata, origin, version, updated_at)
SELECT service_id, team_id, COALESCE(criticality, 'medium'), COALESCE(is_external, FALSE), %(discovered)s,
    published_sla, COALESCE(archetype, ''), COALESCE(on_call, ''), COALESCE(failure_semantics, '{}'),
    COALESCE(capacity, '{}'), COALESCE(metadata, '{}'), %(origin)s, 1, now()
FROM input
ON CONFLICT (service_id) DO NOTHING
RETURNING service_id
"""
)
# Fields that a row leaves out stay as they are. Only rows that differ are written, so that a repeat changes nothing.
_SERVICE_UPDATE = (
    _SERVICE_INPUT  # noqa: S608
    + """
, merged AS (
    SELECT s.id, COALESCE(i.team_id, s.team_id) AS team_id, COALESCE(i.criticality, s.criticality) AS criticality,
        COALESCE(i.is_external, s.is_external) AS is_external,
        COALESCE(i.published_sla, s.published_sla)::numeric(9, 8) AS published_sla,
        COALESCE(i.archetype, s.archetype) AS archetype, COALESCE(i.on_call, s.on_call) AS on_call,
        COALESCE(i.failure_semantics, s.failure_semantics) AS failure_semantics,
        COALESCE(i.capacity, s.capacity) AS capacity, COALESCE(i.metadata, s.metadata) AS metadata,
        %(discovered)s AS is_discovered
    FROM input i JOIN catalog_service s USING (service_id)
    WHERE NOT %(discovered)s OR s.is_discovered
)
UPDATE catalog_service s
SET team_id = m.team_id, criticality = m.criticality, is_external = m.is_external, published_sla = m.published_sla,
    archetype = m.archetype, on_call = m.on_call, failure_semantics = m.failure_semantics, capacity = m.capacity,
    metadata = m.metadata, is_discovered = m.is_discovered, version = s.version + 1, updated_at = now()
FROM merged m
WHERE s.id = m.id
  AND (s.team_id, s.criticality, s.is_external, s.published_sla, s.archetype, s.on_call, s.failure_semantics,
       s.capacity, s.metadata, s.is_discovered)
      IS DISTINCT FROM
      (m.team_id, m.criticality, m.is_external, m.published_sla, m.archetype, m.on_call, m.failure_semantics,
       m.capacity, m.metadata, m.is_discovered)
RETURNING to_jsonb(old), to_jsonb(new)
"""
)


# A change of several services first locks them in the order of their keys. The update alone would lock them in the
# order of its plan, and could deadlock with another one.
_SERVICE_LOCK = """
SELECT id FROM catalog_service WHERE service_id = ANY(%(names)s) ORDER BY id FOR NO KEY UPDATE
"""


def _write_services(
    rows: Sequence[ServiceRow],
    discovery_source: str,
    origin: str,
    changed: set[str],
    progress: Report,
    actor: Actor | None,
) -> dict[str, int]:
    counts = {"created": 0, "updated": 0, "unchanged": 0}
    _make_teams({row.team for row in rows if row.team}, origin)
    _fetch(_SERVICE_LOCK, {"names": [row.service_id for row in rows]})
    for batch in _batches(rows):
        documents = []
        for row in batch:
            document = row.model_dump(mode="json", exclude_none=True)
            if "external" in document:
                document["is_external"] = document.pop("external")
            documents.append(document)
        parameters = {
            "rows": json.dumps(documents),
            "discovered": not declares(discovery_source),
            "origin": origin,
        }
        # The update comes first: after the insert it would also look at the inserted rows.
        updates = [(json.loads(old), json.loads(new)) for old, new in _fetch(_SERVICE_UPDATE, parameters)]
        if actor is not None:
            record_service_updates(updates, actor, discovery_source)
        updated = [before["service_id"] for before, _ in updates]
        created = [name for (name,) in _fetch(_SERVICE_INSERT, parameters)]
        changed.update(created, updated)
        counts["created"] += len(created)
        counts["updated"] += len(updated)
        counts["unchanged"] += len(batch) - len(created) - len(updated)
        progress(len(batch))
    return counts


def record_service_updates(
    updates: Iterable[tuple[JsonObject, JsonObject]], actor: Actor, discovery_source: str
) -> None:
    """Write an audit entry for each changed service, with its fields before and after."""
    AuditEntry.objects.bulk_create(
        AuditEntry(
            action="catalog.update_service",
            actor=actor.user,
            actor_name=actor.name,
            source=actor.source,
            api_key_prefix=actor.api_key_prefix,
            ip=actor.ip,
            request_id=actor.request_id,
            object_type="service",
            object_id=str(after["id"]),
            object_label=str(after["service_id"]),
            service_id=str(after["service_id"]),
            before={
                name: value for name, value in before.items() if value != after[name] and name not in _UNTOLD
            },
            after={
                name: value for name, value in after.items() if value != before[name] and name not in _UNTOLD
            },
            rationale=f"stated by {discovery_source}",
        )
        for before, after in updates
    )


def _make_teams(names: set[str], origin: str) -> None:
    if names:
        _fetch(
            "INSERT INTO accounts_team (name, origin) SELECT name, %(origin)s FROM unnest(%(names)s::text[]) AS name"
            " ON CONFLICT (name) DO NOTHING RETURNING id",
            {"names": sorted(names), "origin": origin},
        )


def _discover(
    services: Sequence[ServiceRow], dependencies: Sequence[DependencyRow], origin: str, changed: set[str]
) -> int:
    """Create a service for every end of an edge that is none yet. Return how many were created."""
    ends = {row.source for row in dependencies} | {row.target for row in dependencies}
    ends -= {row.service_id for row in services}
    if not ends:
        return 0
    made = _fetch(
        """
        INSERT INTO catalog_service (service_id, criticality, is_external, is_discovered, archetype, on_call,
            failure_semantics, capacity, metadata, origin, version, updated_at)
        SELECT name, 'medium', FALSE, TRUE, '', '', '{}', '{}', '{}', %(origin)s, 1, now()
        FROM unnest(%(names)s::text[]) AS name
        ON CONFLICT (service_id) DO NOTHING
        RETURNING service_id
        """,
        {"names": sorted(ends), "origin": origin},
    )
    changed.update(name for (name,) in made)
    return len(made)


# Python looks up edges by their ends, not a join: in the transaction that creates edges the database has no statistics
# of them yet, and would walk all edges of a hub for each edge.
_EDGE_INSERT = """
INSERT INTO catalog_dependency (source_id, target_id, mode, criticality, protocol, retry_config, redundancy_group,
    confidence, is_stale, is_declared, last_observed_at)
SELECT source_id, target_id, 'sync', 'hard', '', '{}', '', 0, FALSE, FALSE, seen_at
FROM unnest(%(sources)s::bigint[], %(targets)s::bigint[], %(seen)s::timestamptz[]) AS r (source_id, target_id, seen_at)
ON CONFLICT (source_id, target_id) DO NOTHING
RETURNING id, source_id, target_id
"""
_EDGES_OF = "SELECT id, source_id, target_id FROM catalog_dependency WHERE source_id = ANY(%(sources)s)"
# A statement that is older than the stored one changes nothing: parts and retries may arrive in any order.
_SIGHTING_UPSERT = """
INSERT INTO catalog_dependencysighting AS s (dependency_id, discovery_source, attributes, first_seen_at, last_seen_at)
SELECT dependency_id, %(discovery_source)s, attributes, seen_at, seen_at
FROM unnest(%(ids)s::bigint[], %(attributes)s::jsonb[], %(seen)s::timestamptz[])
    AS r (dependency_id, attributes, seen_at)
ON CONFLICT (dependency_id, discovery_source) DO UPDATE
SET attributes = EXCLUDED.attributes, last_seen_at = EXCLUDED.last_seen_at
WHERE EXCLUDED.last_seen_at >= s.last_seen_at
  AND (EXCLUDED.attributes, EXCLUDED.last_seen_at) IS DISTINCT FROM (s.attributes, s.last_seen_at)
RETURNING dependency_id
"""


def _write_dependencies(
    rows: Sequence[DependencyRow],
    discovery_source: str,
    observed_at: datetime,
    now: datetime,
    changed: set[str],
    progress: Report,
) -> dict[str, int]:
    counts = {"created": 0, "updated": 0, "unchanged": 0}
    touched_services: set[int] = set()
    service_pks = _service_pks({end for row in rows for end in (row.source, row.target)}) if rows else {}
    for batch in _batches(rows):
        ends = [(service_pks[row.source], service_pks[row.target]) for row in batch]
        seen = [row.observed_at or observed_at for row in batch]
        sources, targets = zip(*ends, strict=True)
        created = _fetch(_EDGE_INSERT, {"sources": list(sources), "targets": list(targets), "seen": seen})
        edges = {
            (source, target): pk for pk, source, target in _fetch(_EDGES_OF, {"sources": list(set(sources))})
        }
        sighted = _fetch(
            _SIGHTING_UPSERT,
            {
                "ids": [edges[pair] for pair in ends],
                "attributes": [_attributes(row) for row in batch],
                "seen": seen,
                "discovery_source": discovery_source,
            },
        )
        new = {pk for pk, _, _ in created}
        updated = 0
        for pk, source, target in merge_edges(now, [pk for (pk,) in sighted]):
            touched_services.update((source, target))
            updated += pk not in new
        # A new edge may have only default attributes, so that merging changes nothing on it.
        touched_services.update(end for _, *pair in created for end in pair)
        counts["created"] += len(new)
        counts["updated"] += updated
        counts["unchanged"] += len(batch) - len(new) - updated
        progress(len(batch))
    if touched_services:
        changed.update(
            name
            for (name,) in _fetch(
                "SELECT service_id FROM catalog_service WHERE id = ANY(%(ids)s)",
                {"ids": list(touched_services)},
            )
        )
    return counts


def _service_pks(names: set[str]) -> dict[str, int]:
    found = _fetch(
        "SELECT service_id, id FROM catalog_service WHERE service_id = ANY(%(names)s)", {"names": list(names)}
    )
    return dict(found)


def _attributes(row: DependencyRow) -> str:
    return row.model_dump_json(exclude_none=True, exclude={"source", "target", "observed_at"})
