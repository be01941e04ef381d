"""The decisions of the demo's people, made through the usual actions. For workers and commands."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from django.db import transaction

from apps.catalog.models import Service
from apps.core.actions import Actor
from apps.core.demo_parts import ORIGIN
from apps.core.dispatcher import dispatch
from apps.core.errors import BallastError
from apps.core.json_types import JsonObject
from apps.core.models import AuditEntry
from apps.demo import queries, signins
from apps.demo.description import Decision, Fleet
from apps.slos.models import ActiveSlo, Recommendation

logger = structlog.get_logger(__name__)


def make_by_hand(demo: Fleet) -> int:
    """Set the SLOs that precede any recommendation. Return how many were set now."""
    return _make([decision for decision in _open(demo) if decision.is_by_hand])


def recommend_first(say: Callable[[str], None]) -> int:
    """Compute and store recommendations for the demo's services that never had one. Return for how many.

    A worker may have begun when telemetry was stored. What it has made is kept.
    """
    pks = queries.service_pks()
    known = set(Recommendation.objects.filter(service__in=pks).values_list("service_id", flat=True))
    missing = [pk for pk in pks if pk not in known]
    if not missing:
        return 0
    from apps.slos.services import refresh_recommendations

    say(f"Computing recommendations for {len(missing)} services.")
    refresh_recommendations(missing, reason="the demo was loaded")
    return len(missing)


def make_on_recommendations(demo: Fleet) -> int:
    """Accept, modify and reject as the description says, where there is a number. Return how many were made."""
    return _make([decision for decision in _open(demo) if not decision.is_by_hand])


def _make(decisions: list[Decision]) -> int:
    """Make the decisions in one transaction, so that a worker that renews a service finds all of its decisions."""
    if not decisions:
        return 0
    actors = {
        name: Actor.person(user, AuditEntry.Source.COMMAND) for name, user in signins.demo_users().items()
    }
    with transaction.atomic():
        # Lock all at once and in the common order, because workers renew recommendations meanwhile.
        names = {decision.service for decision in decisions}
        services = Service.objects.select_for_update(no_key=True).filter(service_id__in=names)
        list(services.order_by("pk").values_list("pk", flat=True))
        return sum(
            _set_slo(decision, actors[decision.by])
            if decision.is_by_hand
            else _decide(decision, actors[decision.by])
            for decision in decisions
        )


def _open(demo: Fleet) -> list[Decision]:
    """Return the decisions that are not made yet. One that a person made in the meantime stays."""
    origin = {"service__origin": ORIGIN}
    made = set(ActiveSlo.objects.filter(**origin).values_list("service__service_id", "sli_type"))
    decided = Recommendation.objects.filter(**origin, decided_at__isnull=False)
    made |= set(decided.values_list("service__service_id", "sli_type"))
    return [decision for decision in demo.decisions if (decision.service, decision.sli) not in made]


def _set_slo(decision: Decision, actor: Actor) -> bool:
    data = {"target": decision.target, "rationale": decision.rationale, "expected_version": 0}
    return _dispatch("slos.set", decision, actor, data)


def _decide(decision: Decision, actor: Actor) -> bool:
    recommendation = Recommendation.objects.filter(
        service__service_id=decision.service, sli_type=decision.sli, status=Recommendation.Status.CURRENT
    ).first()
    if recommendation is None or recommendation.balanced is None:
        return False
    seen = {"recommendation_id": str(recommendation.pk), "rationale": decision.rationale}
    if decision.target is not None:
        return _dispatch("slos.modify", decision, actor, {**seen, "target": decision.target})
    if decision.tier:
        return _dispatch("slos.accept", decision, actor, {**seen, "tier": decision.tier})
    return _dispatch("slos.reject", decision, actor, seen)


def _dispatch(action: str, decision: Decision, actor: Actor, data: JsonObject) -> bool:
    """Dispatch it as the demo's user. Where somebody was faster, their decision stays and the next run looks again."""
    try:
        dispatch(action, {"service_id": decision.service, "sli_type": decision.sli, **data}, actor=actor)
    except BallastError as error:
        logger.warning("demo.decision_not_made", action=action, service=decision.service, error=error.detail)
        return False
    return True
