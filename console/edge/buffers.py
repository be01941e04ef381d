"""Buffers for waiting bodies and answers: small ones in memory, the rest in a temporary file, all in one budget."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

IN_MEMORY_BYTES = 256 * 1024
PIECE_BYTES = 64 * 1024


class BudgetSpent(Exception):
    """The buffers already take all the room that they may."""


class Budget:
    """The bytes that all clients' buffers may take together."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.taken_bytes = 0

    def take(self, count: int) -> None:
        """Take room for ``count`` bytes. Raises `BudgetSpent`, and takes nothing, where they do not fit."""
        if self.taken_bytes + count > self.limit_bytes:
            raise BudgetSpent
        self.taken_bytes += count

    def give_back(self, count: int) -> None:
        self.taken_bytes -= count


class Buffer:
    """Bytes that were received and not yet passed on. ``close`` frees their room."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_BYTES)  # noqa: SIM115 - closed by `close`
        self.size = 0

    def write(self, data: bytes) -> None:
        """Append bytes. Raises `BudgetSpent`, and `OSError` where the disk is full; earlier bytes stay."""
        self._budget.take(len(data))
        try:
            self._file.write(data)
        except OSError:
            self._budget.give_back(len(data))
            raise
        self.size += len(data)

    def pieces(self) -> Iterator[bytes]:
        """Yield all bytes from the beginning, in pieces of at most 64 KB."""
        self._file.seek(0)
        while piece := self._file.read(PIECE_BYTES):
            yield piece

    def clear(self) -> None:
        """Drop all bytes and free their room."""
        self._file.seek(0)
        self._file.truncate()
        self._budget.give_back(self.size)
        self.size = 0

    def close(self) -> None:
        self._budget.give_back(self.size)
        self.size = 0
        self._file.close()
