"""Ask a worker and wait for its answer, for what a web process needs but must not load the libraries for.

A question goes as a message to the queue ``interactive``; its answer comes back as one element of a Redis list that
nobody else knows, under the question's ticket. A question changes nothing itself; where a worker stores something while
it answers, it does so through an action. Questions are not kept: without Redis, or where no worker answers in time,
there is no answer, and the caller says so or shows an older one.

Only the clock of Redis decides whether somebody still waits: the ticket exists for as long as the asker waits.
The clocks of the asker's and of the worker's machine need not agree.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from uuid import uuid4

import dramatiq
import redis
import structlog
from django.conf import settings
from django.utils.module_loading import import_string
from dramatiq.errors import DramatiqError

from apps.core.redis.signing import Unreadable, opened, signed
from apps.core.resilience import CircuitBreaker, CircuitOpen, Deadline

logger = structlog.get_logger(__name__)

ACTOR = "core.answer"
QUEUE = "interactive"
REPLY_KEPT_SECONDS = 60
LONGEST_WAIT_SECONDS = 10.0
FAILED: Mapping[str, object] = {"state": "failed"}
"""The answer where the worker's code raised an error."""

type Document = dict[str, Any]


class Unanswered(Exception):
    """No worker took the question, or none answered in time. The message says which."""


@dataclass(slots=True)
class Question:
    """One kind of question.

    Parameters:
        name: stable and dotted; messages carry it.
        work: dotted path of the function that answers, with the question's arguments as keywords. A path, because only
            workers load what it needs.
        deadline_seconds: how long the caller waits.
        breaker: stops the asking for a while when nobody answers, because web threads are few. Each kind has its own.
    """

    name: str
    work: str
    deadline_seconds: float = 4.0
    breaker: CircuitBreaker = field(kw_only=True)

    def ask(self, *, deadline_seconds: float | None = None, **arguments: Any) -> Document:
        """Have a worker answer, and wait for it. The arguments and the answer are JSON.

        Raises:
            Unanswered: no answer came. A failure in the worker is an answer: ``{"state": "failed"}``.
        """
        seconds = self.deadline_seconds if deadline_seconds is None else deadline_seconds
        try:
            with self.breaker.guard():
                return self._ask(seconds, arguments)
        except CircuitOpen as error:
            raise Unanswered(str(error)) from error
        except Unanswered as error:
            logger.warning("question.unanswered", question=self.name, error=str(error))
            raise

    def _ask(self, seconds: float, arguments: Document) -> Document:
        ticket = uuid4().hex
        message: dramatiq.Message[Any] = dramatiq.Message(
            queue_name=QUEUE,
            actor_name=ACTOR,
            args=(),
            kwargs={"question": self.name, "ticket": ticket, "arguments": arguments},
            options={},
        )
        try:
            await_answer(ticket, seconds)
            dramatiq.get_broker().enqueue(message)
        except (redis.RedisError, DramatiqError, OSError) as error:
            raise Unanswered(repr(error)) from error
        answer = wait_for(ticket, deadline_seconds=seconds)
        if answer is None:
            raise Unanswered(f"no answer within {seconds:g} s")
        return answer


_questions: dict[str, Question] = {}


def register(question: Question) -> Question:
    """Register a kind of question under its name. Every process that asks or answers it must do so."""
    if question.name in _questions:
        raise RuntimeError(f"Two questions are called {question.name}.")
    _questions[question.name] = question
    return question


def answer(name: str, ticket: str, arguments: Document) -> None:
    """Answer a question, in a worker. A question that nobody waits for any more is dropped."""
    if not is_awaited(ticket):
        logger.info("question.too_late", question=name)
        return
    question = _questions[name]
    work: Callable[..., Mapping[str, object]] = import_string(question.work)
    try:
        found = work(**arguments)
    except Exception:
        reply(ticket, FAILED)
        raise
    reply(ticket, found)


@cache
def _client() -> redis.Redis:
    return redis.Redis.from_url(
        settings.REDIS_URL,
        socket_connect_timeout=0.5,
        socket_timeout=LONGEST_WAIT_SECONDS + 1,
        health_check_interval=30,
    )


def _key(what: str, ticket: str) -> str:
    return f"ballast:{settings.INSTALLATION_ID}:{what}:{ticket}"


def reply_key(ticket: str) -> str:
    """The list on which the answer to one question arrives."""
    return _key("reply", ticket)


def await_answer(ticket: str, seconds: float) -> None:
    """Record that somebody waits that many seconds for the answer on a ticket. Raises when Redis is away."""
    _client().set(_key("awaited", ticket), "1", px=max(1, int(seconds * 1000)))


def is_awaited(ticket: str) -> bool:
    """Return whether somebody still waits; false while Redis, which would carry the answer, is away."""
    try:
        return bool(_client().exists(_key("awaited", ticket)))
    except (redis.RedisError, OSError):
        return False


def reply(ticket: str, found: Mapping[str, object]) -> None:
    """Answer on a ticket. It is no error when nobody listens or Redis is away."""
    try:
        with _client().pipeline() as pipeline:
            pipeline.lpush(reply_key(ticket), signed(reply_key(ticket), dict(found)))
            pipeline.expire(reply_key(ticket), REPLY_KEPT_SECONDS)
            pipeline.execute()
    except (redis.RedisError, OSError) as error:
        logger.warning("question.reply_lost", error=repr(error))


def wait_for(ticket: str, *, deadline_seconds: float) -> Document | None:
    """Wait for the answer on a ticket; ``None`` when none came in time or Redis is away.

    Ignores answers that no worker of this installation signed.
    """
    key = reply_key(ticket)
    deadline = Deadline(min(deadline_seconds, LONGEST_WAIT_SECONDS))
    while (seconds := deadline.remaining()) > 0.0:
        try:
            # BLPOP takes fractions of a second since Redis 6; 0 would wait for ever.
            found: Any = _client().blpop([key], timeout=max(seconds, 0.01))
        except (redis.RedisError, OSError) as error:
            logger.warning("question.unanswered", error=repr(error))
            return None
        if found is None:
            return None
        try:
            document: Document = opened(key, found[1])
        except Unreadable as error:
            logger.error("question.reply_refused", error=str(error))
            continue
        return document
    return None
