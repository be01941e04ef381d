"""How many answers a process keeps, and who reads an answer that several want at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from django.db import connection

from apps.core import remembered as module
from apps.core.remembered import forget_all, remembered

pytestmark = pytest.mark.django_db(transaction=True)
TABLES = ("accounts_team",)


class Reader:
    """Counts how often an answer was read."""

    def __init__(self, answer: object = "answer") -> None:
        self.answer, self.times = answer, 0

    def __call__(self) -> object:
        self.times += 1
        return self.answer


@pytest.fixture(autouse=True)
def _nothing_stays() -> Iterator[None]:
    yield
    forget_all()


def test_the_answer_that_was_not_asked_for_the_longest_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_ANSWERS", 3)
    readers = {name: Reader(name) for name in "abcd"}
    for name in ("a", "b", "c", "a", "d"):
        assert remembered(name, TABLES, readers[name]) == name
    for name in ("a", "c", "d"):
        remembered(name, TABLES, readers[name])
    assert [readers[name].times for name in "abcd"] == [1, 1, 1, 1]
    remembered("b", TABLES, readers["b"])
    assert readers["b"].times == 2


@pytest.mark.parametrize("answer", [None, [], 0, ""])
def test_an_answer_that_is_nothing_is_an_answer(answer: object) -> None:
    read = Reader(answer)
    assert [remembered("empty", TABLES, read) for _ in range(3)] == [answer] * 3
    assert read.times == 1


def test_what_is_forgotten_is_read_again() -> None:
    read = Reader()
    remembered("a", TABLES, read)
    forget_all()
    remembered("a", TABLES, read)
    assert read.times == 2


def test_an_answer_that_could_not_be_read_is_not_kept_and_holds_nobody_up() -> None:
    def fail() -> object:
        raise RuntimeError("the database is away")

    for _ in range(2):
        with pytest.raises(RuntimeError):
            remembered("a", TABLES, fail)
    read = Reader()
    assert remembered("a", TABLES, read) == "answer"
    assert read.times == 1


class Slow(Reader):
    """Reads when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.may_end = threading.Event(), threading.Event()

    def __call__(self) -> object:
        self.begun.set()
        assert self.may_end.wait(30)
        return super().__call__()


def _asking(read: Reader, answers: list[object]) -> threading.Thread:
    def ask() -> None:
        try:
            answers.append(remembered("shared", TABLES, read))
        finally:
            connection.close()

    thread = threading.Thread(target=ask)
    thread.start()
    return thread


def test_of_many_who_want_the_same_answer_one_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST_WAIT_S", 30.0)
    slow, answers = Slow(), list[object]()
    threads = [_asking(slow, answers)]
    assert slow.begun.wait(30)
    threads += [_asking(slow, answers) for _ in range(3)]
    slow.may_end.set()
    for thread in threads:
        thread.join(30)
    assert answers == ["answer"] * 4
    assert slow.times == 1


def test_nobody_waits_for_ever_for_another_who_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST_WAIT_S", 0.01)
    slow, answers = Slow(), list[object]()
    thread = _asking(slow, answers)
    assert slow.begun.wait(30)
    read = Reader("mine")
    assert remembered("shared", TABLES, read) == "mine"
    slow.may_end.set()
    thread.join(30)
    assert answers in (["answer"], ["mine"])
