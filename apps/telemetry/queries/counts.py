"""Requests by the hour."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from apps.telemetry.models import SliHour

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class CountPoint:
    """One bin of one service. Without requests it has no availability."""

    start: datetime
    total: float
    bad: float
    observed_seconds: int
    is_partial: bool = False
    is_implausible: bool = False

    @property
    def availability(self) -> float | None:
        return 1.0 - self.bad / self.total if self.total else None


def availability_hours(service_pk: int, start: datetime, end: datetime) -> list[CountPoint]:
    """Return a point for each hour that has data, oldest first."""
    rows = SliHour.objects.filter(service_id=service_pk, bin_start__gte=start, bin_start__lt=end)
    return [_point(row) for row in rows.defer("p50_ms", "p95_ms", "p99_ms").order_by("bin_start")]


def _point(row: SliHour) -> CountPoint:
    return CountPoint(
        row.bin_start, row.total, row.bad, row.observed_seconds, row.is_partial, row.is_implausible
    )
