"""How a service stands against an SLO. For workers and commands only, because it needs numpy."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from apps.engine.window.burn_rate import ALERT_RULES, LEAST_PAGE_FAILURES, is_few, rule_holds
from apps.slos.models import ServiceStatus
from apps.slos.objectives.budgets import ATTEND_BELOW, budget_left, burn_rate, exhausted_at
from apps.ui.format import count, number, percent, plural

NAMES = {3_600: "1h", 6 * 3_600: "6h", 24 * 3_600: "1d", 72 * 3_600: "3d"}
"""Names of the alert rules' long windows."""
STALE_AFTER = timedelta(hours=24)
"""A service this far behind the newest data of the fleet has stopped reporting."""

type BadEvent = Literal["failure", "slow request", "slow bin"]
"""What spends the budget of an SLO."""


def _too_few(event: BadEvent) -> str:
    return f"Fewer than {LEAST_PAGE_FAILURES} {event}s are not a rate: look at them, but it is no emergency."


@dataclass(frozen=True, slots=True)
class Counts:
    """Requests and failures of one service up to ``as_of``: over the SLO's window and over each burn window."""

    as_of: datetime | None
    total: float
    bad: float
    windows: dict[str, tuple[float, float]]
    """``{"1h": (total, bad), …}``"""
    left_out: int = 0
    """Hours after ``as_of`` (or of the last week, if there is none) that were read and left out as implausible."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a service stands against an SLO, with the reason as a sentence."""

    state: str
    reason: str
    observed: float | None
    budget_left: float | None = None
    burn: dict[str, float | None] | None = None
    exhausted_at: datetime | None = None


def _few(allowed: float) -> str:
    """Write how many failures a budget allows: with a decimal only for few."""
    return count(allowed) if allowed >= 10 else number(allowed, 1)


def _left_out(hours: int) -> str:
    """Say why there are no data, if hours were read and left out."""
    if not hours:
        return ""
    were = "was" if hours == 1 else "were"
    return f": {plural(hours, 'hour')} {were} read and left out, which the telemetry page explains"


def judge(
    counts: Counts,
    target: float | None,
    window_days: int,
    newest: datetime | None,
    *,
    event: BadEvent = "failure",
) -> Standing:
    """Judge one service against its availability SLO, or one latency SLO by its slow requests or bins.

    ``newest`` is the end of the newest complete bin over the fleet. A service more than a day behind it has stopped
    reporting, and old figures are not called fine. Act: the budget is spent, or one of the paging rules holds. Attend:
    one of the ticket rules holds, the budget will be spent within the window, or a quarter or less is left. Fewer than
    ``LEAST_PAGE_FAILURES`` failures are no rate, so they never ask a person to act, even if they are more than the
    budget allows.
    """
    state = ServiceStatus.State
    if counts.as_of is None or counts.total <= 0:
        reason = "No requests in the window." if counts.as_of else f"No data yet{_left_out(counts.left_out)}."
        return Standing(state.NO_DATA, reason, None)
    observed = 1 - counts.bad / counts.total
    burn: dict[str, float | None] = {}
    left: float | None = None
    ends: datetime | None = None
    if target is not None:
        burn = {name: burn_rate(bad, total, target) for name, (total, bad) in counts.windows.items()}
        left = budget_left(counts.bad, counts.total, target)
        assert left is not None
        # A pace computed from one or two failures means nothing.
        pace = None if is_few(counts.windows["1d"][1]) else burn["1d"]
        ends = exhausted_at(left, pace, window_days, counts.as_of)

    def standing(name: str, reason: str) -> Standing:
        return Standing(name, reason, observed, left, burn, ends)

    if newest is not None and newest - counts.as_of > STALE_AFTER:
        return standing(
            state.NO_DATA,
            f"No data since {counts.as_of:%-d %b %Y, %H:%M} UTC{_left_out(counts.left_out)}; "
            "the figures are from then.",
        )
    if target is None or left is None:
        return standing(
            state.NO_SLO, f"No availability SLO; {percent(observed)} observed over {window_days} days."
        )
    allowed = counts.total * (1 - target)
    if left <= 0:
        failed = f"1 {event}" if round(counts.bad) == 1 else f"{count(counts.bad)} {event}s"
        spent = f"The budget is spent: {failed} where {_few(allowed)} were allowed."
        if is_few(counts.bad):
            return standing(state.ATTEND, f"{spent} {_too_few(event)}")
        return standing(state.ACT, spent)
    for rule in ALERT_RULES:
        name = NAMES[rule.long_seconds]
        total, bad = counts.windows[name]
        rate = burn[name]
        # Most services burn slowly, and comparing two numbers is a hundred times faster than checking the rule.
        if rate is None or rate < 0.99 * rule.factor(window_days):
            continue
        if rule_holds(rule, bad, total, target=target, window_total=counts.total, window_days=window_days):
            reason = (
                f"Burning {number(rate, 1)}× over {name}: {percent(bad / allowed, 0)} of the budget went."
            )
            if rule.severity == "page":
                return standing(state.ACT, reason)
            return standing(state.ATTEND, f"{reason} {_too_few(event)}" if is_few(bad) else reason)
    if ends is not None:
        days = (ends - counts.as_of).total_seconds() / 86_400
        return standing(
            state.ATTEND, f"At the last day's pace the budget is spent in {number(days, 1)} days."
        )
    if left <= ATTEND_BELOW:
        return standing(state.ATTEND, f"{percent(left, 0)} of the budget is left.")
    return standing(state.FINE, f"{percent(left, 0)} of the budget is left; it lasts past the window.")
