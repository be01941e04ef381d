"""What a short record shows by itself, and how much it leaves to the prior."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.special import gammaincinv

from apps.engine.archetypes import Archetypes
from apps.engine.forecast.evidence import DOUBT, Evidence, Prior, independent_failures
from apps.engine.published import archetype_prior, published_prior
from apps.engine.types import TIER_BREACH_PROBABILITY, Floats

ARCHETYPES = Archetypes.built_in()
PRIORS = [archetype_prior(each) for each in ARCHETYPES.by_name.values()] + [
    published_prior(sla, ARCHETYPES.get("external")) for sla in (0.9, 0.9995)
]


@st.composite
def records(draw: st.DrawFn) -> tuple[Floats, Floats, float]:
    """Requests and failures of 1 to 7 days, hour by hour or in other bins, even or in bursts; and the days."""
    bins_a_day = draw(st.sampled_from([1, 24, 288]))
    days = draw(st.integers(1, 6))
    generator = np.random.default_rng(draw(st.integers(0, 2**31)))
    total = generator.poisson(draw(st.sampled_from([20, 1_000, 100_000])), days * bins_a_day) + 1.0
    spread = draw(st.sampled_from([0.0, 0.5, 2.5]))
    shape = generator.lognormal(0.0, spread, total.size) if spread else np.ones(total.size)
    rates = np.minimum(1.0, draw(st.sampled_from([0.0, 1e-5, 1e-3, 0.04, 0.6])) * shape / shape.mean())
    bad = generator.binomial(total.astype(int), rates).astype(np.float64)
    return total.astype(np.float64), bad, float(days)


def evidence_of(total: Floats, bad: Floats, days: float, prior: Prior = PRIORS[0]) -> Evidence:
    return Evidence.of(total, bad[None], days, prior)


@given(records(), st.sampled_from(PRIORS))
def test_no_record_is_worth_more_than_its_failures_nor_clearly_fails_more_than_it_did(
    record: tuple[Floats, Floats, float], prior: Prior
) -> None:
    total, bad, days = record
    found = evidence_of(total, bad, days, prior)
    assert 0 <= independent_failures(total, bad[None])[0] <= bad.sum()
    assert 0 <= found.lowest[0] <= bad.sum() / total.sum()
    assert 0 < found.weight[0] < 1
    for chance in TIER_BREACH_PROBABILITY.values():
        expected = found.expected_of_its_kind(prior, chance)[0]
        assert prior.quantiles[chance] <= expected <= 1
        assert expected >= found.lowest[0]


@given(records(), st.integers(2, 1_000), st.sampled_from(PRIORS))
def test_more_of_the_same_never_says_less(record: tuple[Floats, Floats, float], k: int, prior: Prior) -> None:
    total, bad, days = record
    one, many = evidence_of(total, bad, days, prior), evidence_of(k * total, k * bad, days, prior)
    assert many.lowest[0] >= one.lowest[0] * (1 - 1e-12)
    assert many.weight[0] <= one.weight[0] * (1 + 1e-12)


@given(st.sampled_from([1e-4, 1e-2, 0.3]), st.integers(1, 3), st.sampled_from(PRIORS))
def test_twice_the_days_of_the_same_leave_less_to_the_prior(rate: float, days: int, prior: Prior) -> None:
    total = np.full(days * 24, 10_000.0)
    short = evidence_of(total, rate * total, days, prior)
    long = evidence_of(np.tile(total, 2), rate * np.tile(total, 2), 2 * days, prior)
    assert long.weight[0] < short.weight[0]
    assert long.lowest[0] >= short.lowest[0]


@given(st.integers(0, 2**31), st.integers(2, 6))
def test_failures_in_one_burst_are_worth_hardly_more_than_one(seed: int, days: int) -> None:
    generator = np.random.default_rng(seed)
    total = np.full(days * 24, 5_000.0)
    even, burst = np.full(total.size, 20.0), np.zeros(total.size)
    burst[int(generator.integers(total.size))] = even.sum()
    spread, together = independent_failures(total, np.stack([even, burst]))
    assert spread == even.sum()
    assert together < 1.1
    steady, at_once = evidence_of(total, even, days), evidence_of(total, burst, days)
    assert at_once.lowest[0] < 0.1 * steady.lowest[0]
    assert at_once.weight[0] > steady.weight[0]


def test_independent_failures_are_counted_as_they_are() -> None:
    generator = np.random.default_rng(7)
    total = np.full(96, 10_000.0)
    bad = generator.poisson(50.0, (400, 96)).astype(float)
    worth = independent_failures(total, bad) / bad.sum(axis=1)
    # Few stretches leave doubt, which counts against the record.
    assert 0.3 < float(np.median(worth)) <= 1
    lowest = Evidence.of(total, bad, 4.0, PRIORS[0]).lowest
    assert float(np.mean(lowest > 50.0 / 10_000)) <= DOUBT


def test_the_level_that_was_clearly_counted_is_garwoods() -> None:
    # Both bins have the same failures, so all 100 failures count as independent.
    found = evidence_of(np.full(2, 50_000.0), np.full(2, 50.0), 2.0)
    assert found.lowest[0] == pytest.approx(gammaincinv(100, DOUBT) / 100_000)


@given(records(), st.floats(0.0, 1.0))
def test_a_record_scaled_down_never_clearly_fails_more(
    record: tuple[Floats, Floats, float], scale: float
) -> None:
    total, bad, days = record
    assume(bad.sum() > 0)
    found = Evidence.of(total, np.stack([bad, scale * bad]), days, PRIORS[0]).lowest
    assert found[1] <= found[0] * (1 + 1e-12)


@given(records(), st.integers(2, 6))
def test_each_record_reads_alike_alone_and_in_company(
    record: tuple[Floats, Floats, float], rows: int
) -> None:
    total, bad, days = record
    many = np.stack([bad / (1 + row) for row in range(rows)])
    together = Evidence.of(total, many, days, PRIORS[0])
    for row in range(rows):
        alone = Evidence.of(total, many[row : row + 1], days, PRIORS[0])
        assert alone.lowest[0] == pytest.approx(together.lowest[row], rel=1e-12)
        assert alone.weight[0] == pytest.approx(together.weight[row], rel=1e-12)


def test_from_a_week_on_nothing_is_left_to_the_prior() -> None:
    total = np.full(7 * 24, 100.0)
    assert evidence_of(total, np.zeros(total.size), 7.0).weight[0] == 0
    assert evidence_of(total[:-1], np.zeros(total.size - 1), 7 - 1 / 24).weight[0] > 0
