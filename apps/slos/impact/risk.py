"""What to know before deciding on an SLO: computed from the service's own past and its dependencies."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from apps.catalog.models import Service
from apps.core.actions import Touch
from apps.slos.formatting import TIERS, is_latency, number_words, tier_number
from apps.slos.impact.analysis import analyse
from apps.slos.impact.callers import reaching
from apps.slos.models import Recommendation, ServiceStatus, SliType
from apps.slos.objectives import sli_events
from apps.slos.objectives.lifecycle import current_recommendation
from apps.telemetry.queries import newest_end
from apps.ui.format import chance_words, missed_words, percent, plural

NAMED = 5
HARDLY_A_TARGET = 0.5
"""A lower target is allowed, for a service that is no better, but gets a warning."""
LAST_DIGIT = 1e-9
"""A target is stored with nine decimals, a tier with more: a smaller difference counts as none."""


def missed_before(
    service: Service, sli_type: str, target: float, threshold_ms: float | None, basis: str, window_days: int
) -> tuple[int, int]:
    """Return how many past windows would have missed an SLO, of how many that can be judged."""
    until = newest_end(service.pk, timezone.now())
    if until is None:
        return 0, 0
    # As far back as the engine's backtest of a tier, so that a dialog and a tier's strip agree.
    since = until - timedelta(
        days=sli_events.LATENCY_DAYS if is_latency(sli_type) else sli_events.LOOK_BACK_DAYS
    )
    days = sli_events.days_for(service.pk, sli_type, threshold_ms, basis, since, until)
    windows = sli_events.past_windows(days, window_days, until)
    return sum(1 for window in windows if window.good_share < target), len(windows)


def dependency_limit(recommendation: Recommendation | None) -> float | None:
    """Return the availability that the dependencies support, according to the recommendation."""
    limit = recommendation.document.get("dependency_limit") if recommendation else None
    return None if limit is None else float(limit)


def tier_warning(recommendation: Recommendation, value: float, window_days: int) -> str | None:
    """Say where a number lies among the tiers, if it is missed more often than the balanced tier.

    Tiers say nothing of an SLO over another window.
    """
    numbers = [tier_number(recommendation, tier) for tier in TIERS]
    if recommendation.window_days != window_days or any(number is None for number in numbers):
        return None
    sign = -1 if is_latency(recommendation.sli_type) else 1
    _, balanced, aggressive = (sign * float(number or 0) for number in numbers)
    if sign * value > aggressive + LAST_DIGIT:
        shown = number_words(recommendation.sli_type, sign * aggressive)
        often = chance_words(0.20, window_days)
        return f"Harder than the aggressive tier, {shown}: missed more often than {often}."
    if sign * value > balanced + LAST_DIGIT:
        return (
            f"Between the balanced and the aggressive tier: missed between {chance_words(0.05, window_days)} "
            f"and {chance_words(0.20, window_days)}."
        )
    return None


def warnings_for(
    service: Service, sli_type: str, target: float, threshold_ms: float | None, basis: str, window_days: int
) -> list[str]:
    """List what speaks against an SLO, each with its numbers; empty if nothing does."""
    found: list[str] = []
    recommendation = current_recommendation(service, sli_type)
    limit = dependency_limit(recommendation)
    missed, of = missed_before(service, sli_type, target, threshold_ms, basis, window_days)
    past = f"{missed_words(missed, of)} would have missed it" if missed else ""
    if sli_type == SliType.AVAILABILITY and limit is not None and target > limit:
        found.append(
            f"{percent(target)} is above what the dependencies support, {percent(limit)}"
            + (f": {past}." if past else ".")
        )
    elif past:
        found.append(f"{past[0].upper()}{past[1:]}.")
    if recommendation is not None:
        value = threshold_ms if is_latency(sli_type) else target
        warning = tier_warning(recommendation, float(value or 0), window_days)
        if warning:
            found.append(warning)
    if sli_type == SliType.AVAILABILITY and target < HARDLY_A_TARGET:
        found.insert(0, f"{percent(target)} lets more requests fail than succeed. Is that intended?")
    if sli_type == SliType.AVAILABILITY:
        status = ServiceStatus.objects.filter(service=service).first()
        if status is not None and status.observed is not None and status.observed < target:
            found.append(
                f"{percent(status.observed)} was observed over the last {status.window_days} days: "
                "the budget would be spent from the first day."
            )
    broken = [
        effect for effect in analyse(service, sli_type, threshold_ms or target).affected if effect.breaks
    ]
    if broken:
        names = ", ".join(effect.service_id for effect in broken[:NAMED])
        more = f" and {len(broken) - NAMED} more" if len(broken) > NAMED else ""
        found.append(f"{plural(len(broken), 'SLO')} upstream could not be kept with it: {names}{more}.")
    return found


def touches_for(service: Service) -> list[Touch]:
    """Name the services with an SLO of their own that call this one, directly or through others."""
    found = reaching(service, limit=NAMED)
    return [Touch(found.total, "upstream services with an SLO", found.names)]
