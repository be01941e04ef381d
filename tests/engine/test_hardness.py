"""Several pasts of one service are measured together, with the same results as one by one."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pytest

from apps.engine.edges.hardness import is_informative, measure
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


def test_only_a_rate_of_failures_that_changes_tells_of_hardness() -> None:
    total = np.full(100, 1_000.0)
    constant = np.full(100, 5.0)
    changing = np.where(np.arange(100) % 10 == 0, 50.0, 0.0)
    rare = np.where(np.arange(100) == 7, 2.0, 0.0)
    assert is_informative(np.stack([constant, changing, rare]), total).tolist() == [False, True, False]


@pytest.mark.parametrize("prior", [0.1, 0.9])
def test_failures_that_drown_in_others_leave_the_prior(prior: float) -> None:
    generator = np.random.default_rng(9)
    total = np.full(HOURS, 100_000.0)
    bad = generator.poisson(2_000 * generator.gamma(1.0, 1.0, (5, HOURS))).astype(np.float64)
    calls = np.zeros((5, 1, HOURS))
    calls[:, :, 40::60] = 20.0
    for (found,) in measure(total, bad, calls, [prior], HOUR):
        assert found.value == pytest.approx(prior, abs=0.05)
        assert not found.is_observed
        assert found.low < 0.5 < found.high


def test_what_one_edge_cannot_have_done_is_put_down_to_those_that_failed_with_it() -> None:
    """Both fail in the same hours. More failed than one of them can explain, so the other did the rest."""
    generator = np.random.default_rng(4)
    total = np.full(HOURS, 5_000.0)
    down = generator.random((20, HOURS)) < 0.05
    rate = generator.uniform(0.05, 0.15, (20, HOURS))
    first = np.where(down, np.round(rate * total), 0.0)
    second = np.where(down, np.round(rate * generator.uniform(0.7, 1.3, (20, HOURS)) * total), 0.0)
    bad = np.round(first + 0.3 * second) + generator.poisson(np.where(down, 150.0, 2.0))
    for past, (one, other) in enumerate(
        measure(total, bad, np.stack([first, second], axis=1), [0.9, 0.3], HOUR)
    ):
        explained = one.value * first[past].sum() + other.value * second[past].sum()
        assert explained == pytest.approx(bad[past].sum() - 2 * HOURS, rel=0.05)


def test_failures_of_its_own_that_last_for_days_say_no_more_than_so_many_days() -> None:
    """A bad day is one event, not 24: what an edge did beside it is not known as well as it seems to be."""

    def measured(hours: int) -> list[bool]:
        generator = np.random.default_rng(2)
        level = np.repeat(generator.gamma(1.0, 1.0, (40, HOURS // hours)), hours, axis=1)
        calls = np.zeros((40, 1, HOURS))
        calls[:, 0, 40::60] = 80_000.0
        bad = np.round(30_000 * level) + 0.2 * calls[:, 0]
        total = np.full(HOURS, 1e7)
        return [found.is_observed for (found,) in measure(total, bad, calls, [0.9], HOUR)]

    assert np.mean(measured(1)) > 0.9
    assert np.mean(measured(24)) < 0.2


@pytest.mark.parametrize("hardness", [0.2, 0.8])
def test_an_outage_of_its_own_is_not_put_down_to_an_edge(hardness: float) -> None:
    """Nine in ten requests fail for hours, some of them hours in which a few calls fail too."""
    generator = np.random.default_rng(8)
    total = np.full(HOURS, 5_000.0)
    failed = generator.poisson(np.where(generator.random((10, HOURS)) < 0.1, 100.0, 0.0))
    bad = generator.poisson(2.0, (10, HOURS)) + generator.binomial(failed, hardness)
    for past in range(10):
        bad[past, np.flatnonzero(failed[past])[5:8]] = 4_500
    calls = failed[:, None].astype(np.float64)
    found = [each for (each,) in measure(total, bad.astype(np.float64), calls, [0.5], HOUR)]
    assert np.mean([each.value for each in found]) == pytest.approx(hardness, abs=0.1)
