"""Reads timestamps, ISO 8601 or Unix seconds, and says in words what is wrong with any other text."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime

#: Unix seconds that a bin may start at: 2000-01-01 to 2100-01-01.
EARLIEST = 946_684_800
LATEST = 4_102_444_800
#: Units of other programs: how many of them make a second, and their name.
_FINER_UNITS = ((1_000, "milliseconds"), (1_000_000, "microseconds"), (1_000_000_000, "nanoseconds"))
_DAY_WITHOUT_DASHES = re.compile(r"(\d{4})(\d\d)(\d\d)")
#: Dates with or without a time, in both notations of ISO 8601. Python's own parser takes any character between the
#: two, so that the offset of a date (2026-11-01-05:00) would pass for a time of day.
_ISO = re.compile(r"(?:\d{4}-\d\d-\d\d|\d{8}|\d{4}-?W\d\d(?:-?\d)?)(?:[Tt ].*)?", re.ASCII)
_DATE_AND_OFFSET = re.compile(r"(\d{4}-\d\d-\d\d)((?:[+-]\d\d:?\d\d)|[Zz])", re.ASCII)
_OTHER_DATE = re.compile(r"(\d{1,2})([./-])(\d{1,2})\2(\d{4})(.*)", re.ASCII)
_SLASHES = re.compile(r"(\d{4})[/.](\d{1,2})[/.](\d{1,2})(.*)", re.ASCII)
_AM_OR_PM = re.compile(r".*\d\s*[ap]\.?m\.?", re.IGNORECASE)
_ZONE_NAME = re.compile(r"(.*\d)\s*([A-Za-z]{2,}(?:/\w+)?(?:[+-]\d+)?)", re.ASCII)
#: Spreadsheets count days since 1900: these are their numbers for 2000 and 2100.
_SPREADSHEET_DAYS = (36_526, 73_051)
_OFFSET = re.compile(r"[Tt ].*(?:[Zz]|[+-]\d\d.*)$")
_QUOTED_CHARACTERS = 40


def quoted(text: str) -> str:
    """Return a value as a message repeats it: in quotation marks, and cut if it is long."""
    return repr(text if len(text) <= _QUOTED_CHARACTERS else f"{text[:_QUOTED_CHARACTERS]}…")


def leaves_the_zone_open(text: str) -> bool | None:
    """Return whether a date and time has no offset; ``None`` for a text that is no date, such as Unix seconds."""
    text = text.strip()
    if text.replace(".", "", 1).isdigit():
        return None
    return _OFFSET.search(text) is None


def parse_instant(text: str) -> int:
    """Read ISO 8601 or Unix seconds, and return Unix seconds. A time without an offset is taken as UTC.

    Raises:
        ValueError: with the reason and what to do, in words.
    """
    text = text.strip()
    if not text:
        raise ValueError("is empty; write when the bin starts: 2026-11-01T00:00:00Z, or Unix seconds")
    if not are_ascii_digits(text):
        raise ValueError(f"{quoted(text)} is no instant; write it in the digits 0 to 9, without underscores")
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


def are_ascii_digits(text: str) -> bool:
    """Return whether a text has no digits of other scripts and no underscores, which Python takes as separators."""
    return "_" not in text and (
        text.isascii() or not any(one.isdigit() and not one.isascii() for one in text)
    )


def _iso(text: str) -> float:
    try:
        if _ISO.fullmatch(text):
            moment = datetime.fromisoformat(text.upper())
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        pass
    raise ValueError(
        f"{quoted(text)} is neither ISO 8601 (2026-11-01T00:00:00Z) nor Unix seconds{_meant(text)}"
    )


def _meant(text: str) -> str:
    """Return what to write instead of a date in another notation, or an empty string."""
    if found := _DATE_AND_OFFSET.fullmatch(text):
        return f": write {found[1]}T00:00:00{found[2]}"
    if found := _OTHER_DATE.fullmatch(text):
        if found[2] == "." or int(found[1]) > 12:
            return f": write {_day(found[4], found[3], found[1])}{found[5]}"
        return f": write the year first, as in {found[4]}-mm-dd{found[5]}"
    if found := _SLASHES.fullmatch(text):
        return f": write {_day(found[1], found[2], found[3])}{found[4]}"
    if _AM_OR_PM.fullmatch(text):
        return ": write hours from 00 to 23"
    if "24:00" in text:
        return ": write 00:00 of the next day"
    if text.rstrip("Zz").endswith(":60"):
        return ": a leap second has no bin of its own; write the second 59"
    zone = _ZONE_NAME.fullmatch(text)
    if zone and not text[0].isalpha() and zone[2].upper() != "Z":
        return f": write the offset in place of {zone[2]}, Z or +00:00 for UTC"
    return ""


def _day(year: str, month: str, day: str) -> str:
    return f"{year}-{int(month):02}-{int(day):02}"


def _hint(text: str, seconds: float) -> str:
    for divisor, unit in _FINER_UNITS:
        if EARLIEST <= seconds / divisor < LATEST:
            return f"; these look like {unit}: divide by {divisor:,}"
    day = _DAY_WITHOUT_DASHES.fullmatch(text)
    if day:
        return f"; write a date with dashes: {'-'.join(day.groups())}"
    if _SPREADSHEET_DAYS[0] <= seconds < _SPREADSHEET_DAYS[1]:
        return "; this looks like the days that a spreadsheet counts: format the column as text in ISO 8601"
    return "; write ISO 8601 or Unix seconds"
