"""Block lengths follow how long the data are correlated."""

from __future__ import annotations

import numpy as np

from apps.engine.window.blocks import block_length, politis_white_length
from apps.engine.window.resampling import block_sums, draw_plan, replicate_sums


def _autoregressive(memory: float, size: int = 4_000) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    generator = np.random.default_rng(2)
    values = np.zeros(size)
    for at in range(1, size):
        values[at] = memory * values[at - 1] + generator.normal()
    return values


def test_independent_data_need_blocks_of_about_one() -> None:
    assert politis_white_length(np.random.default_rng(1).normal(size=4_000)) < 4


def test_the_longer_the_memory_the_longer_the_blocks() -> None:
    weak, strong = politis_white_length(_autoregressive(0.3)), politis_white_length(_autoregressive(0.9))
    assert weak < strong
    # Theory for AR(1): b = (2 (2ρ/(1−ρ²))² / (4/3))^(1/3) n^(1/3) ≈ 52 for ρ = 0.9 and n = 4,000.
    assert 25 < strong < 100


def test_a_week_of_history_keeps_days_together() -> None:
    generator = np.random.default_rng(3)
    total = np.full(28 * 24, 1_000.0)
    bad = generator.binomial(1_000, 0.01, total.size).astype(float)
    assert block_length(total, bad, 3_600) == 24
    assert block_length(total[: 2 * 24], bad[: 2 * 24], 3_600) <= 12


def test_the_length_does_not_depend_on_the_volume() -> None:
    generator = np.random.default_rng(4)
    total = generator.poisson(500, 1_000).astype(float)
    bad = generator.binomial(total.astype(int), 0.02).astype(float)
    assert block_length(total, bad, 3_600) == block_length(64 * total, 64 * bad, 3_600)


def test_circular_block_sums_are_those_of_a_loop() -> None:
    values = np.random.default_rng(5).integers(0, 100, (17, 2)).astype(float)
    expected = [
        [values[(start + np.arange(5)) % 17, column].sum() for column in (0, 1)] for start in range(17)
    ]
    np.testing.assert_allclose(block_sums(values, 5), expected)


def test_a_replicate_holds_a_windows_worth_of_bins() -> None:
    plan = draw_plan(np.random.default_rng(6), size=672, length=24, window_bins=336, replicates=50)
    np.testing.assert_allclose(replicate_sums(plan, np.ones((672, 1))), 336)
    short = draw_plan(np.random.default_rng(6), size=48, length=4, window_bins=672, replicates=50)
    np.testing.assert_allclose(replicate_sums(short, np.ones((48, 1))), 672)
