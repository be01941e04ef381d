"""Creating a journey: who may, what is refused, what is kept."""

from __future__ import annotations

import pytest

from apps.accounts.models import Team
from apps.catalog.models import Service
from apps.core.actions import Actor
from apps.core.dispatcher import dispatch, preview
from apps.core.errors import InvalidInput, NotAllowed
from apps.core.models import AuditEntry, OutboxEvent
from apps.journeys.models import Journey, JourneyResult
from tests.journeys.conftest import acting, journey_input, make_user


def test_it_keeps_the_paths_in_order_and_knows_the_members(fleet: dict[str, Service], admin: Actor) -> None:
    done = dispatch("journeys.create", journey_input(), actor=admin)
    journey = Journey.objects.get()
    assert done.value["journey"] == journey.slug == "check-out"
    assert [path["name"] for path in journey.paths] == ["by card", "by invoice"]
    assert journey.paths[0]["steps"] == [
        {"service_id": "web", "calls": 1.0},
        {"service_id": "pay", "calls": 1.0},
    ]
    assert sorted(journey.members.values_list("service_id", flat=True)) == ["pay", "web"]


def test_it_is_audited_announced_and_asked_to_be_computed(fleet: dict[str, Service], admin: Actor) -> None:
    dispatch("journeys.create", journey_input(rationale="What the shop lives on."), actor=admin)
    entry = AuditEntry.objects.get(action="journeys.create")
    assert (entry.object_label, entry.rationale) == ("Check out", "What the shop lives on.")
    assert entry.after is not None
    assert entry.after["target"] == 0.995
    assert OutboxEvent.objects.filter(topic="journeys.changed").exists()
    assert JourneyResult.objects.get().is_being_made


def test_a_preview_changes_nothing(fleet: dict[str, Service], admin: Actor) -> None:
    shown = preview("journeys.create", journey_input(), actor=admin)
    assert shown.summary == "Check out is a journey with 2 paths over 2 services."
    assert "Path 1" in {change.label for change in shown.changes}
    assert not Journey.objects.exists()
    assert not AuditEntry.objects.filter(action="journeys.create").exists()


def test_an_owner_creates_for_a_team_of_theirs_only(fleet: dict[str, Service], owner: Actor) -> None:
    Team.objects.create(name="payments")
    dispatch("journeys.create", journey_input(), actor=owner)
    for team in ("payments", None):
        with pytest.raises(NotAllowed, match="your own teams"):
            dispatch("journeys.create", journey_input(name=f"for {team}", team=team), actor=owner)


@pytest.mark.parametrize("role", ["viewer", "auditor"])
def test_who_only_reads_may_not(fleet: dict[str, Service], role: str) -> None:
    with pytest.raises(NotAllowed, match="only an SRE admin or an owner"):
        dispatch("journeys.create", journey_input(), actor=acting(make_user("vera", role)))


def test_a_service_that_is_not_there_is_named_by_its_place(fleet: dict[str, Service], admin: Actor) -> None:
    paths = [{"steps": [{"service_id": "web"}, {"service_id": "nobody"}]}]
    with pytest.raises(InvalidInput) as refusal:
        dispatch("journeys.create", journey_input(paths=paths), actor=admin)
    assert [problem.path for problem in refusal.value.fields] == ["paths.0.steps.1.service_id"]
    assert refusal.value.fields[0].message == "There is no service called nobody."


@pytest.mark.parametrize(
    ("more", "path"),
    [
        ({"name": ""}, "name"),
        ({"target": 99.9}, "target"),
        ({"target": 1}, "target"),
        ({"latency_target_ms": 0}, "latency_target_ms"),
        ({"latency_target_ms": -250}, "latency_target_ms"),
        ({"latency_target_ms": 86_400_001}, "latency_target_ms"),
        ({"latency_target_ms": "soon"}, "latency_target_ms"),
        ({"paths": []}, "paths"),
        ({"paths": [{"steps": []}]}, "paths.0.steps"),
        ({"paths": [{"weight": 0, "steps": [{"service_id": "web"}]}]}, "paths.0.weight"),
        ({"paths": [{"steps": [{"service_id": "web", "calls": 0}]}]}, "paths.0.steps.0.calls"),
        ({"team": "nobody's"}, "team"),
    ],
)
def test_it_names_the_field_at_fault(
    fleet: dict[str, Service], admin: Actor, more: dict[str, object], path: str
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        dispatch("journeys.create", journey_input(**more), actor=admin)
    assert [problem.path for problem in refusal.value.fields] == [path]


def test_a_latency_target_is_kept_audited_and_explained_where_it_is_none(
    fleet: dict[str, Service], admin: Actor
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        dispatch("journeys.create", journey_input(latency_target_ms=0), actor=admin)
    assert "A latency target must be above 0 ms" in refusal.value.fields[0].message
    shown = preview("journeys.create", journey_input(latency_target_ms=1_200), actor=admin)
    changes = {change.label: change.after for change in shown.changes}
    assert changes["Latency target"] == "95\u202f% within 1.2\u202fs"
    dispatch("journeys.create", journey_input(latency_target_ms=1_200), actor=admin)
    assert Journey.objects.get().latency_target_ms == 1_200
    entry = AuditEntry.objects.get(action="journeys.create")
    assert entry.after is not None
    assert entry.after["latency_target_ms"] == 1_200


def test_two_journeys_do_not_share_a_name_but_may_share_the_beginning_of_an_address(
    fleet: dict[str, Service], admin: Actor
) -> None:
    dispatch("journeys.create", journey_input(), actor=admin)
    with pytest.raises(InvalidInput, match="already"):
        dispatch("journeys.create", journey_input(), actor=admin)
    assert (
        dispatch("journeys.create", journey_input(name="Check out!"), actor=admin).value["journey"]
        == "check-out-2"
    )
    assert dispatch("journeys.create", journey_input(name="New"), actor=admin).value["journey"] == "new-2"


def test_the_same_key_creates_once(fleet: dict[str, Service], admin: Actor) -> None:
    for _ in range(2):
        dispatch("journeys.create", journey_input(), actor=admin, idempotency_key="once")
    assert Journey.objects.count() == 1
