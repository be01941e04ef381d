"""Journeys and what-ifs over the API."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from apps.catalog.models import Service
from apps.core.actions import Actor
from apps.core.dispatcher import dispatch
from apps.journeys.making import compute
from apps.journeys.models import Journey
from tests.journeys.conftest import journey_input
from tests.pages import client_of


@pytest.fixture
def reader(db: None) -> Client:
    return client_of("viewer")


def test_a_journey_with_its_result(journey: Journey, reader: Client) -> None:
    before = reader.get("/api/v1/journeys/check-out").json()
    assert before["result"]["is_being_made"]
    assert before["result"]["availability"] is None
    compute.compute_one(journey)
    found = reader.get("/api/v1/journeys/check-out").json()
    assert (found["name"], found["team"], found["target"], found["version"]) == (
        "Check out",
        "shop",
        0.995,
        1,
    )
    assert found["paths"][0]["steps"][1] == {"service_id": "pay", "calls": 1.0}
    assert found["result"]["links"][0]["service_id"] == "web"
    assert found["result"]["is_being_made"] is False
    assert reader.get("/api/v1/journeys/check-out/result").json() == found["result"]


def test_how_long_it_takes_is_part_of_the_result(
    fleet: dict[str, Service], admin: Actor, reader: Client
) -> None:
    only = [{"name": "", "steps": [{"service_id": "pay"}]}]
    dispatch("journeys.create", journey_input(paths=only, latency_target_ms=300), actor=admin)
    compute.compute_one(Journey.objects.get())
    found = reader.get("/api/v1/journeys/check-out").json()
    assert found["latency_target_ms"] == 300
    latency = found["result"]["latency"]
    # A tenth takes 100 ms and more, a fiftieth between 250 and 500.
    assert 100 < latency["p95"]["ms"] < 250 < latency["p99"]["ms"] < 500
    assert latency["slower"]["share"] == pytest.approx(0.016, abs=0.002)
    assert latency["services"][0]["budget_ms"] == 300
    assert (latency["share"], latency["days"], latency["missing"]) == (0.95, 60, [])


def test_the_list_is_paged_and_narrowed(journey: Journey, admin: Actor, reader: Client) -> None:
    for name in ("Ask", "Browse"):
        dispatch("journeys.create", journey_input(name=name, team=None), actor=admin)
    first = reader.get("/api/v1/journeys?limit=2").json()
    assert [one["name"] for one in first["items"]] == ["Ask", "Browse"]
    rest = reader.get(f"/api/v1/journeys?limit=2&cursor={first['next_cursor']}").json()
    assert ([one["name"] for one in rest["items"]], rest["next_cursor"]) == (["Check out"], None)
    assert [one["name"] for one in reader.get("/api/v1/journeys?team=shop").json()["items"]] == ["Check out"]
    assert len(reader.get("/api/v1/journeys?service_id=pay").json()["items"]) == 3
    assert reader.get("/api/v1/journeys?service_id=db").json()["items"] == []


def test_what_is_not_there_is_a_problem(reader: Client) -> None:
    for path in ("journeys/nowhere", "journeys/nowhere/result", "services/nobody/what-if"):
        answer = reader.get(f"/api/v1/{path}")
        assert (answer.status_code, answer["Content-Type"]) == (404, "application/problem+json")
    assert Client().get("/api/v1/journeys").status_code == 401


def test_a_journey_is_created_through_its_action(fleet: dict[str, Service]) -> None:
    done = client_of("sre_admin").post(
        "/api/v1/actions/journeys.create", journey_input(), content_type="application/json"
    )
    assert done.status_code == 201
    assert done.json()["journey"] == "check-out"


def test_a_what_if_is_a_get_with_steps(live_worker: Any, fleet: dict[str, Service], reader: Client) -> None:
    found = reader.get("/api/v1/services/web/what-if?step=fallback:0.9:pay&step=target:0.9999:db")
    assert found.status_code == 200, found.content
    document = found.json()
    assert [one["step"]["kind"] for one in document["steps"]] == ["fallback", "target"]
    assert (
        document["after"]["tiers"]["balanced"]["target"] > document["before"]["tiers"]["balanced"]["target"]
    )
    assert document["sentence"].startswith("With these steps, web could keep")


def test_a_step_that_does_not_fit_is_a_problem_of_its_place(
    live_worker: Any, fleet: dict[str, Service], reader: Client
) -> None:
    for wrong in ("teleport:1:pay", "fallback:0.9:nobody"):
        answer = reader.get(f"/api/v1/services/web/what-if?step=retry:1:pay&step={wrong}")
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["path"] == "step.1"


def test_without_a_worker_it_is_503_with_a_time_to_come_back(
    fleet: dict[str, Service], reader: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.journeys.what_if.computation.DEADLINE_SECONDS", 0.2)
    answer = reader.get("/api/v1/services/web/what-if")
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
