"""The subscribers of journeys. An event may arrive twice."""

from __future__ import annotations

from django.db.models import QuerySet

from apps.core import instants
from apps.core.delivery.outbox import subscribe
from apps.core.models import OutboxEvent
from apps.journeys import runs
from apps.journeys.actions import CHANGED
from apps.journeys.models import Journey
from apps.journeys.services import mark_outdated


@subscribe(CHANGED, name="journeys.compute_on_change")
def compute_on_change(event: OutboxEvent) -> None:
    """Compute a created or edited journey at once."""
    journeys = event.payload.get("journeys") or []
    if journeys:
        runs.refresh(journeys, reason="the journey changed")


@subscribe("slos.recommendations_made", name="journeys.compute_on_recommendations")
def compute_on_recommendations(event: OutboxEvent) -> None:
    """Compute the journeys of a service that has new recommendations."""
    services = event.payload.get("services")
    rows = Journey.objects.all() if services is None else Journey.objects.filter(members__in=services)
    _refresh(rows, "new recommendations")


@subscribe("catalog.graph_changed", name="journeys.compute_on_graph_change")
def compute_on_graph_change(event: OutboxEvent) -> None:
    """Compute the journeys of services whose dependencies changed or that were removed."""
    names = event.payload.get("service_ids")
    rows = Journey.objects.all() if names is None else Journey.objects.filter(members__service_id__in=names)
    _refresh(rows, "the dependency graph changed")


def _refresh(rows: QuerySet[Journey], reason: str) -> None:
    """Note that these results are outdated, and start a run."""
    now = instants.now()
    touched = mark_outdated(set(rows.values_list("pk", flat=True)), now=now)
    if touched:
        runs.refresh(touched, reason=reason, asked=now)
