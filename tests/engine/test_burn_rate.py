"""The alerts that a target would have raised."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import poisson

from apps.engine.window.burn_rate import (
    LEAST_PAGE_FAILURES,
    PAGE_CHANCE,
    count_alerts,
    is_a_rate,
)


def test_one_bad_hour_pages_once_and_a_slow_burn_makes_a_ticket() -> None:
    total = np.full(30 * 24, 1_000.0)
    bad = np.zeros(total.size)
    bad[100] = 50.0
    pages, tickets = count_alerts(total, bad, 3_600, np.array([0.999, 0.9]), 30)
    assert pages.tolist() == [1, 0]
    slow = np.full(total.size, 1.2)
    pages, tickets = count_alerts(total, slow, 3_600, np.array([0.999]), 30)
    assert (pages.tolist(), tickets.tolist()) == ([0], [1])


def test_gaps_raise_no_alert() -> None:
    total = np.full(48, np.nan)
    pages, tickets = count_alerts(total, total, 3_600, np.array([0.999]), 30)
    assert (pages.tolist(), tickets.tolist()) == ([0], [0])


@given(st.integers(0, 10_000), st.floats(0, 10_000))
def test_a_rate_is_more_than_a_service_that_keeps_its_target_has_by_chance(bad: int, allowed: float) -> None:
    exact = poisson.sf(bad - 1, allowed)
    if bad < LEAST_PAGE_FAILURES or exact > PAGE_CHANCE * 1.001:
        assert not is_a_rate(bad, allowed)
    elif exact < PAGE_CHANCE * 0.85:
        assert is_a_rate(bad, allowed)


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e6)), min_size=1, max_size=20))
def test_a_rate_is_the_same_for_numbers_and_for_arrays(pairs: list[tuple[float, float]]) -> None:
    bad, allowed = np.array(pairs).T
    assert [bool(is_a_rate(*pair)) for pair in pairs] == list(is_a_rate(bad, allowed))  # type: ignore[arg-type]


@given(
    st.integers(1, 50),
    st.lists(st.integers(0, 700), max_size=2),
    st.sampled_from([0.9, 0.99, 0.999, 0.99999]),
)
def test_single_failures_page_nobody(traffic: int, failed_at: list[int], target: float) -> None:
    """Up to two failures, however close together and whatever the number of requests."""
    total = np.full(701, float(traffic))
    bad = np.zeros(total.size)
    for at in failed_at:
        bad[at] += 1
    pages, _ = count_alerts(np.maximum(total, bad), bad, 3_600, np.array([target]), 28)
    assert pages.tolist() == [0]


def test_a_page_spends_its_share_of_the_window_and_not_only_of_a_quiet_hour() -> None:
    total = np.full(28 * 24, 10_000.0)
    total[-1] = 10.0
    bad = np.zeros(total.size)
    bad[-1] = 5.0
    pages, _ = count_alerts(total, bad, 3_600, np.array([0.999]), 28)
    assert pages.tolist() == [0]
