"""Handing work to workers by its name, so that no process but theirs needs to import what the work needs."""

from __future__ import annotations

from typing import Any

import dramatiq

COMPUTE_ONE = "slos.compute_one"


def enqueue(actor: str, queue: str, **arguments: Any) -> None:
    """Enqueue a message for the actor of that name in :mod:`apps.slos.tasks`. Raises when Redis is away."""
    message: dramatiq.Message[Any] = dramatiq.Message(
        queue_name=queue, actor_name=actor, args=(), kwargs=arguments, options={}
    )
    dramatiq.get_broker().enqueue(message)
