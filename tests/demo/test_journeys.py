"""The demo's journeys: made with it, left alone afterwards, gone with it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from apps.core.actions import Actor
from apps.core.dispatcher import dispatch
from apps.demo import services
from apps.demo.description import DescriptionError, fleet, parse
from apps.journeys.models import Journey, JourneyResult
from tests.demo.fleets import NOW, tiny_fleet
from tests.demo.snapshots import remove
from tests.demo.test_describe import document


def test_there_are_two_with_paths_over_the_fleet() -> None:
    assert [journey.name for journey in fleet().journeys] == ["Check out", "Payout"]
    assert all(len(journey.paths) == 2 for journey in fleet().journeys)


def test_a_journey_over_a_service_that_is_not_there_is_named() -> None:
    wrong = document()
    wrong["journeys"][0]["paths"][0]["steps"].append({"service_id": "nobody"})
    with pytest.raises(DescriptionError, match="journeys: Check out: there is no service nobody"):
        parse(wrong)


def test_they_come_with_the_demo_and_are_computed(loaded: Any) -> None:
    journey = Journey.objects.get()
    assert (journey.name, journey.origin) == ("Payout", "demo")
    result = JourneyResult.objects.get()
    assert result.computed_at is not None


def test_one_that_somebody_deleted_does_not_come_back(loaded: Any) -> None:
    dispatch("journeys.delete", {"journey": "payout", "version": 1}, actor=Actor.system("test"))
    assert services.bring_up_to_date(NOW + timedelta(hours=2), demo=tiny_fleet()).journeys == 0
    assert not Journey.objects.exists()


def test_they_go_with_the_demo_and_others_stay(loaded: Any) -> None:
    paths = [{"steps": [{"service_id": "ledger"}]}]
    dispatch("journeys.create", {"name": "Mine", "paths": paths}, actor=Actor.system("test"))
    assert remove()["journeys"] == 1
    assert list(Journey.objects.values_list("name", flat=True)) == ["Mine"]
