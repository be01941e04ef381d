"""A lock for the demo: a process that loads, extends or removes it holds an advisory lock of the database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

DEMO_LOCK = 0x44454D4F
"""The key of the advisory lock: the letters DEMO."""
WAIT_SECONDS = 300
"""Seconds that a command waits for another that loads. A first load takes some seconds."""


@contextmanager
def claimed(*, wait: bool) -> Iterator[bool]:
    """Hold the lock during the block. Without ``wait`` the value is false where another process holds it.

    Raises :class:`django.db.OperationalError` when another process kept it for :data:`WAIT_SECONDS`.
    """
    with connection.cursor() as cursor:
        if wait:
            cursor.execute("SELECT set_config('lock_timeout', %s, false)", [f"{WAIT_SECONDS}s"])
            try:
                cursor.execute("SELECT pg_advisory_lock(%s)", [DEMO_LOCK])
            finally:
                if not connection.needs_rollback:
                    cursor.execute("SELECT set_config('lock_timeout', '0', false)")
            is_mine = True
        else:
            cursor.execute("SELECT pg_try_advisory_lock(%s)", [DEMO_LOCK])
            is_mine = cursor.fetchone()[0]
    try:
        yield is_mine
    finally:
        if is_mine and not connection.needs_rollback:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [DEMO_LOCK])


def claim_until_commit() -> bool:
    """Take the lock until the running transaction ends, unless another process has it. Return whether it was taken."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [DEMO_LOCK])
        taken: bool = cursor.fetchone()[0]
    return taken
