"""The one figure for trust."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from apps.engine.confidence import COLD_START_CEILING, ConfidenceInput, combine, confidence_parts
from apps.engine.recommend import recommend
from apps.engine.types import CountSeries, ServiceInput
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
    """Counts of a busy service with a daily rhythm, whose days differ: of three one is almost twice as bad as usual,
    or half as bad.
    """
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
    ],
)
def test_each_weakness_lowers_it(worse: dict[str, float]) -> None:
    assert figure(replace(GOOD, **worse)) < figure(GOOD) - 0.02  # type: ignore[arg-type]


def test_a_cold_start_never_passes_half() -> None:
    assert figure(replace(GOOD, is_cold_start=True)) == COLD_START_CEILING
