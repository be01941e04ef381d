"""SLOs: active and ended, and how much of each budget is left day by day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db.models import QuerySet

from apps.catalog.models import Service
from apps.core.models import AuditEntry
from apps.slos.models import ActiveSlo, Recommendation
from apps.slos.objectives import sli_events
from apps.slos.objectives.budgets import budget_left
from apps.slos.objectives.odds import missed_odds

HISTORY_LIMIT = 50


@dataclass(frozen=True, slots=True)
class BudgetPoint:
    """How much of the budget was left at the end of a day, 0..1, negative when overspent."""

    day: date
    left: float
    total: float
    bad: float


@dataclass(frozen=True, slots=True)
class BurnDown:
    """The budget of one SLO over its window: what it allows, what went, and day by day what was left."""

    slo: ActiveSlo
    as_of: datetime | None
    allowed: float
    """Bad events that the whole window allows, from the events seen so far."""
    spent: float
    points: Sequence[BudgetPoint]

    @property
    def left(self) -> float | None:
        return self.points[-1].left if self.points else None


def burn_down(service: Service, slo: ActiveSlo, *, as_of: datetime | None) -> BurnDown:
    """Return an SLO's budget over its window, which ends at the newest complete hour, ``as_of``.

    The budget is that of all the window's events, so a busy day counts for more than a quiet one, and the
    line only falls: each day takes from it what failed that day.
    """
    if as_of is None:
        return BurnDown(slo, None, 0.0, 0.0, [])
    since = as_of - timedelta(days=slo.window_days)
    # Hours, not days, at the window's ends: the line ends exactly where the status says.
    days = sli_events.hourly_days(service.pk, slo.sli_type, slo.threshold_ms, slo.basis, since, as_of)
    total = sum(day.total for day in days)
    target = float(slo.target)
    points: list[BudgetPoint] = []
    spent = 0.0
    for day in days:
        spent += day.bad
        left = budget_left(spent, total, target)
        if left is not None:
            points.append(BudgetPoint(day.day, left, day.total, day.bad))
    return BurnDown(slo, as_of, total * (1 - target), spent, points)


def slo_history(service: Service, *, limit: int = HISTORY_LIMIT) -> list[ActiveSlo]:
    """Return the SLOs of a service, active and ended, the newest first."""
    return list(ActiveSlo.objects.filter(service=service).order_by("-started_at")[:limit])


def decisions_history(service: Service, *, limit: int = HISTORY_LIMIT) -> list[AuditEntry]:
    """Return the audit entries of what people decided about a service's SLOs, the newest first."""
    return list(
        AuditEntry.objects.filter(service_id=service.service_id, action__startswith="slos.")
        .exclude(action="slos.store_recommendations")
        .order_by("-created_at", "-id")[:limit]
    )


def odds_of(slos: Sequence[ActiveSlo]) -> dict[tuple[int, str], str]:
    """Return how often each of these SLOs is missed, in words, by service and SLI: one query.

    An SLO whose service has no current recommendation with tiers is left out.
    """
    # Tiers are about the recommendation's window, and say nothing of an SLO over another.
    tiers: dict[tuple[int, str, int], list[float | None]] = {
        (int(service), str(sli_type), int(window)): numbers
        for service, sli_type, window, *numbers in Recommendation.objects.filter(
            service__in={slo.service_id for slo in slos}, status=Recommendation.Status.CURRENT
        ).values_list("service", "sli_type", "window_days", "conservative", "balanced", "aggressive")
    }
    found: dict[tuple[int, str], str] = {}
    for slo in slos:
        key = (slo.service_id, slo.sli_type)
        number = slo.threshold_ms if slo.threshold_ms is not None else float(slo.target)
        words, _ = missed_odds(slo.sli_type, number, tiers.get((*key, slo.window_days), ()), slo.window_days)
        if words:
            found[key] = words
    return found


def all_slos(**filters: Any) -> QuerySet[ActiveSlo]:
    """Return the active SLOs with their service and team, for lists; ``filters`` as for the ORM."""
    return ActiveSlo.objects.filter(ended_at__isnull=True, **filters).select_related(
        "service__team", "standing"
    )
