"""Finds hours whose traffic is out of all proportion to the hours beside them and to the same hour of other days.

A jump alone proves nothing. Traffic that stays high for three hours is a new level, and traffic that returns at the
same hour of another day or week is a habit. Other jumps are checked against more evidence, or left out where they have
a thousand times the usual traffic.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping

HOUR = 3600
_DAY = 24 * HOUR
_WEEK = 7 * _DAY
#: Hours with more than this many times the usual traffic are left out, whatever the cause.
OUT_OF_ALL_PROPORTION = 1000.0
#: Hours in which the counter fell are left out above this factor if their samples cannot be looked at.
SUSPECT_AFTER_A_FALL = 20.0
#: Hours in which the counter fell have their samples looked at above this factor.
WORTH_A_LOOK = 2.0
#: What is usual is not known from fewer other hours than these.
_LEAST_HOURS = 6
#: At least this many of the other hours, or this share, may be peaks or jumps themselves.
_LEAST_PEAKS = 2
_PEAK_SHARE = 0.01
#: Hours within this factor of each other have one level; so many in a row are not a jump.
_LEVEL = 5.0
_HOLDS_ON = 3


def jumps(totals: Mapping[int, float], known: Mapping[int, float], *, factor: float) -> dict[int, float]:
    """Return the hours that have more than ``factor`` times the usual traffic, each with its multiple of the usual.

    Parameters:
        totals: requests of each hour to judge, by the hour's start.
        known: requests of the hours that define what is usual, by their start; may include the hours to judge.
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
