"""Bodies and answers that wait: small ones in memory, the rest in a temporary file, all within one budget."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

IN_MEMORY_BYTES = 256 * 1024
PIECE_BYTES = 64 * 1024


class BudgetSpent(Exception):
    """What waits for slow clients already takes all the room that there is."""


class Budget:
    """How many bytes may wait at once, for all clients together."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.taken_bytes = 0

    def take(self, count: int) -> None:
        """Raises `BudgetSpent` and takes nothing where ``count`` bytes do not fit."""
        if self.taken_bytes + count > self.limit_bytes:
            raise BudgetSpent
        self.taken_bytes += count

    def give_back(self, count: int) -> None:
        self.taken_bytes -= count


class Buffer:
    """Bytes that were received and not yet passed on. ``close`` gives their room back."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_BYTES)  # noqa: SIM115 - closed by `close`
        self.size = 0

    def write(self, data: bytes) -> None:
        """Raises `BudgetSpent`, and `OSError` where the disk is full; what was written before stays."""
        self._budget.take(len(data))
        try:
            self._file.write(data)
        except OSError:
            self._budget.give_back(len(data))
            raise
        self.size += len(data)

    def pieces(self) -> Iterator[bytes]:
        """All bytes from the beginning, in pieces of at most 64 KB."""
        self._file.seek(0)
        while piece := self._file.read(PIECE_BYTES):
            yield piece

    def clear(self) -> None:
        """Forget everything, and give its room back."""
        self._file.seek(0)
        self._file.truncate()
        self._budget.give_back(self.size)
        self.size = 0

    def close(self) -> None:
        self._budget.give_back(self.size)
        self.size = 0
        self._file.close()
