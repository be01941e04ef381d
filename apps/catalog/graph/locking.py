"""Allows one writer of the graph at a time, because merging and cycles read the whole graph."""

from __future__ import annotations

from django.db import connection

GRAPH_LOCK = 0x47524150
"""The key of the advisory lock: the letters GRAP."""


def lock_graph() -> None:
    """Wait until no other transaction changes the graph, and keep others out until this one ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [GRAPH_LOCK])
