"""The actors of journeys. Each may run twice, because a new result replaces the old one."""

from __future__ import annotations

import dramatiq
from django.db import transaction

from apps.core.runs import Done, Holding
from apps.journeys import runs
from apps.journeys.documents import StepAsked, WhatIfAnswer
from apps.journeys.what_if import computation as _questions  # noqa: F401  the questions that are answered here


@dramatiq.actor(actor_name="journeys.refresh_hourly", queue_name="default")
def refresh_hourly() -> None:
    """Compute all journeys from the newest recommendations."""
    with transaction.atomic():
        runs.refresh(None, reason="hourly refresh", is_forced=True)


def refresh(holding: Holding) -> Done:
    """Compute the journeys that need a new result, of the named ones or of all."""
    from apps.journeys.making import compute

    wanted = holding.parameters(runs.Refresh)
    made = compute.refresh(
        wanted.journeys,
        reason=wanted.reason or "asked for",
        asked=wanted.asked,
        is_forced=wanted.is_forced,
        progress=holding.progress,
        fence=holding.fenced,
    )
    return Done({"journeys": made})


def what_if(service_pk: int, steps: list[StepAsked]) -> WhatIfAnswer:
    """Return what some steps would do. Stores nothing."""
    from apps.journeys.what_if import trial

    return trial.answer(service_pk, steps)
