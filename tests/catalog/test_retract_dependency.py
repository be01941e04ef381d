"""Taking back a declared dependency."""

from __future__ import annotations

from typing import Any

import pytest

from apps.accounts.models import User
from apps.catalog.models import CycleAlert, Dependency
from apps.catalog.runs import REFRESH_CYCLES
from apps.core.delivery import relay
from apps.core.dispatcher import dispatch, preview
from apps.core.errors import NotAllowed, NotFound
from apps.core.models import AuditEntry, Run
from apps.core.runs.executing import execute
from tests.catalog.conftest import State, acting, edge, published

NAME = "catalog.retract_dependency"


def retract(user: User, **said: Any) -> dict[str, Any]:
    return dispatch(NAME, {"source": "a", "target": "b", **said}, actor=acting(user)).value


def test_an_edge_that_nobody_else_knows_is_gone(admin: User, state: State) -> None:
    state("a>b")
    with published() as events:
        assert retract(admin, rationale="never called")["known_by"] == []
    assert not Dependency.objects.exists()
    assert [topic for topic, _ in events] == ["catalog.graph_changed", "catalog.edges_removed"]
    entry = AuditEntry.objects.get()
    assert entry.before is not None
    assert (entry.object_label, entry.before["known_by"]) == ("a → b", ["manual"])


def test_an_edge_that_others_know_stays_with_what_they_say(admin: User, state: State) -> None:
    state(dependencies=[edge("a", "b", criticality="soft")], by="manual")
    state(dependencies=[edge("a", "b", criticality="degraded")], by="file")
    assert retract(admin)["known_by"] == ["file"]
    assert Dependency.objects.get().criticality == "degraded"


def test_a_cycle_that_it_opened_is_resolved_by_a_worker(admin: User, state: State) -> None:
    state("a>b", "b>a")
    retract(admin)
    relay.drain()
    execute(Run.objects.get(kind=REFRESH_CYCLES).pk)
    assert CycleAlert.objects.get().state == "resolved"


def test_it_refuses_what_that_source_never_said(admin: User, state: State) -> None:
    state("a>b", by="kubernetes")
    with pytest.raises(NotFound, match="manual does not say that a depends on b"):
        retract(admin)


def test_it_rejects_an_owner_of_another_team(owner: User, state: State) -> None:
    state("a>b", services=[{"service_id": "a", "team": "other"}])
    with pytest.raises(NotAllowed):
        retract(owner)
    assert Dependency.objects.exists()


def test_it_lets_the_owner_of_the_caller(owner: User, state: State) -> None:
    state("a>b", services=[{"service_id": "a", "team": "payments"}])
    retract(owner)
    assert not Dependency.objects.exists()


def test_its_preview_says_whether_the_edge_goes(admin: User, state: State) -> None:
    state("a>b")
    assert preview(NAME, {"source": "a", "target": "b"}, actor=acting(admin)).summary == "a → b is removed."
    state("a>b", by="file")
    seen = preview(NAME, {"source": "a", "target": "b"}, actor=acting(admin))
    assert (seen.summary, list(seen.warnings)) == ("a → b stays, known by file.", [])
    assert Dependency.objects.exists()
