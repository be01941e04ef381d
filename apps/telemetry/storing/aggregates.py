"""The SQL that turns staged rows into aggregates by the hour and by the day.

Counts are summed. Histograms are summed over the bounds that all bins of an hour share. Percentiles are kept side by
side, never averaged. Files are deliberate: a row of a file replaces a stored bin if it covers at least as much of its
time, so an import of half an hour never replaces a whole hour. :mod:`apps.telemetry.storing.replacing` decides what a
reading of a source may replace. Running anything twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from django.db import connection
from django.db.backends.utils import CursorWrapper

from apps.core.database import scratch
from apps.telemetry.storing import noting
from apps.telemetry.storing.replacing import Contests, Reading, judge


@dataclass(frozen=True, slots=True)
class Stored:
    """Numbers of rows that are new or changed in each aggregate."""

    hours: int = 0
    days: int = 0
    latency_hours: int = 0
    edge_hours: int = 0
    contests: Contests = field(default_factory=Contests)

    def __add__(self, other: Stored) -> Stored:
        return Stored(
            self.hours + other.hours,
            self.days + other.days,
            self.latency_hours + other.latency_hours,
            self.edge_hours + other.edge_hours,
            self.contests + other.contests,
        )


_HOURS_AS_THEY_ARE = """
    SELECT s.service_id, to_timestamp(r.at), r.total, r.bad, r.observed,
           r.is_partial, r.is_implausible,
           CASE WHEN r.p50 = 'NaN' THEN NULL ELSE ARRAY[r.p50] END,
           CASE WHEN r.p95 = 'NaN' THEN NULL ELSE ARRAY[r.p95] END,
           CASE WHEN r.p99 = 'NaN' THEN NULL ELSE ARRAY[r.p99] END
    FROM stage_sli r JOIN stage_service s USING (key)
    WHERE r.step = 3600
"""

# The three arrays stay parallel: a bin without any percentile is in none of them; a bin without some has NULL for
# those.
_HOURS_SUMMED = """
    SELECT s.service_id, to_timestamp(h.hour * 3600), h.total, h.bad, h.observed,
           h.is_partial, h.is_implausible,
           CASE WHEN h.has_p50 THEN h.p50 END,
           CASE WHEN h.has_p95 THEN h.p95 END,
           CASE WHEN h.has_p99 THEN h.p99 END
    FROM (
        SELECT key, at / 3600 AS hour,
               sum(total) AS total, sum(bad) AS bad, least(sum(observed), 3600) AS observed,
               bool_or(is_partial) AS is_partial, bool_or(is_implausible) AS is_implausible,
               bool_or(p50 IS NOT NULL) AS has_p50,
               bool_or(p95 IS NOT NULL) AS has_p95,
               bool_or(p99 IS NOT NULL) AS has_p99,
               array_agg(p50 ORDER BY at) FILTER (WHERE has_any) AS p50,
               array_agg(p95 ORDER BY at) FILTER (WHERE has_any) AS p95,
               array_agg(p99 ORDER BY at) FILTER (WHERE has_any) AS p99
        FROM (
            SELECT key, at, total, bad, observed, is_partial, is_implausible,
                   nullif(p50, 'NaN') AS p50, nullif(p95, 'NaN') AS p95, nullif(p99, 'NaN') AS p99,
                   p50 <> 'NaN' OR p95 <> 'NaN' OR p99 <> 'NaN' AS has_any
            FROM stage_sli WHERE step <= 3600
        ) bins
        GROUP BY key, at / 3600
    ) h JOIN stage_service s USING (key)
"""

_UPSERT_HOURS = """
    INSERT INTO telemetry_slihour
        (service_id, bin_start, total, bad, observed_seconds, is_partial, is_implausible,
         p50_ms, p95_ms, p99_ms)
    {rows}
    ON CONFLICT (service_id, bin_start) DO UPDATE SET
        total = EXCLUDED.total, bad = EXCLUDED.bad, observed_seconds = EXCLUDED.observed_seconds,
        is_partial = EXCLUDED.is_partial, is_implausible = EXCLUDED.is_implausible,
        p50_ms = EXCLUDED.p50_ms, p95_ms = EXCLUDED.p95_ms, p99_ms = EXCLUDED.p99_ms
    WHERE EXCLUDED.observed_seconds >= telemetry_slihour.observed_seconds
      AND (EXCLUDED.total, EXCLUDED.bad, EXCLUDED.observed_seconds,
           EXCLUDED.is_partial, EXCLUDED.is_implausible, EXCLUDED.p50_ms, EXCLUDED.p95_ms, EXCLUDED.p99_ms)
          IS DISTINCT FROM
          (telemetry_slihour.total, telemetry_slihour.bad, telemetry_slihour.observed_seconds,
           telemetry_slihour.is_partial, telemetry_slihour.is_implausible,
           telemetry_slihour.p50_ms, telemetry_slihour.p95_ms, telemetry_slihour.p99_ms)
"""

_UPSERT_DAYS = """
    INSERT INTO telemetry_sliday
        (service_id, bin_start, total, bad, observed_seconds, is_partial, is_implausible)
    {rows}
    ON CONFLICT (service_id, bin_start) DO UPDATE SET
        total = EXCLUDED.total, bad = EXCLUDED.bad, observed_seconds = EXCLUDED.observed_seconds,
        is_partial = EXCLUDED.is_partial, is_implausible = EXCLUDED.is_implausible
    WHERE {only}(EXCLUDED.total, EXCLUDED.bad, EXCLUDED.observed_seconds,
           EXCLUDED.is_partial, EXCLUDED.is_implausible)
          IS DISTINCT FROM
          (telemetry_sliday.total, telemetry_sliday.bad, telemetry_sliday.observed_seconds,
           telemetry_sliday.is_partial, telemetry_sliday.is_implausible)
"""
_COVERS_AS_MUCH = "EXCLUDED.observed_seconds >= telemetry_sliday.observed_seconds AND "

_COARSE_DAYS = """
    SELECT s.service_id, to_timestamp(r.at / 86400 * 86400), sum(r.total), sum(r.bad), sum(r.observed),
           bool_or(r.is_partial), bool_or(r.is_implausible)
    FROM stage_sli r JOIN stage_service s USING (key)
    WHERE r.step > 3600
    GROUP BY s.service_id, r.at / 86400
"""

# `whole` and `part` are hours of the day as bits: hours that the rows cover from end to end, and the others.
_CHANGED_COLUMNS = {
    "service_id": "bigint",
    "day": "bigint",
    "whole": "integer",
    "part": "integer",
    "gone": "bigint",
}

_CHANGED_DAYS = """
    (service_id, day, whole, part) SELECT s.service_id, r.day, r.whole, r.part FROM (
        SELECT key, at / 86400 AS day, bit_or(1 << (at / 3600 % 24)::integer) AS whole, 0 AS part
        FROM stage_sli WHERE step = 3600 GROUP BY key, at / 86400
    ) r JOIN stage_service s USING (key)
"""

_CHANGED_DAYS_SUMMED = """
    (service_id, day, whole, part) SELECT s.service_id, r.day, r.whole, r.part FROM (
        SELECT key, hour / 24 AS day,
               coalesce(bit_or(1 << (hour % 24)::integer) FILTER (WHERE observed >= 3600), 0) AS whole,
               coalesce(bit_or(1 << (hour % 24)::integer) FILTER (WHERE observed < 3600), 0) AS part
        FROM (SELECT key, at / 3600 AS hour, sum(observed) AS observed
              FROM stage_sli WHERE step <= 3600 GROUP BY key, at / 3600) hours
        GROUP BY key, hour / 24
    ) r JOIN stage_service s USING (key)
"""

_DAYS_FROM_HOURS = """
    SELECT c.service_id, to_timestamp(c.day * 86400), h.total, h.bad, h.observed,
           h.is_partial, h.is_implausible
    FROM stage_changed c CROSS JOIN LATERAL (
        SELECT sum(total) AS total, sum(bad) AS bad, sum(observed_seconds) AS observed,
               bool_or(is_partial) AS is_partial, bool_or(is_implausible) AS is_implausible
        FROM telemetry_slihour
        WHERE service_id = c.service_id
          AND bin_start >= to_timestamp(c.day * 86400) AND bin_start < to_timestamp(c.day * 86400 + 86400)
    ) h
    WHERE h.total IS NOT NULL
"""

_UPSERT_LATENCY = """
    INSERT INTO telemetry_latencyhour (service_id, bin_start, bounds_ms, cumulative, is_partial)
    SELECT s.service_id, to_timestamp(b.hour * 3600), b.bounds, b.cumulative, false
    FROM (
        SELECT key, hour, array_agg(le ORDER BY le) AS bounds, array_agg(total ORDER BY le) AS cumulative
        FROM (SELECT key, at / 3600 AS hour, le, sum(count) AS total, count(*) AS bins
              FROM stage_bucket GROUP BY key, at / 3600, le) per_bound
        JOIN (SELECT key, at / 3600 AS hour, count(DISTINCT at) AS bins
              FROM stage_bucket GROUP BY key, at / 3600) per_hour USING (key, hour, bins)
        GROUP BY key, hour
    ) b JOIN stage_service s USING (key)
    ON CONFLICT (service_id, bin_start) DO UPDATE SET
        bounds_ms = EXCLUDED.bounds_ms, cumulative = EXCLUDED.cumulative, is_partial = EXCLUDED.is_partial
    WHERE EXCLUDED.cumulative[cardinality(EXCLUDED.cumulative)]
       >= telemetry_latencyhour.cumulative[cardinality(telemetry_latencyhour.cumulative)]
      AND (EXCLUDED.bounds_ms, EXCLUDED.cumulative, EXCLUDED.is_partial)
          IS DISTINCT FROM (telemetry_latencyhour.bounds_ms, telemetry_latencyhour.cumulative,
                            telemetry_latencyhour.is_partial)
"""

_UPSERT_EDGES = """
    INSERT INTO telemetry_edgehour (source_id, target_id, bin_start, total, bad, observed_seconds, is_partial)
    SELECT s.service_id, t.service_id, to_timestamp(r.at / 3600 * 3600), sum(r.total), sum(r.bad),
           least(sum(r.observed), 3600), false
    FROM stage_edge r JOIN stage_service s ON s.key = r.source JOIN stage_service t ON t.key = r.target
    GROUP BY s.service_id, t.service_id, r.at / 3600
    ON CONFLICT (source_id, target_id, bin_start) DO UPDATE SET
        total = EXCLUDED.total, bad = EXCLUDED.bad, observed_seconds = EXCLUDED.observed_seconds,
        is_partial = EXCLUDED.is_partial
    WHERE EXCLUDED.observed_seconds >= telemetry_edgehour.observed_seconds
      AND (EXCLUDED.total, EXCLUDED.bad, EXCLUDED.observed_seconds, EXCLUDED.is_partial)
          IS DISTINCT FROM
          (telemetry_edgehour.total, telemetry_edgehour.bad, telemetry_edgehour.observed_seconds,
           telemetry_edgehour.is_partial)
"""

# The result of a reading, as it was judged. Percentiles are judged alone: complete ones with at least as many bins
# replace others, incomplete ones replace none.
_WRITE_HOURS = """
    INSERT INTO telemetry_slihour
        (service_id, bin_start, total, bad, observed_seconds, is_partial, is_implausible,
         p50_ms, p95_ms, p99_ms)
    SELECT service_id, bin_start,
           CASE WHEN is_taken THEN total ELSE was_total END, CASE WHEN is_taken THEN bad ELSE was_bad END,
           CASE WHEN is_taken THEN observed ELSE was_observed END,
           CASE WHEN is_taken THEN is_partial ELSE was_partial END,
           CASE WHEN is_taken THEN is_implausible ELSE was_implausible END,
           CASE WHEN is_finer THEN p50_ms ELSE was_p50_ms END,
           CASE WHEN is_finer THEN p95_ms ELSE was_p95_ms END,
           CASE WHEN is_finer THEN p99_ms ELSE was_p99_ms END
    FROM (
        SELECT *, verdict = 'take' AS is_taken,
               fine_bins > 0 AND (was_fine_bins = 0 OR (
                   NOT has_partial_percentiles AND (fine_bins >= was_fine_bins OR %(trust)s))) AS is_finer
        FROM judged_requests
    ) j
    WHERE is_taken OR is_finer
    ON CONFLICT (service_id, bin_start) DO UPDATE SET
        total = EXCLUDED.total, bad = EXCLUDED.bad, observed_seconds = EXCLUDED.observed_seconds,
        is_partial = EXCLUDED.is_partial, is_implausible = EXCLUDED.is_implausible,
        p50_ms = EXCLUDED.p50_ms, p95_ms = EXCLUDED.p95_ms, p99_ms = EXCLUDED.p99_ms
    WHERE (EXCLUDED.total, EXCLUDED.bad, EXCLUDED.observed_seconds,
           EXCLUDED.is_partial, EXCLUDED.is_implausible, EXCLUDED.p50_ms, EXCLUDED.p95_ms, EXCLUDED.p99_ms)
          IS DISTINCT FROM
          (telemetry_slihour.total, telemetry_slihour.bad, telemetry_slihour.observed_seconds,
           telemetry_slihour.is_partial, telemetry_slihour.is_implausible,
           telemetry_slihour.p50_ms, telemetry_slihour.p95_ms, telemetry_slihour.p99_ms)
"""

# `gone` is the seconds of hours that turned out implausible: a day may cover so much less time than before.
_JUDGED_DAYS = """
    (service_id, day, gone) SELECT service_id, extract(epoch FROM bin_start)::bigint / 86400 AS day,
           sum(greatest(was_observed - observed, 0)) FILTER (WHERE was_observed IS NOT NULL) AS gone
    FROM judged_requests WHERE verdict = 'take' GROUP BY 1, 2
"""

_DAYS_FROM_JUDGED_HOURS = f"""
    SELECT d.* FROM ({_DAYS_FROM_HOURS}) AS d
        (service_id, bin_start, total, bad, observed, is_partial, is_implausible)
    JOIN stage_changed c ON c.service_id = d.service_id AND to_timestamp(c.day * 86400) = d.bin_start
    LEFT JOIN telemetry_sliday w ON w.service_id = d.service_id AND w.bin_start = d.bin_start
    WHERE w.bin_start IS NULL OR d.observed + coalesce(c.gone, 0) >= w.observed_seconds
"""  # noqa: S608

_WRITE_LATENCY = """
    INSERT INTO telemetry_latencyhour (service_id, bin_start, bounds_ms, cumulative, is_partial)
    SELECT service_id, bin_start, bounds_ms, cumulative, is_partial FROM judged_latency WHERE verdict = 'take'
    ON CONFLICT (service_id, bin_start) DO UPDATE SET
        bounds_ms = EXCLUDED.bounds_ms, cumulative = EXCLUDED.cumulative, is_partial = EXCLUDED.is_partial
    WHERE (EXCLUDED.bounds_ms, EXCLUDED.cumulative, EXCLUDED.is_partial)
          IS DISTINCT FROM (telemetry_latencyhour.bounds_ms, telemetry_latencyhour.cumulative,
                            telemetry_latencyhour.is_partial)
"""

_WRITE_EDGES = """
    INSERT INTO telemetry_edgehour (source_id, target_id, bin_start, total, bad, observed_seconds, is_partial)
    SELECT service_id, target_id, bin_start, total, bad, observed, is_partial
    FROM judged_calls WHERE verdict = 'take'
    ON CONFLICT (source_id, target_id, bin_start) DO UPDATE SET
        total = EXCLUDED.total, bad = EXCLUDED.bad, observed_seconds = EXCLUDED.observed_seconds,
        is_partial = EXCLUDED.is_partial
    WHERE (EXCLUDED.total, EXCLUDED.bad, EXCLUDED.observed_seconds, EXCLUDED.is_partial)
          IS DISTINCT FROM
          (telemetry_edgehour.total, telemetry_edgehour.bad, telemetry_edgehour.observed_seconds,
           telemetry_edgehour.is_partial)
"""


def staged_range() -> tuple[datetime, datetime] | None:
    """Return the time that the staged rows span, to the end of the last hour; ``None`` when nothing is staged."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT min(first), max(last) FROM ("
            "SELECT min(at) AS first, max(at + step) AS last FROM stage_sli "
            "UNION ALL SELECT min(at), max(at) / 3600 * 3600 + 3600 FROM stage_edge "
            "UNION ALL SELECT min(at), max(at) / 3600 * 3600 + 3600 FROM stage_bucket) spans"
        )
        first, last = cursor.fetchone()
    if first is None:
        return None
    return datetime.fromtimestamp(first, UTC), datetime.fromtimestamp(last, UTC)


def ensure_partitions(first: date, last: date) -> int:
    """Create missing monthly partitions from one day to another, and return how many were missing.

    It locks the tables for an instant, so call it outside a long transaction.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT telemetry_ensure_partitions(%s, %s)", [first, last])
        made: int = cursor.fetchone()[0]
    return made


def store_staged(*, is_hourly: bool = False) -> Stored:
    """Put staged rows of files into the aggregates. This needs a transaction, staged services and the partitions.

    Parameters:
        is_hourly: whether every staged row of ``stage_sli`` is a whole hour, one for each service and hour, so that
            nothing needs to be summed.
    """
    with connection.cursor() as cursor:
        _prepare(cursor)
        cursor.execute(_UPSERT_HOURS.format(rows=_HOURS_AS_THEY_ARE if is_hourly else _HOURS_SUMMED))
        hours = cursor.rowcount
        cursor.execute(_UPSERT_DAYS.format(rows=_COARSE_DAYS, only=_COVERS_AS_MUCH))
        days = cursor.rowcount
        with _changed_days(cursor, _CHANGED_DAYS if is_hourly else _CHANGED_DAYS_SUMMED):
            cursor.execute(_UPSERT_DAYS.format(rows=_DAYS_FROM_HOURS, only=_COVERS_AS_MUCH))
            days += cursor.rowcount
            noting.note_files(cursor)
        cursor.execute(_UPSERT_LATENCY)
        latency_hours = cursor.rowcount
        cursor.execute(_UPSERT_EDGES)
        return Stored(hours, days, latency_hours, cursor.rowcount)


def store_reading(reading: Reading, first: datetime, last: datetime) -> Stored:
    """Put a reading of a source into the aggregates, except hours that are worse than the stored ones.

    This needs what :func:`store_staged` needs, and leaves the tables of
    :func:`apps.telemetry.storing.replacing.judge` behind.

    Parameters:
        first, last: the time that was asked for; no row is outside it.
    """
    with connection.cursor() as cursor:
        _prepare(cursor)
        contests = judge(reading, first, last)
        cursor.execute(_WRITE_HOURS, {"trust": reading.trust})
        hours = cursor.rowcount
        with _changed_days(cursor, _JUDGED_DAYS):
            cursor.execute(_UPSERT_DAYS.format(rows=_DAYS_FROM_JUDGED_HOURS, only=""))
            days = cursor.rowcount
        cursor.execute(_WRITE_LATENCY)
        latency_hours = cursor.rowcount
        cursor.execute(_WRITE_EDGES)
        return Stored(hours, days, latency_hours, cursor.rowcount, contests)


def _prepare(cursor: CursorWrapper) -> None:
    # Without a lock, two readings of the same hours would lock rows in different orders and deadlock.
    cursor.execute("SELECT pg_advisory_xact_lock(hashtext('telemetry_store'))")
    # The statements sort hundreds of megabytes; the setting ends with the transaction.
    cursor.execute("SET LOCAL work_mem = '128MB'")
    for table in ("stage_sli", "stage_edge", "stage_bucket", "stage_service"):
        cursor.execute(f"ANALYZE pg_temp.{table}")


@contextmanager
def _changed_days(cursor: CursorWrapper, rows: str) -> Iterator[None]:
    scratch.make(cursor, "stage_changed", _CHANGED_COLUMNS, until_commit=True)
    cursor.execute(f"INSERT INTO stage_changed {rows}")
    cursor.execute("ANALYZE pg_temp.stage_changed")
    yield
    scratch.drop(cursor, "stage_changed")
