"""Error budgets and how fast they burn.

Source of the alert rules: Beyer et al., *The Site Reliability Workbook* (2018), ch. 5, multiwindow
multi-burn-rate alerts; a rule pages when a stated share of the window's budget is spent within its long
window.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from apps.engine.running_sums import running_sums
from apps.engine.types import Floats

HOUR_SECONDS = 3_600
_NEXT_TO_NOTHING = 1e-300


@dataclass(frozen=True, slots=True)
class AlertRule:
    """Fires while the burn rate is at least the factor over both windows."""

    severity: Literal["page", "ticket"]
    long_seconds: int
    short_seconds: int
    budget_share: float

    def factor(self, window_days: float) -> float:
        """Burn rate that spends ``budget_share`` of a window's budget within the long window."""
        return self.budget_share * window_days * 24 * HOUR_SECONDS / self.long_seconds


ALERT_RULES: tuple[AlertRule, ...] = (
    AlertRule("page", HOUR_SECONDS, 300, 0.02),
    AlertRule("page", 6 * HOUR_SECONDS, 1_800, 0.05),
    AlertRule("ticket", 24 * HOUR_SECONDS, 2 * HOUR_SECONDS, 0.10),
    AlertRule("ticket", 72 * HOUR_SECONDS, 6 * HOUR_SECONDS, 0.10),
)


def burn_rate(bad: float, total: float, target: float) -> float | None:
    """Share of failed requests over the share that the target allows; 1 spends the budget exactly in the
    window.

    ``None`` without requests. Raises ``ValueError`` unless ``0 <= target < 1``.
    """
    _check(target)
    return None if total <= 0 else bad / total / (1 - target)


def error_budget(total: float, target: float) -> float:
    """Requests that may fail out of ``total`` at ``target``."""
    _check(target)
    return total * (1 - target)


def budget_left(bad: float, total: float, target: float) -> float | None:
    """Share of the budget that is left: 1 untouched, 0 spent, below 0 overspent; ``None`` without
    requests.
    """
    spent = burn_rate(bad, total, target)
    return None if spent is None else 1 - spent


def seconds_to_exhaustion(left: float, current_burn_rate: float, window_days: float) -> float | None:
    """Seconds until nothing of the budget is left at the current burn rate; 0 when it is spent already.

    ``None`` where nothing burns. The caller compares it with the time until the window ends.
    """
    if left <= 0:
        return 0.0
    if current_burn_rate <= 0:
        return None
    return left * window_days * 24 * HOUR_SECONDS / current_burn_rate


def count_alerts(
    total: Floats, bad: Floats, step_seconds: int, targets: Floats, window_days: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How many pages and tickets past bins would have raised at each target: two arrays like ``targets``.

    ``bad`` is ``(n,)``, or ``(targets, n)`` where what is bad depends on the target, as for latency thresholds.
    A run of bins in which any rule of a severity fires is one alert. Bins without data count as no traffic.
    The short windows can only be looked at where the bins are that fine; a wider bin stands in for them.
    """
    if not (np.isfinite(total).all() and np.isfinite(bad).all()):
        # A gap is one for all targets.
        known = np.isfinite(total) & np.isfinite(bad).reshape(-1, total.size).all(axis=0)
        total, bad = np.where(known, total, 0.0), np.where(known, bad, 0.0)
    sums_total, sums_bad = running_sums(total), running_sums(bad)
    budgets = 1.0 - np.asarray(targets, dtype=np.float64)
    counts: dict[str, NDArray[np.int64]] = {}
    ratios: dict[int, Floats] = {}
    for severity in ("page", "ticket"):
        firing = np.zeros((budgets.size, total.size), dtype=bool)
        for rule in ALERT_RULES:
            if rule.severity != severity:
                continue
            least = (rule.factor(window_days) * budgets)[:, None]
            fires = _ratio(ratios, sums_total, sums_bad, rule.long_seconds, step_seconds) >= least
            # Most rules never fire, whatever their short windows say.
            if fires.any():
                fires &= _ratio(ratios, sums_total, sums_bad, rule.short_seconds, step_seconds) >= least
                firing |= fires
        rises = np.count_nonzero(firing[:, 1:] & ~firing[:, :-1], axis=1)
        counts[severity] = rises + (firing[:, 0] if total.size else 0)
    return counts["page"], counts["ticket"]


def _ratio(
    known: dict[int, Floats], sums_total: Floats, sums_bad: Floats, seconds: int, step_seconds: int
) -> Floats:
    bins = max(1, round(seconds / step_seconds))
    if bins not in known:
        requests = _newest(sums_total, bins)
        failed = _newest(sums_bad, bins)
        # Where nothing was asked nothing failed: 0 of next to nothing.
        known[bins] = failed / np.maximum(requests, _NEXT_TO_NOTHING)
    return known[bins]


def _newest(sums: Floats, bins: int) -> Floats:
    """The sum over the ``bins`` that end with each bin, over fewer at the beginning."""
    found = np.empty((*sums.shape[:-1], sums.shape[-1] - 1))
    found[..., :bins] = sums[..., 1 : bins + 1]
    np.subtract(sums[..., bins + 1 :], sums[..., 1:-bins], out=found[..., bins:])
    return found


def _check(target: float) -> None:
    if not 0 <= target < 1:
        raise ValueError("target must be at least 0 and below 1")
