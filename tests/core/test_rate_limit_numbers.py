"""What a client is told of its bucket is what the bucket then does."""

from __future__ import annotations

import random
from typing import Any

import pytest

from apps.core.redis.rate_limit import Allowance, Limit, LocalBuckets, api_limit


class Clock:
    now = 500.0

    def __call__(self) -> float:
        return self.now


LIMITS = [Limit(1, 1), Limit(3, 60), Limit(10, 7), Limit(5, 600)]


@pytest.mark.parametrize("limit", LIMITS, ids=str)
def test_after_the_wait_that_it_names_a_bucket_gives_and_not_a_second_before(limit: Limit) -> None:
    clock = Clock()
    buckets = LocalBuckets(clock)
    given = [buckets.take("a", limit) for _ in range(limit.burst)]
    assert all(each.is_allowed for each in given)
    refused = buckets.take("a", limit)
    assert not refused.is_allowed
    assert refused.remaining == 0
    assert refused.retry_after == max(1, -(-60 // limit.per_minute))
    if refused.retry_after > 1:
        clock.now += refused.retry_after - 1
        assert not buckets.take("a", limit).is_allowed
        clock.now += 1
    else:
        clock.now += refused.retry_after
    assert buckets.take("a", limit).is_allowed


@pytest.mark.parametrize("limit", LIMITS, ids=str)
def test_after_the_reset_that_it_names_a_bucket_is_full(limit: Limit) -> None:
    clock = Clock()
    buckets = LocalBuckets(clock)
    for _ in range(limit.burst):
        last = buckets.take("a", limit)
    assert last.headers == {
        "RateLimit-Limit": str(limit.burst),
        "RateLimit-Remaining": "0",
        "RateLimit-Reset": str(last.reset_after),
    }
    clock.now += last.reset_after
    assert [buckets.take("a", limit).is_allowed for _ in range(limit.burst)] == [True] * limit.burst
    assert not buckets.take("a", limit).is_allowed


@pytest.mark.parametrize("limit", LIMITS, ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_whatever_the_pace_nobody_gets_more_than_a_burst_and_the_rate(limit: Limit, seed: int) -> None:
    draw, clock = random.Random(seed), Clock()
    buckets = LocalBuckets(clock)
    given, passed = 0, 0.0
    for _ in range(300):
        step = draw.choice([0.0, 0.0, 0.01, 0.5, 3.0, -2.0])
        clock.now += step
        passed += max(0.0, step)
        given += buckets.take("a", limit).is_allowed
        assert given <= limit.burst + passed * limit.per_second + 1e-6
    assert given >= limit.burst


def test_a_clock_that_goes_back_gives_nothing_and_takes_nothing() -> None:
    clock = Clock()
    buckets = LocalBuckets(clock)
    assert buckets.take("a", Limit(3, 60)).remaining == 2
    clock.now -= 100
    assert buckets.take("a", Limit(3, 60)).remaining == 1


def test_what_is_left_is_counted_in_whole_requests() -> None:
    limit = Limit(5, 60)
    assert (Allowance(limit, True, 1.0).retry_after, Allowance(limit, True, 0.999).retry_after) == (0, 1)
    assert (Allowance(limit, True, 2.9).remaining, Allowance(limit, True, 2.9).reset_after) == (2, 3)


def test_the_limit_of_the_api_is_that_of_the_settings(settings: Any) -> None:
    settings.API_RATE_BURST, settings.API_RATE_PER_MINUTE = 7, 30
    assert api_limit() == Limit(burst=7, per_minute=30)
