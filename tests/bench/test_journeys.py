"""How long journeys and what-ifs take over 5,000 services and 50,000 edges. Prints figures, asserts on none."""

from __future__ import annotations

import time
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from apps.catalog.models import Service
from apps.core.actions import Actor
from apps.core.dispatcher import dispatch
from apps.journeys.making import compute as computing
from apps.journeys.making import graph
from apps.journeys.models import Journey
from apps.journeys.what_if import trial
from tests.bench.conftest import EDGES, SERVICES
from tests.bench.timing import p95, show
from tests.slos.conftest import compute, make_user, running_worker

CHAIN = ["fallback:0.9", "retry:2", "queue:0.9999"]


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_journeys_at_full_size(fleet: list[Service]) -> None:
    know_all(fleet)
    root = fleet[0]
    print(f"\nJourneys and what-ifs: {SERVICES:,} services, {EDGES:,} edges")
    start = time.perf_counter()
    below = graph.load([root.pk])
    taken = time.perf_counter() - start
    print(
        f"  graph below one service, {len(below.graph.own):,} nodes, {len(below.graph.edges):,} edges: {taken:.2f} s"
    )
    direct = [edge.target for edge in below.graph.edges if edge.source == root.service_id][:3]
    steps = [f"{step}:{target}" for step, target in zip(CHAIN, direct, strict=True)]
    what_ifs(root, steps)
    journeys(fleet)


def know_all(fleet: list[Service]) -> None:
    """A recommendation for every service and an estimate for every edge: few failures carry far."""
    compute(*fleet[:5])
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO slos_recommendation (service_id, sli_type, status, verdict, balanced, conservative,"
            " aggressive, composite, confidence, document, shared, as_of, window_days, seed, expires_at, version)"
            " SELECT s.id, 'availability', 'current', 'ok', 0.9993, 0.9991, 0.9995, 0.9994, 0.8,"
            ' \'{"composite": {"own": 0.9996, "point": 0.9994},'
            ' "tiers": {"balanced": {"interval": [0.9992, 0.9994]}}}\', \'{}\', r.as_of, 28, 0, r.expires_at, 1'
            " FROM catalog_service s, (SELECT as_of, expires_at FROM slos_recommendation LIMIT 1) r"
            " WHERE NOT EXISTS (SELECT FROM slos_recommendation x WHERE x.service_id = s.id)"
        )
        cursor.execute(
            "INSERT INTO slos_edgeestimate (source_id, target_id, call_probability, call_probability_source, hardness,"
            " hardness_source, availability, availability_source, has_fallback, behaves_hard)"
            " SELECT source_id, target_id, random(), 'edge', random() * 0.15, 'observed', 0.9994, 'edge', false, false"
            " FROM catalog_dependency ON CONFLICT DO NOTHING"
        )


def what_ifs(root: Service, steps: list[str]) -> None:
    parsed = [
        {"kind": kind, "value": float(value), "target_id": target}
        for kind, value, target in (step.split(":", 2) for step in steps)
    ]
    for count in (0, 1, 3):
        tried = parsed[:count]
        taken = p95(lambda _, tried=tried: trial.answer(root.pk, tried), 8)  # type: ignore[misc]
        show(f"what-if, {count} steps, in the worker", *taken, "1 s a step")
    client = Client()
    client.force_login(make_user("sam", "sre_admin"))

    def get(_: int) -> Any:
        answer = client.get(f"/what-if/{root.service_id}/", {"step": steps[:1]})
        assert answer.status_code == 200, answer.content[:500]
        return answer

    with running_worker(["interactive"], rooms=("slos", "journeys")):
        get(0)
        show("what-if page, 1 step (the worker shares this process)", *p95(get, 8), "1 s a step")


def journeys(fleet: list[Service]) -> None:
    paths = [
        {
            "name": f"path {at}",
            "weight": 1,
            "steps": [{"service_id": each.service_id} for each in fleet[at * 6 : at * 6 + 6]],
        }
        for at in range(3)
    ]
    for at in range(60):
        dispatch(
            "journeys.create",
            {"name": f"Journey {at}", "target": 0.99, "paths": paths},
            actor=Actor.system("bench"),
        )
    first = Journey.objects.order_by("name").first()
    assert first is not None
    show("compute one journey of 18 services", *p95(lambda _: computing.compute_one(first), 6), "-")
    client = Client()
    client.force_login(make_user("vera", "viewer"))
    client.get("/journeys/")
    show("journeys page, 60 journeys", *p95(lambda _: client.get("/journeys/"), 40), "100 ms")
    show("journey page", *p95(lambda _: client.get(f"/journeys/{first.slug}/"), 40), "100 ms")
