"""A bucket gives what it holds, fills at its rate, and works without Redis."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from apps.core.errors import RateLimited
from apps.core.redis import rate_limit
from apps.core.redis import watch as redis_watch
from apps.core.redis.rate_limit import Limit, LocalBuckets, take, take_or_refuse

THREE = Limit(burst=3, per_minute=60)
SLOW = Limit(burst=3, per_minute=1)


@pytest.fixture
def client() -> str:
    return uuid.uuid4().hex


@pytest.fixture
def without_redis(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    monkeypatch.setattr(redis_watch, "breaker", redis_watch.new_breaker())


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_holds_its_burst_and_no_more(client: str) -> None:
    left = [take(client, SLOW) for _ in range(4)]
    assert [one.is_allowed for one in left] == [True, True, True, False]
    assert [one.remaining for one in left] == [2, 1, 0, 0]
    assert 0 < left[-1].retry_after <= 60


def test_the_bucket_in_redis_is_shared(client: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limit, "_local", LocalBuckets())
    for _ in range(3):
        take(client, SLOW)
    monkeypatch.setattr(rate_limit, "_local", LocalBuckets())  # as in another process
    assert take(client, SLOW).is_allowed is False


def test_clients_do_not_share_a_bucket(client: str) -> None:
    for _ in range(4):
        take(client, SLOW)
    assert take(client + "-other", SLOW).is_allowed


def test_a_bucket_in_redis_is_forgotten_when_it_is_full_again(client: str) -> None:
    from django.conf import settings
    from django.core.cache import cache

    take(client, THREE)
    key = cache.make_key(f"rate:{settings.INSTALLATION_ID}:{client}")
    assert 0 < rate_limit._client(settings.REDIS_URL).ttl(key) <= 4


def test_the_local_bucket_fills_at_its_rate() -> None:
    clock = Clock()
    buckets = LocalBuckets(clock)
    assert [buckets.take("a", THREE).is_allowed for _ in range(4)] == [True, True, True, False]
    clock.now += 0.5
    assert buckets.take("a", THREE).is_allowed is False
    clock.now += 0.5
    assert buckets.take("a", THREE).is_allowed is True
    clock.now += 3600
    assert buckets.take("a", THREE).remaining == 2


def test_the_local_buckets_are_bounded() -> None:
    buckets = LocalBuckets(Clock(), capacity=2)
    for name in ("a", "a", "b", "c"):
        buckets.take(name, THREE)
    assert buckets.take("c", THREE).remaining == 1
    assert buckets.take("a", THREE).remaining == 2  # forgotten, so full again


@pytest.mark.usefixtures("without_redis")
def test_the_limit_holds_in_this_process_while_redis_is_away(client: str) -> None:
    assert [take(client, SLOW).is_allowed for _ in range(4)] == [True, True, True, False]


def test_a_refusal_says_when_to_come_back(client: str) -> None:
    for _ in range(3):
        take_or_refuse(client, SLOW)
    with pytest.raises(RateLimited) as refusal:
        take_or_refuse(client, SLOW)
    seconds = int(refusal.value.headers["Retry-After"])
    assert 0 < seconds <= 60
    assert refusal.value.headers["RateLimit-Limit"] == "3"
    assert refusal.value.headers["RateLimit-Remaining"] == "0"
