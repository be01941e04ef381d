"""Apply pending migrations: cheap when nothing is pending, and only once when several processes try."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TextIO

from django.apps import apps
from django.core.management import call_command
from django.db import connections

from apps.core.database import grants

# The migrating process holds it. Others wait and then find nothing to do.
MIGRATION_LOCK = 0x4D494752


def on_disk() -> set[tuple[str, str]]:
    """Return (app label, migration name) of every migration in the code, without importing any."""
    found = set()
    for config in apps.get_app_configs():
        for path in (Path(config.path) / "migrations").glob("[!_]*.py"):
            found.add((config.label, path.stem))
    return found


def pending(alias: str = "owner") -> set[tuple[str, str]]:
    """Return the migrations in the code that the database ``alias`` lacks."""
    connection = connections[alias]
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('django_migrations') IS NOT NULL")
        row = cursor.fetchone()
        if not (row and row[0]):
            return on_disk()
        cursor.execute("SELECT app, name FROM django_migrations")
        return on_disk() - set(cursor.fetchall())


def apply_pending(*, out: TextIO | None = None) -> int:
    """Apply pending migrations as the owner. Return how many there were, and write that to ``out``."""
    if not pending():
        grants.ensure()
        connections["owner"].close()
        return 0
    with connections["owner"].cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [MIGRATION_LOCK])
        try:
            count = len(pending())
            if count:
                call_command("migrate", database="owner", interactive=False, verbosity=0, stdout=sys.stderr)
                (out or sys.stderr).write(f"Applied {count} pending migrations.\n")
            grants.ensure()
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [MIGRATION_LOCK])
    connections["owner"].close()
    return count
