"""Reads the runs of telemetry, and what is known about the source without asking it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection

from apps.core import instants
from apps.telemetry import sources
from apps.telemetry.models import TelemetryRun
from apps.telemetry.queries.counts import DAY
from apps.telemetry.queries.newest import newest_complete_end


def recent_runs(limit: int = 50, *, kind: TelemetryRun.Kind | None = None) -> list[TelemetryRun]:
    """Return the newest runs of telemetry, of one kind or of all kinds."""
    runs = TelemetryRun.objects.select_related("requested_by").order_by("-created_at")
    return list((runs.filter(kind=kind) if kind else runs)[:limit])


@dataclass(frozen=True, slots=True)
class Reach:
    """Numbers of services with and without requests in the last week of data."""

    services: int
    with_data: int
    external: int
    """External services without data of their own; their callers' data or a published SLA describe them."""
    silent: int
    """Other services without data."""


_REACH = """
    WITH heard AS (
        SELECT DISTINCT service_id AS id FROM telemetry_sliday WHERE bin_start >= %(start)s AND total > 0
    )
    SELECT count(*), count(h.id), count(*) FILTER (WHERE h.id IS NULL AND s.is_external)
    FROM catalog_service s LEFT JOIN heard h USING (id)
"""


def reach(newest_end: datetime | None) -> Reach:
    """Count services with requests in the week before :func:`newest_complete_end`."""
    with connection.cursor() as cursor:
        cursor.execute(_REACH, {"start": (newest_end or instants.now()) - 7 * DAY})
        services, with_data, external = cursor.fetchone()
    return Reach(services, with_data, external, services - with_data - external)


@dataclass(frozen=True, slots=True)
class SourceState:
    """What is known about the telemetry source without asking it."""

    is_configured: bool
    url: str
    newest_end: datetime | None
    age: timedelta | None
    last_run: TelemetryRun | None
    last_success: TelemetryRun | None
    failure: str


def source_status(*, now: datetime | None = None) -> SourceState:
    """Return where telemetry comes from, how old the newest data are, and why reading fails, if it does."""
    runs = TelemetryRun.objects.filter(source="prometheus").exclude(kind=TelemetryRun.Kind.SURVEY)
    runs = runs.order_by("-created_at")
    url = sources.address()
    last = runs.first()
    success = runs.filter(state=TelemetryRun.State.COMPLETED).first()
    newest = newest_complete_end(now)
    failed = last is not None and last.state in (TelemetryRun.State.FAILED, TelemetryRun.State.GIVEN_UP)
    return SourceState(
        is_configured=bool(url),
        url=url,
        newest_end=newest,
        age=(now or instants.now()) - newest if newest else None,
        last_run=last,
        last_success=success,
        failure=str(last.summary.get("failure", "")) if failed and last else "",
    )
