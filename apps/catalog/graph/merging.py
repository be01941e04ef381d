"""Merges the sightings of an edge: its attributes, its confidence, and whether it is stale.

For every edge at an instant ``now``, over its sightings ``s`` (one for each source that ever named it):

- a sighting is *expired* if it is by an observing source and older than :data:`~apps.catalog.sources.STALE_AFTER`;
- each attribute comes from the first sighting that has it: sightings that are not expired first, then by rank of the
  source, then the newest, then by the source's name;
- ``confidence = 1 − Π (1 − trust(s) · freshness(s))``, rounded to three digits: sources count as independent
  witnesses (a noisy-or, Pearl 1988). Freshness is 1 for a declaring source and ``0.5 ** (age / STALE_AFTER)`` for an
  observing one;
- ``last_observed_at`` is the time of the newest sighting; ``is_declared`` says whether a declaring source is among
  them;
- the edge is stale when every sighting has expired.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db import connection

from apps.catalog.sources import STALE_AFTER, STANDING

# The value of an attribute that no source gives.
DEFAULTS = {
    "mode": "'sync'",
    "criticality": "'hard'",
    "protocol": "''",
    "timeout_ms": "NULL",
    "retry_config": "'{}'::jsonb",
    "calls_per_request": "NULL",
    "redundancy_group": "''",
    "redundancy_needed": "NULL",
}
_TYPES = {"timeout_ms": "integer", "calls_per_request": "double precision", "redundancy_needed": "smallint"}
ATTRIBUTES = tuple(DEFAULTS)


def _first(attribute: str) -> str:
    """Return the SQL of an attribute's merged value."""
    arrow = "->" if attribute == "retry_config" else "->>"
    cast = f"::{_TYPES[attribute]}" if attribute in _TYPES else ""
    return (
        f"COALESCE((array_agg((s.attributes{arrow}'{attribute}'){cast}"
        " ORDER BY s.expired, s.rank, s.last_seen_at DESC, s.discovery_source)"
        f" FILTER (WHERE s.attributes ? '{attribute}'))[1], {DEFAULTS[attribute]}) AS {attribute}"
    )


_COLUMNS = (*ATTRIBUTES, "confidence", "is_stale", "is_declared", "last_observed_at")

# Only rows that differ are written. `changed` ignores confidence and age, which differ at every refresh.
_MERGE = f"""
WITH standing (discovery_source, rank, trust, declares) AS (
    SELECT * FROM unnest(%(sources)s::text[], %(ranks)s::int[], %(trusts)s::float8[], %(declares)s::bool[])
), sighting AS (
    SELECT g.dependency_id, g.discovery_source, g.attributes, g.last_seen_at, t.rank, t.trust, t.declares,
           NOT t.declares AND g.last_seen_at < %(now)s - make_interval(secs => %(stale_seconds)s) AS expired,
           CASE WHEN t.declares THEN 1 ELSE
               power(0.5, LEAST(greatest(extract(epoch FROM %(now)s - g.last_seen_at), 0)
                                / %(stale_seconds)s, 50))
           END AS freshness
    FROM catalog_dependencysighting g JOIN standing t USING (discovery_source)
    WHERE %(everything)s OR g.dependency_id = ANY(%(ids)s)
), merged AS (
    SELECT s.dependency_id AS id,
           {", ".join(map(_first, ATTRIBUTES))},
           round((1 - exp(sum(ln(1 - s.trust * s.freshness))))::numeric, 3)::float8 AS confidence,
           bool_and(s.expired) AS is_stale,
           bool_or(s.declares) AS is_declared,
           max(s.last_seen_at) AS last_observed_at
    FROM sighting s GROUP BY s.dependency_id
)
UPDATE catalog_dependency d
SET {", ".join(f"{column} = m.{column}" for column in _COLUMNS)}
FROM merged m
WHERE d.id = m.id
  AND ({", ".join(f"d.{column}" for column in _COLUMNS)})
      IS DISTINCT FROM ({", ".join(f"m.{column}" for column in _COLUMNS)})
RETURNING d.id, d.source_id, d.target_id,
    ({", ".join(f"old.{column}" for column in (*ATTRIBUTES, "is_stale", "is_declared"))})
    IS DISTINCT FROM ({", ".join(f"new.{column}" for column in (*ATTRIBUTES, "is_stale", "is_declared"))}) AS changed
"""  # noqa: S608


def merge_edges(now: datetime, dependency_ids: Sequence[int] | None = None) -> list[tuple[int, int, int]]:
    """Merge the sightings of the given edges, or of all, as of ``now``.

    Returns ``(dependency id, source pk, target pk)`` of edges with a changed attribute, or that became or ceased to be
    stale or declared. Runs inside the caller's transaction.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            _MERGE,
            {
                "sources": [str(source) for source in STANDING],
                "ranks": [standing.rank for standing in STANDING.values()],
                "trusts": [standing.trust for standing in STANDING.values()],
                "declares": [standing.declares for standing in STANDING.values()],
                "now": now,
                "stale_seconds": STALE_AFTER.total_seconds(),
                "everything": dependency_ids is None,
                "ids": list(dependency_ids or ()),
            },
        )
        return [(pk, source, target) for pk, source, target, changed in cursor.fetchall() if changed]
