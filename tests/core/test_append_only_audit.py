"""The audit trail can only grow, whoever tries."""

from __future__ import annotations

import pytest
from django.db import DatabaseError, connections, transaction
from psycopg.errors import InsufficientPrivilege

from apps.core.database.grants import APPEND_ONLY_TABLES
from apps.core.models import AuditEntry

pytestmark = pytest.mark.django_db(databases=["default", "owner"])

EDITS = [
    "UPDATE core_auditentry SET rationale = 'better'",
    "DELETE FROM core_auditentry",
    "TRUNCATE core_auditentry",
]


def refusal(alias: str, statement: str) -> str:
    """Add an entry, try the statement on it, and return what the database says."""
    with connections[alias].cursor() as cursor:
        AuditEntry.objects.using(alias).create(
            action="a", actor_name="system: b", source="task", object_type="c", object_id="d"
        )
        cursor.execute(
            "SET CONSTRAINTS ALL IMMEDIATE"
        )  # else TRUNCATE stops at the pending check, not at ours
        with pytest.raises(DatabaseError) as error, transaction.atomic(using=alias):
            cursor.execute(statement)
        assert isinstance(error.value.__cause__, InsufficientPrivilege)
        cursor.execute("SELECT rationale FROM core_auditentry")
        assert cursor.fetchall() == [("",)]
    return str(error.value)


@pytest.mark.parametrize("statement", EDITS)
def test_the_application_has_no_right_to_edit(statement: str) -> None:
    assert "permission denied" in refusal("default", statement)


@pytest.mark.parametrize("statement", EDITS)
def test_the_owner_is_stopped_by_the_trigger(statement: str) -> None:
    assert "append-only" in refusal("owner", statement)


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE core_auditentry DISABLE TRIGGER ALL",
        "DROP TRIGGER core_auditentry_append_only ON core_auditentry",
        "DROP TABLE core_auditentry",
        "SET session_replication_role = replica",
    ],
)
def test_the_application_cannot_take_the_protection_away(statement: str) -> None:
    with connections["default"].cursor() as cursor, pytest.raises(DatabaseError) as error:
        cursor.execute(statement)
    assert isinstance(error.value.__cause__, InsufficientPrivilege)


def test_the_application_owns_no_table() -> None:
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE tableowner = current_user")
        assert cursor.fetchall() == []
    assert "core_auditentry" in APPEND_ONLY_TABLES
