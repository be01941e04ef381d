"""The forecast: ordered, the same for one row or many, and independent of the number of requests where it should be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.engine.decomposition import Cause, Decomposition
from apps.engine.forecast.features import FEATURES, feature_rows
from apps.engine.forecast.history import history_of
from apps.engine.forecast.model import CHANCES, built_in
from apps.engine.forecast.regimes import REGIMES, regimes
from apps.engine.forecast.service import CANONICAL_REQUESTS, LOWER_SLACK, ServiceForecast
from apps.engine.recommend import recommend
from apps.engine.series import ObservedCounts, observe
from apps.engine.simulation.fleet import FAMILIES
from apps.engine.types import CountSeries, ServiceInput
from tests.engine.build import DAY, START, end_of, hourly, steady
from tests.engine.samples import simulate_fleet


def rows_of(counts: CountSeries) -> Any:
    seen = observe(counts, end_of(counts))
    assert seen is not None
    history = history_of(seen)
    return feature_rows(history, history.hourly(seen.dense_bad[:, None]), window_hours=672)


def regime_of(counts: CountSeries) -> str:
    found: Any = recommend(ServiceInput("svc", counts=counts), as_of=end_of(counts))["availability"]
    return str(found["regime"])


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(sorted(FAMILIES)), st.integers(0, 2**20))
def test_quantiles_rise_and_features_are_finite(family: str, seed: int) -> None:
    (simulated,) = simulate_fleet(seed, 1, [family])
    assert simulated.service.counts is not None
    rows = rows_of(simulated.service.counts)
    assert rows.features.shape == (1, len(FEATURES))
    assert np.isfinite(rows.features).all()
    found = built_in().quantiles(rows)[0]
    assert found.shape == (len(CHANCES),)
    assert (np.diff(found) >= 0).all()
    assert 0 < found[0] <= found[-1] <= 1


def test_rows_are_forecast_alike_alone_and_together() -> None:
    counts = steady(60)
    seen = observe(counts, end_of(counts))
    assert seen is not None
    history = history_of(seen)
    bad = history.hourly(seen.dense_bad[:, None])
    many = np.concatenate([bad * scale for scale in (0.1, 1.0, 3.0)])
    together = built_in().quantiles(feature_rows(history, many, window_hours=672))
    for at in range(3):
        alone = built_in().quantiles(feature_rows(history, many[at : at + 1], window_hours=672))
        np.testing.assert_allclose(alone[0], together[at], rtol=1e-9)


def test_five_minute_bins_are_read_as_hours() -> None:
    coarse = steady(40)
    fine = CountSeries(coarse.start, 300, np.repeat(coarse.total / 12, 12), np.repeat(coarse.bad / 12, 12))
    np.testing.assert_allclose(rows_of(fine).features, rows_of(coarse).features, rtol=1e-6, atol=1e-6)


def test_a_step_moves_the_expectation_towards_the_level_after_it() -> None:
    generator = np.random.default_rng(3)
    total = np.full(90 * 24, 10_000.0)
    rate = np.where(np.arange(total.size) < 60 * 24, 1e-3, 3e-4)
    counts = hourly(total, generator.binomial(10_000, rate).astype(float))
    # Overall it failed 7.7e-4 of requests.
    assert 2.5e-4 < 10 ** rows_of(counts).centre[0] < 4.5e-4
    assert regime_of(counts) == "drifting"


def test_a_rising_trend_is_followed_into_the_next_window() -> None:
    generator = np.random.default_rng(4)
    total = np.full(90 * 24, 10_000.0)
    days = np.arange(total.size) / 24
    counts = hourly(total, generator.binomial(10_000, 1e-4 * np.exp(days / 40)).astype(float))
    assert 10 ** rows_of(counts).centre[0] == pytest.approx(1e-4 * np.exp(104.0 / 40), rel=0.15)
    found: Any = recommend(ServiceInput("svc", counts=counts), as_of=end_of(counts))["availability"]
    assert found["regime"] == "drifting"
    assert 1 - found["tiers"]["balanced"]["target"] > 1e-4 * np.exp(104.0 / 40)


def test_regimes_are_what_they_are_called() -> None:
    generator = np.random.default_rng(5)
    total = np.full(60 * 24, 5_000.0)
    incident = generator.binomial(5_000, 1e-4, total.size).astype(float)
    incident[700:704] = 2_500
    wild = generator.binomial(5_000, np.minimum(0.5, 1e-3 * np.repeat(generator.gamma(0.3, 3, 60), 24)))
    load = 5_000 * (1 + 0.8 * np.sin(np.arange(total.size) / 24 * 2 * np.pi))
    loaded = generator.binomial(load.astype(int), 1e-3 * (load / 5_000) ** 3).astype(float)
    assert regime_of(steady(60)) == "steady"
    assert regime_of(steady(20)) == "new"
    assert regime_of(hourly(total, 0 * total)) == "clean"
    assert regime_of(hourly(total, incident)) == "rare_incidents"
    assert regime_of(hourly(total, wild.astype(float))) == "bursty"
    assert regime_of(hourly(np.floor(load), loaded)) == "load_dependent"
    assert set(REGIMES) >= {
        "steady",
        "new",
        "clean",
        "rare_incidents",
        "bursty",
        "load_dependent",
        "drifting",
    }
    assert regimes(rows_of(steady(60)).features).shape == (1,)


def probes(days: int, per_hour: float, down: dict[int, int]) -> CountSeries:
    """A site probed ``per_hour`` times an hour, down for so many hours from some hours on."""
    total = np.full(days * 24, per_hour)
    bad = np.zeros_like(total)
    for begin, hours in down.items():
        bad[begin : begin + hours] = per_hour
    return hourly(total, bad)


def test_a_site_that_a_clock_asks_is_up_or_down_however_often_it_is_asked() -> None:
    down = {300: 3, 1_100: 1, 1_900: 9}
    twelve, sixty = probes(90, 12, down), probes(90, 60, down)
    assert regime_of(twelve) == regime_of(sixty) == regime_of(probes(90, 12, {})) == "up_or_down"
    np.testing.assert_array_equal(rows_of(twelve).features, rows_of(sixty).features)
    assert regime_of(steady(60, per_hour=12, rate=0.05)) != "up_or_down"


def test_a_site_that_was_never_down_is_not_forecast_never_to_be() -> None:
    counts = probes(90, 12, {})
    found: Any = recommend(ServiceInput("svc", counts=counts), as_of=end_of(counts))["availability"]
    # Of a hundred real sites without an outage in 90 days, about three are down in the next 28.
    assert 0.8 < found["tiers"]["conservative"]["target"] < 0.95
    assert found["tiers"]["aggressive"]["target"] > 0.9995


def test_only_the_last_ninety_days_are_looked_at() -> None:
    recent = steady(90)
    older = hourly(
        np.concatenate([np.full(30 * 24, 1_000.0), recent.total]),
        np.concatenate([np.full(30 * 24, 900.0), recent.bad]),
        start=recent.start - 30 * DAY,
    )
    np.testing.assert_array_equal(rows_of(older).features, rows_of(recent).features)


@pytest.mark.parametrize("caused", [0.0, 1.0])
def test_the_doubt_is_that_of_a_service_with_the_same_dependencies(caused: float) -> None:
    counts = observed_failing_now_and_then(CANONICAL_REQUESTS / (28 * 24))
    causes = (Cause("own", "Own", "own"), Cause("dependency:db", "db", "dependency"))
    parts = Decomposition(causes, counts.dense_bad[:, None] * [1 - caused, caused])
    forecast = ServiceForecast.of(counts, parts, has_dependency=caused > 0, window_days=28)
    kind = REGIMES.index(forecast.regime)
    for at, chance in enumerate(CHANCES):
        low, high = 10 ** forecast.forecast.doubt[kind, at]
        expected = forecast.usual(chance) * (high - low + LOWER_SLACK.get(chance, 0.0))
        assert forecast.doubt(counts)[chance].width == pytest.approx(expected, rel=1e-6)


def observed_failing_now_and_then(requests_an_hour: float) -> ObservedCounts:
    generator = np.random.default_rng(4)
    total = np.full(90 * 24, requests_an_hour)
    bad = np.where(generator.random(total.size) < 0.01, 0.2, 1e-4) * total
    found = observe(CountSeries(0, 3_600, total, bad), 90 * DAY)
    assert found is not None
    return found


def test_a_clock_whose_hours_are_mostly_unknown_is_no_reason_to_fail() -> None:
    """Every fifth hour is known, with a probe every five minutes; of the others only one bin, without a probe."""
    hours = 24 * 30
    total = np.full((hours, 12), np.nan)
    total[:, 0] = 0.0
    total[::5] = 1.0
    series = CountSeries(START, 300, total.ravel(), np.where(np.isnan(total), np.nan, 0.0).ravel())
    counts = observe(series, START + hours * 3_600)
    assert counts is not None
    history = history_of(counts)
    assert history.is_clockwork
    assert not history.is_probed
    assert np.isfinite(history.total).all()
    document: Any = recommend(ServiceInput("svc", counts=series), as_of=START + hours * 3_600)
    assert document["availability"]["tiers"] is not None
