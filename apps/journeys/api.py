"""The API of journeys and what-ifs. Journeys are changed by actions."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from django.http import HttpRequest
from ninja import Query, Router, Schema
from pydantic import Field

from apps.accounts.permissions import who_may
from apps.catalog.queries import get_service
from apps.core.errors import FieldProblem, InvalidInput, NotAllowed
from apps.core.web.http import actor_from
from apps.core.web.pagination import PageOut, PageQuery, paginate
from apps.journeys import queries
from apps.journeys.documents import WhatIfDone
from apps.journeys.models import Journey
from apps.journeys.what_if import computation
from apps.journeys.what_if.steps import MAX_STEPS, parse_all

router = Router(tags=["journeys"])
ROUTERS = (router,)


class StepOut(Schema):
    service_id: str
    calls: float = Field(description="Calls per journey; below 1 the share of journeys that use it.")


class PathOut(Schema):
    name: str
    weight: float = Field(description="Relative to the other paths' weights.")
    steps: list[StepOut]


class TierOut(Schema):
    target: float
    error: float = Field(description="One standard error of sampling windows.")
    breach_probability: float


class PathResultOut(Schema):
    name: str
    share: float
    availability: float


class LinkOut(Schema):
    service_id: str
    own: float = Field(description="Its availability without its dependencies.")
    availability: float
    share: float = Field(description="Its part of the journey's failures.")
    gain: float = Field(description="What one more nine of its own would add to the journey's availability.")
    is_member: bool = Field(description="On a path; else only below one.")


class PercentileOut(Schema):
    """A percentile read from journeys drawn one by one."""

    ms: float | None = Field(description="Null where it is above what the histograms can show.")
    error_ms: float | None = Field(description="One standard error of drawing.")
    at_least_ms: float | None = Field(description="A lower bound, where `ms` is null.")


class SlowerOut(Schema):
    share: float
    error: float = Field(description="One standard error of drawing.")


class LatencyFiguresOut(Schema):
    p50: PercentileOut | None
    p95: PercentileOut | None
    p99: PercentileOut | None
    slower: SlowerOut | None = Field(description="Journeys slower than the latency target.")


class InsideOut(Schema):
    """Calls that other services on the path make and wait for. They are not counted a second time."""

    service_id: str
    by: list[str]
    share: float = Field(description="The share of the path's calls to it that are inside.")


class PathLatencyOut(LatencyFiguresOut):
    name: str
    share: float
    missing: list[str] = Field(description="Services whose latencies cannot be drawn from.")
    inside: list[InsideOut]


class ServiceLatencyOut(Schema):
    service_id: str
    path: str = Field(description="The path with the smallest budget.")
    near_ms: float | None = Field(description="Its average time in journeys near their p95.")
    budget_ms: float | None = Field(
        description="The longest that one call may take so that the journey keeps its target."
    )
    chance_over: float | None = Field(description="The share of its requests that currently take longer.")


class MissingLatencyOut(Schema):
    service_id: str
    reason: Literal["none", "percentiles", "few"]


class LatencyOut(LatencyFiguresOut):
    """How long the journey takes end to end. Figures are null where a path has none."""

    days: int = Field(description="The days of histograms that it is drawn from.")
    until: datetime | None = Field(description="The end of the last hour that all services have.")
    share: float = Field(description="The share of journeys that a latency target is about: 0.95.")
    target_ms: float | None
    paths: list[PathLatencyOut]
    services: list[ServiceLatencyOut] = Field(description="The slowest first.")
    missing: list[MissingLatencyOut]
    samples: int = Field(description="Journeys drawn for each path.")


class JourneyResultOut(Schema):
    """What a worker computed last. Fields are null where it could not."""

    is_being_made: bool = Field(description="True where something that it depends on has changed since.")
    computed_at: datetime | None
    as_of: datetime | None = Field(description="The oldest recommendation that it depends on.")
    journey_version: int | None
    window_days: int | None = None
    target: float | None = None
    availability: float | None = None
    standard_error: float | None = None
    interval: list[float] | None = Field(default=None, description="Nine windows in ten are between them.")
    tiers: dict[str, TierOut] | None = None
    chance_missed: float | None = Field(
        default=None, description="The chance that the next window misses the target."
    )
    chance_error: float | None = None
    naive: float | None = Field(default=None, description="The members' availabilities multiplied.")
    paths: list[PathResultOut] = Field(default_factory=list)
    links: list[LinkOut] = Field(default_factory=list, description="The weakest first, at most 50.")
    unknown: list[str] = Field(default_factory=list, description="Counted as never failing.")
    fixed: list[str] = Field(default_factory=list, description="Without a prediction.")
    gone: list[str] = Field(default_factory=list, description="No longer in the catalog.")
    samples: int = 0
    windows: int = 0
    latency: LatencyOut | None = Field(default=None, description="How long it takes.")


class JourneyOut(Schema):
    journey: str
    name: str
    description: str
    team: str | None
    target: float | None
    latency_target_ms: float | None = Field(description="95 % of the journeys shall end within this.")
    paths: list[PathOut]
    version: int
    created_at: datetime
    updated_at: datetime
    result: JourneyResultOut | None


class JourneyQuery(PageQuery):
    team: str = Field(default="", max_length=1000)
    service_id: str = Field(
        default="", max_length=255, description="Only journeys with this service on a path."
    )


class TierTargetOut(Schema):
    target: float
    breach_probability: float
    interval: list[float]


class LoadOut(Schema):
    target_id: str
    usual: float
    in_outage: float


class LevelOut(Schema):
    composite: float | None
    composite_error: float = Field(description="One standard error of sampling the graph.")
    tiers: dict[str, TierTargetOut] | None
    loads: list[LoadOut] = Field(description="Calls that retries make of one.")


class ChangeStepOut(Schema):
    kind: Literal["fallback", "queue", "replica", "retry", "timeout", "target"]
    target_id: str
    value: float


class StepLevelOut(LevelOut):
    step: ChangeStepOut
    told: list[str] = Field(description="What it means, what is assumed, what to watch.")
    unseen: list[str] = Field(description="Dependencies whose failures the service's past does not show.")


class WhatIfOut(Schema):
    service_id: str
    as_of: datetime
    window_days: int
    verdict: str
    reason: str | None
    before: LevelOut
    steps: list[StepLevelOut] = Field(description="Each with all the steps before it.")
    after: LevelOut
    sentence: str
    unknown: list[str]


class WhatIfQuery(Schema):
    step: list[Annotated[str, Field(max_length=400)]] = Field(
        default_factory=list,
        max_length=MAX_STEPS,
        description="`kind:value:service id`, in order; docs/what-if.md lists the kinds.",
    )


def _may_view(request: HttpRequest) -> None:
    if not actor_from(request).may("journeys.view"):
        raise NotAllowed(f"See journeys: {who_may('journeys.view')}")


@router.get("/journeys", response=PageOut[JourneyOut], summary="List the journeys")
def list_journeys(request: HttpRequest, query: Query[JourneyQuery]) -> PageOut[JourneyOut]:
    """Return every journey with its newest result, by name."""
    _may_view(request)
    rows = queries.journeys(team=query.team, service_id=query.service_id)
    page = paginate(rows, order=("name",), cursor=query.cursor, limit=query.limit)
    return PageOut(items=[_journey(one) for one in page.items], next_cursor=page.next_cursor)


@router.get("/journeys/{journey}", response=JourneyOut, summary="A journey")
def read_journey(request: HttpRequest, journey: str) -> JourneyOut:
    """Return its paths and its newest result. `result.is_being_made` says that a newer one is being computed."""
    _may_view(request)
    return _journey(queries.get_journey(journey))


@router.get("/journeys/{journey}/result", response=JourneyResultOut | None, summary="What a journey achieves")
def read_result(request: HttpRequest, journey: str) -> JourneyResultOut | None:
    """Return the newest result; null before the first."""
    _may_view(request)
    return _result(queries.get_journey(journey))


@router.get(
    "/services/{service_path:service_id}/what-if", response=WhatIfOut, summary="What some changes would do"
)
def what_if(request: HttpRequest, service_id: str, query: Query[WhatIfQuery]) -> WhatIfDone:
    """Return what the service could keep with some changes, beside what it can keep now. Changes nothing.

    Answers 422 for a step that does not fit, and 503 with `Retry-After` where no worker answers in time.
    """
    _may_view(request)
    service = get_service(service_id)
    found = computation.what_if(service.pk, parse_all(query.step))
    if found["state"] == "impossible":
        raise InvalidInput(found["detail"], fields=[FieldProblem(f"step.{found['step']}", found["detail"])])
    return found


def _journey(journey: Journey) -> JourneyOut:
    return JourneyOut(
        journey=journey.slug,
        name=journey.name,
        description=journey.description,
        team=journey.team.name if journey.team else None,
        target=journey.target,
        latency_target_ms=journey.latency_target_ms,
        paths=journey.paths,
        version=journey.version,
        created_at=journey.created_at,
        updated_at=journey.updated_at,
        result=_result(journey),
    )


def _result(journey: Journey) -> JourneyResultOut | None:
    found = queries.result_of(journey)
    if found is None:
        return None
    own = {
        "is_being_made": found.is_being_made,
        "computed_at": found.computed_at,
        "as_of": found.as_of,
        "journey_version": found.journey_version,
    }
    return JourneyResultOut.model_validate(found.document | own)
