"""Failures of a service's own that come and go with time, the hour or load are not put down to a dependency."""

from __future__ import annotations

import numpy as np
import pytest

from apps.engine.edges.hardness import Hardness, measure
from apps.engine.types import Floats

HOURS = 28 * 24
PASTS = 20
RATE = 4e-3


def _measured(follows: str, hardness: float) -> list[Hardness]:
    """Pasts in which the service's own failures and its dependency's follow the same thing, each by itself."""
    generator = np.random.default_rng(1)
    hours = np.arange(HOURS)
    total: Floats = 5_000 + 2_000 * np.sin(hours / 24 * 2 * np.pi + 1) + generator.normal(0, 200, HOURS)
    if follows == "load":
        total = generator.uniform(2_000, 8_000, HOURS)
    level = {
        "nothing": np.zeros(HOURS),
        "time": np.linspace(-0.9, 0.9, HOURS),
        "the hour": 0.9 * np.sin(hours / 24 * 2 * np.pi + 3),
        "load": np.clip(total / total.mean() - 1, -0.9, 0.9),
    }[follows]
    rate = total * RATE * (1 + level)
    calls = generator.poisson(rate * generator.gamma(2, 0.5, (PASTS, HOURS)))
    bad = generator.poisson(rate, (PASTS, HOURS)) + generator.binomial(calls, hardness)
    found = measure(total, bad.astype(np.float64), calls[:, None].astype(np.float64), [0.3], 3_600)
    return [each for (each,) in found]


@pytest.mark.parametrize("hardness", [0.1, 0.5])
@pytest.mark.parametrize("follows", ["nothing", "time", "the hour", "load"])
def test_what_both_follow_is_not_taken_for_hardness(follows: str, hardness: float) -> None:
    found = _measured(follows, hardness)
    assert np.mean([each.value for each in found]) == pytest.approx(hardness, abs=0.03)
    assert np.mean([each.low <= hardness <= each.high for each in found]) >= 0.7
