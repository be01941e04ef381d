"""The baselines: four textbook predictions of a window's unavailability."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.special import betaincinv

from apps.engine.types import Floats

REPLICATES = 1_000


def baselines(
    total: Floats,
    bad: Floats,
    chances: Sequence[float],
    window_bins: int,
    generator: np.random.Generator,
    *,
    bins_a_day: int = 24,
) -> Mapping[str, Floats]:
    """Return the unavailability that each method expects to be exceeded with each of ``chances``.

    ``total`` and ``bad`` are the bins with data, hours unless ``bins_a_day`` says otherwise.

    - ``clopper_pearson``: upper confidence limit of pooled counts (Clopper and Pearson 1934);
    - ``past_windows``: quantile over all past windows of the same length, a day apart;
    - ``iid_bootstrap``: windows of bins drawn one by one;
    - ``block_bootstrap``: windows of whole days, drawn at random (Künsch 1989).
    """
    quantiles = 1 - np.asarray(chances)
    requests, failures = float(total.sum()), float(bad.sum())
    pooled = np.where(
        failures >= requests, 1.0, betaincinv(failures + 1, max(requests - failures, 1e-9), quantiles)
    )
    return {
        "clopper_pearson": pooled,
        "past_windows": np.quantile(_past(total, bad, window_bins, bins_a_day), quantiles),
        "iid_bootstrap": np.quantile(_resampled(total, bad, window_bins, 1, generator), quantiles),
        "block_bootstrap": np.quantile(_resampled(total, bad, window_bins, bins_a_day, generator), quantiles),
    }


def _past(total: Floats, bad: Floats, window_bins: int, bins_a_day: int) -> Floats:
    width = min(window_bins, total.size)
    running = np.concatenate([np.zeros((1, 2)), np.cumsum(np.stack([total, bad], axis=1), axis=0)])
    ends = np.arange(total.size, width - 1, -bins_a_day)
    sums = running[ends] - running[ends - width]
    return np.asarray(sums[:, 1] / np.maximum(sums[:, 0], 1e-12))


def _resampled(
    total: Floats, bad: Floats, window_bins: int, block: int, generator: np.random.Generator
) -> Floats:
    size = total.size
    length = min(block, size)
    picks = max(1, round(window_bins / length))
    ends = np.arange(size) + length
    sums = []
    for values in (total, bad):
        running = np.concatenate([[0.0], np.cumsum(np.concatenate([values, values[:length]]))])
        sums.append(running[ends] - running[:size])
    starts = generator.integers(0, size, (REPLICATES, picks))
    requests, failures = sums[0][starts].sum(axis=1), sums[1][starts].sum(axis=1)
    return np.asarray(failures / np.maximum(requests, 1e-12))
