"""The rights of the application's database role: it reads and writes rows and owns nothing.

It cannot create tables, and to the audit trail it can only add.

Where one role does both jobs, it owns the tables and can change all of this. The triggers remain, but they stop
mistakes, not intent. docs/operations.md explains this to operators.
"""

from __future__ import annotations

from typing import Any

import structlog
from django.conf import settings
from django.db import connections, transaction
from psycopg import sql

from apps.core.database.audit_proofs import note_key

logger = structlog.get_logger(__name__)

APPEND_ONLY_TABLES = ("core_auditentry",)
READ_ONLY_TABLES = ("django_migrations",)
HIDDEN_TABLES = ("core_auditkey",)

# Where one of these is true, the role holds more rights than it should.
_DATABASE_CHECKS = {
    "make temporary tables": "has_database_privilege(%(role)s, current_database(), 'TEMPORARY')",
    "make schemas": "has_database_privilege(%(role)s, current_database(), 'CREATE')",
    "make tables": "has_schema_privilege(%(role)s, 'public', 'CREATE')",
}


def is_one_role() -> bool:
    """Return whether the application signs in as the owner of the tables."""
    return bool(settings.DATABASES["default"]["USER"] == settings.DATABASES["owner"]["USER"])


def excess(using: str = "owner") -> list[str]:
    """Return what the application's role can do but should not, each as a verb with its object."""
    role = settings.DATABASES["default"]["USER"]
    found = []
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = %s)", [role])
        if not cursor.fetchone()[0]:
            return []
        for words, check in _DATABASE_CHECKS.items():
            cursor.execute(f"SELECT {check}", {"role": role})
            if cursor.fetchone()[0]:
                found.append(words)
        for table, rights in _forbidden().items():
            cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [f"public.{table}"])
            if not cursor.fetchone()[0]:
                continue
            cursor.execute("SELECT has_table_privilege(%s, %s, %s)", [role, f"public.{table}", rights])
            if cursor.fetchone()[0]:
                found.append(f"{'read' if table in HIDDEN_TABLES else 'change'} {table}")
    return found


def _forbidden() -> dict[str, str]:
    return (
        dict.fromkeys(APPEND_ONLY_TABLES, "UPDATE, DELETE, TRUNCATE")
        | dict.fromkeys(READ_ONLY_TABLES, "INSERT, UPDATE, DELETE, TRUNCATE")
        | dict.fromkeys(HIDDEN_TABLES, "SELECT, INSERT, UPDATE, DELETE, TRUNCATE")
    )


def grant_application_role(using: str, **kwargs: Any) -> None:
    """Grant the application's role its rights after a migration. Does nothing where one role does both jobs.

    It runs after each app's migration and is idempotent, so it covers a new table or a renamed role at once.
    """
    if using != "owner":
        return
    if not is_one_role():
        grant(using)
    note_key(using)


def grant(using: str = "owner") -> None:
    """Grant the application's role its rights and take away all others, in one transaction."""
    role = sql.Identifier(settings.DATABASES["default"]["USER"])
    connection = connections[using]
    with transaction.atomic(using), connection.cursor() as cursor:
        # Two grants at once would update the same rows of the catalog, and one of them would fail.
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('core_grants'))")
        cursor.execute("SELECT current_database()")
        database = sql.Identifier(cursor.fetchone()[0])
        statements = [
            sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(role),
            sql.SQL("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {}").format(role),
            sql.SQL("GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {}").format(role),
            sql.SQL("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO {}").format(role),
            # Only the owner of the database can do these; for anybody else they are warnings that change nothing.
            sql.SQL("REVOKE CREATE, TEMPORARY ON DATABASE {} FROM PUBLIC, {}").format(database, role),
            sql.SQL("REVOKE CREATE ON SCHEMA public FROM PUBLIC, {}").format(role),
        ]
        tables = connection.introspection.table_names(cursor)
        statements += [
            sql.SQL("REVOKE {} ON {} FROM {}").format(sql.SQL(rights), sql.Identifier(table), role)
            for table, rights in _forbidden().items()
            if table in tables
        ]
        cursor.execute(
            "SELECT pg_has_role(datdba, 'USAGE') FROM pg_database WHERE datname = current_database()"
        )
        if cursor.fetchone()[0]:
            # A name without a schema must mean our table, whatever else exists. It applies to new sessions.
            statements.append(sql.SQL("ALTER DATABASE {} SET search_path = public, pg_temp").format(database))
        for statement in statements:
            cursor.execute(statement)


def ensure() -> None:
    """Narrow the application's rights where they are too wide, as after a restore. Log what it cannot correct.

    Notes the key of audit entries, too, which may be new.
    """
    note_key()
    if is_one_role():
        logger.warning(
            "database.one_role",
            message="DATABASE_URL and DATABASE_OWNER_URL name the same role. It owns the tables, so only their "
            "triggers protect the audit trail. docs/operations.md says how to make two.",
        )
        return
    if not excess():
        return
    grant()
    if left := excess():
        logger.warning(
            "database.rights",
            message=f"The application's role may {', '.join(left)}. Whoever owns the database takes that away; "
            "docs/operations.md has the statements.",
        )
