"""The recommendation document, field by field as ``docs/recommendation-format.md`` describes it.

These are plain dictionaries that go to JSON and come back from it unchanged; the types cost nothing at run time. This
module imports nothing but ``typing``, so that what shows a document may name its types without loading the engine.

Ratios, probabilities and targets are 0..1, latencies are milliseconds, instants ISO 8601 in UTC.
"""

from typing import Literal, NotRequired, TypedDict, final

CommunicationMode = Literal["sync", "async"]
Criticality = Literal["hard", "soft", "degraded"]
CallProbabilitySource = Literal["observed", "declared", "co_movement", "bounded_by_target_traffic", "prior"]
HardnessSource = Literal["observed", "bounded_by_survival", "prior"]
AvailabilitySource = Literal["edge", "target", "published_sla", "unknown"]
Verdict = Literal[
    "ok", "cold_start", "insufficient_history", "insufficient_traffic", "nothing_kept", "no_data"
]
TierName = Literal["conservative", "balanced", "aggressive"]
LatencyBasis = Literal["requests", "bins"]
LatencyPercentile = Literal["p95_ms", "p99_ms"]
Regime = Literal[
    "new", "clean", "rare_incidents", "drifting", "load_dependent", "bursty", "steady", "up_or_down"
]
LatencyRegime = Literal["new", "drifting", "incidents", "load_dependent", "bursty", "steady"]
CompositeMethod = Literal["exact", "sampled"]
CompositeScope = Literal["whole_graph", "nearest", "direct"]
CounterfactualKind = Literal["one_more_nine", "one_nine_better", "one_nine_worse", "without_incidents"]


class JudgedWindow(TypedDict):
    """A past window of a backtest: its first day and the day after its last, as ISO dates."""

    start: str
    end: str
    missed: bool


@final
class AvailabilityWindow(JudgedWindow):
    """A past window with its event-weighted availability."""

    availability: float


@final
class LatencyWindow(JudgedWindow):
    """A past window with its percentile; ``None`` where that lies above the highest bucket."""

    observed: float | None


class Backtest[WindowT: JudgedWindow](TypedDict):
    """What a target would have cost in the past.

    ``windows`` are oldest first; alerts are those of a 30-day month, ``None`` where too little is known.
    """

    windows: list[WindowT]
    missed: int
    of: int
    pages_per_month: float | None
    tickets_per_month: float | None


type AnyBacktest = Backtest[AvailabilityWindow] | Backtest[LatencyWindow]


class TierNumbers(TypedDict):
    """A target, the chance that the next window misses it, and its 90 % interval: lower end, upper end."""

    target: float
    breach_probability: float
    interval: list[float]


@final
class AvailabilityTier(TierNumbers):
    """A tier of an availability."""

    supported_by_dependencies: bool | None
    dependency_limit: float | None
    backtest: Backtest[AvailabilityWindow]


@final
class LatencyTier(TierNumbers):
    """A tier of a latency. Those that older versions stored have no backtest."""

    backtest: NotRequired[Backtest[LatencyWindow]]


class RetryPart(TypedDict):
    """What retries cannot save, and the calls they make of one."""

    retries: int
    retry_shared_share: float | None
    load_amplification: float | None
    load_amplification_in_outage: float


class DependencyPart(RetryPart):
    """One dependency as the composite weighs it."""

    target_id: str
    mode: CommunicationMode
    criticality: Criticality
    call_probability: float
    call_probability_source: CallProbabilitySource
    call_probability_interval: list[float] | None
    hardness: float | None
    hardness_source: HardnessSource | None
    hardness_interval: list[float] | None
    behaves_hard: bool
    has_fallback: bool
    availability: float | None
    availability_source: AvailabilitySource
    effect: float | None
    is_shared: bool
    redundancy_group: str | None
    redundancy_needed: int | None
    cycle: list[str] | None


class ComposedGraph(TypedDict):
    """How a composite was found, and over how much of the graph."""

    method: CompositeMethod
    scope: CompositeScope
    services_below: int | None
    shared_nodes: list[str]
    shared_node_count: int | None
    excluded_edges: list[list[str]]
    excluded_edge_count: int | None
    cycle_rounds: int | None
    load_amplification_in_outage: float | None
    load_amplification_at: str | None


class CompositePart(ComposedGraph):
    """Availability from own reliability and dependencies."""

    point: float | None
    lower_bound: float | None
    upper_bound: float | None
    standard_error: float
    naive_product: float | None
    own: float | None
    dependencies: list[DependencyPart]
    dependency_count: int


class AvailabilityPart(TypedDict):
    """The availability part; ``tiers`` is ``None`` where the verdict carries no number."""

    verdict: Verdict
    reason: str | None
    observed: float | None
    tiers: dict[TierName, AvailabilityTier] | None
    dependency_limit: float | None
    composite: CompositePart
    regime: Regime | None


class LatencyPart(TypedDict):
    """The part of one latency percentile."""

    verdict: Verdict
    reason: str | None
    basis: LatencyBasis | None
    observed: float | None
    bucket_ms: list[float | None] | None
    tiers: dict[TierName, LatencyTier] | None
    regime: LatencyRegime | None
    days: float | None


class Latencies(TypedDict):
    """Both percentiles, each with its own verdict."""

    p95_ms: LatencyPart
    p99_ms: LatencyPart


# ``from`` is a word of the language.
DataSpan = TypedDict("DataSpan", {"from": str | None, "to": str | None})
"""Begin of the first and end of the last bin with data."""


class CountedQuality(DataSpan):
    """What is known of the data; figures that need data are ``None`` without."""

    coverage: float | None
    gaps: int | None
    missing_seconds: int | None
    bins: int | None
    step_seconds: int | None
    days: float | None
    implausible_bins: int
    partial_bins: int
    doubts: dict[str, float]
    left_out: dict[str, int]
    total_requests: float | None
    expected_requests: float | None
    confidence_parts: dict[str, float]


class DataQuality(CountedQuality):
    """The same with its sentences for people."""

    warnings: list[str]


class Attribution(TypedDict):
    """What one feature adds to the base: mostly negative."""

    feature: str
    label: str
    contribution: float


class Change(TypedDict):
    """What changes: a cause (a feature, or ``all``), the factor on its failures, a dependency's availability then."""

    cause: str
    scale: float
    availability: float | None


class CounterfactualPart(TypedDict):
    """The balanced target today, and what it would be after a change."""

    kind: CounterfactualKind
    change: Change
    target: float
    result: float
    text: str


class Explanation(TypedDict):
    """Why the balanced target is what it is: ``base`` and all contributions add up to ``target``."""

    base: float | None
    target: float | None
    attribution: list[Attribution]
    counterfactuals: list[CounterfactualPart]
    summary: str


class SharedParts(TypedDict):
    """What holds for all SLIs of a service."""

    data_quality: DataQuality
    confidence: float
    explanation: Explanation


class RecommendationDocument(SharedParts):
    """All that is recommended for one service."""

    service_id: str
    as_of: str
    window_days: int
    seed: int
    availability: AvailabilityPart
    latency: Latencies
