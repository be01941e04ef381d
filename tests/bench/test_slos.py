"""How long SLOs take at full size: 5,000 services, 50,000 edges, 28 days of hours. Prints figures, asserts on
none.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, connections
from django.test import Client
from django.utils import timezone

from apps.accounts.models import Team
from apps.catalog.models import Dependency, Service
from apps.slos import compute, queries, status
from apps.slos.impact import analyse
from apps.slos.models import Recommendation
from apps.telemetry.aggregates import ensure_partitions
from tests.slos.conftest import DAY, HOUR, full_hour, make_user, running_worker

SERVICES, EDGES = 5_000, 50_000
WINDOW = 28
COMPUTED = 300


def p95(call: Callable[[int], object], times: int) -> tuple[float, float]:
    """Median and 95th percentile in milliseconds."""
    taken = []
    for at in range(times):
        start = time.perf_counter()
        call(at)
        taken.append((time.perf_counter() - start) * 1000)
    return statistics.median(taken), statistics.quantiles(taken, n=20)[-1]


def show(what: str, median: float, tail: float, bar: str) -> None:
    print(f"  {what:<58} p50 {median:>8.1f} ms   p95 {tail:>8.1f} ms   bar {bar}")


@pytest.fixture
def fleet(transactional_db: None) -> list[Service]:
    end = full_hour()
    ensure_partitions((end - WINDOW * DAY).date(), end.date())
    teams = Team.objects.bulk_create(Team(name=f"team {n}") for n in range(40))
    services = Service.objects.bulk_create(
        Service(service_id=f"service-{n:04}", team=teams[n % 40]) for n in range(SERVICES)
    )
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO telemetry_slihour (service_id, bin_start, total, bad, observed_seconds)"
            " SELECT s.id, h, 10000, floor(random() * 12), 3600 FROM catalog_service s,"
            " generate_series(%s, %s, interval '1 hour') h",
            [end - WINDOW * DAY, end - HOUR],
        )
        cursor.execute(
            "INSERT INTO slos_activeslo (service_id, sli_type, target, window_days, source, tier, rationale,"
            " started_by_name, basis, version)"
            " SELECT id, 'availability', 0.999, 28, 'manual', '', '', 'bench', 'requests', 1"
            " FROM catalog_service WHERE mod(id, 2) = 0"
        )
    draw = random.Random(7)
    pairs = {(draw.randrange(SERVICES), draw.randrange(SERVICES)) for _ in range(EDGES + 2_000)}
    Dependency.objects.bulk_create(
        [
            Dependency(
                source=services[source],
                target=services[target],
                calls_per_request=draw.random(),
                last_observed_at=timezone.now(),
                confidence=0.9,
            )
            for source, target in sorted(pairs)
            if source != target
        ][:EDGES],
        batch_size=5_000,
    )
    with connections["owner"].cursor() as cursor:
        cursor.execute("ANALYZE catalog_dependency, telemetry_slihour, slos_activeslo, catalog_service")
    return services


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_slos_at_full_size(fleet: list[Service]) -> None:
    making_and_storing(fleet)
    retrieval_cached_and_uncached(fleet)
    budgets_lists_and_impact(fleet)


def budgets_lists_and_impact(fleet: list[Service]) -> None:
    print(f"\nSLOs: {SERVICES:,} services, {EDGES:,} edges, {WINDOW} days of hours")
    start = time.perf_counter()
    assert status.refresh() == SERVICES
    taken = time.perf_counter() - start
    print(f"  all statuses from {SERVICES * WINDOW * 24:,} hours: {taken:.1f} s")
    show("one status", *p95(lambda at: status.refresh([fleet[at].pk]), 40), "-")
    show("overview, queries", *p95(lambda _: queries.overview(), 40), "100 ms (page)")
    show("services table, by budget", *p95(lambda _: queries.services_table(sort="budget"), 40), "-")
    near = p95(lambda at: analyse(fleet[at], "availability", 0.99, 3), 40)
    show("impact, 3 calls far", *near, "250 ms")
    show(
        "impact, as far as it goes",
        *p95(lambda at: analyse(fleet[at], "availability", 0.99, 10), 40),
        "250 ms",
    )


def retrieval_cached_and_uncached(fleet: list[Service]) -> None:
    client = Client()
    client.force_login(make_user("sam", "sre_admin"))

    def get(service: Service) -> Any:
        answer = client.get(f"/api/v1/services/{service.service_id}/slo-recommendations")
        assert answer.status_code == 200, answer.content
        assert not answer.json()["is_stale"]
        return answer

    with running_worker(["interactive"]):
        get(fleet[COMPUTED])
        print("\nRecommendations over the API, at the server (the worker shares this process and its lock)")
        show(
            "uncached: a worker computes and stores",
            *p95(lambda at: get(fleet[COMPUTED + at + 1]), 40),
            "500 ms",
        )
        show("cached", *p95(lambda at: get(fleet[COMPUTED + at % 40]), 200), "20 ms")


def making_and_storing(fleet: list[Service]) -> None:
    chosen = [service.pk for service in fleet[:COMPUTED]]
    start = time.perf_counter()
    assert compute.refresh(chosen, reason="bench") == COMPUTED
    taken = time.perf_counter() - start
    each = taken / COMPUTED * 1000
    print(f"\n  load, compute and store {COMPUTED} services: {taken:.1f} s, {each:.1f} ms each")
    assert Recommendation.objects.filter(status="current").count() == COMPUTED * 3
