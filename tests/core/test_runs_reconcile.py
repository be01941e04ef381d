"""What makes up for lost bells: in PostgreSQL stands what is to be done, in Redis only who was told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import dramatiq
import pytest
from django.db import IntegrityError, OperationalError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.core import instants
from apps.core.delivery import relay
from apps.core.dispatcher import dispatch
from apps.core.errors import NotFound
from apps.core.models import AuditEntry, Run
from apps.core.runs import bells, kinds
from apps.core.runs.holding import claim
from apps.core.runs.reconciling import reconcile
from tests.core import runs
from tests.core.runs import KIND, Moving, clock, kind, start

__all__ = ["clock", "kind"]

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("kind", "clock")]


@pytest.fixture(autouse=True)
def broker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The broker, with messages apart from other tests'."""
    found: Any = dramatiq.get_broker()
    monkeypatch.setattr(found, "namespace", f"tests-{id(found)}")
    found.flush_all()
    yield found
    found.flush_all()


def messages(broker: Any) -> int:
    return int(broker.client.hlen(f"{broker.namespace}:{KIND.queue}.msgs"))


def rung(run: Run) -> Run:
    """A run whose bell has been rung."""
    bells.ring(run)
    return Run.objects.get(pk=run.pk)


def test_the_relay_rings_with_the_commit(broker: Any) -> None:
    run = start()
    relay.drain()
    assert messages(broker) == 1
    assert Run.objects.get(pk=run.pk).message_id != ""


def test_the_relay_does_not_ring_for_one_that_is_over_by_then(broker: Any) -> None:
    dispatch("core.cancel_run", {"run_id": str(start().pk)}, actor=runs.ACTOR)
    relay.drain()
    assert messages(broker) == 0


def test_a_message_that_is_there_is_not_sent_again(broker: Any, clock: Moving) -> None:
    rung(start())
    clock.move(hours=1)
    assert reconcile().rung == 0
    assert messages(broker) == 1


def test_one_that_a_worker_fetched_and_never_began_is_sent_again(broker: Any, clock: Moving) -> None:
    rung(start())
    broker.do_fetch(KIND.queue, 10)
    clock.move(seconds=59)
    assert reconcile().rung == 0
    clock.move(seconds=2)
    assert reconcile().rung == 1
    assert reconcile().rung == 0


@pytest.mark.parametrize(("waits", "seconds"), [(True, 5), (False, 16)])
def test_after_a_flush_it_is_sent_again(broker: Any, clock: Moving, waits: bool, seconds: int) -> None:
    with runs.known(person_waits=waits):
        rung(start())
        broker.client.flushdb()
        assert reconcile().rung == 0
        clock.move(seconds=seconds)
        assert reconcile().rung == 1
        assert reconcile().rung == 0
    assert messages(broker) == 1


def test_a_bell_that_was_never_rung_is(broker: Any, clock: Moving) -> None:
    start()
    clock.move(seconds=16)
    assert reconcile().rung == 1


def test_one_whose_holder_died_is_rung_for_at_once(broker: Any, clock: Moving) -> None:
    run = rung(start())
    claim(run.pk)
    clock.move(seconds=9)
    assert reconcile().rung == 0
    clock.move(seconds=2)
    assert (reconcile().rung, reconcile().rung) == (1, 0)


def test_one_whose_time_has_not_come_is_left_alone(broker: Any, clock: Moving) -> None:
    run = start()
    Run.objects.filter(pk=run.pk).update(not_before=clock.at.replace(hour=13), rung_at=None)
    assert reconcile().rung == 0
    clock.move(hours=1)
    assert reconcile().rung == 1


def test_one_that_waits_for_another_of_its_key_is_not_rung_for(broker: Any, clock: Moving) -> None:
    holding = claim(start(key="k").pk)
    assert holding is not None
    start(key="k")
    Run.objects.update(rung_at=None)
    for _ in range(3):
        clock.move(seconds=9)
        holding.beat()
        assert reconcile().rung == 0
    clock.move(seconds=11)
    assert reconcile().rung == 2


def test_one_that_kills_its_workers_is_ended(clock: Moving) -> None:
    run = start()
    for _ in range(KIND.max_attempts):
        claim(run.pk)
        clock.move(seconds=11)
    assert (reconcile().settled, reconcile().settled) == (1, 0)
    assert AuditEntry.objects.get().action == "core.end_run"


def test_what_this_version_does_not_know_is_left_for_one_that_does(broker: Any, clock: Moving) -> None:
    run = start()
    Run.objects.filter(pk=run.pk).update(kind="tests.of_a_newer_version")
    clock.move(hours=1)
    assert reconcile().rung == 0


def test_a_clock_that_was_set_back_does_not_silence_it(broker: Any, clock: Moving) -> None:
    clock.move(hours=2)
    run = rung(start())
    claim(rung(start()).pk)
    broker.client.flushdb()
    clock.move(hours=-2)
    assert reconcile().rung == 2
    assert Run.objects.get(pk=run.pk).rung_at == clock.at


def broken(what: str, error: Exception) -> dict[str, Any]:
    """A kind of work with a hook that raises."""

    def fail(*_: Any) -> Any:
        raise error

    return {what: fail}


def worn_out(clock: Moving, word: str = "") -> Run:
    """A run that has killed as many workers as it may."""
    run = start(word)
    for _ in range(KIND.max_attempts):
        claim(run.pk)
        clock.move(seconds=11)
    return run


@pytest.mark.parametrize("stop", ["", "cancel"])
def test_one_of_an_unknown_kind_that_nobody_may_begin_is_ended(broker: Any, clock: Moving, stop: str) -> None:
    run = worn_out(clock)
    Run.objects.filter(pk=run.pk).update(kind="tests.of_a_newer_version", stop=stop)
    assert reconcile().settled == 1
    assert Run.objects.get(pk=run.pk).state == ("cancelled" if stop else "given_up")
    entry = AuditEntry.objects.get(action="core.end_run")
    assert (entry.object_type, entry.object_label) == ("run", "tests.of_a_newer_version")


ERRORS = (
    RuntimeError("no"),
    KeyError("x"),
    NotFound("gone"),
    IntegrityError("twice"),
    OperationalError("late"),
)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kinds_of_runs=st.lists(st.sampled_from(["broken", "unknown", "sound"]), min_size=1, max_size=6),
    hook=st.sampled_from(["ended", "events", "subject"]),
    error=st.sampled_from(ERRORS),
)
def test_one_that_cannot_be_settled_holds_up_no_other(
    broker: Any, kinds_of_runs: list[str], hook: str, error: Exception
) -> None:
    Run.objects.all().delete()
    moving = Moving()
    with instants.clocks(database=moving), runs.known():
        raising = replace(KIND, name="tests.broken", **broken(hook, error))
        kinds._kinds[raising.name] = raising
        try:
            worn = []
            for which in kinds_of_runs:
                run = worn_out(moving)
                Run.objects.filter(pk=run.pk).update(kind=KIND.name if which == "sound" else f"tests.{which}")
                worn.append(run.pk)
            waits = start("next")
            moving.move(seconds=16)
            assert reconcile().settled == sum(which != "broken" for which in kinds_of_runs)
        finally:
            del kinds._kinds[raising.name]
    states = {run.pk: run.state for run in Run.objects.all()}
    assert [states[pk] for pk in worn] == ["running" if k == "broken" else "given_up" for k in kinds_of_runs]
    assert Run.objects.get(pk=waits.pk).message_id != ""


def test_one_that_cannot_be_rung_for_holds_up_no_other(
    broker: Any, clock: Moving, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = start(), start()
    ring = bells.ring

    def ring_but_one(run: Run) -> None:
        if run.pk == bad.pk:
            raise ValueError("this cannot be sent")
        ring(run)

    monkeypatch.setattr(bells, "ring", ring_but_one)
    clock.move(seconds=16)
    assert reconcile().rung == 1
    assert Run.objects.get(pk=good.pk).message_id != ""
