"""Rate limits: a token bucket for each client, in Redis, or in this process while Redis is away.

A bucket holds up to ``burst`` tokens and gains ``per_minute`` a minute; each request takes one.
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache as once

import redis
import structlog
from django.conf import settings
from django.core.cache import cache

from apps.core.errors import RateLimited
from apps.core.redis import watch as redis_watch

logger = structlog.get_logger(__name__)

TIMEOUT_SECONDS = 0.2  # seconds that a request waits for its limit
MAX_LOCAL_BUCKETS = 10_000

# It uses Redis's clock, so that web processes whose clocks differ share one bucket.
_TAKE = """
local burst, per_second = tonumber(ARGV[1]), tonumber(ARGV[2])
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
if redis.call('TYPE', KEYS[1]).ok ~= 'hash' then redis.call('DEL', KEYS[1]) end
local held = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens = tonumber(held[1]) or burst
local at = tonumber(held[2]) or now
-- What stands there is not believed: a number that is none makes a full bucket, a debt is none, a time to come is now.
if tokens ~= tokens then tokens = burst end
tokens = math.max(0, tokens)
if at ~= at or at > now then at = now end
tokens = math.min(burst, tokens + math.max(0, now - at) * per_second)
local allowed = 0
if tokens >= 1 then
  tokens = tokens - 1
  allowed = 1
end
redis.call('HSET', KEYS[1], 'tokens', string.format('%.6f', tokens), 'at', string.format('%.6f', now))
redis.call('EXPIRE', KEYS[1], math.ceil(burst / per_second) + 1)
return {allowed, string.format('%.6f', tokens)}
"""


@dataclass(frozen=True, slots=True)
class Limit:
    """``per_minute`` requests a minute in the long run, and up to ``burst`` at once."""

    burst: int
    per_minute: int

    @property
    def per_second(self) -> float:
        return self.per_minute / 60


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left of a client's limit after one request. Times are in seconds."""

    limit: Limit
    is_allowed: bool
    tokens: float

    @property
    def remaining(self) -> int:
        return int(self.tokens)

    @property
    def retry_after(self) -> int:
        """Seconds until the next request is allowed."""
        return 0 if self.tokens >= 1 else max(1, math.ceil((1 - self.tokens) / self.limit.per_second))

    @property
    def reset_after(self) -> int:
        """Seconds until the bucket is full again."""
        return math.ceil((self.limit.burst - self.tokens) / self.limit.per_second)

    @property
    def headers(self) -> dict[str, str]:
        return {
            "RateLimit-Limit": str(self.limit.burst),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(self.reset_after),
        }


class LocalBuckets:
    """The fallback: buckets of this process. The least recently used is dropped first."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, capacity: int = MAX_LOCAL_BUCKETS
    ) -> None:
        self._clock = clock
        self._capacity = capacity
        self._lock = threading.Lock()
        self._held: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str, limit: Limit) -> Allowance:
        now = self._clock()
        with self._lock:
            tokens, at = self._held.pop(key, (float(limit.burst), now))
            tokens = min(limit.burst, tokens + max(0.0, now - at) * limit.per_second)
            is_allowed = tokens >= 1
            if is_allowed:
                tokens -= 1
            self._held[key] = (tokens, now)
            while len(self._held) > self._capacity:
                self._held.popitem(last=False)
        return Allowance(limit, is_allowed, tokens)


_local = LocalBuckets()


@once
def _client(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS)


def take(client: str, limit: Limit) -> Allowance:
    """Take one token from a client's bucket, if there is one, and return what is left."""
    key = cache.make_key(f"rate:{settings.INSTALLATION_ID}:{client}")
    try:
        with redis_watch.guard():
            allowed, tokens = _client(settings.REDIS_URL).eval(_TAKE, 1, key, limit.burst, limit.per_second)
        return Allowance(limit, bool(allowed), float(tokens))
    except redis_watch.RedisSilent:
        pass
    except (redis.RedisError, OSError) as error:
        logger.warning("rate_limit.local", error=repr(error))
    return _local.take(key, limit)


def api_limit() -> Limit:
    """Return the limit of the API, from the settings."""
    return Limit(burst=settings.API_RATE_BURST, per_minute=settings.API_RATE_PER_MINUTE)


def take_or_refuse(client: str, limit: Limit) -> Allowance:
    """Take one token, or raise :class:`RateLimited` with the seconds to wait."""
    allowance = take(client, limit)
    if not allowance.is_allowed:
        seconds = allowance.retry_after
        raise RateLimited(
            f"One client may send {limit.per_minute} requests a minute, {limit.burst} of them at once. "
            f"Try again in {seconds} s.",
            headers={"Retry-After": str(seconds), **allowance.headers},
        )
    return allowance
