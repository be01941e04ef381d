"""The time by the one clock that decides, and the instants that clients send.

The clock of PostgreSQL decides every lease, slot and expiry, because all processes share it; a machine's own clock may
jump. :func:`skew` measures how far a machine's clock is off.

Instants are sent in ISO 8601, never as bare numbers. Pydantic takes a number for seconds or milliseconds since 1970,
depending on its size, so a typing error would pass for a date.
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
    """Return the database's time. Costs a round trip. Raises :class:`django.db.DatabaseError` without a database."""
    return _clock()


def skew(database: Clock | None = None) -> timedelta:
    """Return how far this machine's clock is ahead of the database's; negative where it is behind."""
    before = _own_clock()
    there = (database or _clock)()
    after = _own_clock()
    return before + (after - before) / 2 - there


@contextmanager
def clocks(*, database: Clock | None = None, machine: Clock | None = None) -> Iterator[None]:
    """Use other clocks inside the block. Tests make time pass and clocks jump with it."""
    global _clock, _own_clock
    kept = _clock, _own_clock
    _clock, _own_clock = database or _clock, machine or _own_clock
    try:
        yield
    finally:
        _clock, _own_clock = kept


def whole_hour(moment: datetime) -> datetime:
    """Return the start of the hour that contains an instant, in UTC."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


_NUMBER = re.compile(r"\s*[+-]?[0-9.]+(e[+-]?[0-9]+)?\s*", re.IGNORECASE)


def no_bare_number(value: object) -> object:
    """Refuse a number, even one written as text, and say what to write instead."""
    if isinstance(value, (int, float)) or (isinstance(value, str) and _NUMBER.fullmatch(value)):
        raise ValueError("A bare number is no date: write it as in 2026-11-21T12:00:00Z.")
    return value


Instant = Annotated[datetime, BeforeValidator(no_bare_number)]
"""An instant with or without a time zone."""
AwareInstant = Annotated[AwareDatetime, BeforeValidator(no_bare_number)]
"""An instant with a time zone."""
