"""What one service's own data says, before the graph below it is known.

This is nearly all of the work of a recommendation. It needs nothing of any other service, so a fleet can be split over
processes. The graph is composed from the edges that are found here. :func:`apps.engine.recommend.conclude` makes the
document.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from apps.engine.archetypes import Archetype, Archetypes
from apps.engine.data_quality import confidence_of, quality_document
from apps.engine.decomposition import decompose
from apps.engine.document import (
    AvailabilityWindow,
    Backtest,
    CountedQuality,
    Latencies,
    LatencyPart,
    LatencyPercentile,
    Regime,
    TierName,
)
from apps.engine.edges.dependencies import counted_factors
from apps.engine.edges.estimates import EdgeEstimate, published_availability
from apps.engine.explanation.attribution import Contribution, attribute
from apps.engine.explanation.counterfactuals import Counterfactual, counterfactuals
from apps.engine.explanation.narrative import Seen, cold_start_reason
from apps.engine.explanation.what_if import KnownPast
from apps.engine.forecast.service import ServiceForecast
from apps.engine.latency.backtest import add_backtests
from apps.engine.latency.thresholds import from_buckets, from_percentiles, latency_document, look_ahead
from apps.engine.published import archetype_prior, published_prior, published_tiers
from apps.engine.reading import Reading
from apps.engine.rounding import percent
from apps.engine.seeding import generator_for
from apps.engine.series import DAY_SECONDS, ObservedCounts
from apps.engine.types import TIER_BREACH_PROBABILITY, ServiceInput
from apps.engine.verdicts import Judgement, hardly_kept, is_hardly_kept, judge
from apps.engine.window.backtest import backtest_targets
from apps.engine.window.blocks import block_length
from apps.engine.window.resampling import draw_plan
from apps.engine.window.tiers import Tier, WindowModel, build_model, make_tiers

PUBLISHED_CONFIDENCE = 0.2
"""Highest confidence in numbers that rest on a published SLA alone."""
WINDOWS = 500
"""Resampled windows behind "what the history shows"; the tiers do not depend on them."""
_BALANCED = TIER_BREACH_PROBABILITY["balanced"]


@dataclass(frozen=True, slots=True)
class Assessment:
    """All of a recommendation except what the graph below decides; holds no series.

    ``tiers`` is ``None`` where there is no number; ``backtests`` has one entry for each tier. ``assumed_own`` stands in
    for the service's own reliability where nothing was observed. ``contributions`` and ``changes`` are empty without a
    forecast. ``quality`` is the ``data_quality`` object without its ``warnings``; ``warnings`` holds all except those
    about dependencies.
    """

    service_id: str
    as_of: int
    window_days: int
    seed: int
    judgement: Judgement
    seen: Seen | None
    assumed_own: float
    estimates: tuple[EdgeEstimate, ...]
    tiers: dict[TierName, Tier] | None
    backtests: tuple[Backtest[AvailabilityWindow], ...]
    regime: Regime | None
    contributions: tuple[Contribution, ...]
    changes: tuple[Counterfactual, ...]
    has_forecast: bool
    """Whether the tiers are a forecast, rather than derived from a published SLA."""
    latency: Latencies
    quality: CountedQuality
    warnings: tuple[str, ...]
    confidence: float


@dataclass(frozen=True, slots=True)
class _Availability:
    """What was computed about availability."""

    judgement: Judgement
    tiers: dict[TierName, Tier] | None = None
    regime: Regime | None = None
    model: WindowModel | None = None
    past: KnownPast | None = None


def assess(
    reading: Reading,
    *,
    window_days: int = 28,
    seed: int = 0,
    archetypes: Archetypes | None = None,
) -> Assessment:
    """Assess one service from its reading (:func:`apps.engine.reading.read`); see ``recommend`` for the parameters.

    Does not look at ``service.graph``. Raises ``ValueError`` for a window under a day.
    """
    if window_days < 1:
        raise ValueError("window_days must be at least 1")
    service, counts = reading.service, reading.counts
    archetype = (archetypes or Archetypes.built_in()).get(service.archetype)
    found = _availability(reading, archetype, window_days, seed)
    tiers = found.tiers
    confidence, parts = _confidence(service, counts, found)
    quality = quality_document(counts, service.quality, found.judgement.expected_requests, parts)
    contributions, changes = _explanation(service, found)
    published = _published(service)
    backtests = (
        ()
        if tiers is None
        else backtest_targets(
            reading.history, reading.fine, [each.target for each in tiers.values()], window_days
        )
    )
    return Assessment(
        service_id=service.service_id,
        as_of=reading.as_of,
        window_days=window_days,
        seed=seed,
        judgement=found.judgement,
        seen=None if counts is None else Seen.of(counts),
        assumed_own=archetype.typical_availability
        if published is None
        else published_availability(published),
        estimates=reading.known.estimates,
        tiers=tiers,
        backtests=tuple(backtests),
        regime=found.regime,
        contributions=tuple(contributions),
        changes=tuple(changes),
        has_forecast=found.model is not None,
        latency=_latency(service, archetype, reading.as_of, window_days),
        quality=quality,
        warnings=(*service.quality.source_warnings, *reading.warnings),
        confidence=confidence,
    )


def _availability(reading: Reading, archetype: Archetype, window_days: int, seed: int) -> _Availability:
    service, counts = reading.service, reading.counts
    published = _published(service)
    prior = archetype_prior(archetype) if published is None else published_prior(published, archetype)
    judgement = judge(service.service_id, counts, window_days, dict(service.quality.left_out))
    if judgement.verdict not in ("ok", "cold_start"):
        if published is None or judgement.verdict == "nothing_kept":
            return _Availability(judgement)
        reason = (
            f"{(judgement.reason or '').removesuffix('.')}: the published SLA of {percent(published)} "
            "with 10 % more unavailability stands in for observations."
        )
        stand_in = Judgement("cold_start", reason, judgement.expected_requests)
        return _Availability(stand_in, published_tiers(prior))
    assert counts is not None
    assert judgement.expected_requests is not None
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
    factors = counted_factors(reading.estimates)
    parts = decompose(counts, factors)
    forecast = ServiceForecast.of(counts, parts, has_dependency=bool(factors), window_days=window_days)
    model = build_model(
        counts,
        parts,
        plan,
        forecast,
        window_requests=judgement.expected_requests,
        prior=prior,
    )
    if is_hardly_kept(counts, model.target(_BALANCED)):
        return _Availability(hardly_kept(service.service_id, counts, judgement.expected_requests))
    if judgement.verdict == "cold_start":
        title = archetype.title if published is None else "its published SLA"
        judgement = Judgement(
            "cold_start",
            cold_start_reason(counts.days, model.prior_weight, title, is_held=model.is_worse_than_its_kind),
            judgement.expected_requests,
        )
    past = KnownPast(service, reading.as_of, counts, reading.firsts, factors, parts)
    return _Availability(judgement, make_tiers(model), forecast.regime, model, past)


def _published(service: ServiceInput) -> float | None:
    return service.published_sla if service.is_external else None


def _explanation(
    service: ServiceInput, found: _Availability
) -> tuple[Sequence[Contribution], Sequence[Counterfactual]]:
    if found.model is not None and found.past is not None:
        return attribute(found.model, _BALANCED), counterfactuals(found.model, found.past, _BALANCED)
    published = _published(service)
    if found.tiers is None or published is None:
        return (), ()
    missing, allowance = published - 1, found.tiers["balanced"].target - published
    return (
        Contribution("published_sla", "Published SLA", missing),
        Contribution("published_sla_allowance", "10 % more unavailability than published", allowance),
    ), ()


def _confidence(
    service: ServiceInput, counts: ObservedCounts | None, found: _Availability
) -> tuple[float, dict[str, float]]:
    if found.tiers is None:
        return 0.0, {}
    if found.model is None or counts is None or found.judgement.expected_requests is None:
        return PUBLISHED_CONFIDENCE, {}
    return confidence_of(
        counts,
        service.quality,
        found.judgement.expected_requests,
        found.tiers["balanced"],
        found.judgement.verdict == "cold_start",
    )


def _latency(service: ServiceInput, archetype: Archetype, as_of: int, window_days: int) -> Latencies:
    buckets = from_buckets(service.buckets, as_of)
    both = None if buckets is None else look_ahead(buckets, window_days)

    def part(which: LatencyPercentile) -> LatencyPart:
        outlook = both
        if outlook is None and (bins := from_percentiles(service.percentiles, which, as_of)) is not None:
            outlook = look_ahead(bins, window_days)
        return latency_document(
            service.service_id, which, outlook, window_days=window_days, archetype=archetype
        )

    documents: Latencies = {"p95_ms": part("p95_ms"), "p99_ms": part("p99_ms")}
    add_backtests(
        documents, buckets, service.buckets, service.percentiles, window_days=window_days, as_of=as_of
    )
    return documents
