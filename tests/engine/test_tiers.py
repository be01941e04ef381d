"""What must hold for every tier, whatever the data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from apps.engine.recommend import recommend
from apps.engine.types import CountSeries, Floats, ServiceInput
from apps.engine.window.tiers import LEAST_TARGET
from tests.engine.build import end_of, hourly, steady

TIERS = ("conservative", "balanced", "aggressive")


def tiers_of(counts: CountSeries, **options: Any) -> Any:
    document = recommend(ServiceInput("svc", counts=counts), as_of=end_of(counts), **options)
    found: Any = document["availability"]["tiers"]
    return found


@st.composite
def histories(draw: st.DrawFn) -> tuple[Floats, Floats]:
    days = draw(st.integers(2, 45))
    generator = np.random.default_rng(draw(st.integers(0, 2**31)))
    total = generator.poisson(draw(st.sampled_from([5, 80, 3_000])), days * 24).astype(float)
    rate = np.full(total.size, draw(st.sampled_from([0.0, 1e-4, 1e-2, 0.3, 0.6])))
    if draw(st.booleans()):
        at = int(generator.integers(0, total.size - 3))
        rate[at : at + 3] = 0.95
    return total, generator.binomial(total.astype(int), rate).astype(float)


@settings(max_examples=60, deadline=None)
@given(histories(), st.sampled_from([1, 2, 3, 7, 50, 1_000]))
def test_multiplying_every_count_never_widens_an_interval(history: tuple[Floats, Floats], k: int) -> None:
    total, bad = history
    before, after = tiers_of(hourly(total, bad)), tiers_of(hourly(k * total, k * bad))
    assume(before is not None and after is not None)
    for name in TIERS:
        low, high = before[name]["interval"]
        new_low, new_high = after[name]["interval"]
        assert new_high - new_low <= high - low + 2e-10


@settings(max_examples=40, deadline=None)
@given(histories(), st.integers(0, 1_000), st.sampled_from([28, 30]))
def test_tiers_are_ordered_below_one_and_inside_their_intervals(
    history: tuple[Floats, Floats], seed: int, window_days: int
) -> None:
    found = tiers_of(hourly(*history), seed=seed, window_days=window_days)
    assume(found is not None)
    targets = [found[name]["target"] for name in TIERS]
    assert targets == sorted(targets)
    assert targets[0] >= LEAST_TARGET
    assert targets[-1] < 1
    for name in TIERS:
        low, high = found[name]["interval"]
        assert 0 <= low <= found[name]["target"] <= high <= 1


def test_a_service_that_never_failed_still_has_targets_below_one() -> None:
    found = tiers_of(hourly(np.full(60 * 24, 1_000.0), np.zeros(60 * 24)))
    targets = [found[name]["target"] for name in TIERS]
    # Sixty clean days do not rule out an outage every few months: the conservative tier allows for it.
    assert 0.9 < targets[0] < targets[1] < targets[2] < 1
    assert targets[2] > 0.999_99


def test_few_requests_without_failure_do_not_prove_a_high_target() -> None:
    # Some 2,880 requests without a failure are fewer than the 2,995 that 99.9 % needs.
    found = tiers_of(hourly(np.full(60 * 24, 2.0), np.zeros(60 * 24)))
    assert found["balanced"]["target"] < 0.999


def test_failures_in_bursts_lower_the_conservative_target_more_than_the_same_failures_spread_out() -> None:
    total = np.full(90 * 24, 1_000.0)
    spread = np.full(total.size, 1.0)
    burst = np.zeros(total.size)
    burst[1_000:1_003] = 720.0
    assert spread.sum() == burst.sum()
    assert (
        tiers_of(hourly(total, burst))["conservative"]["target"]
        < tiers_of(hourly(total, spread))["conservative"]["target"] - 1e-4
    )


@pytest.mark.parametrize("rate", [1e-4, 1e-2])
def test_steady_services_miss_their_tiers_about_as_often_as_said(rate: float) -> None:
    missed = dict.fromkeys(TIERS, 0)
    rounds = 60
    for seed in range(rounds):
        both = steady(56, per_hour=2_000, rate=rate, seed=seed)
        half = 28 * 24
        past = hourly(both.total[:half], both.bad[:half])
        service = ServiceInput("svc", counts=past, history=None)
        found: Any = recommend(service, as_of=end_of(past))["availability"]
        future = 1 - both.bad[half:].sum() / both.total[half:].sum()
        for name in TIERS:
            missed[name] += future < found["tiers"][name]["target"]
    assert missed["conservative"] <= 0.05 * rounds
    assert missed["balanced"] <= 0.15 * rounds
    assert missed["aggressive"] <= 0.35 * rounds
    assert missed["conservative"] <= missed["balanced"] <= missed["aggressive"]


def test_a_cold_start_gets_lower_targets_than_a_longer_history_of_the_same_service() -> None:
    long = steady(60, rate=1e-3)
    short = hourly(long.total[: 3 * 24], long.bad[: 3 * 24])
    found, longer = tiers_of(short), tiers_of(long)
    for name in TIERS:
        assert found[name]["target"] < longer[name]["target"]
