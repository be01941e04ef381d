"""What a target would have cost in the past."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from apps.engine.types import CountSeries
from tests.engine.build import DAY, START, end_of, steady
from tests.engine.samples import backtest_target


def _year(bad_days: dict[int, float], days: int = 365) -> CountSeries:
    bad = np.full(days, 1.0)
    for day, share in bad_days.items():
        bad[day] = share * 10_000
    return CountSeries(START, DAY, np.full(days, 10_000.0), bad)


def test_windows_step_back_two_weeks_from_the_newest_day() -> None:
    history = _year({})
    found: Any = backtest_target(history, None, 0.999, 28, end_of(history))
    assert found["of"] == 25
    assert found["missed"] == 0
    assert found["windows"][-1]["end"] == "2027-06-01"
    assert found["windows"][-1]["start"] == "2027-05-04"
    assert found["windows"][-2]["end"] == "2027-05-18"
    assert found["pages_per_month"] is None


def test_a_bad_day_misses_the_windows_that_hold_it() -> None:
    history = _year({350: 0.05})
    found: Any = backtest_target(history, None, 0.9985, 28, end_of(history))
    missed = [window for window in found["windows"] if window["missed"]]
    assert found["missed"] == len(missed) == 2
    assert all(window["start"] <= "2027-05-17" < window["end"] for window in missed)
    assert missed[0]["availability"] == pytest.approx(1 - (27 + 500) / 280_000)


def test_a_higher_target_never_misses_less() -> None:
    counts = steady(120, rate=1e-3)
    missed = [
        backtest_target(None, counts, target, 28, end_of(counts))["missed"]
        for target in (0.99, 0.998, 0.999, 0.9995)
    ]
    assert missed == sorted(missed)
    assert missed[0] == 0
    assert missed[-1] == 7


def test_it_looks_at_two_years_and_not_beyond_as_of() -> None:
    history = _year({}, days=1_000)
    found: Any = backtest_target(history, None, 0.999, 28, START + 900 * DAY)
    assert found["of"] == (730 - 28) // 14 + 1
    assert found["windows"][-1]["end"] <= "2028-11-18"


def test_windows_with_too_little_data_are_not_judged() -> None:
    history = _year({})
    history.total[200:300] = np.nan
    found: Any = backtest_target(history, None, 0.999, 28, end_of(history))
    assert 0 < found["of"] < 25


def test_a_few_hours_say_nothing_about_a_month() -> None:
    counts = steady(2)
    found = backtest_target(None, counts, 0.999, 28, end_of(counts))
    assert (found["of"], found["pages_per_month"], found["tickets_per_month"]) == (0, None, None)
