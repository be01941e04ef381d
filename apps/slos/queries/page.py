"""Everything that the page of one service shows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import attrgetter

from django.conf import settings
from django.utils import timezone

from apps.catalog.models import CycleAlert, Service
from apps.catalog.queries import cycles_of
from apps.core.models import AuditEntry
from apps.engine.document import DataQuality
from apps.slos.documents.assembled import SLI_TYPES, with_age
from apps.slos.documents.types import AgedDocument
from apps.slos.impact.callers import Reaching, reaching
from apps.slos.models import ActiveSlo, ServiceStatus
from apps.slos.objectives import sli_events
from apps.slos.objectives.questions import Due, due_reasons
from apps.slos.objectives.sli_events import Day
from apps.slos.queries.active_slos import (
    HISTORY_LIMIT,
    BurnDown,
    burn_down,
    decisions_history,
    slo_history,
)
from apps.slos.queries.recommendations import (
    active_slos,
    current_generation,
    current_recommendations,
    last_recommendations,
)
from apps.telemetry.queries import LatencyPoint, latency_points, newest_end

CHART_DAYS = 90
LATENCY_CHART_DAYS = 14
UPSTREAM_NAMED = 6


@dataclass(frozen=True, slots=True)
class ServicePage:
    """One service: how it stands, its SLOs, those it could keep, whom it touches, what was decided.

    ``recommendation`` is the document of :mod:`apps.slos.documents.assembled` with ``is_stale`` and ``age_seconds``, or
    ``None`` where none was ever made. ``versions`` holds the version of each SLO (0 for none), which a
    decision sends back.
    """

    service: Service
    status: ServiceStatus | None
    slos: dict[str, ActiveSlo]
    versions: dict[str, int]
    recommendation: AgedDocument | None
    due: list[Due]
    burn_downs: dict[str, BurnDown]
    days: list[Day]
    latency: list[LatencyPoint]
    history: list[ActiveSlo]
    decisions: list[AuditEntry]
    upstream: Reaching
    cycles: list[CycleAlert]
    as_of: datetime | None

    @property
    def is_being_counted(self) -> bool:
        """Whether the budget is not known because a decision has just changed the SLO."""
        return self.status is not None and self.status.state == ServiceStatus.State.COUNTING

    @property
    def window_days(self) -> int:
        """The window that the recommendation is about; the usual one where there is none."""
        return self.recommendation["window_days"] if self.recommendation else settings.WINDOW_DAYS

    @property
    def data_quality(self) -> DataQuality | None:
        """What is known of the data behind the recommendation."""
        return self.recommendation["data_quality"] if self.recommendation else None


def service_page(service: Service, *, now: datetime | None = None) -> ServicePage:
    """Read a service's page. It shows what is stored, and computes no new recommendation."""
    now = now or timezone.now()
    generation = current_generation(service.pk)
    document = current_recommendations(service, generation)
    is_stale = not generation.is_fresh(now)
    if generation.sli_types != set(SLI_TYPES):
        # What was decided on a moment ago is still shown until the next one is there.
        document = last_recommendations(service) or document
    history = slo_history(service)
    # A history that is not cut holds the active SLOs as well.
    in_force = (
        sorted((slo for slo in history if slo.ended_at is None), key=attrgetter("sli_type"))
        if len(history) < HISTORY_LIMIT
        else active_slos(service)
    )
    slos = {slo.sli_type: slo for slo in in_force}
    as_of = newest_end(service.pk, now)
    since = as_of - timedelta(days=CHART_DAYS) if as_of else now
    return ServicePage(
        service=service,
        status=getattr(service, "status", None),
        slos=slos,
        versions={sli_type: slo.version for sli_type, slo in slos.items()},
        recommendation=with_age(document, now, is_stale=is_stale) if document else None,
        due=due_reasons([service.pk]).get(service.pk, []),
        burn_downs={sli_type: burn_down(service, slo, as_of=as_of) for sli_type, slo in slos.items()},
        days=sli_events.availability_days(service.pk, since, as_of) if as_of else [],
        latency=latency_points(service.pk, as_of - timedelta(days=LATENCY_CHART_DAYS), as_of)
        if as_of
        else [],
        history=history,
        decisions=decisions_history(service),
        upstream=reaching(service, limit=UPSTREAM_NAMED),
        cycles=cycles_of(service),
        as_of=as_of,
    )
