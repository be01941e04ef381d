"""Tells from the raw samples of a counter why it fell: a restart, a dip, or several writers in one series.

``increase`` takes every fall for a restart and adds the whole counter again. Where the counter only dipped (a
deduplicating querier switched to a replica that is a scrape behind) or several processes take turns in one series,
that counts requests that never were.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

#: A fall to no less than this share of the counter is no restart: a counter that begins anew begins near zero.
_DIP_KEEPS = 0.95
#: A deeper fall is a dip where so few samples later the counter is as high as before, and it was no young counter.
_REGAINED_WITHIN = 3
_DEEPEST_DIP = 0.5
_OLD_AFTER = 6
#: Several writers: so many falls, in so large a share of the samples, and values that come back within so many samples.
_LEAST_FALLS = 3
_LEAST_SHARE = 0.08
_COMES_BACK_WITHIN = 12
_AS_BEFORE = 0.01
_COME_BACK_SHARE = 0.6
#: Of these so many may lie below what they come back to: by chance, another writer's.
_MAY_LIE_BELOW = 0.25
#: Where nothing is counted meanwhile: a counter is climbed to by a step that is so large a part of the largest fall.
_LARGE_STEP = 0.6
#: Values below this come back by chance; a counter that is mostly below it is too young to tell writers apart.
_LEAST_LEVEL = 100.0


class Cause(StrEnum):
    """Why a counter fell."""

    NONE = "none"
    RESTART = "restart"
    DIP = "dip"
    SEVERAL_WRITERS = "several writers"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What the samples show: the cause, how often the counter fell in how many samples, and its slightest fall."""

    cause: Cause
    falls: int = 0
    samples: int = 0
    fell_from: float = 0.0
    fell_to: float = 0.0


def diagnose(samples: Sequence[float]) -> Diagnosis:
    """Say why a counter fell within consecutive raw samples, in order of time, without NaN."""
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
    """Which share of a counter a fall takes; all of one that was not above zero, as no counter should be."""
    return 1 - after / before if before > 0 else 1.0


def _has_several_writers(samples: Sequence[float], falls: int) -> bool:
    """Whether values come back, a little higher: each writer's counter goes on where it was.

    A process that restarts again and again comes by the same values, too, but not above them more often than below, and
    climbs to them in small steps.
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
        # What a counter reaches without a fall in between, it has not come back to.
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
