"""How long SLOs take at full size: 5,000 services, 50,000 edges, 28 days of hours. Prints figures, asserts on
none.
"""

from __future__ import annotations

import time
from typing import Any

import pytest
from django.test import Client

from apps.catalog.models import Service
from apps.slos import queries
from apps.slos.impact.analysis import analyse
from apps.slos.making import compute
from apps.slos.models import Recommendation
from apps.slos.objectives import status
from tests.bench.conftest import EDGES, SERVICES, WINDOW
from tests.bench.timing import p95, show
from tests.slos.conftest import make_user, running_worker

COMPUTED = 300


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
        *p95(lambda at: analyse(fleet[at], "availability", 0.99), 40),
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

    def one(at: int) -> None:
        pk = fleet[2 * COMPUTED + at].pk
        compute.compute_one(pk, window_days=WINDOW, store=True, asked_by="bench")

    show("one service: load, compute and store", *p95(one, 60), "200 ms")
