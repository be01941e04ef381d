"""Reads cells that should hold a number, and says what is wrong with a cell that does not.

Only decimal notation in the digits 0 to 9 counts (``18211``, ``0.25``, ``1e5``). Python and numpy also read
``1_000`` and the digits of every script, but the author of such a cell may have meant something else.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from apps.telemetry.clients.files.instants import quoted

#: The largest count of a bin: sums of larger counts would not be exact.
MAX_COUNT = 1e15
#: The longest latency, in milliseconds: a month.
MAX_LATENCY_MS = 31 * 86_400_000.0

_THOUSANDS = re.compile(r"[+-]?\d{1,3}(?:[,.'’  \s]\d{3})+(?:[.,]\d+)?")
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+")
_WITH_UNIT = re.compile(r"([+-]?[\d.]+)\s*([a-zA-Zµ%]+)")
_HEXADECIMAL = re.compile(r"[+-]?0[xX][0-9a-fA-F]+")
_OTHER_MINUS = re.compile(r"[\u2010-\u2015\u2212]")
#: A number in the notation with points between the thousands: the first group has no leading zero.
_LIKE_THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2}\.[0-9]{3}", re.ASCII)


def are_plain(cells: Sequence[str]) -> bool:
    """Return whether no cell has a character that only Python accepts in a number."""
    joined = "".join(cells)
    return joined.isascii() and "_" not in joined


def read_number(cell: str) -> float:
    """Read one cell. Raises :class:`ValueError` with what is wrong and what to write."""
    text = cell.strip()
    try:
        if are_plain((text,)):
            return float(text)
    except ValueError:
        pass
    raise ValueError(not_a_number(cell))


def not_a_number(cell: str) -> str:
    """Return why a text is not taken as a number, and what to write."""
    text = cell.strip()
    if not text:
        return "is empty; write a number"
    fault = f"{quoted(cell)} is not a number"
    if _THOUSANDS.fullmatch(text):
        return f"{fault}: write it without thousands separators"
    if _DECIMAL_COMMA.fullmatch(text):
        return f"{fault}: write {text.replace(',', '.')}, with a decimal point"
    if "_" in text and text.replace("_", "").replace(".", "", 1).isdecimal():
        return f"{fault}: write it without underscores"
    if _HEXADECIMAL.fullmatch(text):
        return f"{fault} in decimal notation: write {int(text, 16)}"
    if not text.isascii():
        try:
            meant = f"{float(_OTHER_MINUS.sub('-', text)):.15g}"
        except ValueError:
            pass
        else:
            return f"{fault} in the digits 0 to 9: write {meant}"
    unit = _WITH_UNIT.fullmatch(text)
    if unit:
        return f"{fault}: write it without {quoted(unit.group(2))}"
    return fault


def not_a_count(value: float) -> str:
    """Return why a number cannot be a count of requests."""
    if math.isnan(value):
        return "NaN is no count; leave the line out where there is no data"
    if value < 0:
        return f"{value:g} is negative; a count is 0 or more"
    return f"{value:g} is too large for a count"


def not_a_latency(value: float) -> str:
    """Return why a number cannot be a latency in milliseconds."""
    if value < 0:
        return f"{value:g} is negative; a latency is 0 or more, or blank where there is none"
    return f"{value:g} ms is too long for a latency; leave it blank where there is none"


@dataclass(slots=True)
class PointsBetweenThousands:
    """Whether the points in a file's counts can be thousands separators, so that ``1.234`` may mean 1,234 requests.

    They can if every fraction has three digits after the point and at most three before it, as in ``12.345``, and
    there are whole numbers too. Fractions of a store (``59.9833333``) and rounded ones (``0.250``, ``59.98``) show
    that points are decimal points; so does a file in which every number has three decimals. Whole numbers of four or
    more digits, such as ``18211``, make separators unlikely but do not rule them out: a file may come from two places.
    """

    is_settled: bool = False
    """Whether a cell has shown that points are decimal points."""
    line: int = 0
    """The line of the first cell that can be meant either way."""
    column: str = ""
    """The column of that cell."""
    cell: str = ""
    """The text of that cell."""
    count: int = 0
    """How many cells can be meant either way."""
    whole: bool = False
    """Whether there are whole numbers as well."""
    are_unlikely: bool = False
    """Whether there are whole numbers of four or more digits without a point."""

    def look_at(self, column: str, cells: Sequence[str], lines: Sequence[int]) -> None:
        """Look at some cells of a column of numbers."""
        if self.is_settled:
            return
        if "".join(cells).isdecimal():
            self.whole = True
            self.are_unlikely = self.are_unlikely or max(map(len, cells)) > 3
            return
        for cell, line in zip(cells, lines, strict=True):
            text = cell.strip()
            if text.isdecimal():
                self.are_unlikely = self.are_unlikely or len(text) > 3
                self.whole = True
            elif _LIKE_THOUSANDS.fullmatch(text):
                self.count += 1
                if self.count == 1:
                    self.line, self.column, self.cell = line, column, text
            else:
                self.is_settled = "." in text
            if self.is_settled:
                return

    @property
    def are_possible(self) -> bool:
        return self.count > 0 and self.whole and not self.is_settled

    def words(self, unit: str) -> str:
        """Return what the first such cell can mean, and how to write each meaning; ``unit`` is what is counted."""
        others = f", and {self.count - 1:,} more like it" if self.count > 1 else ""
        without = self.cell.replace(".", "")
        return (
            f"{self.cell!r} can be {int(without):,} {unit} or {float(self.cell):g}{others}: every fraction in these "
            "columns has three digits, as numbers with a point between the thousands do. Write "
            f"{without}, or {self.cell}0 if a fraction is meant"
        )
