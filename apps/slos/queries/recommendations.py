"""What is recommended: one service's document, the list of all, and what waits for a decision."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import connection
from django.db.models import F, Func, IntegerField, QuerySet

from apps.accounts.models import User
from apps.accounts.permissions import scope_of, team_ids
from apps.catalog.models import Service
from apps.core import instants
from apps.core.remembered import remembered
from apps.core.rooms import Scope
from apps.slos.documents import recommendation_cache
from apps.slos.documents.assembled import SLI_TYPES, stored_document
from apps.slos.documents.types import ServiceDocument
from apps.slos.models import ActiveSlo, Recommendation, ServiceStatus
from apps.slos.objectives.questions import Due

TABLE_LIMIT = 50
SORTS = {
    "service": "service__service_id",
    "balanced": "balanced",
    "confidence": "confidence",
    "generated": "generated_at",
    "verdict": "verdict",
}


_PLACE_AMONG_DUE = Func(
    F("service__status__due_sli_types"),
    F("sli_type"),
    function="array_position",
    output_field=IntegerField(null=True),
)


@dataclass(frozen=True, slots=True)
class Generation:
    """Which rows a service's document would be made of now: ``key`` changes whenever the document would."""

    key: str
    sli_types: frozenset[str]
    expires_at: datetime | None

    def is_fresh(self, now: datetime) -> bool:
        """Whether every SLI has a current recommendation that has not expired."""
        return self.sli_types == set(SLI_TYPES) and self.expires_at is not None and self.expires_at > now


def current_generation(service_pk: int) -> Generation:
    """Read the generation of a service's document: one query, answered from indexes."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT 'r', id::text, version, sli_type, expires_at FROM slos_recommendation
            WHERE service_id = %(service)s AND status = 'current'
            UNION ALL
            SELECT 's', id::text, version, sli_type, NULL FROM slos_activeslo
            WHERE service_id = %(service)s AND ended_at IS NULL
            ORDER BY 1, 2
            """,
            {"service": service_pk},
        )
        rows = cursor.fetchall()
    recommendations = [row for row in rows if row[0] == "r"]
    return Generation(
        hashlib.sha256(repr(rows).encode()).hexdigest()[:24],
        frozenset(row[3] for row in recommendations),
        min((row[4] for row in recommendations), default=None),
    )


def current_recommendations(service: Service, generation: Generation | None = None) -> ServiceDocument | None:
    """Return the document of what is recommended now, fresh or not, from the cache where it is there.

    ``None`` where nothing is current. :mod:`apps.slos.retrieval` has it made where it is missing.
    """
    generation = generation or current_generation(service.pk)
    if not generation.sli_types or generation.expires_at is None:
        return None
    window = settings.WINDOW_DAYS
    found = recommendation_cache.read(service.pk, window, generation.key)
    if found is None:
        rows = list(Recommendation.objects.filter(service=service, status=Recommendation.Status.CURRENT))
        if not rows:
            return None
        found = stored_document(service.service_id, rows, active_slos(service))
        seconds = (generation.expires_at - instants.now()).total_seconds()
        recommendation_cache.write(service.pk, window, generation.key, found, seconds)
    return found


def last_recommendations(service: Service) -> ServiceDocument | None:
    """Return the newest document there ever was, whatever became of it; ``None`` where there was none."""
    rows = list(
        Recommendation.objects.filter(service=service)
        .order_by("sli_type", "-generated_at")
        .distinct("sli_type")
    )
    return stored_document(service.service_id, rows, active_slos(service)) if rows else None


def active_slos(service: Service) -> list[ActiveSlo]:
    """Return the active SLOs, availability first."""
    return list(ActiveSlo.objects.filter(service=service, ended_at__isnull=True).order_by("sli_type"))


@dataclass(frozen=True, slots=True)
class TablePage[RowT]:
    """Some rows of a list, and how many there are."""

    rows: list[RowT]
    total: int
    limit: int
    offset: int


@dataclass(frozen=True, slots=True)
class RecommendationFilters:
    """What a list of recommendations is narrowed to; empty means all."""

    text: str = ""
    team: str = ""
    verdict: str = ""
    sli_type: str = ""
    due: QuerySet[ServiceStatus] | None = None
    """Those that wait for a decision, of these services (:func:`due_statuses`); ``None`` for no such limit."""
    has_slo: bool | None = None
    """Of services with an availability SLO, or of those that do not; ``None`` for both."""


def recommendations_table(
    filters: RecommendationFilters | None = None,
    *,
    sort: str = "service",
    limit: int = TABLE_LIMIT,
    offset: int = 0,
) -> TablePage[Recommendation]:
    """List current recommendations with their service and team: two queries. ``sort`` is a key of
    :data:`SORTS`.
    """
    filters = filters or RecommendationFilters()
    rows = Recommendation.objects.filter(status=Recommendation.Status.CURRENT).defer("document", "shared")
    if filters.text:
        rows = rows.filter(service__service_id__icontains=filters.text)
    if filters.team:
        rows = rows.filter(service__team__name=filters.team)
    if filters.verdict:
        rows = rows.filter(verdict=filters.verdict)
    if filters.sli_type:
        rows = rows.filter(sli_type=filters.sli_type)
    if filters.has_slo is not None:
        rows = rows.filter(service__status__target__isnull=not filters.has_slo)
    if filters.due is not None:
        rows = rows.filter(service__status__in=filters.due).alias(due_as=_PLACE_AMONG_DUE)
        rows = rows.filter(due_as__isnull=False)
    descending = sort.startswith("-")
    column = SORTS.get(sort.removeprefix("-"), SORTS["service"])
    order = f"{'-' if descending else ''}{column}"
    page = rows.select_related("service__team", "service__status").order_by(
        order, "service__service_id", "sli_type"
    )
    return TablePage(list(page[offset : offset + limit]), rows.count(), limit, offset)


@dataclass(frozen=True, slots=True)
class Decision:
    """One service that needs a decision, and the reasons, one for each SLI."""

    service: Service
    status: ServiceStatus
    due: list[Due]

    @property
    def reason(self) -> str:
        return self.due[0].reason if self.due else ""


def teams_decided_for(user: User | None) -> frozenset[int] | None:
    """Return the teams whose services this user may decide on; ``None`` for all services, also without a team.

    Two users for whom it is the same have the same decisions before them.
    """
    scope = Scope.ALL if user is None else scope_of(user, "slos.decide")
    if user is None or scope is Scope.ALL:
        return None
    return team_ids(user) if scope is Scope.OWN_TEAMS else frozenset()


def due_statuses(user: User | None) -> QuerySet[ServiceStatus]:
    """Return the services that wait for a decision, of those that this user may decide on, unordered."""
    rows = ServiceStatus.objects.filter(decision_due=True)
    teams = teams_decided_for(user)
    return rows if teams is None else rows.filter(service__team__in=teams) if teams else rows.none()


def decisions_due_count(user: User | None = None) -> int:
    """Return how many services wait for a decision, of those that this user may decide on."""
    return remembered(
        ("slos.decisions_due_count", teams_decided_for(user)),
        ("slos_servicestatus", "catalog_service"),
        due_statuses(user).count,
    )
