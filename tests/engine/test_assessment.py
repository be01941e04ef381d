"""A service can be assessed from its own data first, in another process; the graph's limit is added later."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from typing import Any

import pytest

from apps.engine.assessment import assess
from apps.engine.document import RecommendationDocument
from apps.engine.reading import read
from apps.engine.recommend import conclude, recommend
from apps.engine.types import GraphFigure, ServiceInput
from tests.engine.build import full_service

GRAPH = GraphFigure(
    limit=0.9971, standard_error=2e-5, is_exact=False, services=40, shared=("db",), shared_nodes=("disk",)
)
LARGEST = 50_000
"""Bytes; the series of a service are ten times as large."""


def text(document: RecommendationDocument) -> str:
    return json.dumps(document, allow_nan=False)


@pytest.mark.parametrize("graph", [None, GRAPH])
def test_a_document_is_the_same_in_two_steps(graph: GraphFigure | None) -> None:
    service, as_of = full_service()
    at_once = recommend(replace(service, graph=graph), as_of=as_of, seed=3)
    assert text(conclude(assess(read(service, as_of), seed=3), graph)) == text(at_once)


def test_the_graph_is_heard_in_the_second_step_alone() -> None:
    service, as_of = full_service()
    found = assess(read(replace(service, graph=GRAPH), as_of))
    limits = [conclude(found, graph)["availability"] for graph in (None, GRAPH)]
    assert limits[0] != limits[1]
    assert found.estimates == assess(read(service, as_of)).estimates


def test_what_the_graph_says_is_shared_is_named_so_in_the_attribution() -> None:
    service, as_of = full_service()
    named = service.dependencies[0].target_id
    found = assess(read(service, as_of))
    labels = [_labels(conclude(found, graph)) for graph in (None, replace(GRAPH, shared=(named,)))]
    key = f"dependency:{named}"
    assert "(shared)" not in labels[0][key]
    assert labels[1][key].startswith(f"{named} (shared)")


def test_an_assessment_is_small_enough_to_be_sent() -> None:
    service, as_of = full_service()
    sent = pickle.dumps(assess(read(service, as_of)))
    assert len(sent) < LARGEST
    assert text(conclude(pickle.loads(sent), None)) == text(recommend(service, as_of=as_of))


@pytest.mark.parametrize("sla", [None, 0.999])
def test_a_service_without_data_is_assessed_too(sla: float | None) -> None:
    service = ServiceInput("svc", is_external=sla is not None, published_sla=sla)
    document: Any = conclude(assess(read(service, 0)), GRAPH)
    assert (document["availability"]["tiers"] is None) is (sla is None)
    assert document["explanation"]["summary"]


def _labels(document: Any) -> dict[str, str]:
    return {each["feature"]: each["label"] for each in document["explanation"]["attribution"]}
