"""The demo's journeys: made with it, left alone afterwards, gone with it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from apps.core.actions import Actor
from apps.core.demo_parts import parts
from apps.core.dispatcher import dispatch
from apps.demo import services
from apps.demo.description import fleet
from apps.journeys.models import Journey, JourneyResult
from tests.demo.fleets import NOW, services_of, tiny_fleet
from tests.demo.snapshots import remove


def test_there_are_two_with_paths_over_the_fleet() -> None:
    rows = fleet().tables["journeys"]
    assert [row["name"] for row in rows] == ["Check out", "Payout"]
    assert all(len(row["paths"]) == 2 and services_of(row) <= set(fleet().service_ids) for row in rows)


def test_every_table_of_the_description_is_read_by_somebody() -> None:
    assert set(fleet().tables) == {part.words for part in parts()}


def test_they_come_with_the_demo_and_are_computed(loaded: Any) -> None:
    journey = Journey.objects.get()
    assert (journey.name, journey.origin) == ("Payout", "demo")
    result = JourneyResult.objects.get()
    assert result.computed_at is not None


def test_one_that_somebody_deleted_does_not_come_back(loaded: Any) -> None:
    dispatch("journeys.delete", {"journey": "payout", "version": 1}, actor=Actor.system("test"))
    assert services.bring_up_to_date(NOW + timedelta(hours=2), demo=tiny_fleet()).parts == {"journeys": 0}
    assert not Journey.objects.exists()


def test_they_go_with_the_demo_and_others_stay(loaded: Any) -> None:
    paths = [{"steps": [{"service_id": "ledger"}]}]
    dispatch("journeys.create", {"name": "Mine", "paths": paths}, actor=Actor.system("test"))
    assert remove()["journeys"] == 1
    assert list(Journey.objects.values_list("name", flat=True)) == ["Mine"]
