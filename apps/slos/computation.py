"""Asking a worker for a recommendation: a web process loads neither scipy nor the engine."""

from __future__ import annotations

from apps.core.redis import asking
from apps.core.redis.asking import Question, Unanswered
from apps.core.resilience import CircuitBreaker
from apps.slos.documents.types import Answer, as_answer

DEADLINE_SECONDS = 4.0

RECOMMENDATION = asking.register(
    Question(
        "slos.recommendation",
        "apps.slos.tasks.recommendation",
        # Where no worker answers, requests stop waiting for one: there is the last recommendation stored.
        breaker=CircuitBreaker("Asking workers for recommendations", failures_to_open=3, open_seconds=10),
    )
)


def request_computation(
    service_pk: int,
    *,
    window_days: int,
    store: bool,
    asked_by: str,
    deadline_seconds: float = DEADLINE_SECONDS,
) -> Answer | None:
    """Have a worker compute one service now.

    Returns its answer, ``{"state": "stored"}``, ``{"state": "computed", "document": …}`` or ``{"state": "failed"}``;
    ``None`` when none came in time.
    """
    try:
        return as_answer(
            RECOMMENDATION.ask(
                deadline_seconds=deadline_seconds,
                service_pk=service_pk,
                window_days=window_days,
                store=store,
                asked_by=asked_by,
            )
        )
    except Unanswered:
        return None


def wait_for(ticket: str, *, deadline_seconds: float = DEADLINE_SECONDS) -> Answer | None:
    """Wait for the answer to ``slos.regenerate``; ``None`` when none came in time."""
    found = asking.wait_for(ticket, deadline_seconds=deadline_seconds)
    return None if found is None else as_answer(found)
