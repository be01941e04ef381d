"""Reads of telemetry for pages and the API."""

from apps.telemetry.queries.counts import (
    DAY,
    HOUR,
    CountPoint,
    availability_hours,
)
from apps.telemetry.queries.findings import (
    FoundStretch,
    StoredFinding,
    findings_in,
    hours_together,
    stretches_in,
)
from apps.telemetry.queries.latency import LatencyPoint, histogram_quantile, latency_points
from apps.telemetry.queries.newest import NEWEST_END, newest_complete_end, newest_end, newest_ends
from apps.telemetry.queries.runs import Reach, SourceState, reach, recent_runs, source_status

__all__ = [
    "DAY",
    "HOUR",
    "NEWEST_END",
    "CountPoint",
    "FoundStretch",
    "LatencyPoint",
    "Reach",
    "SourceState",
    "StoredFinding",
    "availability_hours",
    "findings_in",
    "histogram_quantile",
    "hours_together",
    "latency_points",
    "newest_complete_end",
    "newest_end",
    "newest_ends",
    "reach",
    "recent_runs",
    "source_status",
    "stretches_in",
]
