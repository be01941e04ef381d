"""A small evaluation of latency thresholds, what they cost, and what a journey costs: prints, asserts nothing of time.

``BALLAST_BENCH_PER_FAMILY`` (default 20) sets how many services of each kind; ``manage.py evaluate`` does it at size.
"""

from __future__ import annotations

import os
import time
from typing import Any

from apps.engine.archetypes import Archetypes
from apps.engine.evaluation.evaluate import CUT, TIERS
from apps.engine.evaluation.latency_summary import summarise_latency
from apps.engine.latency.dependence import Dependence, LatencyDistribution
from apps.engine.latency.end_to_end import Call, Parallel, Serial, end_to_end
from apps.engine.latency.thresholds import from_buckets, latency_document, look_ahead
from apps.engine.simulation.latency_fleet import FAMILIES
from apps.slos.evaluation.evaluating import run_latency
from tests.engine.samples import simulate_latencies


def test_it_prints_how_often_thresholds_were_exceeded() -> None:
    """Print the share of held-out windows above each threshold by kind of service, and the gap closed."""
    per_family = int(os.environ.get("BALLAST_BENCH_PER_FAMILY", "20"))
    summary: Any = summarise_latency(run_latency(1, per_family))
    for which, tables in summary.items():
        print(f"\n{which + ' slower':<22}" + "".join(f"{tier:>14}" for tier in TIERS))
        print(f"{'said':<22}{'1 %':>14}{'5 %':>14}{'20 %':>14}")
        for name, row in [*tables["families"].items(), ("all", tables["overall"])]:
            print(f"{name:<22}" + "".join(f"{row[tier]['missed']:>14.1%}" for tier in TIERS))
        print(f"{'gap closed':<22}" + "".join(f"{tables['gap_closed'][tier] or 0:>14.0%}" for tier in TIERS))
        assert tables["overall"]["services"] == per_family * len(FAMILIES)
        assert tables["overall"]["with_number"] >= 0.95 * tables["overall"]["services"]


def test_it_prints_what_thresholds_and_journeys_cost() -> None:
    """Processor time of both thresholds of a service from its histograms, and of a journey over six services."""
    fleet = [each.series for each in simulate_latencies(2, 6)]
    archetype = Archetypes.built_in().get("default")
    taken = []
    for _ in range(2):
        begin = time.process_time()
        for series in fleet:
            histograms = from_buckets(series, CUT)
            assert histograms is not None
            outlook = look_ahead(histograms, 28)
            for which in ("p95_ms", "p99_ms"):
                found = latency_document("svc", which, outlook, window_days=28, archetype=archetype)
                assert found["observed"] is not None
        taken.append((time.process_time() - begin) / len(fleet))
    print(f"\nthresholds, one service: {1e3 * taken[-1]:.2f} ms")
    chosen = {f"s{at}": series for at, series in enumerate(fleet[:6])}
    begin = time.process_time()
    dependence = Dependence.estimated(chosen)
    parts = {name: LatencyDistribution.of(series) for name, series in chosen.items()}
    path = Serial((Call("s0"), Parallel((Call("s1"), Call("s2"), Call("s3", 0.3))), Call("s4"), Call("s5")))
    estimate = end_to_end(path, parts, dependence).percentile(0.95)
    assert estimate.value > 0
    print(f"journey over six services: {1e3 * (time.process_time() - begin):.0f} ms")
