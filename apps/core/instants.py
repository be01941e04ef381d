"""The time: what it is now, by the one clock that decides, and instants as they are sent.

The clock of PostgreSQL decides every lease, slot and expiry, because all processes share it; a machine's own clock may
jump. How far a machine's clock is off is measured by :func:`skew`.

Instants are sent as dates and times in words, never as bare numbers. Pydantic takes a number for seconds or
milliseconds since 1970, by its size: a slip of the pen would pass for a date.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated

from django.db import connection
from pydantic import AwareDatetime, BeforeValidator

type Clock = Callable[[], datetime]


def _database_clock() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        moment: datetime = cursor.fetchone()[0]
    return moment.astimezone(UTC)


def _machine_clock() -> datetime:
    return datetime.now(UTC)


_clock: Clock = _database_clock
_own_clock: Clock = _machine_clock


def now() -> datetime:
    """Return the database's time. Costs a round trip; raises :class:`django.db.DatabaseError` without a database."""
    return _clock()


def skew(database: Clock | None = None) -> timedelta:
    """Return how far this machine's clock is ahead of the database's; negative where it is behind."""
    before = _own_clock()
    there = (database or _clock)()
    after = _own_clock()
    return before + (after - before) / 2 - there


@contextmanager
def clocks(*, database: Clock | None = None, machine: Clock | None = None) -> Iterator[None]:
    """Go by other clocks inside the block: how tests make time pass and clocks jump."""
    global _clock, _own_clock
    kept = _clock, _own_clock
    _clock, _own_clock = database or _clock, machine or _own_clock
    try:
        yield
    finally:
        _clock, _own_clock = kept


def whole_hour(moment: datetime) -> datetime:
    """Return the beginning of the hour that an instant lies in, in UTC."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


_NUMBER = re.compile(r"\s*[+-]?[0-9.]+(e[+-]?[0-9]+)?\s*", re.IGNORECASE)


def no_bare_number(value: object) -> object:
    """Refuse a number, written as one or as text, and say what to write."""
    if isinstance(value, (int, float)) or (isinstance(value, str) and _NUMBER.fullmatch(value)):
        raise ValueError("A bare number is no date: write it as in 2026-11-21T12:00:00Z.")
    return value


Instant = Annotated[datetime, BeforeValidator(no_bare_number)]
"""With a time zone or without."""
AwareInstant = Annotated[AwareDatetime, BeforeValidator(no_bare_number)]
"""With a time zone."""
