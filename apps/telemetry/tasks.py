"""The actors of telemetry."""

from __future__ import annotations

import dramatiq
import structlog

from apps.core import instants
from apps.core.errors import BallastError
from apps.telemetry import runs, services

logger = structlog.get_logger(__name__)

#: As long as the readings that the actors start may take.
RUN_TIME_LIMIT_MS = int(runs.TIME_LIMIT.total_seconds() * 1000)


@dramatiq.actor(
    actor_name="telemetry.collect_hour", queue_name="default", time_limit=RUN_TIME_LIMIT_MS, max_retries=0
)
def collect_hour() -> None:
    """Read the hours that are complete since the last reading. The next hour catches up after a failure."""
    try:
        services.collect_hour()
    except BallastError as error:
        logger.warning("telemetry.collection_failed", error=error.detail)


@dramatiq.actor(
    actor_name="telemetry.discover_day", queue_name="bulk", time_limit=RUN_TIME_LIMIT_MS, max_retries=0
)
def discover_day() -> None:
    """Take in new services and calls. The next day tries again after a failure."""
    try:
        services.discover_day()
    except BallastError as error:
        logger.warning("telemetry.discovery_failed", error=error.detail)


@dramatiq.actor(actor_name="telemetry.keep_house", queue_name="default")
def keep_house() -> None:
    """Create the partitions for the coming weeks, and drop old data."""
    from apps.telemetry.storing.retention import drop_old, keep_partitions_ahead

    made = keep_partitions_ahead(instants.now().date())
    logger.info("telemetry.housekeeping", partitions_made=made, rows_deleted=drop_old())
