"""Asking a worker what some steps would do: as for recommendations, a web process does not load the engine."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import redis
import structlog
from dramatiq.errors import DramatiqError

from apps.core.errors import Unavailable
from apps.core.resilience import CircuitOpen
from apps.journeys.queueing import WHAT_IF
from apps.journeys.what_if.steps import ChangeStep, as_dict
from apps.slos import computation
from apps.slos.queueing import enqueue

logger = structlog.get_logger(__name__)

DEADLINE_SECONDS = 4.0
"""How long somebody waits. Over 5,000 services and 50,000 edges a worker needs half a second to a second, and up to a
tenth more for each further step; the rest is for what stands before it in the queue. A graph in which most edges belong
to groups that call each other in circles may take longer, and is then answered with "try again".
"""
RETRY_AFTER_SECONDS = 5


class _Unanswered(Exception):
    """No worker took the request, or none finished it in time."""


def what_if(service_pk: int, steps: Sequence[ChangeStep]) -> dict[str, Any]:
    """Have a worker say what the steps would do; nothing is stored. Returns its document.

    Raises :class:`Unavailable` where no worker answers in time.
    """
    try:
        with computation.breaker.guard():
            return _asked(service_pk, steps)
    except (CircuitOpen, _Unanswered) as error:
        logger.warning("journeys.what_if_unanswered", service=service_pk, error=str(error))
        raise Unavailable(
            f"No worker answered within {DEADLINE_SECONDS:g} s. Try again in {RETRY_AFTER_SECONDS} s.",
            headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
        ) from error


def _asked(service_pk: int, steps: Sequence[ChangeStep]) -> dict[str, Any]:
    ticket = uuid4().hex
    try:
        enqueue(
            WHAT_IF,
            "interactive",
            service_pk=service_pk,
            steps=[as_dict(step) for step in steps],
            ticket=ticket,
            not_after=time.time() + DEADLINE_SECONDS,
        )
    except (redis.RedisError, DramatiqError, OSError) as error:
        raise _Unanswered(repr(error)) from error
    answer = computation.wait_for(ticket, deadline_seconds=DEADLINE_SECONDS)
    if answer is None or answer.get("state") == "failed":
        raise _Unanswered("no answer in time" if answer is None else "the worker failed")
    return answer
