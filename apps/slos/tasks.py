"""What workers do for SLOs. All of it may run twice: what is stored replaces what was stored before."""

from __future__ import annotations

import dramatiq
import structlog
from django.conf import settings
from django.db import transaction

from apps.core.redis import asking
from apps.core.runs import Done, Holding, LeaseLost
from apps.slos import computation as _questions  # noqa: F401  the questions that are answered here
from apps.slos import runs
from apps.slos.documents.types import Answer
from apps.slos.making import storing
from apps.slos.objectives import status

logger = structlog.get_logger(__name__)


def recommendation(service_pk: int, window_days: int, store: bool, asked_by: str) -> Answer:
    """Answer with one service's recommendation, computed now."""
    from apps.slos.making import compute

    return compute.compute_one(service_pk, window_days=window_days, store=store, asked_by=asked_by)


@dramatiq.actor(actor_name="slos.refresh_hourly", queue_name="default")
def refresh_hourly() -> None:
    """The hour's work: statuses, which people look at, and the recommendations that are due."""
    with transaction.atomic():
        runs.refresh(None, reason="hourly refresh")


def refresh_recommendations(holding: Holding) -> Done:
    """Make the missing or outdated recommendations of the given services, or of all."""
    from apps.slos.making import compute

    wanted = holding.parameters(runs.Refresh)
    if wanted.outdated is not None:
        storing.mark_outdated(wanted.services, changed_at=wanted.outdated)
    made = compute.refresh(
        wanted.services,
        reason=wanted.reason or "made when due",
        outdated=wanted.outdated,
        progress=holding.progress,
        fence=holding.fenced,
    )
    return Done({"services": made})


def refresh_status(holding: Holding) -> Done:
    """Compute the statuses of the services named, or of all that changed."""
    wanted = holding.parameters(runs.RefreshStatus)
    done = status.refresh(wanted.services, since=wanted.since, everything=wanted.everything)
    return Done({"services": done})


def regenerate(holding: Holding) -> Done:
    """Compute one service, store it, and answer whoever waits for it."""
    from apps.slos.making import compute

    wanted = holding.parameters(runs.Regenerate)
    try:
        answer = compute.compute_one(
            wanted.service,
            window_days=settings.WINDOW_DAYS,
            store=True,
            asked_by=wanted.asked_by,
            fence=holding.fenced,
        )
    except LeaseLost:  # Whoever took the run over answers.
        raise
    except BaseException:
        runs.answer(wanted.tickets, asking.FAILED)
        raise
    runs.answer(wanted.tickets, answer)
    return Done({"services": 1})


@dramatiq.actor(actor_name="slos.keep_house", queue_name="default", max_retries=0)
def keep_house() -> None:
    """Let go of recommendations that are past their time."""
    logger.info("slos.housekeeping", expired=storing.expire(), pruned=storing.prune())
