"""What is below the services of one run: the graph, composed once for all of them.

Only workers and commands import this module. The edges of the computed services are as they were just read. Those of
services below are taken as their own newest run stored them; if nothing is stored, or stored values must not be used,
they are estimated as well. So a change below reaches a caller when the caller is computed next: at once if the graph
changed or history was imported, else within a day.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

from django.db import connection

from apps.catalog.models import Service
from apps.catalog.queries import retries_of
from apps.core.json_types import JsonObject
from apps.engine.document import CommunicationMode
from apps.engine.edges.estimates import CALL_PROBABILITY_PRIOR, HARDNESS_PRIOR, published_availability
from apps.engine.edges.figures import edge_figure
from apps.engine.graph.reachable import EdgeFigure, compose_reachable
from apps.engine.reading import Known, read
from apps.engine.types import GraphFigure
from apps.slos.making import inputs

FEW = 20
"""For up to this many services, only the nearest part of the graph below them is composed: a person may be waiting."""
NEAREST = 300

_EDGES = """
SELECT d.source_id, d.target_id, d.mode, d.criticality, d.calls_per_request, d.redundancy_group,
    coalesce(d.redundancy_needed, 1), nullif(d.retry_config, '{}'::jsonb), e.call_probability, e.hardness,
    e.hardness_source, e.availability, e.availability_source, e.has_fallback
FROM catalog_dependency d
LEFT JOIN slos_edgeestimate e ON %(stored)s AND e.source_id = d.source_id AND e.target_id = d.target_id
    AND e.as_of <= %(as_of)s
WHERE NOT d.is_stale AND (%(all)s OR d.source_id = ANY(%(sources)s))
ORDER BY d.source_id, d.target_id
"""

_SERVICES = """
SELECT id, service_id, CASE WHEN is_external THEN published_sla END FROM catalog_service
WHERE %(all)s OR id = ANY(%(services)s)
"""

# Whole days before the instant: its own day may hold hours that had not happened yet.
_MEASURED = """
SELECT service_id, sum(total), sum(bad) FROM telemetry_sliday
WHERE bin_start >= %(since)s AND bin_start < %(until)s AND observed_seconds > 0
    AND (%(all)s OR service_id = ANY(%(services)s))
GROUP BY service_id HAVING sum(total) > 0
"""


@dataclass(slots=True)
class _Below:
    """The part of the graph that a run needs: rows of edges by source, and services whose own edges are not read."""

    rows: dict[int, list[Sequence[Any]]] = field(default_factory=lambda: defaultdict(list))
    cut: set[int] = field(default_factory=set)
    is_all: bool = False

    @property
    def nodes(self) -> set[int]:
        return {pk for rows in self.rows.values() for row in rows for pk in (row[0], row[1])} | self.cut


def figures(
    groups: Sequence[tuple[datetime, Sequence[Service]]],
    known: Mapping[str, Known],
    *,
    has_stored: bool = False,
    cycles: Mapping[str, tuple[str, ...]],
    seed: int = 0,
) -> dict[str, GraphFigure]:
    """Return what the graph below each service allows, by its id.

    ``groups`` are services by the instant at which each is computed, ``known`` what was read of them. The stored edges
    are used for a service that is missing there, and, with ``has_stored``, for those below. Without ``has_stored`` all
    edges below are estimated from what was known at the newest instant, so that the same data gives the same figures
    whatever was computed before. ``cycles`` is :func:`apps.catalog.queries.cycle_members`.
    """
    wanted = {service.pk: service for _, found in groups for service in found}
    if not wanted:
        return {}
    newest = max(as_of for as_of, found in groups if found)
    below = _below(list(wanted), newest, has_stored=has_stored)
    nodes = below.nodes | set(wanted)
    services = _services(None if below.is_all else nodes)
    names = {pk: name for pk, (name, _) in services.items()}
    measured = _measured(None if below.is_all else nodes, newest, names)
    for pk, (name, sla) in services.items():
        if sla is not None and pk in nodes:
            measured.setdefault(name, published_availability(sla))
    edges: dict[str, Sequence[EdgeFigure]] = {
        names[source]: [_stored(row, names, measured) for row in rows if row[1] in names]
        for source, rows in below.rows.items()
        if source in names
    }
    if not has_stored:
        _estimate(sorted(set(below.rows) - set(wanted)), newest, cycles, edges, measured)
    looked_below = sorted(service.service_id for service in wanted.values() if service.pk in below.rows)
    for name in looked_below:
        if name in known:
            _put(name, known[name], edges, measured)
    cut = frozenset(names[pk] for pk in below.cut if pk in names)
    return compose_reachable(edges, measured, wanted=looked_below, cut=cut, seed=seed)


def _below(roots: Sequence[int], as_of: datetime, *, has_stored: bool) -> _Below:
    found = _Below()
    if len(roots) > FEW:
        found.is_all = True
        _read(found, None, as_of, has_stored=has_stored)
        return found
    frontier, reached = set(roots), set(roots)
    while frontier:
        _read(found, sorted(frontier), as_of, has_stored=has_stored)
        after = {row[1] for pk in frontier for row in found.rows.get(pk, ()) if row[2] == "sync"} - reached
        reached |= after
        if len(reached) > NEAREST:
            found.cut = after
            break
        frontier = after
    return found


def _read(found: _Below, sources: Sequence[int] | None, as_of: datetime, *, has_stored: bool) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            _EDGES,
            {"all": sources is None, "sources": list(sources or ()), "as_of": as_of, "stored": has_stored},
        )
        for row in cursor.fetchall():
            found.rows[row[0]].append(row)


def _services(pks: set[int] | None) -> dict[int, tuple[str, float | None]]:
    """Return names, and the published SLA of external services."""
    with connection.cursor() as cursor:
        cursor.execute(_SERVICES, {"all": pks is None, "services": sorted(pks or ())})
        return {pk: (name, None if sla is None else float(sla)) for pk, name, sla in cursor.fetchall()}


def _measured(pks: set[int] | None, as_of: datetime, names: Mapping[int, str]) -> dict[str, float]:
    midnight = as_of.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    with connection.cursor() as cursor:
        cursor.execute(
            _MEASURED,
            {
                "since": midnight - inputs.HOURS_BACK,
                "until": midnight,
                "all": pks is None,
                "services": sorted(pks or ()),
            },
        )
        return {names[pk]: _ratio(1 - bad / total) for pk, total, bad in cursor.fetchall() if pk in names}


def _stored(row: Sequence[Any], names: Mapping[int, str], measured: Mapping[str, float]) -> EdgeFigure:
    """Return an edge as it was stored, or as declared and assumed if nothing was."""
    (
        _,
        target_pk,
        mode,
        criticality,
        calls,
        group,
        needed,
        retry_config,
        probability,
        hardness,
        hardness_source,
        availability,
        availability_source,
        has_fallback,
    ) = row
    target = names[target_pk]
    if probability is None:
        probability = CALL_PROBABILITY_PRIOR[criticality] if calls is None else calls
        hardness, hardness_source = HARDNESS_PRIOR[criticality], "prior"
        availability, availability_source = measured.get(target), "target"
    retries = retries_of(_mapping(retry_config)) if retry_config else 0
    return EdgeFigure(
        target=target,
        mode=cast(CommunicationMode, mode),
        call_probability=_ratio(probability),
        hardness=_ratio(hardness),
        availability=None if availability is None else _ratio(availability),
        is_counted=mode == "sync" and availability is not None and not has_fallback,
        group=group,
        needed=needed,
        retries=0 if hardness_source == "observed" else retries,
        declared_retries=retries,
        is_targets_own=availability_source == "target",
    )


def _estimate(
    pks: Sequence[int],
    as_of: datetime,
    cycles: Mapping[str, tuple[str, ...]],
    edges: dict[str, Sequence[EdgeFigure]],
    measured: dict[str, float],
) -> None:
    """Replace what was declared and assumed by what the series of these services and their edges show."""
    instant = int(as_of.timestamp())
    services = list(Service.objects.filter(pk__in=pks).order_by("pk"))
    for batch in inputs.batches(services, as_of, cycles=cycles, edges_only=True):
        for service in batch:
            _put(service.service_id, read(service, instant).known, edges, measured)


def _put(
    name: str,
    known: Known,
    edges: dict[str, Sequence[EdgeFigure]],
    measured: dict[str, float],
) -> None:
    edges[name] = [edge_figure(each) for each in known.estimates]
    if known.availability is not None:
        measured[name] = known.availability


def _mapping(value: Any) -> JsonObject:
    return dict(json.loads(value) if isinstance(value, str) else value)


def _ratio(value: float) -> float:
    return min(1.0, max(0.0, float(value)))
