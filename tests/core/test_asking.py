"""Asking a worker and waiting: an answer in time, or a sentence that says why there is none."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import dramatiq
import pytest

from apps.core import instants
from apps.core.redis import asking
from apps.core.redis.asking import Question, Unanswered
from apps.core.resilience import CircuitBreaker

given: list[dict[str, Any]] = []


def work(**arguments: Any) -> dict[str, Any]:
    """What a worker does with the question of these tests."""
    given.append(arguments)
    if arguments.get("breaks"):
        raise ZeroDivisionError
    return {"doubled": arguments["number"] * 2}


@pytest.fixture
def question() -> Iterator[Question]:
    given.clear()
    name = f"tests.{uuid.uuid4().hex}"
    made = Question(
        name, "tests.core.test_asking.work", breaker=CircuitBreaker("Asking for tests", failures_to_open=2)
    )
    yield asking.register(made)
    del asking._questions[name]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The questions that leave, each with its ticket; nobody answers unless a test does."""
    messages: list[dict[str, Any]] = []

    def enqueue(message: Any, *, delay: int | None = None) -> Any:
        messages.append(message.kwargs)
        return message

    monkeypatch.setattr(dramatiq.get_broker(), "enqueue", enqueue)
    return messages


def answered_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a worker be so quick that it has answered before anybody waits."""

    def enqueue(message: Any, *, delay: int | None = None) -> Any:
        said = message.kwargs
        with suppress(ZeroDivisionError):
            asking.answer(said["question"], said["ticket"], said["arguments"])
        return message

    monkeypatch.setattr(dramatiq.get_broker(), "enqueue", enqueue)


def test_an_answer_comes_back(question: Question, monkeypatch: pytest.MonkeyPatch) -> None:
    answered_at_once(monkeypatch)
    assert question.ask(number=21) == {"doubled": 42}


def test_a_worker_that_breaks_down_answers_that_it_did(
    question: Question, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered_at_once(monkeypatch)
    assert question.ask(number=1, breaks=True) == {"state": "failed"}


def test_nobody_is_waited_for_beyond_the_deadline(question: Question, sent: list[dict[str, Any]]) -> None:
    with pytest.raises(Unanswered, match=r"no answer within 0\.02 s"):
        question.ask(deadline_seconds=0.02, number=1)


def test_a_question_that_nobody_waits_for_is_dropped(question: Question, sent: list[dict[str, Any]]) -> None:
    with pytest.raises(Unanswered):
        question.ask(deadline_seconds=0.02, number=1)
    asking.answer(question.name, sent[0]["ticket"], {"number": 1})
    assert given == []


@pytest.mark.parametrize("hours", [-2, 2, 24 * 365])
def test_the_machines_clocks_do_not_matter(question: Question, hours: int) -> None:
    ticket = uuid.uuid4().hex
    asking.await_answer(ticket, 60)
    with instants.clocks(machine=lambda: datetime.now(UTC) + timedelta(hours=hours)):
        asking.answer(question.name, ticket, {"number": 2})
    assert asking.wait_for(ticket, deadline_seconds=5) == {"doubled": 4}


def test_a_question_that_stays_unanswered_stops_being_asked(
    question: Question, sent: list[dict[str, Any]]
) -> None:
    for _ in range(2):
        with pytest.raises(Unanswered):
            question.ask(deadline_seconds=0.02, number=1)
    with pytest.raises(Unanswered, match=r"Asking for tests failed 2 times in a row; next attempt in"):
        question.ask(deadline_seconds=0.02, number=1)
    assert len(sent) == 2


def test_questions_do_not_share_a_breaker() -> None:
    breakers = [id(each.breaker) for each in asking._questions.values()]
    assert len(set(breakers)) == len(breakers)


def test_two_questions_cannot_have_one_name(question: Question) -> None:
    with pytest.raises(RuntimeError, match="Two questions are called"):
        asking.register(question)
