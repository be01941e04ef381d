"""What a service's first week itself shows, and how much that leaves to what is expected of its kind.

Failures that come together are one event and not many: a thousand in one hour say less of the next month than a
hundred spread over three days. So they are counted as so many independent ones as would spread as far from stretch to
stretch of the record, at the length of stretch that leaves fewest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.special import gammaincinv, stdtrit

from apps.engine.types import Floats

FIRST_WEEK_DAYS = 7.0
"""From here on a record needs no prior: the forecast learned from services as young."""
DOUBT = 0.02
"""Chance that the level of failures lies lower than what is said to be clearly counted."""
LEAST_STRETCHES = 6
"""A record is cut into no fewer stretches than this, unless it has no more bins."""
MOST_A_DAY = 2.0
"""A day counts as no more independent failures than this: what comes once a week need not show in it."""
_Z = 2.053749
"""The normal quantile that goes with :data:`DOUBT`."""
_TINY = 1e-300


def youth(days: float) -> float:
    """How far a record is from its first week's end: 1 without a day, 0 from a week on."""
    return max(0.0, 1.0 - (days / FIRST_WEEK_DAYS) ** 2)


@dataclass(frozen=True, slots=True)
class Prior:
    """Unavailability quantiles expected before any data, by breach probability, their spread (of the logarithm), and
    the typical window's.
    """

    quantiles: dict[float, float]
    spread: float
    typical: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """What records of so many days show, one entry a record, shape ``(n,)``.

    ``counted`` is the share of requests that failed, which no target of the first week is better than. ``lowest`` is
    the level that was clearly counted: with 98 % the true one is no lower. ``weight`` is how much of each target is
    left to the prior.
    """

    counted: Floats
    lowest: Floats
    weight: Floats

    @classmethod
    def of(cls, total: Floats, bad: Floats, days: float, prior: Prior) -> Self:
        """Read records with the failures ``bad``, ``(n, bins)``, of ``total`` requests, ``(bins,)``.

        A gamma prior of the same spread weighs as much as 1 / spread² failures, and the record as many as it has, or
        as its kind would have had in it where those are more (so that a clean record tells, too); both in independent
        failures, and no more than :data:`MOST_A_DAY`. The weight falls to 0 at the end of the first week.
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
        """The prior's quantile, moved so that the typical window is no better than what was clearly counted."""
        moved: Floats = np.minimum(
            1.0, prior.quantiles[breach_probability] * np.maximum(1.0, self.lowest / prior.typical)
        )
        return np.maximum(moved, self.lowest)


def independent_failures(total: Floats, bad: Floats) -> Floats:
    """How many independent failures each row of ``bad``, ``(n, bins)``, is worth: ``(n,)``, no more than there are.

    ``total``, ``(bins,)``, are the requests of the bins with data. A ratio of sums over stretches of the record has a
    variance (the ratio estimator's; Cochran 1977, §6.4), and so many independent failures would have the same; it is
    widened by Student's t, for it is read from few stretches.
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
    """Lengths of stretches, in bins: one, and its doublings while there are enough stretches."""
    if bins < 2:
        return []
    doublings = math.floor(math.log2(max(1, bins // LEAST_STRETCHES)))
    return [1 << number for number in range(doublings + 1)]


def lowest_level(total: Floats, failures: Floats, worth: Floats) -> Floats:
    """Lower confidence limit of a level: Garwood's (1936) of so many independent failures as the record is ``worth``;
    0 without any. All of shape ``(n,)`` but ``total``, ``(bins,)``.
    """
    known = np.maximum(worth, 1e-12)
    share = np.where(worth > 0, np.minimum(1.0, gammaincinv(known, DOUBT) / known), 0.0)
    lowest: Floats = share * failures / float(total.sum())
    return lowest
