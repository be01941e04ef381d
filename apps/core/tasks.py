"""What runs in the background for the two spines."""

from __future__ import annotations

from typing import Any

import dramatiq
import structlog

from apps.core import asking, services
from apps.core.runs import executing, purging
from apps.core.runs.bells import ACTOR

logger = structlog.get_logger(__name__)


@dramatiq.actor(actor_name="core.purge", queue_name="bulk")
def purge() -> None:
    """Delete what the spines no longer need."""
    logger.info(
        "core.purged",
        events=services.purge_delivered_events(),
        idempotency_keys=services.purge_idempotency_keys(),
        message_starts=services.purge_message_starts(),
        runs=purging.purge_runs(),
    )


@dramatiq.actor(actor_name=ACTOR, queue_name="default", max_retries=0, notify_shutdown=True)
def execute_run(run_id: str) -> None:
    """Do a run, if nobody else does. What fails in it is kept with it, and tried again from PostgreSQL."""
    executing.execute(run_id)


@dramatiq.actor(actor_name=asking.ACTOR, queue_name=asking.QUEUE, max_retries=0)
def answer(question: str, ticket: str, arguments: dict[str, Any]) -> None:
    """Answer a question while somebody waits."""
    asking.answer(question, ticket, arguments)
