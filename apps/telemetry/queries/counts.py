"""Requests and calls. Counts are summed over what is asked for; ratios come last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db import connection
from django.db.models import Max

from apps.telemetry.models import EdgeHour, SliDay, SliHour

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

WINDOWS: Mapping[str, timedelta] = {
    "1h": HOUR,
    "1d": DAY,
    "7d": 7 * DAY,
    "28d": 28 * DAY,
    "90d": 90 * DAY,
}


@dataclass(frozen=True, slots=True)
class CountPoint:
    """One bin of one service. Without requests there is no availability."""

    start: datetime
    total: float
    bad: float
    observed_seconds: int
    is_partial: bool = False
    is_implausible: bool = False

    @property
    def availability(self) -> float | None:
        return 1.0 - self.bad / self.total if self.total else None


@dataclass(frozen=True, slots=True)
class WindowSum:
    """Requests over a window, summed event by event. Rates are per second of observed time."""

    total: float = 0.0
    bad: float = 0.0
    observed_seconds: int = 0

    @property
    def availability(self) -> float | None:
        return 1.0 - self.bad / self.total if self.total else None

    @property
    def error_rate(self) -> float | None:
        return self.bad / self.total if self.total else None

    @property
    def requests_per_second(self) -> float | None:
        return self.total / self.observed_seconds if self.observed_seconds else None


def availability_days(service_pk: int, *, days: int = 90, until: datetime | None = None) -> list[CountPoint]:
    """One point per UTC day that has data, oldest first; ``until`` defaults to the end of the newest day."""
    if until is None:
        newest = SliDay.objects.filter(service_id=service_pk).aggregate(newest=Max("bin_start"))["newest"]
        if newest is None:
            return []
        until = newest + DAY
    rows = SliDay.objects.filter(
        service_id=service_pk, bin_start__gte=until - days * DAY, bin_start__lt=until
    )
    return [_point(row) for row in rows.order_by("bin_start")]


def availability_hours(service_pk: int, start: datetime, end: datetime) -> list[CountPoint]:
    """One point per hour that has data, oldest first."""
    rows = SliHour.objects.filter(service_id=service_pk, bin_start__gte=start, bin_start__lt=end)
    return [_point(row) for row in rows.defer("p50_ms", "p95_ms", "p99_ms").order_by("bin_start")]


def _point(row: SliHour | SliDay) -> CountPoint:
    return CountPoint(
        row.bin_start, row.total, row.bad, row.observed_seconds, row.is_partial, row.is_implausible
    )


_SUMS = """
    SELECT owner, sum(total), sum(bad), sum(observed_seconds) FROM (
        SELECT service_id AS owner, total, bad, observed_seconds FROM telemetry_sliday
        WHERE service_id = ANY(%(pks)s) AND bin_start >= %(first_day)s AND bin_start < %(last_day)s
        UNION ALL
        SELECT service_id, total, bad, observed_seconds FROM telemetry_slihour
        WHERE service_id = ANY(%(pks)s) AND (
            (bin_start >= %(start)s AND bin_start < %(head_end)s)
            OR (bin_start >= %(tail_start)s AND bin_start < %(end)s)
        )
    ) parts GROUP BY owner
"""


def sums_between(service_pks: Sequence[int], start: datetime, end: datetime) -> dict[int, WindowSum]:
    """Requests per service in ``[start, end)``, both whole hours.

    Whole days come from the daily aggregates, the ends from the hourly ones. Without data it is absent.
    """
    first_day, last_day = _midnight_at_or_after(start), _midnight_at_or_before(end)
    if first_day >= last_day:
        first_day = last_day = head_end = tail_start = end
    else:
        head_end, tail_start = first_day, last_day
    with connection.cursor() as cursor:
        cursor.execute(
            _SUMS,
            {
                "pks": list(service_pks),
                "start": start,
                "end": end,
                "first_day": first_day,
                "last_day": last_day,
                "head_end": head_end,
                "tail_start": tail_start,
            },
        )
        return {pk: WindowSum(total, bad, int(seconds)) for pk, total, bad, seconds in cursor.fetchall()}


def window_sums(service_pks: Sequence[int], as_of: datetime) -> dict[int, dict[str, WindowSum]]:
    """For each service the sums over 1 h, 1 d, 7 d, 28 d and 90 d before ``as_of`` (a whole hour)."""
    sums: dict[int, dict[str, WindowSum]] = {pk: {} for pk in service_pks}
    for name, width in WINDOWS.items():
        found = sums_between(service_pks, as_of - width, as_of)
        for pk in service_pks:
            sums[pk][name] = found.get(pk, WindowSum())
    return sums


def edge_sums(service_pk: int, start: datetime, end: datetime) -> dict[int, WindowSum]:
    """Calls from a service to each of its targets in ``[start, end)``, by the target's primary key."""
    return _edge_sums("source_id", "target_id", service_pk, start, end)


def caller_sums(service_pk: int, start: datetime, end: datetime) -> dict[int, WindowSum]:
    """Calls to a service from each of its callers in ``[start, end)``, by the caller's primary key."""
    return _edge_sums("target_id", "source_id", service_pk, start, end)


def _edge_sums(
    fixed: str, other: str, service_pk: int, start: datetime, end: datetime
) -> dict[int, WindowSum]:
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {other}, sum(total), sum(bad), sum(observed_seconds) FROM telemetry_edgehour "  # noqa: S608
            f"WHERE {fixed} = %s AND bin_start >= %s AND bin_start < %s GROUP BY 1",
            [service_pk, start, end],
        )
        return {pk: WindowSum(total, bad, int(seconds)) for pk, total, bad, seconds in cursor.fetchall()}


def has_edge_data(service_pk: int) -> bool:
    """Whether any call from this service was observed."""
    return EdgeHour.objects.filter(source_id=service_pk).exists()


def _midnight_at_or_before(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _midnight_at_or_after(moment: datetime) -> datetime:
    midnight = _midnight_at_or_before(moment)
    return midnight if midnight == moment else midnight + DAY
