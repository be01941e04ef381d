"""Speed of the engine: ``pytest tests/bench/test_engine.py -s`` prints a table and asserts nothing about
time.

``BALLAST_BENCH_SERVICES`` (default 5000) sets the size of the fleet.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from apps.engine.decomposition import decompose
from apps.engine.edges.dependencies import service_composite
from apps.engine.edges.estimates import estimate_edges
from apps.engine.explanation.attribution import balanced_values
from apps.engine.forecast.service import ServiceForecast
from apps.engine.freed_memory import keep_freed_memory
from apps.engine.published import archetype_prior
from apps.engine.recommend import recommend
from apps.engine.seeding import generator_for
from apps.engine.series import observe
from apps.engine.types import BucketSeries, CountSeries, DependencyInput, Floats, ServiceInput
from apps.engine.window.blocks import block_length
from apps.engine.window.resampling import REPLICATES, draw_plan
from apps.engine.window.tiers import build_model

START = 1_780_272_000
DAYS = 90
DEPENDENCIES = 5
BOUNDS_MS = np.array([5, 10, 25, 50, 75, 100, 150, 250, 500, 750, 1_000, 2_500, 5_000, 10_000, np.inf])
LOOP_SAMPLE = 3
_TEMPLATES = 40


def make_service(number: int) -> ServiceInput:
    """A service with 90 days of hourly bins, histograms, a year of days and five dependencies with edge
    series.
    """
    generator = np.random.default_rng(number % _TEMPLATES)
    hours = DAYS * 24
    total = (
        np.round(generator.gamma(20, 50, hours) * (1 + 0.5 * np.sin(np.arange(hours) / 24 * 2 * np.pi))) + 1
    )
    bad = generator.binomial(total.astype(int), 10 ** generator.uniform(-5, -3.5)).astype(float)
    dependencies = []
    for at in range(DEPENDENCIES):
        calls = np.round(total * generator.uniform(0.2, 1))
        rate = np.where(generator.random(hours) < 0.01, generator.random(hours) * 0.2, 1e-4)
        failed = generator.binomial(calls.astype(int), rate).astype(float)
        bad = np.minimum(total, bad + generator.binomial(failed.astype(int), generator.uniform(0.2, 1)))
        edge = CountSeries(START, 3_600, calls, failed)
        dependencies.append(DependencyInput(f"dependency-{at}", edge=edge, target=edge))
    shares = np.array(
        [0.5 * (1 + math.erf((math.log(bound) - 4) / 1.7)) if bound < np.inf else 1 for bound in BOUNDS_MS]
    )
    return ServiceInput(
        f"service-{number}",
        counts=CountSeries(START, 3_600, total, bad),
        history=CountSeries(
            START - 275 * 86_400,
            86_400,
            np.full(365, 2e4),
            generator.binomial(20_000, 5e-4, 365).astype(float),
        ),
        buckets=BucketSeries(START, 3_600, BOUNDS_MS, np.round(np.outer(total, shares))),
        dependencies=tuple(dependencies),
    )


def _recommend_range(span: tuple[int, int]) -> int:
    templates = [make_service(number) for number in range(_TEMPLATES)]
    for number in range(*span):
        service = replace(templates[number % _TEMPLATES], service_id=f"service-{number}")
        recommend(service, as_of=START + DAYS * 86_400)
    return span[1] - span[0]


def _bootstrap_loop(counts: CountSeries, replicates: int) -> Floats:
    """The straightforward way: each replicate gathers the bins of its blocks."""
    generator = np.random.default_rng(0)
    length = block_length(counts.total, counts.bad, counts.step_seconds)
    size = counts.total.size
    rates = np.empty(replicates)
    for replicate in range(replicates):
        starts = generator.integers(0, size, size // length)
        bins = ((starts[:, None] + np.arange(length)) % size).ravel()
        rates[replicate] = counts.bad[bins].sum() / counts.total[bins].sum()
    return rates


def _straightforward(service: ServiceInput) -> None:
    """Bootstrap for the tiers and, for their intervals, again on resampled histories; shap's Exact for the
    attribution.
    """
    import shap

    assert service.counts is not None
    as_of = START + DAYS * 86_400
    np.quantile(_bootstrap_loop(service.counts, REPLICATES), [0.8, 0.95, 0.99])
    for _ in range(100):
        np.quantile(_bootstrap_loop(service.counts, 200), [0.8, 0.95, 0.99])
    counts = observe(service.counts, as_of)
    assert counts is not None
    composite = service_composite(
        counts.availability, 1.0, estimate_edges(counts, service.dependencies, as_of)
    )
    plan = draw_plan(generator_for("svc", 0, "bench"), counts.total.size, 24, 672)
    from apps.engine.archetypes import Archetypes

    parts = decompose(counts, composite.factors)
    model = build_model(
        counts,
        parts,
        plan,
        ServiceForecast.of(counts, parts, has_dependency=True, window_days=DAYS),
        window_requests=counts.requests,
        prior=archetype_prior(Archetypes.built_in().get("default")),
    )
    features, _ = balanced_values(model, 0.05)
    causes = len(model.causes)

    def target(rows: Floats) -> Floats:
        return np.array(
            [
                1
                - model.shown(
                    row[None, :causes] @ model.rates,
                    row[None, :causes] @ model.bad,
                    0.05,
                    has_variation=bool(row[causes]),
                )[int(row[causes + 1])][0]
                for row in rows
            ]
        )

    shap.explainers.Exact(target, np.zeros((1, len(features))))(np.ones((1, len(features))))


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds by the clock, and seconds of this process's processors: a busy machine stretches only the first."""

    wall: float
    cpu: float

    @classmethod
    def by(cls, work: Callable[[], object]) -> Took:
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        return cls(time.perf_counter() - wall, time.process_time() - cpu)


def test_the_engine_prints_its_speed() -> None:
    """Print the figures of one service, of a fleet on two processes, and of the straightforward way beside
    them.
    """
    fleet = int(os.environ.get("BALLAST_BENCH_SERVICES", "5000"))
    as_of = START + DAYS * 86_400
    services = [make_service(number) for number in range(_TEMPLATES)]
    first = Took.by(lambda: recommend(services[0], as_of=as_of))
    singles = [Took.by(lambda each=each: recommend(each, as_of=as_of)) for each in services]  # type: ignore[misc]
    half = fleet // 2
    with multiprocessing.get_context("spawn").Pool(2, keep_freed_memory) as pool:
        pool.map(_recommend_range, [(0, 1), (1, 2)])
        together = Took.by(lambda: pool.map(_recommend_range, [(0, half), (half, fleet)]))
    _straightforward(services[0])
    loops = [Took.by(lambda each=each: _straightforward(each)) for each in services[:LOOP_SAMPLE]]  # type: ignore[misc]
    walls = sorted(each.wall for each in singles)
    cpu = sorted(each.cpu for each in singles)[_TEMPLATES // 2]
    loop = sum(each.cpu for each in loops) / LOOP_SAMPLE
    print()
    print(f"{'engine, 90 days hourly, 5 dependencies with edge series':<62}{'measured':>12}{'bar':>12}")
    print(f"{'first service of a process':<62}{1e3 * first.wall:>9.1f} ms{'150 ms':>12}")
    print(f"{'one service, median':<62}{1e3 * walls[_TEMPLATES // 2]:>9.1f} ms{'150 ms':>12}")
    print(f"{'one service, slowest of ' + str(_TEMPLATES):<62}{1e3 * walls[-1]:>9.1f} ms{'150 ms':>12}")
    print(f"{'one service, median of the processor time':<62}{1e3 * cpu:>9.1f} ms{'24 ms':>12}")
    print(f"{f'{fleet:,} services on two processes':<62}{together.wall:>10.1f} s{'60 s':>12}")
    print(f"{'per-replicate bootstrap and shap Exact, one service':<62}{1e3 * loop:>9.1f} ms")
    print(f"{'ratio to one service, of processor times':<62}{loop / cpu:>10.1f}×{'10×':>12}")
    assert len(singles) == _TEMPLATES
