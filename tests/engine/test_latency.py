"""Latency thresholds from histograms and, where there are none, from bins' own percentiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from apps.engine.evaluation.latency_bins import evaluate_bins_numbers
from apps.engine.latency.thresholds import from_buckets, history_of
from apps.engine.percentiles import percentile
from apps.engine.recommend import recommend
from apps.engine.simulation.latency_fleet import FAMILIES
from apps.engine.types import BucketSeries, Floats, PercentileSeries, ServiceInput
from tests.engine.build import START

BOUNDS = np.array([10.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, np.inf])


def buckets(days: int, per_hour: int = 2_000, seed: int = 1, scale: float = 1.0) -> BucketSeries:
    generator = np.random.default_rng(seed)
    rows = np.empty((days * 24, BOUNDS.size))
    for hour in range(days * 24):
        slow = scale * (1 + 0.3 * generator.random())
        values = np.sort(generator.lognormal(np.log(40 * slow), 0.6, per_hour))
        rows[hour] = np.searchsorted(values, BOUNDS, side="right")
    return BucketSeries(START, 3_600, BOUNDS, rows)


def latency_of(service: ServiceInput, days: int) -> Any:
    return recommend(service, as_of=START + days * 86_400)["latency"]


def test_a_percentile_is_interpolated_inside_its_bucket() -> None:
    cumulative = np.array([0.0, 50.0, 90.0, 100.0, 100.0, 100.0, 100.0])
    assert percentile(BOUNDS, cumulative, 0.95)[0] == pytest.approx(150.0)
    assert percentile(BOUNDS, cumulative, 0.5)[0] == pytest.approx(50.0)
    assert percentile(BOUNDS, np.array([0, 0, 0, 0, 0, 0, 10.0]), 0.5)[0] == np.inf
    assert np.isnan(percentile(BOUNDS, np.zeros(7), 0.5)[0])


def test_thresholds_fall_from_conservative_to_aggressive_and_p99_is_above_p95() -> None:
    found = latency_of(ServiceInput("svc", buckets=buckets(40)), 40)
    for which in ("p95_ms", "p99_ms"):
        targets = [
            found[which]["tiers"][name]["target"] for name in ("conservative", "balanced", "aggressive")
        ]
        assert targets == sorted(targets, reverse=True)
        assert found[which]["verdict"] == "ok"
        assert found[which]["basis"] == "requests"
        for tier in found[which]["tiers"].values():
            assert tier["interval"][0] <= tier["target"] <= tier["interval"][1]
    assert found["p99_ms"]["tiers"]["balanced"]["target"] > found["p95_ms"]["tiers"]["balanced"]["target"]


def test_the_observed_percentile_is_read_from_summed_buckets_with_its_bucket_beside_it() -> None:
    series = buckets(40)
    found = latency_of(ServiceInput("svc", buckets=series), 40)["p95_ms"]
    expected = float(percentile(BOUNDS, series.cumulative.sum(axis=0), 0.95)[0])
    assert found["observed"] == pytest.approx(expected, abs=1e-3)
    assert found["bucket_ms"] == [100.0, 200.0]
    assert expected < found["tiers"]["aggressive"]["target"] < 1.05 * expected


def test_busy_slow_hours_weigh_more_than_quiet_fast_ones() -> None:
    busy, quiet = buckets(40, per_hour=4_000, scale=3.0), buckets(40, per_hour=40, seed=2)
    mixed = quiet.cumulative.copy()
    mixed[::2] = busy.cumulative[::2]
    found = latency_of(ServiceInput("svc", buckets=BucketSeries(START, 3_600, BOUNDS, mixed)), 40)["p95_ms"]
    slow = float(percentile(BOUNDS, busy.cumulative.sum(axis=0), 0.95)[0])
    assert found["observed"] == pytest.approx(slow, rel=0.05)


def test_a_percentile_in_the_last_bucket_has_no_number() -> None:
    rows = np.tile([0.0, 0, 0, 0, 0, 500.0, 1_000.0], (40 * 24, 1))
    found = latency_of(ServiceInput("svc", buckets=BucketSeries(START, 3_600, BOUNDS, rows)), 40)["p95_ms"]
    assert found["verdict"] == "no_data"
    assert found["tiers"] is None
    assert found["observed"] is None
    assert "above the highest bucket (1000 ms)" in found["reason"]


def test_a_threshold_that_no_bucket_can_show_is_not_given() -> None:
    series = buckets(40)
    # One day in eight has a twelfth of its requests above a second: the next window's p99 may lie there.
    rows = series.cumulative.copy()
    rows[np.arange(rows.shape[0]) % 192 < 24, :-1] *= 11 / 12
    found = latency_of(ServiceInput("svc", buckets=BucketSeries(START, 3_600, BOUNDS, rows)), 40)
    assert found["p95_ms"]["tiers"] is not None
    assert found["p99_ms"]["verdict"] == "no_data"
    assert "highest bucket (1000 ms)" in found["p99_ms"]["reason"]


def test_minutes_are_read_as_hours() -> None:
    series = buckets(40)
    fine = BucketSeries(START, 300, BOUNDS, np.repeat(series.cumulative / 12, 12, axis=0))
    one, other = (latency_of(ServiceInput("svc", buckets=each), 40) for each in (series, fine))
    for tier in ("conservative", "balanced", "aggressive"):
        assert one["p95_ms"]["tiers"][tier]["target"] == pytest.approx(
            other["p95_ms"]["tiers"][tier]["target"], rel=1e-6
        )


def test_what_came_after_the_instant_changes_nothing() -> None:
    series = buckets(60)
    poisoned = series.cumulative.copy()
    poisoned[40 * 24 :] = np.where(np.isinf(BOUNDS), 1e9, 0.0)
    known = latency_of(ServiceInput("svc", buckets=series), 40)
    assert known == latency_of(ServiceInput("svc", buckets=BucketSeries(START, 3_600, BOUNDS, poisoned)), 40)


def test_a_service_that_went_quiet_gets_a_reason() -> None:
    rows = buckets(150).cumulative.copy()
    rows[20 * 24 :] = 0.0
    found = latency_of(ServiceInput("svc", buckets=BucketSeries(START, 3_600, BOUNDS, rows)), 150)["p95_ms"]
    assert found["verdict"] == "insufficient_traffic"
    assert "no requests in its last 90 days" in found["reason"]


def test_p99_needs_more_requests_than_p95() -> None:
    rows = np.tile([0.0, 1, 1, 1, 1, 1, 1.0], (40 * 24, 1))
    found = latency_of(ServiceInput("svc", buckets=BucketSeries(START, 3_600, BOUNDS, rows)), 40)
    assert found["p95_ms"]["verdict"] == "ok"
    assert found["p99_ms"]["verdict"] == "insufficient_traffic"
    assert "1,500 are needed for p99" in found["p99_ms"]["reason"]


def _percentiles(values: Floats) -> PercentileSeries:
    return PercentileSeries(START + 300 * np.arange(values.size), values, 2 * values, 12)


def test_bins_own_percentiles_are_judged_by_the_share_of_bins_and_never_averaged() -> None:
    generator = np.random.default_rng(7)
    values = generator.lognormal(5, 0.4, 40 * 288)
    found = latency_of(ServiceInput("svc", percentiles=_percentiles(values)), 40)
    assert found["p95_ms"]["basis"] == "bins"
    assert "share of bins" in found["p95_ms"]["reason"]
    assert found["p95_ms"]["observed"] == pytest.approx(float(np.quantile(values, 0.95)), rel=0.02)
    balanced = found["p95_ms"]["tiers"]["balanced"]["target"]
    assert np.mean(values <= balanced) >= 0.95
    assert found["p99_ms"]["tiers"]["balanced"]["target"] == pytest.approx(2 * balanced, rel=1e-3)


def test_latency_has_a_verdict_of_its_own() -> None:
    found = latency_of(ServiceInput("svc", buckets=buckets(3)), 3)
    assert found["p95_ms"]["verdict"] == "cold_start"
    short = buckets(1)
    half = BucketSeries(START, 3_600, BOUNDS, short.cumulative[:12])
    found = latency_of(ServiceInput("svc", buckets=half), 1)
    assert found["p95_ms"]["verdict"] == "insufficient_history"
    assert found["p95_ms"]["tiers"] is None


def test_what_is_known_of_p95_alone_says_nothing_of_p99() -> None:
    values = np.random.default_rng(3).lognormal(3, 0.2, 40 * 288)
    series = replace(_percentiles(values), p99_ms=np.full(values.size, np.nan))
    found = latency_of(ServiceInput("svc", percentiles=series), 40)
    assert found["p95_ms"]["verdict"] == "ok"
    assert (found["p99_ms"]["verdict"], found["p99_ms"]["tiers"]) == ("no_data", None)


@pytest.mark.parametrize("share", [0.0, 0.03])
def test_a_value_that_nearly_all_bins_share_is_read_as_itself(share: float) -> None:
    values = np.full(60 * 288, 50.0)
    values[: int(share * values.size)] = 80.0
    found = latency_of(ServiceInput("svc", percentiles=_percentiles(values)), 60)["p95_ms"]
    assert found["observed"] == 50.0
    assert all(tier["target"] >= 50.0 for tier in found["tiers"].values())


def test_thresholds_of_bins_are_exceeded_as_often_as_said() -> None:
    found = evaluate_bins_numbers((5, list(FAMILIES), range(8)))
    for at, (chance, room) in enumerate(((0.01, 0.04), (0.05, 0.06), (0.2, 0.1))):
        assert len(found) > 100
        assert abs(np.mean([each.actual > each.predictions["engine"][at] for each in found]) - chance) <= room


@pytest.mark.parametrize(
    ("hours", "missing"),
    [
        (720, range(100, 130)),
        (2_400, range(300, 330)),
        (2_400, range(2_300, 2_310)),
        (2_400, range(10)),
        (48, ()),
    ],
)
def test_hours_that_are_missing_stay_missing_in_a_history(hours: int, missing: Sequence[int]) -> None:
    cumulative = np.outer(np.arange(1.0, hours + 1), [0.5, 0.9, 1.0])
    cumulative[list(missing)] = np.nan
    series = BucketSeries(START, 3_600, np.array([10.0, 100.0, np.inf]), cumulative)
    found = from_buckets(series, START + hours * 3_600)
    assert found is not None
    history = history_of(found)
    looked_at = min(hours - (len(missing) if list(missing)[:1] == [0] else 0), 2_160)
    expected = np.nan_to_num(cumulative[-looked_at:])
    assert np.array_equal(history.cumulative, expected)
    assert np.array_equal(history.is_known, expected[:, -1] > 0)
