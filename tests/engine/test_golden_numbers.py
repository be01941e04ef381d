"""Numbers from the literature that the engine must reproduce."""

from __future__ import annotations

import pytest

from apps.engine.counting import needed_requests
from apps.engine.edges.composite import compose
from apps.engine.graph.redundancy import (
    k_of_n_unavailability,
    retried_unavailability,
    stand_in_unavailability,
)
from apps.engine.window.burn_rate import ALERT_RULES
from tests.engine.samples import simple_factor


@pytest.mark.parametrize(("target", "requests"), [(0.999, 2_995), (0.9999, 29_956), (0.99, 299)])
def test_zero_failures_need_as_many_requests_as_the_rule_of_three_says(target: float, requests: int) -> None:
    # Hanley and Lippman-Hand 1983: n >= ln 0.05 / ln target.
    assert needed_requests(target) == requests


def test_two_hard_dependencies_at_four_nines_support_less_than_four_nines() -> None:
    # AWS, Availability with dependencies: two hard dependencies at 99.99 % leave 99.98 %.
    two = [simple_factor(name, call_probability=1, hardness=1, availability=0.9999) for name in "ab"]
    assert compose(1.0, two).point == pytest.approx(0.9998, abs=2e-8)


def test_two_redundant_parts_multiply_their_unavailability() -> None:
    # AWS, Availability with redundancy: two independent parts at 99.9 % make 99.9999 %.
    assert 1 - k_of_n_unavailability(0.001, n=2, k=1) == pytest.approx(0.999999, abs=1e-12)
    assert 1 - stand_in_unavailability([0.001, 0.001], common_cause=0.0) == pytest.approx(0.999999, abs=1e-12)


def test_common_cause_sets_the_floor_of_redundancy() -> None:
    # β-factor (Fleming 1975): U = βU + ((1 − β)U)^n.
    assert k_of_n_unavailability(0.01, n=3, k=1, common_cause=0.1) == pytest.approx(
        0.001 + 0.009**3, rel=1e-12
    )
    assert stand_in_unavailability([0.01] * 3, common_cause=0.1) == pytest.approx(0.001 + 0.009**3, rel=1e-12)


def test_two_of_three_is_the_binomial() -> None:
    assert k_of_n_unavailability(0.1, n=3, k=2) == pytest.approx(3 * 0.01 * 0.9 + 0.001, rel=1e-12)


def test_retries_help_only_the_transient_share() -> None:
    assert retried_unavailability(0.01, retries=2, persistent=0.5) == pytest.approx(
        0.005 + 0.5 * 1e-6, rel=1e-12
    )
    assert retried_unavailability(0.01, retries=0) == pytest.approx(0.01, rel=1e-12)


def test_alert_factors_are_those_of_the_workbook() -> None:
    # The Site Reliability Workbook, ch. 5, for 30 days; the same shares of a 28-day budget beside them.
    assert [rule.factor(30) for rule in ALERT_RULES] == pytest.approx([14.4, 6, 3, 1])
    assert [rule.factor(28) for rule in ALERT_RULES] == pytest.approx([13.44, 5.6, 2.8, 0.93333], abs=1e-4)
    assert [rule.severity for rule in ALERT_RULES] == ["page", "page", "ticket", "ticket"]
