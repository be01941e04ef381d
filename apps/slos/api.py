"""SLOs over the API: recommendations, decisions, budgets, and what an SLO does upstream."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from django.utils import timezone
from ninja import Body, Query, Router, Status

from apps.catalog.queries import get_service
from apps.core.actions import Actor
from apps.core.dispatcher import dispatch
from apps.core.errors import FieldProblem, InvalidInput, NotAllowed
from apps.core.web.csrf import require_for_effect
from apps.core.web.http import actor_from, dispatch_api
from apps.core.web.pagination import PageOut, paginate
from apps.slos import computation, queries, retrieval
from apps.slos.documents.assembled import only
from apps.slos.documents.types import AgedDocument
from apps.slos.formatting import SLI_WORDS, slo_snapshot
from apps.slos.impact.analysis import analyse
from apps.slos.models import ActiveSlo, ServiceStatus, SliType
from apps.slos.schemas import (
    BudgetDayOut,
    BudgetOut,
    DecisionIn,
    DecisionOut,
    EffectOut,
    ImpactIn,
    ImpactOut,
    ListedSloOut,
    RecommendationQuery,
    RecommendationsOut,
    ServiceSlosOut,
    SloOut,
    SloQuery,
    StatusOut,
)
from apps.telemetry.queries import newest_end

router = Router(tags=["slos"])
ROUTERS = (router,)

_MODIFIED: dict[str, str] = {
    SliType.AVAILABILITY: "availability_target",
    SliType.LATENCY_P95: "latency_p95_target_ms",
    SliType.LATENCY_P99: "latency_p99_target_ms",
}


def _may_view(request: HttpRequest) -> Actor:
    from apps.accounts.permissions import who_may

    actor = actor_from(request)
    if not actor.may("slos.view"):
        raise NotAllowed(f"See SLOs: {who_may('slos.view')}")
    return actor


@router.get(
    "/services/{service_path:service_id}/slo-recommendations",
    response=RecommendationsOut,
    summary="Recommended SLOs",
)
def recommendations(request: HttpRequest, service_id: str, query: Query[RecommendationQuery]) -> AgedDocument:
    """Three tiers for availability and for latency, with intervals, explanation and data quality.

    A recommendation lasts 24 hours. A worker makes a new one if there is none, after a change of the graph
    and after a decision. Where no worker answers within four seconds, the last one comes back with `is_stale`
    and its age.

    `force_regenerate` changes what is stored. An API key may ask for it; the session of a browser needs the header
    X-CSRFToken, though this is a GET, or sends POST `/api/v1/actions/slos.regenerate`.
    """
    actor = _may_view(request)
    service = get_service(service_id)
    if query.force_regenerate:
        require_for_effect(request, instead="POST /api/v1/actions/slos.regenerate with that header")
        made = dispatch("slos.regenerate", {"service_id": service_id}, actor=actor)
        document = retrieval.after_answer(service, computation.wait_for(made.value["ticket"]))
    if not query.force_regenerate or query.window_days is not None:
        document = retrieval.retrieve(service, asked_by=actor.name, window_days=query.window_days)
    return only(document, query.sli_type)


@router.post(
    "/services/{service_path:service_id}/slos", response=DecisionOut, summary="Accept, modify or reject"
)
def decide(request: HttpRequest, service_id: str, data: Body[DecisionIn]) -> Status[dict[str, Any]]:
    """Decide on a recommendation for one SLI. Honours `Idempotency-Key`.

    409 when somebody decided first or the recommendation was replaced; `difference` says what holds now.
    """
    _may_view(request)
    get_service(service_id)  # before its body is looked at: there is nothing to decide on where there is none
    values: dict[str, str | int | float | UUID | None] = {}
    if data.action == "accept":
        if data.selected_tier is None:
            raise InvalidInput(
                "Say which tier you accept.",
                fields=[FieldProblem("selected_tier", "conservative, balanced or aggressive")],
            )
        values["tier"] = data.selected_tier
    if data.action == "modify":
        values |= _modification(data)
    elif data.modifications is not None:
        raise InvalidInput(
            f"To {data.action} takes no modifications; use the action modify.",
            fields=[FieldProblem("modifications", "only with the action modify")],
        )
    values |= {
        "service_id": service_id,
        "sli_type": data.sli_type.value,
        "recommendation_id": data.recommendation_id,
        "expected_version": data.expected_version,
        "rationale": data.rationale,
    }
    return dispatch_api(request, f"slos.{data.action}", values)


def _modification(data: DecisionIn) -> dict[str, float]:
    given = data.modifications.model_dump(exclude_none=True) if data.modifications else {}
    wanted = _MODIFIED[data.sli_type]
    others = sorted(set(given) - {wanted})
    if others:
        raise InvalidInput(
            f"This decides on {SLI_WORDS[data.sli_type]} alone; each SLI is decided on its own.",
            fields=[
                FieldProblem(f"modifications.{name}", f"belongs to another SLI than {data.sli_type}")
                for name in others
            ],
        )
    if wanted not in given:
        raise InvalidInput(
            "Write the number that is the SLO instead.",
            fields=[FieldProblem(f"modifications.{wanted}", "is needed")],
        )
    value = given[wanted]
    if data.sli_type == SliType.AVAILABILITY:
        if not 0 < value < 1:
            raise InvalidInput(
                "A target must lie above 0 and below 1.",
                fields=[FieldProblem(f"modifications.{wanted}", "must lie above 0 and below 1")],
            )
        return {"target": value}
    if value <= 0:
        raise InvalidInput(
            "A threshold must be above 0 ms.",
            fields=[FieldProblem(f"modifications.{wanted}", "must be above 0")],
        )
    return {"threshold_ms": value}


@router.get(
    "/services/{service_path:service_id}/slos",
    response=ServiceSlosOut,
    summary="SLOs and budgets of a service",
)
def service_slos(request: HttpRequest, service_id: str) -> ServiceSlosOut:
    """The SLOs now and before, how the service stands, and each budget day by day."""
    _may_view(request)
    service = get_service(service_id)
    active = queries.active_slos(service)
    as_of = newest_end(service.pk, timezone.now()) if active else None
    downs = [queries.burn_down(service, slo, as_of=as_of) for slo in active]
    status = ServiceStatus.objects.filter(service=service).first()
    return ServiceSlosOut(
        service_id=service.service_id,
        active={slo.sli_type: SloOut.model_validate(slo_snapshot(slo)) for slo in active},
        status=StatusOut.from_orm(status) if status else None,
        budgets=[
            BudgetOut(
                sli_type=SliType(down.slo.sli_type),
                as_of=down.as_of,
                allowed=down.allowed,
                spent=down.spent,
                left=down.left,
                days=[
                    BudgetDayOut(**asdict(point) | {"day": point.day.isoformat()}) for point in down.points
                ],
            )
            for down in downs
        ],
        history=[SloOut.model_validate(slo_snapshot(slo)) for slo in queries.slo_history(service)],
    )


@router.post("/slos/impact-analysis", response=ImpactOut, summary="What an SLO does upstream")
def impact_analysis(request: HttpRequest, data: Body[ImpactIn]) -> ImpactOut:
    """For every service that calls this one, directly or through others: how far it moves, whose SLO
    breaks.
    """
    _may_view(request)
    service = get_service(data.service_id)
    if data.sli_type == SliType.AVAILABILITY and data.proposed_target >= 1:
        hint = f"write {data.proposed_target / 100:.10g} for {data.proposed_target:g} %"
        raise InvalidInput(
            "An availability target is a ratio between 0 and 1.",
            fields=[
                FieldProblem(
                    "proposed_target", hint if 1 < data.proposed_target < 100 else "must lie below 1"
                )
            ],
        )
    found = analyse(service, data.sli_type, data.proposed_target, data.depth)
    return ImpactOut(
        service_id=found.service_id,
        sli_type=SliType(found.sli_type),
        current=found.current,
        current_source=found.current_source,
        proposed=found.proposed,
        depth=found.depth,
        not_looked_at=found.not_looked_at,
        affected_count=len(found.affected),
        broken_count=found.broken,
        affected=[
            EffectOut.model_validate(
                effect._asdict()
                | {
                    "promised": effect.target,
                    "change": effect.after - effect.before
                    if effect.after is not None and effect.before is not None
                    else None,
                }
            )
            for effect in found.affected
        ],
    )


@router.get("/slos", response=PageOut[ListedSloOut], summary="List the SLOs in force")
def list_slos(request: HttpRequest, query: Query[SloQuery]) -> PageOut[ListedSloOut]:
    """Every active SLO, by service."""
    _may_view(request)
    rows = queries.all_slos()
    if query.team:
        rows = rows.filter(service__team__name=query.team)
    if query.sli_type:
        rows = rows.filter(sli_type=query.sli_type)
    if query.state:
        rows = rows.filter(standing__state=query.state)
    page = paginate(rows, order=("service__service_id", "sli_type"), cursor=query.cursor, limit=query.limit)
    return PageOut(items=[_listed(slo) for slo in page.items], next_cursor=page.next_cursor)


def _listed(slo: ActiveSlo) -> ListedSloOut:
    standing = getattr(slo, "standing", None)
    return ListedSloOut.model_validate(
        {
            **slo_snapshot(slo),
            "service_id": slo.service.service_id,
            "team": slo.service.team.name if slo.service.team else None,
            "state": standing.state if standing else ServiceStatus.State.COUNTING,
            "budget_left": standing.budget_left if standing else None,
        }
    )
