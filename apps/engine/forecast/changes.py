"""Slope and likeliest step of daily levels, and what speaks for each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from apps.engine.types import Floats

LEAST_DAYS = 3
"""A step is looked for with at least so many days before and after it."""
NOISE = 1e-6

CHANGE_FEATURES = (
    "slope", "slope_t", "recent_slope", "step", "step_t", "step_age", "after_step", "step_over_slope", "after_noise",
    "step_weight", "slope_weight", "projected",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Changes:
    """``columns`` are those of :data:`CHANGE_FEATURES`, each ``(rows,)``.

    ``age_days`` is how many days lie after the likeliest step; ``projected`` the slope's level in the middle of the
    next window relative to the mean.
    """

    columns: tuple[Floats, ...]
    age_days: Floats
    step_weight: Floats
    slope_weight: Floats
    projected: Floats


def changes(values: Floats, window_days: float) -> Changes:
    """Look for a step and a slope in levels ``(rows, days)``.

    An even level, a step and a slope are weighed by Schwarz's criterion (1978).
    """
    rows, days = values.shape
    if days < 2 * LEAST_DAYS:
        none = np.zeros(rows)
        return Changes((none,) * len(CHANGE_FEATURES), np.full(rows, float(days)), none, none, none)
    time = np.arange(days) - (days - 1) / 2
    centred = values - values.mean(axis=1, keepdims=True)
    squares = (centred**2).sum(axis=1)
    slope = (centred * time).sum(axis=1) / (time**2).sum()
    slope_left = np.maximum(squares - slope**2 * (time**2).sum(), 1e-9)
    recent = min(days, 28)
    short = np.arange(recent) - (recent - 1) / 2
    recent_slope = (values[:, -recent:] * short).sum(axis=1) / max(1.0, float((short**2).sum()))
    before = np.arange(LEAST_DAYS, days - LEAST_DAYS + 1)
    sums = np.cumsum(centred, axis=1)[:, before - 1]
    gains = sums**2 * (1 / before + 1 / (days - before))
    at = np.argmax(gains, axis=1)
    index = np.arange(rows)
    gain, first = gains[index, at], before[at]
    step = -sums[index, at] * (1 / first + 1 / (days - first))
    left = np.maximum(squares - gain, 1e-9)
    after = (values.sum(axis=1) - values.cumsum(axis=1)[index, first - 1]) / (days - first)
    is_after = np.arange(days)[None, :] >= first[:, None]
    after_noise = np.sqrt(
        np.where(is_after, (values - after[:, None]) ** 2, 0.0).sum(axis=1) / (days - first)
    )
    criteria = np.stack(
        [
            days * np.log(each / days + NOISE) + parameters * np.log(days)
            for each, parameters in ((squares, 1), (left, 4), (slope_left, 2.5))
        ]
    )
    weights = np.exp(-(criteria - criteria.min(axis=0)) / 2)
    weights /= weights.sum(axis=0)
    projected = np.clip(slope * ((days - 1) / 2 + min(window_days, 30) / 2 + 0.5), -1.5, 1.5)
    columns = (
        slope * 30,
        slope * np.sqrt((time**2).sum()) / np.sqrt(slope_left / (days - 2)),
        recent_slope * 30,
        step,
        np.sign(step) * np.sqrt(gain / (left / (days - 2))),
        (days - first).astype(np.float64),
        after,
        np.log10(left / slope_left),
        after_noise,
        weights[1],
        weights[2],
        projected,
    )
    return Changes(columns, (days - first).astype(np.float64), weights[1], weights[2], projected)
