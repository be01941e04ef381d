"""What is stored, cached, sent and shown of a recommendation is what its types say."""

from __future__ import annotations

import json

import pytest
from django.utils import timezone

from apps.accounts.models import Team
from apps.catalog.models import Service
from apps.core.actions import Actor
from apps.core.dispatcher import dispatch
from apps.engine.document import RecommendationDocument
from apps.slos import queries, retrieval
from apps.slos.documents.assembled import SLI_TYPES, only, unstored_document
from apps.slos.documents.types import SLI_NAMES, AgedDocument, Answer, ServiceDocument
from apps.slos.making import compute as computing
from apps.slos.models import SliType
from tests.slos.conftest import (
    compute,
    current,
    full_hour,
    make_calls,
    make_edge,
    make_hours,
    make_latency,
    make_service,
    steady,
)
from tests.typed_dicts import problems


@pytest.fixture
def known(shop: Team) -> Service:
    """A service with a measured and an unknown dependency, and latencies."""
    checkout, database, unseen = (make_service(name, team=shop) for name in ("checkout", "db", "unseen"))
    make_edge(checkout, database)
    make_edge(checkout, unseen)
    as_of = full_hour()
    for service in (checkout, database):
        make_latency(service, end=make_hours(service, end=as_of))
    make_calls(checkout, database, end=as_of, days=40, per_hour=5_000, fails=steady(0.001))
    compute(checkout, as_of=as_of)
    return checkout


@pytest.fixture
def unknown(shop: Team) -> Service:
    """One without any data: there is a document, and no number in it."""
    service = make_service("new", team=shop)
    compute(service)
    return service


def test_names_of_slis_are_those_of_the_table() -> None:
    assert list(SLI_NAMES) == list(SliType.values) == list(SLI_TYPES)


@pytest.mark.parametrize("which", ["known", "unknown"])
def test_a_stored_document_is_as_typed(which: str, request: pytest.FixtureRequest, admin: Actor) -> None:
    service: Service = request.getfixturevalue(which)
    if which == "known":
        dispatch(
            "slos.accept",
            {
                "service_id": service.service_id,
                "sli_type": "availability",
                "tier": "balanced",
                "recommendation_id": str(current(service).pk),
            },
            actor=admin,
        )
        compute(service)
    for document in (
        queries.current_recommendations(service),
        queries.current_recommendations(service),  # from the cache
        queries.last_recommendations(service),
    ):
        assert document is not None
        assert list(problems(document, ServiceDocument)) == []
        assert json.loads(json.dumps(document)) == document
    aged = retrieval.retrieve(service, asked_by="sam")
    for sli_type in (None, "latency", *SLI_NAMES):
        assert list(problems(only(aged, sli_type), AgedDocument)) == []
    assert set(only(aged, "latency")["recommendations"]) == {"latency_p95", "latency_p99"}
    assert set(only(aged, "latency_p99")["recommendations"]) == {"latency_p99"}
    assert set(aged["recommendations"]) == set(SLI_NAMES), "the document that was given stays whole"


@pytest.mark.parametrize("which", ["known", "unknown"])
def test_what_a_worker_computes_and_answers_is_as_typed(which: str, request: pytest.FixtureRequest) -> None:
    service: Service = request.getfixturevalue(which)
    [document] = computing.documents([(full_hour(), [service])], window_days=7, has_stored=True)
    assert list(problems(document, RecommendationDocument)) == []
    assert list(problems(unstored_document(document, timezone.now()), ServiceDocument)) == []
    for store in (False, True):
        answer = computing.compute_one(service.pk, window_days=28, store=store, asked_by="sam")
        assert answer["state"] == ("stored" if store else "computed")
        assert list(problems(answer, Answer)) == []
