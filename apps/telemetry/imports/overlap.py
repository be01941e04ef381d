"""Finds bins that cover the same time twice, in files of any size. It needs numpy: for workers and commands."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.telemetry.clients.files.clock_changes import hour_that_came_twice
from apps.telemetry.clients.files.csv_rows import MAX_PROBLEMS, Problems
from apps.telemetry.clients.files.reader import DAY, Floats, Integers

type Whole = NDArray[np.signedinteger[Any]]
"""Whole numbers, with 32 bits where a file has no larger ones, because there are millions of them."""

_NARROW_LIMIT = 2**31 - 2 * DAY
"""Below this limit, 32 bits suffice for a time plus the width of its bin."""


@dataclass(frozen=True, slots=True)
class Bins:
    """The bins of a file, by key and time."""

    keys: Whole
    at: Whole
    step: Whole
    lines: Whole
    total: Floats


@dataclass(slots=True)
class BinsOfFile:
    """Collects a file's bins, 24 bytes each where 32 bits suffice, and sorts them once."""

    _keys: list[Whole] = field(default_factory=list)
    _at: list[Whole] = field(default_factory=list)
    _step: list[Whole] = field(default_factory=list)
    _lines: list[Whole] = field(default_factory=list)
    _total: list[Floats] = field(default_factory=list)

    def add(self, keys: Integers, at: Integers, step: Integers, lines: Integers, total: Floats) -> None:
        """Add some bins."""
        if not len(keys):
            return
        self._keys.append(_narrow(keys))
        self._at.append(_narrow(at))
        self._step.append(_narrow(step))
        self._lines.append(_narrow(lines))
        self._total.append(total)

    def in_order(self) -> Bins | None:
        """Return all bins in the order of key, time and line, or ``None`` without any. None are kept here afterwards.

        Columns are joined one after the other, so that only one of them needs its memory twice.
        """
        if not self._keys:
            return None
        keys, at, lines = _joined(self._keys), _joined(self._at), _joined(self._lines)
        if _are_in_order(keys, at, lines):
            return Bins(keys, at, _joined(self._step), lines, _joined(self._total))
        order = np.lexsort((lines, at, keys))
        keys, at, lines = keys[order], at[order], lines[order]
        return Bins(keys, at, _joined(self._step)[order], lines, _joined(self._total)[order])


def _narrow(values: Integers) -> Whole:
    fits = values.min() > -_NARROW_LIMIT and values.max() < _NARROW_LIMIT
    return values.astype(np.int32) if fits else values


def _joined[NumberT: np.generic](parts: list[NDArray[NumberT]]) -> NDArray[NumberT]:
    whole = np.concatenate(parts)
    parts.clear()
    return whole


def _are_in_order(keys: Whole, at: Whole, lines: Whole) -> bool:
    later = (at[1:] > at[:-1]) | ((at[1:] == at[:-1]) & (lines[1:] > lines[:-1]))
    return bool(np.all((keys[1:] > keys[:-1]) | ((keys[1:] == keys[:-1]) & later)))


def report_overlaps(file: str, bins: Bins, without_zone: Collection[int], problems: Problems) -> None:
    """Report each bin that begins before the one before it ends.

    ``without_zone`` are the starts that the file gives without an offset. In local times, an hour occurs twice in the
    night in which clocks go back.
    """
    overlaps = (bins.keys[1:] == bins.keys[:-1]) & (bins.at[:-1] + bins.step[:-1] > bins.at[1:])
    found = np.flatnonzero(overlaps)
    for row in found[:MAX_PROBLEMS]:
        first, second = sorted((int(bins.lines[row]), int(bins.lines[row + 1])))
        starts = {int(bins.at[row]), int(bins.at[row + 1])}
        problems.add(file, second, "timestamp", _reason(first, starts, starts <= set(without_zone)))
    problems.count += max(0, len(found) - MAX_PROBLEMS)


def _reason(first: int, starts: set[int], are_without_zone: bool) -> str:
    fault = f"covers time that line {first} covers already"
    change = hour_that_came_twice(max(starts)) if are_without_zone else None
    if change is None:
        return f"{fault}; keep one of the two"
    clock = datetime.fromtimestamp(max(starts), UTC)
    return (
        f"{fault}: times without an offset are taken as UTC, and {change.day} is the night when the clocks went "
        f"back in {change.where}, where {clock:%H:%M} came twice. If these are local times, write their offsets: "
        f"{change.before} at first, {change.after} after the clocks went back. If they are not, keep one of the two"
    )
