"""A service with very many dependencies still has a readable document."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.engine.document import Criticality, RecommendationDocument
from apps.engine.edges.dependencies import MOST_UNKNOWN
from apps.engine.edges.warnings import APART
from apps.engine.recommend import recommend
from apps.engine.types import DependencyInput, ServiceInput
from tests.engine.build import full_service

SERVICE, AS_OF = full_service(days=14)
CRITICALITIES: tuple[Criticality, ...] = ("hard", "soft", "degraded")


def document_of(dependencies: tuple[DependencyInput, ...]) -> RecommendationDocument:
    service = replace(SERVICE, dependencies=(*SERVICE.dependencies, *dependencies))
    return recommend(service, as_of=AS_OF)


def unknown(
    count: int, *, mode: Any = "sync", group: str = "", cycle: tuple[str, ...] = ()
) -> tuple[DependencyInput, ...]:
    return tuple(
        DependencyInput(
            f"n{number:05d}",
            mode=mode,
            criticality=CRITICALITIES[number % 3],
            redundancy_group=f"{group}{number // 2}" if group else "",
            redundancy_needed=3,
            cycle=cycle,
        )
        for number in range(count)
    )


@settings(max_examples=12, deadline=None)
@given(
    st.integers(1, 1_500),
    st.sampled_from(["sync", "async"]),
    st.sampled_from(["", "pair"]),
    st.sampled_from([(), ("checkout", "n00000"), tuple(f"m{number}" for number in range(800))]),
)
def test_dependencies_of_which_nothing_is_known_do_not_make_it_longer(
    count: int, mode: str, group: str, cycle: tuple[str, ...]
) -> None:
    few = document_of(unknown(MOST_UNKNOWN, mode=mode, group=group, cycle=cycle))
    many = document_of(unknown(count, mode=mode, group=group, cycle=cycle))
    assert len(json.dumps(many)) <= len(json.dumps(few)) + 500
    composite = many["availability"]["composite"]
    assert composite["dependency_count"] == count + len(SERVICE.dependencies)
    # One of the service's own three is unknown as well.
    assert len(composite["dependencies"]) == min(count + 1, MOST_UNKNOWN) + 2
    # What is known stays, at any place in the order.
    assert {each.target_id for each in SERVICE.dependencies[:2]} <= {
        each["target_id"] for each in composite["dependencies"]
    }
    assert len(many["data_quality"]["warnings"]) <= 4 * APART


@pytest.mark.parametrize("count", [1, APART, APART + 1, 10_000])
def test_what_they_lack_is_said_of_each_or_of_all_together(count: int) -> None:
    warnings = document_of(unknown(count))["data_quality"]["warnings"]
    if count <= APART:
        assert warnings == [
            f"n{number:05d} has neither observations nor a published SLA: it is not in the composite."
            for number in range(count)
        ]
    else:
        assert warnings == [
            f"n00000, n00001, n00002 and {count - APART:,} more have neither observations nor a published SLA: they "
            "are not in the composite."
        ]


def test_many_that_are_counted_stay_with_their_effects() -> None:
    known = tuple(
        DependencyInput(f"k{number:03d}", is_external=True, published_sla=0.999, calls_per_request=0.01)
        for number in range(200)
    )
    composite = document_of((*known, *unknown(300)))["availability"]["composite"]
    effects = {each["target_id"]: each["effect"] or 0.0 for each in composite["dependencies"]}
    assert all(effects[each.target_id] < 0 for each in known)
    assert len(effects) == 200 + MOST_UNKNOWN + 2


def test_groups_that_lack_members_share_a_sentence_too() -> None:
    members = tuple(
        DependencyInput(
            f"k{number:03d}",
            is_external=True,
            published_sla=0.999,
            redundancy_group=f"g{number:03d}",
            redundancy_needed=2,
        )
        for number in range(40)
    )
    (warning,) = document_of(members)["data_quality"]["warnings"]
    assert warning.startswith("g000, g001, g002 and 37 more need more members up than can be counted")


def test_a_service_that_knows_nothing_but_ten_thousand_names_has_a_short_document() -> None:
    document = recommend(ServiceInput("gateway", dependencies=unknown(10_000)), as_of=AS_OF)
    assert len(json.dumps(document)) < 20_000
