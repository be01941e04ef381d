"""Changing a journey and taking it away."""

from __future__ import annotations

import pytest

from apps.catalog.models import Service
from apps.core.actions import Actor
from apps.core.dispatcher import dispatch, preview
from apps.core.errors import Conflict, NotAllowed, NotFound
from apps.core.models import AuditEntry
from apps.journeys.models import Journey, JourneyResult
from tests.journeys.conftest import acting, journey_input, make_user

ONE_PATH = [{"name": "", "weight": 1, "steps": [{"service_id": "db", "calls": 2}]}]


def test_an_edit_replaces_the_whole_and_counts_up(journey: Journey, owner: Actor) -> None:
    data = journey_input(journey="check-out", version=1, name="Buy", paths=ONE_PATH, target=None)
    dispatch("journeys.edit", data, actor=owner)
    journey.refresh_from_db()
    assert (journey.name, journey.slug, journey.version, journey.target) == ("Buy", "check-out", 2, None)
    assert list(journey.members.values_list("service_id", flat=True)) == ["db"]
    entry = AuditEntry.objects.get(action="journeys.edit")
    assert entry.before is not None
    assert entry.before["name"] == "Check out"
    assert JourneyResult.objects.get().is_being_made


def test_an_edit_of_what_somebody_changed_meanwhile_is_refused_with_the_difference(
    journey: Journey, admin: Actor
) -> None:
    dispatch("journeys.edit", journey_input(journey="check-out", version=1, name="Buy"), actor=admin)
    with pytest.raises(Conflict) as refusal:
        dispatch("journeys.edit", journey_input(journey="check-out", version=1), actor=admin)
    assert refusal.value.extra["difference"]["name"] == "Buy"


def test_an_owner_can_neither_edit_another_teams_nor_give_theirs_away(
    journey: Journey, owner: Actor, fleet: dict[str, Service]
) -> None:
    stranger = acting(make_user("otto", "service_owner"))
    data = journey_input(journey="check-out", version=1)
    with pytest.raises(NotAllowed, match="belongs to team shop"):
        dispatch("journeys.edit", data, actor=stranger)
    with pytest.raises(NotAllowed, match="your own teams"):
        dispatch("journeys.edit", data | {"team": None}, actor=owner)


def test_a_preview_of_an_edit_shows_what_changes(journey: Journey, owner: Actor) -> None:
    data = journey_input(journey="check-out", version=1, target=0.99, paths=ONE_PATH)
    changes = {
        change.label: (change.before, change.after)
        for change in preview("journeys.edit", data, actor=owner).changes
    }
    assert changes["Target"] == ("99.5\u202f%", "99\u202f%")
    assert "Latency target" not in changes
    changed = preview("journeys.edit", data | {"latency_target_ms": 800}, actor=owner).changes
    within = next(change for change in changed if change.label == "Latency target")
    assert (within.before, within.after) == ("—", "95\u202f% within 800\u202fms")
    assert changes["Path 1"] == ("by card, 75 %: web → pay", "Path 1, 100 %: db × 2")
    assert changes["Path 2"][1] == "none"


def test_a_deleted_journey_is_gone_and_its_services_stay(journey: Journey, owner: Actor) -> None:
    dispatch(
        "journeys.delete",
        {"journey": "check-out", "version": 1, "rationale": "Not sold any more."},
        actor=owner,
    )
    assert not Journey.objects.exists()
    assert not JourneyResult.objects.exists()
    assert Service.objects.count() == 3
    entry = AuditEntry.objects.get(action="journeys.delete")
    assert entry.before is not None
    assert entry.before["paths"]


def test_a_viewer_deletes_nothing(journey: Journey) -> None:
    with pytest.raises(NotAllowed):
        dispatch(
            "journeys.delete",
            {"journey": "check-out", "version": 1},
            actor=acting(make_user("vera", "viewer")),
        )


def test_what_is_not_there_cannot_be_deleted(fleet: dict[str, Service], admin: Actor) -> None:
    with pytest.raises(NotFound, match="no journey nowhere"):
        dispatch("journeys.delete", {"journey": "nowhere", "version": 1}, actor=admin)
