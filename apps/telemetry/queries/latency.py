"""Reads percentiles of a service over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from apps.telemetry.queries.counts import HOUR


@dataclass(frozen=True, slots=True)
class LatencyPoint:
    """Percentiles of one bin; ``basis`` says whether they come from a histogram or from the source."""

    start: datetime
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    basis: str


_LATENCY = """
    SELECT coalesce(l.bin_start, h.bin_start), l.bounds_ms, l.cumulative, h.p50_ms, h.p95_ms, h.p99_ms
    FROM (SELECT * FROM telemetry_latencyhour
          WHERE service_id = %(pk)s AND bin_start >= %(start)s AND bin_start < %(end)s) l
    FULL JOIN (SELECT * FROM telemetry_slihour
               WHERE service_id = %(pk)s AND bin_start >= %(start)s AND bin_start < %(end)s
                 AND (p50_ms IS NOT NULL OR p95_ms IS NOT NULL OR p99_ms IS NOT NULL)) h
      ON h.bin_start = l.bin_start
    ORDER BY 1
"""


def latency_points(service_pk: int, start: datetime, end: datetime) -> list[LatencyPoint]:
    """Return percentiles over time: a point an hour from histograms, otherwise one for each bin of the source."""
    points: list[LatencyPoint] = []
    with connection.cursor() as cursor:
        cursor.execute(_LATENCY, {"pk": service_pk, "start": start, "end": end})
        for at, bounds, cumulative, p50, p95, p99 in cursor.fetchall():
            if bounds is not None:
                read = [histogram_quantile(bounds, cumulative, share) for share in (0.5, 0.95, 0.99)]
                points.append(LatencyPoint(at, read[0], read[1], read[2], "histogram"))
                continue
            bins = max(len(values) for values in (p50, p95, p99) if values)
            for index in range(bins):
                some = [values[index] if values else None for values in (p50, p95, p99)]
                points.append(LatencyPoint(at + index * HOUR / bins, some[0], some[1], some[2], "bins"))
    return points


def histogram_quantile(bounds: Sequence[float], cumulative: Sequence[float], share: float) -> float | None:
    """Read a quantile from a cumulative histogram, linear within a bucket, as Prometheus does.

    The result is ``None`` without requests. A quantile above the last finite bound is given as that bound.
    """
    count = cumulative[-1] if cumulative else 0.0
    if count <= 0:
        return None
    rank = share * count
    below_bound, below_count = 0.0, 0.0
    for bound, reached in zip(bounds, cumulative, strict=True):
        if reached >= rank:
            if bound == float("inf"):
                return below_bound
            width = reached - below_count
            return below_bound + (bound - below_bound) * ((rank - below_count) / width if width else 1.0)
        below_bound, below_count = bound, reached
    return below_bound
