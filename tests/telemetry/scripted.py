"""A source that says what a test tells it to: hours of services, whole, partial or not to be believed."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

from apps.telemetry.clients.base import (
    AvailabilityReading,
    BucketBins,
    CountBins,
    Discovery,
    Edge,
    EdgeReading,
    Explanation,
    Finding,
    LatencyReading,
    PercentileBins,
    SourceStatus,
    Stretch,
)
from apps.telemetry.storing.collecting import CollectResult, collect
from apps.telemetry.storing.replacing import Reading

HOUR = 3600
TEN_MINUTES = 600
#: The first hour that scripts speak of: late in a day, so that hours lie on both sides of midnight.
BEGIN = datetime(2026, 10, 30, 21, tzinfo=UTC)
_RUNS = UUID("7f2a52f6-4a36-4c26-9f0a-0c5d0a6f2b11")


@dataclass(frozen=True, slots=True)
class Hour:
    """What is said of an hour. An implausible one has no figures."""

    total: float = 0.0
    bad: float = 0.0
    is_partial: bool = False
    is_implausible: bool = False


@dataclass(slots=True)
class Scripted:
    """Requests by service and number of the hour, counted from :data:`BEGIN`; calls and histograms likewise."""

    requests: dict[str, dict[int, Hour]] = field(default_factory=dict)
    calls: dict[Edge, dict[int, Hour]] = field(default_factory=dict)
    histograms: dict[str, dict[int, float]] = field(default_factory=dict)
    """Requests that were timed."""
    bounds_ms: tuple[float, ...] = (100.0, math.inf)
    percentiles: dict[str, dict[int, list[float]]] = field(default_factory=dict)
    """The 95th percentiles of ten minutes each, for services without histograms."""
    histograms_are_partial: bool = False
    warnings: list[str] = field(default_factory=list)
    findings: dict[str, list[Finding]] = field(default_factory=dict)
    families: dict[str, list[tuple[str, int, int]]] = field(default_factory=dict)
    """For each service: the family, and the numbers of the first hour and of the one after the last."""
    asked: list[tuple[tuple[str, ...], datetime, datetime]] = field(default_factory=list)
    name: str = "scripted"

    def check(self) -> SourceStatus:
        return SourceStatus(self.name, is_up=True, detail="", breaker="closed")

    def availability(
        self,
        service_ids: Sequence[str],
        start: int,
        end: int,
        step_seconds: int,
        *,
        usual: Mapping[str, Mapping[int, float]] | None = None,
    ) -> AvailabilityReading:
        self.asked.append(
            (tuple(service_ids), datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(end, UTC))
        )
        reading = AvailabilityReading()
        reading.quality.warnings += self.warnings
        for service_id in service_ids:
            bins = _bins(self.requests.get(service_id, {}), start, end)
            if bins.at or bins.implausible:
                reading.series[service_id] = bins
            for finding in self.findings.get(service_id, []):
                hours = {hour for hour in finding.hours if start <= hour < end}
                if hours:
                    reading.quality.find(
                        service_id, Finding(finding.kind, hours, finding.detail, finding.subject)
                    )
            reading.stretches[service_id] = [
                Stretch(family, at(first), at(last), last - first)
                for family, first, last in self.families.get(service_id, [])
            ]
        return reading

    def latency(
        self,
        service_ids: Sequence[str],
        start: int,
        end: int,
        step_seconds: int,
        *,
        leave_out: Mapping[str, Collection[int]] | None = None,
    ) -> LatencyReading:
        reading = LatencyReading()
        if self.histograms_are_partial:
            reading.quality.warnings.append("one store did not answer")
        for service_id in service_ids:
            bins = BucketBins(HOUR)
            for number, count in sorted(self.histograms.get(service_id, {}).items()):
                if start <= at(number) < end:
                    bins.at.append(at(number))
                    bins.bounds_ms.append(self.bounds_ms)
                    bins.cumulative.append(
                        [count * (place + 1) / len(self.bounds_ms) for place in range(len(self.bounds_ms))]
                    )
            if bins.at:
                reading.buckets[service_id] = bins
                if self.histograms_are_partial:
                    reading.partial[service_id] = set(bins.at)
            fine = PercentileBins(TEN_MINUTES)
            for number, values in sorted(self.percentiles.get(service_id, {}).items()):
                for index, value in enumerate(values):
                    fine.at.append(at(number) + index * TEN_MINUTES)
                    fine.p50_ms.append(None)
                    fine.p95_ms.append(value)
                    fine.p99_ms.append(None)
            if fine.at:
                reading.percentiles[service_id] = fine
                if self.histograms_are_partial:
                    reading.partial[service_id] = set(fine.at)
        return reading

    def edges(self, service_ids: Sequence[str], start: int, end: int, step_seconds: int) -> EdgeReading:
        reading = EdgeReading()
        for edge, hours in self.calls.items():
            if edge[0] in service_ids:
                reading.series[edge] = _bins(hours, start, end)
        return reading

    def discover(
        self,
        start: int,
        end: int,
        *,
        max_seconds: float | None = None,
        progress: Callable[[int, int], None] = lambda _done, _total: None,
    ) -> Discovery:
        return Discovery(start, end)

    def explain(self, service_id: str, start: int, end: int, step_seconds: int) -> Explanation:
        raise NotImplementedError


def at(number: int) -> int:
    """The start of an hour, Unix seconds."""
    return int(BEGIN.timestamp()) + number * HOUR


def moment(number: int) -> datetime:
    """The start of an hour."""
    return BEGIN + timedelta(hours=number)


def run_id(number: int) -> UUID:
    """The id of a reading."""
    return uuid5(_RUNS, str(number))


def _bins(hours: Mapping[int, Hour], start: int, end: int) -> CountBins:
    bins = CountBins(HOUR)
    for number, hour in sorted(hours.items()):
        if not start <= at(number) < end:
            continue
        if hour.is_implausible:
            bins.implausible.append(at(number))
            continue
        bins.at.append(at(number))
        bins.total.append(hour.total)
        bins.bad.append(hour.bad)
        bins.partial.append(hour.is_partial)
    return bins


def read(
    source: Scripted,
    known: Mapping[str, int],
    *,
    run: int,
    minute: int,
    hours: tuple[int, int] = (0, 6),
    trust: bool = False,
) -> CollectResult:
    """Read hours of all services that are known, ``minute`` minutes after some instant."""
    now = BEGIN + timedelta(hours=12, minutes=minute)
    reading = Reading(run_id(run), now, trust=trust)
    return collect(source, list(known), known, moment(hours[0]), moment(hours[1]), reading)
