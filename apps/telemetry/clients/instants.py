"""Reads timestamps: ISO 8601 or Unix seconds, and says in words what is wrong with any other."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime

#: Unix seconds that a bin may start at: 2000-01-01 to 2100-01-01.
EARLIEST = 946_684_800
LATEST = 4_102_444_800
#: What other programs count in, and by how much it has to be divided.
_FINER_UNITS = ((1_000, "milliseconds"), (1_000_000, "microseconds"), (1_000_000_000, "nanoseconds"))
_DAY_WITHOUT_DASHES = re.compile(r"(\d{4})(\d\d)(\d\d)")
_OFFSET = re.compile(r"[Tt ].*(?:[Zz]|[+-]\d\d.*)$")
_QUOTED_CHARACTERS = 40


def quoted(text: str) -> str:
    """A value as a message repeats it: in quotation marks, not too long."""
    return repr(text if len(text) <= _QUOTED_CHARACTERS else f"{text[:_QUOTED_CHARACTERS]}…")


def leaves_the_zone_open(text: str) -> bool | None:
    """Whether a date and time has no offset; ``None`` for what is no date, such as Unix seconds."""
    text = text.strip()
    if text.replace(".", "", 1).isdigit():
        return None
    return _OFFSET.search(text) is None


def parse_instant(text: str) -> int:
    """Read ISO 8601 or Unix seconds; without an offset it is UTC.

    Raises:
        ValueError: with the reason and what to do, in words.
    """
    text = text.strip()
    if not text:
        raise ValueError("is empty; write when the bin starts: 2026-11-01T00:00:00Z, or Unix seconds")
    try:
        seconds = float(text)
    except ValueError:
        seconds = _iso(text)
    else:
        if not math.isfinite(seconds):
            raise ValueError(f"{quoted(text)} is no instant; write ISO 8601 or Unix seconds")
        if "e" in text.lower():
            raise ValueError(
                f"{quoted(text)} was rounded by a spreadsheet; format the column as whole numbers "
                "or as text and export again"
            )
    if not EARLIEST <= seconds < LATEST:
        raise ValueError(f"{quoted(text)} is not between the years 2000 and 2100{_hint(text, seconds)}")
    if seconds != int(seconds):
        raise ValueError(f"{quoted(text)} is not a whole second; a bin starts on one")
    return int(seconds)


def _iso(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise ValueError(
            f"{quoted(text)} is neither ISO 8601 (2026-11-01T00:00:00Z) nor Unix seconds"
        ) from None


def _hint(text: str, seconds: float) -> str:
    for divisor, unit in _FINER_UNITS:
        if EARLIEST <= seconds / divisor < LATEST:
            return f"; these look like {unit}: divide by {divisor:,}"
    day = _DAY_WITHOUT_DASHES.fullmatch(text)
    if day:
        return f"; write a date with dashes: {'-'.join(day.groups())}"
    return "; write ISO 8601 or Unix seconds"
