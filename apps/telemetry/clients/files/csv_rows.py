"""Reads CSV files in large chunks and names what is wrong by file, line and field."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from apps.core.errors import Fault
from apps.telemetry.clients.files.csv_faults import (
    SNIFFED_BYTES,
    fault_before_reading,
    fault_of_encoding,
    fault_of_quotes,
    fault_of_row,
    faults_of_header,
    line_ends,
)

#: Rows read at a time: enough for numpy to be worth it, few enough to need little memory.
CHUNK_ROWS = 50_000
#: How many problems are named; the others are only counted. More of them show a pattern, not single bad rows.
MAX_PROBLEMS = 200


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a file. ``line`` is as an editor counts; ``field`` is empty without a column."""

    file: str
    line: int
    field: str
    reason: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}"
        return f"{where}: {self.field}: {self.reason}" if self.field else f"{where}: {self.reason}"

    def as_json(self) -> Fault:
        """Return the problem as it is stored with a run."""
        return {"file": self.file, "line": self.line, "field": self.field, "reason": self.reason}


@dataclass(slots=True)
class Problems:
    """Everything that is wrong with an import: the first problems are named, all are counted."""

    named: list[Problem] = field(default_factory=list)
    count: int = 0
    files: dict[str, None] = field(default_factory=dict)
    """Names of the files that have problems, in the order in which they were read."""

    def add(self, file: str, line: int, field: str, reason: str) -> None:
        """Note one problem."""
        self.count += 1
        self.files[file] = None
        if len(self.named) < MAX_PROBLEMS:
            self.named.append(Problem(file, line, field, reason))

    def in_order(self) -> list[Problem]:
        """Return the named problems, file by file in the order of reading, each file from its top."""
        place = {file: number for number, file in enumerate(self.files)}
        return sorted(self.named, key=lambda one: (place[one.file], one.line))

    def __bool__(self) -> bool:
        return self.count > 0


@dataclass(slots=True)
class Chunk:
    """Some rows of a file as columns of text, by field. A field that the file does not have is empty text."""

    columns: dict[str, Sequence[str]]
    lines: Sequence[int]
    """The line on which each row begins."""

    def __len__(self) -> int:
        return len(self.lines)


def read_chunks(
    path: Path, required: Sequence[str], optional: Sequence[str], problems: Problems
) -> Iterator[Chunk]:
    """Read a CSV file with a header, and yield its rows in chunks. Columns may have any order and any case.

    Rows of the wrong length are reported and left out. A fault of the whole file (its encoding, its separator, its
    header) is reported once and ends the reading.
    """
    try:
        with path.open("rb") as handle:
            fault = fault_before_reading(handle.read(SNIFFED_BYTES), [*required, *optional])
        if fault is not None:
            problems.add(path.name, *fault)
            return
        with path.open(encoding="utf-8-sig", newline="") as text:
            yield from _chunks_of(csv.reader(text, strict=True), path.name, required, optional, problems)
    except UnicodeDecodeError:
        problems.add(path.name, *fault_of_encoding(path))
    except csv.Error as error:
        problems.add(path.name, *fault_of_quotes(path, str(error)))
    except OSError as error:
        problems.add(path.name, 1, "", f"cannot be read: {error.strerror or type(error).__name__}")


def _chunks_of(
    reader: Any, file: str, required: Sequence[str], optional: Sequence[str], problems: Problems
) -> Iterator[Chunk]:
    line, header = _header(reader)
    faults = faults_of_header(header, line, file, required, optional)
    for fault in faults:
        problems.add(file, *fault)
    if faults:
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
            rows, lines = _right_length(rows, lines, header, file, problems)
            if not rows:
                continue
        columns: dict[str, Sequence[str]] = dict(zip(header, zip(*rows, strict=True), strict=True))
        for name in optional:
            columns.setdefault(name, ("",) * len(rows))
        yield Chunk(columns, lines)


def _header(reader: Any) -> tuple[int, list[str]]:
    """Return the first line that is not empty: its number, and its values in lower case."""
    line = 1
    for row in reader:
        if any(value.strip() for value in row):
            return line, [name.strip().lower() for name in row]
        line = reader.line_num + 1
    return 1, []


def _counted_lines(rows: Sequence[Sequence[str]], before: int) -> list[int]:
    """Count lines by hand where a quoted value spans several."""
    lines: list[int] = []
    line = before + 1
    for row in rows:
        lines.append(line)
        line += 1 + sum(line_ends(value) for value in row)
    return lines


def _right_length(
    rows: Sequence[list[str]], lines: Sequence[int], header: Sequence[str], file: str, problems: Problems
) -> tuple[list[list[str]], list[int]]:
    kept: list[list[str]] = []
    kept_lines: list[int] = []
    for row, line in zip(rows, lines, strict=True):
        if len(row) == len(header):
            kept.append(row)
            kept_lines.append(line)
        elif len(row) > 1 or (row and row[0].strip()):  # an empty line is no row
            problems.add(file, line, *fault_of_row(row, header))
    return kept, kept_lines
