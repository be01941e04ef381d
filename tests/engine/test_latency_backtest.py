"""What a latency threshold would have cost in the past."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from apps.engine.latency.backtest import add_backtests, over_thresholds
from apps.engine.latency.thresholds import from_buckets
from apps.engine.percentiles import percentile
from apps.engine.recommend import recommend
from apps.engine.types import BucketSeries, Floats, PercentileSeries, ServiceInput
from tests.engine.build import DAY, HOUR, START
from tests.engine.test_latency import BOUNDS, buckets

KEYS = {"windows", "missed", "of", "pages_per_month", "tickets_per_month"}
FAST = np.array([0.0, 900.0, 980.0, 1_000.0, 1_000.0, 1_000.0, 1_000.0])
"""2 % are slower than 100 ms, none than 200 ms."""
SLOW = np.array([0.0, 0.0, 0.0, 0.0, 500.0, 1_000.0, 1_000.0])
"""All are slower than 200 ms."""


def histograms(days: int, slow: slice | None = None, row: Floats = SLOW) -> BucketSeries:
    """Hours of ``FAST`` requests, those of the slice like ``row``."""
    rows = np.tile(FAST, (days * 24, 1))
    if slow is not None:
        rows[slow] = row
    return BucketSeries(START, HOUR, BOUNDS, rows)


def bins_of(days: int, slow: slice | None = None) -> PercentileSeries:
    """Twelve percentiles an hour of 100 ms, those of the slice of 400 ms."""
    values = np.full(days * 288, 100.0)
    if slow is not None:
        values[slow] = 400.0
    return PercentileSeries(START + 300 * np.arange(values.size), values, 2 * values, 12)


def backtest(
    series: BucketSeries | None,
    threshold: float,
    *,
    bins: PercentileSeries | None = None,
    days: float,
    which: str = "p95_ms",
    window_days: int = 28,
) -> dict[str, Any]:
    tier: dict[str, Any] = {"target": threshold}
    documents: Any = {"p95_ms": {"tiers": None}, "p99_ms": {"tiers": None}}
    documents[which] = {"tiers": {"balanced": tier}}
    as_of = START + round(days * DAY)
    add_backtests(documents, from_buckets(series, as_of), series, bins, window_days=window_days, as_of=as_of)
    found: dict[str, Any] = tier["backtest"]
    return found


def test_windows_step_back_two_weeks_from_the_newest_day() -> None:
    found = backtest(histograms(90), 150.0, days=90)
    assert found.keys() == KEYS
    assert [(one["start"], one["end"]) for one in found["windows"]] == [
        ("2026-06-07", "2026-07-05"),
        ("2026-06-21", "2026-07-19"),
        ("2026-07-05", "2026-08-02"),
        ("2026-07-19", "2026-08-16"),
        ("2026-08-02", "2026-08-30"),
    ]
    assert (found["missed"], found["of"]) == (0, 5)


def test_a_bad_fortnight_is_found_in_the_windows_that_hold_it() -> None:
    fortnight = slice(30 * 24, 44 * 24)
    found = backtest(histograms(90, fortnight), 150.0, days=90)
    assert [one["missed"] for one in found["windows"]] == [True, True, True, False, False]
    assert found["missed"] == 3
    # Each window contains so many days of the bad fortnight.
    expected = [percentile(BOUNDS, (28 - slow) * FAST + slow * SLOW, 0.95)[0] for slow in (4, 14, 10, 0, 0)]
    assert [one["observed"] for one in found["windows"]] == pytest.approx(expected, abs=1e-3)


def test_a_window_is_missed_where_more_requests_are_slower_than_its_percentile_allows() -> None:
    # 2 % are slower than 100 ms: that keeps a p95 of 100 ms and misses a p99.
    assert backtest(histograms(28), 100.0, days=28)["missed"] == 0
    assert backtest(histograms(28), 100.0, days=28, which="p99_ms")["missed"] == 1


def test_a_percentile_above_the_highest_bucket_is_missed_and_has_no_number() -> None:
    beyond = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1_000.0])
    found = backtest(histograms(28, slice(0, 24 * 5), beyond), 900.0, days=28)
    assert found["windows"] == [
        {"start": "2026-06-01", "end": "2026-06-29", "observed": None, "missed": True}
    ]


def test_windows_with_too_little_data_are_not_judged() -> None:
    series = histograms(56)
    series.cumulative[: 15 * 24] = np.nan
    series.cumulative[0] = FAST
    # The oldest window has 14 of 28 days, and then one fewer.
    assert backtest(series, 150.0, days=56)["of"] == 3
    series.cumulative[27 * 24 : 28 * 24] = np.nan
    assert backtest(series, 150.0, days=56)["of"] == 2


def test_each_slow_hour_pages_once_and_raises_a_ticket_where_less_may_be_slow() -> None:
    series = histograms(30)
    series.cumulative[[100, 300, 500]] = SLOW
    found = backtest(series, 200.0, days=30)
    # For p95 a slow hour has a burn rate of 20, where 13.4 is enough for a page, and its day one of 0.8, where a
    # ticket needs 2.8.
    assert (found["pages_per_month"], found["tickets_per_month"]) == (3, 0)
    tight = backtest(series, 200.0, days=30, which="p99_ms")
    assert (tight["pages_per_month"], tight["tickets_per_month"]) == (3, 3)


def test_nothing_slow_raises_nothing() -> None:
    found = backtest(histograms(60), 200.0, days=60)
    assert (found["pages_per_month"], found["tickets_per_month"]) == (0, 0)


def test_a_week_of_hours_is_needed_for_alerts() -> None:
    assert backtest(histograms(6), 150.0, days=6)["pages_per_month"] is None
    assert backtest(histograms(7), 150.0, days=7)["pages_per_month"] == 0
    assert backtest(histograms(7), 150.0, days=7)["of"] == 0


def test_histograms_of_days_have_windows_and_no_alerts() -> None:
    series = BucketSeries(START, DAY, BOUNDS, np.tile(FAST, (60, 1)))
    found = backtest(series, 150.0, days=60)
    assert found["of"] == 3
    assert found["pages_per_month"] is None


def test_minutes_are_read_as_hours() -> None:
    series = histograms(40, slice(200, 210))
    fine = BucketSeries(START, 300, BOUNDS, np.repeat(series.cumulative / 12, 12, axis=0))
    assert backtest(series, 150.0, days=40) == backtest(fine, 150.0, days=40)


def test_bins_are_counted_where_there_are_no_histograms() -> None:
    # A window has 8,064 bins, of which 403 may be above the threshold.
    for slow, missed in ((403, 0), (404, 1)):
        found = backtest(None, 150.0, bins=bins_of(28, slice(0, slow)), days=28)
        assert (found["missed"], found["of"]) == (missed, 1)
        assert found["windows"][0]["observed"] == (400.0 if missed else 100.0)
        assert found["pages_per_month"] is None
        assert found["tickets_per_month"] is None


def test_every_tier_of_a_recommendation_has_one() -> None:
    for service in (
        ServiceInput("svc", buckets=buckets(60)),
        ServiceInput("svc", percentiles=bins_of(60, slice(0, 100))),
    ):
        found: Any = recommend(service, as_of=START + 60 * DAY)["latency"]
        for which in ("p95_ms", "p99_ms"):
            missed = [tier["backtest"]["missed"] for tier in found[which]["tiers"].values()]
            assert missed == sorted(missed), "an easier threshold is missed no more often"
            for tier in found[which]["tiers"].values():
                assert tier["backtest"].keys() == KEYS
                assert tier["backtest"]["of"] == 3
                assert tier["backtest"]["windows"][0].keys() == {"start", "end", "observed", "missed"}


def test_what_came_after_the_instant_changes_nothing() -> None:
    known, poisoned = histograms(45, slice(100, 130)), histograms(90, slice(100, 130))
    poisoned.cumulative[45 * 24 :] = SLOW
    assert backtest(known, 150.0, days=45.5) == backtest(poisoned, 150.0, days=45)
    calm, wild = bins_of(45, slice(100, 130)), bins_of(90, slice(100, 130))
    wild.p95_ms[45 * 288 :] = 9_000.0
    assert backtest(None, 150.0, bins=calm, days=45) == backtest(None, 150.0, bins=wild, days=45)


def test_a_day_that_has_not_ended_is_not_judged() -> None:
    series = histograms(29)
    assert backtest(series, 150.0, days=28.9)["windows"][-1]["end"] == "2026-06-29"
    assert backtest(series, 150.0, days=29)["windows"][-1]["end"] == "2026-06-30"


def test_requests_over_a_threshold_are_spread_evenly_within_their_bucket() -> None:
    over = over_thresholds(BOUNDS, np.stack([FAST, SLOW]), np.array([10.0, 75.0, 100.0, 750.0, 1_000.0]))
    assert over[:, 0] == pytest.approx([1_000.0, 60.0, 20.0, 0.0, 0.0])
    assert over[:, 1] == pytest.approx([1_000.0, 1_000.0, 1_000.0, 250.0, 0.0])
