"""What a worker makes of a journey, and when it makes it anew."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from apps.catalog.models import Dependency, Service
from apps.core.actions import Actor
from apps.core.dispatcher import dispatch
from apps.core.instants import clocks
from apps.journeys.making import compute, graph
from apps.journeys.models import Journey, JourneyResult
from apps.journeys.services import mark_outdated
from apps.slos.models import Recommendation
from tests.journeys.conftest import journey_input, settle
from tests.slos.conftest import compute as recommend
from tests.slos.conftest import make_edge, make_service


def document_of(journey: Journey) -> dict[str, Any]:
    assert compute.compute_one(journey)
    return dict(JourneyResult.objects.get(journey=journey).document)


def test_the_graph_below_is_what_the_recommendations_say(fleet: dict[str, Service]) -> None:
    below = graph.load([fleet["web"].pk])
    assert set(below.graph.own) == {"web", "pay", "db"}
    stored = Recommendation.objects.get(service=fleet["web"], sli_type="availability")
    assert below.graph.own["web"] == pytest.approx(stored.document["composite"]["own"])
    assert below.whole["web"] == pytest.approx(1 - stored.document["composite"]["point"])
    assert stored.balanced is not None
    assert below.predicted["web"].tiers["balanced"] == 1 - stored.balanced
    assert {(edge.source, edge.target) for edge in below.graph.edges} == {
        ("web", "pay"),
        ("web", "db"),
        ("pay", "db"),
    }
    assert below.unknown == ()


def test_stand_ins_say_how_many_of_them_must_be_up(fleet: dict[str, Service]) -> None:
    for name in ("one", "two", "three"):
        known = make_service(name, is_external=True, published_sla=0.999)
        make_edge(fleet["web"], known, redundancy_group="trio", redundancy_needed=2)
    assert graph.load([fleet["web"].pk]).graph.rules["web", "trio"].needed == 2


def test_it_is_no_better_than_its_worst_service_and_no_worse_than_their_product(journey: Journey) -> None:
    found = document_of(journey)
    worst = min(each.composite or 0.0 for each in Recommendation.objects.filter(sli_type="availability"))
    assert found["naive"] <= found["availability"] <= worst + 1e-9
    low, high = found["interval"]
    assert low < found["tiers"]["aggressive"]["target"] < high
    assert [path["share"] for path in found["paths"]] == [0.75, 0.25]
    assert {link["service_id"] for link in found["links"]} == {"web", "pay", "db"}
    assert found["links"][0]["service_id"] == JourneyResult.objects.get().weakest == "web"


def test_a_target_that_is_too_high_is_missed(fleet: dict[str, Service], admin: Actor) -> None:
    for target, least, most in ((0.9, 0.0, 0.01), (0.9999, 0.99, 1.0)):
        dispatch("journeys.create", journey_input(name=f"at {target}", target=target), actor=admin)
        chance = document_of(Journey.objects.get(name=f"at {target}"))["chance_missed"]
        assert least <= chance <= most


def test_the_same_journey_computes_the_same(journey: Journey) -> None:
    assert document_of(journey) == document_of(journey)


def test_what_nothing_is_known_of_is_named(fleet: dict[str, Service], admin: Actor) -> None:
    new = make_service("new")
    make_edge(fleet["web"], new)
    dispatch("journeys.create", journey_input(), actor=admin)
    assert document_of(Journey.objects.get())["unknown"] == ["new"]
    only = [{"name": "", "weight": 1, "steps": [{"service_id": "new"}]}]
    dispatch("journeys.create", journey_input(name="Only new", paths=only), actor=admin)
    alone = document_of(Journey.objects.get(name="Only new"))
    assert alone["availability"] is None
    assert alone["unknown"] == ["new"]


def test_an_external_provider_counts_as_its_callers_saw_it_or_as_it_publishes(
    fleet: dict[str, Service],
) -> None:
    bank = make_service("bank", is_external=True, published_sla=0.999)
    make_edge(fleet["pay"], bank)
    below = graph.load([fleet["pay"].pk])
    assert below.graph.own["bank"] == pytest.approx(1 - 1.1e-3)
    recommend(bank)
    assert "bank" in graph.load([fleet["pay"].pk]).predicted


def test_a_service_that_went_leaves_the_journey_without_a_number(
    journey: Journey, fleet: dict[str, Service]
) -> None:
    Dependency.objects.filter(target=fleet["pay"]).delete()
    fleet["pay"].delete()
    found = document_of(journey)
    assert found["availability"] is None
    assert found["gone"] == ["pay"]


def test_only_what_was_asked_for_is_computed(journey: Journey) -> None:
    assert compute.refresh(None, reason="test") == 1
    assert compute.refresh(None, reason="test") == 0
    mark_outdated([journey.pk])
    assert compute.refresh([str(journey.pk)], reason="test") == 1
    assert compute.refresh(None, reason="test", is_forced=True) == 1


def test_a_worker_that_is_told_before_the_note_is_committed_computes_all_the_same(journey: Journey) -> None:
    assert compute.refresh(None, reason="test") == 1
    asked = timezone.now()
    assert not JourneyResult.objects.get().is_being_made
    assert compute.refresh([str(journey.pk)], reason="test", asked=asked) == 1
    # The note is committed only now; what was computed meanwhile answers it.
    mark_outdated([journey.pk], now=asked)
    assert not JourneyResult.objects.get().is_being_made
    assert compute.refresh([str(journey.pk)], reason="test", asked=asked) == 0


def test_a_worker_that_slept_does_not_replace_a_result_from_later_data(journey: Journey) -> None:
    read = iter([timezone.now()])
    assert compute.compute_one(journey)
    before = JourneyResult.objects.get().computed_from
    with clocks(database=lambda: next(read, None) or timezone.now()):
        assert not compute.compute_one(journey)
    assert JourneyResult.objects.get().computed_from == before
    assert compute.compute_one(journey)


def test_a_result_of_a_version_that_is_gone_is_not_kept(journey: Journey, admin: Actor) -> None:
    dispatch("journeys.edit", journey_input(journey="check-out", version=1, target=0.9), actor=admin)
    assert not compute.compute_one(journey)
    assert JourneyResult.objects.get().computed_at is None


def test_a_created_journey_is_computed_by_a_worker(
    live_worker: Any, fleet: dict[str, Service], admin: Actor
) -> None:
    settle(live_worker)
    dispatch("journeys.create", journey_input(), actor=admin)
    settle(live_worker)
    result = JourneyResult.objects.get()
    assert not result.is_being_made
    assert result.availability is not None


def test_new_numbers_of_a_member_move_its_journeys(
    live_worker: Any, journey: Journey, fleet: dict[str, Service]
) -> None:
    settle(live_worker)
    before = JourneyResult.objects.get().computed_at
    recommend(fleet["pay"])
    settle(live_worker)
    after = JourneyResult.objects.get()
    assert before is not None
    assert after.computed_at is not None
    assert after.computed_at > before
    assert not after.is_being_made
