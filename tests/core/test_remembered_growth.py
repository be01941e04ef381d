"""Marks stay few, whatever transactions of others are open for however long."""

from __future__ import annotations

import psycopg
import pytest
from django.db import connection, connections
from django.db.migrations.executor import MigrationExecutor

from apps.core.database.audit_proofs import note_key
from tests.core.test_remembered import ADD, others

__all__ = ["others"]

pytestmark = pytest.mark.django_db(transaction=True)
CHANGES = 300
FOREIGN = {
    "an old snapshot": ["BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT count(*) FROM accounts_team"],
    "a transaction that wrote elsewhere": ["BEGIN", "SELECT pg_current_xact_id()"],
    "a transaction that changed the same table": ["BEGIN", ADD],
}


def marks() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM core_tablechange WHERE table_name = 'accounts_team'")
        return int(cursor.fetchone()[0])


@pytest.mark.parametrize("foreign", FOREIGN)
def test_a_long_foreign_transaction_does_not_make_marks_pile_up(
    others: list[psycopg.Connection], foreign: str
) -> None:
    for statement in FOREIGN[foreign]:
        others[0].execute(statement)
    for number in range(CHANGES):
        others[1 + number % 3].execute(ADD)
    assert marks() <= 2  # the newest, and one that the foreign transaction is about to take away
    others[0].execute("COMMIT")
    others[1].execute(ADD)
    assert marks() == 1


def test_transactions_at_once_leave_a_mark_each_until_the_next(others: list[psycopg.Connection]) -> None:
    for other in others:
        other.execute("BEGIN")
        other.execute(ADD)
        other.execute(ADD)
    for other in others:
        other.execute("COMMIT")
    assert marks() >= len(others)
    others[0].execute(ADD)
    assert marks() == 1


def test_dead_marks_are_vacuumed_soon() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT reloptions FROM pg_class WHERE oid = 'core_tablechange'::regclass")
        (options,) = cursor.fetchone()
    assert {"autovacuum_vacuum_threshold=200", "autovacuum_vacuum_scale_factor=0"} <= set(options)


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_the_migration_goes_back_and_forth() -> None:
    def rule() -> str:
        with connection.cursor() as cursor:
            cursor.execute("SELECT prosrc FROM pg_proc WHERE proname = 'core_mark_change'")
            return str(cursor.fetchone()[0])

    newest = rule()
    try:
        MigrationExecutor(connections["owner"]).migrate([("core", "0009_schedule_slots_are_runs")])
        assert "pg_snapshot_xmin" in rule()
    finally:
        forward = MigrationExecutor(connections["owner"])
        forward.migrate(forward.loader.graph.leaf_nodes("core"))
        note_key()
    assert rule() == newest
