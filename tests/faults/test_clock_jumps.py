"""Clocks that jump two hours ahead and back: of the database, and of a machine. Work goes on, and nothing is
dropped."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import dramatiq
import pytest
import time_machine
from django.db import transaction

from apps.core import instants
from apps.core.delivery import outbox, relay
from apps.core.models import OutboxDelivery, OutboxEvent, Run
from apps.core.runs import bells, execute
from apps.core.runs.holding import claim
from apps.core.runs.reconciling import reconcile
from tests.core import runs
from tests.core.runs import BEGIN, Moving, clock, kind, start

__all__ = ["clock", "kind"]

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("kind")]

JUMP = {"hours": 2}


@pytest.fixture(autouse=True)
def broker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The broker, with messages apart from other tests'."""
    found: Any = dramatiq.get_broker()
    monkeypatch.setattr(found, "namespace", f"tests-{id(found)}")
    found.flush_all()
    yield found
    found.flush_all()


def back(clock: Moving) -> None:
    clock.move(hours=-2)


def test_a_run_begun_while_the_clock_was_ahead_is_taken_up_when_its_worker_dies(clock: Moving) -> None:
    run = start("a")
    clock.move(**JUMP)
    assert claim(run.pk) is not None
    back(clock)
    assert reconcile().rung == 1
    done = execute(run.pk)
    assert done is not None
    assert done.state == Run.State.COMPLETED


def test_a_holder_that_lives_keeps_its_run_over_both_jumps(clock: Moving) -> None:
    holding = claim(start("a").pk)
    assert holding is not None
    for jump in (2, -2, -2, 2):
        clock.move(hours=jump)
        holding.beat()
        holding.checkpoint()
        assert claim(holding.run.pk) is None
        assert reconcile().rung == 0


def test_a_delay_set_while_the_clock_was_ahead_is_not_waited_for(clock: Moving) -> None:
    def break_down(holding: Any) -> None:
        raise ZeroDivisionError

    runs.work.does = break_down
    run = start("a")
    clock.move(**JUMP)
    execute(run.pk)
    back(clock)
    runs.work.does = lambda holding: None
    done = execute(run.pk)
    assert done is not None
    assert done.state == Run.State.COMPLETED


def test_a_bell_rung_while_the_clock_was_ahead_is_missed_when_it_is_lost(broker: Any, clock: Moving) -> None:
    clock.move(**JUMP)
    bells.ring(start("a"))
    broker.client.flushdb()
    back(clock)
    assert reconcile().rung == 1


def test_an_event_put_off_while_the_clock_was_ahead_is_delivered(clock: Moving) -> None:
    heard: list[OutboxEvent] = []

    def listen(event: OutboxEvent) -> None:
        if clock() > BEGIN:
            raise ConnectionError("away")
        heard.append(event)

    outbox.subscribe("tests.jumped", name="tests.jumped")(listen)
    try:
        with transaction.atomic():
            outbox.publish("tests.jumped")
        OutboxDelivery.objects.update(next_attempt_at=BEGIN)
        clock.move(**JUMP)
        relay.drain()
        assert heard == []
        back(clock)
        relay.drain()
        assert len(heard) == 1
    finally:
        del outbox._by_name["tests.jumped"], outbox._by_topic["tests.jumped"]


@pytest.mark.parametrize("hours", [-2, 2])
def test_a_machine_whose_clock_is_wrong_neither_steals_nor_loses_a_run(hours: int) -> None:
    run = start("a")
    holding = claim(run.pk)
    assert holding is not None
    with (
        instants.clocks(database=instants._database_clock),
        time_machine.travel(instants.now() + timedelta(hours=hours)),
    ):
        assert claim(run.pk) is None
        holding.beat()
        holding.checkpoint()
        assert reconcile().rung == 0
    assert claim(run.pk) is None
