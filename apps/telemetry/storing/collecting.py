"""Reads SLIs from a source and stores them, some services at a time. It needs numpy: for workers and commands.

Each batch is one transaction, so a reading that breaks off keeps its complete batches. Findings about the data are
stored with them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypedDict

import numpy as np
from django.db import transaction

from apps.telemetry.clients.base import (
    AvailabilityReading,
    EdgeReading,
    LatencyReading,
    ReadingQuality,
    TelemetrySource,
)
from apps.telemetry.findings import KINDS, Effect, words
from apps.telemetry.series import load_counts
from apps.telemetry.storing import staging
from apps.telemetry.storing.aggregates import Stored, ensure_partitions, store_reading
from apps.telemetry.storing.noting import note_reading
from apps.telemetry.storing.replacing import Reading

HOUR = 3600
#: About how many values one batch holds in memory: those of histograms, by hour and service.
_VALUES_PER_BATCH = 200_000
_TYPICAL_BUCKETS = 16
_MAX_SERVICES_PER_BATCH = 500

#: How far back stored hours are used to judge a short reading.
CONTEXT = timedelta(days=8)
#: The most sentences about services in a run.
REMARKS_KEPT = 30

type Progress = Callable[[int, int], None]


class Collected(TypedDict):
    """The result of a reading as it is stored with its run. Hours count each service's."""

    services: int
    services_with_data: int
    edges_to_unknown_services: int
    hours: int
    days: int
    latency_hours: int
    edge_hours: int
    contested_hours: int
    settled_hours: int
    findings: dict[str, int]
    implausible_bins: dict[str, int]
    personal_labels_dropped: dict[str, int]
    notes: list[str]
    remarks: list[str]


@dataclass(slots=True)
class CollectResult:
    """The result of a reading."""

    services: int = 0
    services_with_data: int = 0
    edges_to_unknown: int = 0
    stored: Stored = field(default_factory=Stored)
    quality: ReadingQuality = field(default_factory=ReadingQuality)

    def add(self, other: CollectResult) -> None:
        """Add the result of another part of the same reading, whose services are among those of the first part."""
        self.edges_to_unknown += other.edges_to_unknown
        self.stored += other.stored
        self.quality.merge(other.quality)

    def summary(self) -> Collected:
        """Return the result as it is stored with a run."""
        return {
            "services": self.services,
            "services_with_data": self.services_with_data,
            "edges_to_unknown_services": self.edges_to_unknown,
            "hours": self.stored.hours,
            "days": self.stored.days,
            "latency_hours": self.stored.latency_hours,
            "edge_hours": self.stored.edge_hours,
            "contested_hours": self.stored.contests.open,
            "settled_hours": self.stored.contests.settled,
            "findings": self.findings(),
            "implausible_bins": dict(self.quality.implausible_bins.most_common(100)),
            "personal_labels_dropped": dict(self.quality.personal_labels),
            "notes": self.quality.notes[:20],
            "remarks": self.remarks(),
        }

    def remarks(self) -> list[str]:
        """Return sentences on findings about services, at most :data:`REMARKS_KEPT`, first those on hours left out."""
        found = [
            (list(Effect).index(kind.effect), kind.confidence, service_id, finding)
            for service_id, findings in self.quality.findings.items()
            for finding in findings
            if (kind := KINDS[finding.kind])
        ]
        found.sort(key=lambda one: one[:3])
        lines = [
            f"{service_id}: {words(finding.kind, finding.detail, len(finding.hours))}"
            for _, _, service_id, finding in found[:REMARKS_KEPT]
        ]
        more = len(found) - REMARKS_KEPT
        return [*lines, f"And {more:,} more."] if more > 0 else lines

    def findings(self) -> dict[str, int]:
        """Return the number of services that have each kind of finding."""
        kinds = Counter(
            kind
            for findings in self.quality.findings.values()
            for kind in {finding.kind for finding in findings}
        )
        return dict(sorted(kinds.items()))


def collect(
    source: TelemetrySource,
    services: Sequence[str],
    known: Mapping[str, int],
    start: datetime,
    end: datetime,
    reading: Reading,
    *,
    progress: Progress = lambda _done, _total: None,
    skip: int = 0,
    keep: Callable[[int, CollectResult], None] = lambda _done, _result: None,
) -> CollectResult:
    """Read whole hours of some services, and store those that are not worse than the stored hours.

    Parameters:
        services: ids of the services whose SLIs are read.
        known: primary key of every service in the catalog; edges to others are counted, not stored.
        start: start of the first hour.
        end: end of the last hour.
        reading: identifies the reading, and says whether to trust it.
        progress: gets the services done and in total.
        skip: how many of the services were read and stored before, by an attempt that was broken off.
        keep: gets the services done and the result so far, in the transaction of each batch.

    Returns:
        The result for all services but those that were skipped.

    Raises:
        SourceError: the source cannot be read; batches before this are stored.
    """
    result = CollectResult(services=len(services))
    keys = {service_id: key for key, service_id in enumerate(known)}
    first, last = int(start.timestamp()), int(end.timestamp())
    hours = max(1, (last - first) // HOUR)
    at_once = max(1, min(_MAX_SERVICES_PER_BATCH, _VALUES_PER_BATCH // (hours * _TYPICAL_BUCKETS)))
    progress(skip, len(services))
    with staging.staged():
        for begin in range(skip, len(services), at_once):
            batch = services[begin : begin + at_once]
            usual = _usual(batch, known, start, end)
            availability = source.availability(batch, first, last, HOUR, usual=usual)
            latency = source.latency(batch, first, last, HOUR, leave_out=availability.left_out())
            edges = source.edges(batch, first, last, HOUR)
            for part in (availability.quality, latency.quality, edges.quality):
                result.quality.merge(part)
            staging.clear()
            _stage_counts(availability, keys)
            _stage_latency(latency, keys)
            result.edges_to_unknown += _stage_edges(edges, keys)
            staging.put_services(list(keys.values()), [known[service_id] for service_id in keys])
            # Done for each batch, because housekeeping drops empty partitions, and a long reading fills them late.
            ensure_partitions(start.astimezone(UTC).date(), end.astimezone(UTC).date())
            with transaction.atomic():
                result.stored += store_reading(reading, start, end)
                note_reading(reading, known, batch, (start, end), availability, latency, edges)
                result.services_with_data += len(availability.series)
                keep(begin + len(batch), result)
            progress(begin + len(batch), len(services))
    return result


def _usual(
    services: Sequence[str], known: Mapping[str, int], start: datetime, end: datetime
) -> dict[str, dict[int, float]]:
    """Return requests of the stored hours before a short reading, by which its hours are judged."""
    if end - start >= CONTEXT:
        return {}
    counts = load_counts([known[service_id] for service_id in services], start - CONTEXT, start)
    found: dict[str, dict[int, float]] = {}
    for service_id in services:
        hours = counts.get(known[service_id])
        if hours is not None:
            at = hours.start + HOUR * np.flatnonzero(~np.isnan(hours.total))
            values = hours.total[~np.isnan(hours.total)]
            found[service_id] = dict(zip(at.tolist(), values.tolist(), strict=True))
    return found


def _stage_counts(reading: AvailabilityReading, keys: Mapping[str, int]) -> None:
    for service_id, bins in reading.series.items():
        dropped = len(bins.implausible)
        observed = np.repeat([bins.step_seconds, 0], [len(bins.at), dropped])
        nothing = [0.0] * dropped
        if not len(observed):
            continue
        staging.put(
            "stage_sli",
            key=keys[service_id],
            at=np.array(bins.at + bins.implausible, dtype=np.int64),
            step=bins.step_seconds,
            observed=observed,
            total=np.array(bins.total + nothing),
            bad=np.array(bins.bad + nothing),
            p50=math.nan,
            p95=math.nan,
            p99=math.nan,
            # Counts may be implausible because the answer was incomplete.
            is_partial=np.array(bins.partial + [reading.quality.is_partial] * dropped, dtype=np.bool_),
            is_implausible=observed == 0,
        )


def _stage_latency(reading: LatencyReading, keys: Mapping[str, int]) -> None:
    for service_id, bins in reading.percentiles.items():
        partial = _among(bins.at, reading.partial.get(service_id, ()))
        if bins.at:
            staging.put(
                "stage_sli",
                key=keys[service_id],
                at=np.array(bins.at, dtype=np.int64),
                step=bins.step_seconds,
                observed=0,
                total=0.0,
                bad=0.0,
                p50=_or_nan(bins.p50_ms),
                p95=_or_nan(bins.p95_ms),
                p99=_or_nan(bins.p99_ms),
                is_partial=partial,
                is_implausible=False,
            )
    for service_id, histogram in reading.buckets.items():
        if histogram.at:
            widths = [len(bounds) for bounds in histogram.bounds_ms]
            partial = _among(histogram.at, reading.partial.get(service_id, ()))
            staging.put(
                "stage_bucket",
                key=keys[service_id],
                at=np.repeat(np.array(histogram.at, dtype=np.int64), widths),
                le=np.concatenate([np.array(bounds) for bounds in histogram.bounds_ms]),
                count=np.concatenate([np.array(counts) for counts in histogram.cumulative]),
                line=0,
                is_partial=np.repeat(partial, widths),
            )


def _stage_edges(reading: EdgeReading, keys: Mapping[str, int]) -> int:
    """Stage edges between known services, and return the number of other edges."""
    unknown = 0
    for (source, target), bins in reading.series.items():
        if source not in keys or target not in keys or source == target:
            unknown += source != target
        elif bins.at:
            staging.put(
                "stage_edge",
                source=keys[source],
                target=keys[target],
                at=np.array(bins.at, dtype=np.int64),
                observed=bins.step_seconds,
                total=np.array(bins.total),
                bad=np.array(bins.bad),
                is_partial=np.array(bins.partial, dtype=np.bool_),
            )
    return unknown


def _among(at: Sequence[int], some: Collection[int]) -> staging.Column:
    return np.array([one in some for one in at], dtype=np.bool_)


def _or_nan(values: Iterable[float | None]) -> staging.Column:
    return np.array([math.nan if value is None else value for value in values], dtype=np.float64)
