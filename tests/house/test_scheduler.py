"""Periodic jobs: each slot is a run, begun once, whatever the clock does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from django.db import connection
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.core import instants
from apps.core.database.errors import ServerSilent
from apps.core.errors import NotFound
from apps.core.models import Run
from apps.core.runs import execute, kinds, scheduled
from apps.core.runs.holding import claim
from apps.core.runs.scheduled import current_slot, jobs, kind_of
from apps.core.schedule import Job
from console import scheduler
from tests.core.runs import Moving
from tests.house.waiting import until

NOW = datetime(2026, 3, 1, 12, 34, 56, tzinfo=UTC)
HOURLY = Job(
    name="test.hourly",
    every=timedelta(hours=1),
    actor="tests.house.test_scheduler.count",
    title="Count",
)

counted: list[int] = []


def count() -> None:
    """What the job does."""
    counted.append(1)


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The job, and its kind of work, while a test runs."""
    counted.clear()
    monkeypatch.setitem(kinds._kinds, "schedule.test.hourly", kind_of(HOURLY))
    monkeypatch.setattr("apps.core.runs.scheduled.jobs", lambda: [HOURLY])


@pytest.fixture
def clock() -> Iterator[Moving]:
    """The database's clock, in the test's hand."""
    moving = Moving(NOW)
    with instants.clocks(database=moving):
        yield moving


def states() -> list[str]:
    return list(Run.objects.order_by("created_at", "id").values_list("state", flat=True))


def test_slots_are_counted_from_the_offset() -> None:
    late = Job(name="test.late", every=timedelta(hours=1), actor="x", title="x", offset=timedelta(minutes=40))
    assert current_slot(HOURLY, NOW) == datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert current_slot(late, NOW) == datetime(2026, 3, 1, 11, 40, tzinfo=UTC)


def test_every_job_is_a_kind_of_work() -> None:
    names = {kind.name for kind in kinds.all_kinds()}
    assert {f"schedule.{job.name}" for job in jobs()} <= names


@pytest.mark.django_db
def test_a_slot_is_begun_once(clock: Moving) -> None:
    assert scheduler.run_due(NOW, [HOURLY]) == ["test.hourly"]
    assert scheduler.run_due(NOW + timedelta(minutes=5), [HOURLY]) == []
    execute(Run.objects.get().pk)
    assert scheduler.run_due(NOW + timedelta(minutes=5), [HOURLY]) == []
    assert (states(), counted) == (["completed"], [1])


@pytest.mark.django_db
def test_a_slot_takes_the_place_of_one_that_still_waits(clock: Moving) -> None:
    scheduler.run_due(NOW, [HOURLY])
    assert scheduler.run_due(NOW + timedelta(hours=1), [HOURLY]) == ["test.hourly"]
    assert scheduler.run_due(NOW + timedelta(hours=1), [HOURLY]) == []
    assert Run.objects.get().parameters == {"slot": "2026-03-01T13:00:00Z"}


@pytest.mark.django_db
def test_the_next_slot_waits_for_one_that_runs(clock: Moving) -> None:
    scheduler.run_due(NOW, [HOURLY])
    assert claim(Run.objects.get().pk) is not None
    scheduler.run_due(NOW + timedelta(hours=1), [HOURLY])
    waiting = Run.objects.get(state="pending")
    assert claim(waiting.pk) is None


@pytest.mark.django_db
def test_a_clock_that_jumps_ahead_and_back_stops_nothing(clock: Moving) -> None:
    def tick() -> None:
        scheduler.run_due(clock(), [HOURLY])
        for run in Run.objects.filter(state="pending"):
            execute(run.pk)

    tick()
    clock.move(hours=2)
    tick()
    clock.move(hours=-2)
    for done in (2, 3, 4):  # the hour, the next, and the one that it had jumped to, which is done already
        tick()
        assert len(counted) == min(done, 3)
        clock.move(hours=1)


@pytest.mark.django_db
@settings(deadline=None, max_examples=30)
@given(jumps=st.lists(st.sampled_from([-120, -61, -30, 1, 20, 61, 200]), max_size=12))
def test_whatever_the_clock_does_each_slot_is_done_once(jumps: list[int]) -> None:
    counted.clear()
    Run.objects.all().delete()
    moving = Moving(NOW)
    slots = set()
    with instants.clocks(database=moving):
        for jump in [0, *jumps]:
            moving.move(minutes=jump)
            slots.add(current_slot(HOURLY, moving()))
            scheduler.run_due(moving(), [HOURLY])
            for run in Run.objects.filter(state="pending"):
                execute(run.pk)
    assert len(counted) == len(slots)
    assert set(states()) == {"completed"}


def lead() -> psycopg.Connection:
    """Lead; where another led just now, as soon as PostgreSQL has noticed that it is gone."""
    leaders: list[psycopg.Connection] = []

    def has_led() -> bool:
        leader = scheduler._try_to_lead()
        if leader is not None:
            leaders.append(leader)
        return bool(leaders)

    until(has_led, "it leads")
    return leaders[0]


@pytest.mark.django_db
def test_only_one_of_two_leads() -> None:
    with lead():
        assert scheduler._try_to_lead() is None
    lead().close()


@pytest.mark.django_db(transaction=True)
def test_it_leads_again_after_its_connection_was_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "jobs", lambda: [])
    waits: list[float] = []
    leaders: list[int] = []

    def between_ticks(seconds: float) -> None:
        waits.append(seconds)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND objid = %s"
                " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
                [scheduler.LEADER_LOCK],
            )
            leaders.extend(pid for (pid,) in cursor.fetchall())
            if len(waits) == 1:
                cursor.execute("SELECT pg_terminate_backend(%s, 5000)", leaders)

    scheduler.run(lambda: len(waits) >= 3, between_ticks)
    assert waits == [scheduler.TICK_S, scheduler.FOLLOWER_TICK_S, scheduler.TICK_S]
    assert len(leaders) == len(set(leaders)) == 2


@pytest.mark.django_db
@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("error", [RuntimeError("no"), KeyError("x"), NotFound("gone")])
def test_a_job_that_cannot_be_begun_holds_up_no_other(
    clock: Moving, monkeypatch: pytest.MonkeyPatch, place: int, error: Exception
) -> None:
    def start_due(job: Job, now: datetime) -> bool:
        if job.name == "test.broken":
            raise error
        return scheduled.start_due(job, now)

    monkeypatch.setattr(scheduler, "start_due", start_due)
    also = replace(HOURLY, name="test.also")
    monkeypatch.setitem(kinds._kinds, "schedule.test.also", kind_of(also))
    known = [HOURLY, also]
    known.insert(place, replace(HOURLY, name="test.broken"))
    assert scheduler.run_due(NOW, known) == ["test.hourly", "test.also"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("error", [RuntimeError("no"), NotFound("gone"), ConnectionError("away")])
def test_it_goes_on_after_an_error_in_reconciling(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    calls: list[int] = []
    waits: list[float] = []

    def reconcile() -> None:
        calls.append(1)
        raise error

    monkeypatch.setattr(scheduler, "jobs", lambda: [])
    monkeypatch.setattr(scheduler, "EVERY_SECONDS", 0.0)
    monkeypatch.setattr(scheduler, "reconcile", reconcile)
    scheduler.run(lambda: len(waits) >= 3, waits.append)
    assert len(calls) == 3


@pytest.mark.django_db
def test_the_leader_does_not_wait_for_ever_for_a_silent_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "SILENCE_S", 0.2)
    leader = lead()
    backend = leader.info.backend_pid
    try:
        with pytest.raises(ServerSilent):
            leader.execute("SELECT pg_sleep(60)")
        assert leader.closed
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [backend])
