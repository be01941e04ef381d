"""Ask a worker what some steps would do, because a web process does not load the engine."""

from __future__ import annotations

from collections.abc import Sequence

from apps.core.errors import Unavailable
from apps.core.redis import asking
from apps.core.redis.asking import Question, Unanswered
from apps.core.resilience import CircuitBreaker
from apps.journeys.documents import WhatIfAnswer, as_answer
from apps.journeys.what_if.steps import ChangeStep, as_dict

DEADLINE_SECONDS = 4.0
"""How long the caller waits. With 5,000 services and 50,000 edges a worker needs half a second to a second, and up to a
tenth more for each further step. The rest is for messages before it in the queue. A graph in which most edges belong to
groups that call each other in circles may take longer; the caller is then told to try again.
"""
RETRY_AFTER_SECONDS = 5

WHAT_IF = asking.register(
    Question(
        "journeys.what_if",
        "apps.journeys.tasks.what_if",
        breaker=CircuitBreaker("Asking workers what a change would do", failures_to_open=3, open_seconds=10),
    )
)


def what_if(service_pk: int, steps: Sequence[ChangeStep]) -> WhatIfAnswer:
    """Have a worker compute what the steps would do. Return its document. Nothing is stored.

    Raises :class:`Unavailable` where no worker answers in time.
    """
    try:
        answer = WHAT_IF.ask(
            deadline_seconds=DEADLINE_SECONDS, service_pk=service_pk, steps=[as_dict(step) for step in steps]
        )
    except Unanswered as error:
        raise _unavailable(f"No worker answered within {DEADLINE_SECONDS:g} s.") from error
    if answer.get("state") == "failed":
        raise _unavailable("A worker could not compute it. The log says why.")
    return as_answer(answer)


def _unavailable(reason: str) -> Unavailable:
    return Unavailable(
        f"{reason} Try again in {RETRY_AFTER_SECONDS} s.", headers={"Retry-After": str(RETRY_AFTER_SECONDS)}
    )
