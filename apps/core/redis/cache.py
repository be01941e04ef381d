"""A cache that may be lost at any time and whose contents are not trusted.

Where Redis does not answer, every read is a miss and every write a no-op. Values are JSON, signed together with their
key and expiry; anything else under a key is a miss, too. Tuples come back as lists, and callers turn values that JSON
lacks into text.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import redis
import structlog
from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from django.core.cache.backends.redis import RedisCache

from apps.core.redis import watch as redis_watch
from apps.core.redis.signing import Unreadable, opened, signed

logger = structlog.get_logger(__name__)

_MISSING = object()


class _AsTheyAre:
    """A serializer for Django that passes bytes through: they are made and read here, where the key is known."""

    def dumps(self, value: bytes) -> bytes:
        return value

    def loads(self, data: bytes) -> bytes:
        return data


class TolerantRedisCache(RedisCache):
    """Django's Redis cache, whose failures cost a miss instead of a page."""

    breaker = redis_watch.breaker

    def __init__(self, server: Any, params: dict[str, Any]) -> None:
        options = params.get("OPTIONS", {}) | {"serializer": _AsTheyAre()}
        super().__init__(server, params | {"OPTIONS": options})

    def _try(self, operation: Callable[[], Any], otherwise: Any) -> Any:
        try:
            with redis_watch.guard(self.breaker):
                return operation()
        except redis_watch.RedisSilent:
            return otherwise
        except (
            redis.ResponseError
        ) as error:  # Redis answers, but has something of another type under this key
            logger.warning("cache.unreadable", error=repr(error))
            return otherwise
        except (redis.RedisError, OSError) as error:
            logger.warning("cache.unavailable", error=repr(error))
            return otherwise

    def _packed(self, key: Any, value: Any, timeout: Any, version: Any) -> bytes:
        seconds = self.default_timeout if timeout is DEFAULT_TIMEOUT else timeout
        until = None if seconds is None else time.time() + seconds
        return signed(self.make_key(key, version), [until, value])

    def _unpacked(self, key: Any, data: Any, version: Any) -> Any:
        """Return the value that was stored under this key and has not expired, else ``_MISSING``."""
        if data is None:
            return _MISSING
        try:
            until, value = opened(self.make_key(key, version), data)
        except Unreadable as error:
            logger.info("cache.unreadable", error=str(error))
            return _MISSING
        return value if until is None or time.time() < until else _MISSING

    def get(self, key: Any, default: Any = None, version: Any = None) -> Any:
        data = self._try(lambda: super(TolerantRedisCache, self).get(key, None, version), None)
        value = self._unpacked(key, data, version)
        return default if value is _MISSING else value

    def get_many(self, keys: Any, version: Any = None) -> Any:
        found = self._try(lambda: super(TolerantRedisCache, self).get_many(keys, version), {})
        values = {key: self._unpacked(key, data, version) for key, data in found.items()}
        return {key: value for key, value in values.items() if value is not _MISSING}

    def has_key(self, key: Any, version: Any = None) -> bool:
        return self.get(key, _MISSING, version) is not _MISSING

    def set(self, key: Any, value: Any, timeout: Any = 300, version: Any = None, **kwargs: Any) -> None:
        data = self._packed(key, value, timeout, version)
        self._try(lambda: super(TolerantRedisCache, self).set(key, data, timeout, version, **kwargs), None)

    def set_many(self, data: Any, timeout: Any = 300, version: Any = None) -> Any:
        packed = {key: self._packed(key, value, timeout, version) for key, value in data.items()}
        return self._try(lambda: super(TolerantRedisCache, self).set_many(packed, timeout, version), [])

    def add(self, key: Any, value: Any, timeout: Any = 300, version: Any = None) -> bool:
        data = self._packed(key, value, timeout, version)
        return bool(
            self._try(lambda: super(TolerantRedisCache, self).add(key, data, timeout, version), False)
        )

    def touch(self, key: Any, timeout: Any = 300, version: Any = None) -> bool:
        value = self.get(key, _MISSING, version)
        if value is _MISSING:
            return False
        self.set(key, value, timeout, version)
        return True

    def incr(self, key: Any, delta: int = 1, version: Any = None) -> int:
        """Count by reading and then writing: two calls at once may count as one."""
        return BaseCache.incr(self, key, delta, version)

    def delete(self, key: Any, version: Any = None) -> bool:
        return bool(self._try(lambda: super(TolerantRedisCache, self).delete(key, version), False))

    def delete_many(self, keys: Any, version: Any = None) -> None:
        self._try(lambda: super(TolerantRedisCache, self).delete_many(keys, version), None)
