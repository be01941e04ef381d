"""What autovacuum does within a minute, done now."""

from __future__ import annotations

from django.db import connections


def vacuum(*tables: str) -> None:
    """Vacuum and analyze tables, as their owner: the application's role may not. Needs the database ``owner``."""
    names = ", ".join(tables)
    with connections["owner"].cursor() as cursor:
        # A test's commits do not wait for the disk, and a vacuum takes only what has reached it for seen by all.
        cursor.execute("SET synchronous_commit TO on")
        cursor.execute(f"ANALYZE {names}")
        cursor.execute("RESET synchronous_commit")
        cursor.execute(f"VACUUM {names}")
