"""Editing what the catalog says of a service."""

from __future__ import annotations

from typing import Any

import pytest

from apps.accounts.models import Team, User
from apps.catalog.models import Service
from apps.core.dispatcher import dispatch, preview
from apps.core.errors import Conflict, InvalidInput, NotAllowed, NotFound
from apps.core.models import AuditEntry
from tests.catalog.conftest import State, acting, published

NAME = "catalog.update_service"


@pytest.fixture
def service(team: Team, state: State) -> Service:
    state("web>pay/api", services=[{"service_id": "pay/api", "team": "payments", "criticality": "high"}])
    return Service.objects.get(service_id="pay/api")


def edit(user: User, **said: Any) -> dict[str, Any]:
    return dispatch(NAME, {"service_id": "pay/api", **said}, actor=acting(user)).value


def test_its_owner_changes_what_is_said_and_nothing_else(service: Service, owner: User) -> None:
    with published() as events:
        answer = edit(
            owner, published_sla=0.999, on_call="pay-primary", failure_semantics={"is_retry_safe": True}
        )
    service.refresh_from_db()
    assert (float(service.published_sla or 0), service.on_call, service.criticality) == (
        0.999,
        "pay-primary",
        "high",
    )
    assert answer["version"] == service.version == 2
    assert events == [("catalog.graph_changed", {"count": 1, "service_ids": ["pay/api"]})]


def test_it_leaves_before_and_after_in_the_audit_trail(service: Service, owner: User) -> None:
    edit(owner, criticality="low", rationale="moved behind the queue")
    entry = AuditEntry.objects.get()
    assert (entry.service_id, entry.rationale) == ("pay/api", "moved behind the queue")
    assert entry.before is not None
    assert entry.after is not None
    assert (entry.before["criticality"], entry.after["criticality"]) == ("high", "low")


def test_null_clears_a_field(service: Service, owner: User) -> None:
    edit(owner, published_sla=0.99, capacity={"max_concurrency": 4})
    edit(owner, published_sla=None, capacity=None)
    service.refresh_from_db()
    assert (service.published_sla, service.capacity) == (None, {})


def test_an_edit_that_changes_nothing_tells_nobody(service: Service, owner: User) -> None:
    with published() as events:
        assert edit(owner, criticality="high")["version"] == 1
    assert events == []


def test_a_discovered_service_counts_as_declared_afterwards(service: Service, admin: User) -> None:
    dispatch(NAME, {"service_id": "web", "criticality": "low"}, actor=acting(admin))
    assert not Service.objects.get(service_id="web").is_discovered


def test_it_rejects_the_owner_of_another_team(service: Service, db: None) -> None:
    other = User.objects.create(username="other", role=User.Role.SERVICE_OWNER)
    other.teams.add(Team.objects.create(name="shop"))
    with pytest.raises(NotAllowed, match="belongs to team payments"):
        edit(other, criticality="low")
    service.refresh_from_db()
    assert service.criticality == "high"


def test_it_rejects_an_owner_where_no_team_owns_it(service: Service, owner: User) -> None:
    with pytest.raises(NotAllowed):
        dispatch(NAME, {"service_id": "web", "team": "payments"}, actor=acting(owner))


@pytest.mark.parametrize("role", ["viewer", "auditor"])
def test_it_rejects_those_who_only_read(service: Service, role: str, request: pytest.FixtureRequest) -> None:
    with pytest.raises(NotAllowed):
        edit(request.getfixturevalue(role), criticality="low")


def test_the_second_of_two_people_gets_the_difference(service: Service, owner: User, admin: User) -> None:
    edit(admin, criticality="low", version=1)
    with pytest.raises(Conflict) as refused:
        edit(owner, criticality="critical", version=1)
    assert refused.value.extra["difference"]["criticality"] == "low"
    service.refresh_from_db()
    assert service.criticality == "low"


def test_it_refuses_a_team_that_does_not_exist(service: Service, admin: User) -> None:
    with pytest.raises(InvalidInput) as refused:
        edit(admin, team="nobody")
    assert [field.path for field in refused.value.fields] == ["team"]


def test_it_knows_only_services_that_exist(admin: User) -> None:
    with pytest.raises(NotFound):
        edit(admin, criticality="low")


def test_its_preview_shows_the_diff_and_who_is_affected(service: Service, owner: User) -> None:
    Team.objects.create(name="shop")
    seen = preview(
        NAME,
        {"service_id": "pay/api", "criticality": "low", "team": "shop", "is_external": True},
        actor=acting(owner),
    )
    assert [(change.label, change.before, change.after) for change in seen.changes] == [
        ("Team", "payments", "shop"),
        ("Criticality", "high", "low"),
        ("External", "no", "yes"),
    ]
    assert [(touch.count, list(touch.names)) for touch in seen.touches] == [(1, ["web"])]
    assert "you can't change it afterwards" in seen.warnings[0]
    service.refresh_from_db()
    assert (service.criticality, service.version) == ("high", 1)
    assert not AuditEntry.objects.exists()
