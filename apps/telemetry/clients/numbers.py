"""Says what is wrong with a cell that should hold a number."""

from __future__ import annotations

import math
import re

from apps.telemetry.clients.instants import quoted

#: A bin's count beyond this is no count: sums of such bins would no longer be exact.
MAX_COUNT = 1e15
#: A latency beyond this, a month, is no latency in milliseconds.
MAX_LATENCY_MS = 31 * 86_400_000.0

_THOUSANDS = re.compile(r"[+-]?\d{1,3}(?:[,.'’  \s]\d{3})+(?:[.,]\d+)?")
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+")
_WITH_UNIT = re.compile(r"([+-]?[\d.]+)\s*([a-zA-Zµ%]+)")


def not_a_number(cell: str) -> str:
    """Why a text is not taken as a number, and what to write."""
    text = cell.strip()
    if not text:
        return "is empty; write a number"
    said = f"{quoted(cell)} is not a number"
    if _THOUSANDS.fullmatch(text):
        return f"{said}: write it without thousands separators"
    if _DECIMAL_COMMA.fullmatch(text):
        return f"{said}: write {text.replace(',', '.')}, with a decimal point"
    unit = _WITH_UNIT.fullmatch(text)
    if unit:
        return f"{said}: write it without {quoted(unit.group(2))}"
    return said


def not_a_count(value: float) -> str:
    """Why a number cannot be how many requests there were."""
    if math.isnan(value):
        return "NaN is no count; leave the line out where there is no data"
    if value < 0:
        return f"{value:g} is negative; a count is 0 or more"
    return f"{value:g} is too large for a count"


def not_a_latency(value: float) -> str:
    """Why a number cannot be a latency in milliseconds."""
    if value < 0:
        return f"{value:g} is negative; a latency is 0 or more, or blank where there is none"
    return f"{value:g} ms is too long for a latency; leave it blank where there is none"
