"""The forecast of one service: what its failures, cause by cause, predict for the next window."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from apps.engine.decomposition import Decomposition
from apps.engine.document import Regime
from apps.engine.forecast.features import feature_rows
from apps.engine.forecast.history import History, history_of
from apps.engine.forecast.inputs import dependency_share_of
from apps.engine.forecast.model import CHANCES, Forecast, built_in
from apps.engine.forecast.regimes import REGIMES, regimes
from apps.engine.forecast.worse import no_worse, with_more_failures, youth_of
from apps.engine.series import ObservedCounts
from apps.engine.types import Floats

CANONICAL_REQUESTS = 1e6
"""Before the doubt about a quantile is read, the history is scaled to this many requests a window. So the doubt depends
on the pattern of failures and not on their number, which counting error covers.
"""

LOWER_SLACK = {0.01: 0.25}
"""By chance, the share of the forecast by which the interval's lower end moves further down. The doubt is that of a
history of very many requests; with fewer, rare tails are overstated more often, as simulated fleets show.
"""


@dataclass(frozen=True, slots=True)
class Doubt:
    """How far the true quantile may be from the forecast, in unavailability: ``width`` is that of the 90 % interval,
    ``above`` the share of it above the forecast.
    """

    width: float
    above: float


@dataclass(frozen=True, slots=True)
class ServiceForecast:
    """Forecasts of one service with its causes switched off or scaled.

    ``hourly`` has shape ``(causes, hours)``.
    """

    history: History
    hourly: Floats
    parts: Decomposition
    has_dependency: bool
    window_hours: int
    days: float
    """Days of data."""
    forecast: Forecast
    quantiles: Floats
    """At :data:`CHANCES`, with every cause as it is."""
    regime: Regime

    @classmethod
    def of(
        cls,
        counts: ObservedCounts,
        parts: Decomposition,
        *,
        has_dependency: bool,
        window_days: int,
        forecast: Forecast | None = None,
    ) -> ServiceForecast:
        """Prepare the forecasts of a service with requests."""
        history = history_of(counts)
        hourly = history.hourly(parts.bad)
        model = forecast or built_in()
        youth = youth_of(history, counts.days)
        bad = np.minimum(hourly.sum(axis=0, keepdims=True), history.total)
        rows = feature_rows(
            history,
            with_more_failures(bad, history.total, youth),
            window_hours=window_days * 24,
            has_dependency=has_dependency,
            dependency_share=dependency_share_of(parts, np.ones((1, hourly.shape[0]))),
        )
        return cls(
            history=history,
            hourly=hourly,
            parts=parts,
            has_dependency=has_dependency,
            window_hours=window_days * 24,
            days=counts.days,
            forecast=model,
            quantiles=no_worse(model.quantiles(rows), youth)[0],
            regime=REGIMES[int(regimes(rows.features, is_probed=history.is_probed)[0])],
        )

    def usual(self, chance: float) -> float:
        """Return the unavailability that the next window exceeds with ``chance``, with every cause as it is."""
        return float(self.quantiles[CHANCES.index(chance)])

    def doubt(self, counts: ObservedCounts) -> dict[float, Doubt]:
        """Return how far the true quantiles may be off; k times as many requests and failures give the same."""
        requests, known = self.history.requests.all, self.history.known_hours
        is_probed = self.history.is_probed
        scale = requests if is_probed else CANONICAL_REQUESTS * known / self.window_hours
        bad = self.history.hourly(counts.dense_bad[:, None])
        canonical = History(
            self.history.total / requests * scale,
            self.history.is_known,
            self.history.groups,
            self.history.spread_over,
            is_probed,
        )
        youth = youth_of(canonical, self.days)
        rows = feature_rows(
            canonical,
            with_more_failures(bad / requests * scale, canonical.total, youth),
            window_hours=self.window_hours,
            has_dependency=self.has_dependency,
            dependency_share=dependency_share_of(self.parts, np.ones((1, len(self.parts.causes)))),
        )
        found = no_worse(self.forecast.quantiles(rows), youth)[0]
        kind = int(regimes(rows.features, is_probed=is_probed)[0])
        result: dict[float, Doubt] = {}
        for at, chance in enumerate(CHANCES):
            low, high = (10 ** float(each) for each in self.forecast.doubt[kind, at])
            low -= LOWER_SLACK.get(chance, 0.0)
            result[chance] = Doubt(float(found[at]) * (high - low), (high - 1) / (high - low))
        return result
