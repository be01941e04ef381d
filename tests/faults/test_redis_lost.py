"""Redis loses all it holds while work is queued: everything that was accepted is done, and its end is told once."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from tests.faults.running_runs import Console
from tests.house.waiting import until


@pytest.fixture(scope="module")
def console() -> Iterator[Console]:
    with Console.started() as console:
        yield console


@pytest.mark.parametrize("person_waits", [True, False])
def test_invariant_work_that_was_queued_is_done_after_a_flush(console: Console, person_waits: bool) -> None:
    workers = console.workers()
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    try:
        runs = console.accept(4, person_waits=person_waits)
        until(lambda: console.rung(runs), "a bell was rung for each")
        console.flush_redis()
    finally:
        for pid in workers:
            os.kill(pid, signal.SIGCONT)
    console.until_done(runs, f"flushed with 4 queued, {'a person' if person_waits else 'nobody'} waits")
    assert console.ends_told(runs) == [1] * 4


def test_invariant_work_in_hand_goes_on_after_a_flush(console: Console) -> None:
    with console.standing_still():
        runs = console.accept(2)
        until(lambda: set(console.states(runs)) == {"running"}, "the work has begun")
        console.flush_redis()
    console.until_done(runs, "flushed with 2 in hand")
    assert console.ends_told(runs) == [1] * 2


def test_periodic_work_goes_on_after_a_flush(console: Console) -> None:
    console.flush_redis()
    with console.database() as database:
        slots = database.execute("SELECT id FROM core_run WHERE kind LIKE 'schedule.%'").fetchall()
    console.until_done([slot for (slot,) in slots], "every periodic job that was due")
