"""The confidence."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.engine.assessment import assess
from apps.engine.confidence import COLD_START_CEILING, ConfidenceInput, combine, confidence_parts
from apps.engine.reading import read
from apps.engine.recommend import recommend
from apps.engine.types import CountSeries, Quality, ServiceInput
from tests.engine.build import end_of, hourly

GOOD = ConfidenceInput(
    days=90,
    coverage=1.0,
    implausible_share=0.0,
    partial_share=0.0,
    age_seconds=3_600,
    window_requests=1e7,
    needed_requests=30_000,
    target=0.9995,
    interval_width=2e-4,
    is_cold_start=False,
)


def figure(given: ConfidenceInput) -> float:
    return combine(confidence_parts(given), given.is_cold_start)


def test_ninety_good_days_pass_a_rule_of_eighty_five_percent() -> None:
    assert 0.85 < figure(GOOD) <= 1


def _varying(days: int, per_hour: float, rate: float, seed: int) -> CountSeries:
    """Counts of a busy service with a daily rhythm; one day in three has almost twice, or half, the usual failures."""
    generator = np.random.default_rng(seed)
    hours = np.arange(days * 24)
    total = np.round(per_hour * (1 + 0.5 * np.sin(hours / 24 * 2 * np.pi))) + 1
    rates = np.repeat(rate * np.exp(0.6 * generator.standard_normal(days)), 24)
    return hourly(total, generator.binomial(total.astype(int), rates).astype(float))


@pytest.mark.parametrize("rate", [1e-4, 1e-3, 1e-2])
@pytest.mark.parametrize("seed", [4, 5])
def test_a_recommendation_made_of_ninety_good_days_passes_it_too(rate: float, seed: int) -> None:
    counts = _varying(90, 100_000, rate, seed)
    document: Any = recommend(ServiceInput("svc", counts=counts), as_of=end_of(counts))
    assert 0.85 < document["confidence"] <= 1
    young = _varying(30, 100_000, rate, seed)
    document = recommend(ServiceInput("svc", counts=young), as_of=end_of(young))
    assert document["confidence"] < 0.6


@pytest.mark.parametrize(
    "worse",
    [
        {"days": 45.0},
        {"coverage": 0.8},
        {"implausible_share": 0.05},
        {"partial_share": 0.2},
        {"age_seconds": 5 * 86_400.0},
        {"window_requests": 500.0},
        {"interval_width": 2e-3},
        {"doubts": (0.9,)},
    ],
)
def test_each_weakness_lowers_it(worse: dict[str, Any]) -> None:
    assert figure(replace(GOOD, **worse)) < figure(GOOD) - 0.02


def test_a_cold_start_never_passes_half() -> None:
    assert figure(replace(GOOD, is_cold_start=True)) == COLD_START_CEILING


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 1)), max_size=5),
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 700)), max_size=5),
)
def test_doubts_about_the_counts_lower_it_and_what_was_left_out_is_told(
    doubts: list[tuple[str, float]], left_out: list[tuple[str, int]]
) -> None:
    counts = _varying(60, 1_000, 1e-3, 4)
    usual, doubted = (
        assess(read(ServiceInput("svc", counts=counts, quality=quality), end_of(counts)))
        for quality in (Quality(), Quality(doubts=tuple(doubts), left_out=tuple(left_out)))
    )
    factor = math.prod(value for _, value in doubts)
    parts: Any = doubted.quality["confidence_parts"]
    assert parts["evidence"] == pytest.approx(factor, abs=1e-4)
    assert doubted.confidence == pytest.approx(usual.confidence * factor, abs=1e-4)
    assert doubted.tiers == usual.tiers
    assert usual.quality["doubts"] == usual.quality["left_out"] == {}
    told: Any = doubted.quality["doubts"]
    assert math.prod(told.values()) == pytest.approx(factor, abs=1e-3)
    hours: Any = doubted.quality["left_out"]
    assert set(hours) == {reason for reason, _ in left_out}
    assert sum(hours.values()) == sum(number for _, number in left_out)
