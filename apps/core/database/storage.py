"""Errors for full disks and other resources that run out. They name what is full and what to do."""

from __future__ import annotations

import errno
import shutil
import time

from django.conf import settings
from psycopg import errors

from apps.core.errors import BallastError, DatabaseAway, StorageFull

FULL = (errno.ENOSPC, errno.EDQUOT)
REMEMBERED_SECONDS = 60.0
"""How long this process reports a full disk of the database after an error. It does not check for one."""

INSUFFICIENT_RESOURCES = "53"
"""The SQLSTATE class for memory, connections and other resources that run out."""
RETRY_LATER = {"Retry-After": "60"}

_met_at: float | None = None


def lacking(error: BaseException) -> BallastError | None:
    """Return the error for a resource that ran out, or ``None`` where ``error`` does not come from that."""
    global _met_at
    match error if isinstance(error, OSError) else error.__cause__:
        case OSError(errno=number) as found if number in FULL:
            where = f" It was needed for {found.filename}." if isinstance(found.filename, str) else ""
            return StorageFull(
                f"The disk for files of this console is full.{where} Nothing was changed. Whoever runs Ballast frees "
                "space in the data folder and the folder for temporary files.",
                headers=RETRY_LATER,
            )
        case errors.DiskFull() as found:
            _met_at = time.monotonic()
            return StorageFull(
                f"The disk of PostgreSQL is full ({_first_line(found)}). Nothing was changed, and what is stored can "
                "still be read. Whoever runs PostgreSQL gives it more space.",
                headers=RETRY_LATER,
            )
        case errors.ConfigurationLimitExceeded() as found:
            return DatabaseAway(
                f"A limit of PostgreSQL is reached ({_first_line(found)}). Ask for less, or have whoever runs "
                "PostgreSQL raise the limit.",
                headers=RETRY_LATER,
            )
        case errors.Error(sqlstate=str(state)) as found if state.startswith(INSUFFICIENT_RESOURCES):
            return DatabaseAway(
                f"PostgreSQL has too little to spare ({_first_line(found)}). Nothing was changed. Try again in a "
                "moment; whoever runs PostgreSQL gives it more memory or connections.",
                headers={"Retry-After": "5"},
            )
    return None


def _first_line(error: errors.Error) -> str:
    text = error.diag.message_primary or str(error)
    return text.strip().splitlines()[0].rstrip(".") if text.strip() else "no reason was given"


def free_bytes() -> int | None:
    """Return the free bytes on the disk of the data folder; ``None`` where they cannot be read."""
    try:
        return shutil.disk_usage(settings.DATA_DIR).free
    except OSError:
        return None


def shortage() -> str:
    """Return a text on the little space left in the data folder; empty while it is enough."""
    free = free_bytes()
    least = settings.DATA_DIR_MIN_FREE_BYTES
    if free is None or free >= least:
        return ""
    return f"only {free:,} bytes are free in the data folder; the warning starts below {least:,}"


def why_perhaps() -> str:
    """Return a sentence on a full disk where it may be why the embedded database does not answer; else nothing."""
    if not settings.EMBEDDED_POSTGRES or not (found := shortage()):
        return ""
    return f" Its disk may be full: {found}. Whoever runs Ballast frees space there."


def database_is_full() -> bool:
    """Return whether this process met a full disk of PostgreSQL within the last minute."""
    return _met_at is not None and time.monotonic() - _met_at < REMEMBERED_SECONDS
