"""What SLOs do when they hear of something. Each may hear it twice."""

from __future__ import annotations

from django.conf import settings
from django.utils import timezone

from apps.catalog.models import Service
from apps.core.models import OutboxEvent
from apps.core.outbox import subscribe
from apps.slos.documents import recommendation_cache
from apps.slos.making import storing
from apps.slos.queueing import COMPUTE_ONE, REFRESH, REFRESH_STATUS, enqueue


@subscribe("catalog.graph_changed", name="slos.outdate_on_graph_change")
def outdate_on_graph_change(event: OutboxEvent) -> None:
    """A changed graph changes what is supported: the recommendations of its services are made anew."""
    names = event.payload.get("service_ids")
    services = None
    if names is not None:
        services = list(Service.objects.filter(service_id__in=names).values_list("pk", flat=True))
    now = timezone.now()
    storing.mark_outdated(services, now=now)
    recommendation_cache.forget(services)
    reason = "the dependency graph changed"
    enqueue(REFRESH, "bulk", services=services, reason=reason, outdated=now.isoformat())
    enqueue(REFRESH_STATUS, "default", services=services)


@subscribe("telemetry.stored", name="slos.refresh_on_telemetry")
def refresh_on_telemetry(event: OutboxEvent) -> None:
    """New hours move budgets at once. Loaded history moves recommendations as well; an hour more does not.

    A collection names the hours that it read, and only the services that have any there are looked at.
    """
    outdated = None
    is_hourly = event.payload.get("kind") == "collection"
    if not is_hourly:
        now = timezone.now()
        storing.mark_outdated(None, now=now)
        recommendation_cache.forget(None)
        outdated = now.isoformat()
    since = event.payload.get("window_start") if is_hourly else None
    enqueue(REFRESH_STATUS, "default", services=None, since=since, everything=not is_hourly)
    enqueue(REFRESH, "bulk", services=None, reason="new telemetry", outdated=outdated)


@subscribe("slos.regenerate_requested", name="slos.compute_on_request")
def compute_on_request(event: OutboxEvent) -> None:
    """Give a person's request to a worker."""
    payload = event.payload
    enqueue(
        COMPUTE_ONE,
        "interactive",
        service_pk=payload["service"],
        window_days=settings.WINDOW_DAYS,
        store=True,
        ticket=payload["ticket"],
        asked_by=payload["asked_by"],
    )


@subscribe("slos.recommendations_made", name="slos.forget_on_new_recommendations")
def forget_on_new_recommendations(event: OutboxEvent) -> None:
    """New numbers: cached documents are outdated, and so is whether a decision is due."""
    services = event.payload.get("services")
    recommendation_cache.forget(services)
    enqueue(REFRESH_STATUS, "default", services=services)


@subscribe("slos.slo_changed", name="slos.refresh_on_slo_change")
def refresh_on_slo_change(event: OutboxEvent) -> None:
    """A changed promise has another budget."""
    services = [event.payload["service"]]
    recommendation_cache.forget(services)
    enqueue(REFRESH_STATUS, "default", services=services)


@subscribe("slos.recommendation_decided", name="slos.renew_on_decision")
def renew_on_decision(event: OutboxEvent) -> None:
    """What was decided on is no longer current: the next one is made, so that nobody waits for it."""
    services = [event.payload["service"]]
    recommendation_cache.forget(services)
    enqueue(REFRESH, "bulk", services=services, reason="the one before was decided on")
    enqueue(REFRESH_STATUS, "default", services=services)
