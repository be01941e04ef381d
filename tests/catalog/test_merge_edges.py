"""One edge out of what several sources say: whose word counts, how sure it is, when it goes stale."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from apps.catalog.graph.staleness import refresh_staleness
from apps.catalog.models import Dependency, DependencySighting
from apps.catalog.sources import STALE_AFTER, STANDING
from tests.catalog.conftest import NOW, State, edge, published


@pytest.fixture(autouse=True)
def _now(time_machine_at_now: None) -> None:
    """The graph is stated at NOW."""


def test_a_person_is_heard_before_an_observer_whoever_came_first(state: State) -> None:
    state(dependencies=[edge("a", "b", criticality="soft", timeout_ms=100)], by="manual")
    state(
        dependencies=[edge("a", "b", criticality="hard", timeout_ms=900, protocol="http")],
        by="otel_service_graph",
    )
    found = Dependency.objects.get()
    assert (found.criticality, found.timeout_ms) == ("soft", 100)


def test_what_the_first_does_not_say_is_taken_from_the_next(state: State) -> None:
    state(dependencies=[edge("a", "b", criticality="soft")], by="manual")
    state(dependencies=[edge("a", "b", criticality="hard", protocol="grpc")], by="service_mesh")
    state(dependencies=[edge("a", "b", protocol="http", calls_per_request=2)], by="otel_service_graph")
    found = Dependency.objects.get()
    assert (found.criticality, found.protocol, found.calls_per_request) == ("soft", "grpc", 2)
    assert found.mode == "sync"


def test_an_expired_observation_is_heard_last(state: State) -> None:
    state(dependencies=[edge("a", "b", protocol="http")], by="service_mesh", at=NOW - timedelta(days=30))
    state(dependencies=[edge("a", "b", protocol="grpc")], by="otel_service_graph", at=NOW)
    assert Dependency.objects.get().protocol == "grpc"


def test_confidence_grows_with_the_number_of_sources(state: State) -> None:
    confidences = []
    for source in ("kubernetes", "manual", "otel_service_graph"):
        state("a>b", by=source)
        confidences.append(Dependency.objects.get().confidence)
    assert confidences == [0.6, pytest.approx(1 - 0.4 * 0.2), pytest.approx(1 - 0.4 * 0.2 * 0.1)]


def test_confidence_halves_what_an_observation_is_worth_with_every_week(state: State) -> None:
    state("a>b", by="service_mesh", at=NOW - STALE_AFTER)
    assert Dependency.objects.get().confidence == pytest.approx(0.45)
    state("c>d", by="manual", at=NOW - 10 * STALE_AFTER)
    assert Dependency.objects.get(source__service_id="c").confidence == pytest.approx(0.8)


@example(said=[("kubernetes", 0), ("backstage", 0)])
@given(
    st.dictionaries(st.sampled_from(sorted(STANDING)), st.integers(0, 400), min_size=1).flatmap(
        lambda ages: st.permutations(list(ages.items()))
    )
)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_the_order_in_which_sources_speak_does_not_matter(state: State, said: list[tuple[str, int]]) -> None:
    def result(order: list[tuple[str, int]]) -> dict[str, object]:
        Dependency.objects.all().delete()
        for source, hours in order:
            row = edge("a", "b", protocol=source, timeout_ms=hours)
            state(dependencies=[row], by=source, at=NOW - timedelta(hours=hours))
        row_ = Dependency.objects.values().get()
        return {name: value for name, value in row_.items() if name not in ("id", "created_at")}

    assert result(said) == result(sorted(said))


def test_an_edge_that_no_observer_has_seen_for_a_week_goes_stale(state: State) -> None:
    state("a>b", by="otel_service_graph", at=NOW)
    assert refresh_staleness(NOW + STALE_AFTER) == 0
    with published() as events:
        assert refresh_staleness(NOW + STALE_AFTER + timedelta(hours=1)) == 1
    assert Dependency.objects.get().is_stale
    assert events == [("catalog.graph_changed", {"count": 2, "service_ids": ["a", "b"]})]


def test_a_stale_edge_comes_back_when_it_is_seen(state: State) -> None:
    state("a>b", by="otel_service_graph", at=NOW - timedelta(days=30))
    assert Dependency.objects.get().is_stale
    summary = state("a>b", by="otel_service_graph", at=NOW)
    assert not Dependency.objects.get().is_stale
    assert summary["dependencies"]["updated"] == 1


@pytest.mark.parametrize("source", ["manual", "file", "backstage"])
def test_a_declared_edge_does_not_grow_old(state: State, source: str) -> None:
    state("a>b", by=source, at=NOW - timedelta(days=900))
    refresh_staleness(NOW + timedelta(days=900))
    found = Dependency.objects.get()
    assert found.is_declared
    assert not found.is_stale


def test_looking_at_age_writes_nothing_where_nothing_changed(state: State) -> None:
    state("a>b", by="otel_service_graph", at=NOW)
    refresh_staleness(NOW)
    with published() as events:
        assert refresh_staleness(NOW) == 0
    assert events == []


def test_every_source_keeps_its_own_sighting(state: State) -> None:
    state("a>b", by="manual")
    state("a>b", by="kubernetes", at=NOW - timedelta(days=1))
    seen = dict(DependencySighting.objects.values_list("discovery_source", "last_seen_at"))
    assert seen == {"manual": NOW, "kubernetes": NOW - timedelta(days=1)}
