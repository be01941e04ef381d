"""What SLOs do when they hear of something. Each may hear it twice."""

from __future__ import annotations

from datetime import datetime

from apps.catalog.models import Service
from apps.core import instants
from apps.core.delivery.outbox import subscribe
from apps.core.models import OutboxEvent
from apps.slos import runs
from apps.slos.documents import recommendation_cache
from apps.slos.making import storing


@subscribe("catalog.graph_changed", name="slos.outdate_on_graph_change")
def outdate_on_graph_change(event: OutboxEvent) -> None:
    """A changed graph changes what is supported: the recommendations of its services are made again."""
    names = event.payload.get("service_ids")
    services = None
    if names is not None:
        services = list(Service.objects.filter(service_id__in=names).values_list("pk", flat=True))
    now = instants.now()
    storing.mark_outdated(services, now=now)
    recommendation_cache.forget(services)
    runs.refresh(services, reason="the dependency graph changed", outdated=now)


@subscribe("telemetry.stored", name="slos.refresh_on_telemetry")
def refresh_on_telemetry(event: OutboxEvent) -> None:
    """New hours move budgets at once. Loaded history moves recommendations as well; an hour more does not.

    A collection names the hours that it read, and only the services that have any there are looked at.
    """
    outdated = None
    is_hourly = event.payload.get("kind") == "collection"
    if not is_hourly:
        now = instants.now()
        storing.mark_outdated(None, now=now)
        recommendation_cache.forget(None)
        outdated = now
    start = event.payload.get("window_start") if is_hourly else None
    since = datetime.fromisoformat(start) if start else None
    runs.refresh(None, reason="new telemetry", outdated=outdated, since=since, everything=not is_hourly)


@subscribe("slos.recommendations_made", name="slos.forget_on_new_recommendations")
def forget_on_new_recommendations(event: OutboxEvent) -> None:
    """New numbers: cached documents are outdated, and so is whether a decision is due."""
    services = event.payload.get("services")
    recommendation_cache.forget(services)
    runs.refresh_status(services)


@subscribe("slos.slo_changed", name="slos.refresh_on_slo_change")
def refresh_on_slo_change(event: OutboxEvent) -> None:
    """A changed SLO has another budget."""
    services = [event.payload["service"]]
    recommendation_cache.forget(services)
    runs.refresh_status(services)


@subscribe("slos.recommendation_decided", name="slos.renew_on_decision")
def renew_on_decision(event: OutboxEvent) -> None:
    """What was decided on is no longer current: the next one is made, so that nobody waits for it."""
    services = [event.payload["service"]]
    recommendation_cache.forget(services)
    runs.refresh(services, reason="the one before was decided on")
