"""The arithmetic of budgets, and when a decision is due."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from apps.slos.lists.levels import meter_level, meter_words
from apps.slos.objectives import budgets
from apps.slos.objectives.budgets import ATTEND_BELOW
from apps.slos.objectives.decision_due import Question, due_reason

AS_OF = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("bad", "total", "target", "burn"),
    [
        (10, 10_000, 0.999, 1.0),
        (144, 10_000, 0.999, 14.4),
        (0, 100, 0.99, 0.0),
        (7, 10, 0.5, 1.4),
        (0, 0, 0.9, None),
    ],
)
def test_a_burn_rate_of_one_spends_the_budget_in_the_window(
    bad: float, total: float, target: float, burn: float | None
) -> None:
    assert budgets.burn_rate(bad, total, target) == (None if burn is None else pytest.approx(burn))
    assert budgets.budget_left(bad, total, target) == (None if burn is None else pytest.approx(1 - burn))


def test_a_burn_of_one_or_less_never_exhausts_a_rolling_window() -> None:
    assert budgets.exhausted_at(0.5, 0.4, 28, AS_OF) is None
    assert budgets.exhausted_at(0.1, 1.0, 28, AS_OF) is None
    assert budgets.exhausted_at(0.5, None, 28, AS_OF) is None


def test_exhaustion_counts_that_old_failures_leave_the_window() -> None:
    """Half spent evenly: twice the rate comes in, half of it goes out, so a net 1.5 budgets a window."""
    ends = budgets.exhausted_at(0.5, 2.0, 28, AS_OF)
    assert ends is not None
    assert (ends - AS_OF).total_seconds() == pytest.approx(28 * 86400 * 0.5 / 1.5)
    assert budgets.exhausted_at(-0.1, 2.0, 28, AS_OF) == AS_OF


def question(active: float | None, decided_on: float | None = None, verdict: str = "ok") -> Question:
    return Question("availability", verdict, 0.999, 0.9995, 0.9998, active, decided_on, None)


@pytest.mark.parametrize(
    ("asked", "is_due"),
    [
        (question(None), True),
        (question(None, verdict="insufficient_traffic"), False),
        (question(0.9995), False),
        (question(0.9998), False),
        (question(0.99995), True),
        (question(0.99), True),
        (question(0.99995, decided_on=0.9995), False),
        (question(0.99995, decided_on=0.9999), True),
    ],
)
def test_a_decision_is_due_when_an_slo_left_the_band_of_the_tiers(asked: Question, is_due: bool) -> None:
    assert (due_reason(asked) is not None) == is_due


@pytest.mark.parametrize(
    ("left", "level", "words"),
    [
        (None, "bad", ""),
        (-0.4, "bad", "0 % of the budget left"),
        (0.0, "bad", "0 % of the budget left"),
        (0.01, "warn", "1 % of the budget left"),
        (ATTEND_BELOW, "warn", "25 % of the budget left"),
        (0.26, "ok", "26 % of the budget left"),
        (1.0, "ok", "100 % of the budget left"),
    ],
)
def test_the_bar_of_a_budget_warns_where_its_owner_should_look(
    left: float | None, level: str, words: str
) -> None:
    assert (meter_level(left), meter_words(left)) == (level, words)
