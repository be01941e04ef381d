"""The arithmetic of error budgets, in plain Python so that a web process may use it.

The alert rules are those of Beyer et al., *The Site Reliability Workbook* (2018), ch. 5: a rule fires when a
stated share of the window's budget goes within its long window. :mod:`apps.engine.window.burn_rate` holds the same
rules for arrays; a test compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from apps.slos.models import ServiceStatus
from apps.ui.format import count, number, percent

HOURS = {"1h": 1, "6h": 6, "1d": 24, "3d": 72}

PAGE_RULES = (("1h", 0.02), ("6h", 0.05))
TICKET_RULES = (("1d", 0.10), ("3d", 0.10))
ATTEND_BELOW = 0.25
"""A quarter of the budget left is when an owner should look, however slowly it goes."""
STALE_AFTER = timedelta(hours=24)
"""A service this far behind the newest data of the fleet has stopped reporting."""


def burn_rate(bad: float, total: float, target: float) -> float | None:
    """Share of failed requests over the share that the target allows; ``None`` without requests."""
    return None if total <= 0 else bad / total / (1 - target)


def budget_left(bad: float, total: float, target: float) -> float | None:
    """Share of the budget left: 1 untouched, 0 spent, negative overspent; ``None`` without requests."""
    spent = burn_rate(bad, total, target)
    return None if spent is None else 1 - spent


def alert_factor(budget_share: float, hours: float, window_days: float) -> float:
    """The burn rate that spends ``budget_share`` of a window's budget within so many hours."""
    return budget_share * window_days * 24 / hours


def exhausted_at(left: float, burn_1d: float | None, window_days: int, as_of: datetime) -> datetime | None:
    """When nothing is left if the last day goes on; ``as_of`` when it is spent, ``None`` when that never
    comes.

    The window rolls: while new failures come in at ``burn_1d``, those of a window ago leave, on average at
    the rate at which the window spent (``1 - left``). At a burn of 1 or less the budget is never used up.
    """
    if left <= 0:
        return as_of
    if burn_1d is None or burn_1d <= 1:
        return None
    return as_of + timedelta(days=left * window_days / (burn_1d - (1 - left)))


@dataclass(frozen=True, slots=True)
class Counts:
    """Requests and failures of one service up to ``as_of``: over the SLO's and over each burn window."""

    as_of: datetime | None
    total: float
    bad: float
    windows: dict[str, tuple[float, float]]
    """``{"1h": (total, bad), …}``"""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a service stands against its availability promise, with the reason in words."""

    state: str
    reason: str
    observed: float | None
    budget_left: float | None = None
    burn: dict[str, float | None] | None = None
    exhausted_at: datetime | None = None


def _few(allowed: float) -> str:
    """How many failures a budget allows: with a decimal only where it allows few."""
    return count(allowed) if allowed >= 10 else number(allowed, 1)


def judge(counts: Counts, target: float | None, window_days: int, newest: datetime | None) -> Standing:
    """Judge one service.

    ``newest`` is the end of the newest complete bin over the fleet: a service more than a day behind it has
    stopped reporting, and figures of then are not called fine now. Act: the budget is spent, or one of the
    paging rules holds. Attend: one of the ticket rules holds, the budget will be spent within the window, or
    a quarter or less is left. A burn rule holds when the burn rate is at its factor *and* that share of the
    window's budget really went, so that two failures in a quiet night are no emergency.
    """
    state = ServiceStatus.State
    if counts.as_of is None or counts.total <= 0:
        reason = "No requests in the window." if counts.as_of else "No data yet."
        return Standing(state.NO_DATA, reason, None)
    observed = 1 - counts.bad / counts.total
    burn: dict[str, float | None] = {}
    left: float | None = None
    ends: datetime | None = None
    if target is not None:
        burn = {name: burn_rate(bad, total, target) for name, (total, bad) in counts.windows.items()}
        left = budget_left(counts.bad, counts.total, target)
        assert left is not None
        ends = exhausted_at(left, burn["1d"], window_days, counts.as_of)

    def standing(name: str, reason: str) -> Standing:
        return Standing(name, reason, observed, left, burn, ends)

    if newest is not None and newest - counts.as_of > STALE_AFTER:
        return standing(
            state.NO_DATA, f"No data since {counts.as_of:%-d %b %Y, %H:%M} UTC; the figures are of then."
        )
    if target is None or left is None:
        return standing(
            state.NO_SLO, f"No availability SLO; {percent(observed)} observed over {window_days} days."
        )
    allowed = counts.total * (1 - target)
    if left <= 0:
        return standing(
            state.ACT,
            f"The budget is spent: {count(counts.bad)} failures where {_few(allowed)} were allowed.",
        )
    for rules, verdict in ((PAGE_RULES, state.ACT), (TICKET_RULES, state.ATTEND)):
        for name, share in rules:
            rate = burn[name]
            spent = counts.windows[name][1] / allowed
            if rate is not None and rate >= alert_factor(share, HOURS[name], window_days) and spent >= share:
                return standing(
                    verdict,
                    f"Burning {number(rate, 1)}× over {name}: {percent(spent, 0)} of the budget went.",
                )
    if ends is not None:
        days = (ends - counts.as_of).total_seconds() / 86_400
        return standing(
            state.ATTEND, f"At the last day's pace the budget is spent in {number(days, 1)} days."
        )
    if left <= ATTEND_BELOW:
        return standing(state.ATTEND, f"{percent(left, 0)} of the budget is left.")
    return standing(state.FINE, f"{percent(left, 0)} of the budget is left; it lasts past the window.")
