"""What a service's first week shows, and how much it leaves to the prior.

Failures that come together are one event: a thousand in one hour say less about the next month than a hundred spread
over three days. So the record is cut into stretches, and its failures count as the number of independent failures with
the same spread between stretches. The length of stretch that gives the smallest number is used.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.special import gammaincinv, stdtrit

from apps.engine.types import Floats

FIRST_WEEK_DAYS = 7.0
"""From this age on a record needs no prior: the forecast learned from services as young."""
DOUBT = 0.02
"""Chance that the true level of failures is below the one that counts as clearly counted."""
LEAST_STRETCHES = 6
"""A record is cut into at least this many stretches, unless it has fewer bins."""
MOST_A_DAY = 2.0
"""A day counts as at most this many independent failures: an incident that happens once a week may not have happened
yet.
"""
_Z = 2.053749
"""The normal quantile of 1 − :data:`DOUBT`."""
_TINY = 1e-300


def youth(days: float) -> float:
    """Return how far a record is from the end of its first week: 1 without a day, 0 from a week on."""
    return max(0.0, 1.0 - (days / FIRST_WEEK_DAYS) ** 2)


@dataclass(frozen=True, slots=True)
class Prior:
    """The prior: unavailability quantiles by breach probability, their spread (of the logarithm), and the typical
    window's.
    """

    quantiles: dict[float, float]
    spread: float
    typical: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """What records of so many days show, one entry for each record, shape ``(n,)``.

    ``counted`` is the share of requests that failed; no target of the first week is better. ``lowest`` is the level
    that was clearly counted: with 98 % confidence the true one is no lower. ``weight`` is the prior's weight in each
    target.
    """

    counted: Floats
    lowest: Floats
    weight: Floats

    @classmethod
    def of(cls, total: Floats, bad: Floats, days: float, prior: Prior) -> Self:
        """Read records with the failures ``bad``, ``(n, bins)``, of ``total`` requests, ``(bins,)``.

        A gamma prior of the same spread is worth 1 / spread² failures. The record is worth its independent failures, or
        those that its kind would have had over as many requests, if that is more (so that a clean record counts as
        evidence too); at most :data:`MOST_A_DAY`. The prior's weight falls to 0 at the end of the first week.
        """
        failures = bad.sum(axis=1)
        worth = independent_failures(total, bad)
        alike = np.divide(worth, failures, out=np.ones_like(worth), where=failures > 0)
        seen = np.maximum(failures, prior.typical * float(total.sum())) * alike
        sampled = 1.0 / (1.0 / np.maximum(seen, _TINY) + 1.0 / (MOST_A_DAY * days))
        before = 1.0 / prior.spread**2
        return cls(
            counted=failures / float(total.sum()),
            lowest=lowest_level(total, failures, worth),
            weight=before / (before + sampled) * youth(days),
        )

    def expected_of_its_kind(self, prior: Prior, breach_probability: float) -> Floats:
        """Return the prior's quantile, moved so that the typical window is no better than what was clearly counted."""
        moved: Floats = np.minimum(
            1.0, prior.quantiles[breach_probability] * np.maximum(1.0, self.lowest / prior.typical)
        )
        return np.maximum(moved, self.lowest)


def independent_failures(total: Floats, bad: Floats) -> Floats:
    """Return how many independent failures each row of ``bad``, ``(n, bins)``, is worth: ``(n,)``, at most its
    failures.

    ``total``, ``(bins,)``, is the requests of the bins with data. The failure rate over stretches of the record has a
    variance (the ratio estimator's; Cochran 1977, §6.4); the result is the number of independent failures with that
    variance. Student's t widens the variance, because there are few stretches.
    """
    failures = bad.sum(axis=1)
    rate = failures / float(total.sum())
    worth = failures if total.size > 1 else np.minimum(failures, 1.0)
    for length in _lengths(total.size):
        starts = np.arange(0, total.size - length + 1, length)
        off = np.add.reduceat(bad, starts, axis=1) - rate[:, None] * np.add.reduceat(total, starts)
        free = starts.size - 1
        widened = (float(stdtrit(free, 1 - DOUBT)) / _Z) ** 2
        variance = np.square(off).sum(axis=1) * (starts.size / free) * widened
        is_less = np.square(failures) < worth * variance
        worth = np.divide(np.square(failures), variance, out=worth.copy(), where=is_less)
    return worth


def _lengths(bins: int) -> list[int]:
    """Return the lengths of stretches, in bins: one, and its doublings while there are enough stretches."""
    if bins < 2:
        return []
    doublings = math.floor(math.log2(max(1, bins // LEAST_STRETCHES)))
    return [1 << number for number in range(doublings + 1)]


def lowest_level(total: Floats, failures: Floats, worth: Floats) -> Floats:
    """Return the lower confidence limit of a level, shape ``(n,)``; 0 without failures.

    Garwood's limit (1936) for the number of independent failures that the record is ``worth``, ``(n,)``. ``failures``
    has shape ``(n,)``, ``total`` ``(bins,)``.
    """
    known = np.maximum(worth, 1e-12)
    share = np.where(worth > 0, np.minimum(1.0, gammaincinv(known, DOUBT) / known), 0.0)
    lowest: Floats = share * failures / float(total.sum())
    return lowest
