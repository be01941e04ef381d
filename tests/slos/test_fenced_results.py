"""A worker that slept for longer than its lease stores nothing, and whoever waits on a run hears of its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.db import transaction

from apps.catalog.models import Service
from apps.core.actions import Actor
from apps.core.dispatcher import dispatch
from apps.core.models import Run
from apps.core.redis import asking
from apps.core.runs import LeaseLost
from apps.core.runs.executing import execute
from apps.core.runs.holding import claim
from apps.journeys import runs as journey_runs
from apps.journeys import tasks as journey_tasks
from apps.journeys.models import Journey, JourneyResult
from apps.slos import runs, tasks
from apps.slos.models import Recommendation
from tests.slos.conftest import compute, make_hours, make_service

SAM = Actor.system("sam")


@pytest.fixture
def service(db: None) -> Service:
    found = make_service("checkout")
    make_hours(found, days=35)
    return found


def regeneration(service: Service, ticket: str = "nobody") -> Run:
    with transaction.atomic():
        return runs.regenerate(service, ticket=ticket, actor=SAM)


def refreshes(service: Service | None) -> Callable[[Service], Run]:
    def start(found: Service) -> Run:
        with transaction.atomic():
            runs.refresh_recommendations(None if service is None else [found.pk], reason="a test")
        return Run.objects.get(kind=runs.REFRESH)

    return start


def refresh_of_one(service: Service) -> Run:
    return refreshes(service)(service)


def lost(run: Run) -> Any:
    """A holder whose run somebody else has taken over while it slept."""
    holding = claim(run.pk)
    assert holding is not None
    Run.objects.filter(pk=run.pk).update(lease_token=holding.token + 1)
    return holding


@pytest.mark.parametrize(
    ("start", "work"),
    [
        (refreshes(None), tasks.refresh_recommendations),
        (refresh_of_one, tasks.refresh_recommendations),
        (regeneration, tasks.regenerate),
    ],
    ids=["fleet", "one", "regenerate"],
)
def test_a_holder_that_slept_stores_no_recommendation(
    service: Service, start: Callable[[Service], Run], work: Callable[[Any], Any]
) -> None:
    holding = lost(start(service))
    with pytest.raises(LeaseLost):
        work(holding)
    assert not Recommendation.objects.exists()


def test_a_holder_that_slept_stores_no_journey(service: Service) -> None:
    compute(service)
    Journey.objects.create(
        slug="buy",
        name="Buy",
        paths=[{"name": "", "weight": 1.0, "steps": [{"service_id": "checkout", "calls": 1.0}]}],
    )
    with transaction.atomic():
        journey_runs.refresh(None, reason="a test", is_forced=True)
    holding = lost(Run.objects.get(kind=journey_runs.REFRESH))
    with pytest.raises(LeaseLost):
        journey_tasks.refresh(holding)
    assert not JourneyResult.objects.exists()


def test_a_holder_that_slept_leaves_the_answer_to_whoever_took_over(service: Service) -> None:
    ticket = uuid4().hex
    run = regeneration(service, ticket)
    with pytest.raises(LeaseLost):
        tasks.regenerate(lost(run))
    assert asking.wait_for(ticket, deadline_seconds=0.05) is None


@pytest.mark.django_db(transaction=True)
def test_who_waits_for_a_regeneration_hears_that_it_was_cancelled() -> None:
    service = make_service("checkout")
    tickets = [uuid4().hex for _ in range(3)]
    run = [regeneration(service, ticket) for ticket in tickets][-1]
    dispatch("core.cancel_run", {"run_id": str(run.pk)}, actor=SAM)
    run.refresh_from_db()
    assert run.state == "cancelled"
    answers = [asking.wait_for(ticket, deadline_seconds=1) for ticket in tickets]
    assert answers == [asking.FAILED] * 3


@pytest.mark.django_db(transaction=True)
def test_who_waits_for_a_regeneration_hears_that_it_was_given_up() -> None:
    ticket = uuid4().hex
    run = regeneration(make_service("checkout"), ticket)
    Run.objects.filter(pk=run.pk).update(attempts=run.max_attempts)
    assert execute(run.pk) is None
    run.refresh_from_db()
    assert run.state == "given_up"
    assert asking.wait_for(ticket, deadline_seconds=1) == asking.FAILED


def test_a_regeneration_begun_again_is_for_whoever_began_it_again(service: Service) -> None:
    ticket = uuid4().hex
    run = regeneration(service, ticket)
    dispatch("core.cancel_run", {"run_id": str(run.pk)}, actor=SAM)
    dispatch("core.retry_run", {"run_id": str(run.pk)}, actor=Actor.system("olga"))
    again = Run.objects.get(retry_of=run)
    assert again.parameters["tickets"] == []
    assert again.parameters["asked_by"] == Actor.system("olga").name
    execute(again.pk)
    assert Recommendation.objects.filter(service=service).count() == 3
    assert asking.wait_for(ticket, deadline_seconds=0.05) is None
