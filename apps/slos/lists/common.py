"""What every list of services has beside what all lists have: how a budget's bar is drawn."""

from __future__ import annotations

from typing import Literal

from apps.ui.listings import (
    ROWS_PER_PAGE,
    Filter,
    Level,
    Listing,
    choices,
    listing_of,
    nothing_matches,
    page_of,
    pager_of,
    without,
    words_in,
)

__all__ = [
    "ROWS_PER_PAGE",
    "Filter",
    "Level",
    "Listing",
    "MeterLevel",
    "choices",
    "listing_of",
    "meter_level",
    "meter_words",
    "nothing_matches",
    "page_of",
    "pager_of",
    "without",
    "words_in",
]

type MeterLevel = Literal["ok", "warn", "bad"]


def meter_level(left: float | None) -> MeterLevel:
    """The colour of a budget's bar: spent, a quarter or less, more."""
    return "bad" if (left or 0.0) <= 0 else "warn" if (left or 0.0) < 0.25 else "ok"


def meter_words(left: float | None) -> str:
    """What the bar says to those who do not see it."""
    return "" if left is None else f"{max(0, round(left * 100))} % of the budget left"
