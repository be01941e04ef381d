"""The forecast of latency: ordered, finite, and moved by what a history shows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.engine.forecast.latency import CHANCES, built_in
from apps.engine.forecast.latency_features import LATENCY_FEATURES, LatencyHistory, latency_rows
from apps.engine.recommend import recommend
from apps.engine.simulation.latency_fleet import FAMILIES
from apps.engine.types import BucketSeries, Floats, ServiceInput
from tests.engine.build import START
from tests.engine.samples import simulate_latencies

BOUNDS = np.array([*(10 * 1.3 ** np.arange(20)), np.inf])


def of(series: BucketSeries) -> LatencyHistory:
    is_known = np.isfinite(series.cumulative[:, 0])
    return LatencyHistory(series.bounds_ms, np.nan_to_num(series.cumulative), is_known, 24)


def histograms(shift: Floats, per_hour: int = 3_000, seed: int = 1) -> BucketSeries:
    """Hourly histograms of log-normal latencies, moved by ``shift`` ``(hours,)``."""
    generator = np.random.default_rng(seed)
    rows = [
        np.searchsorted(np.sort(generator.lognormal(4 + each, 0.5, per_hour)), BOUNDS, side="right")
        for each in shift
    ]
    return BucketSeries(START, 3_600, BOUNDS, np.array(rows, dtype=np.float64))


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(sorted(FAMILIES)), st.integers(0, 2**20))
def test_thresholds_are_ordered_and_features_finite(family: str, seed: int) -> None:
    (simulated,) = simulate_latencies(seed, 1, [family])
    history = of(simulated.series)
    rows = latency_rows(history, window_days=28)
    assert rows.features.shape == (2, len(LATENCY_FEATURES))
    assert np.isfinite(rows.features).all()
    assert (rows.spread > 0).all()
    found = built_in().predict(history, 28).quantiles
    for share in (0.95, 0.99):
        values = [found[share][chance][0] for chance in CHANCES]
        assert values == sorted(values)
        assert all(low <= value <= high for value, low, high in found[share].values())
    assert all(found[0.99][chance][0] >= found[0.95][chance][0] for chance in CHANCES)


def test_after_a_deploy_the_level_since_then_counts() -> None:
    hours = np.arange(60 * 24)
    before = built_in().predict(of(histograms(np.zeros(hours.size))), 28)
    after = built_in().predict(of(histograms(np.where(hours < 40 * 24, 0.0, 0.5))), 28)
    ratio = after.quantiles[0.95][0.5][0] / before.quantiles[0.95][0.5][0]
    assert np.log(ratio) == pytest.approx(0.5, abs=0.08)
    assert after.regime == "drifting"


def test_a_trend_is_carried_on() -> None:
    days = 80
    rising = histograms(np.linspace(0, 0.6, days * 24))
    found = built_in().predict(of(rising), 28).quantiles[0.95]
    newest = np.exp(4 + 0.6 + 1.645 * 0.5)
    assert found[0.5][0] > newest
    assert found[0.2][0] < 1.3 * newest


def test_days_that_differ_call_for_a_wider_margin_than_days_that_do_not() -> None:
    generator = np.random.default_rng(5)
    steady = built_in().predict(of(histograms(np.zeros(60 * 24))), 28)
    uneven = built_in().predict(of(histograms(np.repeat(generator.normal(0, 0.3, 60), 24))), 28)

    def margin(found: Any) -> float:
        return float(found.quantiles[0.95][0.01][0] / found.quantiles[0.95][0.5][0])

    assert margin(steady) < 1.03 < 1.1 < margin(uneven)
    assert steady.regime == "steady"
    assert uneven.regime in ("bursty", "incidents")


def test_the_document_names_the_kind_of_history() -> None:
    series = histograms(np.zeros(20 * 24))
    found: Any = recommend(ServiceInput("svc", buckets=series), as_of=START + 20 * 86_400)["latency"]
    assert found["p95_ms"]["regime"] == "new"
    assert found["p95_ms"]["verdict"] == "cold_start"
    nothing: Any = recommend(ServiceInput("svc"), as_of=START)["latency"]
    assert nothing["p95_ms"]["regime"] is None


def test_simulated_thresholds_are_exceeded_about_as_often_as_said() -> None:
    """A rough check over 54 services: at 20 % between 2 and 20 miss, at 1 % at most 3."""
    found = []
    for simulated in simulate_latencies(77, 6):
        prediction = built_in().predict(of(simulated.series), 28).quantiles[0.95]
        found.append([simulated.read(0.95) > prediction[chance][0] for chance in (0.2, 0.01)])
    exceeded = np.array(found).sum(axis=0)
    assert 2 <= exceeded[0] <= 20
    assert exceeded[1] <= 3
