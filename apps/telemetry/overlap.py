"""Finds bins that cover the same time twice, in files of any size. For workers and commands: needs numpy."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from apps.telemetry.clients.csv_rows import MAX_PROBLEMS, Problems
from apps.telemetry.clients.files import Integers


@dataclass(slots=True)
class OverlapCheck:
    """Collects a file's bins, 28 bytes each, and names those that begin before the one before them ends."""

    file: str
    _keys: list[Integers] = field(default_factory=list)
    _at: list[Integers] = field(default_factory=list)
    _step: list[np.ndarray] = field(default_factory=list)
    _lines: list[Integers] = field(default_factory=list)

    def add(self, keys: Integers, at: Integers, step: Integers, lines: Integers) -> None:
        """Remember some bins."""
        self._keys.append(keys)
        self._at.append(at)
        self._step.append(step.astype(np.int32))
        self._lines.append(lines)

    def report(self, problems: Problems) -> None:
        """Report each bin that overlaps the one before it."""
        if not self._keys:
            return
        keys, at = np.concatenate(self._keys), np.concatenate(self._at)
        step, lines = np.concatenate(self._step), np.concatenate(self._lines)
        order = np.lexsort((lines, at, keys))
        keys, at, step, lines = keys[order], at[order], step[order], lines[order]
        overlaps = (keys[1:] == keys[:-1]) & (at[:-1] + step[:-1] > at[1:])
        found = np.flatnonzero(overlaps)
        for row in found[:MAX_PROBLEMS]:
            first, second = sorted((int(lines[row]), int(lines[row + 1])))
            reason = f"covers time that line {first} covers already; keep one of the two"
            problems.add(self.file, second, "timestamp", reason)
        problems.count += max(0, len(found) - MAX_PROBLEMS)
