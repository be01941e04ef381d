"""Learns the forecast that ships with the engine: ``python -m tools.learn_forecast --rows DIR --out FILE``.

Needs scikit-learn, which nothing else here does. Without rows in ``DIR`` it simulates them first, which takes an hour
on two cores. The same seeds give the same file.
"""

from __future__ import annotations

import argparse
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from apps.engine.forecast.features import FEATURES, FeatureRows
from apps.engine.forecast.model import CHANCES, DATA, GROUPINGS, NO_FAILURE, Forecast, group_numbers
from apps.engine.forecast.regimes import REGIMES, regimes
from apps.engine.forecast.trees import Trees
from apps.engine.types import Floats
from tools.boosting import grow
from tools.training_set import ALL_FAMILIES, FUTURES, NAMES, Rows, make_rows

SEED = 5_001
PER_FAMILY = 5_000
CHUNK = 50
TRUTHS = 150
TRUTH_FUTURES = 300
"""Services of each family, and futures of each, from which the doubt about a quantile is learned."""
CALIBRATION_EVERY = 6
"""Every sixth chunk is kept from the trees and used for the shifts."""
ITERATIONS = {0.5: 80, 0.2: 130, 0.05: 160, 0.01: 180}
LEARNED_FUTURES = 2
LEVEL_WEIGHT = 0.15
"""Services that fail more weigh more, because errors are measured in unavailability."""
ROUNDS = 6
SHRINK = 200.0
"""A group's shift counts in full only with many more services than this."""


def simulate(directory: Path) -> None:
    """Write the rows that are missing, one file a chunk."""
    directory.mkdir(parents=True, exist_ok=True)
    jobs = [(directory / f"train{at:05d}.npz", SEED, at, FUTURES) for at in range(0, PER_FAMILY, CHUNK)]
    jobs += [
        (directory / f"truth{at:05d}.npz", SEED + 1, at, TRUTH_FUTURES) for at in range(0, TRUTHS, CHUNK)
    ]
    with get_context("spawn").Pool(2) as pool:
        pool.map(_write, jobs, chunksize=1)


def _write(job: tuple[Path, int, int, int]) -> None:
    path, seed, at, futures = job
    if not path.exists():
        rows = make_rows(seed, range(at, at + CHUNK), futures)
        np.savez(path, **{name: getattr(rows, name) for name in NAMES})


def read(paths: list[Path]) -> Rows:
    """Read and join chunks."""
    parts = [np.load(path) for path in paths]
    return Rows(*(np.concatenate([part[name] for part in parts]) for name in NAMES))


def labels(rows: Rows) -> Floats:
    """Return the next windows in the forecast's unit: shape ``(n, futures)``."""
    least = NO_FAILURE / rows.requests[:, None]
    return (np.log10(np.maximum(rows.futures, least)) - rows.centre[:, None]) / np.sqrt(rows.spread)[:, None]


def grown(rows: Rows) -> dict[str, NDArray[np.generic]]:
    """Fit one boosted model for each chance; return all trees as arrays."""
    futures = min(LEARNED_FUTURES, rows.futures.shape[1])
    return grow(
        np.repeat(rows.features, futures, axis=0),
        labels(rows)[:, :futures].ravel(),
        np.repeat(10 ** (LEVEL_WEIGHT * rows.centre), futures),
        {chance: ITERATIONS[chance] for chance in CHANCES},
        least_leaf=lambda chance: int(np.ceil(6 * futures + 6 / chance)),
    )


def calibrate(trees: Trees, rows: Rows) -> dict[str, Floats]:
    """Find the shifts with which each group is exceeded as often as stated, on services that the trees never saw.

    Groups overlap, so the shifts are found in turns until they agree (multicalibration; Hébert-Johnson and others
    2018).
    """
    groups = group_numbers(rows.features)
    shifts = {name: np.zeros((len(cuts) + 1, len(CHANCES))) for name, (_, cuts) in GROUPINGS.items()}
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


def doubt(forecast: Forecast, rows: Rows) -> Floats:
    """Return how far true quantiles lie from the forecast, by regime: 5 % and 95 % points, as base-10 logarithms."""
    found = forecast.quantiles(FeatureRows(rows.features.astype(np.float64), rows.centre, rows.spread))
    least = NO_FAILURE / rows.requests
    kinds = regimes(rows.features)
    result = np.zeros((len(REGIMES), len(CHANCES), 2))
    for at, chance in enumerate(CHANCES):
        truth = np.maximum(np.quantile(rows.futures, 1 - chance, axis=1), least)
        away = np.log10(truth) - np.log10(np.maximum(found[:, at], least))
        for kind in range(len(REGIMES)):
            result[kind, at] = np.quantile(away[kinds == kind], [0.05, 0.95])
    return np.stack([np.minimum(result[:, :, 0], -0.01), np.maximum(result[:, :, 1], 0.01)], axis=2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=Path, required=True, help="directory of simulated rows")
    parser.add_argument("--out", type=Path, default=DATA)
    parser.add_argument("--as-they-are", action="store_true", help="simulate nothing more")
    options = parser.parse_args()
    if not options.as_they_are:
        simulate(options.rows)
    paths = sorted(options.rows.glob("train*.npz"))
    kept = paths[::CALIBRATION_EVERY]
    arrays = grown(read([path for path in paths if path not in kept]))
    trees = Trees.from_arrays(arrays)
    rows = read(kept)
    shifts = calibrate(trees, rows)
    truths = sorted(options.rows.glob("truth*.npz"))
    spread = (
        doubt(Forecast(trees, shifts, np.zeros(0), np.zeros(0)), read(truths))
        if truths
        else np.zeros((len(REGIMES), len(CHANCES), 2))
    )
    options.out.parent.mkdir(parents=True, exist_ok=True)
    arrays["features"] = np.array(FEATURES)
    arrays["families"] = np.array(ALL_FAMILIES)
    arrays["services"] = np.array([len(paths) * CHUNK * len(ALL_FAMILIES), FUTURES])
    arrays["doubt"] = spread.astype(np.float32)
    arrays |= {f"shift_{name}": value.astype(np.float32) for name, value in shifts.items()}
    np.savez_compressed(options.out, allow_pickle=False, **arrays)


if __name__ == "__main__":
    main()
