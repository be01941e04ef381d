"""What all decisions share: find the subject, refuse what has changed, end one SLO and begin another."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import Case, F, Max, When

from apps.catalog.models import Service
from apps.core import instants
from apps.core.actions import Actor, Event, FieldChange
from apps.core.errors import Conflict, InvalidInput, NotFound
from apps.slos.formatting import SLI_WORDS, TIERS, number_words, slo_snapshot, slo_words, tier_number
from apps.slos.models import ActiveSlo, Recommendation, SloStanding
from apps.ui.format import utc_text

SMALLEST, LARGEST = Decimal("0.000000001"), Decimal("0.999999999")


def find_service(service_id: str, *, lock: bool) -> Service:
    """Return the service of a decision, locked so that decisions on one service follow each other.

    Raises :class:`NotFound`. The lock does not block rows that refer to the service (``FOR NO KEY UPDATE``).
    """
    services = Service.objects.select_related("team")
    if lock:
        services = services.select_for_update(of=("self",), no_key=True)
    service = services.filter(service_id=service_id).first()
    if service is None:
        raise NotFound(f"There is no service called {service_id}.")
    return service


def active_slo(service: Service, sli_type: str) -> ActiveSlo | None:
    """Return the active SLO, or ``None``."""
    return ActiveSlo.objects.filter(service=service, sli_type=sli_type, ended_at__isnull=True).first()


def current_recommendation(service: Service, sli_type: str) -> Recommendation | None:
    """Return the current recommendation, or ``None``; it may have expired."""
    return Recommendation.objects.filter(
        service=service, sli_type=sli_type, status=Recommendation.Status.CURRENT
    ).first()


def newest_recommendation(service: Service, sli_type: str) -> Recommendation | None:
    """Return the current recommendation or, if there is none, the one that was last decided on."""
    found = Recommendation.objects.filter(service=service, sli_type=sli_type)
    is_current = Case(When(status=Recommendation.Status.CURRENT, then=0), default=1)
    return found.order_by(is_current, F("decided_at").desc(nulls_last=True), "-generated_at").first()


def open_recommendation(service: Service, sli_type: str, recommendation_id: UUID | None) -> Recommendation:
    """Return the recommendation that a decision names, or the current one, if it can still be decided on.

    Raises :class:`NotFound`. Raises :class:`Conflict`, with the difference to the present state and both
    recommendations' ids, if the recommendation was already decided on, was superseded or has expired.
    """
    if recommendation_id is None:
        newest = newest_recommendation(service, sli_type)
        if newest is None:
            raise NotFound(
                f"{service.service_id} has no {SLI_WORDS[sli_type]} recommendation yet. "
                "Get one first: GET …/slo-recommendations."
            )
        recommendation_id = newest.pk
    seen = Recommendation.objects.filter(pk=recommendation_id, service=service, sli_type=sli_type).first()
    if seen is None:
        raise NotFound(
            f"There is no {SLI_WORDS[sli_type]} recommendation {recommendation_id} for {service.service_id}."
        )
    if seen.status == Recommendation.Status.CURRENT and seen.expires_at > instants.now():
        return seen
    now = current_recommendation(service, sli_type)
    what = {
        Recommendation.Status.ACCEPTED: "was accepted",
        Recommendation.Status.REJECTED: "was rejected",
        Recommendation.Status.SUPERSEDED: "was replaced by a newer one",
    }.get(Recommendation.Status(seen.status), "has expired")
    if seen.decided_by is not None:
        what += f" by {seen.decided_by.get_username()}"
    if now is None:
        next_step = "The next one is being made; get it, then decide on that."
    else:
        next_step = "Decide on the current one." if now.pk != seen.pk else "Regenerate it first."
    raise Conflict(
        f"The {SLI_WORDS[sli_type]} recommendation for {service.service_id} {what}. {next_step}",
        extra={
            "difference": as_rows(difference(service, sli_type, seen=seen)),
            "seen": str(seen.pk),
            "current": str(now.pk) if now is not None and now.pk != seen.pk else None,
        },
    )


def difference(
    service: Service, sli_type: str, *, seen: Recommendation | None = None, seen_slo: ActiveSlo | None = None
) -> list[FieldChange]:
    """List what the person saw beside the present state: the SLO and, in numbers, the recommendation."""
    slo = active_slo(service, sli_type)
    rows: list[FieldChange] = []
    before = seen_slo
    if seen is not None and before is None:
        before = (
            ActiveSlo.objects.filter(service=service, sli_type=sli_type, started_at__lte=seen.generated_at)
            .order_by("-started_at")
            .exclude(ended_at__lte=seen.generated_at)
            .first()
        )
    if slo_words(before) != slo_words(slo):
        rows.append(FieldChange("SLO", slo_words(before), slo_words(slo)))
    if slo is not None and (before is None or before.pk != slo.pk):
        rows.append(FieldChange("Decided by", "", f"{slo.started_by_name}, {utc_text(slo.started_at)}"))
    if seen is None:
        return rows
    now = current_recommendation(service, sli_type)
    rows.append(
        FieldChange(
            "Recommendation you saw", "current", seen.status if seen.status != "current" else "expired"
        )
    )
    if now is None or now.pk == seen.pk:
        return rows
    for tier in TIERS:
        old, new = tier_number(seen, tier), tier_number(now, tier)
        if old != new:
            rows.append(
                FieldChange(tier.capitalize(), number_words(sli_type, old), number_words(sli_type, new))
            )
    rows.append(FieldChange("Data up to", utc_text(seen.as_of), utc_text(now.as_of)))
    return rows


def as_rows(changes: list[FieldChange]) -> list[dict[str, str]]:
    """Return field changes as JSON."""
    return [{"label": change.label, "before": change.before, "after": change.after} for change in changes]


def expect_version(service: Service, sli_type: str, expected: int | None) -> None:
    """Raise :class:`Conflict`, with the difference, unless the SLO still has the version that the person saw.

    ``expected`` is 0 if they saw no SLO; ``None`` checks nothing.
    """
    if expected is None:
        return
    slo = active_slo(service, sli_type)
    found = slo.version if slo else 0
    if found == expected:
        return
    seen = ActiveSlo.objects.filter(service=service, sli_type=sli_type, version=expected).first()
    raise Conflict(
        f"The {SLI_WORDS[sli_type]} SLO of {service.service_id} is at version {found}; "
        f"you saw version {expected}.",
        extra={"difference": as_rows(difference(service, sli_type, seen_slo=seen)), "version": found},
    )


def checked_target(value: float, field: str = "target") -> Decimal:
    """Return a target as it is stored. Raises :class:`InvalidInput` if rounding to nine decimals gives 0 or 1."""
    from apps.core.errors import FieldProblem

    target = round(Decimal(repr(value)), 9)
    if SMALLEST <= target <= LARGEST:
        return target
    lacks = "asks for nothing" if target < SMALLEST else "leaves no budget"
    raise InvalidInput(
        f"A target must lie between {SMALLEST:f} and {LARGEST:f}.",
        fields=[FieldProblem(field, f"{value!r} rounds to {target.normalize():f}, which {lacks}")],
    )


def end_slo(service: Service, sli_type: str) -> ActiveSlo | None:
    """End the active SLO, if there is one; the recommendation behind it is superseded."""
    slo = active_slo(service, sli_type)
    if slo is None:
        return None
    slo.ended_at = instants.now()
    slo.save(update_fields=["ended_at"])
    SloStanding.objects.filter(slo=slo).delete()
    Recommendation.objects.filter(
        service=service, sli_type=sli_type, status=Recommendation.Status.ACCEPTED
    ).update(status=Recommendation.Status.SUPERSEDED)
    return slo


def begin_slo(service: Service, sli_type: str, *, actor: Actor, **values: Any) -> ActiveSlo:
    """Begin an SLO. Its version is one more than the last one that this service had for this SLI."""
    last = (
        ActiveSlo.objects.filter(service=service, sli_type=sli_type).aggregate(last=Max("version"))["last"]
        or 0
    )
    slo = ActiveSlo.objects.create(
        service=service,
        sli_type=sli_type,
        started_at=instants.now(),
        started_by=actor.user,
        started_by_name=actor.name,
        version=last + 1,
        **values,
    )
    slo.refresh_from_db()
    return slo


def slo_changed(service: Service, kind: str, before: ActiveSlo | None, after: ActiveSlo | None) -> Event:
    """Return the event that an SLO changed."""
    slo = after or before
    assert slo is not None
    return Event(
        "slos.slo_changed",
        {
            "service": service.pk,
            "service_id": service.service_id,
            "sli_type": slo.sli_type,
            "kind": kind,
            "before": slo_snapshot(before),
            "after": slo_snapshot(after),
        },
        aggregate=f"service:{service.pk}",
    )


def recommendation_decided(recommendation: Recommendation, service: Service, decision: str) -> Event:
    """Return the event that a recommendation was decided on."""
    return Event(
        "slos.recommendation_decided",
        {
            "service": service.pk,
            "service_id": service.service_id,
            "sli_type": recommendation.sli_type,
            "recommendation": str(recommendation.pk),
            "decision": decision,
        },
        aggregate=f"service:{service.pk}",
    )
