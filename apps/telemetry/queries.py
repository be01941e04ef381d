"""What pages and the API show of telemetry. Counts are summed over what is asked for; ratios come last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Max
from django.utils import timezone

from apps.telemetry import sources
from apps.telemetry.models import EdgeHour, SliDay, SliHour, TelemetryRun

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


@dataclass(frozen=True, slots=True)
class LatencyPoint:
    """Percentiles of one bin; ``basis`` says whether they were read from a histogram or came as they are."""

    start: datetime
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    basis: str


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
    """Percentiles over time: one point an hour from histograms, else one for each finer bin as it came."""
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

    ``None`` without requests. Above the last finite bound there is nothing to read: that bound is the answer.
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


def newest_hour_ends(service_pks: Sequence[int]) -> dict[int, datetime]:
    """For each service the end of its newest hour that has data."""
    rows = SliHour.objects.filter(service_id__in=list(service_pks), observed_seconds__gt=0)
    newest = rows.values("service_id").annotate(newest=Max("bin_start")).values_list("service_id", "newest")
    return {pk: at + HOUR for pk, at in newest}


# One index probe for each service and partition, in place of every hour there is.
_NEWEST = """
    SELECT max(found.newest) FROM catalog_service s CROSS JOIN LATERAL (
        SELECT max(bin_start) AS newest FROM telemetry_slihour WHERE service_id = s.id) found
"""


def newest_complete_end() -> datetime | None:
    """The end of the newest hour of any service, or ``None`` without data: what ``as of`` defaults to."""
    with connection.cursor() as cursor:
        cursor.execute(_NEWEST)
        newest: datetime | None = cursor.fetchone()[0]
    return newest + HOUR if newest else None


def has_edge_data(service_pk: int) -> bool:
    """Whether any call from this service was observed."""
    return EdgeHour.objects.filter(source_id=service_pk).exists()


def recent_runs(limit: int = 50, *, kind: TelemetryRun.Kind | None = None) -> list[TelemetryRun]:
    """The newest readings of telemetry, of one kind or of all."""
    runs = TelemetryRun.objects.select_related("requested_by").order_by("-created_at")
    return list((runs.filter(kind=kind) if kind else runs)[:limit])


def run_detail(run_id: Any) -> TelemetryRun | None:
    """One reading, or ``None`` where there is no such."""
    return TelemetryRun.objects.select_related("requested_by").filter(pk=run_id).first()


@dataclass(frozen=True, slots=True)
class Reach:
    """For how many services there is data of the last week, and why not for the others."""

    services: int
    with_data: int
    external: int
    """External services without data of their own: how they fare is seen by their callers, or published."""
    silent: int
    """Services of ours that nothing was heard of."""


_REACH = """
    WITH heard AS (
        SELECT DISTINCT service_id AS id FROM telemetry_sliday WHERE bin_start >= %(start)s AND total > 0
    )
    SELECT count(*), count(h.id), count(*) FILTER (WHERE h.id IS NULL AND s.is_external)
    FROM catalog_service s LEFT JOIN heard h USING (id)
"""


def reach(newest_end: datetime | None) -> Reach:
    """Count services with requests in the week before :func:`newest_complete_end`."""
    with connection.cursor() as cursor:
        cursor.execute(_REACH, {"start": (newest_end or timezone.now()) - 7 * DAY})
        services, with_data, external = cursor.fetchone()
    return Reach(services, with_data, external, services - with_data - external)


@dataclass(frozen=True, slots=True)
class SourceState:
    """What is known of the telemetry source without asking it."""

    is_configured: bool
    url: str
    newest_end: datetime | None
    age: timedelta | None
    last_run: TelemetryRun | None
    last_success: TelemetryRun | None
    failure: str


def source_status(*, now: datetime | None = None) -> SourceState:
    """Where telemetry comes from, how old the newest of it is, and what is the matter if something is."""
    runs = TelemetryRun.objects.filter(source="prometheus").exclude(kind=TelemetryRun.Kind.SURVEY)
    runs = runs.order_by("-created_at")
    url = sources.address()
    last = runs.first()
    success = runs.filter(state=TelemetryRun.State.COMPLETED).first()
    newest = newest_complete_end()
    failed = last is not None and last.state == TelemetryRun.State.FAILED
    return SourceState(
        is_configured=bool(url),
        url=url,
        newest_end=newest,
        age=(now or timezone.now()) - newest if newest else None,
        last_run=last,
        last_success=success,
        failure=str(last.summary.get("failure", "")) if failed and last else "",
    )


def _midnight_at_or_before(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _midnight_at_or_after(moment: datetime) -> datetime:
    midnight = _midnight_at_or_before(moment)
    return midnight if midnight == moment else midnight + DAY
