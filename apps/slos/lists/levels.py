"""How bad a row of a list is, and how full the bar of its budget."""

from __future__ import annotations

from typing import Literal

from apps.slos.objectives.budgets import ATTEND_BELOW

type Level = Literal["ok", "warn", "bad", ""]
type MeterLevel = Literal["ok", "warn", "bad"]


def meter_level(left: float | None) -> MeterLevel:
    """The colour of a budget's bar: spent, a quarter or less, more."""
    return "bad" if (left or 0.0) <= 0 else "warn" if (left or 0.0) <= ATTEND_BELOW else "ok"


def meter_words(left: float | None) -> str:
    """What the bar says to those who do not see it."""
    return "" if left is None else f"{max(0, round(left * 100))} % of the budget left"
