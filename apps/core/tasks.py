"""The core's actors: housekeeping, runs and questions."""

from __future__ import annotations

import dramatiq
import structlog

from apps.core import services
from apps.core.redis import asking
from apps.core.runs import executing, purging
from apps.core.runs.bells import ACTOR

logger = structlog.get_logger(__name__)


@dramatiq.actor(actor_name="core.purge", queue_name="bulk")
def purge() -> None:
    """Delete rows of the core's tables that are no longer needed."""
    logger.info(
        "core.purged",
        events=services.purge_delivered_events(),
        idempotency_keys=services.purge_idempotency_keys(),
        message_starts=services.purge_message_starts(),
        runs=purging.purge_runs(),
    )


@dramatiq.actor(actor_name=ACTOR, queue_name="default", max_retries=0, notify_shutdown=True)
def execute_run(run_id: str) -> None:
    """Execute a run, if no other worker does. An error is stored with the run, which is retried from PostgreSQL."""
    executing.execute(run_id)


@dramatiq.actor(actor_name=asking.ACTOR, queue_name=asking.QUEUE, max_retries=0)
def answer(question: str, ticket: str, arguments: asking.Document) -> None:
    """Answer a question, if somebody still waits."""
    asking.answer(question, ticket, arguments)
