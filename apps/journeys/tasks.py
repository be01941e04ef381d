"""What workers do for journeys. All of it may run twice: what is stored replaces what was stored before."""

from __future__ import annotations

import time
from typing import Any

import dramatiq
import structlog
from django.db import transaction

from apps.core.runs import Done, Holding
from apps.journeys import runs
from apps.journeys.queueing import WHAT_IF
from apps.slos import computation

logger = structlog.get_logger(__name__)


@dramatiq.actor(actor_name="journeys.refresh_hourly", queue_name="default")
def refresh_hourly() -> None:
    """Compute all journeys from the newest recommendations."""
    with transaction.atomic():
        runs.refresh(None, reason="hourly refresh", is_forced=True)


def refresh(holding: Holding) -> Done:
    """Compute the journeys that were asked for anew, of the ones named or of all."""
    from apps.journeys.making import compute

    wanted = holding.parameters(runs.Refresh)
    made = compute.refresh(
        wanted.journeys,
        reason=wanted.reason or "asked for",
        asked=wanted.asked,
        is_forced=wanted.is_forced,
        progress=holding.progress,
    )
    return Done({"journeys": made})


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
