"""What the tables of the report hold: they are written as JSON, and as Markdown to read."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from apps.engine.document import TierName

type ByTier[ValueT] = dict[TierName, ValueT]
type Losses = dict[str, ByTier[float]]
"""Mean pinball loss by method."""


class Missed(TypedDict):
    """The share of windows that missed a tier, and whether it lies within its bounds."""

    missed: float
    missed_or_met_exactly: float
    standard_error: float
    within: bool


class Calibration(TypedDict):
    """A group: how many services it has, how many of them got a number, and who missed each tier."""

    services: int
    with_number: int
    conservative: Missed | None
    balanced: Missed | None
    aggressive: Missed | None


class Calibrations(TypedDict):
    """All outcomes, each hidden family, and the groups of each grouping."""

    overall: Calibration
    families: dict[str, Calibration]
    groups: dict[str, dict[str, Calibration]]


class Summary(Calibrations):
    """What is said of availability: besides, the losses, how often the 90 % interval holds the oracle's number, and the
    missed share of each tier by method.
    """

    pinball: Losses
    gap_closed: ByTier[float | None]
    gap_closed_by_family: dict[str, ByTier[float | None]]
    interval_coverage: ByTier[float | None]
    interval_coverage_error: float
    reliability: dict[str, list[float]]
    reliability_error: list[float]


class LatencySummary(Summary):
    """What is said of one percentile."""

    exact_slower: ByTier[float] | None


class Young(TypedDict, total=False):
    """What is said of the first week; empty where nothing was evaluated."""

    families: dict[str, Calibration]
    groups: dict[str, dict[str, Calibration]]
    pinball_by_family: dict[str, Losses]
    interval_coverage: ByTier[float | None]
    interval_coverage_error: float
    reliability: dict[str, list[float]]
    reliability_error: list[float]


class Coverage(TypedDict):
    """How often intervals hold the true value; ``within`` where that is judged."""

    edges: int
    covered: float
    standard_error: float
    within: NotRequired[bool | None]


class EdgeCoverage(TypedDict):
    """One figure of edges: how many have it from data, and how often its interval holds the true value."""

    edges: int
    learned: int
    inside: Coverage | None
    at_0_or_1: Coverage | None


class Differences(TypedDict):
    """One method's differences to brute force, in standard errors."""

    nodes: int
    mean: float
    standard_deviation: float
    beyond: dict[str, float]
    largest: float
    looked_at_again: int
    still_beyond: int
    within: bool


class Composite(TypedDict, total=False):
    """What is said of whole graphs; empty where nothing was evaluated."""

    graphs: int
    chance: dict[str, float]
    methods: dict[str, Differences]


class Report(Summary):
    """All that an evaluation writes."""

    young: Young
    edges: dict[str, EdgeCoverage]
    composite: Composite
    latency: dict[str, LatencySummary]
    latency_bins: dict[str, LatencySummary]
