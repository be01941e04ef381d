"""What counts is when inputs were read: a result stored after a change may rest on what was there before it."""

from __future__ import annotations

from datetime import timedelta
from itertools import permutations

import pytest
from django.db import transaction

from apps.catalog.models import Service
from apps.core import instants
from apps.core.actions import Actor
from apps.core.models import OutboxEvent, Run
from apps.core.runs.executing import execute
from apps.slos import runs
from apps.slos.making import compute as computing
from apps.slos.making import storing
from apps.slos.models import EdgeEstimate, Recommendation
from apps.slos.subscribers import outdate_on_graph_change
from tests.slos.conftest import compute, current, full_hour, make_edge, make_hours, make_service


@pytest.fixture
def fleet(db: None) -> list[Service]:
    found = [make_service(name) for name in ("a", "b", "c")]
    for service in found:
        make_hours(service, days=35)
    return found


@pytest.mark.parametrize("names", [None, ["c"], ["b", "c"]], ids=["all", "one", "some"])
def test_a_graph_that_changes_while_a_refresh_runs_is_heard_by_the_next(
    fleet: list[Service], monkeypatch: pytest.MonkeyPatch, names: list[str] | None
) -> None:
    monkeypatch.setattr(computing, "STORED_AT_ONCE", 1)

    def change(done: int, _all: int) -> None:
        """The first is stored; the graph of the rest has been read and is not stored yet."""
        if done == 1 and not Run.objects.exists():
            make_edge(fleet[2], fleet[0])
            with transaction.atomic():
                outdate_on_graph_change(
                    OutboxEvent(topic="catalog.graph_changed", payload={"service_ids": names})
                )

    assert computing.refresh(None, reason="hourly refresh", progress=change) == 3 + (names is None)
    assert not EdgeEstimate.objects.exists()
    run = execute(Run.objects.get(kind=runs.REFRESH, state="pending").pk)
    assert run is not None
    assert run.state == "completed"
    assert EdgeEstimate.objects.filter(source=fleet[2], target=fleet[0]).exists()
    assert computing.refresh(None, reason="hourly refresh", outdated=run.created_at) == (
        0 if names is None else 3 - len(names)
    )


@pytest.mark.parametrize("order", list(permutations((1, 2, 3))))
def test_the_latest_inputs_stand_in_whichever_order_results_are_stored(
    fleet: list[Service], order: tuple[int, ...]
) -> None:
    documents = list(computing.documents([(full_hour(), fleet[:1])]))
    start = instants.now() - timedelta(minutes=5)
    newest = 0
    for minute in order:
        stored = computing.store(
            documents,
            computed_from=start + timedelta(minutes=minute),
            actor=Actor.system("tests"),
            rationale="a test",
        )
        assert stored == (minute > newest)
        newest = max(newest, minute)
        assert current(fleet[0]).computed_from == start + timedelta(minutes=newest)


def test_a_result_of_before_the_clock_was_set_back_is_replaced(fleet: list[Service]) -> None:
    compute(fleet[0])
    Recommendation.objects.update(computed_from=instants.now() + timedelta(hours=1))
    compute(fleet[0])
    found = current(fleet[0]).computed_from
    assert found is not None
    assert found < instants.now()


@pytest.mark.parametrize("is_known", [True, False])
def test_what_rests_on_the_state_before_a_change_is_outdated_once(
    fleet: list[Service], is_known: bool
) -> None:
    compute(fleet[0])
    if not is_known:
        Recommendation.objects.update(computed_from=None)
    changed = instants.now()
    pks = [fleet[0].pk]
    assert storing.mark_outdated(pks, changed_at=changed) == 3
    Recommendation.objects.update(expires_at=changed + storing.LIFETIME)
    assert computing.refresh(pks, reason="a test") == 0
    assert computing.refresh(pks, reason="a test", outdated=changed) == 1
    assert computing.refresh(pks, reason="a test", outdated=changed) == 0
    assert storing.mark_outdated(pks, changed_at=changed) == 0
