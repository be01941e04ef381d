"""Reads of the catalog for pages, the API and other apps. Nothing here writes."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Count, F, Q, QuerySet

from apps.catalog.graph.traversal import subgraph
from apps.catalog.models import CycleAlert, Dependency, Ingestion, Service
from apps.catalog.spelling import service_called
from apps.core.errors import InvalidInput, NotFound
from apps.core.json_types import JsonObject
from apps.core.remembered import remembered
from apps.core.web.pagination import DEFAULT_LIMIT, Page, paginate

__all__ = ["subgraph"]


def get_service(service_id: str, *beside: str) -> Service:
    """Return a service with its team, and with related rows ``beside`` it, in one query. Raises :class:`NotFound`."""
    service = service_called(service_id, Service.objects.select_related("team", *beside))
    if service is None:
        raise NotFound(f"There is no service called {service_id}.")
    return service


@dataclass(frozen=True, slots=True)
class ServiceFilter:
    """The filter of a list of services; ``None`` and empty texts filter nothing."""

    search: str = ""
    team: str = ""
    criticality: str = ""
    is_external: bool | None = None
    is_discovered: bool | None = None


SERVICE_ORDERS: dict[str, tuple[str, ...]] = {
    "service_id": ("service_id",),
    "-service_id": ("-service_id",),
    "created_at": ("created_at", "id"),
    "-created_at": ("-created_at", "-id"),
    "updated_at": ("updated_at", "id"),
    "-updated_at": ("-updated_at", "-id"),
}


def services(wanted: ServiceFilter | None = None) -> QuerySet[Service]:
    """Return the services that pass a filter, with their teams, in no order."""
    wanted = wanted or ServiceFilter()
    rows = Service.objects.select_related("team")
    if wanted.search:
        rows = rows.filter(service_id__icontains=wanted.search)
    if wanted.team:
        rows = rows.filter(team__name=wanted.team)
    if wanted.criticality:
        rows = rows.filter(criticality=wanted.criticality)
    if wanted.is_external is not None:
        rows = rows.filter(is_external=wanted.is_external)
    if wanted.is_discovered is not None:
        rows = rows.filter(is_discovered=wanted.is_discovered)
    return rows


def services_page(
    wanted: ServiceFilter | None = None,
    *,
    sort: str = "service_id",
    cursor: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Page[Service]:
    """Return one page of services. ``sort`` is a key of :data:`SERVICE_ORDERS`."""
    if sort not in SERVICE_ORDERS:
        raise InvalidInput(f"Services cannot be sorted by {sort}; possible are {', '.join(SERVICE_ORDERS)}.")
    return paginate(services(wanted), order=SERVICE_ORDERS[sort], cursor=cursor, limit=limit)


@dataclass(frozen=True, slots=True)
class EngineEdge:
    """An edge with what the engine needs to know about its target. ``retries`` is how often the caller tries again."""

    source_pk: int
    target_pk: int
    source_id: str
    target_id: str
    mode: str
    criticality: str
    calls_per_request: float | None
    redundancy_group: str
    redundancy_needed: int
    retries: int
    target_is_external: bool
    target_published_sla: float | None


def edges_for_engine(service_pks: Iterable[int] | None = None) -> list[EngineEdge]:
    """Return the live edges out of many services, or of all, in one query; sorted by source and target."""
    rows = Dependency.objects.filter(is_stale=False)
    if service_pks is not None:
        rows = rows.filter(source__in=list(service_pks))
    ends = rows.order_by("source__service_id", "target__service_id").annotate(
        source_name=F("source__service_id"),
        target_name=F("target__service_id"),
        target_is_external=F("target__is_external"),
        target_sla=F("target__published_sla"),
    )
    return [
        EngineEdge(
            source_pk=edge["source"],
            target_pk=edge["target"],
            source_id=edge["source_name"],
            target_id=edge["target_name"],
            mode=edge["mode"],
            criticality=edge["criticality"],
            calls_per_request=edge["calls_per_request"],
            redundancy_group=edge["redundancy_group"],
            redundancy_needed=edge["redundancy_needed"] or 1,
            retries=retries_of(edge["retry_config"]),
            target_is_external=edge["target_is_external"],
            target_published_sla=None if edge["target_sla"] is None else float(edge["target_sla"]),
        )
        for edge in ends.values(
            "source",
            "target",
            "source_name",
            "target_name",
            "mode",
            "criticality",
            "calls_per_request",
            "redundancy_group",
            "redundancy_needed",
            "retry_config",
            "target_is_external",
            "target_sla",
        )
    ]


def targets_called(service_pks: Iterable[int]) -> dict[int, list[str]]:
    """Return, for each service that calls others synchronously, the sorted ids of these services."""
    pairs = (
        Dependency.objects.filter(is_stale=False, source__in=list(service_pks), mode=Dependency.Mode.SYNC)
        .order_by("source__service_id", "target__service_id")
        .values_list("source", "target__service_id")
    )
    found: dict[int, list[str]] = {}
    for source, target in pairs:
        found.setdefault(source, []).append(target)
    return found


def retries_of(retry_config: JsonObject) -> int:
    """Return the number of retries that a retry configuration means: ``max_retries``, or ``max_attempts`` less one."""
    for name, less in (("max_retries", 0), ("retries", 0), ("max_attempts", 1)):
        value = retry_config.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            return max(0, min(value - less, 100))
    return 0


CYCLES_SHOWN = 50
"""The most cycles that a page lists; the API has all of them, page by page."""


def open_cycles(*, limit: int = CYCLES_SHOWN, with_people: bool = True) -> list[CycleAlert]:
    """Return the first ``limit`` of the present cycles, unacknowledged ones first, then the newest.

    ``with_people`` also reads who acknowledged each cycle.
    """
    rows = CycleAlert.objects.exclude(state=CycleAlert.State.RESOLVED)
    if with_people:
        rows = rows.select_related("acknowledged_by")
    return list(rows.order_by("-state", "-detected_at", "pk")[:limit])


def open_cycle_count() -> int:
    """Return how many cycles exist now."""
    return CycleAlert.objects.exclude(state=CycleAlert.State.RESOLVED).count()


def cycles_of(service: Service) -> list[CycleAlert]:
    """Return the present cycles of a service."""
    return remembered("catalog.cycles_of", ("catalog_cyclealert",), _cycles_by_member).get(
        service.service_id, []
    )


def _cycles_by_member() -> dict[str, list[CycleAlert]]:
    rows = CycleAlert.objects.exclude(state=CycleAlert.State.RESOLVED)
    found: dict[str, list[CycleAlert]] = {}
    for cycle in rows.order_by("-state", "-detected_at", "pk"):
        for member in cycle.members:
            found.setdefault(member, []).append(cycle)
    return found


def cycle_members(among: Collection[str] | None = None) -> dict[str, tuple[str, ...]]:
    """Return, for every service in a present cycle, the members of its cycle; only for services ``among``, if given.

    A service is in at most one cycle, so the number of services bounds the result.
    """
    rows = CycleAlert.objects.exclude(state=CycleAlert.State.RESOLVED)
    if among is not None:
        rows = rows.filter(members__has_any_keys=list(among))
    cycles = rows.order_by("pk").values_list("members", flat=True)
    return {member: tuple(members) for members in cycles for member in members}


def cycles_page(
    *, state: str = "", cursor: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[CycleAlert]:
    """Return one page of cycle alerts, the newest first; without a state, those of present cycles."""
    rows = CycleAlert.objects.select_related("acknowledged_by")
    rows = rows.filter(state=state) if state else rows.exclude(state=CycleAlert.State.RESOLVED)
    return paginate(rows, order=("-detected_at", "-id"), cursor=cursor, limit=limit)


def ingestions_page(*, cursor: str | None = None, limit: int = DEFAULT_LIMIT) -> Page[Ingestion]:
    """Return one page of ingestions, the newest first."""
    return paginate(
        Ingestion.objects.defer("errors"), order=("-created_at", "-id"), cursor=cursor, limit=limit
    )


def ingestion(ingestion_id: UUID | str) -> Ingestion:
    """Return an ingestion. Raises :class:`NotFound`."""
    found = Ingestion.objects.filter(pk=ingestion_id).first()
    if found is None:
        raise NotFound(f"There is no ingestion {ingestion_id}.")
    return found


def parts_received(found: Ingestion) -> list[int]:
    """Return the numbers of the parts that were received."""
    return list(found.parts.order_by("number").values_list("number", flat=True))


def catalog_counts() -> dict[str, int]:
    """Return how many services, edges and so on the catalog has, for the overview and the import page."""
    kinds = Service.objects.aggregate(
        services=Count("pk"),
        discovered=Count("pk", filter=Q(is_discovered=True)),
        external=Count("pk", filter=Q(is_external=True)),
        without_team=Count("pk", filter=Q(team=None)),
    )
    edges = Dependency.objects.aggregate(dependencies=Count("pk"), stale=Count("pk", filter=Q(is_stale=True)))
    cycles = CycleAlert.objects.filter(state=CycleAlert.State.OPEN).count()
    return {**kinds, **edges, "open_cycles": cycles}


def most_connected() -> str | None:
    """Return the id of the service with the most live edges, which a map without a name shows."""
    busiest = (
        Service.objects.annotate(
            edges=Count("outgoing", filter=Q(outgoing__is_stale=False), distinct=True)
            + Count("incoming", filter=Q(incoming__is_stale=False), distinct=True)
        )
        .order_by("-edges", "service_id")
        .first()
    )
    return busiest.service_id if busiest else None


def named_like(text: str, *, limit: int = 2) -> list[str]:
    """Return the ids that a typed name may mean: exactly this one, or those that contain it."""
    if Service.objects.filter(service_id=text).exists():
        return [text]
    found = Service.objects.filter(service_id__icontains=text).order_by("service_id")
    return list(found.values_list("service_id", flat=True)[:limit])


def first_names(limit: int = 300) -> list[str]:
    """Return the first ids by name, as suggestions while somebody types."""
    return list(Service.objects.order_by("service_id").values_list("service_id", flat=True)[:limit])
