"""The cache may vanish at any time; whoever reads from it sees a miss."""

from __future__ import annotations

import pytest

from apps.core.redis import watch as redis_watch
from apps.core.redis.cache import TolerantRedisCache
from apps.core.resilience import BreakerState

NOWHERE = "redis://127.0.0.1:1/0"


@pytest.fixture
def lost() -> TolerantRedisCache:
    """A cache whose Redis is gone."""

    class Lost(TolerantRedisCache):
        """With a breaker of its own, so that its silence is not everybody's."""

        breaker = redis_watch.new_breaker()

    return Lost(NOWHERE, {"OPTIONS": {"socket_connect_timeout": 0.5}})


def test_a_lost_cache_misses(lost: TolerantRedisCache) -> None:
    assert lost.get("a") is None
    assert lost.get("a", "otherwise") == "otherwise"
    assert lost.get_many(["a", "b"]) == {}


def test_a_lost_cache_takes_writes_without_complaint(lost: TolerantRedisCache) -> None:
    lost.set("a", 1)
    assert lost.set_many({"a": 1}) == []
    assert lost.add("a", 1) is False
    assert lost.delete("a") is False
    lost.delete_many(["a"])
    assert lost.get("a") is None


def test_a_lost_cache_is_left_alone_for_a_while(lost: TolerantRedisCache) -> None:
    lost.get("a")
    assert lost.breaker.state is BreakerState.OPEN
    assert TolerantRedisCache.breaker.state is BreakerState.CLOSED


@pytest.mark.django_db
def test_a_present_cache_keeps_what_it_is_given() -> None:
    from django.core.cache import cache

    cache.set("a", {"b": 1})
    assert cache.get("a") == {"b": 1}
    assert cache.get_many(["a", "c"]) == {"a": {"b": 1}}
    assert cache.add("a", 2) is False
    cache.delete("a")
    assert cache.get("a") is None
