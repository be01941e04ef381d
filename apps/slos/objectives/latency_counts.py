"""How many events each latency SLO had, and how many of them were slow: over its window and over the burn windows.

The rule is that of :mod:`apps.slos.objectives.sli_events`, here in SQL for a whole fleet at once: ``width_bucket``
finds a histogram's bucket, and requests are spread evenly within it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

WINDOWS = {"1h": "1 hour", "6h": "6 hours", "1d": "1 day", "3d": "3 days"}
"""The burn windows by name, as PostgreSQL writes intervals."""


class Pair(NamedTuple):
    """Events and the bad ones among them."""

    total: float
    bad: float


@dataclass(frozen=True, slots=True)
class SloCounts:
    """The counts of one latency SLO up to ``as_of``; ``None`` where the service has no data."""

    slo_id: UUID
    service: int
    target: float
    window_days: int
    basis: str
    as_of: datetime | None
    window: Pair
    windows: dict[str, Pair]


_SUMS = ", ".join(
    ["coalesce(sum(e.total), 0)", "coalesce(sum(e.bad), 0)"]
    + [
        f"coalesce(sum(e.{what}) FILTER (WHERE e.bin_start >= s.as_of - interval '{span}'), 0)"
        for span in WINDOWS.values()
        for what in ("total", "bad")
    ]
)

# ``at`` is how many bounds lie at or below the threshold. Beyond the last finite bound nothing is known, so all that
# lies there counts as slow.
_COUNTS = f"""
WITH slos AS MATERIALIZED (
    SELECT a.id, a.service_id, a.sli_type, a.target::float8 AS target, a.threshold_ms, a.basis, a.window_days, t.as_of
    FROM slos_activeslo a LEFT JOIN slos_servicestatus t ON t.service_id = a.service_id
    WHERE a.ended_at IS NULL AND a.sli_type <> 'availability' AND (%(all)s OR a.service_id = ANY(%(services)s))
), events AS (
    SELECT s.id, h.bin_start, c.total,
        CASE WHEN b.at >= b.size THEN 0
             WHEN h.bounds_ms[b.at + 1] = 'Infinity' THEN c.total - c.below
             ELSE greatest(0, c.total - c.below - (h.cumulative[b.at + 1] - c.below)
                 * (s.threshold_ms - c.lower) / (h.bounds_ms[b.at + 1] - c.lower)) END AS bad
    FROM slos s JOIN telemetry_latencyhour h ON h.service_id = s.service_id AND h.bin_start < s.as_of
        AND h.bin_start >= s.as_of - make_interval(days => s.window_days)
    CROSS JOIN LATERAL (
        SELECT width_bucket(s.threshold_ms, h.bounds_ms) AS at, cardinality(h.bounds_ms) AS size) b
    CROSS JOIN LATERAL (
        SELECT coalesce(h.cumulative[b.size], 0) AS total, coalesce(h.cumulative[b.at], 0) AS below,
            coalesce(h.bounds_ms[b.at], 0) AS lower) c
    WHERE s.basis = 'requests' AND h.bin_start >= %(now)s::timestamptz - interval '10 years'
    UNION ALL
    SELECT s.id, h.bin_start, count(v), count(v) FILTER (WHERE v > s.threshold_ms)
    FROM slos s JOIN telemetry_slihour h ON h.service_id = s.service_id AND h.bin_start < s.as_of
        AND h.bin_start >= s.as_of - make_interval(days => s.window_days)
    CROSS JOIN LATERAL unnest(CASE WHEN s.sli_type = 'latency_p95' THEN h.p95_ms ELSE h.p99_ms END) v
    WHERE s.basis = 'bins' AND h.bin_start >= %(now)s::timestamptz - interval '10 years'
    GROUP BY s.id, h.bin_start
)
SELECT s.id, s.service_id, s.target, s.window_days, s.basis, s.as_of, {_SUMS}
FROM slos s LEFT JOIN events e ON e.id = s.id
GROUP BY s.id, s.service_id, s.target, s.window_days, s.basis, s.as_of
"""  # noqa: S608


def latency_counts(services: Collection[int] | None, now: datetime) -> list[SloCounts]:
    """Count for the latency SLOs in force of these services, or of all, up to each service's newest complete hour.

    The statuses of the services say which hour that is, so they must be up to date.
    """
    parameters: dict[str, Any] = {"all": services is None, "services": list(services or ()), "now": now}
    with connection.cursor() as cursor:
        cursor.execute(_COUNTS, parameters)
        return [_counts(*row) for row in cursor.fetchall()]


def _counts(
    slo_id: UUID,
    service: int,
    target: float,
    window_days: int,
    basis: str,
    as_of: datetime | None,
    *sums: float,
) -> SloCounts:
    pairs = [Pair(*sums[at : at + 2]) for at in range(0, len(sums), 2)]
    windows = dict(zip(WINDOWS, pairs[1:], strict=True))
    return SloCounts(slo_id, service, target, window_days, basis, as_of, pairs[0], windows)
