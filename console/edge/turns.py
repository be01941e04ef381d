"""Who waits for a thread, and whose turn it is."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict, deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from console.edge.web import WebProcess

type Turn = asyncio.Future[WebProcess]


class Turns:
    """Waiting requests, served in turn by address: many from one address delay another address by at most one."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, deque[Turn]] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, address: str) -> Turn:
        turn: Turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(address, deque()).append(turn)
        return turn

    def forget(self, address: str, turn: Turn) -> None:
        with contextlib.suppress(KeyError, ValueError):
            self._waiting[address].remove(turn)
            if not self._waiting[address]:
                del self._waiting[address]

    def take(self) -> Turn:
        """Return whose turn it is. Raises `KeyError` where nobody waits."""
        address, turns = self._waiting.popitem(last=False)
        turn = turns.popleft()
        if turns:
            self._waiting[address] = turns
        return turn
