"""Learns the latency forecast that ships with the engine: ``python -m tools.learn_latency --rows DIR``.

Needs scikit-learn. Without rows in ``DIR`` it simulates them first, which takes half an hour on one core. The same
seeds give the same file.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from apps.engine.forecast.latency import (
    CHANCES,
    DATA,
    GROUPINGS,
    LATENCY_REGIMES,
    LatencyForecast,
    group_numbers,
)
from apps.engine.forecast.latency_features import LATENCY_FEATURES
from apps.engine.forecast.trees import Trees
from apps.engine.types import Floats
from tools.boosting import grow
from tools.latency_training_set import ALL_FAMILIES, NAMES, LatencyTraining, make_rows, read_rows

SEED = 7_001
PER_FAMILY = 1_850
CHUNK = 50
FUTURES = 4
TRUTHS = 80
TRUTH_FUTURES = 150
"""Services of each family, and futures of each, from which the doubt about a quantile is learned."""
CALIBRATION_EVERY = 5
"""Every fifth chunk is kept from the trees and used for the shifts."""
ITERATIONS = {0.5: 80, 0.2: 130, 0.05: 150, 0.01: 160}
LEARNED_FUTURES = 2
LEAST_DOUBT = 0.005
ROUNDS = 8
SHRINK = 150.0
"""A group's shift counts in full only with many more services than this."""


def simulate(directory: Path, per_family: int) -> None:
    """Write the rows that are missing, one file a chunk."""
    directory.mkdir(parents=True, exist_ok=True)
    for at in range(0, per_family, CHUNK):
        _write(directory / f"train{at:05d}.npz", SEED, at, FUTURES, is_exact=False)
    for at in range(0, TRUTHS, CHUNK // 5):
        _write(directory / f"truth{at:05d}.npz", SEED + 1, at, TRUTH_FUTURES, is_exact=True)


def _write(path: Path, seed: int, at: int, futures: int, *, is_exact: bool) -> None:
    if not path.exists():
        count = CHUNK // 5 if is_exact else CHUNK
        rows = make_rows(seed, range(at, at + count), futures, is_exact=is_exact)
        np.savez(path, **{name: getattr(rows, name) for name in NAMES})


def labels(rows: LatencyTraining) -> Floats:
    """Return the next windows in the forecast's unit: shape ``(n, futures)``."""
    return (rows.futures - rows.centre[:, None]) / np.sqrt(rows.spread)[:, None]


def calibrate(trees: Trees, rows: LatencyTraining) -> dict[str, Floats]:
    """Find the shifts with which each group is exceeded as often as stated, on services that the trees never saw.

    Groups overlap, so the shifts are found in turns until they agree (multicalibration; Hébert-Johnson and others
    2018).
    """
    groups = group_numbers(rows.features)
    shifts = {name: np.zeros((2 * (len(cuts) + 1), len(CHANCES))) for name, (_, cuts) in GROUPINGS.items()}
    left = labels(rows)[:, :, None] - trees.predict(rows.features.astype(np.float32))[:, None, :]
    for _ in range(ROUNDS):
        for name, numbers in groups.items():
            for number in range(shifts[name].shape[0]):
                inside = numbers == number
                count = int(inside.sum())
                if count == 0:
                    continue
                for at, chance in enumerate(CHANCES):
                    shift = float(np.quantile(left[inside, :, at], 1 - chance)) * count / (count + SHRINK)
                    shifts[name][number, at] += shift
                    left[inside, :, at] -= shift
    return shifts


def doubt(forecast: LatencyForecast, rows: LatencyTraining) -> tuple[Floats, Floats]:
    """Return how far quantiles lie from the forecast, by regime, and true percentiles from read ones, by bucket width.

    Distances below and above, in nine of ten cases.
    """
    found = forecast.logarithms(rows.features.astype(np.float64), rows.centre, rows.spread)
    groups = group_numbers(rows.features.astype(np.float64))
    away = np.stack(
        [np.quantile(rows.futures, 1 - chance, axis=1) - found[:, at] for at, chance in enumerate(CHANCES)],
        axis=1,
    )
    read = np.median(rows.exact - rows.futures, axis=1)
    result = np.full((forecast.doubt.shape[0], len(CHANCES), 2), LEAST_DOUBT)
    for kind in np.unique(groups["regime"]):
        low, high = np.quantile(away[groups["regime"] == kind], [0.05, 0.95], axis=0)
        result[kind] = np.maximum(np.stack([-low, high], axis=1), LEAST_DOUBT)
    reading = np.zeros((forecast.reading.shape[0], 2))
    for width in np.unique(groups["bucket"]):
        low, high = np.quantile(read[groups["bucket"] == width], [0.05, 0.95])
        reading[width] = max(-low, 0.0), max(high, 0.0)
    return result, reading


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=Path, required=True, help="directory of simulated rows")
    parser.add_argument("--out", type=Path, default=DATA)
    parser.add_argument("--per-family", type=int, default=PER_FAMILY)
    parser.add_argument("--as-they-are", action="store_true", help="simulate nothing more")
    options = parser.parse_args()
    if not options.as_they_are:
        simulate(options.rows, options.per_family)
    paths = sorted(options.rows.glob("train*.npz"))
    kept = paths[::CALIBRATION_EVERY]
    rows = read_rows([path for path in paths if path not in kept])
    futures = min(LEARNED_FUTURES, rows.futures.shape[1])
    arrays = grow(
        np.repeat(rows.features, futures, axis=0),
        labels(rows)[:, :futures].ravel(),
        None,
        {chance: ITERATIONS[chance] for chance in CHANCES},
        least_leaf=lambda chance: int(np.ceil(12 * futures + 8 / chance)),
    )
    trees = Trees.from_arrays(arrays)
    shifts = calibrate(trees, read_rows(kept))
    truths = sorted(options.rows.glob("truth*.npz"))
    doubts = np.zeros((2 * len(LATENCY_REGIMES), len(CHANCES), 2))
    reading = np.zeros((2 * (len(GROUPINGS["bucket"][1]) + 1), 2))
    if truths:
        doubts, reading = doubt(LatencyForecast(trees, shifts, doubts, reading), read_rows(truths))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    stored: dict[str, NDArray[np.generic]] = dict(arrays)
    stored["features"] = np.array(LATENCY_FEATURES)
    stored["families"] = np.array(ALL_FAMILIES)
    stored["services"] = np.array([len(paths) * CHUNK * len(ALL_FAMILIES), FUTURES])
    stored["doubt"] = doubts.astype(np.float32)
    stored["reading"] = reading.astype(np.float32)
    stored |= {f"shift_{name}": value.astype(np.float32) for name, value in shifts.items()}
    np.savez_compressed(options.out, allow_pickle=False, **stored)


if __name__ == "__main__":
    main()
