"""The one figure for trust."""

from __future__ import annotations

from dataclasses import replace

import pytest

from apps.engine.confidence import COLD_START_CEILING, ConfidenceInput, combine, confidence_parts

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
