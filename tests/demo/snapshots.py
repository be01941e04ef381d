"""What tests do to the demo, and look at: the command, a removal, all that is stored."""

from __future__ import annotations

from io import StringIO
from typing import Any

from django.core.management import call_command
from django.db import connection

from apps.core.actions import Actor
from apps.core.dispatcher import dispatch

# What is written for good, or for the moment.
KEPT_TABLES = {
    "core_auditentry",
    "core_auditkey",  # which the application's role may not read
    "core_outboxevent",
    "core_outboxdelivery",
    "django_migrations",
    "core_idempotencykey",
    "core_tablechange",
}


def everything() -> dict[str, list[str]]:
    """All rows of all tables that the demo must not leave a trace in."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition"
            " AND relnamespace = 'public'::regnamespace ORDER BY 1"
        )
        tables = [name for (name,) in cursor.fetchall() if name not in KEPT_TABLES]
        rows = {}
        for table in tables:
            cursor.execute(f'SELECT t::text FROM "{table}" t ORDER BY 1')
            rows[table] = [text for (text,) in cursor.fetchall()]
    return rows


def remove(actor: Actor | None = None) -> dict[str, Any]:
    return dispatch("demo.remove", {}, actor=actor or Actor.system("test")).value


def demo(*arguments: str) -> tuple[str, str]:
    """Run the command; returns what it wrote to stdout and to stderr."""
    out, err = StringIO(), StringIO()
    call_command("demo", *arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()
