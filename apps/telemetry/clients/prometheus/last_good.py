"""Keeps the last good answer to a query, to show it with its age while a source is down.

The answers are derived data in the cache. Losing them loses only this convenience.
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
import zlib
from collections.abc import Callable
from typing import Any, Protocol

#: Larger answers would take too much of a shared cache.
MAX_STORED_BYTES = 512 * 1024
KEPT_SECONDS = 7 * 24 * 3600


class Cache(Protocol):
    """The part of Django's cache that is used here. Neither method may raise when the cache is down."""

    def get(self, key: str, /) -> Any: ...

    def set(self, key: str, value: Any, /, timeout: float | None = None) -> Any: ...


class LastGood:
    """Kept answers, by the digest of their query.

    Parameters:
        cache: stores the answers; with ``None`` nothing is kept.
        scope: identifies the source, by address and tenant.
        now: Unix seconds.
    """

    def __init__(self, cache: Cache | None, scope: str, *, now: Callable[[], float] = time.time) -> None:
        self._cache = cache
        self._scope = scope
        self._now = now

    def _key(self, question: str) -> str:
        return "telemetry:last-good:" + hashlib.sha256(f"{self._scope}\n{question}".encode()).hexdigest()

    def keep(self, question: str, answer: dict[str, Any]) -> None:
        """Keep an answer that came just now."""
        if self._cache is None:
            return
        packed = zlib.compress(json.dumps(answer, separators=(",", ":")).encode(), level=1)
        if len(packed) <= MAX_STORED_BYTES:
            kept = {"at": self._now(), "packed": base64.b64encode(packed).decode()}
            self._cache.set(self._key(question), kept, timeout=KEPT_SECONDS)

    def recall(self, question: str) -> tuple[dict[str, Any], float] | None:
        """Return the last answer to this question and its age in seconds, or ``None``."""
        kept = self._cache.get(self._key(question)) if self._cache is not None else None
        if not isinstance(kept, dict):
            return None
        answer: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(kept["packed"])))
        return answer, max(0.0, self._now() - kept["at"])
