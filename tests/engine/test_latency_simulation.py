"""Simulated latencies: counted correctly, the same for the same seed, and continued from where they ended."""

from __future__ import annotations

import numpy as np
import pytest

from apps.engine.percentiles import percentile
from apps.engine.simulation.latency import Behaviour, Hours, Shape
from apps.engine.simulation.latency_fleet import FAMILIES, MIXED, simulate_latency
from tests.engine.samples import simulate_latencies


def test_the_same_seed_gives_the_same_histograms() -> None:
    first, second = (list(simulate_latencies(3, 1)) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.series.cumulative, other.series.cumulative)
        np.testing.assert_array_equal(one.future, other.future)


def test_histograms_are_cumulative_and_the_true_percentile_lies_in_its_bucket() -> None:
    for simulated in simulate_latencies(4, 2, (*FAMILIES, MIXED)):
        rows = simulated.series.cumulative
        known = rows[np.isfinite(rows[:, 0])]
        assert (np.diff(known, axis=1) >= 0).all()
        bounds = simulated.series.bounds_ms
        for share in (0.95, 0.99):
            read = float(percentile(bounds, simulated.future, share)[0])
            at = int(np.searchsorted(bounds, read))
            lower = bounds[at - 1] if at else 0.0
            assert lower * 0.999 <= simulated.exact[share] <= bounds[at] * 1.001


def test_new_services_have_seven_to_twenty_nine_days() -> None:
    days = {each.series.cumulative.shape[0] / 24 for each in simulate_latencies(5, 6, ["new"])}
    assert min(days) >= 7
    assert max(days) <= 29


def test_a_shape_is_what_its_parameters_say() -> None:
    shape = Shape(middle=4.0, spread=0.5, gap=2.0, slow_spread=0.3, share=0.1)
    still = Hours(np.zeros((1, 1)), np.full((1, 1), 0.1), None, 0.0)
    assert float(shape.below(4.0, still)[0, 0]) == pytest.approx(0.9 * 0.5, abs=1e-6)
    assert float(shape.below(np.log(shape.quantile(0.95)), still)[0, 0]) == pytest.approx(0.95, abs=1e-9)
    slowed = Hours(np.zeros((1, 1)), np.full((1, 1), 0.1), np.full((1, 1), 0.4), 1.0)
    expected = 0.6 * shape.below(5.0, still) + 0.4 * shape.below(4.0, still)
    np.testing.assert_allclose(shape.below(5.0, slowed), expected)


def test_possible_futures_go_on_from_the_history() -> None:
    behaviour = Behaviour(daily=0.5, daily_memory=0.99)
    shape = Shape(4.0, 0.5, 1.0, 0.5, 0.0)
    load = np.ones((1, 48))
    state = (0.0, 1.5, 0.0, (0.0, 0.0), 0.0)
    hours, _ = behaviour.hours(np.random.default_rng(1), shape, 400, 0, load, state)
    assert hours.shift[:, 0].mean() == pytest.approx(0.99 * 1.5, abs=0.05)


def test_a_trend_shows_in_the_futures() -> None:
    simulated = next(
        each for each in simulate_latencies(6, 30, ["trend"]) if abs(each.behaviour.per_hour) * 2160 > 0.5
    )
    read, exact = simulated.futures(np.random.default_rng(1), 20, (0.95, 0.99), is_exact=True)
    assert read.shape == exact.shape == (20, 2)
    assert (read[:, 1] >= read[:, 0]).all()
    past = float(
        percentile(simulated.series.bounds_ms, np.nansum(simulated.series.cumulative, axis=0), 0.95)[0]
    )
    assert (np.median(read[:, 0]) > past) == (simulated.behaviour.per_hour > 0)


def test_it_refuses_a_family_that_is_none() -> None:
    with pytest.raises(ValueError, match="no family"):
        simulate_latency(np.random.default_rng(1), "happy")
