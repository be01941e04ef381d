"""Histories and what came after them, as rows of features: the training set of the forecast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from apps.engine.decomposition import decompose
from apps.engine.edges.dependencies import service_composite
from apps.engine.edges.estimates import estimate_edges
from apps.engine.forecast.features import feature_rows
from apps.engine.forecast.history import history_of
from apps.engine.forecast.inputs import dependency_share_of
from apps.engine.series import ObservedCounts, observe
from apps.engine.simulation.fleet import (
    CUT_HOUR,
    EXTRA,
    FAMILIES,
    HOUR_SECONDS,
    START,
    SimulatedService,
    simulate_service,
)
from apps.engine.types import CountSeries, DependencyInput, Floats

CUT = START + CUT_HOUR * HOUR_SECONDS
ALL_FAMILIES = (*FAMILIES, *EXTRA)
FUTURES = 6
NAMES = ("features", "centre", "spread", "futures", "requests", "family")
OTHER_WINDOWS = (7, 14, 30, 60, 90)


@dataclass(frozen=True, slots=True)
class Rows:
    """``features`` ``(n, features)`` with ``centre`` and ``spread`` ``(n,)``.

    ``futures`` ``(n, k)`` are unavailabilities of possible next windows, ``requests`` ``(n,)`` is the number expected
    in one. ``family`` ``(n,)`` is the family's number.
    """

    features: Floats
    centre: Floats
    spread: Floats
    futures: Floats
    requests: Floats
    family: Floats


def row_of(simulated: SimulatedService, cut: int, window_days: int) -> tuple[Floats, float, float]:
    """Return the features of one service, with the centre and the spread that the forecast is relative to."""
    service = simulated.service
    counts = observe(service.counts, cut)
    assert counts is not None
    history = history_of(counts)
    share = _share(counts, service.dependencies, cut)
    found = feature_rows(
        history,
        history.hourly(counts.dense_bad[:, None]),
        window_hours=window_days * 24,
        has_dependency=bool(service.dependencies),
        dependency_share=np.array([share]),
    )
    return found.features[0], float(found.centre[0]), float(found.spread[0])


def _share(counts: ObservedCounts, dependencies: Sequence[DependencyInput], cut: int) -> float:
    if not dependencies:
        return 0.0
    composite = service_composite(counts.availability, 1.0, estimate_edges(counts, dependencies, cut))
    parts = decompose(counts, composite.factors)
    return float(dependency_share_of(parts, np.ones((1, len(parts.causes))))[0])


def _varied(generator: np.random.Generator, simulated: SimulatedService) -> SimulatedService:
    """Make some services younger than a week, and show only daily counts of some."""
    counts = simulated.service.counts
    assert counts is not None
    chance = generator.random()
    if chance < 0.05 and not simulated.service.dependencies:
        hours = int(generator.integers(24, 7 * 24))
        young = CountSeries(
            counts.start + (counts.total.size - hours) * HOUR_SECONDS,
            HOUR_SECONDS,
            counts.total[-hours:],
            counts.bad[-hours:],
        )
        return replace(simulated, service=replace(simulated.service, counts=young))
    if chance < 0.10 and not simulated.service.dependencies:
        whole = counts.total.size // 24 * 24
        total = np.nansum(counts.total[-whole:].reshape(-1, 24), axis=1)
        bad = np.nansum(counts.bad[-whole:].reshape(-1, 24), axis=1)
        total[0], total[-1] = max(total[0], 1.0), max(total[-1], 1.0)
        start = counts.start + (counts.total.size - whole) * HOUR_SECONDS
        daily = CountSeries(
            start, 24 * HOUR_SECONDS, np.where(total > 0, total, np.nan), np.where(total > 0, bad, np.nan)
        )
        return replace(simulated, service=replace(simulated.service, counts=daily))
    return simulated


def make_rows(
    seed: int,
    numbers: range,
    futures: int = FUTURES,
    families: Sequence[str] = ALL_FAMILIES,
    vary: bool = True,
) -> Rows:
    """Simulate these numbers of each family."""
    features, centres, spreads, later, requests, kinds = [], [], [], [], [], []
    for number in numbers:
        for at, family in enumerate(families):
            generator = np.random.default_rng([seed, at, number])
            window_days = 28
            if vary and generator.random() < 0.2:
                window_days = int(generator.choice(OTHER_WINDOWS))
            simulated = simulate_service(generator, family, "learned", window_days=window_days)
            if vary:
                simulated = _varied(generator, simulated)
            row, centre, spread = row_of(simulated, CUT, window_days)
            features.append(row.astype(np.float32))
            centres.append(centre)
            spreads.append(spread)
            later.append(simulated.futures(generator, futures))
            requests.append(10 ** row[0])
            kinds.append(at)
    columns = (features, centres, spreads, later, requests, kinds)
    return Rows(*(np.array(each) for each in columns))
