"""What workers do for journeys. All of it may run twice: what is stored replaces what was stored before."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

import dramatiq
import structlog

from apps.journeys.queueing import REFRESH, WHAT_IF
from apps.slos import computation

logger = structlog.get_logger(__name__)

RUN_TIME_LIMIT_MS = 30 * 60 * 1000


@dramatiq.actor(actor_name=REFRESH, queue_name="default", time_limit=RUN_TIME_LIMIT_MS)
def refresh(journeys: list[str] | None = None, reason: str = "", asked: str | None = None) -> None:
    """Compute the journeys that were asked for anew, of these or of all."""
    from apps.journeys.making import compute

    at = datetime.fromisoformat(asked) if asked else None
    compute.refresh(journeys, reason=reason or "asked for", asked=at)


@dramatiq.actor(
    actor_name="journeys.refresh_hourly", queue_name="bulk", time_limit=RUN_TIME_LIMIT_MS, max_retries=0
)
def refresh_hourly() -> None:
    """Compute all journeys from the newest recommendations."""
    from apps.journeys.making import compute

    compute.refresh(None, reason="hourly refresh", is_forced=True)


@dramatiq.actor(actor_name=WHAT_IF, queue_name="interactive", max_retries=0)
def what_if(
    service_pk: int, steps: list[dict[str, Any]], ticket: str, not_after: float | None = None
) -> None:
    """Say what some steps would do, while somebody waits. Stores nothing."""
    from apps.journeys.what_if import trial

    if not_after is not None and time.time() > not_after:
        logger.info("journeys.what_if_too_late", service=service_pk)
        return
    try:
        answer = trial.answer(service_pk, steps)
    except Exception:
        computation.reply(ticket, {"state": "failed"})
        raise
    computation.reply(ticket, answer)
