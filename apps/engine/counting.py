"""What counting alone allows: few requests or few failures leave doubt, however steady they look."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import gammaincinv

from apps.engine.types import Floats

CONFIDENCE_LEVEL = 0.95
MAX_HISTORY_WINDOWS = 10
"""A history longer than this many windows makes counting no surer (so the quantiles keep falling as counts grow)."""
_TINY = 1e-300


def needed_requests(target: float, confidence: float = CONFIDENCE_LEVEL) -> int:
    """Return how many requests without a single failure support ``target``: n ≥ ln(1 − confidence) / ln(target).

    The exact form of the rule of three (Hanley and Lippman-Hand 1983): 2,995 for 99.9 %, 29,956 for 99.99 %. Raises
    ``ValueError`` unless ``0 < target < 1``.
    """
    if not 0 < target < 1:
        raise ValueError("target must be above 0 and below 1")
    return math.ceil(math.log(1 - confidence) / math.log(target))


def predictive_quantile(bad: Floats, total: float, window_requests: float, quantile: float) -> Floats:
    """Return a quantile of the next window's unavailability, if requests fail independently at one rate.

    Gamma-Poisson: the rate has a Gamma(bad + 1, total) posterior. Its upper limits are those of Garwood (1936), hence
    the rule of three where nothing failed. The window adds its own Poisson noise. One gamma of the same mean and
    variance stands for both. The result is above 0 and at most 1; it falls when all counts grow alike.
    """
    used = min(total, MAX_HISTORY_WINDOWS * window_requests)
    spread = 1.0 / used + 1.0 / window_requests
    shape = (np.asarray(bad, dtype=np.float64) * (used / total) + 1.0) / (used * spread)
    result: Floats = np.minimum(1.0, np.maximum(gammaincinv(shape, quantile), _TINY) * spread)
    return result


def predictive_mean(bad: Floats, total: float) -> Floats:
    """Return the mean of the same distribution."""
    return np.minimum(1.0, (np.asarray(bad, dtype=np.float64) + 1.0) / total)


def rate_upper(bad: float, total: float, confidence: float = CONFIDENCE_LEVEL) -> float:
    """Return the upper confidence limit of a failure rate (Garwood 1936), at most 1."""
    return float(min(1.0, gammaincinv(bad + 1.0, confidence) / total))


def quantile_upper(bad: float, total: float, window_requests: float, quantile: float) -> float:
    """Return the window's quantile if the true rate is at its upper confidence limit, at most 1."""
    used = min(total, MAX_HISTORY_WINDOWS * window_requests)
    shape = rate_upper(bad * (used / total), used) * window_requests
    return float(min(1.0, gammaincinv(shape, quantile) / window_requests))
