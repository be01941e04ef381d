"""Good and bad events by the day, for any SLO: read in SQL, counted in plain Python so that pages may use it.

For availability an event is a request. For a latency it is a request where there are histograms (``requests``), else a
bin of the source (``bins``); it is bad if it took longer than the threshold. Within a histogram's bucket requests are
spread evenly, as Prometheus' ``histogram_quantile`` assumes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from django.db import connection

from apps.slos.models import ActiveSlo, SliType
from apps.telemetry.models import LatencyHour, SliHour

LOOK_BACK_DAYS = 730
LATENCY_DAYS = 90
"""The engine gets this much of latencies, and past windows are looked for in it; the forecast looks no further back."""
STEP_DAYS = 14
MIN_COVERED_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Day:
    """One UTC day: its events, and how many of them are bad."""

    day: date
    total: float
    bad: float


@dataclass(frozen=True, slots=True)
class PastWindow:
    """One past window of whole days, ``end`` not included: the share of its events that was good."""

    start: date
    end: date
    good_share: float


def availability_days(service_pk: int, since: datetime, until: datetime) -> list[Day]:
    """Return requests and failures by day; a stored day wins over the sum of its hours."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT coalesce(d.day, h.day), coalesce(d.total, h.total), coalesce(d.bad, h.bad)
            FROM (SELECT (bin_start AT TIME ZONE 'UTC')::date AS day, total, bad FROM telemetry_sliday
                  WHERE service_id = %(service)s AND bin_start >= %(since)s AND bin_start < %(until)s) d
            FULL JOIN (SELECT (bin_start AT TIME ZONE 'UTC')::date AS day,
                         sum(total) AS total, sum(bad) AS bad
                  FROM telemetry_slihour WHERE service_id = %(service)s AND bin_start >= %(since)s AND
                  bin_start < %(until)s GROUP BY 1) h
            USING (day) ORDER BY 1
            """,
            {"service": service_pk, "since": since, "until": until},
        )
        return [Day(day, total, bad) for day, total, bad in cursor.fetchall()]


def hourly_days(
    service_pk: int, sli_type: str, threshold_ms: float | None, basis: str, since: datetime, until: datetime
) -> list[Day]:
    """Return events by day from the hours alone; the first and the last day only as far as they lie in ``[since,
    until)``.
    """
    if sli_type != SliType.AVAILABILITY:
        return latency_days(service_pk, sli_type, threshold_ms or 0.0, basis, since, until)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT (bin_start AT TIME ZONE 'UTC')::date, sum(total), sum(bad) FROM telemetry_slihour"
            " WHERE service_id = %s AND bin_start >= %s AND bin_start < %s GROUP BY 1 ORDER BY 1",
            [service_pk, since, until],
        )
        return [Day(day, total, bad) for day, total, bad in cursor.fetchall()]


def over_threshold(
    bounds: Sequence[float], cumulative: Sequence[float], threshold_ms: float
) -> tuple[float, float]:
    """Return ``(total, over)`` of one histogram: how many requests, and how many took longer than the threshold."""
    total = cumulative[-1] if cumulative else 0.0
    at = bisect_left(bounds, threshold_ms)
    if at >= len(bounds):
        return total, 0.0
    below = cumulative[at - 1] if at else 0.0
    lower = bounds[at - 1] if at else 0.0
    if bounds[at] == float("inf"):
        # How far they lie beyond the last finite bound is unknown, so all of them count as over.
        return total, total - below
    inside = (threshold_ms - lower) / (bounds[at] - lower) if bounds[at] > lower else 1.0
    return total, max(0.0, total - below - inside * (cumulative[at] - below))


def latency_basis(service_pk: int) -> str:
    """Return what a latency SLO of this service is measured in: requests if there are histograms, else bins."""
    kept = LatencyHour.objects.filter(service_id=service_pk).exists()
    return ActiveSlo.LatencyBasis.REQUESTS if kept else ActiveSlo.LatencyBasis.BINS


def latency_days(
    service_pk: int, sli_type: str, threshold_ms: float, basis: str, since: datetime, until: datetime
) -> list[Day]:
    """Return requests (or bins) and those over the threshold, by day."""
    total: dict[date, float] = defaultdict(float)
    over: dict[date, float] = defaultdict(float)
    span = {"service_id": service_pk, "bin_start__gte": since, "bin_start__lt": until}
    if basis == ActiveSlo.LatencyBasis.REQUESTS:
        hours = LatencyHour.objects.filter(**span).values_list("bin_start", "bounds_ms", "cumulative")
        for start, bounds, cumulative in hours:
            seen, slow = over_threshold(bounds, cumulative, threshold_ms)
            total[start.astimezone(UTC).date()] += seen
            over[start.astimezone(UTC).date()] += slow
    else:
        column = "p95_ms" if sli_type == SliType.LATENCY_P95 else "p99_ms"
        for start, values in SliHour.objects.filter(**span).values_list("bin_start", column):
            known = [value for value in values or () if value is not None]
            total[start.astimezone(UTC).date()] += len(known)
            over[start.astimezone(UTC).date()] += sum(1 for value in known if value > threshold_ms)
    return [Day(day, total[day], over[day]) for day in sorted(total)]


def days_for(
    service_pk: int, sli_type: str, threshold_ms: float | None, basis: str, since: datetime, until: datetime
) -> list[Day]:
    """Return events by day for any kind of SLO."""
    if sli_type == SliType.AVAILABILITY:
        return availability_days(service_pk, since, until)
    return latency_days(service_pk, sli_type, threshold_ms or 0.0, basis, since, until)


def past_windows(days: Sequence[Day], window_days: int, until: datetime) -> list[PastWindow]:
    """Return windows of whole days that end at the newest complete day and step back 14 days, oldest first.

    A window counts if half of its days have data: the definition of the engine's backtest, so that a dialog and a
    tier's strip never disagree.
    """
    known = {day.day: day for day in days if day.day < until.astimezone(UTC).date()}
    if not known:
        return []
    end = max(known) + timedelta(days=1)
    oldest = max(min(known), end - timedelta(days=LOOK_BACK_DAYS))
    windows: list[PastWindow] = []
    while end - timedelta(days=window_days) >= oldest:
        start = end - timedelta(days=window_days)
        inside = [
            known[day] for day in (start + timedelta(days=n) for n in range(window_days)) if day in known
        ]
        total = sum(day.total for day in inside)
        if total > 0 and len(inside) >= MIN_COVERED_SHARE * window_days:
            windows.append(PastWindow(start, end, 1 - sum(day.bad for day in inside) / total))
        end -= timedelta(days=STEP_DAYS)
    return windows[::-1]
