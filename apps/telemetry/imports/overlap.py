"""Finds bins that cover the same time twice, in files of any size. For workers and commands: needs numpy."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np

from apps.telemetry.clients.files.clock_changes import hour_that_came_twice
from apps.telemetry.clients.files.csv_rows import MAX_PROBLEMS, Problems
from apps.telemetry.clients.files.reader import Floats, Integers


@dataclass(frozen=True, slots=True)
class Bins:
    """The bins of a file, by key and time."""

    keys: Integers
    at: Integers
    step: Integers
    lines: Integers
    total: Floats


@dataclass(slots=True)
class BinsOfFile:
    """Collects a file's bins, 36 bytes each, and puts them in order."""

    _keys: list[Integers] = field(default_factory=list)
    _at: list[Integers] = field(default_factory=list)
    _step: list[np.ndarray] = field(default_factory=list)
    _lines: list[Integers] = field(default_factory=list)
    _total: list[Floats] = field(default_factory=list)

    def add(self, keys: Integers, at: Integers, step: Integers, lines: Integers, total: Floats) -> None:
        """Remember some bins."""
        self._keys.append(keys)
        self._at.append(at)
        self._step.append(step.astype(np.int32))
        self._lines.append(lines)
        self._total.append(total)

    def in_order(self) -> Bins | None:
        """All of them by key, time and line; ``None`` where there are none."""
        if not sum(map(len, self._keys)):
            return None
        keys, at = np.concatenate(self._keys), np.concatenate(self._at)
        step, lines = np.concatenate(self._step).astype(np.int64), np.concatenate(self._lines)
        total = np.concatenate(self._total)
        order = np.lexsort((lines, at, keys))
        return Bins(keys[order], at[order], step[order], lines[order], total[order])


def report_overlaps(file: str, bins: Bins, without_zone: Collection[int], problems: Problems) -> None:
    """Report each bin that begins before the one before it ends.

    ``without_zone`` are the starts that the file gives without an offset: on the night on which clocks go back, an hour
    of local times stands there twice.
    """
    overlaps = (bins.keys[1:] == bins.keys[:-1]) & (bins.at[:-1] + bins.step[:-1] > bins.at[1:])
    found = np.flatnonzero(overlaps)
    for row in found[:MAX_PROBLEMS]:
        first, second = sorted((int(bins.lines[row]), int(bins.lines[row + 1])))
        starts = {int(bins.at[row]), int(bins.at[row + 1])}
        problems.add(file, second, "timestamp", _reason(first, starts, starts <= set(without_zone)))
    problems.count += max(0, len(found) - MAX_PROBLEMS)


def _reason(first: int, starts: set[int], are_without_zone: bool) -> str:
    said = f"covers time that line {first} covers already"
    change = hour_that_came_twice(max(starts)) if are_without_zone else None
    if change is None:
        return f"{said}; keep one of the two"
    clock = datetime.fromtimestamp(max(starts), UTC)
    return (
        f"{said}: times without an offset are taken as UTC, and {change.day} is the night on which the clocks went "
        f"back in {change.where}, where {clock:%H:%M} came twice. If these are local times, write their offsets: "
        f"{change.before} at first, {change.after} after the clocks went back. If they are not, keep one of the two"
    )
