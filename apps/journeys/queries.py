"""Queries on journeys for pages and the API. Nothing here writes or loads the engine."""

from __future__ import annotations

from django.db.models import F, OuterRef, QuerySet, Subquery

from apps.accounts.models import Team, User
from apps.accounts.permissions import scope_of, team_ids
from apps.catalog.models import Service
from apps.core.errors import NotFound
from apps.core.rooms import Scope
from apps.journeys.documents import ResultDocument, as_result
from apps.journeys.models import Journey, JourneyResult
from apps.slos.models import Recommendation, SliType

SORTS = {
    "name": "name",
    "team": "team__name",
    "target": "target",
    "availability": "result__availability",
    "chance": "result__chance_missed",
}


def get_journey(slug: str) -> Journey:
    """Return a journey with its team and result. Raises :class:`NotFound`."""
    found = Journey.objects.select_related("team", "result").filter(slug=slug).first()
    if found is None:
        raise NotFound(f"There is no journey {slug}.")
    return found


def result_of(journey: Journey) -> JourneyResult | None:
    """Return a journey's newest result, or ``None`` before the first."""
    found: JourneyResult | None = getattr(journey, "result", None)
    return found


def document_of(result: JourneyResult | None) -> ResultDocument | None:
    """Return what a worker computed last, or ``None`` before the first time."""
    return None if result is None else as_result(result.document)


def journeys(*, text: str = "", team: str = "", service_id: str = "") -> QuerySet[Journey]:
    """Return the journeys that match a filter, with team and result, unordered."""
    rows = Journey.objects.select_related("team", "result")
    if text:
        rows = rows.filter(name__icontains=text)
    if team:
        rows = rows.filter(team__name=team)
    if service_id:
        rows = rows.filter(members__service_id=service_id)
    return rows


def ordered(rows: QuerySet[Journey], sort: str) -> QuerySet[Journey]:
    """Sort by a key of :data:`SORTS`. Rows without a value come last."""
    column = F(SORTS.get(sort.removeprefix("-"), "name"))
    order = column.desc(nulls_last=True) if sort.startswith("-") else column.asc(nulls_last=True)
    return rows.order_by(order, "name")


def services_to_try(*, text: str = "", team: str = "") -> QuerySet[Service]:
    """Return the services that a filter lets through, with team and, of their newest availability recommendation,
    ``balanced`` (the target of that tier) and ``composite``, in no order.
    """
    newest = Recommendation.objects.filter(service=OuterRef("pk"), sli_type=SliType.AVAILABILITY).order_by(
        "-generated_at"
    )
    rows = Service.objects.select_related("team").annotate(
        balanced=Subquery(newest.values("balanced")[:1]), composite=Subquery(newest.values("composite")[:1])
    )
    if text:
        rows = rows.filter(service_id__icontains=text)
    if team:
        rows = rows.filter(team__name=team)
    return rows


def services_in_order(rows: QuerySet[Service], sort: str) -> QuerySet[Service]:
    """Sort :func:`services_to_try` by service, team, balanced tier or composite. Rows without a value come last."""
    columns = {"service": "service_id", "team": "team__name", "composite": "composite"}
    column = F(columns.get(sort.removeprefix("-"), "balanced"))
    order = column.desc(nulls_last=True) if sort.startswith("-") else column.asc(nulls_last=True)
    return rows.order_by(order, "service_id")


def teams_with_services() -> list[str]:
    """Return the teams that own a service, by name."""
    rows = Team.objects.filter(services__isnull=False).distinct()
    return list(rows.order_by("name").values_list("name", flat=True))


def teams_for(user: User) -> list[str]:
    """Return the teams for which this user may keep journeys, by name."""
    scope = scope_of(user, "journeys.edit")
    if scope is None:
        return []
    rows = Team.objects.all() if scope is Scope.ALL else Team.objects.filter(pk__in=team_ids(user))
    return list(rows.order_by("name").values_list("name", flat=True))


def teams_with_journeys() -> list[str]:
    """Return the teams that own a journey, by name."""
    rows = Team.objects.filter(journeys__isnull=False).distinct()
    return list(rows.order_by("name").values_list("name", flat=True))
