"""Finds hours whose traffic is out of all proportion: to the hours beside, and to the same hour of other days.

A jump is only a question. What holds on for three hours is a new level, what comes back at the same hour of another day
or week is a habit; the rest is put to other evidence, or left out where it is a thousand times the usual.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping

HOUR = 3600
_DAY = 24 * HOUR
_WEEK = 7 * _DAY
#: Hours that are left out whatever the cause.
OUT_OF_ALL_PROPORTION = 1000.0
#: Hours with a fall of the counter that are left out where the samples cannot be looked at.
SUSPECT_AFTER_A_FALL = 20.0
#: Hours with a fall of the counter whose samples are worth a look.
WORTH_A_LOOK = 2.0
#: Fewer other hours than these say nothing of what is usual.
_LEAST_HOURS = 6
#: Of the other hours so many, or this share, may be peaks or jumps themselves.
_LEAST_PEAKS = 2
_PEAK_SHARE = 0.01
#: Hours within this factor of each other are of one level; so many in a row are no jump.
_LEVEL = 5.0
_HOLDS_ON = 3


def jumps(totals: Mapping[int, float], known: Mapping[int, float], *, factor: float) -> dict[int, float]:
    """Hours that have more than ``factor`` times the usual traffic, and how many times.

    Parameters:
        totals: requests of each hour that is judged, by the hour's start.
        known: requests of the hours that tell what is usual, by their start; may hold those that are judged.
    """
    found: dict[int, float] = {}
    hours = sorted(known)
    for at, total in totals.items():
        if total <= factor or not _stands_out(known, at, total, factor):
            continue
        near = hours[bisect_left(hours, at - _WEEK - HOUR) : bisect_right(hours, at + _WEEK + HOUR)]
        others = sorted(known[other] for other in near if other != at)
        if len(others) < _LEAST_HOURS:
            continue
        peaks = max(_LEAST_PEAKS, int(len(others) * _PEAK_SHARE))
        times = total / max(1.0, others[-1 - peaks] if len(others) > peaks else others[0])
        if times > factor and not _holds_on(known, at, total) and not _is_a_habit(known, at, total):
            found[at] = times
    return found


def _stands_out(known: Mapping[int, float], at: int, total: float, factor: float) -> bool:
    beside = [known[other] for step in (-2, -1, 1, 2) if (other := at + step * HOUR) in known]
    return not beside or total > factor * max(1.0, min(beside))


def _holds_on(known: Mapping[int, float], at: int, total: float) -> bool:
    run = 1
    for direction in (-HOUR, HOUR):
        other = at + direction
        while run < _HOLDS_ON and known.get(other, -1.0) * _LEVEL >= total:
            run += 1
            other += direction
    return run >= _HOLDS_ON


def _is_a_habit(known: Mapping[int, float], at: int, total: float) -> bool:
    return any(
        known.get(at + period + beside, -1.0) * _LEVEL >= total
        for period in (-_WEEK, -_DAY, _DAY, _WEEK)
        for beside in (-HOUR, 0, HOUR)
    )
