"""Periodic jobs: once a slot, never two runs at a time, and nothing lost with Redis."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dramatiq
import pytest
from django.conf import settings
from django.db import connection
from dramatiq.brokers.redis import RedisBroker
from redis import RedisError

from apps.core.models import ScheduledRun
from apps.core.schedule import Job
from console import scheduler
from console.broker import make_broker

NOW = datetime(2026, 3, 1, 12, 34, 56, tzinfo=UTC)
HOURLY = Job(
    name="test.hourly", every=timedelta(hours=1), actor="tests.house.test_scheduler.actor_under_test"
)

# What a job names is looked up by its path when it is due; each test puts its own actor there.
actor_under_test: dramatiq.Actor[[], None]


def actor_on(broker: RedisBroker) -> dramatiq.Actor[[], None]:
    @dramatiq.actor(actor_name="tick", broker=broker)
    def tick() -> None:
        """Nothing; these tests look at what is enqueued."""

    return tick


@pytest.fixture
def broker() -> Iterator[RedisBroker]:
    """A broker whose queues nobody else sees, and the job's actor on it."""
    global actor_under_test
    own = make_broker(settings.REDIS_URL, namespace=f"test-{uuid.uuid4().hex}")
    actor_under_test = actor_on(own)
    yield own
    own.flush_all()
    own.close()


def state_of(job: Job) -> list[str]:
    return list(ScheduledRun.objects.filter(job=job.name).order_by("slot").values_list("state", flat=True))


def test_slots_are_counted_from_the_offset() -> None:
    quarter_past = Job(name="test.late", every=timedelta(hours=1), actor="x", offset=timedelta(minutes=40))
    assert scheduler.current_slot(HOURLY, NOW) == datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert scheduler.current_slot(quarter_past, NOW) == datetime(2026, 3, 1, 11, 40, tzinfo=UTC)


@pytest.mark.django_db
def test_a_slot_runs_once(broker: RedisBroker) -> None:
    assert scheduler.run_due(NOW, [HOURLY]) == ["test.hourly"]
    assert scheduler.run_due(NOW + timedelta(minutes=5), [HOURLY]) == []
    assert broker.do_qsize("default") == 1


@pytest.mark.django_db
def test_the_next_slot_waits_for_a_run_that_is_not_over(broker: RedisBroker) -> None:
    scheduler.run_due(NOW, [HOURLY])
    next_hour = NOW + timedelta(hours=1)
    ScheduledRun.objects.update(created_at=NOW)
    assert scheduler.run_due(next_hour, [HOURLY]) == []
    scheduler.finish(ScheduledRun.objects.get().pk)
    assert scheduler.run_due(next_hour, [HOURLY]) == ["test.hourly"]
    assert state_of(HOURLY) == ["done", "enqueued"]


@pytest.mark.django_db
def test_a_run_that_was_lost_does_not_block_the_job_for_ever(broker: RedisBroker) -> None:
    scheduler.run_due(NOW, [HOURLY])
    ScheduledRun.objects.update(created_at=NOW)
    broker.flush_all()
    assert scheduler.run_due(NOW + timedelta(hours=3), [HOURLY]) == ["test.hourly"]
    assert state_of(HOURLY) == ["failed", "enqueued"]
    assert broker.do_qsize("default") == 1


@pytest.mark.django_db
def test_a_slot_that_could_not_be_sent_is_tried_again(broker: RedisBroker) -> None:
    global actor_under_test
    reachable = actor_under_test
    away = make_broker("redis://127.0.0.1:1/0")
    actor_under_test = actor_on(away)
    with pytest.raises((RedisError, dramatiq.errors.BrokerError)):
        scheduler.run_due(NOW, [HOURLY])
    assert state_of(HOURLY) == []
    actor_under_test = reachable
    assert scheduler.run_due(NOW, [HOURLY]) == ["test.hourly"]


@pytest.mark.django_db
def test_a_sending_cut_off_between_row_and_message_is_made_good(broker: RedisBroker) -> None:
    """A kill after the row and before the message leaves just this behind."""
    slot = scheduler.current_slot(HOURLY, NOW)
    run = ScheduledRun.objects.create(job=HOURLY.name, slot=slot, created_at=NOW)
    assert scheduler.run_due(NOW + timedelta(seconds=10), [HOURLY]) == []
    assert scheduler.run_due(NOW + timedelta(minutes=1), [HOURLY]) == ["test.hourly"]
    assert broker.do_qsize("default") == 1
    assert ScheduledRun.objects.get().pk == run.pk
    assert scheduler.run_due(NOW + timedelta(minutes=2), [HOURLY]) == []
    assert broker.do_qsize("default") == 1


@pytest.mark.django_db
def test_one_job_that_cannot_be_sent_does_not_hold_back_the_others(broker: RedisBroker) -> None:
    away = make_broker("redis://127.0.0.1:1/0")
    globals()["unreachable"] = actor_on(away)
    broken = Job(name="test.broken", every=timedelta(hours=1), actor=f"{__name__}.unreachable")
    with pytest.raises((RedisError, dramatiq.errors.BrokerError)):
        scheduler.run_due(NOW, [broken, HOURLY])
    assert state_of(HOURLY) == ["enqueued"]


@pytest.mark.django_db
def test_old_runs_are_forgotten() -> None:
    ScheduledRun.objects.create(job="test.old", slot=NOW, created_at=NOW - timedelta(days=31))
    ScheduledRun.objects.create(job="test.new", slot=NOW, created_at=NOW)
    assert scheduler.forget_old_runs(NOW) == 1
    assert ScheduledRun.objects.get().job == "test.new"


@pytest.mark.django_db
def test_only_one_of_two_leads() -> None:
    first = scheduler._try_to_lead()
    assert first is not None
    try:
        assert scheduler._try_to_lead() is None
    finally:
        first.close()
    second = scheduler._try_to_lead()
    assert second is not None
    second.close()


@pytest.mark.django_db(transaction=True)
def test_it_leads_again_after_its_connection_was_cut(
    broker: RedisBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
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
