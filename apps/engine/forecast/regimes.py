"""The kinds of history that can be told apart: the groups within which the forecast is calibrated."""

from __future__ import annotations

from typing import get_args

import numpy as np
from numpy.typing import NDArray

from apps.engine.document import Regime
from apps.engine.forecast.features import FEATURES

REGIMES: tuple[Regime, ...] = get_args(Regime)

NEW_DAYS = 30
CLEAN_FAILURES = 3
"""A history with fewer failures than this is clean."""
FEW_INCIDENTS = 8
MOST_FAILURES = 0.5
CHANGE_WEIGHT = 0.95
"""Least weight (Schwarz's criterion) of a step or slope …"""
CHANGE_RATIO = 0.08
"""… and least change of the everyday level, as a base-10 logarithm (20 %)."""
LOAD_SIGMA = 6.0
LOAD_POWER = 0.4
BURSTY_VARIATION = -1.2
"""Base-10 logarithm of the squared variation from day to day, beyond counting: 25 %."""

_AT = {name: at for at, name in enumerate(FEATURES)}


def regimes(features: NDArray[np.floating], *, is_probed: bool = False) -> NDArray[np.int64]:
    """Return the number of each row's regime in :data:`REGIMES`: the first that fits, ``up_or_down`` for probed
    sites.
    """
    if is_probed:
        return np.full(features.shape[0], REGIMES.index("up_or_down"), dtype=np.int64)

    def column(name: str) -> NDArray[np.floating]:
        result: NDArray[np.floating] = features[:, _AT[name]]
        return result

    changed = column("step_weight") + column("slope_weight") > CHANGE_WEIGHT
    mostly_incidents = column("incident_share") > MOST_FAILURES
    fits = (
        column("days") < NEW_DAYS,
        column("failures") < np.log10(CLEAN_FAILURES + 0.5),
        mostly_incidents & (column("incidents") <= FEW_INCIDENTS),
        changed & (np.abs(column("ahead")) > CHANGE_RATIO),
        (column("load_t") > LOAD_SIGMA) & (column("load_slope") > LOAD_POWER),
        mostly_incidents | (column("daily_variation") > BURSTY_VARIATION),
    )
    found = np.full(features.shape[0], len(fits), dtype=np.int64)
    for number in reversed(range(len(fits))):
        found[fits[number]] = number
    return found
