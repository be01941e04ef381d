"""What workers do for SLOs. All of it may run twice: what is stored replaces what was stored before."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

import dramatiq
import structlog

from apps.slos import computation
from apps.slos.making import storing
from apps.slos.objectives import status
from apps.slos.queueing import COMPUTE_ONE, REFRESH, REFRESH_STATUS

logger = structlog.get_logger(__name__)

RUN_TIME_LIMIT_MS = int(timedelta(minutes=50).total_seconds() * 1000)


@dramatiq.actor(actor_name=COMPUTE_ONE, queue_name="interactive", max_retries=0)
def compute_one(
    service_pk: int,
    window_days: int,
    store: bool,
    ticket: str = "",
    asked_by: str = "",
    not_after: float | None = None,
) -> None:
    """Compute one service while somebody waits, and answer on the ticket."""
    from apps.slos.making import compute

    if not_after is not None and time.time() > not_after:
        logger.info("slos.computation_too_late", service=service_pk)
        return
    try:
        answer = compute.compute_one(service_pk, window_days=window_days, store=store, asked_by=asked_by)
    except Exception:
        if ticket:
            computation.reply(ticket, {"state": "failed"})
        raise
    if ticket:
        computation.reply(ticket, answer)


@dramatiq.actor(actor_name=REFRESH, queue_name="bulk", time_limit=RUN_TIME_LIMIT_MS)
def refresh_recommendations(
    services: list[int] | None = None, reason: str = "", outdated: str | None = None
) -> None:
    """Make the recommendations anew that are missing or outdated, of these services or of all.

    What was made before the instant ``outdated`` (ISO 8601) counts as outdated. The subscriber that asks has
    marked it so already, but its transaction may not have ended when this begins.
    """
    from apps.slos.making import compute

    if outdated is not None:
        storing.mark_outdated(services, made_before=datetime.fromisoformat(outdated))
    compute.refresh(services, reason=reason or "made anew when due")


@dramatiq.actor(
    actor_name="slos.refresh_hourly", queue_name="bulk", time_limit=RUN_TIME_LIMIT_MS, max_retries=0
)
def refresh_hourly() -> None:
    """The hour's work: statuses first, which people look at, then the recommendations that are due."""
    from apps.slos.making import compute

    status.refresh()
    compute.refresh(None, reason="hourly refresh")


@dramatiq.actor(actor_name=REFRESH_STATUS, queue_name="default")
def refresh_status(
    services: list[int] | None = None, since: str | None = None, everything: bool = False
) -> None:
    """Compute the statuses of these services, or of all that changed.

    Hours from the instant ``since`` (ISO 8601) on were read again; ``everything`` takes all as changed.
    """
    read_since = None if since is None else datetime.fromisoformat(since)
    status.refresh(services, since=read_since, everything=everything)


@dramatiq.actor(actor_name="slos.keep_house", queue_name="default", max_retries=0)
def keep_house() -> None:
    """Let go of recommendations that are past their time."""
    logger.info("slos.housekeeping", expired=storing.expire(), pruned=storing.prune())
