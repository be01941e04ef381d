"""Reads the format of docs/file-format.md into columns of numbers. For workers and commands: it needs numpy.

Whole columns are parsed at once. Rows are looked at one by one only to name those at fault, where a column does not
parse or a rule does not hold. So a file with millions of rows takes seconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from apps.telemetry.clients.files.csv_rows import Chunk, Problems, read_chunks
from apps.telemetry.clients.files.instants import leaves_the_zone_open, parse_instant
from apps.telemetry.clients.files.numbers import (
    MAX_COUNT,
    MAX_LATENCY_MS,
    PointsBetweenThousands,
    are_plain,
    not_a_count,
    not_a_latency,
    read_number,
)

HOUR = 3600
DAY = 86_400
#: How far in the future the end of a bin may be, because clocks differ a little.
FUTURE_SLACK_SECONDS = HOUR
#: The longest time that the files of one folder may span. Ballast keeps two years. An older bin usually has a wrong
#: year, and each month would need its own partitions.
MAX_SPAN_SECONDS = 10 * 365 * DAY

#: How many things of one kind are named in remarks.
FEW = 5

SLI_REQUIRED = ("service_id", "timestamp", "step_seconds", "total", "bad")
SLI_OPTIONAL = ("p50_ms", "p95_ms", "p99_ms")
EDGE_REQUIRED = ("source", "target", "timestamp", "step_seconds", "total", "bad")
BUCKET_REQUIRED = ("service_id", "timestamp", "step_seconds", "le_ms", "count")

type Floats = NDArray[np.float64]
type Integers = NDArray[np.int64]


class Lookup(Protocol):
    """Gives the key of a service id, and the sentences for ids that are unknown or spelt differently."""

    keys: dict[str, int]
    """Keys by id, for ids that were looked up already."""
    respelt: dict[str, str]
    """Ids found in another Unicode form than the catalog's, in the order in which they were found."""

    def __call__(self, name: str) -> int | None: ...

    def remark(self, name: str, line: int) -> str: ...

    def missing(self, name: str) -> str: ...


@dataclass(slots=True)
class Rows:
    """Checked rows as columns. ``keys`` has an array of the lookup's keys for each id column."""

    keys: list[Integers]
    at: Integers
    step: Integers
    values: dict[str, Floats]
    lines: Integers

    def __len__(self) -> int:
        return len(self.at)


@dataclass(slots=True)
class _Seen:
    """The instants of a file. Each text is parsed once."""

    parsed: dict[str, int | ValueError] = field(default_factory=dict)
    first_line_without_zone: int = 0
    has_zones: bool = False
    without_zone: set[int] = field(default_factory=set)
    """The instants that are given without an offset."""

    def parse(self, cell: str, line: int) -> int | ValueError:
        value: int | ValueError
        try:
            value = parse_instant(cell)
        except ValueError as error:
            value = error
        else:
            is_open = leaves_the_zone_open(cell)
            self.has_zones = self.has_zones or is_open is False
            if is_open:
                self.without_zone.add(value)
                self.first_line_without_zone = self.first_line_without_zone or line
        self.parsed[cell] = value
        return value

    def remarks(self, file: str) -> list[str]:
        """Return a remark where a file mixes times with and without an offset."""
        if not (self.has_zones and self.first_line_without_zone):
            return []
        return [
            f"{file}: some timestamps name an offset and others do not; those without one, "
            f"from line {self.first_line_without_zone} on, were taken as UTC."
        ]


@dataclass(slots=True)
class _Checker:
    """Checks a chunk column by column, and reports the rows at fault."""

    file: str
    chunk: Chunk
    problems: Problems
    good: NDArray[np.bool_]

    def floats(self, name: str, *, blank_is_nan: bool = False) -> Floats:
        """Parse a column. A cell that is no number is reported, and read as NaN."""
        cells = self.chunk.columns[name]
        if blank_is_nan and "" in cells:
            cells = tuple(cell or "nan" for cell in cells)
        try:
            if are_plain(cells):
                return np.array(cells, dtype=np.float64)
        except ValueError:
            pass
        return np.array([self._float(name, row, cell) for row, cell in enumerate(cells)], dtype=np.float64)

    def _float(self, name: str, row: int, cell: str) -> float:
        try:
            return read_number(cell)
        except ValueError as error:
            self.report(row, name, str(error))
            return math.nan

    def instants(self, name: str, seen: _Seen) -> Integers:
        """Parse a column of instants. ``seen`` keeps parsed texts, because a file repeats the same few."""
        cells = self.chunk.columns[name]
        parsed: list[int] = []
        for row, cell in enumerate(cells):
            value = seen.parsed.get(cell)
            if value is None:
                value = seen.parse(cell, self.chunk.lines[row])
            if isinstance(value, ValueError):
                self.report(row, name, str(value))
                value = 0
            parsed.append(value)
        return np.array(parsed, dtype=np.int64)

    def keys(self, name: str, lookup: Lookup) -> tuple[Integers, list[str]]:
        """Look up ids, and report unknown ones. Return keys, and remarks on ids that are spelt differently."""
        cells = self.chunk.columns[name]
        known = len(lookup.respelt)
        found = list(map(lookup.keys.get, cells))
        if None in found:
            for row, cell in enumerate(cells):
                if found[row] is None:
                    found[row] = lookup(cell)
                    if found[row] is None:
                        self.report(row, name, lookup.missing(cell))
            found = [key if key is not None else 0 for key in found]
        respelt = list(lookup.respelt)[known:]
        remarks = [
            f"{self.file}: {lookup.remark(one, self.chunk.lines[cells.index(one)])}" for one in respelt[:FEW]
        ]
        if len(respelt) > FEW:
            remarks.append(f"{self.file}: {len(respelt) - FEW:,} more names are spelt in another form.")
        return np.array(found, dtype=np.int64), remarks

    def require(self, holds: NDArray[np.bool_], name: str, reason: Callable[[int], str]) -> None:
        """Report each row in which a rule does not hold, unless the row has a problem already."""
        for row in np.flatnonzero(~holds & self.good):
            self.report(int(row), name, reason(int(row)))

    def report(self, row: int, name: str, reason: str) -> None:
        self.problems.add(self.file, self.chunk.lines[row], name, reason)
        self.good[row] = False


@dataclass(slots=True)
class Reader:
    """Reads the observations of one folder.

    Parameters:
        files: the path of each file, by its name in the format.
        lookup: gives the key of a service id, or ``None`` where there is no such service.
        now: Unix seconds; no bin may end more than :data:`FUTURE_SLACK_SECONDS` later.
    """

    files: Mapping[str, Path]
    lookup: Lookup
    now: int
    problems: Problems
    remarks: list[str] = field(default_factory=list)
    """Sentences about contents that are allowed but may not be what was meant."""
    without_zone: dict[str, set[int]] = field(default_factory=dict)
    """The instants without an offset, by the file's name in the format."""
    _oldest: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Start and line of the oldest bin in each file."""
    _newest: int = 0

    def name_of(self, file: str) -> str:
        """Return the name that a file of the format has in the folder."""
        return self.files[file].name if file in self.files else file

    def sli(self) -> Iterator[Rows]:
        """Yield rows of ``sli.csv``: ``total``, ``bad`` and the percentiles, which are NaN where blank."""
        yield from self._counts("sli.csv", ("service_id",), SLI_REQUIRED, SLI_OPTIONAL, coarse_allowed=True)

    def edges(self) -> Iterator[Rows]:
        """Yield rows of ``edge_sli.csv``: two keys, ``total`` and ``bad``."""
        yield from self._counts("edge_sli.csv", ("source", "target"), EDGE_REQUIRED, (), coarse_allowed=False)

    def buckets(self) -> Iterator[Rows]:
        """Yield rows of ``latency_buckets.csv``: ``le_ms`` and ``count``."""
        points = PointsBetweenThousands()
        for checker, seen in self._chunks("latency_buckets.csv", BUCKET_REQUIRED, ()):
            keys = [self._keys(checker, "service_id")]
            at, step = self._bins(checker, seen, coarse_allowed=False)
            bound, count = checker.floats("le_ms"), checker.floats("count")
            checker.require(
                ~np.isnan(bound) & (bound >= 0), "le_ms", lambda _: "a bound is 0 or more, or +Inf"
            )
            _require_count(checker, "count", count)
            points.look_at("count", checker.chunk.columns["count"], checker.chunk.lines)
            yield self._rows(checker, keys, at, step, {"le_ms": bound, "count": count})
        self._judge_points("latency_buckets.csv", points)

    def _counts(
        self,
        file: str,
        id_columns: Sequence[str],
        required: Sequence[str],
        optional: Sequence[str],
        *,
        coarse_allowed: bool,
    ) -> Iterator[Rows]:
        points, latency_points = PointsBetweenThousands(), PointsBetweenThousands()
        for checker, seen in self._chunks(file, required, optional):
            keys = [self._keys(checker, name) for name in id_columns]
            if len(keys) == 2:
                checker.require(keys[0] != keys[1], "target", lambda _: "is the source itself")
            at, step = self._bins(checker, seen, coarse_allowed=coarse_allowed)
            total, bad = checker.floats("total"), checker.floats("bad")
            _require_count(checker, "total", total)
            _require_count(checker, "bad", bad)

            def more_bad(row: int, total: Floats = total, bad: Floats = bad) -> str:
                return f"{bad[row]:g} failed of {total[row]:g}: there cannot be more failures than requests"

            checker.require(bad <= total, "bad", more_bad)
            values = {"total": total, "bad": bad}
            for name in optional:
                values[name] = latency = checker.floats(name, blank_is_nan=True)
                _require_latency(checker, name, latency)
            for smaller, larger in combinations(optional, 2):
                _require_order(checker, smaller, larger, values[smaller], values[larger])
            for name in ("total", "bad"):
                points.look_at(name, checker.chunk.columns[name], checker.chunk.lines)
            for name in optional:
                latency_points.look_at(name, checker.chunk.columns[name], checker.chunk.lines)
            yield self._rows(checker, keys, at, step, values)
        self._judge_points(file, points)
        if latency_points.are_possible:
            self._remark_on_points(file, latency_points, "ms")

    def _keys(self, checker: _Checker, name: str) -> Integers:
        keys, remarks = checker.keys(name, self.lookup)
        self.remarks += remarks
        return keys

    def _judge_points(self, file: str, points: PointsBetweenThousands) -> None:
        if points.are_possible and points.are_unlikely:
            self._remark_on_points(file, points, "requests")
        elif points.are_possible:
            self.problems.add(self.name_of(file), points.line, points.column, points.words("requests"))

    def _remark_on_points(self, file: str, points: PointsBetweenThousands, unit: str) -> None:
        where = f"{self.name_of(file)}: {points.column} in line {points.line}"
        self.remarks.append(f"{where}: {points.words(unit)}. They were taken as fractions.")

    def check_span(self) -> None:
        """Report the oldest bin of each file that is too far before the newest bin of all files."""
        for file, (at, line) in self._oldest.items():
            if at < self._newest - MAX_SPAN_SECONDS:
                reason = (
                    f"the bin starts at {_clock(at)}, more than ten years before the newest one "
                    f"({_clock(self._newest)}): is the year right? Import an old recording on its own"
                )
                self.problems.add(file, line, "timestamp", reason)

    def _rows(
        self,
        checker: _Checker,
        keys: list[Integers],
        at: Integers,
        step: Integers,
        values: dict[str, Floats],
    ) -> Rows:
        rows = _good_rows(checker, keys, at, step, values)
        if len(rows):
            first = int(rows.at.argmin())
            oldest = (int(rows.at[first]), int(rows.lines[first]))
            self._oldest[checker.file] = min(oldest, self._oldest.get(checker.file, oldest))
            self._newest = max(self._newest, int(rows.at.max()))
        return rows

    def _chunks(
        self, file: str, required: Sequence[str], optional: Sequence[str]
    ) -> Iterator[tuple[_Checker, _Seen]]:
        """Yield the file in chunks, each with its checker; nothing where there is no such file."""
        path = self.files.get(file)
        if path is None:
            return
        seen = _Seen()
        for chunk in read_chunks(path, required, optional, self.problems):
            yield _Checker(path.name, chunk, self.problems, np.ones(len(chunk), dtype=np.bool_)), seen
        self.remarks += seen.remarks(path.name)
        self.without_zone[file] = seen.without_zone

    def _bins(self, checker: _Checker, seen: _Seen, *, coarse_allowed: bool) -> tuple[Integers, Integers]:
        at = checker.instants("timestamp", seen)
        given = checker.floats("step_seconds")
        step = np.where(np.isfinite(given), given, 0)
        fine = (step >= 1) & (step <= HOUR) & (HOUR % np.maximum(step, 1) == 0)
        coarse = (step > HOUR) & (step <= DAY) & (DAY % np.maximum(step, 1) == 0) & (step % HOUR == 0)
        allowed = fine | coarse if coarse_allowed else fine
        words = (
            "a bin is as wide as a divisor of an hour (60, 300, 3600), or as whole hours that divide a day (86400)"
            if coarse_allowed
            else "a bin here is as wide as a divisor of an hour (60, 300, 3600)"
        )
        checker.require(allowed, "step_seconds", lambda row: f"{given[row]:g} cannot be: {words}")
        width = np.where(checker.good, step, HOUR).astype(np.int64)
        frame = np.where(width <= HOUR, HOUR, DAY)
        inside = at % frame + width <= frame

        def straddles(row: int) -> str:
            unit = "hour" if frame[row] == HOUR else "UTC day"
            return (
                f"the bin starts at {_clock(at[row])} and is {width[row]} s wide, which reaches into the next "
                f"{unit}: a bin must not cross the end of its {unit}"
            )

        def future(row: int) -> str:
            return (
                f"the bin ends at {_clock(at[row] + width[row])}, and it is {_clock(self.now)} now: "
                "nothing can have been observed; is the time zone right?"
            )

        checker.require(inside, "timestamp", straddles)
        checker.require(at + width <= self.now + FUTURE_SLACK_SECONDS, "timestamp", future)
        return at, width


def _clock(seconds: int) -> str:
    return f"{datetime.fromtimestamp(int(seconds), UTC):%Y-%m-%dT%H:%M:%SZ}"


def _require_count(checker: _Checker, name: str, count: Floats) -> None:
    checker.require((count >= 0) & (count <= MAX_COUNT), name, lambda row: not_a_count(count[row]))


def _require_latency(checker: _Checker, name: str, latency: Floats) -> None:
    fine = np.isnan(latency) | ((latency >= 0) & (latency <= MAX_LATENCY_MS))
    checker.require(fine, name, lambda row: not_a_latency(latency[row]))


def _require_order(checker: _Checker, smaller: str, larger: str, low: Floats, high: Floats) -> None:
    """Report rows in which a percentile is below a smaller one: a value is wrong, or columns were swapped."""

    def reason(row: int) -> str:
        return f"{smaller} is {low[row]:g} and {larger} is {high[row]:g}: a percentile cannot be below a smaller one"

    checker.require(~(low > high), larger, reason)


def _good_rows(
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
