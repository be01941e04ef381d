"""Write the generator's output in the file format of imports: the same five files as anybody's."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from apps.demo.description import Fleet, ServiceSpec
from apps.demo.generator import Observations, simulate
from apps.demo.process import DAY_HOURS, HOUR
from apps.demo.randomness import Floats

DAY = DAY_HOURS * HOUR
QUANTILES = (0.50, 0.95, 0.99)


@dataclass(frozen=True, slots=True)
class Span:
    """The span to write, in Unix seconds: days from ``days_from``, hours from ``hours_from``, all before ``until``.

    Calls and latencies cover a shorter time than counts, as the description says.
    """

    days_from: int
    hours_from: int
    edges_from: int
    latencies_from: int
    until: int


def whole_span(fleet: Fleet, until: int) -> Span:
    """Return the span of a new fleet: a year of days, the last part by the hour, up to ``until``."""
    return span_since(fleet, until - until % DAY - fleet.history_days * DAY, until)


def span_since(fleet: Fleet, since: int, until: int) -> Span:
    """Return the span that a fleet lacks since ``since``. The hours of old days come as days."""
    today = until - until % DAY
    hours_from = max(since, today - fleet.hourly_days * DAY)
    return Span(
        days_from=min(since - since % DAY, hours_from - hours_from % DAY),
        hours_from=hours_from,
        edges_from=max(hours_from, today - fleet.edge_days * DAY),
        latencies_from=max(hours_from, today - fleet.latency_days * DAY),
        until=until,
    )


def write_graph(fleet: Fleet, folder: Path) -> None:
    """Write ``services.csv`` and ``dependencies.csv``.

    The call rates are left out, because the data show them, except where no data can.
    """
    with (folder / "services.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(
            ("service_id", "team", "criticality", "external", "published_sla", "archetype", "on_call")
        )
        for service in fleet.services:
            sla = "" if service.published_sla is None else service.published_sla
            row = (service.service_id, service.team, service.criticality, str(service.external).lower(), sla)
            writer.writerow((*row, service.archetype, f"{service.team}-on-call"))
    unseen = {service.service_id for service in fleet.services if service.telemetry == "none"}
    with (folder / "dependencies.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("source", "target", "mode", "criticality", "calls_per_request", "redundancy_group"))
        for call in fleet.calls:
            if not call.declared:
                continue
            rate = call.per_request if call.target in unseen else ""
            writer.writerow((call.source, call.target, call.mode, call.criticality, rate, call.group))


def write_observations(fleet: Fleet, folder: Path, *, anchor: int, span: Span) -> int:
    """Write ``sli.csv``, ``edge_sli.csv`` and ``latency_buckets.csv``. Return how many hours and days were written."""
    seen = simulate(fleet, anchor=anchor, start=span.days_from, end=span.until)
    with (folder / "sli.csv").open("w", encoding="utf-8") as file:
        file.write("service_id,timestamp,step_seconds,total,bad,p50_ms,p95_ms,p99_ms\n")
        for row, service in enumerate(fleet.services):
            if service.telemetry == "full":
                file.writelines(_days(service, seen, row, span))
                file.writelines(_hours(service, seen, row, span))
    with (folder / "edge_sli.csv").open("w", encoding="utf-8") as file:
        file.write("source,target,timestamp,step_seconds,total,bad\n")
        unseen = {service.service_id for service in fleet.services if service.telemetry == "none"}
        for row, call in enumerate(fleet.calls):
            if call.target not in unseen:
                prefix = f"{_quoted(call.source)},{_quoted(call.target)}"
                kept = (seen.start >= span.edges_from) & ~np.isnan(seen.edge_total[row])
                columns = (seen.start[kept], seen.edge_total[row, kept], seen.edge_bad[row, kept])
                file.writelines(
                    f"{prefix},{at},3600,{total:.0f},{bad:.0f}\n"
                    for at, total, bad in zip(*(column.tolist() for column in columns), strict=True)
                )
    with (folder / "latency_buckets.csv").open("w", encoding="utf-8") as file:
        file.write("service_id,timestamp,step_seconds,le_ms,count\n")
        for row, service in enumerate(fleet.services):
            if service.telemetry == "full" and service.latency == "buckets":
                file.writelines(_buckets(fleet, service, seen, row, span))
    return (span.until - span.hours_from) // HOUR + (span.hours_from - span.days_from) // DAY


def _quoted(service_id: str) -> str:
    return f'"{service_id}"' if "," in service_id or '"' in service_id else service_id


def _days(service: ServiceSpec, seen: Observations, row: int, span: Span) -> Iterator[str]:
    """Yield one line for each whole day before the hours begin. Where a day lacks hours, the others stand for it."""
    count = (span.hours_from - span.days_from) // DAY * DAY_HOURS
    total = seen.total[row, :count].reshape(-1, DAY_HOURS)
    bad = seen.bad[row, :count].reshape(-1, DAY_HOURS)
    known = ~np.isnan(total).all(axis=1)
    start = seen.start[:count:DAY_HOURS]
    name = _quoted(service.service_id)
    for at, requests, failures in zip(
        start[known], np.nansum(total[known], 1), np.nansum(bad[known], 1), strict=True
    ):
        yield f"{name},{at},{DAY},{requests:.0f},{failures:.0f},,,\n"


def _hours(service: ServiceSpec, seen: Observations, row: int, span: Span) -> Iterator[str]:
    kept = (seen.start >= span.hours_from) & ~np.isnan(seen.total[row])
    name = _quoted(service.service_id)
    start, total, bad = (a[kept].tolist() for a in (seen.start, seen.total[row], seen.bad[row]))
    if service.latency != "percentiles":
        for at, requests, failures in zip(start, total, bad, strict=True):
            yield f"{name},{at},{HOUR},{requests:.0f},{failures:.0f},,,\n"
        return
    median = seen.median_ms[row, kept]
    percentiles = zip(*(_quantile(service, median, q).tolist() for q in QUANTILES), strict=True)
    for at, requests, failures, (p50, p95, p99) in zip(start, total, bad, percentiles, strict=True):
        latencies = f"{p50:.1f},{p95:.1f},{p99:.1f}" if requests else ",,"
        yield f"{name},{at},{HOUR},{requests:.0f},{failures:.0f},{latencies}\n"


def _quantile(service: ServiceSpec, median_ms: Floats, q: float) -> Floats:
    """Return a quantile of the log-logistic distribution with the given median."""
    result: Floats = median_ms * math.pow(q / (1.0 - q), 1.0 / service.latency_shape)
    return result


def _buckets(fleet: Fleet, service: ServiceSpec, seen: Observations, row: int, span: Span) -> Iterator[str]:
    kept = (seen.start >= span.latencies_from) & (seen.total[row] > 0)
    total = seen.total[row, kept]
    bounds = np.array(fleet.bucket_bounds_ms)
    share = 1.0 / (1.0 + (bounds / seen.median_ms[row, kept][:, None]) ** -service.latency_shape)
    counts = np.rint(share * total[:, None])
    name = _quoted(service.service_id)
    lines = [f"{name},%d,{HOUR},{bound:g},%d\n" for bound in fleet.bucket_bounds_ms] + [
        f"{name},%d,{HOUR},+Inf,%d\n"
    ]
    template = "".join(lines)
    values = np.empty((total.size, 2 * len(lines)), dtype=np.int64)
    values[:, ::2] = seen.start[kept][:, None]
    values[:, 1:-2:2] = counts
    values[:, -1] = total
    for numbers in values.tolist():
        yield template % tuple(numbers)
