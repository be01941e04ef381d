"""Reads the format of docs/file-format.md into columns of numbers. For workers and commands: it needs numpy.

A file of some million rows is read in a few seconds: whole columns are parsed at once, and only where a
column does not parse, or a rule does not hold, the rows at fault are looked at one by one to be named.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from apps.telemetry.clients.csv_rows import Chunk, Problems, parse_instant, read_chunks

HOUR = 3600
DAY = 86_400
#: How far into the future the end of a bin may lie, for clocks that are not quite right.
FUTURE_SLACK_SECONDS = HOUR

SLI_REQUIRED = ("service_id", "timestamp", "step_seconds", "total", "bad")
SLI_OPTIONAL = ("p50_ms", "p95_ms", "p99_ms")
EDGE_REQUIRED = ("source", "target", "timestamp", "step_seconds", "total", "bad")
BUCKET_REQUIRED = ("service_id", "timestamp", "step_seconds", "le_ms", "count")

type Floats = NDArray[np.float64]
type Integers = NDArray[np.int64]
type Lookup = Callable[[str], int | None]


@dataclass(slots=True)
class Rows:
    """Checked rows as columns. ``keys`` are what the lookup gave for the ids, one array per id column."""

    keys: list[Integers]
    at: Integers
    step: Integers
    values: dict[str, Floats]
    lines: Integers

    def __len__(self) -> int:
        return len(self.at)


@dataclass(slots=True)
class _Checker:
    """Checks a chunk column by column and names the rows at fault."""

    file: str
    chunk: Chunk
    problems: Problems
    good: NDArray[np.bool_]

    def floats(self, name: str, *, blank_is_nan: bool = False) -> Floats:
        """Parse a column; a cell that is no number is reported, and NaN."""
        cells = self.chunk.columns[name]
        if blank_is_nan and "" in cells:
            cells = tuple(cell or "nan" for cell in cells)
        try:
            return np.array(cells, dtype=np.float64)
        except ValueError:
            return np.array(
                [self._float(name, row, cell) for row, cell in enumerate(cells)], dtype=np.float64
            )

    def _float(self, name: str, row: int, cell: str) -> float:
        try:
            return float(cell)
        except ValueError:
            self.report(row, name, f"{cell[:40]!r} is not a number")
            return math.nan

    def instants(self, name: str, seen: dict[str, int | ValueError]) -> Integers:
        """Parse a column of instants; ``seen`` remembers texts, of which a file repeats few."""
        cells = self.chunk.columns[name]
        parsed: list[int] = []
        for row, cell in enumerate(cells):
            value = seen.get(cell)
            if value is None:
                try:
                    value = parse_instant(cell)
                except ValueError as error:
                    value = error
                seen[cell] = value
            if isinstance(value, ValueError):
                self.report(row, name, str(value))
                value = 0
            parsed.append(value)
        return np.array(parsed, dtype=np.int64)

    def keys(self, name: str, lookup: Lookup) -> Integers:
        """Look ids up; one that is unknown is reported."""
        found = [lookup(cell) for cell in self.chunk.columns[name]]
        if None in found:
            for row, key in enumerate(found):
                if key is None:
                    cell = self.chunk.columns[name][row]
                    self.report(
                        row,
                        name,
                        f"{cell[:80]!r} is no service; add it to services.csv" if cell else "is empty",
                    )
            found = [key if key is not None else 0 for key in found]
        return np.array(found, dtype=np.int64)

    def require(self, holds: NDArray[np.bool_], name: str, reason: Callable[[int], str]) -> None:
        """Report each row, not reported yet, in which a rule does not hold."""
        for row in np.flatnonzero(~holds & self.good):
            self.report(int(row), name, reason(int(row)))

    def report(self, row: int, name: str, reason: str) -> None:
        self.problems.add(self.file, self.chunk.lines[row], name, reason)
        self.good[row] = False


@dataclass(slots=True)
class Reader:
    """Reads the observations of one folder.

    Parameters:
        lookup: the key of a service id, or ``None`` where there is no such service.
        now: Unix seconds; no bin may end later.
    """

    folder: Path
    lookup: Lookup
    now: int
    problems: Problems

    def sli(self) -> Iterator[Rows]:
        """Rows of ``sli.csv``: ``total``, ``bad`` and the percentiles, NaN where blank."""
        yield from self._counts("sli.csv", ("service_id",), SLI_REQUIRED, SLI_OPTIONAL, coarse_allowed=True)

    def edges(self) -> Iterator[Rows]:
        """Rows of ``edge_sli.csv``: ``total`` and ``bad`` of two keys."""
        yield from self._counts("edge_sli.csv", ("source", "target"), EDGE_REQUIRED, (), coarse_allowed=False)

    def buckets(self) -> Iterator[Rows]:
        """Rows of ``latency_buckets.csv``: ``le_ms`` and ``count``."""
        path = self.folder / "latency_buckets.csv"
        seen: dict[str, int | ValueError] = {}
        for chunk in _existing(path, BUCKET_REQUIRED, (), self.problems):
            checker = self._checker(path.name, chunk)
            keys = [checker.keys("service_id", self.lookup)]
            at, step = self._bins(checker, seen, coarse_allowed=False)
            bound, count = checker.floats("le_ms"), checker.floats("count")
            checker.require(
                ~np.isnan(bound) & (bound >= 0), "le_ms", lambda _: "has to be 0 or more, or +Inf"
            )
            checker.require(np.isfinite(count) & (count >= 0), "count", lambda _: "has to be 0 or more")
            yield _rows(checker, keys, at, step, {"le_ms": bound, "count": count})

    def _counts(
        self,
        file: str,
        id_columns: Sequence[str],
        required: Sequence[str],
        optional: Sequence[str],
        *,
        coarse_allowed: bool,
    ) -> Iterator[Rows]:
        path = self.folder / file
        seen: dict[str, int | ValueError] = {}
        for chunk in _existing(path, required, optional, self.problems):
            checker = self._checker(file, chunk)
            keys = [checker.keys(name, self.lookup) for name in id_columns]
            if len(keys) == 2:
                checker.require(keys[0] != keys[1], "target", lambda _: "is the source itself")
            at, step = self._bins(checker, seen, coarse_allowed=coarse_allowed)
            total, bad = checker.floats("total"), checker.floats("bad")
            checker.require(np.isfinite(total) & (total >= 0), "total", lambda _: "has to be 0 or more")
            checker.require(np.isfinite(bad) & (bad >= 0), "bad", lambda _: "has to be 0 or more")

            def more_bad(row: int, total: Floats = total, bad: Floats = bad) -> str:
                return f"{bad[row]:g} failed of {total[row]:g}: there cannot be more failures than requests"

            checker.require(bad <= total, "bad", more_bad)
            values = {"total": total, "bad": bad}
            for name in optional:
                values[name] = latency = checker.floats(name, blank_is_nan=True)
                fine = np.isnan(latency) | (np.isfinite(latency) & (latency >= 0))
                checker.require(fine, name, lambda _: "has to be 0 or more, or blank")
            yield _rows(checker, keys, at, step, values)

    def _checker(self, file: str, chunk: Chunk) -> _Checker:
        return _Checker(file, chunk, self.problems, np.ones(len(chunk), dtype=np.bool_))

    def _bins(
        self, checker: _Checker, seen: dict[str, int | ValueError], *, coarse_allowed: bool
    ) -> tuple[Integers, Integers]:
        at = checker.instants("timestamp", seen)
        step = checker.floats("step_seconds")
        fine = (step >= 1) & (step <= HOUR) & (HOUR % np.maximum(step, 1) == 0)
        coarse = (step > HOUR) & (step <= DAY) & (DAY % np.maximum(step, 1) == 0) & (step % HOUR == 0)
        allowed = fine | coarse if coarse_allowed else fine
        words = (
            "a divisor of 3600, or whole hours that divide a day" if coarse_allowed else "a divisor of 3600"
        )
        checker.require(allowed, "step_seconds", lambda _: f"has to be {words}")
        width = np.where(checker.good, step, HOUR).astype(np.int64)
        frame = np.where(width <= HOUR, HOUR, DAY)
        inside = at % frame + width <= frame

        def straddles(row: int) -> str:
            unit = "hour" if frame[row] == HOUR else "UTC day"
            return f"a bin of {width[row]} s from here reaches into the next {unit}"

        checker.require(inside, "timestamp", straddles)
        past = at + width <= self.now + FUTURE_SLACK_SECONDS
        checker.require(past, "timestamp", lambda _: "lies in the future")
        return at, width


def _existing(
    path: Path, required: Sequence[str], optional: Sequence[str], problems: Problems
) -> Iterator[Chunk]:
    if path.exists():
        yield from read_chunks(path, required, optional, problems)


def _rows(
    checker: _Checker, keys: list[Integers], at: Integers, step: Integers, values: dict[str, Floats]
) -> Rows:
    good = checker.good
    lines = np.asarray(checker.chunk.lines, dtype=np.int64)
    if good.all():
        return Rows(keys, at, step, values, lines)
    return Rows(
        [key[good] for key in keys],
        at[good],
        step[good],
        {name: column[good] for name, column in values.items()},
        lines[good],
    )
