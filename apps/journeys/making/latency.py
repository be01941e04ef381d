"""How long journeys take, drawn from the histograms of their services. Only workers and commands import this module.

Percentiles are never added, multiplied or averaged: journeys are drawn one by one, and percentiles are read from them.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from django.db.models import Max

from apps.core import instants
from apps.core.instants import whole_hour
from apps.engine.graph.fleet import FleetEdge
from apps.engine.journeys.availability import Path
from apps.engine.latency.dependence import Dependence, LatencyDistribution
from apps.engine.latency.end_to_end import (
    BUDGET_SAMPLES,
    SAMPLES,
    Call,
    EndToEnd,
    Serial,
    end_to_end,
    mixed,
    share_out,
)
from apps.engine.latency.thresholds import MIN_ABOVE
from apps.engine.types import BucketSeries
from apps.journeys.documents import (
    JourneyLatency,
    LatencyFigures,
    MissingReason,
    Percentile,
    PercentileName,
    ServiceLatency,
)
from apps.journeys.formatting import LATENCY_SHARE
from apps.journeys.making.waiting import CallGraph, Held, apart
from apps.telemetry.models import LatencyHour
from apps.telemetry.queries import newest_ends
from apps.telemetry.series import load_buckets, load_percentiles

LATENCY_BACK = timedelta(days=60)
PERCENTILES: Mapping[PercentileName, float] = {"p50": 0.5, "p95": LATENCY_SHARE, "p99": 0.99}
DRAWS = 1_500_000
FEWEST_SAMPLES = 4_000
"""The calls of a journey share the draws. Each path has at least this many, and at most the engine's usual number."""


@dataclass(frozen=True, slots=True)
class _Past:
    """The services' latencies. ``missing`` says why a service has none: ``none``, only ``percentiles``, too ``few``
    requests.
    """

    series: Mapping[str, BucketSeries]
    parts: Mapping[str, LatencyDistribution]
    missing: Mapping[str, MissingReason]

    @property
    def until(self) -> datetime | None:
        """The end of the last hour for which all of them have data."""
        ends = [
            each.start
            + each.step_seconds * (int(np.flatnonzero(np.nan_to_num(each.cumulative[:, -1]) > 0)[-1]) + 1)
            for each in self.series.values()
        ]
        return datetime.fromtimestamp(min(ends), UTC) if ends else None


@dataclass(frozen=True, slots=True)
class _Route:
    """A path as it is drawn: the calls with their own time, and those inside others."""

    name: str
    share: float
    serial: Serial
    services: tuple[str, ...]
    inside: Sequence[Held]


def evaluated(
    paths: Sequence[Path],
    members: Mapping[str, int],
    edges: Collection[FleetEdge],
    *,
    until: datetime,
    target_ms: float | None = None,
    seed: int = 0,
) -> JourneyLatency:
    """Return how long a journey takes as a document (docs/journeys.md), from the 60 days before ``until``.

    ``members`` are the services on the paths with their primary keys; ``edges`` the graph below them.
    """
    routes = _routes(paths, CallGraph(edges))
    past = _past({name: members[name] for route in routes for name in route.services}, until)
    dependence = Dependence.estimated(past.series) if past.series else Dependence.independent(())
    calls = sum(len(route.serial.parts) for route in routes)
    samples = max(FEWEST_SAMPLES, min(SAMPLES, DRAWS // calls))
    drawn = [
        end_to_end(route.serial, past.parts, dependence.among(route.services), samples=samples, seed=seed)
        if past.parts.keys() >= set(route.services)
        else None
        for route in routes
    ]
    whole = [each for each in drawn if each is not None]
    journey = mixed(whole, [route.share for route in routes]) if len(whole) == len(routes) else None
    used = {name for route, each in zip(routes, drawn, strict=True) if each for name in route.services}
    end = past.until
    return {
        "days": LATENCY_BACK.days,
        "until": end.isoformat().replace("+00:00", "Z") if end else None,
        "share": LATENCY_SHARE,
        "target_ms": target_ms,
        **_figures(journey, used, past, target_ms),
        "paths": [
            {
                "name": route.name,
                "share": route.share,
                **_figures(each, route.services, past, target_ms),
                "missing": [name for name in route.services if name in past.missing],
                "inside": [
                    {"service_id": held.service_id, "by": list(held.by), "share": round(held.share, 4)}
                    for held in route.inside
                ],
            }
            for route, each in zip(routes, drawn, strict=True)
        ],
        "services": _services(routes, drawn, past, dependence, target_ms, min(samples, BUDGET_SAMPLES), seed),
        "missing": [{"service_id": name, "reason": reason} for name, reason in sorted(past.missing.items())],
        "samples": samples,
    }


def end_of_data(services: Collection[int]) -> datetime:
    """Return the end of the newest complete hour of any of these services, or the last full hour where they have none.
    Loaded history may have ended long ago.
    """
    now = instants.now()
    last = whole_hour(now) - timedelta(hours=1)
    counted = newest_ends(services, now).values()
    timed = LatencyHour.objects.filter(service_id__in=services, bin_start__lte=last)
    newest = None if counted else timed.aggregate(newest=Max("bin_start"))["newest"]
    return max(counted, default=(newest or last) + timedelta(hours=1))


def _routes(paths: Sequence[Path], graph: CallGraph) -> list[_Route]:
    total = math.fsum(path.weight for path in paths)
    routes = []
    for path in paths:
        calls: dict[str, float] = {}
        for step in path.steps:
            calls[step.service_id] = calls.get(step.service_id, 0.0) + step.calls
        counted, inside = apart(calls, graph)
        serial = Serial(tuple(call for name, times in counted.items() for call in _calls(name, times)))
        routes.append(_Route(path.name, path.weight / total, serial, tuple(counted), inside))
    return routes


def _calls(name: str, times: float) -> list[Call]:
    """Draw that many calls one after another. A fraction of a call happens in that share of the journeys."""
    whole = math.floor(times + 1e-9)
    rest = times - whole
    return [Call(name)] * whole + ([Call(name, rest)] if rest > 1e-9 else [])


def _past(services: Mapping[str, int], until: datetime) -> _Past:
    since = until - LATENCY_BACK
    found = load_buckets(sorted(services.values()), since, until)
    series: dict[str, BucketSeries] = {}
    parts: dict[str, LatencyDistribution] = {}
    missing: dict[str, MissingReason] = {}
    for name, pk in sorted(services.items()):
        buckets = found.get(pk)
        requests = 0.0 if buckets is None else float(np.nansum(buckets.cumulative[:, -1]))
        if buckets is None or requests < _needed(LATENCY_SHARE):
            missing[name] = "few" if requests > 0 else "none"
            continue
        series[name] = BucketSeries(
            buckets.start, buckets.step_seconds, buckets.bounds_ms, buckets.cumulative
        )
        parts[name] = LatencyDistribution.of(series[name])
    unread = [services[name] for name, reason in missing.items() if reason == "none"]
    composed = load_percentiles(unread, since, until) if unread else {}
    return _Past(
        series,
        parts,
        {name: "percentiles" if services[name] in composed else reason for name, reason in missing.items()},
    )


def _needed(share: float) -> float:
    """Return the fewest requests for this percentile, as for a single service."""
    return math.ceil(MIN_ABOVE / (1 - share) - 1e-9)


def _figures(
    drawn: EndToEnd | None, services: Collection[str], past: _Past, target_ms: float | None
) -> LatencyFigures:
    figures: LatencyFigures = {"p50": None, "p95": None, "p99": None, "slower": None}
    if drawn is not None:
        fewest = min(float(past.parts[name].cumulative[-1]) for name in services)
        for name, share in PERCENTILES.items():
            if fewest >= _needed(share):
                figures[name] = _percentile(drawn, share, services, past)
        if target_ms is not None:
            chance = drawn.chance_above(target_ms)
            figures["slower"] = {"share": round(chance.value, 6), "error": round(chance.standard_error, 6)}
    return figures


def _percentile(drawn: EndToEnd, share: float, services: Collection[str], past: _Past) -> Percentile:
    """Return a percentile; where it is in a ``+Inf`` bucket, its lower bound."""
    found = drawn.percentile(share)
    if math.isinf(found.value):
        return {"ms": None, "error_ms": None, "at_least_ms": _highest_read(services, past)}
    return {"ms": _ms(found.value), "error_ms": _ms(found.standard_error), "at_least_ms": None}


def _highest_read(services: Collection[str], past: _Past) -> float:
    """Return the lowest of the bounds above which a service's times cannot be read."""
    tops = []
    for name in services:
        part = past.parts[name]
        finite = np.isfinite(part.bounds_ms)
        if not finite.any():
            return 0.0
        if part.cumulative[finite][-1] < part.cumulative[-1]:
            tops.append(float(part.bounds_ms[finite][-1]))
    return min(tops, default=0.0)


def _services(
    routes: Sequence[_Route],
    drawn: Sequence[EndToEnd | None],
    past: _Past,
    dependence: Dependence,
    target_ms: float | None,
    samples: int,
    seed: int,
) -> list[ServiceLatency]:
    """Return each service with its time in slow journeys and the time it may take.
    budget, or, without a target, that on which it takes longest.
    """
    found: dict[str, ServiceLatency] = {}
    for route, each in zip(routes, drawn, strict=True):
        if each is None:
            continue
        p95 = each.percentile(LATENCY_SHARE).value
        if math.isinf(p95) or p95 <= 0:
            continue
        shared = share_out(
            route.serial,
            past.parts,
            target_ms or p95,
            share=LATENCY_SHARE,
            dependence=dependence.among(route.services),
            samples=samples,
            seed=seed,
        )
        for name, part in shared.items():
            row: ServiceLatency = {
                "service_id": name,
                "path": route.name,
                "near_ms": _ms(part.near_ms),
                "budget_ms": None if target_ms is None else _ms(part.budget_ms),
                "chance_over": None if target_ms is None else round(part.chance_over, 6),
            }
            other = found.get(name)
            if other is None or _tightness(row) < _tightness(other):
                found[name] = row
    return sorted(found.values(), key=lambda row: (-(row["near_ms"] or 0.0), row["service_id"]))


def _tightness(row: ServiceLatency) -> float:
    return -(row["near_ms"] or 0.0) if row["budget_ms"] is None else row["budget_ms"]


def _ms(value: float) -> float | None:
    return round(value, 2) if math.isfinite(value) else None
