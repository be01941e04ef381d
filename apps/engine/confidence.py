"""Confidence: one figure for how far a recommendation can be trusted."""

from __future__ import annotations

import math
from dataclasses import dataclass

FULL_HISTORY_DAYS = 90.0
FRESH_SECONDS = 2 * 3_600
STALE_DAYS = 3.0
COLD_START_CEILING = 0.5
WIDE = 12.0
"""An interval this many times as wide as the balanced target's unavailability halves the confidence."""


@dataclass(frozen=True, slots=True)
class ConfidenceInput:
    """What the figure is computed from: ratios 0..1, and ``interval_width`` in the unit of availability."""

    days: float
    coverage: float
    implausible_share: float
    partial_share: float
    age_seconds: float
    window_requests: float
    needed_requests: float
    target: float
    interval_width: float
    is_cold_start: bool
    doubts: tuple[float, ...] = ()
    """The factor that each doubt about the counts leaves of the confidence."""


def confidence_parts(given: ConfidenceInput) -> dict[str, float]:
    """Return the factors, each 0..1; their product, capped during cold start, is the confidence.

    - history: square root of days / 90, at most 1;
    - coverage: share of bins that have data;
    - plausibility: 1 − 5 × the share of implausible bins − the share of partial ones;
    - freshness: 1 until two hours, then falling by e every three days;
    - traffic: n / (n + needed / 10), where ``needed`` requests without failure would prove the balanced target;
    - precision: 1 / (1 + interval width / (12 × the balanced target's unavailability)): 0.86 where the interval is
      twice as wide as that unavailability, a half where it is twelve times as wide;
    - evidence: product of the factors of ``doubts``, 1 without any.
    """
    unavailability = max(1 - given.target, 1e-12)
    age_days = max(0.0, given.age_seconds - FRESH_SECONDS) / 86_400
    return {
        "history": min(1.0, math.sqrt(max(0.0, given.days) / FULL_HISTORY_DAYS)),
        "coverage": min(1.0, max(0.0, given.coverage)),
        "plausibility": max(0.0, 1 - 5 * given.implausible_share - given.partial_share),
        "freshness": math.exp(-age_days / STALE_DAYS),
        "traffic": given.window_requests / (given.window_requests + given.needed_requests / 10),
        "precision": 1 / (1 + given.interval_width / (WIDE * unavailability)),
        "evidence": math.prod(min(1.0, max(0.0, each)) for each in given.doubts),
    }


def combine(parts: dict[str, float], is_cold_start: bool) -> float:
    """Multiply the parts; at most 0.5 during cold start."""
    value = math.prod(parts.values())
    return min(COLD_START_CEILING, value) if is_cold_start else value
