"""Decides what a reading of a source may change in stored hours: worse data never replace better data.

A partial answer fills gaps but never replaces a complete hour. An hour that has less when it is read again is
contested: the stored hour stays, the new counts are kept apart, and a second reading decides. More than before is late
data and is stored. A histogram of as many requests with fewer bounds is worse. Requests, calls between services and
latency histograms follow the same rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection

from apps.core.database import scratch
from apps.telemetry.clients.prometheus.matrix import EXTRAPOLATION_SLACK, EXTRAPOLATION_SLACK_REQUESTS
from apps.telemetry.models import ContestedHour

#: A second reading counts only after this time: what made the first one short may still last.
CONFIRM_AFTER = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Reading:
    """Identifies a reading that is stored, and says whether to trust it.

    Parameters:
        run: the id of its run; a reading cannot confirm itself.
        now: the time at which it is stored.
        trust: a person decided that it replaces what is stored, except where it is incomplete itself.
    """

    run: UUID
    now: datetime
    trust: bool = False


@dataclass(frozen=True, slots=True)
class _Measure:
    """One table of hours, and the SQL that makes its rows from staged rows.

    Parameters:
        rows: selects service_id, target_id, bin_start, total, bad, observed, is_partial, is_implausible, and more.
        target, total, bad, observed, implausible: expressions for the stored row, in SQL over ``s``.
        more: further columns of ``rows``, which writing needs.
        coarser: whether ``n`` has less detail than ``s`` for as many requests, in SQL.
    """

    table: str
    owner: str
    rows: str
    target: str
    total: str
    bad: str
    observed: str
    implausible: str
    more: str
    coarser: str = "false"


_REQUESTS = """
    SELECT s.service_id, 0::bigint AS target_id, to_timestamp(h.hour * 3600) AS bin_start, h.total, h.bad,
           h.observed, h.is_partial, h.is_implausible, h.has_partial_percentiles,
           CASE WHEN h.has_p50 THEN h.p50 END AS p50_ms,
           CASE WHEN h.has_p95 THEN h.p95 END AS p95_ms,
           CASE WHEN h.has_p99 THEN h.p99 END AS p99_ms,
           CASE WHEN h.has_p50 OR h.has_p95 OR h.has_p99
                THEN greatest(cardinality(h.p50), cardinality(h.p95), cardinality(h.p99)) ELSE 0 END AS fine_bins
    FROM (
        SELECT key, at / 3600 AS hour,
               sum(total) AS total, sum(bad) AS bad, least(sum(observed), 3600)::integer AS observed,
               coalesce(bool_or(is_partial) FILTER (WHERE is_count), false) AS is_partial,
               bool_or(is_implausible) AS is_implausible,
               coalesce(bool_or(is_partial) FILTER (WHERE has_any), false) AS has_partial_percentiles,
               bool_or(p50 IS NOT NULL) AS has_p50,
               bool_or(p95 IS NOT NULL) AS has_p95,
               bool_or(p99 IS NOT NULL) AS has_p99,
               array_agg(p50 ORDER BY at) FILTER (WHERE has_any) AS p50,
               array_agg(p95 ORDER BY at) FILTER (WHERE has_any) AS p95,
               array_agg(p99 ORDER BY at) FILTER (WHERE has_any) AS p99
        FROM (
            SELECT key, at, total, bad, observed, is_partial, is_implausible,
                   nullif(p50, 'NaN') AS p50, nullif(p95, 'NaN') AS p95, nullif(p99, 'NaN') AS p99,
                   p50 <> 'NaN' OR p95 <> 'NaN' OR p99 <> 'NaN' AS has_any,
                   observed > 0 OR is_implausible AS is_count
            FROM stage_sli WHERE step <= 3600
        ) bins
        GROUP BY key, at / 3600
    ) h JOIN stage_service s USING (key)
"""

_CALLS = """
    SELECT s.service_id, t.service_id AS target_id, to_timestamp(r.at / 3600 * 3600) AS bin_start,
           sum(r.total) AS total, sum(r.bad) AS bad, least(sum(r.observed), 3600)::integer AS observed,
           bool_or(r.is_partial) AS is_partial, false AS is_implausible
    FROM stage_edge r JOIN stage_service s ON s.key = r.source JOIN stage_service t ON t.key = r.target
    GROUP BY s.service_id, t.service_id, r.at / 3600
"""

# A bound is kept only if every bin of the hour has it.
_LATENCY = """
    SELECT s.service_id, 0::bigint AS target_id, to_timestamp(b.hour * 3600) AS bin_start,
           b.cumulative[cardinality(b.cumulative)] AS total, 0::double precision AS bad, 3600 AS observed,
           b.is_partial, false AS is_implausible, b.bounds AS bounds_ms, b.cumulative
    FROM (
        SELECT key, hour, array_agg(le ORDER BY le) AS bounds, array_agg(total ORDER BY le) AS cumulative,
               bool_or(is_partial) AS is_partial
        FROM (SELECT key, at / 3600 AS hour, le, sum(count) AS total, count(*) AS bins,
                     bool_or(is_partial) AS is_partial
              FROM stage_bucket GROUP BY key, at / 3600, le) per_bound
        JOIN (SELECT key, at / 3600 AS hour, count(DISTINCT at) AS bins
              FROM stage_bucket GROUP BY key, at / 3600) per_hour USING (key, hour, bins)
        GROUP BY key, hour
    ) b JOIN stage_service s USING (key)
"""

_MEASURES: Mapping[str, _Measure] = {
    ContestedHour.Measure.REQUESTS: _Measure(
        "telemetry_slihour", "service_id", _REQUESTS, "0", "s.total", "s.bad", "s.observed_seconds",
        "s.is_implausible",
        ", n.has_partial_percentiles, n.p50_ms, n.p95_ms, n.p99_ms, n.fine_bins,"
        " s.p50_ms AS was_p50_ms, s.p95_ms AS was_p95_ms, s.p99_ms AS was_p99_ms,"
        " coalesce(greatest(cardinality(s.p50_ms), cardinality(s.p95_ms), cardinality(s.p99_ms)), 0)"
        " AS was_fine_bins",
    ),
    ContestedHour.Measure.CALLS: _Measure(
        "telemetry_edgehour", "source_id", _CALLS, "s.target_id", "s.total", "s.bad", "s.observed_seconds",
        "false", "",
    ),
    ContestedHour.Measure.LATENCY: _Measure(
        "telemetry_latencyhour", "service_id", _LATENCY, "0", "s.cumulative[cardinality(s.cumulative)]",
        "0::double precision", "3600", "false", ", n.bounds_ms, n.cumulative",
        "n.bounds_ms <@ s.bounds_ms AND cardinality(n.bounds_ms) < cardinality(s.bounds_ms)",
    ),
}  # fmt: skip


def _clearly_less(less: str, than: str) -> str:
    return f"({less} * {1.0 + EXTRAPOLATION_SLACK} + {EXTRAPOLATION_SLACK_REQUESTS} < {than})"


# Verdicts: `nothing` changes no counts, `keep` is worse than the stored hour, `take` is better or late, `agree` is the
# same within the error of extrapolation, `contest` is less than a complete stored hour. `OFFSET 0` makes the planner
# look up each row in the indexes, so that outdated statistics of grown tables cannot mislead it.
_JUDGE = """
    INSERT INTO judged_{measure}
    SELECT n.service_id, n.target_id, n.bin_start, n.total, n.bad, n.observed, n.is_partial, n.is_implausible,
           {s_total} AS was_total, {s_bad} AS was_bad, {s_observed} AS was_observed,
           coalesce(s.is_partial, false) AS was_partial, {s_implausible} AS was_implausible,
           CASE WHEN k.contest = 'settled' THEN 'take' ELSE v.verdict END AS verdict, k.contest {more}
    FROM ({rows}) n
    LEFT JOIN LATERAL (
        SELECT * FROM {table} s WHERE s.{owner} = n.service_id AND {s_target} = n.target_id
            AND s.bin_start = n.bin_start AND s.bin_start >= %(first)s AND s.bin_start < %(last)s OFFSET 0
    ) s ON true
    LEFT JOIN LATERAL (
        SELECT * FROM telemetry_contestedhour c WHERE c.measure = '{measure}' AND c.service_id = n.service_id
            AND c.target_id = n.target_id AND c.bin_start = n.bin_start OFFSET 0
    ) c ON true
    CROSS JOIN LATERAL (SELECT CASE
        WHEN s.bin_start IS NULL THEN 'take'
        WHEN n.observed = 0 AND NOT n.is_implausible THEN 'nothing'
        WHEN {s_observed} = 0 THEN 'take'
        WHEN n.is_partial AND (n.observed = 0 OR NOT s.is_partial) THEN 'keep'
        WHEN n.observed > 0 AND n.observed < {s_observed} THEN 'keep'
        WHEN n.is_partial AND n.total >= {s_total} AND n.bad >= {s_bad} THEN 'take'
        WHEN n.is_partial THEN 'keep'
        WHEN %(trust)s THEN 'take'
        WHEN n.observed = 0 THEN 'contest'
        WHEN n.observed > {s_observed} THEN 'take'
        WHEN {total_shrinks} OR {bad_shrinks} THEN 'contest'
        WHEN {coarser} AND NOT {total_grows} THEN 'keep'
        WHEN s.is_partial THEN 'take'
        WHEN (n.total >= {s_total} AND n.bad >= {s_bad}) OR {total_grows} OR {bad_grows} THEN 'take'
        ELSE 'agree' END AS verdict) v
    CROSS JOIN LATERAL (SELECT CASE
        WHEN v.verdict = 'contest' AND (c.run IS NULL OR NOT (
                c.is_implausible = (n.observed = 0) AND NOT ({more_than_contested} OR {less_than_contested})))
            THEN 'opened'
        WHEN v.verdict = 'contest' AND c.run <> %(run)s AND c.first_seen_at <= %(confirmed_before)s THEN 'settled'
        WHEN v.verdict = 'contest' THEN 'seen'
        WHEN v.verdict IN ('take', 'agree') AND c.run IS NOT NULL THEN 'closed'
        ELSE '' END AS contest) k
"""

_JUDGED_COLUMNS = {
    "service_id": "bigint",
    "target_id": "bigint",
    "bin_start": "timestamptz",
    "total": "double precision",
    "bad": "double precision",
    "observed": "integer",
    "is_partial": "boolean",
    "is_implausible": "boolean",
    "was_total": "double precision",
    "was_bad": "double precision",
    "was_observed": "integer",
    "was_partial": "boolean",
    "was_implausible": "boolean",
    "verdict": "text",
    "contest": "text",
}
# The columns that `more` of each measure adds, in their order.
_JUDGED_COLUMNS_MORE: Mapping[str, Mapping[str, str]] = {
    ContestedHour.Measure.REQUESTS: {
        "has_partial_percentiles": "boolean",
        "p50_ms": "double precision[]",
        "p95_ms": "double precision[]",
        "p99_ms": "double precision[]",
        "fine_bins": "integer",
        "was_p50_ms": "double precision[]",
        "was_p95_ms": "double precision[]",
        "was_p99_ms": "double precision[]",
        "was_fine_bins": "integer",
    },
    ContestedHour.Measure.LATENCY: {"bounds_ms": "double precision[]", "cumulative": "double precision[]"},
}

_CONTEST = """
    INSERT INTO telemetry_contestedhour
        (service_id, bin_start, measure, target_id, total, bad, is_implausible,
         first_seen_at, last_seen_at, seen_times, run)
    SELECT service_id, bin_start, '{measure}', target_id, total, bad, observed = 0, %(now)s, %(now)s, 1, %(run)s
    FROM judged_{measure} WHERE contest = 'opened'
    ON CONFLICT (service_id, bin_start, measure, target_id) DO UPDATE SET
        total = EXCLUDED.total, bad = EXCLUDED.bad, is_implausible = EXCLUDED.is_implausible,
        first_seen_at = EXCLUDED.first_seen_at, last_seen_at = EXCLUDED.last_seen_at, seen_times = 1,
        run = EXCLUDED.run
"""

_SEE_AGAIN = """
    UPDATE telemetry_contestedhour c SET last_seen_at = %(now)s, seen_times = c.seen_times + 1
    FROM judged_{measure} j
    WHERE j.contest = 'seen' AND c.run <> %(run)s AND c.measure = '{measure}' AND c.service_id = j.service_id
      AND c.target_id = j.target_id AND c.bin_start = j.bin_start
"""

_CLOSE = """
    DELETE FROM telemetry_contestedhour c USING judged_{measure} j
    WHERE j.contest IN ('settled', 'closed') AND c.measure = '{measure}' AND c.service_id = j.service_id
      AND c.target_id = j.target_id AND c.bin_start = j.bin_start
"""


@dataclass(frozen=True, slots=True)
class Contests:
    """Numbers of hours that a reading contested, and of hours that it settled or that are no longer contested."""

    open: int = 0
    settled: int = 0

    def __add__(self, other: Contests) -> Contests:
        return Contests(self.open + other.open, self.settled + other.settled)


def judge(reading: Reading, first: datetime, last: datetime) -> Contests:
    """Make the tables ``judged_requests``, ``judged_calls`` and ``judged_latency`` from the staged rows.

    Each table has a verdict for every staged hour. Contests are opened, confirmed and closed. This needs a transaction
    that holds the lock of storing; the tables end with it.

    Parameters:
        first, last: the time that the staged rows span.
    """
    values: dict[str, Any] = {
        "first": first,
        "last": last,
        "trust": reading.trust,
        "run": reading.run,
        "now": reading.now,
        "confirmed_before": reading.now - CONFIRM_AFTER,
    }
    contests = Contests()
    with connection.cursor() as cursor:
        for name, measure in _MEASURES.items():
            columns = {**_JUDGED_COLUMNS, **_JUDGED_COLUMNS_MORE.get(name, {})}
            scratch.make(cursor, f"judged_{name}", columns, until_commit=True)
            cursor.execute(_judgement(name, measure), values)
            cursor.execute(f"ANALYZE pg_temp.judged_{name}")
            for statement in (_CONTEST, _SEE_AGAIN, _CLOSE):
                cursor.execute(statement.format(measure=name), values)
            cursor.execute(
                "SELECT count(*) FILTER (WHERE contest IN ('opened', 'seen')),"  # noqa: S608
                f" count(*) FILTER (WHERE contest IN ('settled', 'closed')) FROM judged_{name}"
            )
            contests += Contests(*cursor.fetchone())
    return contests


def _judgement(name: str, measure: _Measure) -> str:
    return _JUDGE.format(
        measure=name,
        rows=measure.rows,
        table=measure.table,
        owner=measure.owner,
        more=measure.more,
        coarser=measure.coarser,
        s_target=measure.target,
        s_total=measure.total,
        s_bad=measure.bad,
        s_observed=measure.observed,
        s_implausible=measure.implausible,
        total_shrinks=_clearly_less("n.total", measure.total),
        bad_shrinks=_clearly_less("n.bad", measure.bad),
        total_grows=_clearly_less(measure.total, "n.total"),
        bad_grows=_clearly_less(measure.bad, "n.bad"),
        less_than_contested=f"({_clearly_less('n.total', 'c.total')} OR {_clearly_less('n.bad', 'c.bad')})",
        more_than_contested=f"({_clearly_less('c.total', 'n.total')} OR {_clearly_less('c.bad', 'n.bad')})",
    )
