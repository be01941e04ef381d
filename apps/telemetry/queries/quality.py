"""How much of the time there is data for, and how new it is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from apps.telemetry.queries.counts import HOUR


@dataclass(frozen=True, slots=True)
class DataQuality:
    """How much of a window there is data for."""

    start: datetime
    end: datetime
    expected_bins: int
    observed_bins: int
    partial_bins: int
    implausible_bins: int
    coverage: float
    gaps: int
    first: datetime | None
    last: datetime | None


_QUALITY = """
    SELECT count(*) FILTER (WHERE observed_seconds > 0), count(*) FILTER (WHERE is_partial),
           count(*) FILTER (WHERE is_implausible), coalesce(sum(observed_seconds), 0),
           count(*) FILTER (WHERE observed_seconds > 0 AND bin_start - before > interval '1 hour'),
           min(bin_start) FILTER (WHERE observed_seconds > 0),
           max(bin_start) FILTER (WHERE observed_seconds > 0)
    FROM (SELECT *, lag(bin_start) OVER (ORDER BY bin_start) AS before FROM telemetry_slihour
          WHERE service_id = %s AND bin_start >= %s AND bin_start < %s) bins
"""


def data_quality(service_pk: int, start: datetime, end: datetime) -> DataQuality:
    """How much of a window's hours there is data for, and how much of that is in doubt."""
    expected = max(1, (end - start) // HOUR)
    with connection.cursor() as cursor:
        cursor.execute(_QUALITY, [service_pk, start, end])
        observed, partial, implausible, seconds, gaps, first, last = cursor.fetchone()
    return DataQuality(
        start,
        end,
        expected,
        observed,
        partial,
        implausible,
        min(1.0, seconds / (expected * 3600)),
        gaps,
        first,
        last,
    )
