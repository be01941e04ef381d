"""Finds out from the raw samples of a counter why it fell: a restart, a dip, or several writers in one series.

``increase`` takes every fall for a restart and adds the whole counter again. Where the counter only dipped (a
deduplicating querier switched to a replica that is a scrape behind), or several processes write one series in turn,
that counts requests that never happened.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

#: A fall that keeps at least this share of the counter is no restart: a restarted counter begins near zero.
_DIP_KEEPS = 0.95
#: A deeper fall is a dip if the counter is as high as before within so many samples and was not young.
_REGAINED_WITHIN = 3
_DEEPEST_DIP = 0.5
_OLD_AFTER = 6
#: Several writers make so many falls, in so large a share of the samples, and values return within so many samples.
_LEAST_FALLS = 3
_LEAST_SHARE = 0.08
_COMES_BACK_WITHIN = 12
_AS_BEFORE = 0.01
_COME_BACK_SHARE = 0.6
#: The share of returning values that may end below where they were: by chance they meet another writer's value.
_MAY_LIE_BELOW = 0.25
#: For writers that count nothing meanwhile: the largest rise is at least this share of the largest fall.
_LARGE_STEP = 0.6
#: Values below this return by chance; a counter that is mostly below it is too young to show several writers.
_LEAST_LEVEL = 100.0


class Cause(StrEnum):
    """Why a counter fell."""

    NONE = "none"
    RESTART = "restart"
    DIP = "dip"
    SEVERAL_WRITERS = "several writers"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The cause, the number of falls and samples, and the values before and after the smallest fall."""

    cause: Cause
    falls: int = 0
    samples: int = 0
    fell_from: float = 0.0
    fell_to: float = 0.0


def diagnose(samples: Sequence[float]) -> Diagnosis:
    """Return why a counter fell within consecutive raw samples, in order of time, without NaN."""
    falls = [place for place, (before, after) in enumerate(pairwise(samples)) if after < before]
    if not falls:
        return Diagnosis(Cause.NONE, samples=len(samples))
    slightest = min(falls, key=lambda place: _depth(samples[place], samples[place + 1]))
    cause = Cause.RESTART
    if _has_several_writers(samples, len(falls)):
        cause = Cause.SEVERAL_WRITERS
    elif any(_is_dip(samples, place) for place in falls):
        cause = Cause.DIP
    return Diagnosis(cause, len(falls), len(samples), samples[slightest], samples[slightest + 1])


def _depth(before: float, after: float) -> float:
    """Return the share of a counter that a fall takes, 0..1; 1 for a counter that was not above zero."""
    return 1 - after / before if before > 0 else 1.0


def _has_several_writers(samples: Sequence[float], falls: int) -> bool:
    """Return whether values come back a little higher, because each writer's counter continues where it was.

    A process that restarts again and again also passes the same values, but not more often above them than below, and
    it climbs to them in small steps.
    """
    if falls < _LEAST_FALLS or falls < _LEAST_SHARE * len(samples):
        return False
    judged = came_back = above = below = 0
    for place, value in enumerate(samples):
        if value < _LEAST_LEVEL:
            continue
        if place + 2 >= len(samples):
            break
        judged += 1
        # A value that is reached without a fall in between has not come back.
        end = place + 1 + _COMES_BACK_WITHIN
        fall = next(
            (at for at in range(place, min(end, len(samples)) - 1) if samples[at + 1] < samples[at]), end
        )
        later = samples[max(place + 2, fall + 1) : end]
        if not later:
            continue
        nearest = min(later, key=lambda one: abs(one - value))
        if abs(nearest - value) <= _AS_BEFORE * max(1.0, value):
            came_back += 1
            above += nearest > value
            below += nearest < value
    if (
        2 * judged < len(samples)
        or came_back < _COME_BACK_SHARE * judged
        or below > _MAY_LIE_BELOW * came_back
    ):
        return False
    steps = [after - before for before, after in pairwise(samples)]
    return 2 * above >= came_back or max(steps) >= -_LARGE_STEP * min(steps)


def _is_dip(samples: Sequence[float], place: int) -> bool:
    before, after = samples[place], samples[place + 1]
    if after >= _DIP_KEEPS * before and before >= _LEAST_LEVEL:
        return True
    if after < _DEEPEST_DIP * before or place + 1 < _OLD_AFTER:
        return False
    was_rising = all(one <= other for one, other in pairwise(samples[place + 1 - _OLD_AFTER : place + 1]))
    return was_rising and any(one >= before for one in samples[place + 2 : place + 2 + _REGAINED_WITHIN])
