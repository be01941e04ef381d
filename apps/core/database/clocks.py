"""Compare this machine's clock with the database's, which is the one that decides."""

from __future__ import annotations

from datetime import timedelta

import structlog

from apps.core import instants
from apps.core.instants import Clock

logger = structlog.get_logger(__name__)

TOLERATED = timedelta(seconds=5)
"""A smaller difference comes from the round trip and from a clock's drift between two corrections."""

_was_off = False


def difference(database: Clock | None = None) -> str:
    """Return by how much this machine's clock is off, in words; empty where it is right.

    ``database`` returns the database's time where the usual connection is not used for it.
    """
    off = instants.skew(database)
    if abs(off) <= TOLERATED:
        return ""
    side = "ahead of" if off > timedelta(0) else "behind"
    return f"this machine's clock is {_amount(abs(off))} {side} the database's"


def watch() -> None:
    """Log when this machine's clock becomes wrong and when it is right again."""
    global _was_off
    off = difference()
    if off:
        logger.warning("clock.off", difference=off)
    elif _was_off:
        logger.info("clock.right_again")
    _was_off = bool(off)


def _amount(off: timedelta) -> str:
    seconds = round(off.total_seconds())
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size or (seconds >= size and seconds % size == 0):
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds} s"
