"""What autovacuum does within a minute, done now."""

from __future__ import annotations

import threading
from typing import Any

from django.db import connections

TRIES, PAUSE_S = 40, 0.25

_SEEN_BY_ALL = """
SELECT coalesce(bool_and(relallvisible >= relpages), true) FROM pg_class
WHERE oid = ANY(%(tables)s::regclass[])
    OR oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = ANY(%(tables)s::regclass[]))
"""


def vacuum(*tables: str) -> None:
    """Vacuum and analyze tables, as their owner: the application's role may not. Needs the database ``owner``.

    Rows count as seen by all only when nobody looks at the database as it was before them, as an analysis by
    autovacuum may for a moment: so it is tried again for a while.
    """
    names, pause = ", ".join(tables), threading.Event()
    with connections["owner"].cursor() as cursor:
        # A test's commits do not wait for the disk, and a vacuum takes only what has reached it for seen by all.
        cursor.execute("SET synchronous_commit TO on")
        cursor.execute(f"ANALYZE {names}")
        cursor.execute("RESET synchronous_commit")
        for _ in range(TRIES):
            cursor.execute(f"VACUUM {names}")
            if _are_seen_by_all(cursor, tables):
                break
            pause.wait(PAUSE_S)


def _are_seen_by_all(cursor: Any, tables: tuple[str, ...]) -> bool:
    cursor.execute(_SEEN_BY_ALL, {"tables": list(tables)})
    return bool(cursor.fetchone()[0])
