"""Slope and likeliest step of daily levels, and the weight of each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from apps.engine.types import Floats

LEAST_DAYS = 3
"""A step has at least this many days before and after it."""
NOISE = 1e-6
_PARAMETERS = np.array([[1.0], [4.0], [2.5]])
"""Parameters of an even level, a step and a slope."""
_PARAMETERS.setflags(write=False)

CHANGE_FEATURES = (
    "slope", "slope_t", "recent_slope", "step", "step_t", "step_age", "after_step", "step_over_slope", "after_noise",
    "step_weight", "slope_weight", "projected",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Changes:
    """``columns`` are those of :data:`CHANGE_FEATURES`, each ``(rows,)``.

    ``age_days`` is the number of days after the likeliest step; ``projected`` the slope's level in the middle of the
    next window, relative to the mean.
    """

    columns: tuple[Floats, ...]
    age_days: Floats
    step_weight: Floats
    slope_weight: Floats
    projected: Floats


@dataclass(frozen=True, slots=True)
class Lines:
    """What finding slopes and steps over so many days needs, whatever the levels; read-only.

    ``numbers`` are the days and ``time`` their distance from the middle ``(days,)``; ``squares`` is the sum of the
    squares of ``time``. A step lies after each number of days in ``before`` ``(steps,)``; ``weights`` turn its squared
    sum into a gain.
    """

    numbers: NDArray[np.int64]
    time: Floats
    squares: float
    before: NDArray[np.int64]
    weights: Floats


@lru_cache(maxsize=512)
def lines(days: int, least: int) -> Lines:
    """Prepare lines over so many days, with steps that have ``least`` days before and after them."""
    numbers = np.arange(days)
    time = numbers - np.float64((days - 1) / 2)
    before = np.arange(least, days - least + 1)
    weights = 1 / before + 1 / (days - before)
    for each in (numbers, time, before, weights):
        each.setflags(write=False)
    return Lines(numbers, time, float((time**2).sum()), before, weights)


def what_speaks_for(even: Floats, step: Floats, slope: Floats, days: int, noise: float) -> Floats:
    """Return the weights of an even level, a step and a slope by Schwarz's criterion (1978): ``(3, rows)``.

    The arguments are the squares that each leaves unexplained, ``(rows,)``.
    """
    left = np.array([even, step, slope])
    criteria = days * np.log(left / days + noise) + _PARAMETERS * np.log(days)
    weights: Floats = np.exp(-(criteria - criteria.min(axis=0)) / 2)
    weights /= weights.sum(axis=0)
    return weights


def changes(values: Floats, window_days: float) -> Changes:
    """Look for a step and a slope in levels ``(rows, days)``.

    Schwarz's criterion (1978) weighs an even level, a step and a slope.
    """
    rows, days = values.shape
    if days < 2 * LEAST_DAYS:
        none = np.zeros(rows)
        return Changes((none,) * len(CHANGE_FEATURES), np.full(rows, float(days)), none, none, none)
    line = lines(days, LEAST_DAYS)
    centred = values - values.mean(axis=1, keepdims=True)
    squares = (centred**2).sum(axis=1)
    slope = (centred * line.time).sum(axis=1) / line.squares
    slope_left = np.maximum(squares - slope**2 * line.squares, 1e-9)
    short = lines(min(days, 28), LEAST_DAYS)
    recent_slope = (values[:, -short.time.size :] * short.time).sum(axis=1) / max(1.0, short.squares)
    sums = np.cumsum(centred, axis=1)[:, line.before[0] - 1 : line.before[-1]]
    gains = sums**2 * line.weights
    at = np.argmax(gains, axis=1)
    index = np.arange(rows)
    gain, first = gains[index, at], line.before[at]
    later = (days - first).astype(np.float64)
    step = -sums[index, at] * line.weights[at]
    left = np.maximum(squares - gain, 1e-9)
    after = (values.sum(axis=1) - values.cumsum(axis=1)[index, first - 1]) / later
    is_after = line.numbers >= first[:, None]
    after_noise = np.sqrt(np.where(is_after, (values - after[:, None]) ** 2, 0.0).sum(axis=1) / later)
    weights = what_speaks_for(squares, left, slope_left, days, NOISE)
    projected = np.clip(slope * ((days - 1) / 2 + min(window_days, 30) / 2 + 0.5), -1.5, 1.5)
    columns = (
        slope * 30,
        slope * np.sqrt(line.squares) / np.sqrt(slope_left / (days - 2)),
        recent_slope * 30,
        step,
        np.sign(step) * np.sqrt(gain / (left / (days - 2))),
        later,
        after,
        np.log10(left / slope_left),
        after_noise,
        weights[1],
        weights[2],
        projected,
    )
    return Changes(columns, later, weights[1], weights[2], projected)
