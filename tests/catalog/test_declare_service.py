"""Putting a service into the catalog by hand."""

from __future__ import annotations

from typing import Any

import pytest

from apps.accounts.models import Team, User
from apps.catalog.models import Service
from apps.core.dispatcher import dispatch, preview
from apps.core.errors import Conflict, NotAllowed
from apps.core.models import AuditEntry
from tests.catalog.conftest import State, acting, published

NAME = "catalog.declare_service"


def declare(user: User, **said: Any) -> dict[str, Any]:
    return dispatch(NAME, {"service_id": "ledger", **said}, actor=acting(user)).value


def test_it_makes_a_service(admin: User, team: Team) -> None:
    with published() as events:
        declare(admin, team="payments", criticality="critical")
    service = Service.objects.get()
    assert (service.team, service.criticality, service.is_discovered, service.version) == (
        team,
        "critical",
        False,
        1,
    )
    assert [topic for topic, _ in events] == ["catalog.graph_changed"]
    assert AuditEntry.objects.get().service_id == "ledger"


def test_it_declares_one_that_was_discovered(admin: User, state: State) -> None:
    state("web>ledger")
    declare(admin, criticality="low")
    service = Service.objects.get(service_id="ledger")
    assert (service.is_discovered, service.criticality, service.version) == (False, "low", 2)


def test_it_refuses_one_that_is_declared_already(admin: User) -> None:
    declare(admin)
    with pytest.raises(Conflict, match="in the catalog already"):
        declare(admin)


def test_an_owner_declares_services_of_their_team(owner: User) -> None:
    declare(owner, team="payments")
    assert Service.objects.get().team == owner.teams.get()


@pytest.mark.parametrize("claimed", ["other", None])
def test_it_rejects_an_owner_for_anything_else(owner: User, claimed: str | None) -> None:
    Team.objects.create(name="other")
    with pytest.raises(NotAllowed, match="of your own teams"):
        declare(owner, team=claimed)
    assert not Service.objects.exists()


def test_it_rejects_a_viewer(viewer: User) -> None:
    with pytest.raises(NotAllowed):
        declare(viewer)


def test_its_preview_does_nothing(admin: User, state: State) -> None:
    assert preview(NAME, {"service_id": "ledger"}, actor=acting(admin)).summary == "ledger is new."
    assert not Service.objects.exists()
