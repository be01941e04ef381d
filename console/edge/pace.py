"""How fast a client moves its bytes, counted only while it is the client's turn."""

from __future__ import annotations

import math
from collections.abc import Callable


class Pace:
    """Bytes a second that a client sends or takes, over the spans between ``start`` and ``stop``.

    ``moved`` returns how many bytes it has moved in all, ``now`` the time in seconds. What passes between two spans,
    such as the time in which an answer is made, does not count.
    """

    def __init__(self, moved: Callable[[], int], now: Callable[[], float]) -> None:
        self._moved = moved
        self._now = now
        self._bytes = 0
        self._seconds = 0.0
        self._from: tuple[int, float] | None = None

    def forget(self) -> None:
        """Count from nothing, because another body or answer begins."""
        self._bytes, self._seconds, self._from = 0, 0.0, None

    def start(self) -> None:
        """It is the client's turn from now on."""
        if self._from is None:
            self._from = self._moved(), self._now()

    def stop(self) -> None:
        """The client has done its part for now."""
        self._bytes, self._seconds = self._so_far()
        self._from = None

    def per_s(self, newcomer_s: float) -> float:
        """Return bytes a second; infinite for one whose turn lasted no longer than ``newcomer_s``."""
        moved, seconds = self._so_far()
        return moved / seconds if seconds > newcomer_s else math.inf

    def _so_far(self) -> tuple[int, float]:
        if self._from is None:
            return self._bytes, self._seconds
        moved, since = self._from
        return self._bytes + self._moved() - moved, self._seconds + self._now() - since
