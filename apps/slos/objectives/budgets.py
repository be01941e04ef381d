"""The arithmetic of error budgets, in plain Python so that a web process may use it.

The rules of the alerts are in :mod:`apps.engine.window.burn_rate`; :mod:`apps.slos.objectives.standing` applies them.
"""

from __future__ import annotations

from datetime import datetime, timedelta

ATTEND_BELOW = 0.25
"""With this share of the budget left or less, an owner should look, however slowly it burns."""


def burn_rate(bad: float, total: float, target: float) -> float | None:
    """Return the share of failed requests over the share that the target allows; ``None`` without requests."""
    return None if total <= 0 else bad / total / (1 - target)


def budget_left(bad: float, total: float, target: float) -> float | None:
    """Return the share of the budget left: 1 untouched, 0 spent, negative overspent; ``None`` without requests."""
    spent = burn_rate(bad, total, target)
    return None if spent is None else 1 - spent


def exhausted_at(left: float, burn_1d: float | None, window_days: int, as_of: datetime) -> datetime | None:
    """Return when the budget is spent if the last day continues; ``as_of`` if it already is, ``None`` if it never will
    be.

    The window rolls: new failures arrive at ``burn_1d``, while those of a window ago leave, on average at the rate at
    which the window spent (``1 - left``). At a burn rate of 1 or less the budget is never spent.
    """
    if left <= 0:
        return as_of
    if burn_1d is None or burn_1d <= 1:
        return None
    return as_of + timedelta(days=left * window_days / (burn_1d - (1 - left)))
