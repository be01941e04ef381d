"""Budgets, burn rates and the alerts that a target would have raised."""

from __future__ import annotations

import numpy as np
import pytest

from apps.engine.window.burn_rate import (
    budget_left,
    burn_rate,
    count_alerts,
    error_budget,
    seconds_to_exhaustion,
)


def test_a_burn_rate_of_one_spends_the_budget_in_the_window() -> None:
    assert burn_rate(10, 10_000, 0.999) == pytest.approx(1.0)
    assert burn_rate(144, 10_000, 0.999) == pytest.approx(14.4)
    assert burn_rate(0, 0, 0.999) is None


def test_the_budget_is_what_may_fail() -> None:
    assert error_budget(1_000_000, 0.999) == pytest.approx(1_000)
    assert budget_left(250, 1_000_000, 0.999) == pytest.approx(0.75)
    assert budget_left(2_000, 1_000_000, 0.999) == pytest.approx(-1.0)
    assert budget_left(0, 0, 0.999) is None


def test_the_budget_lasts_as_long_as_the_burn_lets_it() -> None:
    assert seconds_to_exhaustion(1.0, 1.0, 28) == pytest.approx(28 * 86_400)
    assert seconds_to_exhaustion(0.5, 14.0, 28) == pytest.approx(86_400)
    assert seconds_to_exhaustion(0.5, 0.0, 28) is None
    assert seconds_to_exhaustion(-0.1, 3.0, 28) == 0.0


@pytest.mark.parametrize("target", [1.0, -0.1, 2.0])
def test_a_target_outside_its_range_is_refused(target: float) -> None:
    with pytest.raises(ValueError, match="target"):
        burn_rate(1, 10, target)


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
