"""The forecast of latency: quantiles of the next window's p95 and p99, given the histograms of the past.

As for availability, boosted trees that learned from simulated services (``tools/learn_latency.py``) predict how far the
next window's percentile lies from a rough expectation, in units of the root of its spread. Shifts then make each
visible group exceed its thresholds as often as stated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from apps.engine.document import LatencyRegime
from apps.engine.forecast.latency_features import LATENCY_FEATURES, SHARES, LatencyHistory, latency_rows
from apps.engine.forecast.trees import Trees
from apps.engine.types import Floats

DATA = Path(__file__).resolve().parents[1] / "data" / "latency.npz"
CHANCES = (0.5, 0.2, 0.05, 0.01)
"""Chances of a slower window that are forecast, one model each."""
MOST_INCIDENTS = 20
"""More incidents than that are not rare."""
LATENCY_REGIMES: tuple[LatencyRegime, ...] = get_args(LatencyRegime)
_AT = {name: at for at, name in enumerate(LATENCY_FEATURES)}

GROUPINGS: Mapping[str, tuple[str | None, tuple[float, ...]]] = {
    "regime": (None, tuple(range(1, len(LATENCY_REGIMES)))),
    "traffic": ("window_above", (2.5, 3.5, 4.5, 5.5)),
    "history": ("days", (14.0, 29.5, 60.0, 89.0)),
    "coverage": ("coverage", (0.8, 0.995)),
    "bucket": ("bucket_width", (0.3, 0.6, 1.0)),
}
"""Groupings of histories, p95 and p99 apart: a feature and where it is cut, or the regime."""
_CUTS = {name: np.array(cuts) for name, (_, cuts) in GROUPINGS.items()}


def latency_regimes(features: Floats) -> NDArray[np.int64]:
    """Return the number of each row's regime in :data:`LATENCY_REGIMES`; the first that fits."""

    def column(name: str) -> Floats:
        result: Floats = features[:, _AT[name]]
        return result

    beyond = np.sqrt(np.maximum(column("daily_spread") ** 2 - column("daily_noise") ** 2, 0.0))
    fits = (
        column("days") < 30,
        (column("step_weight") + column("slope_weight") > 0.95) & (np.abs(column("ahead")) > 0.05),
        ((column("ground") < -0.03) | (column("incident_share") > 0.25))
        & (column("incidents") <= MOST_INCIDENTS),
        (column("load_t") > 6.0) & (column("load_slope") > 0.4),
        beyond > 0.06,
    )
    return np.select(fits, range(len(fits)), len(fits))


def group_numbers(features: Floats) -> dict[str, NDArray[np.int64]]:
    """Return the number of each row's group in every grouping: p95's groups first, then p99's."""
    found = {}
    is_p99 = features[:, _AT["is_p99"]] > 0.5
    for name, (feature, cuts) in GROUPINGS.items():
        values = latency_regimes(features) if feature is None else features[:, _AT[feature]]
        found[name] = _CUTS[name].searchsorted(values, side="right") + is_p99 * (len(cuts) + 1)
    return found


@dataclass(frozen=True, slots=True)
class LatencyForecast:
    """Trees, and the shift of each group: ``shifts[grouping]`` has shape ``(groups, chances)``.

    ``doubt`` has shape ``(2 · regimes, chances, 2)``: how far, as natural logarithms, the true quantile of such
    services lies below and above the forecast in nine of ten cases. ``reading`` ``(2 · bucket widths, 2)`` is the same
    for the true percentile around the one read inside its bucket.
    """

    trees: Trees
    shifts: Mapping[str, Floats]
    doubt: Floats
    reading: Floats

    def logarithms(self, features: Floats, centre: Floats, spread: Floats) -> Floats:
        """Return natural logarithms of the percentiles exceeded with each of :data:`CHANCES`: shape ``(rows,
        chances)``.
        """
        inputs = features.astype(np.float32)
        found = self.trees.predict(inputs)
        for name, numbers in group_numbers(inputs.astype(np.float64)).items():
            found = found + self.shifts[name][numbers]
        result: Floats = np.maximum.accumulate(centre[:, None] + np.sqrt(spread)[:, None] * found, axis=1)
        return result

    def predict(self, history: LatencyHistory, window_days: float) -> LatencyPrediction:
        """Predict a window after a history with requests."""
        rows = latency_rows(history, window_days=window_days)
        found = self.logarithms(rows.features, rows.centre, rows.spread)
        # The p99 is at least the p95.
        found[1] = np.maximum(found[0], found[1])
        groups = group_numbers(rows.features.astype(np.float32).astype(np.float64))
        kinds = groups["regime"]
        away = np.sqrt(self.doubt[kinds] ** 2 + self.reading[groups["bucket"]][:, None, :] ** 2)
        return LatencyPrediction(
            {
                share: {
                    chance: (
                        float(np.exp(found[row, at])),
                        float(np.exp(found[row, at] - away[row, at, 0])),
                        float(np.exp(found[row, at] + away[row, at, 1])),
                    )
                    for at, chance in enumerate(CHANCES)
                }
                for row, share in enumerate(SHARES)
            },
            LATENCY_REGIMES[int(kinds[0])],
        )


@dataclass(frozen=True, slots=True)
class LatencyPrediction:
    """By share (0.95, 0.99) and chance: the percentile exceeded with that chance and its 90 % interval, in ms."""

    quantiles: Mapping[float, Mapping[float, tuple[float, float, float]]]
    regime: LatencyRegime


def load(path: Path = DATA) -> LatencyForecast:
    """Read a forecast as ``tools/learn_latency.py`` writes it."""
    with np.load(path, allow_pickle=False) as arrays:
        if tuple(arrays["features"]) != LATENCY_FEATURES:
            raise ValueError(f"{path} was learned from other features; run tools/learn_latency.py")
        return LatencyForecast(
            trees=Trees.from_arrays(arrays),
            shifts={name: arrays[f"shift_{name}"].astype(np.float64) for name in GROUPINGS},
            doubt=arrays["doubt"].astype(np.float64),
            reading=arrays["reading"].astype(np.float64),
        )


@cache
def built_in() -> LatencyForecast:
    """Return the forecast that ships with the engine."""
    return load()
