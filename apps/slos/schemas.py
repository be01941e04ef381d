"""What the API of SLOs takes and answers. Ratios are 0..1, latencies milliseconds, times ISO 8601 in UTC."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from ninja import Schema
from pydantic import ConfigDict, Field, GetCoreSchemaHandler, field_validator
from pydantic_core import CoreSchema, core_schema

from apps.core.web.pagination import PageQuery
from apps.engine.document import (
    AvailabilityTier,
    CompositePart,
    DataQuality,
    Explanation,
    LatencyTier,
    TierName,
)
from apps.slos.impact.upstream import MAX_DEPTH
from apps.slos.models import SliType


class _AsStored:
    """Says in the API's description what a part holds, and answers the part as it was stored.

    What an older version stored may lack fields that were added since.
    """

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        described = handler(source)
        return core_schema.any_schema(
            metadata={"pydantic_js_functions": [lambda _, say: say(described)]},
            serialization=core_schema.wrap_serializer_function_ser_schema(
                lambda value, _: value, schema=described
            ),
        )


class RecommendationQuery(Schema):
    sli_type: Literal["availability", "latency", "latency_p95", "latency_p99"] | None = Field(
        default=None, description="Only this one; `latency` is both percentiles."
    )
    force_regenerate: bool = Field(
        default=False,
        description="Compute it again from the newest data. With a session, only with the header X-CSRFToken.",
    )
    window_days: int | None = Field(
        default=None,
        ge=1,
        le=90,
        description="Another window than SLOs are set for; such a one is not stored.",
    )


class RecommendationOut(Schema):
    """The engine's part for one SLI (docs/recommendation-format.md) with what is known of its storage."""

    id: UUID | None
    status: str | None
    version: int | None
    generated_at: datetime
    expires_at: datetime | None
    verdict: str
    reason: str | None
    observed: float | None = Field(description="A ratio, or milliseconds for a latency.")
    tiers: Annotated[dict[TierName, AvailabilityTier | LatencyTier] | None, _AsStored()] = Field(
        description="By name: `target`, `breach_probability`, `interval`, `backtest` and, of an availability, what"
        " dependencies support."
    )
    dependency_limit: float | None = Field(
        default=None, description="Availability that dependencies support."
    )
    composite: Annotated[CompositePart | None, _AsStored()] = Field(
        default=None, description="Availability only."
    )
    basis: str | None = Field(default=None, description="Latency only: `requests` or `bins`.")
    bucket_ms: list[float | None] | None = Field(
        default=None, description="Latency only: the bucket that the observed percentile lies in."
    )
    days: float | None = Field(default=None, description="Latency only: days of latency data.")
    regime: str | None = Field(
        default=None,
        description="What kind of history it is, such as `steady`, `bursty` or `new`; null without a number, and for a"
        " latency without histograms.",
    )


class SloOut(Schema):
    id: UUID
    sli_type: SliType
    target: float
    threshold_ms: float | None
    basis: str
    window_days: int
    source: str
    tier: str | None
    recommendation_id: UUID | None
    rationale: str
    started_at: datetime
    started_by: str
    ended_at: datetime | None
    version: int


class RecommendationsOut(Schema):
    service_id: str
    as_of: datetime
    window_days: int
    seed: int
    generated_at: datetime
    expires_at: datetime | None
    is_stale: bool = Field(description="Older than it should be; no worker could make a new one in time.")
    age_seconds: int
    recommendations: dict[str, RecommendationOut]
    data_quality: Annotated[DataQuality | None, _AsStored()]
    confidence: float
    explanation: Annotated[Explanation | None, _AsStored()]
    active_slos: dict[str, SloOut]


class Modifications(Schema):
    """What becomes the SLO in place of the tier."""

    model_config = ConfigDict(extra="forbid")

    availability_target: float | None = None
    latency_p95_target_ms: float | None = None
    latency_p99_target_ms: float | None = None

    @field_validator("availability_target", mode="before")
    @classmethod
    def _is_a_ratio(cls, value: object) -> object:
        if isinstance(value, (int, float)) and not isinstance(value, bool) and 1 < value <= 100:
            raise ValueError(f"is a ratio between 0 and 1: write {value / 100:.10g} for {value:g} %")
        return value


class DecisionIn(Schema):
    """One decision on one SLI; availability and the latencies are decided separately."""

    model_config = ConfigDict(extra="forbid")

    action: Literal["accept", "modify", "reject"]
    sli_type: SliType = SliType.AVAILABILITY
    selected_tier: Literal["conservative", "balanced", "aggressive"] | None = Field(
        default=None, description="Needed to accept."
    )
    modifications: Modifications | None = Field(default=None, description="Needed to modify.")
    recommendation_id: UUID | None = Field(
        default=None,
        description="The one that you saw and decide on; 409 when another is current by then. Without it the "
        "current one is decided on, whatever it says: send it.",
    )
    rationale: str = Field(default="", description="Needed to modify and to reject.")
    expected_version: int | None = Field(
        default=None,
        ge=0,
        description="The version of the SLO that you saw, 0 for none; 409 when it has changed.",
    )


class FieldChangeOut(Schema):
    label: str
    before: str
    after: str


class DecidedOut(Schema):
    id: UUID
    status: str
    version: int


class DecisionOut(Schema):
    service_id: str
    slo: SloOut | None = None
    previous: SloOut | None = None
    change: list[FieldChangeOut] = Field(default_factory=list)
    recommendation: DecidedOut


class StatusOut(Schema):
    state: str
    reason: str
    as_of: datetime | None
    observed: float | None
    target: float | None
    window_days: int
    budget_left: float | None = Field(description="0..1, negative when overspent.")
    burn_1h: float | None
    burn_6h: float | None
    burn_1d: float | None
    burn_3d: float | None
    exhausted_at: datetime | None
    decision_due: bool


class BudgetDayOut(Schema):
    day: str
    left: float
    total: float
    bad: float


class BudgetOut(Schema):
    sli_type: SliType
    as_of: datetime | None
    allowed: float
    spent: float
    left: float | None
    days: list[BudgetDayOut]


class ServiceSlosOut(Schema):
    service_id: str
    active: dict[str, SloOut]
    status: StatusOut | None
    budgets: list[BudgetOut]
    history: list[SloOut]


class SloQuery(PageQuery):
    team: str = Field(default="", max_length=1000)
    sli_type: SliType | None = None
    state: Literal["fine", "attend", "act", "no_data"] | None = None


class ListedSloOut(SloOut):
    service_id: str
    team: str | None
    state: str | None = Field(description="`counting` until the budget of a new SLO is counted.")
    budget_left: float | None = Field(
        description="0..1, negative when overspent; null without data and while it is being counted."
    )


class ImpactIn(Schema):
    """An SLO that somebody considers."""

    model_config = ConfigDict(extra="forbid")

    service_id: str = Field(min_length=1, max_length=255)
    sli_type: SliType = SliType.AVAILABILITY
    proposed_target: float = Field(
        gt=0, allow_inf_nan=False, description="A ratio between 0 and 1, or milliseconds for a latency."
    )
    depth: int | None = Field(
        default=None,
        ge=1,
        le=MAX_DEPTH,
        description="Look only so many calls far; as far as it goes if left out.",
    )


class EffectOut(Schema):
    service_id: str
    depth: int
    is_direct: bool
    influence: float = Field(description="Availability: the chance that it fails when this one does.")
    before: float | None
    after: float | None
    change: float | None
    promised: float | None
    threshold_ms: float | None
    breaks: bool
    was_broken: bool
    shortfall: float | None


class ImpactOut(Schema):
    service_id: str
    sli_type: SliType
    current: float | None
    current_source: str
    proposed: float
    depth: int = Field(description="How many calls far it looked.")
    not_looked_at: str | None = Field(description="What the depth cut off, in words; null if nothing.")
    affected_count: int
    broken_count: int
    affected: list[EffectOut]
