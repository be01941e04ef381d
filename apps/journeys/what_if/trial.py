"""Try steps on a service by running the engine again on a changed past. Only workers and commands import this module.

Nothing is stored and nothing changes. Without steps the figures are those of the stored recommendation while it is
valid, else the engine's for the same data. With steps the composite changes by what reaches the service through the
whole graph below it, and the tiers come from a new run on the service's past, with each cause changed as the steps say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import cast

import numpy as np
from django.conf import settings

from apps.catalog.models import Service
from apps.catalog.queries import cycle_members
from apps.core import instants
from apps.core.instants import whole_hour
from apps.engine.assessment import Assessment, assess
from apps.engine.document import AvailabilityPart, AvailabilityTier, TierName, TierNumbers, Verdict
from apps.engine.explanation.changed_causes import with_changed_causes
from apps.engine.graph.edge_table import EdgeTable
from apps.engine.journeys.steps import Below, ChangeStep, ImpossibleStep, Level, StepKind, levels
from apps.engine.reading import Reading, read
from apps.engine.recommend import conclude
from apps.engine.rounding import ratio
from apps.engine.types import GraphFigure, ServiceInput
from apps.journeys.documents import LevelPart, Offers, StepAsked, StepLevel, WhatIfAnswer
from apps.journeys.making import graph as graphs
from apps.journeys.what_if.sentences import sentence, step_sentences
from apps.slos.models import Recommendation, SliType
from apps.slos.services import archetypes, as_availability, figures_below, load_inputs, service_as_of
from apps.telemetry.series import Buckets, load_buckets

LATENCY_BACK = timedelta(days=28)


def answer(service_pk: int, steps: Sequence[StepAsked]) -> WhatIfAnswer:
    """Return ``{"state": "done", …}`` (docs/what-if.md) or ``{"state": "impossible", "step", "detail"}``."""
    service = Service.objects.get(pk=service_pk)
    wanted = [
        ChangeStep(cast(StepKind, step["kind"]), step["target_id"], float(step["value"])) for step in steps
    ]
    below = graphs.load([service_pk])
    newest = _newest(service)
    as_of = newest.as_of if newest else service_as_of(service_pk, instants.now())
    try:
        found = _levels(service, below, wanted, as_of)
    except _Impossible as refusal:
        return {"state": "impossible", "step": refusal.at, "detail": str(refusal)}
    start = _start(service, newest, as_of)
    tiers = _in_order(found, [_tiers(start, level) for level in found])
    first = _document(start, found[0], tiers[0][0])
    documents: list[StepLevel] = [
        {
            "step": {"kind": step.kind, "target_id": step.target_id, "value": step.value},
            **_document(start, level, made),
            "unseen": list(unseen),
            "told": step_sentences(
                service.service_id, step, before=found[at], after=level, whole=below.whole
            ),
        }
        for at, (step, level, (made, unseen)) in enumerate(zip(wanted, found[1:], tiers[1:], strict=True))
    ]
    last: LevelPart = documents[-1] if documents else first
    return {
        "state": "done",
        "service_id": service.service_id,
        "as_of": start.as_of.isoformat().replace("+00:00", "Z"),
        "window_days": start.window_days,
        "verdict": start.verdict,
        "reason": start.reason,
        "before": first,
        "steps": documents,
        "after": {
            "composite": last["composite"],
            "composite_error": last["composite_error"],
            "tiers": last["tiers"],
            "loads": last["loads"],
        },
        "sentence": sentence(
            service.service_id, first, last, [step.kind for step in wanted], start.window_days
        ),
        "unknown": [name for name in below.unknown if name != service.service_id],
        "offers": _offers(service.service_id, below),
    }


class _Impossible(Exception):
    """A step does not fit. ``at`` is its place, counted from 0."""

    def __init__(self, at: int, detail: str) -> None:
        super().__init__(detail)
        self.at = at


def _levels(
    service: Service, below: graphs.GraphBelow, steps: Sequence[ChangeStep], as_of: datetime
) -> list[Level]:
    given = Below(service.service_id, below.graph, below.whole, _slow(steps, as_of))
    try:
        return levels(given, steps)
    except ImpossibleStep as refusal:
        # Trying them one by one finds the first that does not fit.
        for at in range(len(steps)):
            try:
                levels(given, steps[: at + 1])
            except ImpossibleStep:
                raise _Impossible(at, str(refusal)) from None
        raise


def _slow(steps: Sequence[ChangeStep], as_of: datetime) -> dict[tuple[str, float], float]:
    """Return the share of each dependency's answers in the 28 days before ``as_of`` that a timeout would cut off."""
    wanted = {step.target_id for step in steps if step.kind == "timeout"}
    if not wanted:
        return {}
    services = dict(Service.objects.filter(service_id__in=wanted).values_list("service_id", "pk"))
    end = whole_hour(as_of)
    buckets = load_buckets(sorted(services.values()), end - LATENCY_BACK, end)
    return {
        (step.target_id, step.value): slower_share(buckets[services[step.target_id]], step.value)
        for step in steps
        if step.kind == "timeout" and services.get(step.target_id) in buckets
    }


def slower_share(found: Buckets, threshold_ms: float) -> float:
    """Return the share of requests slower than a threshold, linear within its bucket; above all bounds, the share above
    the last.
    """
    counts = np.nansum(found.cumulative, axis=0)
    if counts[-1] <= 0:
        return 0.0
    bounds = np.where(np.isfinite(found.bounds_ms), found.bounds_ms, np.nan)
    finite = np.isfinite(bounds)
    known = np.interp(threshold_ms, [0.0, *bounds[finite]], [0.0, *counts[finite]])
    return float(min(1.0, max(0.0, 1 - known / counts[-1])))


type _Tiers = dict[TierName, TierNumbers]
type _Made = tuple[_Tiers | None, tuple[str, ...]]
"""The tiers at a level, and the dependencies of which the past shows no failure."""


@dataclass(frozen=True, slots=True)
class _Start:
    """The service as the engine sees it without steps. ``base`` is its run on the past, split by causes."""

    given: ServiceInput
    as_of: datetime
    seed: int
    window_days: int
    verdict: Verdict
    reason: str | None
    composite: float | None
    tiers: _Tiers | None
    base: Mapping[TierName, AvailabilityTier] | None


def _newest(service: Service) -> Recommendation | None:
    return (
        Recommendation.objects.filter(service=service, sli_type=SliType.AVAILABILITY)
        .order_by("-generated_at")
        .first()
    )


def _start(service: Service, newest: Recommendation | None, as_of: datetime) -> _Start:
    seed = newest.seed if newest else 0
    window_days = newest.window_days if newest else settings.WINDOW_DAYS
    cycles = cycle_members()
    given = replace(load_inputs([service], as_of, cycles=cycles)[0], buckets=None, percentiles=None)
    if newest is not None and _holds(newest):
        found = as_availability(newest.document)
    else:
        # The services below keep their stored figures, as when one service is computed again.
        reading = read(given, int(as_of.timestamp()))
        known = {service.service_id: reading.known}
        graph = figures_below([(as_of, [service])], known, has_stored=True, cycles=cycles, seed=seed)
        found = _availability(_assessed(reading, window_days, seed), graph.get(service.service_id))
    start = _Start(
        given,
        as_of,
        seed,
        window_days,
        found["verdict"],
        found["reason"],
        found["composite"]["point"],
        None if found["tiers"] is None else _plain(found["tiers"]),
        None,
    )
    if found["tiers"] is None or given.counts is None:
        return start
    try:
        same, _ = with_changed_causes(given, as_of=int(as_of.timestamp()), scales={})
    except ValueError:
        return start
    return replace(start, base=_run(start, same))


def _holds(newest: Recommendation) -> bool:
    """Return whether a recommendation still equals what the engine would compute.

    A decided one does not count, because later changes do not mark it as outdated.
    """
    return newest.status == Recommendation.Status.CURRENT and newest.expires_at > instants.now()


def _run(start: _Start, given: ServiceInput) -> Mapping[TierName, AvailabilityTier] | None:
    assessed = _assessed(read(given, int(start.as_of.timestamp())), start.window_days, start.seed)
    return _availability(assessed, None)["tiers"]


def _assessed(reading: Reading, window_days: int, seed: int) -> Assessment:
    return assess(reading, window_days=window_days, seed=seed, archetypes=archetypes())


def _availability(assessed: Assessment, graph: GraphFigure | None) -> AvailabilityPart:
    return conclude(assessed, graph)["availability"]


def _tiers(start: _Start, level: Level) -> _Made:
    """Return the tiers at a level, and the dependencies whose failures the past does not show."""
    if start.tiers is None:
        return None, ()
    if not level.scales and level.own_scale == 1 and level.added == 0:
        return start.tiers, ()
    if start.base is None:
        return _scaled(start.tiers, dict.fromkeys(start.tiers, level.ratio)), ()
    changed, unseen = with_changed_causes(
        start.given,
        as_of=int(start.as_of.timestamp()),
        scales=level.scales,
        own_scale=level.own_scale,
        added=level.added,
    )
    again = _run(start, changed)
    if again is None:
        return None, unseen
    factors = {
        name: (1 - again[name]["target"]) / (1 - start.base[name]["target"])
        if start.base[name]["target"] < 1
        else 1.0
        for name in start.tiers
    }
    return _scaled(start.tiers, factors), unseen


def _in_order(found: Sequence[Level], made: Sequence[_Made]) -> list[_Made]:
    """Return the tiers of each level. None is worse than at the level before where nothing fails more, nor the reverse.

    The forecast is learned from examples and may move either way when a few failures go. But fewer failures never
    support a lower target.
    """
    ordered = [made[0]]
    for before, level, (tiers, unseen) in zip(found, found[1:], made[1:], strict=False):
        last = ordered[-1][0]
        if tiers is not None and last is not None:
            if level.fails_no_more_than(before):
                tiers = {name: max(tiers[name], last[name], key=_target) for name in tiers}
            elif before.fails_no_more_than(level):
                tiers = {name: min(tiers[name], last[name], key=_target) for name in tiers}
        ordered.append((tiers, unseen))
    return ordered


def _target(tier: TierNumbers) -> float:
    return tier["target"]


def _plain(tiers: Mapping[TierName, AvailabilityTier]) -> _Tiers:
    """The numbers of the tiers alone."""
    return {
        name: {
            "target": tier["target"],
            "breach_probability": tier["breach_probability"],
            "interval": tier["interval"],
        }
        for name, tier in tiers.items()
    }


def _scaled(tiers: _Tiers, factors: Mapping[TierName, float]) -> _Tiers:
    """Return the tiers with their failures and the ends of their intervals scaled, still in order."""
    result: _Tiers = {}
    for name, tier in tiers.items():
        factor = factors[name]
        result[name] = {
            "target": ratio(_less(tier["target"], factor)),
            "breach_probability": tier["breach_probability"],
            "interval": [ratio(_less(end, factor)) for end in tier["interval"]],
        }
    return result


def _less(availability: float, factor: float) -> float:
    return min(1.0, max(0.0, 1 - (1 - availability) * factor))


def _document(start: _Start, level: Level, tiers: _Tiers | None) -> LevelPart:
    composite = None if start.composite is None else _less(start.composite, level.ratio)
    return {
        "composite": ratio(composite),
        "composite_error": level.error,
        "tiers": tiers,
        "loads": [
            {"target_id": load.target_id, "usual": load.usual, "in_outage": load.in_outage}
            for load in level.loads
        ],
    }


def _offers(service_id: str, below: graphs.GraphBelow) -> Offers:
    """Return the targets of steps: direct synchronous dependencies, and everything below."""
    table = EdgeTable.of(below.graph.edges)
    direct = {edge.target for at in table.from_source(service_id) if (edge := table[at]).mode == "sync"}
    called = {table.names[number] for number in np.unique(table.targets[~table.is_async])}
    only_async = {table.names[number] for number in np.unique(table.targets[table.is_async])} - called
    reached = below.graph.own.keys() - only_async - direct - {service_id}
    return {"direct": sorted(direct), "below": sorted(reached)[:500]}
