"""Entry points: a service in, a JSON-ready document out (``docs/recommendation-format.md``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from apps.engine.archetypes import Archetypes
from apps.engine.assessment import Assessment, assess
from apps.engine.data_quality import iso
from apps.engine.decomposition import labels_of
from apps.engine.document import (
    AvailabilityTier,
    AvailabilityWindow,
    Backtest,
    CounterfactualPart,
    Explanation,
    RecommendationDocument,
    TierName,
)
from apps.engine.edges.dependencies import (
    ServiceComposite,
    composite_document,
    service_composite,
)
from apps.engine.edges.warnings import composite_warnings
from apps.engine.explanation.attribution import BASE, Contribution
from apps.engine.explanation.counterfactuals import Counterfactual
from apps.engine.explanation.narrative import summarise, with_what_is_missing
from apps.engine.reading import read
from apps.engine.rounding import percent, ratio
from apps.engine.types import GraphFigure, ServiceInput
from apps.engine.window.tiers import Tier

CONTRIBUTION_DIGITS = 12


def recommend(
    service: ServiceInput,
    *,
    as_of: int,
    window_days: int = 28,
    seed: int = 0,
    archetypes: Archetypes | None = None,
) -> RecommendationDocument:
    """Recommend SLOs for one service from what was known at ``as_of`` (Unix seconds).

    ``window_days`` is the SLO's window. The same input and seed give the same document, whatever else is
    computed, and nothing that happened after ``as_of`` has any influence. Raises ``ValueError`` for a window
    under a day.
    """
    found = assess(read(service, as_of), window_days=window_days, seed=seed, archetypes=archetypes)
    return conclude(found, service.graph)


def conclude(found: Assessment, graph: GraphFigure | None) -> RecommendationDocument:
    """Return the document of a service that was assessed, with what the ``graph`` below it allows, where known."""
    observed = None if found.seen is None else found.seen.availability
    composite = service_composite(observed, found.assumed_own, found.estimates, graph)
    limit = composite.limit
    tiers_document: dict[TierName, AvailabilityTier] | None = None
    if found.tiers is not None:
        tiers_document = {
            name: _tier_document(tier, limit, backtest)
            for (name, tier), backtest in zip(found.tiers.items(), found.backtests, strict=True)
        }
    shown = composite_document(composite)
    if not composite.factors and not (found.seen is not None and found.seen.requests > 0):
        shown.update({"point": None, "lower_bound": None, "upper_bound": None, "own": None})
    warnings = [*found.warnings, *composite_warnings(composite)]
    return {
        "service_id": found.service_id,
        "as_of": iso(found.as_of),
        "window_days": found.window_days,
        "seed": found.seed,
        "availability": {
            "verdict": found.judgement.verdict,
            "reason": _reason(found),
            "observed": ratio(observed),
            "tiers": tiers_document,
            "dependency_limit": ratio(limit),
            "composite": shown,
            "regime": found.regime,
        },
        "latency": found.latency,
        "data_quality": {**found.quality, "warnings": warnings},
        "confidence": found.confidence,
        "explanation": _explanation(found, composite),
    }


def _tier_document(
    tier: Tier, limit: float | None, backtest: Backtest[AvailabilityWindow]
) -> AvailabilityTier:
    return {
        "target": ratio(tier.target),
        "breach_probability": tier.breach_probability,
        "interval": [ratio(tier.interval[0]), ratio(tier.interval[1])],
        "supported_by_dependencies": None if limit is None else bool(tier.target <= limit),
        "dependency_limit": ratio(limit),
        "backtest": backtest,
    }


def _explanation(found: Assessment, composite: ServiceComposite) -> Explanation:
    if found.tiers is None:
        return {
            "base": None,
            "target": None,
            "attribution": [],
            "counterfactuals": [],
            "summary": _reason(found) or "",
        }
    target = found.tiers["balanced"].target
    # Only the graph knows whether two dependencies depend on a common node.
    labels = labels_of(composite.factors)
    contributions = [
        replace(each, label=labels.get(each.feature, each.label)) for each in found.contributions
    ]
    return {
        "base": BASE,
        "target": ratio(target),
        "attribution": [
            {
                "feature": each.feature,
                "label": each.label,
                "contribution": round(each.contribution, CONTRIBUTION_DIGITS),
            }
            for each in contributions
        ],
        "counterfactuals": [_change_document(each, target) for each in found.changes],
        "summary": _summary(found, composite, contributions),
    }


def _change_document(change: Counterfactual, target: float) -> CounterfactualPart:
    return {
        "kind": change.kind,
        "change": {
            "cause": change.cause,
            "scale": change.scale,
            "availability": ratio(change.availability),
        },
        "target": ratio(target),
        "result": ratio(change.result),
        "text": change.text,
    }


def _reason(found: Assessment) -> str | None:
    reason = found.judgement.reason
    if reason is None or not found.has_forecast or not found.backtests:
        return reason
    return with_what_is_missing(reason, found.backtests[0], found.window_days)


def _summary(found: Assessment, composite: ServiceComposite, contributions: Sequence[Contribution]) -> str:
    assert found.tiers is not None
    if not found.has_forecast or found.seen is None:
        balanced = percent(found.tiers["balanced"].target)
        return f"{found.service_id} can be expected to keep {balanced}. {_reason(found)}"
    return summarise(
        found.service_id,
        found.seen,
        found.tiers,
        contributions,
        composite.limit,
        _reason(found),
        [
            (each.dependency.target_id, each.dependency.criticality)
            for each in composite.estimates
            if each.behaves_hard
        ],
    )
