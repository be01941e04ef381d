"""The table of services: one row each, from what was computed ahead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import Case, F, IntegerField, OrderBy, QuerySet, Value, When

from apps.accounts.models import Team
from apps.catalog.models import Service
from apps.core.remembered import remembered
from apps.slos.models import EdgeEstimate, ServiceStatus
from apps.slos.queries.recommendations import TABLE_LIMIT, TablePage

STATE_ORDER = ("act", "attend", "counting", "no_slo", "no_data", "fine")

# What ?sort= may say. Nulls come last either way: a service without a figure is never the most interesting
# one.
SORTS: dict[str, str] = {
    "service": "service_id",
    "team": "team__name",
    "criticality": "criticality_rank",
    "slo": "status__target",
    "observed": "status__observed",
    "budget": "status__budget_left",
    "burn": "status__burn_1h",
    "state": "state_rank",
}


@dataclass(frozen=True, slots=True)
class ServiceFilters:
    """What the table is narrowed to; empty means all. ``state`` is one of :class:`ServiceStatus.State`,
    ``due``, or ``behaves_hard``: a dependency declared soft or degraded was seen to fail its requests.
    """

    text: str = ""
    team: str = ""
    criticality: str = ""
    state: str = ""
    external: bool | None = None


@dataclass(frozen=True, slots=True)
class ServiceRow:
    """One service as the table shows it; ``status`` is ``None`` until it was first computed."""

    service: Service
    status: ServiceStatus | None

    @property
    def team(self) -> str:
        return self.service.team.name if self.service.team else ""

    @property
    def state(self) -> str:
        return self.status.state if self.status else ServiceStatus.State.NO_DATA


def _rank(field: str, order: tuple[str, ...]) -> Any:
    return Case(
        *(When(**{field: value}, then=Value(at)) for at, value in enumerate(order)),
        default=Value(len(order)),
        output_field=IntegerField(),
    )


def filtered_services(filters: ServiceFilters) -> QuerySet[Service]:
    """Return the services that a filter leaves, unordered."""
    services = Service.objects.all()
    if filters.text:
        services = services.filter(service_id__icontains=filters.text)
    if filters.team:
        services = services.filter(team__name=filters.team)
    if filters.criticality:
        services = services.filter(criticality=filters.criticality)
    if filters.external is not None:
        services = services.filter(is_external=filters.external)
    if filters.state == "due":
        services = services.filter(status__decision_due=True)
    elif filters.state == "behaves_hard":
        services = services.filter(pk__in=EdgeEstimate.objects.filter(behaves_hard=True).values("source"))
    elif filters.state == ServiceStatus.State.NO_DATA:
        services = services.exclude(
            status__isnull=False, status__state__in=[s for s in STATE_ORDER if s != "no_data"]
        )
    elif filters.state:
        services = services.filter(status__state=filters.state)
    return services


def services_table(
    filters: ServiceFilters | None = None,
    *,
    sort: str = "state",
    limit: int | None = TABLE_LIMIT,
    offset: int = 0,
) -> TablePage[ServiceRow]:
    """List services with status and team: two queries. ``sort`` is a key of :data:`SORTS`, ``-`` before it
    reverses.

    ``limit=None`` lists all, for the CSV of what is shown.
    """
    filters = filters or ServiceFilters()

    def read() -> TablePage[ServiceRow]:
        return _read_table(filters, sort=sort, limit=limit, offset=offset)

    if offset or limit is None or filters != ServiceFilters():
        return read()  # Of these there are too many to keep.
    tables = ("catalog_service", "accounts_team", "slos_servicestatus")
    return remembered(("slos.services_table", sort, limit), tables, read)


def _read_table(
    filters: ServiceFilters, *, sort: str, limit: int | None, offset: int
) -> TablePage[ServiceRow]:
    services = filtered_services(filters)
    descending = sort.startswith("-")
    column = SORTS.get(sort.removeprefix("-"), "state_rank")
    order = OrderBy(F(column), descending=descending, nulls_last=True)
    rows = (
        services.select_related("team", "status")
        .annotate(
            criticality_rank=_rank("criticality", ("critical", "high", "medium", "low")),
            state_rank=_rank("status__state", STATE_ORDER),
        )
        .order_by(order, "service_id")
    )
    found = rows[offset:] if limit is None else rows[offset : offset + limit]
    shown = [ServiceRow(service, getattr(service, "status", None)) for service in found]
    total = offset + len(shown) if limit is None or 0 < len(shown) < limit else services.count()
    return TablePage(shown, total, limit if limit is not None else len(shown), offset)


def team_names() -> list[str]:
    """Return the teams that own a service, for the filter."""
    teams = Team.objects.filter(services__isnull=False).distinct().order_by("name")
    return remembered(
        "slos.team_names",
        ("accounts_team", "catalog_service"),
        lambda: list(teams.values_list("name", flat=True)),
    )
