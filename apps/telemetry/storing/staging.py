"""Stages rows: they go to scratch tables in PostgreSQL's binary format, and from there into the aggregates.

This module is for workers and commands, because it needs numpy. The tables belong to the connection; :func:`staged`
creates and drops them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from django.db import connection
from numpy.typing import NDArray

from apps.core.database import scratch

type Column = NDArray[Any]

_BINARY_HEADER = b"PGCOPY\n\xff\r\n\x00" + struct.pack("!ii", 0, 0)
_BINARY_TRAILER = struct.pack("!h", -1)

#: PostgreSQL's width and numpy's big-endian type for each kind of column.
_KINDS: dict[str, tuple[int, str]] = {
    "bigint": (8, ">i8"),
    "integer": (4, ">i4"),
    "double precision": (8, ">f8"),
    "boolean": (1, "u1"),
}

TABLES: dict[str, dict[str, str]] = {
    # Counts and percentiles of bins. `observed` is the seconds that the counts cover, 0 without counts.
    "stage_sli": {
        "key": "integer",
        "at": "bigint",
        "step": "integer",
        "observed": "integer",
        "total": "double precision",
        "bad": "double precision",
        "p50": "double precision",
        "p95": "double precision",
        "p99": "double precision",
        "is_partial": "boolean",
        "is_implausible": "boolean",
    },
    "stage_edge": {
        "source": "integer",
        "target": "integer",
        "at": "bigint",
        "observed": "integer",
        "total": "double precision",
        "bad": "double precision",
        "is_partial": "boolean",
    },
    "stage_bucket": {
        "key": "integer",
        "at": "bigint",
        "le": "double precision",
        "count": "double precision",
        "line": "bigint",
        "is_partial": "boolean",
    },
    # The services of the keys above, filled in when the services exist.
    "stage_service": {"key": "integer", "service_id": "bigint"},
}


@contextmanager
def staged() -> Iterator[None]:
    """Provide empty staging tables on this connection until the block ends."""
    with connection.cursor() as cursor:
        for table, columns in TABLES.items():
            scratch.make(cursor, table, columns, is_required=True)
    try:
        yield
    finally:
        if not connection.needs_rollback:
            with connection.cursor() as cursor:
                for table in TABLES:
                    scratch.drop(cursor, table)


def clear() -> None:
    """Empty the staging tables for the next batch."""
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE " + ", ".join(f"pg_temp.{table}" for table in TABLES))


def put(table: str, **columns: Column | float | bool) -> int:
    """Append rows to a staging table.

    Parameters:
        columns: an array for each column of the table, or one value for all rows; flags default to false.

    Returns:
        The number of rows.
    """
    kinds = TABLES[table]
    length = max(len(column) for column in columns.values() if isinstance(column, np.ndarray))
    if not length:
        return 0
    fields: list[tuple[str, str]] = [("count", ">i2")]
    for number, kind in enumerate(kinds.values()):
        fields += [(f"width{number}", ">i4"), (f"value{number}", _KINDS[kind][1])]
    rows = np.empty(length, dtype=np.dtype(fields))
    rows["count"] = len(kinds)
    for number, (name, kind) in enumerate(kinds.items()):
        rows[f"width{number}"] = _KINDS[kind][0]
        rows[f"value{number}"] = columns.get(name, False) if kind == "boolean" else columns[name]
    names = ", ".join(f'"{name}"' for name in kinds)
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY pg_temp.{table} ({names}) FROM STDIN (FORMAT BINARY)") as copy,
    ):
        copy.write(_BINARY_HEADER)
        copy.write(rows.tobytes())
        copy.write(_BINARY_TRAILER)
    return length


def put_services(keys: Sequence[int], pks: Sequence[int]) -> None:
    """Stage the service of each key."""
    put("stage_service", key=np.array(keys, dtype=np.int64), service_id=np.array(pks, dtype=np.int64))
