"""What the application's database role may do: read and write rows, own nothing, and only add to the audit trail."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import connections
from psycopg import sql

APPEND_ONLY_TABLES = ("core_auditentry",)


def grant_application_role(using: str, **kwargs: Any) -> None:
    """Grant the application's role its rights after a migration; does nothing where one role does both jobs.

    It runs after each app's migration and is idempotent, so a new table or a renamed role is covered at once.
    """
    application = settings.DATABASES["default"]["USER"]
    owner = settings.DATABASES["owner"]["USER"]
    if application == owner or using != "owner":
        return
    role = sql.Identifier(application)
    statements = [
        sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(role),
        sql.SQL("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {}").format(role),
        sql.SQL("GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {}").format(role),
        sql.SQL("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO {}").format(role),
    ]
    with connections[using].cursor() as cursor:
        tables = connections[using].introspection.table_names(cursor)
        statements += [
            sql.SQL("REVOKE UPDATE, DELETE, TRUNCATE ON {} FROM {}").format(sql.Identifier(table), role)
            for table in APPEND_ONLY_TABLES
            if table in tables
        ]
        for statement in statements:
            cursor.execute(statement)
