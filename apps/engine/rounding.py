"""Numbers of the document: rounded to the digits that mean something, never ``nan``."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import overload

RATIO_DIGITS = 10


@overload
def ratio(value: float) -> float: ...
@overload
def ratio(value: None) -> None: ...
@overload
def ratio(value: float | None) -> float | None: ...
def ratio(value: float | None) -> float | None:
    """Round a ratio to ten digits; ``None`` for ``None`` and for what is not finite."""
    if value is None or not math.isfinite(value):
        return None
    return round(float(value), RATIO_DIGITS) + 0.0


@overload
def milliseconds(value: float) -> float: ...
@overload
def milliseconds(value: None) -> None: ...
@overload
def milliseconds(value: float | None) -> float | None: ...
def milliseconds(value: float | None) -> float | None:
    """Round a latency to a microsecond; ``None`` for ``None`` and for what is not finite."""
    if value is None or not math.isfinite(value):
        return None
    return round(float(value), 3)


def percent(value: float) -> str:
    """Write an availability in percent, as pages do: 0.99955 → ``99.955 %``, 0.9866 → ``98.66 %``.

    Two significant digits of the unavailability; from 90 % on at least two decimals. Never shows 100 % for less than 1.
    """
    exact = 100 * Decimal(repr(float(value)))
    missing = 100 - exact
    if missing <= 0:
        return "100 %"
    digits = max(2 if missing <= 10 else 1, 1 - missing.adjusted())
    text = f"{exact:.{digits}f}"
    while Decimal(text) >= 100 and digits < 12:
        digits += 1
        text = f"{exact:.{digits}f}"
    return f"{text.rstrip('0').rstrip('.')} %"


def plain(value: float, digits: int = 2) -> str:
    """Write a figure with so many significant digits: all digits of its whole part, never an exponent."""
    exact = Decimal(repr(float(value)))
    if not exact:
        return "0"
    text = f"{exact:.{max(0, digits - 1 - exact.adjusted())}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def duration(seconds: float) -> str:
    """Write a duration in the largest unit that keeps it readable; up to three days in hours, where a day is much."""
    if seconds < 2 * 3_600:
        return f"{max(1, round(seconds / 60))} min"
    if seconds < 3 * 86_400:
        return f"{round(seconds / 3_600)} h"
    return f"{round(seconds / 86_400)} days"
