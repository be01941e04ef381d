"""A cache that may be lost at any time: where Redis does not answer, every read is a miss and every write a no-op."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import redis
import structlog
from django.core.cache.backends.redis import RedisCache

from apps.core import redis_watch

logger = structlog.get_logger(__name__)


class TolerantRedisCache(RedisCache):
    """Django's Redis cache, whose failures cost a miss instead of a page."""

    breaker = redis_watch.breaker

    def _try(self, operation: Callable[[], Any], otherwise: Any) -> Any:
        try:
            with redis_watch.guard(self.breaker):
                return operation()
        except redis_watch.RedisSilent:
            return otherwise
        except (redis.RedisError, OSError) as error:
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
