"""Readings and ingestions of the time before runs become runs, and go back to what they were."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections
from django.db.migrations.executor import MigrationExecutor

from apps.core.database.audit_proofs import note_key

BEFORE = [("telemetry", "0006_stored_configuration"), ("catalog", "0002_redundancy_needed")]

READING = """
INSERT INTO telemetry_telemetryrun (id, kind, source, state, parameters, window_start, requested_by_name, origin,
    progress_done, progress_total, summary, warnings, errors, error_count, attempts, started_at, finished_at)
VALUES (uuidv7(), %s, 'prometheus', %s, '{"days": 3}', '2026-01-01', 'sam', 'demo', 3, 7, '{"hours": 9}', '["w"]',
    '[{"reason": "r"}]', 4, 2, '2026-01-02', %s)
"""
INGESTION = """
INSERT INTO catalog_ingestion (id, discovery_source, state, parts_expected, parts_received, requested_by_name, origin,
    summary, errors, error_count, rows_total, rows_done, attempts, finished_at)
VALUES (uuidv7(), 'manual', %s, 2, 1, 'olga', '', '{"cycles": 0}', '[{"message": "m"}]', 1, 12, 5, 1, %s)
"""
OVER = "2026-01-03"


def migrate(targets: list[tuple[str, str]]) -> None:
    MigrationExecutor(connections["owner"]).migrate(targets)
    note_key()  # Going back drops the table that holds it.


def newest() -> list[tuple[str, str]]:
    leaves = MigrationExecutor(connections["owner"]).loader.graph.leaf_nodes()
    return [(app, name) for app, name in leaves]


def rows(query: str) -> list[Any]:
    with connections["owner"].cursor() as cursor:
        cursor.execute(query)
        return list(cursor.fetchall())


def contents(table: str) -> list[dict[str, Any]]:
    """Every row of a table."""
    return [json.loads(row) for (row,) in rows(f"SELECT to_jsonb(t)::text FROM {table} t ORDER BY id")]


def columns(table: str) -> list[Any]:
    """The table as the database describes it."""
    return rows(
        "SELECT column_name, data_type, is_nullable, column_default FROM information_schema.columns"
        f" WHERE table_name = '{table}' ORDER BY 1"
    )


@pytest.fixture
def earlier(transactional_db: None) -> Iterator[None]:
    """A database as it was before; it is brought up to now afterwards."""
    now = newest()
    migrate(BEFORE)
    yield
    migrate(now)


@pytest.mark.django_db(databases=["default", "owner"], transaction=True)
def test_nothing_is_lost_either_way(earlier: None) -> None:
    with connections["owner"].cursor() as cursor:
        for kind, state, over in (
            ("backfill", "completed", OVER),
            ("import", "failed", OVER),
            ("survey", "pending", None),
            ("collection", "running", None),
        ):
            cursor.execute(READING, [kind, state, over])
        for state, ended in (
            ("receiving", None),
            ("pending", None),
            ("completed", OVER),
            ("abandoned", OVER),
            ("running", None),
        ):
            cursor.execute(INGESTION, [state, ended])
    tables = ("telemetry_telemetryrun", "catalog_ingestion")
    described = {table: columns(table) for table in tables}
    kept = {table: contents(table) for table in tables}

    migrate(newest())
    found = rows("SELECT kind, state, requested_by_name, attempts FROM core_run ORDER BY id")
    assert found == [
        ("telemetry.backfill", "completed", "sam", 2),
        ("telemetry.import", "failed", "sam", 2),
        ("telemetry.survey", "pending", "sam", 2),
        ("telemetry.collection", "pending", "sam", 0),
        ("catalog.ingest", "preparing", "olga", 1),
        ("catalog.ingest", "pending", "olga", 1),
        ("catalog.ingest", "completed", "olga", 1),
        ("catalog.ingest", "cancelled", "olga", 1),
        ("catalog.ingest", "pending", "olga", 0),
    ]
    assert rows("SELECT count(*) FROM telemetry_telemetryrun t JOIN core_run r ON r.id = t.run_id") == [(4,)]
    assert rows("SELECT count(*) FROM catalog_ingestion i JOIN core_run r ON r.id = i.run_id") == [(5,)]

    migrate(BEFORE)
    assert rows("SELECT count(*) FROM core_run") == [(0,)]
    assert {table: columns(table) for table in tables} == described
    for table in tables:
        # What was under way waits again with all its attempts, for no worker holds it any more.
        for row in kept[table]:
            if row["state"] == "running":
                row["state"], row["attempts"] = "pending", 0
        assert contents(table) == kept[table]
    with connections["owner"].cursor() as cursor:
        for table in tables:
            cursor.execute(f"DELETE FROM {table}")
