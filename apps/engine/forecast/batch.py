"""One service's forecast for many pasts at once, so that a counterfactual needs no whole new run."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from apps.engine.forecast.features import FEATURES, FeatureRows, feature_rows
from apps.engine.forecast.history import History
from apps.engine.forecast.model import CHANCES, Forecast
from apps.engine.forecast.service import ServiceForecast
from apps.engine.forecast.worse import ADDED, no_worse, rows_of, with_more_failures, youth_of
from apps.engine.types import Floats

_HAS_DEPENDENCY, _SHARE = FEATURES.index("has_dependency"), FEATURES.index("dependency_share")


@dataclass(frozen=True, slots=True)
class PastFeatures:
    """Features of many pasts of one service; each row equals what ``ServiceForecast.of`` would compute for it.

    A row does not depend on the rows computed with it. In the first two weeks (``youth`` above 0) each past has several
    rows (:mod:`apps.engine.forecast.worse`).
    """

    forecast: Forecast
    rows: FeatureRows
    youth: float

    @classmethod
    def of(
        cls, forecast: ServiceForecast, bad: Floats, shares: Floats, history: History | None = None
    ) -> PastFeatures:
        """Read pasts with the failures ``bad``, shape ``(n, bins)``, of which dependencies caused ``shares``, ``(n,)``.

        ``history`` replaces the forecast's own, where it is given.
        """
        history = history or forecast.history
        youth = youth_of(history, forecast.days)
        bad = np.minimum(history.hourly(bad.T), history.total)
        rows = feature_rows(
            history,
            with_more_failures(bad, history.total, youth),
            window_hours=forecast.window_hours,
            has_dependency=forecast.has_dependency,
            dependency_share=_for_each(shares, youth),
        )
        return cls(forecast.forecast, rows, youth)

    def unavailability(self, chance: float) -> Floats:
        """Return the unavailability that the window after each past exceeds with ``chance``: ``(n,)``."""
        quantiles = self.forecast.quantiles(self.rows, CHANCES.index(chance) + 1)[:, -1:]
        return no_worse(quantiles, self.youth)[:, 0]

    def with_dependencies(
        self, rows: NDArray[np.int64], shares: Floats, has_dependency: Floats
    ) -> PastFeatures:
        """Return some of the pasts, ``rows``, with other shares of dependencies' failures."""
        rows = rows_of(rows, self.youth)
        features = self.rows.features[rows]
        features[:, _SHARE] = _for_each(shares, self.youth)
        features[:, _HAS_DEPENDENCY] = _for_each(has_dependency, self.youth)
        chosen = replace(
            self.rows, features=features, centre=self.rows.centre[rows], spread=self.rows.spread[rows]
        )
        return replace(self, rows=chosen)


def _for_each(values: Floats, youth: float) -> Floats:
    """Repeat the value of each past for each of its rows."""
    return values if youth <= 0 else np.repeat(values, len(ADDED))
