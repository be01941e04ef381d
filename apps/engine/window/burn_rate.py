"""The one rule that says when a person must look at an error budget that burns.

Source of the alert rules: Beyer et al., *The Site Reliability Workbook* (2018), ch. 5, multiwindow multi-burn-rate
alerts. A rule holds when, over its long window,

- the burn rate is at least its factor;
- that share of the window's budget is really spent, since the factor alone would fire for one failure in a quiet night;
  and
- for a page, the failures are a rate and no accident (:func:`is_a_rate`), since the same chapter warns of services with
  little traffic, where a single failure is a high rate.

:func:`rule_holds` is that rule, for numbers and arrays alike. A service's current status
(``apps/slos/objectives/standing.py``) and the pages a month that a target would have cost (:func:`count_alerts`) both
use it, so they cannot disagree.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from apps.engine.running_sums import running_sums
from apps.engine.types import Floats

HOUR_SECONDS = 3_600
_NEXT_TO_NOTHING = 1e-300

type Numbers = float | Floats
type Truths = bool | np.bool_ | NDArray[np.bool_]

LEAST_PAGE_FAILURES = 3
"""Fewer failures than this page nobody, whatever their share: one is no rate, and a second may be its retry."""
PAGE_CHANCE = 0.01
"""A page needs more failures than a service that just keeps its target has with at least this probability."""


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


def is_few(bad: Numbers) -> Truths:
    """Whether there are fewer failures than :data:`LEAST_PAGE_FAILURES`, for numbers and for arrays.

    A metric store extrapolates counts, so they are rounded to the nearest whole number.
    """
    return bad < LEAST_PAGE_FAILURES - 0.5


def is_a_rate(bad: Numbers, allowed: Numbers) -> Truths:
    """Whether failures say something about the rate of failures.

    They do if there are :data:`LEAST_PAGE_FAILURES` of them, and a service whose target allows ``allowed`` of so many
    requests has as many with less than :data:`PAGE_CHANCE`. Works on numbers and on arrays. The probability is the
    upper tail of the Poisson distribution, bounded by its first term times a geometric series, ``P(X ≥ k) ≤ P(X = k) ·
    (k + 1) / (k + 1 − λ)``, which is close where ``k`` is well above ``λ``; the factorial is Stirling's, to 1e-4 from 3
    on.
    """
    count = np.maximum(bad, LEAST_PAGE_FAILURES - 0.5)
    mean = np.clip(allowed, 1e-12, 0.999_999 * count)
    factorial = count * np.log(count) - count + 0.5 * np.log(2 * math.pi * count) + 1 / (12 * count)
    tail = count * np.log(mean) - mean - factorial + np.log((count + 1) / (count + 1 - mean))
    enough: Truths = np.logical_not(is_few(bad)) & (allowed < bad) & (tail <= math.log(PAGE_CHANCE))
    return enough


def rule_holds(
    rule: AlertRule,
    bad: Numbers,
    total: Numbers,
    *,
    target: Numbers,
    window_total: Numbers,
    window_days: float,
) -> Truths:
    """Whether a rule holds for ``bad`` of ``total`` requests in its long window.

    ``window_total`` is the requests of the SLO's window, or of the known part of it. Works on numbers and on arrays,
    which are broadcast.
    """
    budget = 1.0 - target
    fires: Truths = (
        _share(bad, np.maximum(rule.factor(window_days) * total, rule.budget_share * window_total)) >= budget
    )
    if rule.severity == "page" and np.any(fires):
        # Few bins of a history burn that fast; the others need no logarithms.
        counts, requests, budgets = (np.broadcast_to(one, np.shape(fires)) for one in (bad, total, budget))
        at = np.asarray(fires)
        fires = at.copy()
        fires[at] = is_a_rate(counts[at], requests[at] * budgets[at])
    return fires


def count_alerts(
    total: Floats, bad: Floats, step_seconds: int, targets: Floats, window_days: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return how many pages and tickets past bins would have raised at each target: two arrays like ``targets``.

    ``bad`` is ``(n,)``, or ``(targets, n)`` where what is bad depends on the target, as for latency thresholds. A run
    of bins in which any rule of a severity fires is one alert. A rule fires while it holds over its long window
    (:func:`rule_holds`) and the burn rate over the short one is still at least its factor. Bins without data count as
    no traffic. A bin that is wider than a short window stands in for it.
    """
    if not (np.isfinite(total).all() and np.isfinite(bad).all()):
        # A gap is one for all targets.
        known = np.isfinite(total) & np.isfinite(bad).reshape(-1, total.size).all(axis=0)
        total, bad = np.where(known, total, 0.0), np.where(known, bad, 0.0)
    sums = _Sums(running_sums(total), running_sums(bad), step_seconds)
    aims = np.asarray(targets, dtype=np.float64)[:, None]
    window_total = _newest(sums.total, sums.bins(window_days * 24 * HOUR_SECONDS))
    counts: dict[str, NDArray[np.int64]] = {}
    for severity in ("page", "ticket"):
        firing = np.zeros((aims.size, total.size), dtype=bool)
        for rule in ALERT_RULES:
            if rule.severity != severity:
                continue
            requests, failed = sums.newest(rule.long_seconds)
            fires = rule_holds(
                rule, failed, requests, target=aims, window_total=window_total, window_days=window_days
            )
            # Most rules never fire, whatever their short windows say.
            if np.any(fires):
                requests, failed = sums.newest(rule.short_seconds)
                fires &= _share(failed, rule.factor(window_days) * requests) >= 1.0 - aims
                firing |= fires
        rises = np.count_nonzero(firing[:, 1:] & ~firing[:, :-1], axis=1)
        counts[severity] = rises + (firing[:, 0] if total.size else 0)
    return counts["page"], counts["ticket"]


@dataclass(slots=True)
class _Sums:
    """Requests and failures over the newest bins, computed once for each width."""

    total: Floats
    bad: Floats
    step_seconds: int
    _known: dict[int, tuple[Floats, Floats]] = field(default_factory=dict)

    def bins(self, seconds: float) -> int:
        """Return how many bins cover so many seconds; at least one."""
        return max(1, round(seconds / self.step_seconds))

    def newest(self, seconds: int) -> tuple[Floats, Floats]:
        """Return the requests and failures of so many seconds, ending with each bin."""
        bins = self.bins(seconds)
        if bins not in self._known:
            self._known[bins] = (_newest(self.total, bins), _newest(self.bad, bins))
        return self._known[bins]


def _share(failed: Numbers, requests: Numbers) -> Numbers:
    """Return failures over requests: 0 without requests, because nothing failed."""
    return failed / np.maximum(requests, _NEXT_TO_NOTHING)


def _newest(sums: Floats, bins: int) -> Floats:
    """Return the sum over the ``bins`` that end with each bin, over fewer at the beginning."""
    found = np.empty((*sums.shape[:-1], sums.shape[-1] - 1))
    found[..., :bins] = sums[..., 1 : bins + 1]
    np.subtract(sums[..., bins + 1 :], sums[..., 1:-bins], out=found[..., bins:])
    return found
