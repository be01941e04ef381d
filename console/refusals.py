"""Keep refused requests from filling the log: one line a minute for each kind, with their number."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

EVERY_S = 60.0
# Django's loggers for requests that it refuses to read, one for each kind. A failed CSRF check is not among them,
# because a person who cannot sign in needs its reason.
PREFIX = "django.security."
NOT_COUNTED = frozenset({"django.security.csrf"})


class Refusals(logging.Filter):
    """Pass the first refusal of a kind, then one a minute that says how many there were meanwhile.

    The traceback is dropped, because it is Django's own and always the same.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._lock = threading.Lock()
        self._logged_at: dict[str, float] = {}
        self._unsaid: dict[str, int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the line is written."""
        kind = record.name
        if not kind.startswith(PREFIX) or kind in NOT_COUNTED:
            return True
        record.exc_info = record.exc_text = None
        with self._lock:
            now = self._clock()
            if kind in self._logged_at and now - self._logged_at[kind] < EVERY_S:
                self._unsaid[kind] = self._unsaid.get(kind, 0) + 1
                return False
            self._logged_at[kind] = now
            unsaid = self._unsaid.pop(kind, 0)
        if unsaid:
            record.msg = f"{record.getMessage()[:300]} {unsaid:,} more like it since the last such line."
            record.args = None
        return True
