"""What happens around a message: retries end, poison stops, requests can be followed."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import dramatiq
import pytest
import structlog
from django.conf import settings
from dramatiq.brokers.redis import RedisBroker
from dramatiq.worker import Worker

from apps.core import services
from apps.core.models import MessageStart
from console.workers.broker import QUEUES, broker_url, make_broker
from console.workers.middleware import MAX_STARTS
from tests.house.waiting import until


@pytest.fixture
def broker() -> Iterator[RedisBroker]:
    own = make_broker(settings.REDIS_URL, namespace=f"test-{uuid.uuid4().hex}")
    own.emit_after("process_boot")
    yield own
    own.flush_all()
    own.close()


@pytest.fixture
def work(broker: RedisBroker) -> Iterator[Callable[[Callable[[], object]], None]]:
    """Process messages until something is true."""
    workers: list[Worker] = []

    def work_until(holds: Callable[[], object]) -> None:
        if not workers:
            workers.append(Worker(broker, worker_timeout=20, worker_threads=2))
            workers[0].start()
        until(holds, "the messages have been worked off", deadline_s=20)

    yield work_until
    for worker in workers:
        worker.stop(timeout=5_000)


type Work = Callable[[Callable[[], object]], None]


def test_the_broker_has_a_database_of_its_own() -> None:
    assert broker_url("redis://:secret@127.0.0.1:6379/0") == "redis://:secret@127.0.0.1:6379/1"
    assert broker_url("rediss://host?ssl_cert_reqs=none") == "rediss://host/1?ssl_cert_reqs=none"
    assert broker_url("unix:///run/redis.sock") == "unix:///run/redis.sock?db=1"


def test_every_lane_is_known(broker: RedisBroker) -> None:
    assert broker.get_declared_queues() == set(QUEUES)


def is_dead(broker: RedisBroker, message: Any) -> bool:
    """Whether a message lies among those that were given up."""
    dead = broker.client.hvals(f"{broker.namespace}:{message.queue_name}.XQ.msgs")
    return any(message.message_id.encode() in found for found in dead)


@pytest.mark.django_db(transaction=True)
def test_a_failing_message_is_given_up_after_bounded_retries(broker: RedisBroker, work: Work) -> None:
    attempts: list[int] = []

    @dramatiq.actor(broker=broker, max_retries=2, min_backoff=1, max_backoff=5)
    def fail() -> None:
        attempts.append(1)
        raise ValueError("always")

    message: Any = fail.send()
    work(lambda: is_dead(broker, message))
    assert len(attempts) == 3


@pytest.mark.django_db(transaction=True)
def test_a_message_that_kills_its_workers_is_stopped(broker: RedisBroker, work: Work) -> None:
    ran: list[int] = []

    @dramatiq.actor(broker=broker)
    def poison() -> None:
        ran.append(1)

    message: Any = poison.message()
    # As after so many workers that died with it: each had counted the start before it ran the actor.
    for _ in range(MAX_STARTS):
        services.count_start(message.message_id, message.actor_name)
    broker.enqueue(message)
    work(lambda: is_dead(broker, message))
    assert ran == []


@pytest.mark.django_db(transaction=True)
def test_the_starts_of_a_message_outlive_the_loss_of_redis(broker: RedisBroker, work: Work) -> None:
    seen: list[int] = []

    @dramatiq.actor(broker=broker, max_retries=0)
    def fail() -> None:
        seen.append(MessageStart.objects.get().starts)
        raise ValueError("always")

    message: Any = fail.message()
    for expected in ([1], [1, 2]):
        broker.enqueue(message)
        work(lambda expected=expected: seen == expected)  # type: ignore[misc]
        for key in broker.client.scan_iter(f"{broker.namespace}*"):
            broker.client.delete(key)
    assert MessageStart.objects.get().message_id == message.message_id


@pytest.mark.django_db(transaction=True)
def test_nothing_is_kept_of_a_message_that_succeeded(broker: RedisBroker, work: Work) -> None:
    @dramatiq.actor(broker=broker)
    def succeed() -> None:
        assert MessageStart.objects.get().starts == 2

    message: Any = succeed.message()
    services.count_start(message.message_id, message.actor_name)
    broker.enqueue(message)
    work(lambda: not MessageStart.objects.exists())


@pytest.mark.django_db(transaction=True)
def test_a_message_carries_the_id_of_its_request(broker: RedisBroker, work: Work) -> None:
    seen: list[object] = []

    @dramatiq.actor(broker=broker)
    def note() -> None:
        seen.append(structlog.contextvars.get_contextvars()["request_id"])

    with structlog.contextvars.bound_contextvars(request_id="of-this-request"):
        note.send()
    work(lambda: seen)
    assert seen == ["of-this-request"]
