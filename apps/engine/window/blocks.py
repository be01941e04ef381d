"""Length of the blocks that a block bootstrap keeps together."""

from __future__ import annotations

import math

import numpy as np

from apps.engine.types import Floats

DAY_SECONDS = 86_400
FLOOR_SECONDS = DAY_SECONDS
"""Blocks are at least a day where the history allows: load and failures follow the day."""
FLOOR_NEEDS_DAYS = 7.0
SHORT_HISTORY_BLOCKS = 12
"""A history under ``FLOOR_NEEDS_DAYS`` days is cut into at most this many blocks."""
MIN_BLOCKS = 4
"""A history is never cut into fewer blocks than this, because fewer leave nothing to resample."""


def _autocovariances(values: Floats, lags: int) -> Floats:
    size = values.size
    padded = 1 << (size + lags).bit_length()
    spectrum = np.fft.rfft(values, padded)
    covariances: Floats = np.fft.irfft(spectrum * np.conj(spectrum), padded)[: lags + 1] / size
    return covariances


def politis_white_length(values: Floats) -> float:
    """Return the optimal block length of the circular bootstrap of a mean, in bins (at least 1).

    Politis and White (2004), *Automatic block-length selection for the dependent bootstrap*, Econometric Reviews 23(1),
    with the correction of Patton, Politis and White (2009): the flat-top lag window is twice the lag after which
    ``K_n`` autocorrelations in a row are not significant.
    """
    size = values.size
    if size < 8:
        return 1.0
    centred = values - values.mean()
    scale = float(np.abs(centred).max())
    if scale <= 0:
        return 1.0
    run = max(5, math.ceil(math.sqrt(math.log10(size))))
    longest = math.ceil(math.sqrt(size)) + run
    covariances = _autocovariances(centred / scale, min(longest + run, size - 1))
    if covariances[0] <= 0:
        return 1.0
    correlations = covariances / covariances[0]
    significant = np.abs(correlations[1:]) > 2.0 * math.sqrt(math.log10(size) / size)
    last = 0
    for lag in range(min(longest, significant.size)):
        if not significant[lag : lag + run].any():
            last = lag
            break
    else:
        last = min(longest, significant.size)
    window = min(2 * max(last, 1), covariances.size - 1)
    lags = np.arange(1, window + 1)
    taper = np.minimum(1.0, 2.0 * (1.0 - lags / window))
    weighted = taper * covariances[1 : window + 1]
    slope = 2.0 * float((weighted * lags).sum())
    density = float(covariances[0] + 2.0 * weighted.sum())
    if density <= 0 or slope == 0:
        return 1.0
    length = (2.0 * slope**2 / (4.0 / 3.0 * density**2)) ** (1 / 3) * size ** (1 / 3)
    ceiling = math.ceil(min(3.0 * math.sqrt(size), size / 3.0))
    return float(min(max(length, 1.0), ceiling))


def block_length(total: Floats, bad: Floats, step_seconds: int) -> int:
    """Return the block length in bins for resampling (bad, total) pairs of consecutive bins.

    The selection of Politis and White is applied to the linear part of the ratio, ``bad − availability loss · total``.
    The result is kept between a floor (a day from a week of history on, a twelfth of a shorter history) and a quarter
    of the history.
    """
    size = total.size
    requests = float(total.sum())
    rate = float(bad.sum()) / requests if requests > 0 else 0.0
    chosen = politis_white_length(bad - rate * total)
    days = size * step_seconds / DAY_SECONDS
    floor = FLOOR_SECONDS / step_seconds if days >= FLOOR_NEEDS_DAYS else size / SHORT_HISTORY_BLOCKS
    length = max(chosen, floor)
    return max(1, min(math.ceil(length - 1e-9), size // MIN_BLOCKS))
