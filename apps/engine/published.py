"""External services with nothing but a published SLA.

The balanced target is the SLA with 10 % more unavailability, the aggressive one the SLA itself. The conservative one
lies below by the archetype's spread between the 95 % and 99 % quantiles of its windows.
"""

from __future__ import annotations

from apps.engine.archetypes import Archetype
from apps.engine.document import TierName
from apps.engine.edges.estimates import EXTERNAL_ALLOWANCE
from apps.engine.forecast.evidence import Prior
from apps.engine.types import TIER_BREACH_PROBABILITY
from apps.engine.window.tiers import LEAST_TARGET, LEAST_UNAVAILABILITY, Tier


def archetype_prior(archetype: Archetype) -> Prior:
    """Return the archetype's window unavailability at each tier's breach probability."""
    quantiles = {chance: archetype.unavailability(1 - chance) for chance in TIER_BREACH_PROBABILITY.values()}
    return Prior(quantiles, archetype.spread, 1 - archetype.typical_availability)


def published_prior(sla: float, archetype: Archetype) -> Prior:
    """Return the same for a provider with a published SLA."""
    missing = max(LEAST_UNAVAILABILITY, 1 - sla)
    ratio = archetype.unavailability(0.99) / archetype.unavailability(0.95)
    by_tier: dict[TierName, float] = {
        "conservative": min(1.0, missing * EXTERNAL_ALLOWANCE * ratio),
        "balanced": min(1.0, missing * EXTERNAL_ALLOWANCE),
        "aggressive": min(1.0, missing),
    }
    quantiles = {TIER_BREACH_PROBABILITY[name]: value for name, value in by_tier.items()}
    return Prior(quantiles, archetype.spread, missing)


def published_tiers(prior: Prior) -> dict[TierName, Tier]:
    """Return tiers from the prior alone; each interval reaches as far to both sides as the conservative tier is
    away.
    """
    tiers: dict[TierName, Tier] = {}
    for name, chance in TIER_BREACH_PROBABILITY.items():
        missing = min(prior.quantiles[chance], 1 - LEAST_TARGET)
        width = prior.quantiles[0.01] / prior.quantiles[0.05]
        tiers[name] = Tier(1 - missing, chance, (max(0.0, 1 - missing * width), 1 - missing / width))
    return tiers
