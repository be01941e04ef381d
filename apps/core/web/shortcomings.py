"""What this process currently lacks, for the notes above every page."""

from __future__ import annotations

from apps.core.database import storage
from apps.core.redis import watch as redis_watch


def shortcomings() -> list[str]:
    """Return one sentence for each part that is missing or full. Usually there is none."""
    found = []
    if redis_watch.is_silent():
        found.append(
            "Redis does not answer. Everything can be read and changed, but pages are slower, and new computations "
            "wait until Redis is back."
        )
    if storage.database_is_full():
        found.append(
            "The disk of PostgreSQL is full. Everything can be read; changes are refused until it has space."
        )
    if shortage := storage.shortage():
        found.append(f"Disk space is running out: {shortage}.")
    return found
