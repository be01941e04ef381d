"""Instants as they are sent: dates and times in words, never bare numbers.

Pydantic takes a number for seconds or milliseconds since 1970, by its size: a slip of the pen would pass for a date.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated

from pydantic import AwareDatetime, BeforeValidator

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
