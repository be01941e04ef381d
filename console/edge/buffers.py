"""Buffers for waiting bodies and answers: small ones in memory, the rest in a temporary file, all in one budget.

No address takes more than its share of the budget, which is enough for the largest request. Where there is no room, the
slowest client gives way.
"""

from __future__ import annotations

import math
import tempfile
from collections import Counter
from collections.abc import Iterator
from typing import Protocol

IN_MEMORY_BYTES = 256 * 1024
PIECE_BYTES = 64 * 1024
FEW_BYTES = 16 * 1024
SHARES = 4
"""One address may take this part of the whole: a quarter."""


class Holder(Protocol):
    """A client as the budget sees it. ``due`` is infinite while Ballast works for it."""

    due: float

    @property
    def pace(self) -> float:
        """Bytes a second that it sends or takes; infinite for one that has only begun."""


class BudgetSpent(Exception):
    """The buffers already take all the room that they may: all together, or those of ``address``."""

    def __init__(self, address: str | None = None) -> None:
        super().__init__(address)
        self.address = address


class Budget:
    """The bytes that all clients' buffers may take together, and those of one address.

    ``largest_bytes`` is what one request may hold. One address always has room for one such request, whatever its share
    is. Raises `ValueError` where it does not fit into the whole.
    """

    def __init__(self, limit_bytes: int, largest_bytes: int = 0) -> None:
        if largest_bytes > limit_bytes:
            raise ValueError(f"a request of {largest_bytes:,} bytes does not fit into {limit_bytes:,} bytes")
        self.limit_bytes = limit_bytes
        self.share_bytes = max(limit_bytes // SHARES, largest_bytes)
        self.taken_bytes = 0
        self._by_address: Counter[str] = Counter()
        self._buffers: set[Buffer] = set()

    def take(self, count: int, buffer: Buffer) -> None:
        """Take room for ``count`` bytes. Raises `BudgetSpent`, and takes nothing, where they do not fit."""
        if self._by_address[buffer.address] + count > self.share_bytes:
            raise BudgetSpent(buffer.address)
        if self.taken_bytes + count > self.limit_bytes:
            raise BudgetSpent
        self.taken_bytes += count
        self._by_address[buffer.address] += count
        self._buffers.add(buffer)

    def give_back(self, count: int, buffer: Buffer) -> None:
        self.taken_bytes -= count
        self._by_address[buffer.address] -= count
        if self._by_address[buffer.address] <= 0:
            del self._by_address[buffer.address]

    def forget(self, buffer: Buffer) -> None:
        """Give back all that a buffer takes."""
        if buffer in self._buffers:
            self._buffers.remove(buffer)
            self.give_back(buffer.size, buffer)

    def slowest(self, *, but: Holder, address: str | None) -> Holder | None:
        """Return who must give way to ``but``, of one address or of all; ``None`` where ``but`` is the slowest itself.

        Those with only a few bytes come last: it takes many of them to make room. None gives way that is worked for.
        """
        waiting = [
            buffer
            for buffer in self._buffers
            if buffer.holder is not but
            and not math.isinf(buffer.holder.due)
            and address in (None, buffer.address)
            and buffer.holder.pace < but.pace
        ]
        found = min(waiting, key=lambda one: (one.size < FEW_BYTES, one.holder.pace), default=None)
        return found.holder if found is not None else None


class Buffer:
    """Bytes of ``holder`` that were received and not yet passed on. ``close`` frees their room."""

    def __init__(self, budget: Budget, holder: Holder, address: str) -> None:
        self.holder = holder
        self.address = address
        self._budget = budget
        self._file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_BYTES)  # noqa: SIM115 - closed by `close`
        self.size = 0

    def write(self, data: bytes) -> None:
        """Append bytes. Raises `BudgetSpent`, and `OSError` where the disk is full; earlier bytes stay."""
        self._budget.take(len(data), self)
        try:
            self._file.write(data)
        except OSError:
            self._budget.give_back(len(data), self)
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
        self._budget.forget(self)
        self.size = 0

    def close(self) -> None:
        self._budget.forget(self)
        self.size = 0
        self._file.close()
