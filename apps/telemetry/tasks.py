"""The actors of telemetry."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import dramatiq
import structlog
from django.utils import timezone

from apps.core.errors import BallastError
from apps.telemetry import services
from apps.telemetry.imports import uploads
from apps.telemetry.models import TelemetryRun

logger = structlog.get_logger(__name__)

#: A backfill of two years and thousands of services takes its time; what is stored of it stays when it is cut
#: off.
RUN_TIME_LIMIT_MS = 2 * 3600 * 1000
#: A run that was asked for this long ago and came to no end is sent again; one under way is left alone.
LOST_AFTER = timedelta(minutes=10)


@dramatiq.actor(actor_name="telemetry.execute_run", queue_name="bulk", time_limit=RUN_TIME_LIMIT_MS)
def execute_run(run_id: str) -> None:
    """Do what a recorded run asks for. A failure is recorded with it: trying again unasked would not help."""
    try:
        run = services.execute_run(UUID(run_id))
    except BallastError as error:
        logger.warning("telemetry.run_failed", run=run_id, error=error.detail)
        run = TelemetryRun.objects.get(pk=run_id)
    if run.finished_at is not None:
        uploads.drop(run.parameters.get("path", ""))


@dramatiq.actor(
    actor_name="telemetry.collect_hour", queue_name="default", time_limit=RUN_TIME_LIMIT_MS, max_retries=0
)
def collect_hour() -> None:
    """Read what has become complete since the last reading. The next hour makes up for one that fails."""
    try:
        services.collect_hour()
    except BallastError as error:
        logger.warning("telemetry.collection_failed", error=error.detail)


@dramatiq.actor(
    actor_name="telemetry.discover_day", queue_name="bulk", time_limit=RUN_TIME_LIMIT_MS, max_retries=0
)
def discover_day() -> None:
    """Take in services and calls that are new. The next day makes up for one that fails."""
    try:
        services.discover_day()
    except BallastError as error:
        logger.warning("telemetry.discovery_failed", error=error.detail)


@dramatiq.actor(actor_name="telemetry.keep_house", queue_name="default")
def keep_house() -> None:
    """Make the partitions of the coming weeks, drop what is old."""
    from apps.telemetry.storing.retention import drop_old, keep_partitions_ahead

    made = keep_partitions_ahead(timezone.now().date())
    logger.info("telemetry.housekeeping", partitions_made=made, rows_deleted=drop_old())


@dramatiq.actor(actor_name="telemetry.resume_lost_runs", queue_name="default")
def resume_lost_runs() -> None:
    """Send again what was asked for and came to no end."""
    for run_id in services.unfinished_runs(older_than=LOST_AFTER, now=timezone.now()):
        execute_run.send(str(run_id))
