"""A service's recommendation as pages and the API get it: the engine's parts, each with what is known of its storage.

JSON comes in from the database, from Redis and from workers, and nothing there says what it is. It becomes one of these
types in this module alone (``as_…``); from there on mypy holds everybody to them. What an older version stored may lack
fields that were added since, so readers take those with ``get``.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal, NotRequired, TypedDict, final

from apps.engine.document import (
    AvailabilityPart,
    AvailabilityTier,
    DataQuality,
    Explanation,
    LatencyPart,
    LatencyTier,
    RecommendationDocument,
    TierName,
)

type SliName = Literal["availability", "latency_p95", "latency_p99"]
SLI_NAMES: tuple[SliName, ...] = ("availability", "latency_p95", "latency_p99")
type AnyTier = AvailabilityTier | LatencyTier
type AnyTiers = Mapping[TierName, AvailabilityTier] | Mapping[TierName, LatencyTier]


class Storage(TypedDict):
    """What is known of a part's storage; of one that was shown and not kept, only when it was made."""

    id: str | None
    status: str | None
    version: int | None
    generated_at: str
    expires_at: str | None


@final
class StoredAvailability(Storage, AvailabilityPart):
    """What is recommended for the availability."""


@final
class StoredLatency(Storage, LatencyPart):
    """What is recommended for one percentile."""


type StoredPart = StoredAvailability | StoredLatency


class StoredParts(TypedDict):
    """What is recommended for each SLI, as far as there is a recommendation."""

    availability: NotRequired[StoredAvailability]
    latency_p95: NotRequired[StoredLatency]
    latency_p99: NotRequired[StoredLatency]


class SloSnapshot(TypedDict):
    """An SLO as the audit trail and the API write it; ratios 0..1."""

    id: str
    sli_type: str
    target: float
    threshold_ms: float | None
    basis: str
    window_days: int
    source: str
    tier: str | None
    recommendation_id: str | None
    rationale: str
    started_at: str
    started_by: str
    ended_at: str | None
    version: int


class SloTerms(TypedDict):
    """What an SLO asks for: of a latency, ``target`` is the share of requests (or bins) within the threshold."""

    target: Decimal
    threshold_ms: float | None
    window_days: int
    basis: NotRequired[str]


class DecidedPart(TypedDict):
    """A recommendation as the answer to a decision names it."""

    id: str
    status: str
    version: int


class SloChange(TypedDict):
    """One line of what a decision changed, in words."""

    label: str
    before: str
    after: str


class SloChanged(TypedDict):
    """The answer to a change of an SLO: what is in force now, and what was before."""

    service_id: str
    slo: SloSnapshot | None
    previous: SloSnapshot | None
    change: list[SloChange]


class SloDecided(SloChanged):
    """The answer to a decision that makes an SLO."""

    recommendation: DecidedPart


class Rejected(TypedDict):
    """The answer to a decision that makes no SLO."""

    service_id: str
    recommendation: DecidedPart


class ServiceDocument(TypedDict):
    """All that is recommended for a service, and its SLOs in force by SLI."""

    service_id: str
    as_of: str
    window_days: int
    seed: int
    generated_at: str
    expires_at: str | None
    recommendations: StoredParts
    data_quality: DataQuality | None
    confidence: float
    explanation: Explanation | None
    active_slos: dict[str, SloSnapshot]


class AgedDocument(ServiceDocument):
    """The same with how old it is, and whether it is older than it should be."""

    is_stale: bool
    age_seconds: int


class SharedPart(TypedDict):
    """What a stored row keeps beside its own part; the explanation is with the availability alone."""

    data_quality: DataQuality
    confidence: float
    explanation: Explanation | None


class StoredAnswer(TypedDict):
    """A worker's answer: it has stored what it computed, or could not."""

    state: Literal["stored", "failed"]


class ComputedAnswer(TypedDict):
    """A worker's answer: the document of a window that is not stored."""

    state: Literal["computed"]
    document: ServiceDocument


type Answer = StoredAnswer | ComputedAnswer


def as_document(raw: Any) -> RecommendationDocument:
    """Take JSON that the engine made."""
    document: RecommendationDocument = raw
    return document


def as_availability(raw: Any) -> AvailabilityPart:
    """Take the ``document`` of a stored recommendation for an availability."""
    part: AvailabilityPart = raw
    return part


def as_latency(raw: Any) -> LatencyPart:
    """Take the ``document`` of a stored recommendation for a percentile."""
    part: LatencyPart = raw
    return part


def as_shared(raw: Any) -> SharedPart:
    """Take what a stored recommendation keeps beside its part."""
    shared: SharedPart = raw
    return shared


def as_service_document(raw: Any) -> ServiceDocument:
    """Take the document of a service from the cache."""
    document: ServiceDocument = raw
    return document


def as_answer(raw: Any) -> Answer:
    """Take a worker's answer to a question for a recommendation."""
    answer: Answer = raw
    return answer
