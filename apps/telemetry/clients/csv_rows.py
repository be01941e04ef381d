"""Reads CSV files in large chunks and names what is wrong by file, line and field."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

#: Rows at a time: large enough for numpy to be worth it, small enough to be nothing in memory.
CHUNK_ROWS = 50_000
#: How many problems are named; the rest is counted. Whoever has more fixes the pattern, not the rows.
MAX_PROBLEMS = 200
#: Unix seconds that a bin may start at: 2000-01-01 to 2100-01-01.
EARLIEST = 946_684_800
LATEST = 4_102_444_800


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with one row; line 0 means the file as a whole."""

    file: str
    line: int
    field: str
    reason: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {self.field}: {self.reason}" if self.field else f"{where}: {self.reason}"

    def as_json(self) -> dict[str, Any]:
        """As it is stored with a run."""
        return {"file": self.file, "line": self.line, "field": self.field, "reason": self.reason}


@dataclass(slots=True)
class Problems:
    """All that is wrong with an import: the first few named, all counted."""

    named: list[Problem] = field(default_factory=list)
    count: int = 0

    def add(self, file: str, line: int, field: str, reason: str) -> None:
        """Note one problem."""
        self.count += 1
        if len(self.named) < MAX_PROBLEMS:
            self.named.append(Problem(file, line, field, reason))

    def __bool__(self) -> bool:
        return self.count > 0


@dataclass(slots=True)
class Chunk:
    """Some rows of a file as columns of text, by field; a field that the file does not have is empty text."""

    columns: dict[str, Sequence[str]]
    lines: Sequence[int]
    """The line that each row ends on."""

    def __len__(self) -> int:
        return len(self.lines)


def read_chunks(
    path: Path, required: Sequence[str], optional: Sequence[str], problems: Problems
) -> Iterator[Chunk]:
    """Read a CSV file with a header, in any order of columns.

    Rows of the wrong length are reported and left out; a header that lacks a column, or has one that nobody
    knows, is reported and ends the file.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            yield from _chunks_of(csv.reader(handle, strict=True), path.name, required, optional, problems)
    except UnicodeDecodeError as error:
        problems.add(path.name, 0, "", f"is not UTF-8 ({error.reason} at byte {error.start})")
    except OSError as error:
        problems.add(path.name, 0, "", f"cannot be read: {error.strerror}")


def _chunks_of(
    reader: Any, file: str, required: Sequence[str], optional: Sequence[str], problems: Problems
) -> Iterator[Chunk]:
    try:
        header = [name.strip() for name in next(reader, [])]
        if not _header_is_right(header, file, required, optional, problems):
            return
        while True:
            before = reader.line_num
            rows: list[list[str]] = list(islice(reader, CHUNK_ROWS))
            if not rows:
                return
            lines: Sequence[int] = range(before + 1, before + 1 + len(rows))
            if reader.line_num - before != len(rows):
                lines = _counted_lines(rows, before)
            if set(map(len, rows)) != {len(header)}:
                rows, lines = _right_length(rows, lines, len(header), file, problems)
                if not rows:
                    continue
            columns: dict[str, Sequence[str]] = dict(zip(header, zip(*rows, strict=True), strict=True))
            for name in optional:
                columns.setdefault(name, ("",) * len(rows))
            yield Chunk(columns, lines)
    except csv.Error as error:
        problems.add(file, reader.line_num, "", f"is not CSV: {error}")


def _header_is_right(
    header: Sequence[str], file: str, required: Sequence[str], optional: Sequence[str], problems: Problems
) -> bool:
    before = problems.count
    expected = ",".join([*required, *optional])
    for name in required:
        if name not in header:
            problems.add(file, 1, name, f"the column is missing; the header is {expected}")
    for name in header:
        if name not in required and name not in optional:
            problems.add(file, 1, name[:80], f"nobody knows this column; the header is {expected}")
    for name in sorted({name for name in header if header.count(name) > 1}):
        problems.add(file, 1, name[:80], "the column is there more than once")
    return problems.count == before


def _counted_lines(rows: Sequence[Sequence[str]], before: int) -> list[int]:
    """Count lines by hand where a quoted value spans several."""
    lines: list[int] = []
    line = before
    for row in rows:
        line += 1 + sum(value.count("\n") for value in row)
        lines.append(line)
    return lines


def _right_length(
    rows: Sequence[list[str]], lines: Sequence[int], length: int, file: str, problems: Problems
) -> tuple[list[list[str]], list[int]]:
    kept: list[list[str]] = []
    kept_lines: list[int] = []
    for row, line in zip(rows, lines, strict=True):
        if len(row) == length:
            kept.append(row)
            kept_lines.append(line)
        elif row:  # an empty line is nothing
            problems.add(file, line, "", f"has {len(row)} values, not {length}")
    return kept, kept_lines


def parse_instant(text: str) -> int:
    """Read ISO 8601 or Unix seconds; without an offset it is UTC.

    Raises:
        ValueError: with the reason, in words.
    """
    text = text.strip()
    try:
        seconds = float(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise ValueError(f"{text[:40]!r} is neither ISO 8601 nor Unix seconds") from None
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if not EARLIEST <= seconds < LATEST:
        hint = "; it looks like milliseconds" if EARLIEST <= seconds / 1000 < LATEST else ""
        raise ValueError(f"{text[:40]!r} is not between the years 2000 and 2100{hint}")
    if seconds != int(seconds):
        raise ValueError(f"{text[:40]!r} is not a whole second")
    return int(seconds)
