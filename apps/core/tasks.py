"""What runs in the background for the two spines."""

from __future__ import annotations

import dramatiq
import structlog

from apps.core import services

logger = structlog.get_logger(__name__)


@dramatiq.actor(actor_name="core.purge", queue_name="bulk")
def purge() -> None:
    """Delete what the spines no longer need."""
    logger.info(
        "core.purged",
        events=services.purge_delivered_events(),
        idempotency_keys=services.purge_idempotency_keys(),
        message_starts=services.purge_message_starts(),
    )
