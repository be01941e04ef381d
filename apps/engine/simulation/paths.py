"""Building blocks of random failure rates, each for many futures at once.

A path has one value for each hour. Functions return shape ``(count, hours)`` and, where a process has memory, the state
at the end, from which it can be continued.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from apps.engine.types import Floats

type Draw = Callable[[int], Floats]
"""Draws so many independent values."""


def loguniform(generator: np.random.Generator, low: float, high: float) -> float:
    """Draw a value between ``low`` and ``high`` whose logarithm is uniform."""
    return float(np.exp(generator.uniform(np.log(low), np.log(high))))


def switching(
    generator: np.random.Generator,
    count: int,
    hours: int,
    *,
    on_hours: float,
    off_hours: float,
    is_on: bool | None,
) -> tuple[NDArray[np.bool_], bool]:
    """Draw a two-state Markov process with exponential sojourns; ``is_on`` is ``None`` for a stationary start.

    Returns which hours are on, and whether the first path ends on.
    """
    on = (
        generator.random(count) < on_hours / (on_hours + off_hours)
        if is_on is None
        else np.full(count, is_on)
    )
    cycles = int(2 * hours / (on_hours + off_hours) + 6 * np.sqrt(hours / min(on_hours, off_hours)) + 12)
    sojourns = generator.exponential(1.0, (count, cycles))
    is_even = (np.arange(cycles) % 2 == 0)[None, :] == on[:, None]
    times = np.cumsum(np.where(is_even, on_hours, off_hours) * sojourns, axis=1)
    row, column = np.nonzero(times < hours)
    bins = row * hours + times[row, column].astype(np.int64)
    changes = np.bincount(bins, minlength=count * hours).reshape(count, hours)
    state = (np.cumsum(changes, axis=1) + on[:, None]) % 2 == 1
    return state, bool(state[0, -1])


def outages(
    generator: np.random.Generator,
    count: int,
    hours: int,
    *,
    gap_hours: float,
    durations: Draw,
    severities: Draw,
    running: tuple[float, float] = (0.0, 0.0),
    intensity: Floats | None = None,
) -> tuple[Floats, tuple[float, float]]:
    """Draw incidents that arrive at random (Poisson), each failing a share ``severities`` of requests for ``durations``
    hours.

    ``intensity`` ``(count, hours)``, if given, multiplies their number in each hour. ``running`` is an incident under
    way at the start: hours left and severity. Returns the added failure rate, at most 1, and the incident under way at
    the end of the first path.
    """
    most = 1.0 if intensity is None else float(intensity.max())
    number = int(generator.poisson(count * hours * most / gap_hours))
    path = generator.integers(0, count, number)
    begin = generator.uniform(0, hours, number)
    if intensity is not None:
        is_kept = generator.random(number) * most < intensity[path, begin.astype(np.int64)]
        path, begin = path[is_kept], begin[is_kept]
        number = path.size
    lasts = np.maximum(durations(number), 1e-3)
    depth = severities(number)
    under_way = (0.0, 0.0)
    first = np.flatnonzero((path == 0) & (begin + lasts > hours))
    if first.size:
        newest = first[np.argmax(begin[first])]
        under_way = (float(begin[newest] + lasts[newest] - hours), float(depth[newest]))
    elif running[0] > hours:
        under_way = (running[0] - hours, running[1])
    if running[0] > 0:
        path = np.concatenate([path, np.arange(count)])
        begin = np.concatenate([begin, np.zeros(count)])
        lasts = np.concatenate([lasts, np.full(count, running[0])])
        depth = np.concatenate([depth, np.full(count, running[1])])
    width = hours + 2
    slopes = np.zeros(count * width)
    for at, sign in ((begin, 1.0), (np.minimum(begin + lasts, hours), -1.0)):
        hour = np.floor(at).astype(np.int64)
        part = at - hour
        slopes += np.bincount(path * width + hour, sign * depth * (1 - part), count * width)
        slopes += np.bincount(path * width + hour + 1, sign * depth * part, count * width)
    rates = np.cumsum(slopes.reshape(count, width), axis=1)[:, :hours]
    return np.clip(rates, 0.0, 1.0), under_way


def wandering(
    generator: np.random.Generator,
    count: int,
    steps: int,
    *,
    spread: float,
    memory: float,
    start: float | None,
) -> tuple[Floats, float]:
    """Draw a stationary AR(1) with standard deviation ``spread`` and correlation ``memory`` from step to step.

    ``start`` is the value before the first step, ``None`` for a stationary one.
    """
    noise = generator.normal(0.0, spread * np.sqrt(1 - memory**2), (count, steps))
    before = generator.normal(0.0, spread, count) if start is None else np.full(count, start)
    values: Floats = lfilter([1.0], [1.0, -memory], noise, axis=1, zi=(memory * before)[:, None])[0]
    return values, float(values[0, -1])
