"""How a service stands: who is called, who may wait, and that few failures call nobody."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.engine.window.burn_rate import LEAST_PAGE_FAILURES, count_alerts
from apps.slos.objectives.standing import NAMES, Counts, judge

AS_OF = datetime(2026, 3, 1, tzinfo=UTC)
HOURS = {name: seconds // 3_600 for seconds, name in NAMES.items()}
SEVERITY = {"no_slo": 0, "fine": 1, "attend": 2, "act": 3}

targets = st.sampled_from([0.5, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9995, 0.9999, 0.99999])


def counts(total: np.ndarray, bad: np.ndarray) -> Counts:
    """The counts of a window whose hours these are, oldest first."""
    windows = {
        name: (float(total[-hours:].sum()), float(bad[-hours:].sum())) for name, hours in HOURS.items()
    }
    return Counts(AS_OF, float(total.sum()), float(bad.sum()), windows)


def state_of(total: np.ndarray, bad: np.ndarray, target: float, window_days: int = 28) -> str:
    return judge(counts(total, bad), target, window_days, AS_OF).state


@st.composite
def histories(draw: st.DrawFn, most: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Hours of 28 days: steady traffic, quiet at times, and failures in a few of the newest hours."""
    hours = 28 * 24
    total = np.full(hours, float(draw(st.integers(0, most))))
    for at in draw(st.lists(st.integers(1, hours), max_size=6)):
        total[-at] = draw(st.integers(0, most))
    bad = np.zeros(hours)
    for at in draw(st.lists(st.sampled_from([1, 2, 3, 6, 7, 24, 30, 72, 100, 600]), max_size=6)):
        bad[-at] = draw(st.integers(0, int(total[-at])))
    return total, bad


def test_two_failures_in_a_quiet_night_are_no_emergency() -> None:
    quiet = Counts(AS_OF, 100_000, 2, {"1h": (4, 1), "6h": (30, 2), "1d": (3_000, 2), "3d": (9_000, 2)})
    assert judge(quiet, 0.999, 28, AS_OF).state == "fine"


def test_two_failures_among_four_requests_are_no_emergency_for_a_small_service_either() -> None:
    total = np.full(28 * 24, 4.0)
    bad = np.zeros(total.size)
    bad[-1] = 2
    found = judge(counts(total, bad), 0.999, 28, AS_OF)
    assert found.state == "attend"
    assert found.reason.startswith(
        "Burning 20.8× over 1d: 74\u202f% of the budget went. Fewer than 3 failures"
    )


def test_one_failure_of_one_request_an_hour_is_no_rate() -> None:
    total = np.ones(28 * 24)
    bad = np.zeros(total.size)
    bad[-1] = 1
    found = judge(counts(total, bad), 0.99, 28, AS_OF)
    assert (found.state, found.exhausted_at) == ("attend", None)
    assert "Fewer than 3 failures are not a rate" in found.reason


def test_one_failure_that_is_more_than_the_budget_is_named_and_calls_nobody() -> None:
    total = np.ones(28 * 24)
    bad = np.zeros(total.size)
    bad[-1] = 1
    found = judge(counts(total, bad), 0.999, 28, AS_OF)
    assert (found.state, found.exhausted_at) == ("attend", AS_OF)
    assert found.reason.startswith("The budget is spent: 1 failure where 0.7 were allowed. Fewer than 3")


def test_a_small_service_that_answers_nothing_any_more_does_call() -> None:
    total = np.full(28 * 24, 4.0)
    bad = np.zeros(total.size)
    bad[-1] = 4
    found = judge(counts(total, bad), 0.99, 28, AS_OF)
    assert (found.state, found.reason) == ("act", "Burning 100× over 1h: 15\u202f% of the budget went.")


@given(histories(most=100_000), targets, st.integers(1, 90), st.floats(0.5, 2.4))
def test_fewer_failures_than_three_never_ask_to_act(
    history: tuple[np.ndarray, np.ndarray], target: float, window_days: int, failed: float
) -> None:
    """Whatever the traffic, the target and the window, and also where a metric store extrapolated the count."""
    total, bad = history
    bad = np.where(bad > 0, bad, 0.0)
    if bad.sum() == 0:
        bad[-1] = 1
    bad = bad / bad.sum() * failed
    assert failed < LEAST_PAGE_FAILURES - 0.5
    assert state_of(np.maximum(total, np.ceil(bad)), bad, target, window_days) != "act"


@given(histories(), targets, st.integers(1, 50))
def test_more_of_the_same_never_stands_better(
    history: tuple[np.ndarray, np.ndarray], target: float, times: int
) -> None:
    total, bad = history
    if total.sum() > 0:
        few, many = state_of(total, bad, target), state_of(total * times, bad * times, target)
        assert SEVERITY[many] >= SEVERITY[few]


@given(histories(), targets, st.sampled_from([1, 2, 6, 24, 72, 600]), st.integers(1, 20))
def test_more_failures_of_as_many_requests_never_stand_better(
    history: tuple[np.ndarray, np.ndarray], target: float, ago: int, more: int
) -> None:
    total, bad = history
    worse = bad.copy()
    worse[-ago] = min(total[-ago], bad[-ago] + more)
    if total.sum() > 0:
        assert SEVERITY[state_of(total, worse, target)] >= SEVERITY[state_of(total, bad, target)]


@given(histories(), targets)
def test_the_backtest_pages_where_a_service_that_stands_so_would_ask_to_act(
    history: tuple[np.ndarray, np.ndarray], target: float
) -> None:
    """A page of the backtest is an hour that asks to act; the rule of an hour, whose short window is the same bin, is
    a page wherever it asks."""
    total, bad = history
    pages, _ = count_alerts(total, bad, 3_600, np.array([target]), 28)
    found = [judge(counts(total[:end], bad[:end]), target, 28, AS_OF) for end in np.flatnonzero(bad) + 1]
    if pages[0]:
        assert any(one.state == "act" for one in found)
    if any(one.state == "act" and "over 1h" in one.reason for one in found):
        assert pages[0]


@pytest.mark.parametrize("window_days", [7, 28, 90])
def test_failures_that_the_target_allows_do_not_call(window_days: int) -> None:
    """4 failures of 2,000 requests in 6 hours, where the target allows 2: that happens to a service that keeps it."""
    total = np.full(window_days * 24, 333.0)
    bad = np.zeros(total.size)
    bad[-6:-2] = 1
    assert state_of(total, bad, 0.999, window_days) != "act"


def test_hours_that_were_read_and_left_out_are_told_from_hours_without_data() -> None:
    nothing = dict.fromkeys(HOURS, (0.0, 0.0))
    assert judge(Counts(None, 0, 0, nothing), None, 28, AS_OF).reason == "No data yet."
    none_believed = judge(Counts(None, 0, 0, nothing, left_out=72), None, 28, AS_OF)
    assert none_believed.reason.startswith("No data yet: 72 hours were read and left out")
    stopped = Counts(AS_OF - timedelta(days=3), 100, 1, nothing, left_out=1)
    assert "1 hour was read and left out" in judge(stopped, None, 28, AS_OF).reason
