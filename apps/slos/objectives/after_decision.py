"""What is known of a service's standing in the moment of a decision, before a worker has counted anything."""

from __future__ import annotations

from django.conf import settings

from apps.catalog.models import Service
from apps.core import instants
from apps.slos.models import ActiveSlo, ServiceStatus, SliType
from apps.slos.objectives.questions import due_reasons

BEING_COUNTED = "The SLO has just changed. A worker counts its budget."


def read_due_anew(service: Service) -> None:
    """Note which decisions are due for a service, in the transaction of a decision.

    The time keeps a computation that began before the decision from writing over it.
    """
    due = [one.sli_type for one in due_reasons([service.pk]).get(service.pk, ())]
    ServiceStatus.objects.filter(service=service).update(
        decision_due=bool(due), due_sli_types=due, computed_at=instants.now()
    )


def follow_change(service: Service, sli_type: str) -> None:
    """Make a service's status true in the transaction that changes its SLO, as far as that needs no counting.

    The figures of an availability SLO are those of the SLO before, so they are taken away until a worker has counted
    the new budget.
    """
    read_due_anew(service)
    if sli_type != SliType.AVAILABILITY:
        return
    slo = ActiveSlo.objects.filter(service=service, sli_type=sli_type, ended_at=None).first()
    ServiceStatus.objects.filter(service=service).update(
        state=ServiceStatus.State.COUNTING,
        reason=BEING_COUNTED,
        target=float(slo.target) if slo else None,
        window_days=slo.window_days if slo else settings.WINDOW_DAYS,
        budget_left=None,
        burn_1h=None,
        burn_6h=None,
        burn_1d=None,
        burn_3d=None,
        exhausted_at=None,
    )
