"""What goes into the engine and what comes out of it.

Arrays are float64 and hold one entry per bin. A bin without data is ``nan`` in every array; it is a gap,
never a zero. Availabilities, targets and probabilities are ratios 0..1; latencies are milliseconds; instants
are Unix seconds (UTC).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from apps.engine.document import CommunicationMode, Criticality, TierName

type Floats = NDArray[np.float64]

TIER_BREACH_PROBABILITY: Mapping[TierName, float] = {
    "conservative": 0.01,
    "balanced": 0.05,
    "aggressive": 0.20,
}


@dataclass(frozen=True, slots=True)
class CountSeries:
    """Requests and failed requests in regular bins.

    ``start`` is the beginning of the first bin, ``step_seconds`` the width of each. ``total`` and ``bad``
    have shape ``(n,)``; ``bad <= total`` holds in every bin that has data (implausible bins are removed
    before and counted in :class:`Quality`).
    """

    start: int
    step_seconds: int
    total: Floats
    bad: Floats


@dataclass(frozen=True, slots=True)
class BucketSeries:
    """Latency histograms in regular bins, aligned with the service's :class:`CountSeries`.

    ``bounds_ms`` has shape ``(k,)``, ascending, the last one ``inf``; ``cumulative`` has shape ``(n, k)``.
    """

    start: int
    step_seconds: int
    bounds_ms: Floats
    cumulative: Floats


@dataclass(frozen=True, slots=True)
class PercentileSeries:
    """Percentiles that a source has computed itself, one for each fine bin, in order of time.

    They cannot be summed, so a window is judged by the share of its bins under a threshold. ``bins_per_hour`` is how
    many of them make up an hour with complete data.
    """

    at: NDArray[np.int64]
    p95_ms: Floats
    p99_ms: Floats
    bins_per_hour: int


@dataclass(frozen=True, slots=True)
class DependencyInput:
    """One outgoing edge of the service.

    ``calls_per_request`` is declared or ``None``. ``edge`` holds the calls over this edge, ``target`` the target's own
    counts; either may be missing. ``published_sla`` counts only for an external target without observations. Targets
    with the same non-empty ``redundancy_group`` stand in for each other.
    """

    target_id: str
    mode: CommunicationMode = "sync"
    criticality: Criticality = "hard"
    calls_per_request: float | None = None
    edge: CountSeries | None = None
    target: CountSeries | None = None
    is_external: bool = False
    published_sla: float | None = None
    redundancy_group: str = ""
    redundancy_needed: int = 1
    """How many members of the group must be up; the largest value that any member declares counts."""
    retries: int = 0
    cycle: tuple[str, ...] = ()
    """The members of the cycle that this edge belongs to; empty if it belongs to none."""
    depends_on: tuple[str, ...] = ()
    """Ids of services that the target itself depends on synchronously, which two targets may share."""


@dataclass(frozen=True, slots=True)
class GraphFigure:
    """What the whole graph below a service allows (:mod:`apps.engine.graph.reachable`).

    ``limit`` is the availability of a service that never fails by itself; every node below counts once. ``services``
    are those below it. ``is_whole`` is false where the furthest were taken as measured and not looked below. ``shared``
    are the targets that depend on a common node with another target, ``shared_nodes`` the nodes where paths meet.
    ``excluded`` are the asynchronous edges below (source, target). ``calls_in_outage`` is how many calls reach
    ``loaded`` for one call of this service, through the worst chain of retries.
    """

    limit: float
    standard_error: float
    is_exact: bool
    services: int
    is_whole: bool = True
    shared: tuple[str, ...] = ()
    shared_nodes: tuple[str, ...] = ()
    shared_count: int = 0
    excluded: tuple[tuple[str, str], ...] = ()
    excluded_count: int = 0
    cycle: tuple[str, ...] = ()
    cycle_rounds: int | None = None
    calls_in_outage: float = 1.0
    loaded: str | None = None


@dataclass(frozen=True, slots=True)
class Quality:
    """What is known of the data besides its values.

    ``doubts`` are reasons to doubt the counts, each with the factor 0..1 that it leaves of the confidence. ``left_out``
    are reasons for which hours were left out before, each with the number of hours.
    """

    implausible_bins: int = 0
    partial_bins: int = 0
    source_warnings: tuple[str, ...] = ()
    doubts: tuple[tuple[str, float], ...] = ()
    left_out: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class ServiceInput:
    """All that the engine may know of one service at ``as_of``; the caller decides how far series reach back."""

    service_id: str
    criticality: Literal["critical", "high", "medium", "low"] = "medium"
    archetype: str = "default"
    is_external: bool = False
    published_sla: float | None = None
    counts: CountSeries | None = None
    history: CountSeries | None = None
    """Daily counts of up to two years, for the backtest; may overlap ``counts``."""
    buckets: BucketSeries | None = None
    percentiles: PercentileSeries | None = None
    dependencies: tuple[DependencyInput, ...] = ()
    quality: Quality = field(default_factory=Quality)
    graph: GraphFigure | None = None
    """What the graph below allows; without it the composite knows the direct dependencies alone."""
