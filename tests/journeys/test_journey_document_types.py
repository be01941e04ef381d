"""What workers compute of journeys and what-ifs, and what is stored of it, is what its types say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from apps.catalog.models import Service
from apps.core.actions import Actor
from apps.core.dispatcher import dispatch
from apps.journeys import actions, queries
from apps.journeys.documents import JourneySnapshot, PathPart, ResultDocument, StepAsked, WhatIfAnswer
from apps.journeys.making import compute
from apps.journeys.models import Journey
from apps.journeys.what_if import trial
from tests.journeys.conftest import journey_input
from tests.slos.conftest import full_hour, make_latency, make_service
from tests.typed_dicts import problems


def checked(journey: Journey) -> ResultDocument:
    """Compute a journey, hold what comes of it and what is stored to the type, and return it."""
    document, _ = compute.evaluated(journey)
    assert list(problems(document, ResultDocument)) == []
    assert compute.compute_one(journey)
    stored = queries.document_of(queries.result_of(Journey.objects.get(pk=journey.pk)))
    assert list(problems(stored, ResultDocument)) == []
    assert json.loads(json.dumps(document)) == stored
    return document


def test_a_journey_and_its_result_are_as_typed(journey: Journey) -> None:
    assert list(problems(journey.paths, list[PathPart])) == []
    assert list(problems(actions.document(journey), JourneySnapshot)) == []
    found = checked(journey)
    assert found["availability"] is not None
    assert found["latency"] is not None
    assert found["latency"]["p95"] is None, "web has no latencies"


def test_a_journey_with_latencies_is_as_typed(fleet: dict[str, Service], admin: Actor) -> None:
    for name in ("web", "db"):
        make_latency(fleet[name], end=full_hour())
    steps: list[dict[str, Any]] = [
        {"service_id": "web"},
        {"service_id": "pay"},
        {"service_id": "db", "calls": 0.5},
    ]
    dispatch(
        "journeys.create",
        journey_input(latency_target_ms=800, paths=[{"name": "", "weight": 1, "steps": steps}]),
        actor=admin,
    )
    latency = checked(Journey.objects.get())["latency"]
    assert latency is not None
    assert latency["p95"] is not None
    assert latency["slower"] is not None
    assert latency["services"]
    assert latency["paths"][0]["inside"]


def test_a_journey_without_a_number_is_as_typed(shop: object, admin: Actor) -> None:
    make_service("new")
    dispatch(
        "journeys.create",
        journey_input(paths=[{"name": "", "weight": 1, "steps": [{"service_id": "new"}]}]),
        actor=admin,
    )
    journey = Journey.objects.get()
    assert checked(journey)["unknown"] == ["new"]
    Service.objects.filter(service_id="new").delete()
    journey.refresh_from_db()
    assert checked(journey)["gone"] == ["new"]


@pytest.mark.parametrize(
    ("steps", "state"),
    [
        ([], "done"),
        ([{"kind": "retry", "target_id": "pay", "value": 2.0}], "done"),
        (
            [
                {"kind": "fallback", "target_id": "pay", "value": 0.9},
                {"kind": "replica", "target_id": "db", "value": 1.0},
            ],
            "done",
        ),
        ([{"kind": "fallback", "target_id": "nobody", "value": 0.9}], "impossible"),
    ],
)
def test_the_answer_to_a_what_if_is_as_typed(
    fleet: dict[str, Service], steps: list[StepAsked], state: str
) -> None:
    for name in ("web", "new"):
        service = fleet.get(name) or make_service(name)
        answer = trial.answer(service.pk, steps)
        assert list(problems(answer, WhatIfAnswer)) == []
        assert json.loads(json.dumps(answer)) == answer
        if name == "web":
            assert answer["state"] == state
