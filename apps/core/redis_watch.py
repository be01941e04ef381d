"""What this process knows of whether Redis answers, shared by all that use it.

Where Redis is frozen or gone, whoever meets it first waits out one timeout; for a few seconds after that everybody
goes on without Redis at once, and then one caller tries again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import redis
from django.conf import settings

from apps.core.resilience import BreakerState, CircuitBreaker, CircuitOpen

QUIET_SECONDS = 5.0
PING_SECONDS = 0.2


class RedisSilent(redis.ConnectionError):
    """Redis did not answer a moment ago, so it is not asked now."""


def new_breaker() -> CircuitBreaker:
    """Return a breaker that opens at the first failure."""
    return CircuitBreaker("Redis", failures_to_open=1, open_seconds=QUIET_SECONDS)


breaker = new_breaker()


@contextmanager
def guard(by: CircuitBreaker | None = None) -> Iterator[None]:
    """Let one call to Redis through, and learn from how it ends.

    Raises :class:`RedisSilent`, which is a ``redis.ConnectionError``, where Redis is not asked for now.
    """
    try:
        with (breaker if by is None else by).guard(counts=_is_silence):
            yield
    except CircuitOpen as error:
        raise RedisSilent(f"Redis did not answer; next attempt in {error.retry_after:.0f} s.") from None


def _is_silence(error: Exception) -> bool:
    # Refusing is answering: out of memory, no disk to save to, a script that is not known.
    return isinstance(error, redis.ConnectionError | redis.TimeoutError | OSError)


def is_silent() -> bool:
    """Whether Redis does not answer; asks it only where it did not the last time, and not more often than others."""
    if breaker.state is BreakerState.CLOSED:
        return False
    try:
        with guard():
            _client(settings.REDIS_URL).ping()
    except redis.ResponseError:
        return False
    except (redis.RedisError, OSError):
        return True
    return False


@cache
def _client(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, socket_timeout=PING_SECONDS, socket_connect_timeout=PING_SECONDS)
