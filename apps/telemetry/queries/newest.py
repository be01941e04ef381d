"""Finds how far stored history reaches: the end of the newest complete hour, of services and of the fleet."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from django.db import connection

from apps.core import instants

NEWEST_END = """(
    SELECT max(h.bin_start) + interval '1 hour' FROM telemetry_slihour h
    WHERE h.service_id = s.id AND h.bin_start <= %(now)s - interval '1 hour' AND h.observed_seconds > 0)"""
"""SQL for the end of the newest hour with data of ``catalog_service s``: one index probe for each partition.

Hours later than ``%(now)s`` do not count, whatever a source sends.
"""


def newest_ends(services: Collection[int] | None, now: datetime) -> dict[int, datetime]:
    """Return the end of the newest complete hour at ``now`` of each of these services (or of all) that has data."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT id, newest FROM (SELECT s.id, {NEWEST_END} AS newest FROM catalog_service s "  # noqa: S608
            "WHERE %(all)s OR s.id = ANY(%(services)s)) found WHERE newest IS NOT NULL ORDER BY id",
            {"now": now, "all": services is None, "services": list(services or ())},
        )
        return dict(cursor.fetchall())


def newest_end(service_pk: int, now: datetime) -> datetime | None:
    """Return the end of one service's newest complete hour, ``None`` without data."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {NEWEST_END} FROM (SELECT %(pk)s AS id) s", {"pk": service_pk, "now": now})  # noqa: S608
        newest: datetime | None = cursor.fetchone()[0]
    return newest


def newest_complete_end(now: datetime | None = None) -> datetime | None:
    """Return the end of the newest complete hour of any service; ``None`` without data."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT max(newest) FROM (SELECT {NEWEST_END} AS newest FROM catalog_service s) found",  # noqa: S608
            {"now": now or instants.now()},
        )
        newest: datetime | None = cursor.fetchone()[0]
    return newest
