"""A cache that may be lost at any time: where Redis does not answer, every read is a miss and every write a no-op."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import redis
import structlog
from django.core.cache.backends.redis import RedisCache

logger = structlog.get_logger(__name__)

QUIET_SECONDS = (
    5.0  # after a failure Redis is left alone for this long, so that pages don't wait for it one by one
)


class TolerantRedisCache(RedisCache):
    """Django's Redis cache, whose failures cost a miss instead of a page."""

    _silent_until = 0.0

    def _try(self, operation: Callable[[], Any], otherwise: Any) -> Any:
        cls = type(self)
        if time.monotonic() < cls._silent_until:
            return otherwise
        try:
            return operation()
        except (redis.RedisError, OSError) as error:
            cls._silent_until = time.monotonic() + QUIET_SECONDS
            logger.warning("cache.unavailable", error=repr(error))
            return otherwise

    def get(self, key: Any, default: Any = None, version: Any = None) -> Any:
        return self._try(lambda: super(TolerantRedisCache, self).get(key, default, version), default)

    def get_many(self, keys: Any, version: Any = None) -> Any:
        return self._try(lambda: super(TolerantRedisCache, self).get_many(keys, version), {})

    def set(self, key: Any, value: Any, timeout: Any = 300, version: Any = None, **kwargs: Any) -> None:
        self._try(lambda: super(TolerantRedisCache, self).set(key, value, timeout, version, **kwargs), None)

    def set_many(self, data: Any, timeout: Any = 300, version: Any = None) -> Any:
        return self._try(lambda: super(TolerantRedisCache, self).set_many(data, timeout, version), [])

    def add(self, key: Any, value: Any, timeout: Any = 300, version: Any = None) -> bool:
        return bool(
            self._try(lambda: super(TolerantRedisCache, self).add(key, value, timeout, version), False)
        )

    def delete(self, key: Any, version: Any = None) -> bool:
        return bool(self._try(lambda: super(TolerantRedisCache, self).delete(key, version), False))

    def delete_many(self, keys: Any, version: Any = None) -> None:
        self._try(lambda: super(TolerantRedisCache, self).delete_many(keys, version), None)
