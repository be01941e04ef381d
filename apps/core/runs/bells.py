"""The bell: a message that wakes a worker. It may be lost, and may ring twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from apps.core import instants
from apps.core.models import Run
from apps.core.runs import kinds, leases

ACTOR = "core.execute_run"


def ring(run: Run) -> None:
    """Send the message that makes a worker claim a run, and store its id. Raises when Redis is away."""
    kind = kinds.get(run.kind)
    message: dramatiq.Message[Any] = dramatiq.Message(
        queue_name=run.queue,
        actor_name=ACTOR,
        args=(),
        kwargs={"run_id": str(run.pk)},
        options={"time_limit": int(kind.time_limit.total_seconds() * 1000)},
    )
    sent = dramatiq.get_broker().enqueue(message)
    # Not if the run was claimed meanwhile: then this bell has done its work.
    now = instants.now()
    Run.objects.filter(leases.waiting(now), pk=run.pk, lease_token=run.lease_token).update(
        message_id=str(sent.options["redis_message_id"]), rung_at=now
    )


def idle_queues(queues: set[str]) -> set[str]:
    """Return those of these queues on which nothing waits to be fetched."""
    broker = dramatiq.get_broker()
    if not queues or not isinstance(broker, RedisBroker):
        return set()
    return {queue for queue in queues if not broker.client.llen(f"{broker.namespace}:{queue}")}


def still_there(runs: Sequence[Run]) -> set[Any]:
    """Return the ids of the runs whose message is still in Redis: queued, or fetched by a worker."""
    broker = dramatiq.get_broker()
    if not runs or not isinstance(broker, RedisBroker):
        return set()
    with broker.client.pipeline(transaction=False) as pipeline:
        for run in runs:
            pipeline.hexists(f"{broker.namespace}:{run.queue}.msgs", run.message_id)
        found: list[Any] = pipeline.execute()
    return {run.pk for run, is_there in zip(runs, found, strict=True) if is_there}
