"""Circular dependencies: found after each change, told once, acknowledged by people, resolved by themselves."""

from __future__ import annotations

from datetime import timedelta

import pytest

from apps.accounts.models import User
from apps.catalog.graph.cycles import find_cycles, fingerprint
from apps.catalog.graph.staleness import refresh_staleness
from apps.catalog.models import CycleAlert, Dependency, Service
from apps.catalog.queries import cycle_members, cycles_of, open_cycles
from apps.catalog.sources import STALE_AFTER
from apps.core.dispatcher import dispatch, preview
from apps.core.errors import Conflict, NotAllowed, NotFound
from apps.core.models import AuditEntry
from tests.catalog.conftest import NOW, State, acting, published

NAME = "catalog.acknowledge_cycle"


@pytest.fixture(autouse=True)
def _now(time_machine_at_now: None) -> None:
    """The graph is stated at NOW."""


def test_a_cycle_opens_one_alert(state: State) -> None:
    with published() as events:
        summary = state("a>b", "b>c", "c>a", "c>d")
    alert = CycleAlert.objects.get()
    assert (alert.members, alert.path, alert.state) == (["a", "b", "c"], ["a", "b", "c"], "open")
    assert summary["cycles"] == {"open": 1, "opened": 1, "resolved": 0}
    assert ("catalog.cycle_opened", {"cycle_id": alert.pk, "path": ["a", "b", "c"]}) in events


def test_a_graph_without_a_cycle_opens_none(state: State) -> None:
    assert state("a>b", "b>c", "a>c")["cycles"] == {"open": 0, "opened": 0, "resolved": 0}


def test_a_cycle_seen_again_opens_no_second_alert(state: State) -> None:
    state("a>b", "b>a")
    with published() as events:
        assert state("a>b", "b>a", "x>y")["cycles"] == {"open": 1, "opened": 0, "resolved": 0}
    assert "catalog.cycle_opened" not in [topic for topic, _ in events]
    assert CycleAlert.objects.count() == 1


def test_two_cycles_open_two_alerts(state: State) -> None:
    state("a>b", "b>a", "x>y", "y>x", "b>x")
    assert sorted(alert.members for alert in open_cycles()) == [["a", "b"], ["x", "y"]]


def test_the_path_is_a_walk_along_the_edges(state: State) -> None:
    state("a>d", "d>c", "c>b", "b>a", "d>a")
    alert = CycleAlert.objects.get()
    assert alert.members == ["a", "b", "c", "d"]
    assert alert.path == ["a", "d"]


def test_a_cycle_that_grows_is_another_one(state: State) -> None:
    state("a>b", "b>a")
    assert state("b>c", "c>a")["cycles"] == {"open": 1, "opened": 1, "resolved": 1}
    states = {tuple(alert.members): alert.state for alert in CycleAlert.objects.all()}
    assert states == {("a", "b"): "resolved", ("a", "b", "c"): "open"}


def test_a_cycle_of_stale_edges_resolves_and_opens_again_with_them(state: State) -> None:
    state("a>b", "b>a", by="otel_service_graph")
    later = NOW + STALE_AFTER + timedelta(days=1)
    with published() as events:
        refresh_staleness(later)
    alert = CycleAlert.objects.get()
    assert (alert.state, alert.resolved_at) == ("resolved", later)
    assert "catalog.cycle_resolved" in [topic for topic, _ in events]
    with published() as events:
        state("a>b", "b>a", by="otel_service_graph", at=NOW + timedelta(minutes=1))
    alert.refresh_from_db()
    assert (alert.state, alert.resolved_at) == ("open", None)
    assert "catalog.cycle_opened" in [topic for topic, _ in events]


def test_ids_with_any_character_cannot_make_two_cycles_look_alike(state: State) -> None:
    assert fingerprint(["a,b", "c"]) != fingerprint(["a", "b,c"])
    state("a → b>é/☕", "é/☕>a → b")
    assert CycleAlert.objects.get().members == ["a → b", "é/☕"]


def test_the_found_cycles_do_not_depend_on_the_order_of_edges(state: State) -> None:
    pairs = ["a>b", "b>c", "c>a", "c>d", "d>c"]
    state(*pairs)
    first = find_cycles()
    Dependency.objects.all().delete()
    state(*reversed(pairs))
    assert find_cycles() == first


def test_it_tells_of_which_cycle_a_service_is_part(state: State) -> None:
    state("a>b", "b>a", "c>a")
    assert [alert.members for alert in cycles_of(Service.objects.get(service_id="a"))] == [["a", "b"]]
    assert cycles_of(Service.objects.get(service_id="c")) == []
    assert cycle_members() == {"a": ("a", "b"), "b": ("a", "b")}
    assert cycle_members(["c"]) == {}
    assert cycle_members(["a", "c"]) == {"a": ("a", "b"), "b": ("a", "b")}


class TestAcknowledge:
    @pytest.fixture
    def alert(self, state: State) -> CycleAlert:
        state("a>b", "b>a")
        return CycleAlert.objects.get()

    def test_it_says_that_the_cycle_is_known(self, alert: CycleAlert, owner: User) -> None:
        data = {"cycle_id": alert.pk, "version": alert.version, "rationale": "callbacks only"}
        answer = dispatch(NAME, data, actor=acting(owner)).value
        alert.refresh_from_db()
        assert answer == {"cycle_id": alert.pk, "state": "acknowledged", "version": 2}
        assert (alert.state, alert.acknowledged_by) == ("acknowledged", owner)
        entry = AuditEntry.objects.get()
        assert (entry.before, entry.after) == ({"state": "open"}, {"state": "acknowledged"})
        assert entry.rationale == "callbacks only"

    def test_an_acknowledged_cycle_stays_so_while_it_lasts(
        self, alert: CycleAlert, admin: User, state: State
    ) -> None:
        dispatch(NAME, {"cycle_id": alert.pk}, actor=acting(admin))
        assert state("x>y")["cycles"]["opened"] == 0
        alert.refresh_from_db()
        assert alert.state == "acknowledged"
        assert open_cycles() == [alert]

    def test_it_is_open_again_when_it_was_gone(self, alert: CycleAlert, admin: User, state: State) -> None:
        dispatch(NAME, {"cycle_id": alert.pk}, actor=acting(admin))
        Dependency.objects.filter(source__service_id="b").delete()
        assert state("x>y")["cycles"]["resolved"] == 1
        assert state("b>a")["cycles"]["opened"] == 1
        alert.refresh_from_db()
        assert (alert.state, alert.acknowledged_by) == ("open", None)

    @pytest.mark.parametrize("role", ["viewer", "auditor"])
    def test_it_rejects_those_who_only_read(
        self, alert: CycleAlert, role: str, request: pytest.FixtureRequest
    ) -> None:
        with pytest.raises(NotAllowed):
            dispatch(NAME, {"cycle_id": alert.pk}, actor=acting(request.getfixturevalue(role)))
        alert.refresh_from_db()
        assert alert.state == "open"

    def test_it_refuses_the_second_of_two_people(self, alert: CycleAlert, admin: User, owner: User) -> None:
        dispatch(NAME, {"cycle_id": alert.pk}, actor=acting(admin))
        with pytest.raises(Conflict, match="is acknowledged"):
            dispatch(NAME, {"cycle_id": alert.pk}, actor=acting(owner))

    def test_it_refuses_a_version_that_was_not_looked_at(self, alert: CycleAlert, admin: User) -> None:
        with pytest.raises(Conflict, match="resolved and has come back"):
            dispatch(NAME, {"cycle_id": alert.pk, "version": 7}, actor=acting(admin))

    def test_it_knows_no_other_cycle(self, admin: User, db: None) -> None:
        with pytest.raises(NotFound):
            dispatch(NAME, {"cycle_id": 1}, actor=acting(admin))

    def test_its_preview_names_the_members_and_does_nothing(self, alert: CycleAlert, admin: User) -> None:
        seen = preview(NAME, {"cycle_id": alert.pk}, actor=acting(admin))
        assert [tuple(touch.names) for touch in seen.touches] == [("a", "b")]
        alert.refresh_from_db()
        assert alert.state == "open"
