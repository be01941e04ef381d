"""Stating a graph: what is new, what changes, what stays."""

from __future__ import annotations

from datetime import timedelta

import pytest

from apps.accounts.models import Team
from apps.catalog.models import Dependency, DependencySighting, Service
from apps.core.actions import Actor
from apps.core.errors import InvalidInput
from apps.core.models import AuditEntry
from tests.catalog.conftest import NOW, State, edge, published


def test_it_makes_services_teams_and_edges(state: State) -> None:
    summary = state(
        services=[
            {
                "service_id": "checkout",
                "team": "shop",
                "criticality": "critical",
                "published_sla": "0.999",
                "external": True,
                "archetype": "http-api",
                "on_call": "shop-primary",
                "failure_semantics": {"callers_see": "503", "is_retry_safe": True},
                "capacity": {"max_requests_per_second": 900},
                "metadata": {"tier": 1},
            },
            {"service_id": "payments"},
        ],
        dependencies=[
            edge(
                "checkout",
                "payments",
                mode="async",
                criticality="soft",
                protocol="grpc",
                timeout_ms=250,
                retry_config={"max_retries": 2},
                calls_per_request=1.5,
                redundancy_group="pay",
            )
        ],
        origin="demo",
    )
    assert summary["services"] == {"created": 2, "updated": 0, "unchanged": 0, "discovered": 0}
    assert summary["dependencies"] == {"created": 1, "updated": 0, "unchanged": 0}
    service = Service.objects.get(service_id="checkout")
    assert (service.team, service.criticality, service.is_external) == (Team.objects.get(), "critical", True)
    assert float(service.published_sla or 0) == 0.999
    assert (service.archetype, service.on_call, service.origin) == ("http-api", "shop-primary", "demo")
    assert service.failure_semantics["is_retry_safe"] is True
    assert service.capacity == {"max_requests_per_second": 900}
    assert service.metadata == {"tier": 1}
    assert not service.is_discovered
    found = Dependency.objects.get()
    assert (found.mode, found.criticality, found.protocol, found.timeout_ms) == ("async", "soft", "grpc", 250)
    assert (found.calls_per_request, found.redundancy_group) == (1.5, "pay")
    assert found.retry_config == {"max_retries": 2}
    assert found.last_observed_at == NOW


def test_the_same_graph_again_changes_nothing_and_tells_nobody(state: State) -> None:
    graph = {
        "services": [{"service_id": "a", "team": "t"}],
        "dependencies": [edge("a", "b", criticality="soft")],
    }
    state(**graph)
    before = list(Service.objects.order_by("pk").values()), list(Dependency.objects.values())
    with published() as events:
        summary = state(**graph)
    assert summary["services"] == {"created": 0, "updated": 0, "unchanged": 1, "discovered": 0}
    assert summary["dependencies"] == {"created": 0, "updated": 0, "unchanged": 1}
    assert (list(Service.objects.order_by("pk").values()), list(Dependency.objects.values())) == before
    assert events == []


def test_what_a_row_leaves_out_stays(state: State) -> None:
    state(services=[{"service_id": "a", "team": "t", "criticality": "high", "external": True}])
    summary = state(services=[{"service_id": "a", "criticality": "low"}])
    assert summary["services"]["updated"] == 1
    service = Service.objects.get()
    assert (service.criticality, service.is_external, service.team and service.team.name) == (
        "low",
        True,
        "t",
    )
    assert service.version == 2


def test_unknown_ends_of_an_edge_become_discovered_services(state: State) -> None:
    summary = state("a>b", services=[{"service_id": "a"}])
    assert summary["services"]["discovered"] == 1
    assert Service.objects.get(service_id="b").is_discovered


def test_a_discovered_service_becomes_declared_by_a_row_of_its_own(state: State) -> None:
    state("a>b")
    state(services=[{"service_id": "b", "team": "t"}])
    service = Service.objects.get(service_id="b")
    assert not service.is_discovered
    assert service.team is not None
    state("c>b")
    service.refresh_from_db()
    assert not service.is_discovered


def test_an_observer_does_not_override_what_was_declared(state: State) -> None:
    state(services=[{"service_id": "a", "criticality": "critical"}])
    state(services=[{"service_id": "a", "criticality": "low"}], by="kubernetes")
    assert Service.objects.get().criticality == "critical"


def test_an_observer_describes_what_nobody_declared(state: State) -> None:
    state("a>b", by="kubernetes")
    state(services=[{"service_id": "b", "criticality": "low"}], by="kubernetes")
    service = Service.objects.get(service_id="b")
    assert (service.criticality, service.is_discovered) == ("low", True)


def test_one_bad_row_keeps_everything_out(state: State) -> None:
    with pytest.raises(InvalidInput) as refused:
        state("a>b", "c>c", services=[{"service_id": "a"}, {"service_id": " x"}])
    assert {field.path for field in refused.value.fields} == {
        "services.1.service_id",
        "dependencies.1.target",
    }
    assert not Service.objects.exists()


def test_a_statement_that_arrives_late_does_not_replace_a_newer_one(state: State) -> None:
    state(dependencies=[edge("a", "b", timeout_ms=200)], at=NOW)
    state(dependencies=[edge("a", "b", timeout_ms=100)], at=NOW - timedelta(days=1))
    found = Dependency.objects.get()
    assert (found.timeout_ms, found.last_observed_at) == (200, NOW)


def test_a_source_takes_back_what_it_no_longer_says(state: State) -> None:
    state(dependencies=[edge("a", "b", timeout_ms=200, criticality="soft")])
    state(dependencies=[edge("a", "b", criticality="soft")])
    found = Dependency.objects.get()
    assert (found.timeout_ms, found.criticality) == (None, "soft")
    assert DependencySighting.objects.count() == 1


def test_an_edge_may_say_when_it_was_seen(state: State) -> None:
    seen = NOW - timedelta(hours=5)
    state(dependencies=[edge("a", "b", observed_at=seen.isoformat())])
    assert Dependency.objects.get().last_observed_at == seen


def test_it_tells_which_services_changed(state: State) -> None:
    state("a>b", "c>d")
    with published() as events:
        state(dependencies=[edge("a", "b", criticality="soft")])
    assert events == [("catalog.graph_changed", {"count": 2, "service_ids": ["a", "b"]})]


def test_it_names_no_services_when_they_are_too_many(state: State) -> None:
    with published() as events:
        state(*[f"hub>leaf{number}" for number in range(600)])
    assert events == [("catalog.graph_changed", {"count": 601, "service_ids": None})]


def test_every_service_that_was_changed_by_somebody_has_an_audit_entry(state: State) -> None:
    state(services=[{"service_id": "a", "criticality": "low"}, {"service_id": "b"}])
    state(
        services=[{"service_id": "a", "criticality": "high"}, {"service_id": "b"}], actor=Actor.system("test")
    )
    entry = AuditEntry.objects.get()
    assert (entry.service_id, entry.actor_name) == ("a", "system: test")
    assert (entry.before, entry.after) == ({"criticality": "low"}, {"criticality": "high"})


@pytest.mark.parametrize(
    "service_id",
    [
        "169.254.170.2_remote",
        "PetAdoptionStatusUpdater/prod_AWS::ApiGateway::Stage",
        "..",
        "%2F",
        "a b?c#d",
        "großes Café ☕",
        "'; DROP TABLE x; --",
        'quote"\\back',
        "{}[]$1 %s %(rows)s",
    ],
)
def test_ids_may_hold_any_character(state: State, service_id: str) -> None:
    state(services=[{"service_id": service_id}], dependencies=[edge(service_id, "target")])
    assert Dependency.objects.get().source.service_id == service_id
