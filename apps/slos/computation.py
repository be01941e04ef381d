"""Asking a worker for a recommendation and waiting for it: a web process loads neither scipy nor the engine.

The request is a message on the queue ``interactive``, the answer one element of a Redis list that nobody else
knows. It changes no state here; what the worker stores, it stores through its own action. Without Redis, or
when no worker answers in time, there is no answer, and the caller shows the last one stored.
"""

from __future__ import annotations

import time
from functools import cache
from typing import Any
from uuid import uuid4

import redis
import structlog
from django.conf import settings
from dramatiq.errors import DramatiqError

from apps.core.resilience import CircuitBreaker, CircuitOpen, Deadline
from apps.core.signing import Unreadable, opened, signed
from apps.slos.queueing import COMPUTE_ONE, enqueue

logger = structlog.get_logger(__name__)

DEADLINE_SECONDS = 4.0
REPLY_KEPT_SECONDS = 60

breaker = CircuitBreaker("recommendation workers", failures_to_open=3, open_seconds=10)
"""Where no worker answers, requests stop waiting for one: web threads are few, and there is the last one
stored.
"""


@cache
def _client() -> redis.Redis:
    return redis.Redis.from_url(
        settings.REDIS_URL,
        socket_connect_timeout=0.5,
        socket_timeout=DEADLINE_SECONDS + 1,
        health_check_interval=30,
    )


def reply_key(ticket: str) -> str:
    """The list on which the answer to one request arrives."""
    return f"ballast:{settings.INSTALLATION_ID}:slos:reply:{ticket}"


def reply(ticket: str, answer: dict[str, Any]) -> None:
    """Answer a request; called by the worker. Nobody listening is no error, nor is Redis being away."""
    try:
        with _client().pipeline() as pipeline:
            pipeline.lpush(reply_key(ticket), signed(reply_key(ticket), answer))
            pipeline.expire(reply_key(ticket), REPLY_KEPT_SECONDS)
            pipeline.execute()
    except (redis.RedisError, OSError) as error:
        logger.warning("slos.reply_lost", error=repr(error))


def wait_for(ticket: str, *, deadline_seconds: float = DEADLINE_SECONDS) -> dict[str, Any] | None:
    """Wait for the answer to a request; ``None`` when none came in time or Redis is away.

    What no worker of this installation signed is passed over.
    """
    deadline = Deadline(deadline_seconds)
    while (seconds := deadline.remaining()) > 0.0:
        try:
            # A fraction of a second is taken by BLPOP since Redis 6; 0 would wait for ever.
            answer: Any = _client().blpop([reply_key(ticket)], timeout=max(seconds, 0.01))
        except (redis.RedisError, OSError) as error:
            logger.warning("slos.computation_unanswered", error=repr(error))
            return None
        if answer is None:
            return None
        try:
            document: dict[str, Any] = opened(reply_key(ticket), answer[1])
        except Unreadable as error:
            logger.error("slos.reply_refused", error=str(error))
            continue
        return document
    return None


def request_computation(
    service_pk: int,
    *,
    window_days: int,
    store: bool,
    asked_by: str,
    deadline_seconds: float = DEADLINE_SECONDS,
) -> dict[str, Any] | None:
    """Have a worker compute one service now.

    Returns its answer, ``{"state": "stored"}``, ``{"state": "computed", "document": …}`` or ``{"state":
    "failed"}``; ``None`` when none came in time. A message that nobody waits for any more is dropped by the
    worker.
    """
    try:
        with breaker.guard():
            return _asked(
                service_pk=service_pk,
                window_days=window_days,
                store=store,
                asked_by=asked_by,
                deadline_seconds=deadline_seconds,
            )
    except (CircuitOpen, _Unanswered) as error:
        logger.warning("slos.computation_unanswered", service=service_pk, error=str(error))
        return None


class _Unanswered(Exception):
    """No worker took the request, or none finished it in time."""


def _asked(*, deadline_seconds: float, **arguments: Any) -> dict[str, Any]:
    ticket = uuid4().hex
    not_after = time.time() + deadline_seconds
    try:
        enqueue(COMPUTE_ONE, "interactive", ticket=ticket, not_after=not_after, **arguments)
    except (redis.RedisError, DramatiqError, OSError) as error:
        raise _Unanswered(repr(error)) from error
    answer = wait_for(ticket, deadline_seconds=deadline_seconds)
    if answer is None:
        raise _Unanswered(f"no answer within {deadline_seconds:g} s")
    return answer
