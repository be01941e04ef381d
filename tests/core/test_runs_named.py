"""Of several runs only the one that is named changes; kinds and slots are what they say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from apps.core.dispatcher import dispatch, preview
from apps.core.errors import NotFound
from apps.core.models import Run
from apps.core.runs import ending, kinds
from apps.core.runs.holding import claim
from apps.core.runs.purging import purge_runs
from apps.core.runs.scheduled import current_slot
from apps.core.schedule import Job
from tests.core import runs
from tests.core.conftest import person
from tests.core.runs import BEGIN, KIND, Moving, clock, kind, start

__all__ = ["clock", "kind"]

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("kind")]

LEVERS = ("cancel", "pause", "resume", "retry")


def _state(run: Run) -> tuple[Any, ...]:
    found = Run.objects.get(pk=run.pk)
    return found.state, found.stop, found.stop_asked_by, found.lease_token, found.attempts, found.finished_at


def _before(lever: str) -> Run:
    """A run that the lever can be pulled of."""
    run = start("a")
    if lever in ("resume", "retry"):
        first = "pause" if lever == "resume" else "cancel"
        dispatch(f"core.{first}_run", {"run_id": str(run.pk)}, actor=runs.ACTOR)
    return run


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("lever", LEVERS)
def test_a_lever_changes_the_run_that_is_named_and_no_other(lever: str, number: int) -> None:
    made = [_before(lever) for _ in range(3)]
    before = [_state(run) for run in made]
    answer = dispatch(f"core.{lever}_run", {"run_id": str(made[number].pk)}, actor=person("sam", "sre_admin"))
    after = [_state(run) for run in made]
    others = [at for at in range(3) if at != number]
    assert [after[at] for at in others] == [before[at] for at in others]
    if lever == "retry":
        assert Run.objects.get(retry_of=made[number]).pk not in {run.pk for run in made}
    else:
        assert after[number] != before[number]
        assert answer.value["run"] == str(made[number].pk)


@pytest.mark.parametrize("lever", LEVERS)
def test_a_run_that_is_not_there_is_not_found(lever: str) -> None:
    start("a")
    for ask in (preview, dispatch):
        with pytest.raises(NotFound, match="There is no run"):
            ask(
                f"core.{lever}_run",
                {"run_id": str(uuid4())},
                actor=person(f"sam-{ask.__name__}", "sre_admin"),
            )


@pytest.mark.parametrize("number", range(3))
def test_the_end_of_one_run_is_not_that_of_another(number: int) -> None:
    made = [start("a") for _ in range(3)]
    held = [claim(run.pk) for run in made]
    holding = held[number]
    assert holding is not None
    ending.end(holding, "completed")
    states = [Run.objects.get(pk=run.pk).state for run in made]
    assert states == ["completed" if at == number else "running" for at in range(3)]
    with pytest.raises(NotFound):
        ending.locked(uuid4())


def test_what_ended_longer_ago_than_its_kind_is_kept_is_deleted_and_nothing_else(clock: Moving) -> None:
    with runs.known(kept=timedelta(days=7)):
        made = {days: start("a") for days in (0, 6, 8, 90)}
        for days, run in made.items():
            holding = claim(run.pk)
            assert holding is not None
            ending.end(holding, "completed")
            Run.objects.filter(pk=run.pk).update(finished_at=BEGIN - timedelta(days=days))
        going = start("b")
        assert purge_runs(BEGIN) >= 2
        left = set(Run.objects.filter(kind=KIND.name).values_list("pk", flat=True))
        assert left == {made[0].pk, made[6].pk, going.pk}
    with runs.known(kept=None):
        Run.objects.exclude(pk=going.pk).update(finished_at=BEGIN - timedelta(days=10_000))
        assert purge_runs(BEGIN) == 0


@contextmanager
def _kinds_kept() -> Iterator[None]:
    before = dict(kinds._kinds)
    try:
        yield
    finally:
        kinds._kinds.clear()
        kinds._kinds.update(before)


def test_a_kind_is_known_under_its_name_once() -> None:
    with _kinds_kept():
        other = replace(KIND, name="tests.other")
        assert kinds.register(other) is other
        assert kinds.get("tests.other") is other
        assert other in kinds.all_kinds()
        with pytest.raises(RuntimeError, match="Two kinds"):
            kinds.register(replace(other, title="Something else"))
        assert kinds.get("tests.other") is other
    with pytest.raises(NotFound):
        kinds.get("tests.other")


@pytest.mark.parametrize(("seconds", "is_taken"), [(1, True), (60, True), (61, False)])
def test_a_lease_is_no_longer_than_any_clock_is_set_back(seconds: int, is_taken: bool) -> None:
    with _kinds_kept():
        other = replace(KIND, name="tests.other", lease=timedelta(seconds=seconds))
        if is_taken:
            assert kinds.register(other) is other
        else:
            with pytest.raises(RuntimeError, match="at most 60 s"):
                kinds.register(other)


@pytest.mark.parametrize("offset", [timedelta(0), timedelta(minutes=7), timedelta(hours=5)])
@pytest.mark.parametrize(
    "every", [timedelta(minutes=1), timedelta(minutes=15), timedelta(hours=6), timedelta(days=1)]
)
def test_an_instant_falls_into_the_slot_that_began_last(every: timedelta, offset: timedelta) -> None:
    job = Job(name="tests", actor="tests.core.runs.do", every=every, offset=offset)
    midnight = datetime(2026, 11, 21, tzinfo=UTC)
    for minutes in (0, 1, 6, 7, 8, 299, 300, 301, 1_439):
        now = midnight + timedelta(minutes=minutes, seconds=3)
        slot = current_slot(job, now)
        assert slot <= now < slot + every
        assert (slot - offset - midnight) % every == timedelta(0)
        assert current_slot(job, slot) == slot
