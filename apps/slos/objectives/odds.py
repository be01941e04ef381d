"""How often an SLO like the one in force is missed, read from the tiers of the current recommendation."""

from __future__ import annotations

from collections.abc import Sequence

from apps.slos.formatting import is_latency
from apps.ui.format import chance_words

CHANCES = (0.01, 0.05, 0.20)
"""The chance of a miss per window that each tier states: conservative, balanced, aggressive."""
LAST_DIGIT = 1e-9
"""A target is stored with nine decimals, a tier with more: a smaller difference counts as none."""


def missed_odds(
    sli_type: str, number: float, tiers: Sequence[float | None], window_days: int
) -> tuple[str, float | None]:
    """Return how often an SLO of this number is missed, in words, and the least chance that those words state.

    ``tiers`` are the conservative, balanced and aggressive numbers, like ``number`` a ratio, or milliseconds for a
    latency. ``("", None)`` where a tier is unknown.
    """
    known = [tier for tier in tiers if tier is not None]
    if len(known) < len(CHANCES):
        return "", None
    sign = -1 if is_latency(sli_type) else 1
    least: float | None = None
    for tier, chance in zip(known, CHANCES, strict=True):
        words = chance_words(chance, window_days)
        if abs(number - tier) <= LAST_DIGIT * max(1.0, abs(tier)):
            return f"missed {words}", chance
        if sign * number < sign * tier:
            if least is None:
                return f"missed less than {words}", 0.0
            return f"missed between {chance_words(least, window_days)} and {words}", least
        least = chance
    return f"missed more than {chance_words(CHANCES[-1], window_days)}", CHANCES[-1]
