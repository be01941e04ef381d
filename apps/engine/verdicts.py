"""Whether the data carry a number, and the sentence that says why not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from apps.engine.counting import needed_requests
from apps.engine.document import Verdict
from apps.engine.rounding import duration, percent
from apps.engine.series import DAY_SECONDS, ObservedCounts
from apps.engine.window.tiers import COLD_START_DAYS, LEAST_TARGET

LEAST_DAYS = 1.0
LEAST_REQUESTS = 300
"""With fewer requests in a window, even a spotless record does not support 99 % (ln 0.05 / ln 0.99 = 299)."""
NEARLY_ALL = 0.9
"""Share of failed requests: below it, a target of next to nothing comes from too little history, not from what was
counted.
"""
NAMED_TARGET = 0.999
"""The target that a reason gives as its example."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict with its reason and the requests expected in the window (``None`` without data)."""

    verdict: Verdict
    reason: str | None
    expected_requests: float | None


def judge(
    service_id: str,
    counts: ObservedCounts | None,
    window_days: int,
    left_out: Mapping[str, int] | None = None,
) -> Judgement:
    """Decide by days of data first, then by traffic, then by whether every request failed.

    ``cold_start`` and ``ok`` carry numbers. ``left_out`` are hours that were read and left out as implausible, by
    reason.
    """
    if counts is None:
        return Judgement("no_data", f"{service_id} {_why_nothing(left_out or {})}", None)
    expected = counts.requests / counts.span_days * window_days
    if counts.days < LEAST_DAYS:
        reason = (
            f"{service_id} has {duration(counts.days * 86_400)} of data; a day is needed for a first number."
        )
        return Judgement("insufficient_history", reason, expected)
    if expected < LEAST_REQUESTS:
        needed = f"{needed_requests(NAMED_TARGET):,} are needed to support 99.9 %."
        if counts.span_days >= window_days:
            reason = f"{service_id} has {expected:,.0f} requests in {window_days} days; {needed}"
        else:
            reason = (
                f"{service_id} had {counts.requests:,.0f} requests in {counts.span_days:.0f} days, which is "
                f"{expected:,.0f} in {window_days} days; {needed}"
            )
        return Judgement("insufficient_traffic", reason, expected)
    if counts.failures >= counts.requests:
        return _nothing_kept(
            f"All {counts.requests:,.0f} requests of {service_id} in {_length(counts)} count as failed: no target can "
            "be recommended. If that is wrong, its query for failures selects every request.",
            expected,
        )
    if counts.days < COLD_START_DAYS:
        return Judgement("cold_start", None, expected)
    return Judgement("ok", None, expected)


def is_hardly_kept(counts: ObservedCounts, balanced: float) -> bool:
    """Whether nearly every request failed and even the ``balanced`` target would be too low to be a target."""
    return balanced <= LEAST_TARGET + 1e-12 and counts.failures >= NEARLY_ALL * counts.requests


def hardly_kept(service_id: str, counts: ObservedCounts, expected: float | None) -> Judgement:
    """Return the verdict on a service for which :func:`is_hardly_kept` holds."""
    return _nothing_kept(
        f"{counts.failures:,.0f} of {counts.requests:,.0f} requests of {service_id} in {_length(counts)} count as "
        f"failed: its balanced target would be at most {percent(LEAST_TARGET)}, which is too low for an SLO. If that "
        "is wrong, its query for failures selects too many requests.",
        expected,
    )


def _why_nothing(left_out: Mapping[str, int]) -> str:
    if not left_out:
        return "has no requests on record."
    hours = sum(left_out.values())
    reasons = ", ".join(sorted(left_out, key=lambda reason: (-left_out[reason], reason)))
    return (
        f"has no usable hour: {hours:,} {'hour was' if hours == 1 else 'hours were'} read and left out "
        f"({reasons})."
    )


def _nothing_kept(reason: str, expected: float | None) -> Judgement:
    return Judgement("nothing_kept", reason, expected)


def _length(counts: ObservedCounts) -> str:
    return duration(counts.span_days * DAY_SECONDS)
