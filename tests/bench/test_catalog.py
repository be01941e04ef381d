"""How long the catalog takes at its full size: 5,000 services. Prints figures beside their bars, asserts on none."""

from __future__ import annotations

import json
import random
import statistics
import time
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from apps.catalog.ingesting import ingestion
from apps.catalog.models import Dependency, Service
from apps.catalog.queries import subgraph
from apps.catalog.services import upsert_graph
from apps.core.actions import Actor
from apps.core.dispatcher import dispatch
from tests.vacuum import vacuum

SERVICES = 5_000
WALKS = 60
REPEATS = 4
"""Of so many runs of the same walk the best counts: what else the machine did meanwhile is not the graph's doing."""


def fleet() -> list[dict[str, Any]]:
    return [
        {
            "service_id": f"service-{n:04}",
            "team": f"team-{n % 40}",
            "criticality": "high",
            "metadata": {"n": n},
        }
        for n in range(SERVICES)
    ]


def uniform(count: int, seed: int = 7) -> list[dict[str, Any]]:
    """Edges between services drawn evenly; mostly downhill, so that a few cycles remain."""
    draw = random.Random(seed)
    return _rows(count, lambda: (draw.randrange(SERVICES), draw.randrange(SERVICES)), draw)


def hubs(count: int, seed: int = 7) -> list[dict[str, Any]]:
    """Edges of which three in ten lead to one of ten hubs, and one in ten comes from one: thousands for each hub."""
    draw = random.Random(seed)

    def pair() -> tuple[int, int]:
        kind = draw.random()
        source = draw.randrange(SERVICES - 10, SERVICES) if 0.3 <= kind < 0.4 else draw.randrange(SERVICES)
        target = draw.randrange(10) if kind < 0.3 else draw.randrange(SERVICES)
        return source, target

    return _rows(count, pair, draw)


def _rows(count: int, pair: Any, draw: random.Random) -> list[dict[str, Any]]:
    pairs: set[tuple[int, int]] = set()
    while len(pairs) < count:
        source, target = pair()
        if source == target or (source > target and draw.random() < 0.98 and count < 30_000):
            continue
        pairs.add((source, target))
    return [
        {
            "source": f"service-{source:04}",
            "target": f"service-{target:04}",
            "mode": "sync",
            "criticality": "hard",
            "protocol": "grpc",
            "timeout_ms": 500,
            "retry_config": {"max_retries": 2},
            "calls_per_request": 1.2,
        }
        for source, target in sorted(pairs)
    ]


def row(name: str, measured: str, bar: str) -> None:
    print(f"  {name:<58} {measured:>22}   bar {bar}")


def explained(walk: list[float], edges: list[float]) -> Any:
    """Wrap a connection so that one look at the graph adds the database's own time, planning included, to each list."""
    walk.append(0.0)
    edges.append(0.0)

    def execute(run: Any, sql: Any, params: Any, many: Any, context: Any) -> Any:
        with context["connection"].connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN (ANALYZE, TIMING OFF, SUMMARY, FORMAT JSON) {sql}", params)
            plan = cursor.fetchone()[0]
        plan = json.loads(plan) if isinstance(plan, str) else plan
        into = edges if "reached.ids" in sql else walk
        into[-1] += plan[0]["Planning Time"] + plan[0]["Execution Time"]
        return run(sql, params, many, context)

    return execute


@pytest.mark.django_db(transaction=True)
def test_ingesting_a_fleet() -> None:
    services, dependencies = fleet(), uniform(25_000)
    print("\nS2: 5,000 services and 25,000 edges, validation, merge, cycles and commit included")
    for label in ("all new", "again, unchanged"):
        data = {"discovery_source": "manual", "services": services, "dependencies": dependencies}
        began = time.perf_counter()
        sent = dispatch("catalog.ingest_dependencies", data, actor=Actor.system("bench"))
        received = time.perf_counter()
        state = ingestion.run(sent.value["ingestion_id"])
        done = time.perf_counter()
        assert state == "completed"
        row(f"{label}: received by the web process", f"{received - began:.2f} s", "-")
        row(f"{label}: applied by a worker", f"{done - received:.2f} s", "5 s for both")
    assert Dependency.objects.count() == 25_000
    for row_ in dependencies:
        row_["timeout_ms"] = 900
    began = time.perf_counter()
    with transaction.atomic():
        upsert_graph(services, dependencies, discovery_source="manual", observed_at=timezone.now())
    row("every edge changed", f"{time.perf_counter() - began:.2f} s", "5 s")


@pytest.mark.django_db(transaction=True)
def test_ingesting_a_hub() -> None:
    dependencies = [{"source": "hub", "target": f"n{number:05}"} for number in range(10_000)]
    print("\nOne caller of 10,000 services, all discovered with it")
    for label in ("all new", "again, unchanged"):
        data = {"discovery_source": "manual", "dependencies": dependencies}
        began = time.perf_counter()
        sent = dispatch("catalog.ingest_dependencies", data, actor=Actor.system("bench"))
        assert ingestion.run(sent.value["ingestion_id"]) == "completed"
        row(f"{label}: received and applied", f"{time.perf_counter() - began:.2f} s", "5 s")


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
@pytest.mark.parametrize(("shape", "bar"), [("uniform", "p95 10 ms"), ("hubs", "p95 15 ms")])
def test_walking_the_graph(shape: str, bar: str) -> None:
    dependencies = uniform(50_000) if shape == "uniform" else hubs(50_000)
    with transaction.atomic():
        upsert_graph(fleet(), dependencies, discovery_source="manual", observed_at=timezone.now())
    vacuum("catalog_dependency", "catalog_service")
    draw = random.Random(3)
    names = draw.sample(list(Service.objects.values_list("service_id", flat=True)), WALKS)
    if shape == "hubs":
        names[:20] = [f"service-{n:04}" for n in (*range(10), *range(SERVICES - 10, SERVICES))]
    print(f"\nS4: 3 hops, 5,000 services, 50,000 edges, {shape}")
    for direction in ("downstream", "upstream"):
        for _ in range(10):
            subgraph(names[0], direction, 3)
        labels = ("the walk", "the edges among", "both", "with transfer, Python")
        figures: dict[str, list[float]] = {label: [] for label in labels}
        sizes: list[int] = []
        for name in names:
            runs: list[float] = []
            walk: list[float] = []
            edges: list[float] = []
            for _ in range(REPEATS):
                began = time.perf_counter()
                answer = subgraph(name, direction, 3)
                runs.append((time.perf_counter() - began) * 1000)
                with connection.execute_wrapper(explained(walk, edges)):
                    subgraph(name, direction, 3)
            both = min(one + other for one, other in zip(walk, edges, strict=True))
            for label, best in zip(figures, (min(walk), min(edges), both, min(runs)), strict=True):
                figures[label].append(best)
            sizes.append(len(answer["nodes"]))
        print(f"  {direction}: {statistics.mean(sizes):.0f} services on average, {max(sizes)} at most")
        for label, times in figures.items():
            cuts = statistics.quantiles(times, n=20)
            row(
                f"{direction}, {label}",
                f"p50 {cuts[9]:.1f}  p95 {cuts[18]:.1f} ms",
                "-" if "Python" in label else bar,
            )
