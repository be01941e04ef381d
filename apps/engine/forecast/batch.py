"""One service's forecast for many pasts at once: what a counterfactual asks without a whole new run each."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from apps.engine.forecast.features import FEATURES, FeatureRows, feature_rows
from apps.engine.forecast.history import History
from apps.engine.forecast.model import CHANCES, Forecast
from apps.engine.forecast.service import ServiceForecast
from apps.engine.types import Floats

_HAS_DEPENDENCY, _SHARE = FEATURES.index("has_dependency"), FEATURES.index("dependency_share")


@dataclass(frozen=True, slots=True)
class PastFeatures:
    """Features of many pasts of one service; each row is what ``ServiceForecast.of`` would make of it, whatever other
    rows are asked with it.
    """

    forecast: Forecast
    rows: FeatureRows

    @classmethod
    def of(
        cls, forecast: ServiceForecast, bad: Floats, shares: Floats, history: History | None = None
    ) -> PastFeatures:
        """Read pasts with the failures ``bad``, shape ``(n, bins)``, of which dependencies caused ``shares``,
        ``(n,)``; on ``history``, where it is not the forecast's own.
        """
        history = history or forecast.history
        rows = feature_rows(
            history,
            np.minimum(history.hourly(bad.T), history.total),
            window_hours=forecast.window_hours,
            has_dependency=forecast.has_dependency,
            dependency_share=shares,
        )
        return cls(forecast.forecast, rows)

    def unavailability(self, chance: float) -> Floats:
        """What the window after each past exceeds with ``chance``: ``(n,)``."""
        result: Floats = self.forecast.quantiles(self.rows, CHANCES.index(chance) + 1)[:, -1]
        return result

    def with_dependencies(
        self, rows: NDArray[np.int64], shares: Floats, has_dependency: Floats
    ) -> PastFeatures:
        """Some of the pasts, ``rows``, as other shares of dependencies' failures would have them."""
        features = self.rows.features[rows]
        features[:, _SHARE], features[:, _HAS_DEPENDENCY] = shares, has_dependency
        chosen = replace(
            self.rows, features=features, centre=self.rows.centre[rows], spread=self.rows.spread[rows]
        )
        return replace(self, rows=chosen)
