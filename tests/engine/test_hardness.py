"""Several pasts of one service are measured together, with the same results as one by one."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pytest

from apps.engine.edges.hardness import measure
from apps.engine.types import Floats

HOURS = 28 * 24
HOUR = 3_600


def _pasts() -> tuple[Floats, Floats, Floats]:
    """Requests, failures of three pasts, and failed calls over three edges, two of which are equal in the last past."""
    generator = np.random.default_rng(3)
    total = 5_000 + 2_000 * np.sin(np.arange(HOURS) / 24 * 2 * np.pi) + generator.normal(0, 200, HOURS)
    down = generator.random((3, HOURS)) < 0.02
    calls = np.repeat(np.where(down, 0.1, 0.0)[None] * total, 3, axis=0)
    calls[2, 2] = calls[2, 1]
    bad = generator.poisson(2.0, (3, HOURS)) + np.einsum("pit,i->pt", calls, np.array([0.8, 0.3, 0.1]))
    return total, bad, calls


@pytest.mark.parametrize("edges", [1, 2, 3])
def test_each_past_is_measured_as_it_would_be_alone(edges: int) -> None:
    total, bad, calls = _pasts()
    calls, priors = calls[:, :edges], [0.9, 0.3, 0.3][:edges]
    together = measure(total, bad, calls, priors, HOUR)
    alone = [
        measure(total, each[None], others[None], priors, HOUR)[0]
        for each, others in zip(bad, calls, strict=True)
    ]
    for past, same in zip(together, alone, strict=True):
        for one, other in zip(past, same, strict=True):
            assert astuple(one) == pytest.approx(astuple(other), rel=1e-12)


def test_hardness_is_found_beside_failures_of_its_own() -> None:
    total, bad, calls = _pasts()
    for past in measure(total, bad, calls, [0.9, 0.3, 0.3], HOUR)[:2]:
        assert [each.value for each in past] == pytest.approx([0.8, 0.3, 0.1], abs=0.05)


def test_edges_that_are_one_share_what_they_do() -> None:
    total, bad, calls = _pasts()
    _, first, second = measure(total, bad, calls, [0.9, 0.3, 0.3], HOUR)[2]
    assert first.value + second.value == pytest.approx(0.4, abs=0.05)
    assert first.value == pytest.approx(second.value, abs=1e-6)


def test_which_of_two_edges_that_are_one_does_what_stays_unknown_however_heavy_the_traffic() -> None:
    total, bad, calls = (1e6 * each for each in _pasts())
    _, first, second = measure(total, bad, calls, [0.9, 0.3, 0.3], HOUR)[2]
    assert first.value + second.value == pytest.approx(0.4, abs=0.05)
    assert not first.is_observed
    assert not second.is_observed


def test_load_that_is_the_hour_of_the_day_takes_nothing_from_what_edges_tell() -> None:
    _, bad, calls = _pasts()
    total = 5_000 + 2_000 * np.sin(np.arange(HOURS) / 24 * 2 * np.pi)
    for past in measure(total, bad, calls, [0.9, 0.3, 0.3], HOUR)[:2]:
        assert [each.value for each in past] == pytest.approx([0.8, 0.3, 0.1], abs=0.05)
        assert all(each.is_observed and each.high - each.low < 0.1 for each in past)
