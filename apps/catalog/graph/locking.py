"""One writer of the graph at a time: merging and cycles look at all of it."""

from __future__ import annotations

from django.db import connection

GRAPH_LOCK = 0x47524150
"""Key of the advisory lock; the letters GRAP."""


def lock_graph() -> None:
    """Wait until no other transaction changes the graph, and keep others out until this one ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [GRAPH_LOCK])
