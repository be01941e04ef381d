"""A lock for the demo: a process that loads, extends or removes it holds an advisory lock of the database."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from apps.core.errors import Conflict

DEMO_LOCK = 0x44454D4F
"""The key of the advisory lock: the letters DEMO."""
WAIT_SECONDS = 300.0
"""How long a process waits for another that loads. A first load takes some seconds."""
POLL_SECONDS = 0.1


@contextmanager
def claimed() -> Iterator[None]:
    """Hold the lock during the block.

    Raises :class:`Conflict` when another process kept it for :data:`WAIT_SECONDS`.
    """
    until = time.monotonic() + WAIT_SECONDS
    while not _taken("pg_try_advisory_lock"):
        if time.monotonic() >= until:
            raise Conflict(
                f"Another process has been loading, extending or removing the demo for {WAIT_SECONDS / 60:.0f} minutes."
                " End it, and try again."
            )
        time.sleep(POLL_SECONDS)
    try:
        yield
    finally:
        if not connection.needs_rollback:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [DEMO_LOCK])


def claim_until_commit() -> bool:
    """Take the lock until the running transaction ends, unless another process has it. Return whether it was taken."""
    return _taken("pg_try_advisory_xact_lock")


def _taken(function: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {function}(%s)", [DEMO_LOCK])
        taken: bool = cursor.fetchone()[0]
    return taken
