"""The engine's input: everything known of many services at one instant, read in a few passes.

Only workers and commands import this module. Every query is cut at ``as_of``: a bin that had not ended by then is not
read at all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, cast

import numpy as np

from apps.catalog.models import Service
from apps.catalog.queries import EngineEdge, cycle_members, edges_for_engine, targets_called
from apps.core.instants import whole_hour
from apps.engine.types import (
    BucketSeries,
    CountSeries,
    DependencyInput,
    PercentileSeries,
    Quality,
    ServiceInput,
)
from apps.slos.documents.data_findings import Counted, hours_left_out, tell
from apps.slos.objectives.sli_events import LATENCY_DAYS
from apps.telemetry.queries import StoredFinding, findings_in
from apps.telemetry.series import (
    Buckets,
    Counts,
    Percentiles,
    load_buckets,
    load_counts,
    load_days,
    load_edges,
    load_percentiles,
)

HOURS_BACK = timedelta(days=120)
DAYS_BACK = timedelta(days=730)
LATENCY_BACK = timedelta(days=LATENCY_DAYS)


BATCH = 100
"""Services read at once."""
MOST_COUNTS = 6_000
"""Services whose hours are kept while a fleet is read in batches: about 280 MB for 120 days."""


def load(
    services: Sequence[Service],
    as_of: datetime,
    *,
    cycles: Mapping[str, tuple[str, ...]] | None = None,
) -> list[ServiceInput]:
    """Return the engine's input for these services, in the order given.

    ``cycles`` is :func:`apps.catalog.queries.cycle_members`, for callers that have it.
    """
    members = cycle_members() if cycles is None else cycles
    return _load(services, as_of, members, _Counts(as_of), edges_only=False)


def batches(
    services: Sequence[Service],
    as_of: datetime,
    *,
    cycles: Mapping[str, tuple[str, ...]],
    edges_only: bool = False,
) -> Iterator[list[ServiceInput]]:
    """Yield the input of many services in batches, in the order given.

    A service's hours are read once, however many others call it. ``edges_only`` reads only what edges are estimated
    from, and no latencies.
    """
    counts = _Counts(as_of)
    for start in range(0, len(services), BATCH):
        yield _load(services[start : start + BATCH], as_of, cycles, counts, edges_only=edges_only)


@dataclass(slots=True)
class _Counts:
    """Hourly counts up to an instant, kept for the services that call theirs."""

    as_of: datetime
    _known: dict[int, Counts | None] = field(default_factory=dict)

    def of(self, pks: Sequence[int]) -> dict[int, Counts]:
        """Return the counts of each service that has any."""
        hour = whole_hour(self.as_of)
        missing = [pk for pk in pks if pk not in self._known]
        read = load_counts(missing, hour - HOURS_BACK, hour) if missing else {}
        self._known |= {pk: read.get(pk) for pk in missing}
        found = {pk: known for pk in pks if (known := self._known[pk]) is not None}
        for pk in list(self._known)[: max(0, len(self._known) - MOST_COUNTS)]:
            del self._known[pk]
        return found


def _load(
    services: Sequence[Service],
    as_of: datetime,
    cycles: Mapping[str, tuple[str, ...]],
    known: _Counts,
    *,
    edges_only: bool,
) -> list[ServiceInput]:
    pks = [service.pk for service in services]
    edges = edges_for_engine(pks)
    targets = sorted({edge.target_pk for edge in edges})
    hour = whole_hour(as_of)
    day = hour.replace(hour=0)
    counts = known.of(sorted({*pks, *targets}))
    calls = load_edges(pks, hour - HOURS_BACK, hour)
    days = load_days(pks, day - DAYS_BACK, day)
    rest = [] if edges_only else pks
    buckets = load_buckets(rest, hour - LATENCY_BACK, hour)
    percentiles = load_percentiles([pk for pk in rest if pk not in buckets], hour - LATENCY_BACK, hour)
    findings = findings_in(rest, hour - HOURS_BACK, hour, latency_start=hour - LATENCY_BACK) if rest else {}
    series = {pk: _series(found) for pk, found in counts.items()}
    edge_series = {pair: _series(found) for pair, found in calls.items()}
    beyond = targets_called(targets) if targets else {}
    outgoing: dict[int, list[EngineEdge]] = defaultdict(list)
    for edge in edges:
        outgoing[edge.source_pk].append(edge)
    return [
        ServiceInput(
            service_id=service.service_id,
            criticality=cast(Literal["critical", "high", "medium", "low"], str(service.criticality)),
            archetype=service.archetype or ("external" if service.is_external else "default"),
            is_external=service.is_external,
            published_sla=None if service.published_sla is None else float(service.published_sla),
            counts=series.get(service.pk),
            history=_series(days[service.pk]) if service.pk in days else None,
            buckets=_buckets(buckets.get(service.pk)),
            percentiles=_percentiles(percentiles.get(service.pk)),
            dependencies=tuple(
                _dependency(edge, series, edge_series, cycles, beyond) for edge in outgoing[service.pk]
            ),
            quality=_quality(counts.get(service.pk), findings.get(service.pk, []), hour),
        )
        for service in services
    ]


def _series(found: Counts) -> CountSeries:
    return CountSeries(found.start, found.step_seconds, found.total, found.bad)


def _quality(found: Counts | None, findings: Sequence[StoredFinding], hour: datetime) -> Quality:
    account = tell(findings, _counted(found), hour)
    return Quality(
        # Where no hour is left, only the findings know how many there were.
        found.implausible if found else hours_left_out(findings),
        found.partial if found else 0,
        account.warnings,
        account.doubts,
        account.left_out,
    )


def _counted(found: Counts | None) -> Counted:
    if found is None:
        return Counted()
    has_requests = found.total > 0
    return Counted(
        has_failures=bool(np.nansum(found.bad) > 0),
        has_only_failures=bool(
            has_requests.any() and np.all(found.bad[has_requests] >= found.total[has_requests])
        ),
        implausible=found.implausible,
    )


def _buckets(found: Buckets | None) -> BucketSeries | None:
    return BucketSeries(found.start, found.step_seconds, found.bounds_ms, found.cumulative) if found else None


def _percentiles(found: Percentiles | None) -> PercentileSeries | None:
    return PercentileSeries(found.at, found.p95_ms, found.p99_ms, found.bins_per_hour) if found else None


def _dependency(
    edge: EngineEdge,
    counts: Mapping[int, CountSeries],
    calls: Mapping[tuple[int, int], CountSeries],
    cycles: Mapping[str, tuple[str, ...]],
    beyond: Mapping[int, list[str]],
) -> DependencyInput:
    cycle = cycles.get(edge.source_id, ())
    return DependencyInput(
        target_id=edge.target_id,
        mode=cast(Literal["sync", "async"], str(edge.mode)),
        criticality=cast(Literal["hard", "soft", "degraded"], str(edge.criticality)),
        calls_per_request=edge.calls_per_request,
        edge=calls.get((edge.source_pk, edge.target_pk)),
        target=counts.get(edge.target_pk),
        is_external=edge.target_is_external,
        published_sla=edge.target_published_sla if edge.target_is_external else None,
        redundancy_group=edge.redundancy_group,
        redundancy_needed=edge.redundancy_needed,
        retries=edge.retries,
        cycle=tuple(cycle) if edge.target_id in cycle else (),
        depends_on=tuple(beyond.get(edge.target_pk, ())),
    )
