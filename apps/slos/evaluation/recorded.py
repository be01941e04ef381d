"""Recommendations held against a folder of one's own history: the engine's input from it, window by window.

For commands: it needs numpy.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from apps.catalog.queries import retries_of
from apps.catalog.schemas import DependencyRow, ServiceRow
from apps.engine.evaluation.evaluate import Outcome
from apps.engine.evaluation.latency import LatencyOutcome
from apps.engine.evaluation.rolling import rolling, rolling_latency
from apps.engine.types import BucketSeries, CountSeries, DependencyInput, ServiceInput
from apps.telemetry.recording import Recording
from apps.telemetry.series import Buckets, Counts

FAMILY = "recorded"


def evaluate(recording: Recording, *, holdout_days: int) -> tuple[list[Outcome], list[LatencyOutcome]]:
    """Evaluate every window of the past that has enough history before it; availability, and latency."""
    found: list[Outcome] = []
    latencies: list[LatencyOutcome] = []
    for service in inputs(recording):
        found += rolling(service, FAMILY, holdout_days=holdout_days)
        latencies += rolling_latency(service, FAMILY, holdout_days=holdout_days)
    return found, latencies


def inputs(recording: Recording) -> list[ServiceInput]:
    """The engine's input for each service that has counts or histograms, sorted by service id."""
    rows = {row.service_id: row for row in recording.graph.services}
    series = {name: _series(found) for name, found in recording.counts.items()}
    outgoing: dict[str, list[DependencyRow]] = defaultdict(list)
    for edge in recording.graph.dependencies:
        outgoing[edge.source].append(edge)
    found = []
    for name in sorted({*series, *recording.buckets}):
        row = rows.get(name) or ServiceRow(service_id=name)
        found.append(
            ServiceInput(
                service_id=name,
                criticality=row.criticality or "medium",
                archetype=row.archetype or ("external" if row.external else "default"),
                is_external=bool(row.external),
                published_sla=_ratio(row),
                counts=series.get(name),
                buckets=_histogram(recording.buckets.get(name)),
                dependencies=tuple(
                    _dependency(edge, rows.get(edge.target), series, recording.edges, outgoing)
                    for edge in outgoing[name]
                ),
            )
        )
    return found


def _dependency(
    edge: DependencyRow,
    target: ServiceRow | None,
    series: Mapping[str, CountSeries],
    calls: Mapping[tuple[str, str], Counts],
    outgoing: Mapping[str, list[DependencyRow]],
) -> DependencyInput:
    over = calls.get((edge.source, edge.target))
    return DependencyInput(
        target_id=edge.target,
        mode=edge.mode or "sync",
        criticality=edge.criticality or "hard",
        calls_per_request=edge.calls_per_request,
        edge=None if over is None else _series(over),
        target=series.get(edge.target),
        is_external=target is not None and bool(target.external),
        published_sla=_ratio(target) if target is not None and target.external else None,
        redundancy_group=edge.redundancy_group or "",
        redundancy_needed=edge.redundancy_needed or 1,
        retries=retries_of(edge.retry_config or {}),
        depends_on=tuple(
            beyond.target for beyond in outgoing.get(edge.target, ()) if (beyond.mode or "sync") == "sync"
        ),
    )


def _series(found: Counts) -> CountSeries:
    return CountSeries(found.start, found.step_seconds, found.total, found.bad)


def _histogram(found: Buckets | None) -> BucketSeries | None:
    return (
        None
        if found is None
        else BucketSeries(found.start, found.step_seconds, found.bounds_ms, found.cumulative)
    )


def _ratio(row: ServiceRow) -> float | None:
    return None if row.published_sla is None else float(row.published_sla)
