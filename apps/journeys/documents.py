"""What workers compute of journeys and what-ifs, as pages and the API get it (docs/journeys.md, docs/what-if.md).

JSON comes in from the database and from workers, and nothing there says what it is. It becomes one of these types in
this module alone (``as_…``); from there on mypy holds everybody to them. Ratios are 0..1, latencies milliseconds,
instants ISO 8601 in UTC.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from apps.engine.document import TierName, TierNumbers, Verdict

type PercentileName = Literal["p50", "p95", "p99"]
type MissingReason = Literal["none", "percentiles", "few"]


class StepPart(TypedDict):
    """One service on a path; ``calls`` a journey, one where nothing is said."""

    service_id: str
    calls: NotRequired[float]


class PathPart(TypedDict):
    """One way to take a journey; ``weight`` is relative to the other paths'."""

    name: NotRequired[str]
    weight: NotRequired[float]
    steps: list[StepPart]


class JourneySnapshot(TypedDict):
    """A journey as the audit trail writes it."""

    journey: str
    name: str
    team: str | None
    description: str
    target: float | None
    latency_target_ms: float | None
    paths: list[PathPart]


class Percentile(TypedDict):
    """A percentile with one standard error of drawing; above all buckets, what it is at least."""

    ms: float | None
    error_ms: float | None
    at_least_ms: float | None


class Slower(TypedDict):
    """The share of journeys slower than the latency target, with one standard error of drawing."""

    share: float
    error: float


class LatencyFigures(TypedDict):
    """How long journeys take; ``None`` where that cannot be read."""

    p50: Percentile | None
    p95: Percentile | None
    p99: Percentile | None
    slower: Slower | None


class InsidePart(TypedDict):
    """Calls that other services on the path make and wait for, and the share of the path's calls that they are."""

    service_id: str
    by: list[str]
    share: float


class PathLatency(LatencyFigures):
    """How long one path takes; ``missing`` are services whose latencies cannot be drawn from."""

    name: str
    share: float
    missing: list[str]
    inside: list[InsidePart]


class ServiceLatency(TypedDict):
    """What a service takes in slow journeys, what it may take, and how often it takes longer."""

    service_id: str
    path: str
    near_ms: float | None
    budget_ms: float | None
    chance_over: float | None


class MissingLatency(TypedDict):
    """A service whose latencies cannot be drawn from, and why."""

    service_id: str
    reason: MissingReason


class JourneyLatency(LatencyFigures):
    """How long a journey takes end to end, by path and by service."""

    days: int
    until: str | None
    share: float
    target_ms: float | None
    paths: list[PathLatency]
    services: list[ServiceLatency]
    missing: list[MissingLatency]
    samples: int


class JourneyTier(TypedDict):
    """A target of a journey, with one standard error of sampling windows."""

    target: float
    error: float
    breach_probability: float


class PathShare(TypedDict):
    """What one path achieves, and the share of journeys that take it."""

    name: str
    share: float
    availability: float


class LinkPart(TypedDict):
    """A service and its part in the journey's failures; ``gain`` is what one more nine of its own would add."""

    service_id: str
    own: float
    share: float
    gain: float
    is_member: bool
    availability: float


class WhatWasAsked(TypedDict):
    """What a journey's figures are about; ``gone`` are services on it that the catalog no longer has."""

    window_days: int
    seed: int
    target: float | None
    gone: list[str]
    latency: JourneyLatency | None


class Achieved(TypedDict):
    """What a journey achieves; ``None`` and empty where it has no number."""

    availability: float | None
    standard_error: float | None
    interval: list[float] | None
    tiers: dict[TierName, JourneyTier] | None
    chance_missed: float | None
    chance_error: float | None
    naive: float | None
    paths: list[PathShare]
    links: list[LinkPart]
    unknown: list[str]
    fixed: list[str]
    samples: int
    windows: int
    services: int


class ResultDocument(WhatWasAsked, Achieved):
    """The newest result of a journey."""


class LoadPart(TypedDict):
    """Calls that reach a service for one call made: usually, and while it is down."""

    target_id: str
    usual: float
    in_outage: float


class LevelPart(TypedDict):
    """How a service stands after some steps."""

    composite: float | None
    composite_error: float
    tiers: dict[TierName, TierNumbers] | None
    loads: list[LoadPart]


class StepAsked(TypedDict):
    """A step of a what-if."""

    kind: str
    target_id: str
    value: float


class StepLevel(LevelPart):
    """How it stands with one more step; ``unseen`` are dependencies whose failures the past does not show."""

    step: StepAsked
    unseen: list[str]
    told: list[str]


class Offers(TypedDict):
    """The services that a step may be about."""

    direct: list[str]
    below: list[str]


class WhatIfDone(TypedDict):
    """What some steps would do."""

    state: Literal["done"]
    service_id: str
    as_of: str
    window_days: int
    verdict: Verdict
    reason: str | None
    before: LevelPart
    steps: list[StepLevel]
    after: LevelPart
    sentence: str
    unknown: list[str]
    offers: Offers


class WhatIfImpossible(TypedDict):
    """Which step does not fit, counted from 0, and why."""

    state: Literal["impossible"]
    step: int
    detail: str


type WhatIfAnswer = WhatIfDone | WhatIfImpossible


def as_paths(raw: Any) -> list[PathPart]:
    """Take the ``paths`` of a stored journey."""
    paths: list[PathPart] = raw
    return paths


def as_result(raw: Any) -> ResultDocument | None:
    """Take the ``document`` of a stored result; ``None`` where nothing was computed yet."""
    document: ResultDocument | None = raw or None
    return document


def as_steps(raw: Any) -> list[StepAsked]:
    """Take the steps that a web process asks a worker about."""
    steps: list[StepAsked] = raw
    return steps


def as_answer(raw: Any) -> WhatIfAnswer:
    """Take a worker's answer to a what-if."""
    answer: WhatIfAnswer = raw
    return answer
