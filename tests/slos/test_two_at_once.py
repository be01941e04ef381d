"""Two people decide at the same moment: one of them is first, the other hears what the first did."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connections

from apps.accounts.models import Team
from apps.core.actions import Actor
from apps.core.dispatcher import dispatch
from apps.core.errors import Conflict
from apps.core.models import AuditEntry
from apps.slos.models import ActiveSlo
from tests.slos.conftest import acting, compute, current, make_hours, make_service, make_user


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Run calls in threads that start together; returns results or the errors they raised."""
    found: list[Any] = [None] * len(calls)
    start = threading.Barrier(len(calls), timeout=60)

    def run(at: int) -> None:
        try:
            start.wait()
            found[at] = calls[at]()
        except Exception as error:
            found[at] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(at,)) for at in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


@pytest.fixture
def people(transactional_db: None) -> list[Actor]:
    team = Team.objects.create(name="shop")
    service = make_service("checkout", team=team)
    make_hours(service, days=35)
    compute(service)
    return [acting(make_user(name, "service_owner", team)) for name in ("ada", "ben")]


def outcome(found: list[Any]) -> Conflict:
    """The one refusal; the other call went through."""
    conflicts = [each for each in found if isinstance(each, Conflict)]
    assert len(conflicts) == 1, found
    assert not [each for each in found if isinstance(each, Exception) and each not in conflicts]
    return conflicts[0]


def test_the_second_to_accept_gets_a_conflict_with_the_difference(people: list[Actor]) -> None:
    from apps.catalog.models import Service

    service = Service.objects.get()
    recommendation = str(current(service).pk)

    def accept(actor: Actor, tier: str) -> Callable[[], Any]:
        data = {
            "service_id": "checkout",
            "sli_type": "availability",
            "tier": tier,
            "recommendation_id": recommendation,
            "expected_version": 0,
        }
        return lambda: dispatch("slos.accept", data, actor=actor)

    conflict = outcome(at_once(accept(people[0], "conservative"), accept(people[1], "aggressive")))
    slo = ActiveSlo.objects.get()
    rows = {row["label"]: row for row in conflict.extra["difference"]}
    assert rows["Decided by"]["after"].startswith(slo.started_by_name)
    assert rows["SLO"]["before"] == "none"
    assert AuditEntry.objects.filter(action="slos.accept").count() == 1


def test_the_second_to_edit_gets_a_conflict(people: list[Actor]) -> None:
    about = {"service_id": "checkout", "sli_type": "availability", "rationale": "why"}
    dispatch("slos.set", {**about, "target": 0.99}, actor=people[0])

    def edit(actor: Actor, target: float) -> Callable[[], Any]:
        return lambda: dispatch("slos.edit", {**about, "target": target, "expected_version": 1}, actor=actor)

    outcome(at_once(edit(people[0], 0.995), edit(people[1], 0.999)))
    assert ActiveSlo.objects.filter(ended_at__isnull=True).get().version == 2


def test_the_second_to_set_gets_a_conflict(people: list[Actor]) -> None:
    about = {"service_id": "checkout", "sli_type": "latency_p95", "rationale": "why"}

    def put(actor: Actor, threshold: float) -> Callable[[], Any]:
        return lambda: dispatch("slos.set", {**about, "threshold_ms": threshold}, actor=actor)

    outcome(at_once(put(people[0], 200), put(people[1], 300)))
    assert ActiveSlo.objects.count() == 1


def test_different_slis_are_decided_at_once_by_two(people: list[Actor]) -> None:
    about = {"service_id": "checkout", "rationale": "why"}
    found = at_once(
        lambda: dispatch("slos.set", {**about, "sli_type": "availability", "target": 0.99}, actor=people[0]),
        lambda: dispatch(
            "slos.set", {**about, "sli_type": "latency_p95", "threshold_ms": 9}, actor=people[1]
        ),
    )
    assert not [each for each in found if isinstance(each, Exception)]
    assert ActiveSlo.objects.count() == 2


def test_two_computations_of_one_service_leave_one_current_recommendation(people: list[Actor]) -> None:
    from apps.catalog.models import Service

    service = Service.objects.get()
    found = at_once(lambda: compute(service), lambda: compute(service))
    assert not [each for each in found if isinstance(each, Exception)], found
    assert current(service).status == "current"


def test_two_who_ask_for_the_same_recommendation_have_it_made_once(people: list[Actor]) -> None:
    from apps.catalog.models import Service
    from apps.slos.making import compute as computing
    from apps.slos.models import Recommendation

    pk = Service.objects.get().pk
    before = Recommendation.objects.count()

    def ask() -> Any:
        return computing.compute_one(pk, window_days=28, store=True, asked_by="somebody")

    assert at_once(ask, ask) == [{"state": "stored"}] * 2
    assert Recommendation.objects.count() == before + 3


def test_two_decisions_at_once_start_one_renewal(people: list[Actor]) -> None:
    from apps.catalog.models import Service
    from apps.slos.making import compute as computing
    from apps.slos.making.storing import mark_outdated

    pk = Service.objects.get().pk
    mark_outdated([pk])
    found = at_once(*[lambda: computing.refresh([pk], reason="the one before was decided on")] * 2)
    assert sorted(found) == [0, 1]
