"""Keyed random numbers have the distributions that they are named after."""

from __future__ import annotations

import numpy as np
import pytest

from apps.demo.randomness import binomial, keys, normal, poisson, uniform

INDEX = np.arange(200_000, dtype=np.int64)
KEY = keys(7, [("test",)])


def test_uniform_numbers_are_uniform_and_unrelated() -> None:
    drawn = uniform(KEY, INDEX)[0]
    assert 0 < drawn.min() < drawn.max() < 1
    counts, _ = np.histogram(drawn, bins=20, range=(0, 1))
    assert np.abs(counts / INDEX.size - 0.05).max() < 0.003
    assert abs(np.corrcoef(drawn[:-1], drawn[1:])[0, 1]) < 0.01
    other = uniform(keys(7, [("other",)]), INDEX)[0]
    assert abs(np.corrcoef(drawn, other)[0, 1]) < 0.01


def test_negative_indices_are_as_good_as_others() -> None:
    assert uniform(KEY, np.array([-5]))[0, 0] == uniform(KEY, np.arange(-10, 0))[0, 5]


def test_normal_numbers_are_standard() -> None:
    drawn = normal(KEY, INDEX)[0]
    assert drawn.mean() == pytest.approx(0, abs=0.01)
    assert drawn.std() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("mean", [0.02, 0.7, 9.0, 15.9, 16.1, 80.0, 40_000.0])
def test_poisson_counts_have_mean_and_variance(mean: float) -> None:
    drawn = poisson(np.full((1, INDEX.size), mean), KEY, INDEX)[0]
    assert (drawn >= 0).all()
    assert (drawn == np.rint(drawn)).all()
    assert drawn.mean() == pytest.approx(mean, rel=0.02)
    assert drawn.var() == pytest.approx(mean, rel=0.03)


@pytest.mark.parametrize(
    ("trials", "chance"), [(3, 0.5), (1_000, 0.001), (1_000, 0.4), (1_000, 0.999), (5e6, 1e-4)]
)
def test_binomial_counts_have_the_mean_and_stay_inside(trials: float, chance: float) -> None:
    shape = (1, INDEX.size)
    drawn = binomial(np.full(shape, float(trials)), np.full(shape, chance), KEY, INDEX)[0]
    assert drawn.min() >= 0
    assert drawn.max() <= trials
    # With few trials the Poisson counts are cut at their number, which costs a little of the mean.
    assert drawn.mean() == pytest.approx(trials * chance, rel=0.2 if trials < 10 else 0.02)
