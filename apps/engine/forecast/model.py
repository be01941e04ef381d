"""The forecast: quantiles of the next window's unavailability, given what the history shows.

Boosted trees that learned from simulated services of many kinds (``tools/learn_forecast.py``) predict how far the next
window lies from a rough expectation, in units of the root of its spread. Shifts then make each visible group miss its
tiers as often as stated (conformal prediction within groups; Vovk 2012; Romano, Patterson and Candès 2019).

Forecasts of probed sites, which are up or down, get a further shift that was learned from real outages
(``tools/learn_outages.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from apps.engine.forecast.features import FEATURES, FeatureRows
from apps.engine.forecast.regimes import REGIMES, regimes
from apps.engine.forecast.trees import Trees, first_models
from apps.engine.types import Floats

DATA = Path(__file__).resolve().parents[1] / "data" / "forecast.npz"
OUTAGES = DATA.with_name("outages.npz")
CHANCES = (0.5, 0.2, 0.05, 0.01)
"""Chances of a worse window that are forecast, one model each."""
NO_FAILURE = 0.3
"""A window without a failure counts as this many failures: less than one, but with a logarithm."""
NEVER_DOWN = float(np.log10(1.5))
"""Up to this value of the feature ``failures``, a site was never seen down."""
RECENT_CUTS = (-0.5, 0.2)
"""Where the level of the last four weeks (base-10 logarithm, relative to the history's) divides sites into groups."""
PROBED_GROUPS = 2 + len(RECENT_CUTS)
TIMES_RECENT = (3.0, 3.0, 6.0, 10.0)
"""One for each of :data:`CHANCES`, found on the rows from which the shifts were learned."""
LEAST_RECENT = 1e-3
LARGE_CHANGE = 0.3
"""How far the everyday level ahead must lie from the history's, as a base-10 logarithm: a doubling."""
_UNLIMITED = np.full((1, len(CHANCES)), np.inf)
_UNLIMITED.setflags(write=False)
_AT = {name: at for at, name in enumerate(FEATURES)}

GROUPINGS: Mapping[str, tuple[str | None, tuple[float, ...]]] = {
    "regime": (None, tuple(range(1, len(REGIMES)))),
    "traffic": ("window_requests", (4.0, 5.0, 6.0, 7.0)),
    "history": ("days", (14.0, 29.5, 60.0, 89.0)),
    "coverage": ("coverage", (0.8, 0.995)),
    "dependencies": ("has_dependency", (0.5,)),
}
"""Groupings of services: a feature and where it is cut, or the regime."""
_CUTS = {name: np.array(cuts) for name, (_, cuts) in GROUPINGS.items()}


def group_numbers(features: NDArray[np.floating]) -> dict[str, NDArray[np.int64]]:
    """Return the number of each row's group in every grouping."""
    found = {}
    for name, (feature, _) in GROUPINGS.items():
        values = regimes(features) if feature is None else features[:, _AT[feature]]
        found[name] = _CUTS[name].searchsorted(values, side="right")
    return found


def probed_groups(features: NDArray[np.floating]) -> NDArray[np.int64]:
    """Return groups of probed sites: 0 never seen down; else 1, 2, 3 for last four weeks that were better than, like,
    or worse than the history.
    """
    was_down = features[:, _AT["failures"]] > NEVER_DOWN
    recent = np.searchsorted(np.asarray(RECENT_CUTS), features[:, _AT["last_4_weeks"]], side="right")
    return np.where(was_down, 1 + recent, 0).astype(np.int64)


def _highest(features: Floats) -> Floats:
    """Return upper bounds of the forecast's logarithms, ``(rows, chances)``, or one for all rows.

    A slope that is extended by a month leads to levels that no service has shown. So, where the level changes, the
    bound is :data:`TIMES_RECENT` times the worst of the last day, three days and week.
    """

    def column(name: str) -> Floats:
        values: Floats = features[:, _AT[name]]
        return values

    is_changing = np.abs(column("ahead")) > LARGE_CHANGE
    if not is_changing.any():
        return _UNLIMITED
    per_hour = column("window_requests") - np.log10(column("window_days") * 24)
    hours = column("days") * 24 * column("coverage")
    level = column("failures") - per_hour - np.log10(hours)
    recent = level + np.maximum(np.maximum(column("last_day"), column("last_3_days")), column("last_week"))
    highest = np.maximum(recent, np.log10(LEAST_RECENT))[:, None] + np.log10(TIMES_RECENT)
    return np.where(is_changing[:, None], highest, np.inf)


@dataclass(frozen=True, slots=True)
class Forecast:
    """Trees, and the shift of each group: ``shifts[grouping]`` has shape ``(groups, chances)``.

    ``probed_shifts`` has shape ``(probed groups, chances)``. ``doubt`` has shape ``(regimes, chances, 2)``: how far, as
    base-10 logarithms, the true quantile of such services lies below and above the forecast in nine of ten cases.
    """

    trees: Trees
    shifts: Mapping[str, Floats]
    doubt: Floats
    probed_shifts: Floats

    def raw(self, rows: FeatureRows, chances: int = len(CHANCES)) -> Floats:
        """Return the shifted predictions of the trees at the first ``chances``: ``(rows, chances)``.

        The unit is the root of each row's spread.
        """
        features = rows.features.astype(np.float32)
        found: Floats = first_models(self.trees, chances).predict(features)
        for name, numbers in group_numbers(features).items():
            found = found + self.shifts[name][numbers, :chances]
        if rows.is_probed:
            found = found + self.probed_shifts[probed_groups(features), :chances]
        return found

    def quantiles(self, rows: FeatureRows, chances: int = len(CHANCES)) -> Floats:
        """Return the unavailability exceeded with each of the first ``chances`` of :data:`CHANCES`: ``(rows,
        chances)``.

        Ascending; none depends on those after it.
        """
        found = self.raw(rows, chances)
        logarithms = rows.centre[:, None] + np.sqrt(rows.spread)[:, None] * found
        if not rows.is_probed:
            logarithms = np.minimum(logarithms, _highest(rows.features)[:, :chances])
        result: Floats = 10 ** np.maximum.accumulate(np.minimum(logarithms, 0.0), axis=1)
        return result


def load(path: Path = DATA, outages_path: Path = OUTAGES) -> Forecast:
    """Read a forecast as ``tools/learn_forecast.py`` and ``tools/learn_outages.py`` write it."""
    with np.load(path, allow_pickle=False) as arrays, np.load(outages_path, allow_pickle=False) as outages:
        if tuple(arrays["features"]) != FEATURES:
            raise ValueError(f"{path} was learned from other features; run tools/learn_forecast.py")
        learned = arrays["doubt"][: len(REGIMES) - 1]
        return Forecast(
            trees=Trees.from_arrays(arrays),
            shifts={name: arrays[f"shift_{name}"].astype(np.float64) for name in GROUPINGS},
            probed_shifts=outages["shifts"].astype(np.float64),
            doubt=np.concatenate([learned, outages["doubt"][None]]).astype(np.float64),
        )


@cache
def built_in() -> Forecast:
    """Return the forecast that ships with the engine."""
    return load()
