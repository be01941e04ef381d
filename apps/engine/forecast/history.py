"""A history in whole hours, from which the features are read.

This module also distinguishes services that people use from probed sites, by how requests arrive and how they fail.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from apps.engine.forecast.requests import Requests
from apps.engine.series import ObservedCounts
from apps.engine.sorted_quantiles import middle_of
from apps.engine.types import Floats

HOUR_SECONDS = 3_600
LOOK_BACK_HOURS = 90 * 24
"""Older hours are ignored, because services change."""
PROBES_AN_HOUR = 12.0
"""The history of a probed site is scaled to this many requests an hour: more frequent probes are no more evidence."""
MOST_PROBES = 120.0
CLOCKWORK = 0.05
"""Up to this variation of the hourly requests they are probes, and not sent by people."""
LEAST_DEPTH = 0.08
"""On a site that is up or down, an hour with a failure fails at least one probe of twelve (the mean, weighted by
failures).
"""


@dataclass(frozen=True)
class History:
    """Hourly counts up to the cut. ``total`` has shape ``(hours,)``, 0 in hours without data.

    Bins with data are summed into hours (``groups``: the hour of each) or, where they are longer than an hour, spread
    evenly over ``spread_over`` hours.
    """

    total: Floats
    is_known: NDArray[np.bool_]
    groups: NDArray[np.int64]
    spread_over: int
    is_probed: bool = False
    """Whether it is a site that is up or down, seen by probes, rather than a service that people use …"""
    scale: float = 1.0
    """… whose counts are then scaled to :data:`PROBES_AN_HOUR` by this factor."""
    is_clockwork: bool = False
    """Whether requests are few and arrive at a fixed pace, so that how they fail decides whether they are probes."""

    @cached_property
    def requests(self) -> Requests:
        """Figures of ``total``, which do not depend on failures."""
        return Requests.of(self.total)

    @cached_property
    def known_hours(self) -> int:
        """Hours with data, at least 1."""
        return max(1, int(np.count_nonzero(self.is_known)))

    @cached_property
    def _is_hour_by_hour(self) -> bool:
        """Whether the bins with data are the hours themselves, none missing, which is the usual case."""
        return self.spread_over == 1 and np.array_equal(self.groups, np.arange(self.total.size))

    def hourly(self, dense: Floats) -> Floats:
        """Put values of the bins with data, shape ``(bins, n)``, on the hours: ``(n, hours)``.

        Read-only: the result may be ``dense`` itself.
        """
        values = self._gathered(dense)
        return values if self.scale == 1.0 else values * self.scale

    def _gathered(self, dense: Floats) -> Floats:
        hours = self.total.size
        if self._is_hour_by_hour:
            return np.ascontiguousarray(dense.T)
        if self.spread_over > 1:
            values = np.zeros((dense.shape[1], hours))
            for part in range(self.spread_over):
                at = self.groups + part
                inside = (at >= 0) & (at < hours)
                values[:, at[inside]] = dense[inside].T / self.spread_over
            return values
        inside = self.groups >= 0
        groups, dense = (self.groups, dense) if inside.all() else (self.groups[inside], dense[inside])
        if (groups[1:] > groups[:-1]).all():
            values = np.zeros((dense.shape[1], hours))
            values[:, groups] = dense.T
            return values
        return np.stack([np.bincount(groups, row, hours) for row in np.ascontiguousarray(dense.T)])


def history_of(counts: ObservedCounts) -> History:
    """Put counts in bins of any width on hours that end with the newest bin, at most ``LOOK_BACK_HOURS``."""
    step = counts.step_seconds
    hours = int(min(LOOK_BACK_HOURS, max(1, -(-(counts.end - counts.start) // HOUR_SECONDS))))
    begin = counts.end - hours * HOUR_SECONDS
    starts = counts.start + np.flatnonzero(counts.present) * step
    groups = (starts - begin) // HOUR_SECONDS
    spread_over = max(1, step // HOUR_SECONDS)
    blank = History(np.zeros(hours), np.zeros(hours, dtype=bool), groups.astype(np.int64), spread_over)
    total, bad, bins = blank.hourly(
        np.stack([counts.dense_total, counts.dense_bad, np.ones(starts.size)], axis=1)
    )
    is_clockwork = step <= HOUR_SECONDS and _is_clockwork(total, bins)
    usual = float(middle_of(total[bins > 0])) if is_clockwork else 0.0
    # If every hour is only partly known, most may hold no request.
    is_probed = usual > 0 and _fails_as_a_whole(total, bad)
    scale = PROBES_AN_HOUR / usual if is_probed else 1.0
    return History(total * scale, bins > 0, blank.groups, spread_over, is_probed, scale, is_clockwork)


def _is_clockwork(total: Floats, bins: Floats) -> bool:
    """Whether requests arrive at a fixed pace, and are few."""
    asked = total[bins >= bins.max()]
    usual = float(middle_of(asked))
    return 0 < usual <= MOST_PROBES and float(np.abs(asked - usual).mean()) <= CLOCKWORK * usual


def _fails_as_a_whole(total: Floats, bad: Floats) -> bool:
    """Whether requests fail together or not at all."""
    failures = float(bad.sum())
    if failures <= 0:
        return True
    depth = float((bad**2 / np.maximum(total, 1e-12)).sum()) / failures
    return depth >= LEAST_DEPTH
