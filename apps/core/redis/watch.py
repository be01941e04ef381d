"""What this process knows about whether Redis answers, shared by all its callers.

Where Redis is frozen or gone, the first caller waits for one timeout. For a few seconds after that all callers go on
without Redis at once, and then one caller tries again.
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
    """Redis did not answer a moment ago, so the call was not made."""


def new_breaker() -> CircuitBreaker:
    """Return a breaker that opens at the first failure."""
    return CircuitBreaker("Redis", failures_to_open=1, open_seconds=QUIET_SECONDS)


breaker = new_breaker()


@contextmanager
def guard(by: CircuitBreaker | None = None) -> Iterator[None]:
    """Let one call to Redis through, and note whether Redis answered.

    Raises :class:`RedisSilent`, a ``redis.ConnectionError``, while Redis counts as silent.
    """
    try:
        with (breaker if by is None else by).guard(counts=_is_silence):
            yield
    except CircuitOpen as error:
        raise RedisSilent(f"Redis did not answer; next attempt in {error.retry_after:.0f} s.") from None


def _is_silence(error: Exception) -> bool:
    # A refusal is an answer: out of memory, no disk to save to, an unknown script.
    return isinstance(error, redis.ConnectionError | redis.TimeoutError | OSError)


def is_silent() -> bool:
    """Return whether Redis does not answer. Asks it only where the last call failed, as seldom as others do."""
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
