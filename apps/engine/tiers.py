"""Targets that are missed with a stated chance, and how sure they are.

The model of one service's next window. Its unavailability at a quantile is the larger of two: what the block
bootstrap of past (bad, total) pairs shows, and what counting alone leaves possible at this traffic. During
cold start it is mixed with the archetype's prior. Tiers, attribution and counterfactuals all evaluate this
one model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from apps.engine.counting import predictive_mean, predictive_quantile, quantile_upper
from apps.engine.decomposition import Cause, Decomposition
from apps.engine.resampling import Plan, history_quantiles, replicate_sums, upper_quantile
from apps.engine.series import ObservedCounts
from apps.engine.types import TIER_BREACH_PROBABILITY, Floats, TierName

LEAST_UNAVAILABILITY = 1e-9
"""No target is closer to 1 than this."""
COLD_START_DAYS = 30
PRIOR_DAYS = 5.0
"""The archetype's prior weighs as much as this many days of data, falling to nothing at
``COLD_START_DAYS``.
"""
_Z90 = 1.6448536


def cold_start_weight(days: float) -> float:
    """Weight of the archetype's prior after ``days`` of data: 1 at none, 0 from 30 days on."""
    if days >= COLD_START_DAYS:
        return 0.0
    return PRIOR_DAYS / (PRIOR_DAYS + days) * (1 - days / COLD_START_DAYS) ** 2


@dataclass(frozen=True, slots=True)
class Prior:
    """Unavailability quantiles expected before any data, by breach probability, and their spread (of the
    logarithm).
    """

    quantiles: dict[float, float]
    spread: float


@dataclass(frozen=True, slots=True)
class Tier:
    """A target with its 90 % interval."""

    target: float
    breach_probability: float
    interval: tuple[float, float]


@dataclass(frozen=True, slots=True)
class WindowModel:
    """Everything needed to evaluate the next window with causes switched off or scaled.

    ``rates`` has shape ``(causes, replicates)``: the unavailability that each cause adds in each simulated
    window. ``bad`` has shape ``(causes,)``: failures in the history. ``spreads`` has shape ``(tiers,
    histories)``.
    """

    causes: tuple[Cause, ...]
    rates: Floats
    bad: Floats
    total: float
    window_requests: float
    prior: Prior
    prior_weight: float
    spreads: Floats

    def unavailability(
        self,
        scales: Floats,
        breach_probability: float,
        *,
        has_variation: bool = True,
        has_counting: bool = True,
        has_prior: bool = True,
    ) -> Floats:
        """Unavailability at a tier's quantile with causes scaled: ``scales`` ``(n, causes)`` → ``(n,)``.

        Without variation the window is as the history was on average; without counting the doubt that few
        requests leave is ignored; without prior there is no cold start.
        """
        sums = np.einsum("sc,cr->sr", scales, self.rates)
        means = sums.mean(axis=1)
        bad = np.asarray(scales) @ self.bad
        quantile = 1 - breach_probability
        if has_variation:
            value = upper_quantile(sums, quantile, axis=1)
            floor = predictive_quantile(bad, self.total, self.window_requests, quantile)
        else:
            value = means
            floor = predictive_mean(bad, self.total)
        return self.finish(value, floor if has_counting else None, breach_probability, has_prior=has_prior)

    def finish(
        self, value: Floats, floor: Floats | None, breach_probability: float, *, has_prior: bool = True
    ) -> Floats:
        """Apply counting's floor and the prior to the bootstrap's ``value``."""
        if floor is not None:
            value = np.maximum(np.maximum(value, floor), LEAST_UNAVAILABILITY)
        if has_prior and self.prior_weight > 0:
            value = (1 - self.prior_weight) * value + self.prior_weight * self.prior.quantiles[
                breach_probability
            ]
        return np.minimum(1.0, value)

    def target(self, breach_probability: float, scales: Floats | None = None) -> float:
        """Availability that the next window falls short of with the given chance."""
        ones = np.ones((1, len(self.causes))) if scales is None else scales[None, :]
        return float(1 - self.unavailability(ones, breach_probability)[0])


def build_model(
    counts: ObservedCounts,
    parts: Decomposition,
    plan: Plan,
    *,
    window_requests: float,
    prior: Prior,
    prior_weight: float,
) -> WindowModel:
    """Simulate the next windows of a service with requests (its total must be above 0)."""
    total = counts.dense_total
    sums = replicate_sums(plan, np.concatenate([parts.bad, total[:, None]], axis=1))
    requests = sums[:, -1:]
    rates = np.divide(sums[:, :-1], requests, out=np.zeros_like(sums[:, :-1]), where=requests > 0)
    quantiles = tuple(1 - chance for chance in TIER_BREACH_PROBABILITY.values())
    return WindowModel(
        causes=parts.causes,
        rates=np.ascontiguousarray(rates.T),
        bad=parts.bad.sum(axis=0),
        total=float(total.sum()),
        window_requests=window_requests,
        prior=prior,
        prior_weight=prior_weight,
        spreads=history_quantiles(plan, counts.dense_bad, total, quantiles),
    )


def make_tiers(model: WindowModel) -> dict[TierName, Tier]:
    """The three tiers with 90 % intervals, in order from conservative to aggressive.

    Multiplying all counts by k ≥ 1 never widens an interval: the bootstrap's part stays, counting's part
    shrinks, and each end takes the outer of the two.
    """
    ones = np.ones((1, len(model.causes)))
    everything = np.einsum("sc,cr->sr", ones, model.rates)
    bad = float(model.bad.sum())
    slack = _Z90 * math.sqrt(bad) / model.total
    tiers: dict[TierName, Tier] = {}
    for at, (name, chance) in enumerate(TIER_BREACH_PROBABILITY.items()):
        bootstrap = float(upper_quantile(everything, 1 - chance, axis=1)[0])
        middle = float(model.unavailability(ones, chance)[0])
        low, median, high = (float(value) for value in np.quantile(model.spreads[at], [0.05, 0.5, 0.95]))
        least = max(0.0, min(bootstrap - (median - low), bootstrap - slack))
        most = max(
            bootstrap + (high - median),
            quantile_upper(bad, model.total, model.window_requests, 1 - chance),
        )
        weight = model.prior_weight
        if weight > 0:
            expected = model.prior.quantiles[chance]
            factor = math.exp(model.prior.spread)
            least = (1 - weight) * least + weight * expected / factor
            most = (1 - weight) * most + weight * min(1.0, expected * factor)
        most = min(1.0, max(most, middle))
        least = max(LEAST_UNAVAILABILITY, min(least, middle))
        tiers[name] = Tier(1 - middle, chance, (1 - most, 1 - least))
    return tiers
