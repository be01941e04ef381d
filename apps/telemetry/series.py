"""Loads the series of many services at once as numpy arrays. For workers and commands only.

Rows leave PostgreSQL in its binary format with a fixed width, so that millions of them become arrays without a Python
object for each. All counts and histograms of one call share one regular grid; a bin without data is NaN in every array.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import reduce
from typing import Any

import numpy as np
from django.db import connection
from numpy.typing import NDArray
from psycopg import sql

type Floats = NDArray[np.float64]
type Edge = tuple[int, int]

HOUR = 3600
DAY = 86_400

#: With fewer finite bounds that all hours share, no percentile can be read.
_LEAST_SHARED = 3

_HEADER_BYTES = 19
_TRAILER_BYTES = 2


@dataclass(frozen=True, slots=True)
class Counts:
    """Requests and failed requests on a regular grid; ``total`` and ``bad`` have shape ``(n,)``.

    ``partial`` and ``implausible`` are numbers of bins. The grid runs from the first bin with data to the end asked
    for, so that the time before a service existed is not a gap.
    """

    start: int
    step_seconds: int
    total: Floats
    bad: Floats
    partial: int = 0
    implausible: int = 0


@dataclass(frozen=True, slots=True)
class Buckets:
    """Latency histograms. ``bounds_ms`` has shape ``(k,)`` with an infinite end; ``cumulative`` has ``(n, k)``."""

    start: int
    step_seconds: int
    bounds_ms: Floats
    cumulative: Floats


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Percentiles of the source, one entry for each fine bin in order of time; NaN where a bin lacks one."""

    at: NDArray[np.int64]
    p95_ms: Floats
    p99_ms: Floats
    bins_per_hour: int


def load_counts(service_pks: Sequence[int], start: datetime, end: datetime) -> dict[int, Counts]:
    """Return hourly counts of each service that has any in ``[start, end)``, by primary key."""
    return _load_counts("telemetry_slihour", HOUR, service_pks, start, end)


def load_days(service_pks: Sequence[int], start: datetime, end: datetime) -> dict[int, Counts]:
    """Return daily counts of each service that has any in ``[start, end)``; both are midnights in UTC."""
    return _load_counts("telemetry_sliday", DAY, service_pks, start, end)


def _load_counts(
    table: str, step: int, service_pks: Sequence[int], start: datetime, end: datetime
) -> dict[int, Counts]:
    rows = _packed(
        sql.SQL(
            "SELECT string_agg(int8send(service_id::bigint) || int8send(extract(epoch FROM bin_start)::bigint)"
            " || float8send(CASE WHEN observed_seconds > 0 THEN total ELSE 'NaN' END)"
            " || float8send(CASE WHEN observed_seconds > 0 THEN bad ELSE 'NaN' END)"
            " || boolsend(is_partial) || boolsend(is_implausible), ''::bytea)"
            " FROM {table} WHERE {owned} AND {within} GROUP BY service_id"
        ).format(
            table=sql.Identifier(table), owned=_owned("service_id", service_pks), within=_within(start, end)
        ),
        [
            ("owner", "i8"),
            ("at", "i8"),
            ("total", "f8"),
            ("bad", "f8"),
            ("partial", "b1"),
            ("implausible", "b1"),
        ],
    )
    last = int(end.timestamp())
    found: dict[int, Counts] = {}
    for part in _split(rows, rows["owner"]):
        first, total, bad = _on_grid(part, step, last)
        if first is not None:
            found[int(part["owner"][0])] = Counts(
                first, step, total, bad, int(part["partial"].sum()), int(part["implausible"].sum())
            )
    return found


def load_edges(source_pks: Sequence[int], start: datetime, end: datetime) -> dict[Edge, Counts]:
    """Return hourly counts of the calls from each source, by (source, target)."""
    rows = _packed(
        sql.SQL(
            "SELECT string_agg(int8send(source_id::bigint) || int8send(target_id::bigint)"
            " || int8send(extract(epoch FROM bin_start)::bigint)"
            " || float8send(CASE WHEN observed_seconds > 0 THEN total ELSE 'NaN' END)"
            " || float8send(CASE WHEN observed_seconds > 0 THEN bad ELSE 'NaN' END), ''::bytea)"
            " FROM telemetry_edgehour WHERE {owned} AND {within} GROUP BY source_id, target_id"
        ).format(owned=_owned("source_id", source_pks), within=_within(start, end)),
        [("owner", "i8"), ("target", "i8"), ("at", "i8"), ("total", "f8"), ("bad", "f8")],
    )
    last = int(end.timestamp())
    found: dict[Edge, Counts] = {}
    for part in _split(rows, rows["owner"], rows["target"]):
        first, total, bad = _on_grid(part, HOUR, last)
        if first is not None:
            found[int(part["owner"][0]), int(part["target"][0])] = Counts(first, HOUR, total, bad)
    return found


def load_buckets(service_pks: Sequence[int], start: datetime, end: datetime) -> dict[int, Buckets]:
    """Return hourly histograms of each service that has any, over the bounds that all its hours share.

    If these bounds are too few, all bounds are used. At a bound that an hour lacks, it counts as at its bound before,
    so that a percentile can only read too high.
    """
    shapes = connection.cursor()
    shapes.execute(
        "SELECT DISTINCT cardinality(bounds_ms) FROM telemetry_latencyhour"
        " WHERE service_id = ANY(%s) AND bin_start >= %s AND bin_start < %s ORDER BY 1",
        [list(service_pks), start, end],
    )
    widths = [int(width) for (width,) in shapes.fetchall() if width]
    shapes.close()
    parts: dict[int, list[NDArray[Any]]] = {}
    for width in widths:
        rows = _copy(
            sql.SQL(
                "SELECT service_id::bigint, extract(epoch FROM bin_start)::bigint, bounds_ms, cumulative"
                " FROM telemetry_latencyhour"
                " WHERE {owned} AND {within} AND cardinality(bounds_ms) = {width} ORDER BY 1, 2"
            ).format(
                owned=_owned("service_id", service_pks), within=_within(start, end), width=sql.Literal(width)
            ),
            [("owner", "i8"), ("at", "i8"), ("bounds", width), ("cumulative", width)],
        )
        for part in _split(rows, rows["owner"]):
            parts.setdefault(int(part["owner"][0]), []).append(part)
    last = int(end.timestamp())
    return {owner: _one_histogram(some, last) for owner, some in sorted(parts.items())}


def _one_histogram(parts: Sequence[NDArray[Any]], end: int) -> Buckets:
    """Put a service's histograms on a grid. Cumulative counts can be compared at each common bound."""
    layouts = [(part, bounds) for part in parts for bounds in np.unique(part["bounds"], axis=0)]
    every = [bounds for _, bounds in layouts]
    kept = reduce(np.intersect1d, every)
    if np.isfinite(kept).sum() < _LEAST_SHARED:
        kept = reduce(np.union1d, every)
    first = min(int(part["at"][0]) for part in parts)
    cumulative = np.full(((end - first) // HOUR, len(kept)), np.nan)
    for part, bounds in layouts:
        chosen = part[(part["bounds"] == bounds).all(axis=1)]
        none_below = np.zeros((len(chosen), 1))
        reached = np.hstack([none_below, chosen["cumulative"]])
        cumulative[(chosen["at"] - first) // HOUR] = reached[:, np.searchsorted(bounds, kept, side="right")]
    return Buckets(first, HOUR, kept.astype(np.float64), cumulative)


def load_percentiles(service_pks: Sequence[int], start: datetime, end: datetime) -> dict[int, Percentiles]:
    """Return the percentiles that sources computed, for each service that has any in ``[start, end)``."""
    rows = _copy(
        sql.SQL(
            "SELECT h.service_id::bigint, extract(epoch FROM h.bin_start)::bigint"
            " + (v.number - 1) * 3600 / greatest(cardinality(h.p95_ms), cardinality(h.p99_ms)),"
            " coalesce(v.p95, 'NaN'), coalesce(v.p99, 'NaN'),"
            " greatest(cardinality(h.p95_ms), cardinality(h.p99_ms))"
            " FROM telemetry_slihour h, unnest(h.p95_ms, h.p99_ms) WITH ORDINALITY AS v (p95, p99, number)"
            " WHERE {owned} AND {within} AND (h.p95_ms IS NOT NULL OR h.p99_ms IS NOT NULL) ORDER BY 1, 2"
        ).format(owned=_owned("service_id", service_pks), within=_within(start, end)),
        [("owner", "i8"), ("at", "i8"), ("p95", "f8"), ("p99", "f8"), ("bins", "i4")],
    )
    return {
        int(part["owner"][0]): Percentiles(
            part["at"].astype(np.int64),
            part["p95"].astype(np.float64),
            part["p99"].astype(np.float64),
            int(part["bins"].max()),
        )
        for part in _split(rows, rows["owner"])
    }


def _owned(column: str, pks: Sequence[int]) -> sql.Composed:
    return sql.SQL("{} = ANY({}::bigint[])").format(sql.Identifier(column), sql.Literal(list(pks)))


def _within(start: datetime, end: datetime) -> sql.Composed:
    return sql.SQL("bin_start >= {} AND bin_start < {}").format(
        sql.Literal(start.astimezone(UTC)), sql.Literal(end.astimezone(UTC))
    )


def _packed(query: sql.Composed, columns: Sequence[tuple[str, str]]) -> NDArray[Any]:
    """Run a query whose rows are blocks of packed records, and return these sorted by their leading ``i8`` columns.

    The driver handles each row of a COPY separately, which costs more than reading it. Here each series is one row, in
    which PostgreSQL has joined its records.
    """
    with (
        connection.cursor() as cursor,
        cursor.copy(sql.SQL("COPY ({}) TO STDOUT (FORMAT BINARY)").format(query)) as copy,
    ):
        copy.set_types(["bytea"])
        body = b"".join(block for (block,) in copy.rows())
    raw = np.frombuffer(body, dtype=[(name, kind if kind == "b1" else f">{kind}") for name, kind in columns])
    rows = raw.astype([(name, kind) for name, kind in columns])
    keys = [rows[name] for name, kind in columns if kind == "i8"]
    return rows[np.lexsort(keys[::-1])]


def _copy(query: sql.Composed, columns: Sequence[tuple[str, str | int]]) -> NDArray[Any]:
    """Run a query whose rows all have the same width, without NULL, and return them as one structured array.

    A column's kind is a numpy type, or the length of an array of double precision.
    """
    raw = np.dtype(_raw_fields(columns))
    with (
        connection.cursor() as cursor,
        cursor.copy(sql.SQL("COPY ({}) TO STDOUT (FORMAT BINARY)").format(query)) as copy,
    ):
        body = b"".join(copy)
    rows = np.frombuffer(
        body,
        dtype=raw,
        offset=_HEADER_BYTES,
        count=(len(body) - _HEADER_BYTES - _TRAILER_BYTES) // raw.itemsize,
    )
    native = [(name, (kind, ()) if isinstance(kind, str) else ("f8", (kind,))) for name, kind in columns]
    made = np.empty(len(rows), dtype=[(name, kind, shape) for name, (kind, shape) in native])
    for name, kind in columns:
        made[name] = rows[name] if isinstance(kind, str) else rows[name]["value"]
    return made


def _raw_fields(columns: Sequence[tuple[str, str | int]]) -> list[tuple[Any, ...]]:
    fields: list[tuple[Any, ...]] = [("_count", ">i2")]
    for name, kind in columns:
        fields.append((f"_{name}", ">i4"))
        if isinstance(kind, str):
            fields.append((name, kind if kind == "b1" else f">{kind}"))
        else:
            # An array's header (dimensions, flags, type, length, lower bound), then each element with its
            # width.
            fields.append((f"__{name}", "V20"))
            fields.append((name, [("width", ">i4"), ("value", ">f8")], (kind,)))
    return fields


def _split(rows: NDArray[Any], *keys: NDArray[Any]) -> list[NDArray[Any]]:
    """Split sorted rows where any of the keys changes."""
    if not len(rows):
        return []
    changes = np.zeros(len(rows) - 1, dtype=np.bool_)
    for key in keys:
        changes |= key[1:] != key[:-1]
    return np.split(rows, np.flatnonzero(changes) + 1)


def _on_grid(part: NDArray[Any], step: int, end: int) -> tuple[int | None, Floats, Floats]:
    """Lay rows on a grid from their first bin with data; gaps are NaN."""
    observed = part[~np.isnan(part["total"])]
    if not len(observed):
        return None, np.empty(0), np.empty(0)
    first = int(observed["at"][0])
    bins = max(1, math.ceil((end - first) / step))
    total, bad = np.full(bins, np.nan), np.full(bins, np.nan)
    where = (observed["at"] - first) // step
    total[where], bad[where] = observed["total"], observed["bad"]
    return first, total, bad
