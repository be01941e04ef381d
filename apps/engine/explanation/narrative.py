"""The recommendation in one to four plain sentences, made of the document's own numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from apps.engine.document import AvailabilityWindow, Backtest, TierName
from apps.engine.explanation.attribution import Contribution
from apps.engine.rounding import duration, percent, plain, ratio
from apps.engine.series import DAY_SECONDS, ObservedCounts
from apps.engine.window.tiers import COLD_START_DAYS, Tier

LEAST_SHARE = 0.005
"""A prior that makes up less of a target is not mentioned: it rounds to 0 %."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was observed of a service, in figures; ``availability`` is ``None`` without a request."""

    requests: float
    failures: float
    availability: float | None
    span_days: float

    @classmethod
    def of(cls, counts: ObservedCounts) -> Self:
        """Sum up the counts."""
        return cls(counts.requests, counts.failures, counts.availability, counts.span_days)


def cold_start_reason(days: float, prior_weight: float, prior_title: str, *, is_held: bool = False) -> str:
    """Say why a cold start's numbers are wide; ``is_held`` if the prior was moved to the failures that were counted."""
    if prior_weight < LEAST_SHARE:
        return (
            f"{duration(days * DAY_SECONDS)} of data: the targets allow for what so short a history cannot show, and "
            f"confidence is low until day {COLD_START_DAYS}."
        )
    held = ", with no fewer failures than were counted" if is_held else ""
    return (
        f"{duration(days * DAY_SECONDS)} of data: {100 * prior_weight:.0f} % of each target is what is "
        f"expected of its kind ({prior_title}{held}), and confidence is low until day {COLD_START_DAYS}."
    )


def with_what_is_missing(reason: str, backtest: Backtest[AvailabilityWindow], window_days: int) -> str:
    """Add to a cold start's reason, in the same sentence, what its past cannot answer yet."""
    if backtest["of"]:
        return reason
    alerts = ", nor how often alerts would fire" if backtest["pages_per_month"] is None else ""
    return f"{reason.removesuffix('.')}; no past window of {window_days} days can be judged yet{alerts}."


def summarise(
    service_id: str,
    seen: Seen,
    tiers: dict[TierName, Tier],
    contributions: Sequence[Contribution],
    limit: float | None,
    reason: str | None,
    behave_hard: Sequence[tuple[str, str]] = (),
) -> str:
    """Say what was observed, what the service can keep, what stands in the way or costs most, and why this is unsure.

    Never more than four sentences: a dependency that is harder than declared (``behave_hard``, with its declared
    criticality) takes the place of what costs most.
    """
    balanced = tiers["balanced"]
    sentences: list[str] = []
    if seen.failures > 0:
        sentences.append(
            f"In {duration(seen.span_days * DAY_SECONDS)}, {percent(ratio(seen.availability) or 0.0)} of "
            f"{seen.requests:,.0f} requests to {service_id} succeeded."
        )
    else:
        sentences.append(
            f"In {duration(seen.span_days * DAY_SECONDS)}, none of {seen.requests:,.0f} requests to {service_id} "
            "failed."
        )
    windows = round(1 / balanced.breach_probability)
    sentences.append(f"It can keep {percent(balanced.target)}, which 1 window in {windows} misses.")
    above = [(name, tier) for name, tier in tiers.items() if limit is not None and tier.target > limit]
    if above and limit is not None:
        tier_name, tier = above[0]
        hard = (
            f"; {behave_hard[0][0]} is declared {behave_hard[0][1]} but behaves hard" if behave_hard else ""
        )
        sentences.append(
            f"Its dependencies support {percent(limit)}, less than the {tier_name} target of "
            f"{percent(tier.target)}{hard}."
        )
    elif behave_hard:
        name, criticality = behave_hard[0]
        more = f", and so do {len(behave_hard) - 1} more" if len(behave_hard) > 1 else ""
        sentences.append(f"{name} is declared {criticality} but behaves hard{more}.")
    elif contributions:
        worst = min(contributions, key=lambda each: each.contribution)
        if worst.contribution < 0:
            is_name = worst.feature.startswith("dependency:")
            label = worst.label if is_name else worst.label[0].lower() + worst.label[1:]
            points = _points(worst.contribution)
            sentences.append(
                f"The largest part of what is missing to 100 % comes from {label} ({points} points)."
            )
    if reason:
        sentences.append(reason)
    return " ".join(sentences)


def _points(contribution: float) -> str:
    """Write a contribution in points of availability, with two significant digits."""
    return plain(100 * abs(contribution))
