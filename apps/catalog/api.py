"""The catalog's API: ingest a graph, follow the ingestion, read services and their dependencies."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from ninja import Body, Path, Query, Router, Schema, Status
from pydantic import Field

from apps.accounts.permissions import who_may
from apps.catalog import queries
from apps.catalog.actions.ingestions import IngestDependenciesInput
from apps.catalog.graph.traversal import MAX_DEPTH, Subgraph
from apps.catalog.ingesting.reporting import ingestion_state, row_errors
from apps.catalog.models import CycleAlert, Ingestion, Service
from apps.core.errors import NotAllowed
from apps.core.web.http import actor_from, dispatch_api
from apps.core.web.pagination import Page, PageOut, PageQuery

router = Router(tags=["catalog"])
detail_router = Router(tags=["catalog"])
ROUTERS = (router,)
LAST_ROUTERS = (detail_router,)
"""Its route takes the rest of the path, so it comes after every other room's."""


class ServiceOut(Schema):
    service_id: str
    team: str | None
    criticality: str
    is_external: bool
    is_discovered: bool
    published_sla: float | None = Field(description="A ratio.")
    archetype: str
    on_call: str
    failure_semantics: dict[str, Any]
    capacity: dict[str, Any]
    metadata: dict[str, Any]
    version: int
    created_at: datetime
    updated_at: datetime

    @staticmethod
    def resolve_team(service: Service) -> str | None:
        return service.team.name if service.team else None


class NodeOut(Schema):
    service_id: str
    depth_down: int | None = Field(description="Hops along the calls; null where no path leads there.")
    depth_up: int | None = Field(description="Hops against the calls; null where no path leads there.")
    team: str | None
    criticality: str
    is_external: bool
    is_discovered: bool


class EdgeOut(Schema):
    source: str
    target: str
    mode: str
    criticality: str
    protocol: str
    timeout_ms: int | None
    calls_per_request: float | None
    redundancy_group: str
    redundancy_needed: int | None
    confidence: float
    is_stale: bool
    is_declared: bool
    last_observed_at: datetime


class SubgraphOut(Schema):
    service_id: str
    direction: str
    depth: int
    include_stale: bool
    is_truncated: bool = Field(
        description="Whether the graph was too large for the answer; then only the nearest services are in it."
    )
    nodes: list[NodeOut]
    edges: list[EdgeOut]


class ReceivedOut(Schema):
    ingestion_id: UUID
    state: str
    parts_expected: int
    parts_received: int
    status_url: str


class RowErrorOut(Schema):
    part: int
    list: str
    row: int = Field(description="Counted from 1 within its list and part.")
    field: str
    path: str = Field(description="The same place as a path for programs, counted from 0.")
    message: str


class IngestionOut(Schema):
    ingestion_id: UUID
    state: str
    discovery_source: str
    requested_by: str
    parts_expected: int
    parts_received: int
    missing_parts: list[int]
    rows_total: int
    rows_done: int
    attempts: int
    summary: dict[str, Any]
    error_count: int
    errors: list[RowErrorOut]
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class CycleOut(Schema):
    cycle_id: int
    state: str
    members: list[str]
    path: list[str] = Field(
        description="A shortest walk around the cycle; the first service is not repeated at the end."
    )
    version: int
    detected_at: datetime
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    resolved_at: datetime | None

    @staticmethod
    def resolve_cycle_id(alert: CycleAlert) -> int:
        return alert.pk

    @staticmethod
    def resolve_acknowledged_by(alert: CycleAlert) -> str | None:
        return alert.acknowledged_by.get_username() if alert.acknowledged_by else None


class ServiceQuery(PageQuery):
    search: str = Field(default="", max_length=255, description="A part of the service id, in any case.")
    team: str = Field(default="", max_length=1000)
    criticality: Literal["critical", "high", "medium", "low"] | None = None
    external: bool | None = None
    discovered: bool | None = None
    sort: Literal["service_id", "-service_id", "created_at", "-created_at", "updated_at", "-updated_at"] = (
        "service_id"
    )


class SubgraphQuery(Schema):
    depth: int = Field(default=3, ge=1, le=MAX_DEPTH)
    direction: Literal["downstream", "upstream", "both"] = "downstream"
    include_stale: bool = False


class CycleQuery(PageQuery):
    state: Literal["open", "acknowledged", "resolved"] | None = Field(
        default=None, description="By default every cycle that exists now."
    )


@router.post(
    "/services/dependencies", response={202: ReceivedOut}, summary="Import services and dependencies"
)
def ingest(
    request: HttpRequest, response: HttpResponse, data: Body[IngestDependenciesInput]
) -> Status[dict[str, Any]]:
    """Take in a graph, or one part of it. It is checked as a whole and applied by a worker; `Location` says where to
    follow it. Bodies may have 10 MB; send more in several parts: the first with `parts`, the others with the
    `ingestion_id` it returned and their `part`."""
    answer = dispatch_api(request, "catalog.ingest_dependencies", data)
    response["Location"] = answer.value["status_url"]
    return answer


@router.get(
    "/services/dependencies/ingestions/{uuid:ingestion_id}",
    response=IngestionOut,
    summary="Follow an ingestion",
)
def ingestion(request: HttpRequest, ingestion_id: UUID) -> IngestionOut:
    """Return the state of an ingestion, its result, and the rows that were wrong."""
    _may_view(request)
    found = queries.ingestion(ingestion_id)
    missing: list[int] = []
    if found.state == Ingestion.State.PREPARING:
        missing = sorted(set(range(1, found.parts_expected + 1)) - set(queries.parts_received(found)))
    return IngestionOut.model_validate(
        {
            **{name: getattr(found, name) for name in IngestionOut.model_fields if hasattr(found, name)},
            "ingestion_id": found.pk,
            "state": ingestion_state(found),
            "requested_by": found.requested_by_name,
            "missing_parts": missing,
            "summary": {name: value for name, value in found.summary.items() if name != "failure"},
            "errors": row_errors(found),
        }
    )


@router.get("/services", response=PageOut[ServiceOut], summary="List services")
def list_services(request: HttpRequest, query: Query[ServiceQuery]) -> Page[Service]:
    """List services by page, filtered and sorted."""
    _may_view(request)
    wanted = queries.ServiceFilter(
        search=query.search,
        team=query.team,
        criticality=query.criticality or "",
        is_external=query.external,
        is_discovered=query.discovered,
    )
    return queries.services_page(wanted, sort=query.sort, cursor=query.cursor, limit=query.limit)


@router.get("/cycles", response=PageOut[CycleOut], summary="List circular dependencies")
def list_cycles(request: HttpRequest, query: Query[CycleQuery]) -> Page[CycleAlert]:
    """List circular dependencies by page, the newest first."""
    _may_view(request)
    return queries.cycles_page(state=query.state or "", cursor=query.cursor, limit=query.limit)


@router.get(
    "/services/{service_path:service_id}/dependencies",
    response=SubgraphOut,
    summary="Read a service's dependency graph",
)
def dependencies(request: HttpRequest, service_id: Path[str], query: Query[SubgraphQuery]) -> Subgraph:
    """Return what a service reaches within some hops, what reaches it, or both, and the edges among these services."""
    _may_view(request)
    return queries.subgraph(service_id, query.direction, query.depth, include_stale=query.include_stale)


@router.get("/services/dependencies", response=ServiceOut, summary="Read the service called dependencies")
def service_called_dependencies(request: HttpRequest) -> Service:
    """Return the one service whose address is also that of the import."""
    _may_view(request)
    return queries.get_service("dependencies")


@detail_router.get("/services/{service_path:service_id}", response=ServiceOut, summary="Read a service")
def service(request: HttpRequest, service_id: Path[str]) -> Service:
    """Return one service. Its id is the rest of the path, slashes included."""
    _may_view(request)
    return queries.get_service(service_id)


def _may_view(request: HttpRequest) -> None:
    if not actor_from(request).may("catalog.view"):
        raise NotAllowed(f"Read the catalog: {who_may('catalog.view')}")
