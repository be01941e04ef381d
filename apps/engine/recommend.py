"""Entry points: one service or a fleet in, JSON-ready documents out (``docs/recommendation-format.md``)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from apps.engine.archetypes import Archetype, Archetypes
from apps.engine.data_quality import confidence_of, iso, quality_document
from apps.engine.edges.dependencies import (
    ServiceComposite,
    composite_document,
    composite_warnings,
    service_composite,
)
from apps.engine.edges.estimates import first_estimates, published_availability, with_hardness
from apps.engine.explanation.attribution import BASE, Contribution, attribute
from apps.engine.explanation.counterfactuals import counterfactuals
from apps.engine.explanation.decomposition import decompose
from apps.engine.explanation.narrative import cold_start_reason, summarise
from apps.engine.explanation.what_if import KnownPast, other_services
from apps.engine.forecast.regimes import Regime
from apps.engine.forecast.service import ServiceForecast
from apps.engine.latency.thresholds import from_buckets, from_percentiles, latency_document, look_ahead
from apps.engine.look_back import look_back
from apps.engine.published import archetype_prior, published_prior, published_tiers
from apps.engine.rounding import percent, ratio
from apps.engine.seeding import generator_for
from apps.engine.series import DAY_SECONDS, ObservedCounts, observe
from apps.engine.types import TIER_BREACH_PROBABILITY, ServiceInput, TierName
from apps.engine.verdicts import Judgement, judge
from apps.engine.window.backtest import backtest_targets
from apps.engine.window.blocks import block_length
from apps.engine.window.resampling import draw_plan
from apps.engine.window.tiers import Tier, WindowModel, build_model, cold_start_weight, make_tiers

PUBLISHED_CONFIDENCE = 0.2
"""Confidence in numbers that rest on a published SLA and nothing else."""
CONTRIBUTION_DIGITS = 12
WINDOWS = 500
"""Resampled windows behind what the history shows; the tiers do not rest on them."""
_BALANCED = TIER_BREACH_PROBABILITY["balanced"]


@dataclass(frozen=True, slots=True)
class _Availability:
    """What was computed about availability; ``tiers`` is ``None`` where there is no number."""

    judgement: Judgement
    counts: ObservedCounts | None
    composite: ServiceComposite
    tiers: dict[TierName, Tier] | None
    model: WindowModel | None
    published: float | None
    regime: Regime | None = None
    past: KnownPast | None = None


def recommend(
    service: ServiceInput,
    *,
    as_of: int,
    window_days: int = 28,
    seed: int = 0,
    archetypes: Archetypes | None = None,
) -> dict[str, object]:
    """Recommend SLOs for one service from what was known at ``as_of`` (Unix seconds).

    ``window_days`` is the SLO's window. The same input and seed give the same document, whatever else is
    computed, and nothing that happened after ``as_of`` has any influence. Raises ``ValueError`` for a window
    under a day.
    """
    if window_days < 1:
        raise ValueError("window_days must be at least 1")
    archetype = (archetypes or Archetypes.built_in()).get(service.archetype)
    fine = observe(service.counts, as_of)
    history = observe(service.history, as_of)
    counts, warnings = look_back(fine, history)
    if any(each.target_id == service.service_id for each in service.dependencies):
        warnings.append(f"{service.service_id} calls itself: such calls are its own reliability.")
    found = _availability(service, counts, archetype, as_of, window_days, seed)
    limit = found.composite.limit

    tiers_document: dict[str, object] | None = None
    if found.tiers is not None:
        costs = backtest_targets(history, fine, [tier.target for tier in found.tiers.values()], window_days)
        tiers_document = {
            name: _tier_document(tier, limit, cost)
            for (name, tier), cost in zip(found.tiers.items(), costs, strict=True)
        }
    has_composite = bool(found.composite.factors) or (counts is not None and counts.requests > 0)
    composite = composite_document(found.composite)
    if not has_composite:
        composite.update(dict.fromkeys(("point", "lower_bound", "upper_bound", "own")))
    quality = quality_document(
        counts,
        service.quality,
        found.judgement.expected_requests,
        [*warnings, *composite_warnings(found.composite)],
    )
    confidence, parts = _confidence(service, found)
    quality["confidence_parts"] = parts
    return {
        "service_id": service.service_id,
        "as_of": iso(as_of),
        "window_days": window_days,
        "seed": seed,
        "availability": {
            "verdict": found.judgement.verdict,
            "reason": found.judgement.reason,
            "observed": ratio(None if counts is None else counts.availability),
            "tiers": tiers_document,
            "dependency_limit": ratio(limit),
            "composite": composite,
            "regime": found.regime,
        },
        "latency": _latency(service, archetype, as_of, window_days, seed),
        "data_quality": quality,
        "confidence": confidence,
        "explanation": _explanation(service, found),
    }


def recommend_fleet(
    services: Sequence[ServiceInput],
    *,
    as_of: int,
    window_days: int = 28,
    seed: int = 0,
    archetypes: Archetypes | None = None,
) -> Iterator[dict[str, object]]:
    """Recommend for every service, one document each, in the order given.

    A service's document does not depend on the others, so a caller may split a fleet over processes as it
    likes.
    """
    known = archetypes or Archetypes.built_in()
    for service in services:
        yield recommend(service, as_of=as_of, window_days=window_days, seed=seed, archetypes=known)


def _availability(
    service: ServiceInput,
    counts: ObservedCounts | None,
    archetype: Archetype,
    as_of: int,
    window_days: int,
    seed: int,
) -> _Availability:
    published = service.published_sla if service.is_external else None
    prior = archetype_prior(archetype) if published is None else published_prior(published, archetype)
    assumed = archetype.typical_availability if published is None else published_availability(published)
    firsts = first_estimates(counts, other_services(service), as_of)
    observed = None if counts is None else counts.availability
    composite = service_composite(observed, assumed, with_hardness(counts, firsts), service.graph)
    judgement = judge(service.service_id, counts, window_days)
    if judgement.verdict not in ("ok", "cold_start"):
        if published is None:
            return _Availability(judgement, counts, composite, None, None, None)
        reason = (
            f"{(judgement.reason or '').removesuffix('.')}: the published SLA of {percent(published)} "
            "with 10 % more unavailability stands in for observations."
        )
        stand_in = Judgement("cold_start", reason, judgement.expected_requests)
        return _Availability(stand_in, counts, composite, published_tiers(prior), None, published)
    assert counts is not None
    assert judgement.expected_requests is not None
    weight = cold_start_weight(counts.days)
    total, bad = counts.dense_total, counts.dense_bad
    length = block_length(total, bad, counts.step_seconds)
    covered = total.size / counts.total.size
    plan = draw_plan(
        generator_for(service.service_id, seed, "availability"),
        total.size,
        length,
        window_days * DAY_SECONDS / counts.step_seconds * covered,
        WINDOWS,
    )
    parts = decompose(counts, composite.factors)
    forecast = ServiceForecast.of(
        counts, parts, has_dependency=bool(composite.factors), window_days=window_days
    )
    model = build_model(
        counts,
        parts,
        plan,
        forecast,
        window_requests=judgement.expected_requests,
        prior=prior,
        prior_weight=weight,
    )
    if judgement.verdict == "cold_start":
        title = archetype.title if published is None else "its published SLA"
        judgement = Judgement(
            "cold_start", cold_start_reason(counts.days, weight, title), judgement.expected_requests
        )
    past = KnownPast(service, as_of, counts, firsts, composite.factors, parts)
    return _Availability(judgement, counts, composite, make_tiers(model), model, None, forecast.regime, past)


def _tier_document(tier: Tier, limit: float | None, backtest: dict[str, object]) -> dict[str, object]:
    return {
        "target": ratio(tier.target),
        "breach_probability": tier.breach_probability,
        "interval": [ratio(tier.interval[0]), ratio(tier.interval[1])],
        "supported_by_dependencies": None if limit is None else bool(tier.target <= limit),
        "dependency_limit": ratio(limit),
        "backtest": backtest,
    }


def _confidence(service: ServiceInput, found: _Availability) -> tuple[float, dict[str, float]]:
    if found.tiers is None:
        return 0.0, {}
    if found.model is None or found.counts is None or found.judgement.expected_requests is None:
        return PUBLISHED_CONFIDENCE, {}
    return confidence_of(
        found.counts,
        service.quality,
        found.judgement.expected_requests,
        found.tiers["balanced"],
        found.judgement.verdict == "cold_start",
    )


def _latency(
    service: ServiceInput, archetype: Archetype, as_of: int, window_days: int, seed: int
) -> dict[str, object]:
    buckets = from_buckets(service.buckets, as_of)
    documents: dict[str, object] = {}
    outlook = None
    for which in ("p95_ms", "p99_ms"):
        histograms = buckets or from_percentiles(service.percentiles, which, as_of)
        if histograms is not None and (outlook is None or buckets is None):
            outlook = look_ahead(histograms, window_days, generator_for(service.service_id, seed, "latency"))
        documents[which] = latency_document(
            service.service_id, which, outlook, window_days=window_days, archetype=archetype
        )
    return documents


def _explanation(service: ServiceInput, found: _Availability) -> dict[str, object]:
    if found.tiers is None:
        return {
            "base": None,
            "target": None,
            "attribution": [],
            "counterfactuals": [],
            "summary": found.judgement.reason,
        }
    balanced = found.tiers["balanced"]
    changes: list[dict[str, object]] = []
    if found.model is None or found.counts is None or found.past is None:
        contributions = _published_contributions(found)
        expected = f"{service.service_id} can be expected to keep {percent(balanced.target)}."
        summary = f"{expected} {found.judgement.reason}"
    else:
        contributions = attribute(found.model, _BALANCED)
        changes = [
            {
                "kind": each.kind,
                "change": {
                    "cause": each.cause,
                    "scale": each.scale,
                    "availability": ratio(each.availability),
                },
                "target": ratio(balanced.target),
                "result": ratio(each.result),
                "text": each.text,
            }
            for each in counterfactuals(found.model, found.past, _BALANCED)
        ]
        summary = summarise(
            service.service_id,
            found.counts,
            found.tiers,
            contributions,
            found.composite.limit,
            found.judgement.reason,
            [
                (each.dependency.target_id, each.dependency.criticality)
                for each in found.composite.estimates
                if each.behaves_hard
            ],
        )
    return {
        "base": BASE,
        "target": ratio(balanced.target),
        "attribution": [
            {
                "feature": each.feature,
                "label": each.label,
                "contribution": round(each.contribution, CONTRIBUTION_DIGITS),
            }
            for each in contributions
        ],
        "counterfactuals": changes,
        "summary": summary,
    }


def _published_contributions(found: _Availability) -> list[Contribution]:
    assert found.tiers is not None
    assert found.published is not None
    missing = found.published - 1
    allowance = found.tiers["balanced"].target - found.published
    return [
        Contribution("published_sla", "Published SLA", missing),
        Contribution("published_sla_allowance", "10 % more than it says", allowance),
    ]
