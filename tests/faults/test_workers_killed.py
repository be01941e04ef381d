"""All that works is killed in the midst of it: others go on from there, and nothing has an effect twice."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress

import psycopg
import pytest

from tests.faults.running_runs import Console
from tests.house.running import Running, until_gone
from tests.house.waiting import until


@pytest.fixture
def console() -> Iterator[Console]:
    with Console.started() as console:
        yield console


def test_invariant_all_workers_killed_in_the_midst_of_their_work(console: Console) -> None:
    with console.standing_still():
        runs = console.accept(3)
        until(lambda: set(console.states(runs)) == {"running"}, "the work has begun")
        killed = console.workers()
        console.kill_workers()
        until_gone(killed)
    console.until_done(runs, "all workers killed with 3 in hand")
    assert console.ends_told(runs) == [1] * 3


def test_invariant_a_worker_that_was_only_asleep_does_nothing_twice(console: Console) -> None:
    with console.standing_still():
        runs = console.accept(1)
        until(lambda: set(console.states(runs)) == {"running"}, "the work has begun")
        asleep = console.workers()
        for pid in asleep:
            os.kill(pid, signal.SIGSTOP)
        with console.database() as database:
            until(
                lambda: (
                    database.execute(
                        "SELECT lease_until < clock_timestamp() FROM core_run WHERE id = %s", runs
                    ).fetchone()
                    == (True,)
                ),
                "its lease has run out",
            )
            # Somebody else holds it now, as its token says.
            database.execute("UPDATE core_run SET lease_token = lease_token + 1 WHERE id = %s", runs)
    for pid in asleep:
        os.kill(pid, signal.SIGCONT)
    console.until_done(runs, "a worker slept beyond its lease")
    assert console.ends_told(runs) == [1]


def test_invariant_the_supervisor_killed_in_the_midst_of_work(console: Console) -> None:
    with suppress(psycopg.OperationalError), console.standing_still():  # the database ends in the block
        runs = console.accept(2)
        until(lambda: set(console.states(runs)) == {"running"}, "the work has begun")
        children = console.running.children()
        os.kill(console.running.process.pid, signal.SIGKILL)
        for pid in children:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        until_gone(children)
    began = time.monotonic()
    with Running(console.data_dir, port=console.running.port) as again:
        again.await_ready()
        print(f"\n  started again: {time.monotonic() - began:.1f} s")
        console.until_done(runs, "supervisor and children killed with 2 in hand, from the new start on")
        assert console.ends_told(runs) == [1] * 2
