"""Targets that are missed with a stated chance, and how certain they are.

The tiers are quantiles of the forecast (``apps.engine.forecast``). In a service's first week they are no better than
what was clearly counted, and are mixed with the archetype's prior, as far as the record leaves that open
(``apps.engine.forecast.evidence``). For comparison, a block bootstrap of past (bad, total) pairs, and what counting
leaves possible at this traffic, give what the history alone shows. Attribution names what the forecast adds to that;
counterfactuals ask the forecast again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from apps.engine.counting import needed_requests, predictive_mean, predictive_quantile, quantile_upper
from apps.engine.decomposition import Cause, Decomposition, scaled_failures
from apps.engine.document import TierName
from apps.engine.forecast.evidence import FIRST_WEEK_DAYS, Evidence, Prior
from apps.engine.forecast.service import Doubt, ServiceForecast
from apps.engine.series import ObservedCounts
from apps.engine.types import TIER_BREACH_PROBABILITY, Floats
from apps.engine.window.resampling import Plan, replicate_sums, upper_quantile

LEAST_UNAVAILABILITY = 1e-9
"""No target is closer to 1 than this."""
LEAST_TARGET = 0.01
"""No tier is lower, because a lower SLO says nothing."""
COLD_START_DAYS = 30
THIN_REQUESTS = needed_requests(0.999)
"""Windows of up to this many requests follow the rule of three, those of twice as many or more the forecast alone."""
_Z90 = 1.6448536


@dataclass(frozen=True, slots=True)
class Tier:
    """A target with its 90 % interval."""

    target: float
    breach_probability: float
    interval: tuple[float, float]


@dataclass(frozen=True, slots=True)
class WindowModel:
    """Everything needed to evaluate the next window, and the targets after other pasts.

    ``rates`` has shape ``(causes, replicates)``: the unavailability that each cause adds in each resampled window.
    ``bad`` has shape ``(causes,)``: failures in the history. ``dense_total`` ``(bins,)`` is the requests of its bins
    with data, ``total`` all of them. ``doubt`` is the forecast's, by chance. ``evidence`` is what the record shows,
    ``None`` from a week of data on.
    """

    causes: tuple[Cause, ...]
    rates: Floats
    bad: Floats
    dense_total: Floats
    total: float
    window_requests: float
    days: float
    prior: Prior
    evidence: Evidence | None
    forecast: ServiceForecast
    doubt: dict[float, Doubt]

    @property
    def prior_weight(self) -> float:
        """The prior's weight in each target, with every cause as it is."""
        return 0.0 if self.evidence is None else float(self.evidence.weight[0])

    @property
    def is_worse_than_its_kind(self) -> bool:
        """Whether the record clearly shows more failures than are typical of its kind."""
        return self.evidence is not None and float(self.evidence.lowest[0]) > self.prior.typical

    def shown(
        self, sums: Floats, bad: Floats, breach_probability: float, *, has_variation: bool
    ) -> tuple[Floats, Floats]:
        """Return the unavailability at a tier's quantile as the history shows it, without forecast: twice ``(n,)``.

        ``sums`` ``(n, replicates)`` are resampled windows, ``bad`` ``(n,)`` failures in the history. Without variation
        the window is like the average of the history. The first array ignores the doubt from few requests, the second
        includes it.
        """
        quantile = 1 - breach_probability
        if has_variation:
            value = upper_quantile(sums, quantile, axis=1)
            floor = predictive_quantile(bad, self.total, self.window_requests, quantile)
        else:
            value = sums.mean(axis=1)
            floor = predictive_mean(bad, self.total)
        counted = np.maximum(np.maximum(value, floor), LEAST_UNAVAILABILITY)
        return np.minimum(1.0, value), np.minimum(1.0, counted)

    def evidence_of(self, scales: Floats) -> Evidence | None:
        """Return what the record shows with its causes scaled, one entry for each row of ``scales``, ``(n,
        causes)``.
        """
        if self.evidence is None:
            return None
        bad = scaled_failures(self.forecast.parts, self.dense_total, scales)
        return Evidence.of(self.dense_total, bad, self.days, self.prior)

    def floored(
        self, value: Floats, scales: Floats, breach_probability: float, evidence: Evidence | None
    ) -> Floats:
        """Raise a forecast, one value for each row of ``scales``, to at least what counting leaves possible.

        In the first week that is what was clearly counted. Where a window has few requests, the rule of three bounds
        it: without that, a clean record of some hundred requests would prove three nines. The result is at most
        1 − :data:`LEAST_TARGET`.
        """
        value = np.maximum(value, LEAST_UNAVAILABILITY)
        if evidence is not None:
            value = np.maximum(value, evidence.lowest)
        thin = min(1.0, max(0.0, 2 - self.window_requests / THIN_REQUESTS))
        if thin > 0:
            bad = np.asarray(scales) @ self.bad
            floor = predictive_quantile(bad, self.total, self.window_requests, 1 - breach_probability)
            value = np.maximum(value, thin * floor)
        result: Floats = np.minimum(1 - LEAST_TARGET, value)
        return result

    def expected(self, breach_probability: float) -> float:
        """Return the forecast at a tier's quantile with every cause as it is, before any prior."""
        usual = np.array([self.forecast.usual(breach_probability)])
        scales = np.ones((1, len(self.causes)))
        return float(self.floored(usual, scales, breach_probability, self.evidence)[0])

    def mixed(self, value: Floats, breach_probability: float, evidence: Evidence | None) -> Floats:
        """Mix a value with the prior: a weighted geometric mean, because both are known up to a factor.

        ``evidence`` has one entry, or one for each value. Where ``value`` was floored, neither part is better than what
        was clearly counted, so the mean is not either; nor is it better than the observed availability.
        """
        if evidence is None:
            return value
        expected = evidence.expected_of_its_kind(self.prior, breach_probability)
        mixture: Floats = value ** (1 - evidence.weight) * expected**evidence.weight
        return np.minimum(1 - LEAST_TARGET, np.maximum(mixture, evidence.counted))

    def settled(self, value: Floats, scales: Floats, breach_probability: float) -> Floats:
        """Return the targets for forecast unavailabilities, one for each row of ``scales``, shape ``(n, causes)``."""
        evidence = self.evidence_of(scales)
        value = self.floored(value, scales, breach_probability, evidence)
        return 1 - self.mixed(value, breach_probability, evidence)

    def target(self, breach_probability: float) -> float:
        """Return the availability that the next window misses with the given chance."""
        value = np.array([self.expected(breach_probability)])
        return 1 - float(self.mixed(value, breach_probability, self.evidence)[0])


def build_model(
    counts: ObservedCounts,
    parts: Decomposition,
    plan: Plan,
    forecast: ServiceForecast,
    *,
    window_requests: float,
    prior: Prior,
) -> WindowModel:
    """Resample and forecast the next windows of a service with requests (its total must be above 0)."""
    total = counts.dense_total
    sums = replicate_sums(plan, np.concatenate([parts.bad, total[:, None]], axis=1))
    requests = sums[:, -1:]
    rates = np.divide(sums[:, :-1], requests, out=np.zeros_like(sums[:, :-1]), where=requests > 0)
    return WindowModel(
        causes=parts.causes,
        rates=np.ascontiguousarray(rates.T),
        bad=parts.bad.sum(axis=0),
        dense_total=total,
        total=float(total.sum()),
        window_requests=window_requests,
        days=counts.days,
        prior=prior,
        evidence=Evidence.of(total, parts.bad.sum(axis=1)[None], counts.days, prior)
        if counts.days < FIRST_WEEK_DAYS
        else None,
        forecast=forecast,
        doubt=forecast.doubt(counts),
    )


def make_tiers(model: WindowModel) -> dict[TierName, Tier]:
    """Return the three tiers with 90 % intervals, in order from conservative to aggressive.

    An interval's width is the forecast's doubt, read from the pattern of failures alone, or counting error where that
    is larger. In the first week the width of the prior adds to it, by the prior's weight. Multiplying all counts by k ≥
    1 leaves the first unchanged and narrows the others, so it never widens an interval.
    """
    bad = float(model.bad.sum())
    rate, slack = bad / model.total, _Z90 * math.sqrt(bad) / model.total
    tiers: dict[TierName, Tier] = {}
    worst = 1.0
    for name, chance in TIER_BREACH_PROBABILITY.items():
        middle = min(worst, 1 - model.target(chance))
        worst = middle
        counting = quantile_upper(bad, model.total, model.window_requests, 1 - chance) - max(
            0.0, rate - slack
        )
        doubt = model.doubt[chance]
        width, weight = max(doubt.width, counting), model.prior_weight
        if weight > 0:
            expected, factor = model.prior.quantiles[chance], math.exp(model.prior.spread)
            width += weight * max(0.0, min(1.0, expected * factor) - expected / factor - width)
        width = min(width, 1 - LEAST_UNAVAILABILITY)
        most = min(1.0, max(middle + doubt.above * width, width + LEAST_UNAVAILABILITY))
        tiers[name] = Tier(1 - middle, chance, (1 - most, 1 - max(LEAST_UNAVAILABILITY, most - width)))
    return tiers
