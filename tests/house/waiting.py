"""Waiting for something to become true, with a deadline."""

from __future__ import annotations

import threading
from collections.abc import Callable

from console.embedded.state import port_is_free

DEADLINE_S = 40.0


def until(holds: Callable[[], object], what: str, *, deadline_s: float = DEADLINE_S) -> None:
    """Return as soon as ``holds()`` is true; fail with ``what`` when it is not in time."""
    pause = threading.Event()
    for _ in range(int(deadline_s / 0.05)):
        if holds():
            return
        pause.wait(0.05)
    raise AssertionError(f"Still not so after {deadline_s:.0f} s: {what}")


def until_free(port: int) -> None:
    """Return when nobody listens on ``port`` any more."""
    until(lambda: port_is_free(port), f"port {port} is free")
