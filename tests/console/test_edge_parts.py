"""The edge's parts by themselves: who gives way, what is kept, whose turn it is, and how lines are counted."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import random
from pathlib import Path

import hypothesis
import pytest
from django.conf import settings
from hypothesis import given
from hypothesis import strategies as st

from apps.core.errors import BallastError, Unavailable
from console.configuration import Configuration
from console.edge.buffers import Budget, BudgetSpent, Buffer
from console.edge.pace import Pace
from console.edge.register import Register, counted_as
from console.edge.server import MAX_BODY_BYTES, SESSION_COOKIE, Edge
from console.edge.web import Lease, Pool
from console.environment import ConfigurationError
from console.refusals import Refusals


class Fake:
    """A connection as the register sees it."""

    is_resting = False
    is_taking = False

    def __init__(self, due: float) -> None:
        self.due = due
        self.reason: BallastError | None = None

    def end(self, reason: BallastError | None) -> None:
        assert not math.isinf(self.due), "it was being worked for"
        self.reason = reason

    def expire(self) -> None:
        raise AssertionError("the register does not look at the clock")


class Moving:
    """A client as the budget sees it."""

    def __init__(self, due: float = 5.0, pace: float = math.inf) -> None:
        self.due = due
        self.pace = pace


def test_the_edge_and_the_pages_agree() -> None:
    assert settings.SESSION_COOKIE_NAME.encode() == SESSION_COOKIE
    assert settings.MAX_BODY_BYTES == MAX_BODY_BYTES


@hypothesis.settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([1.0, 2.0, 3.0, math.inf])), max_size=60))
def test_no_address_has_more_than_its_share_and_nobody_at_work_is_closed(
    arrivals: list[tuple[str, float]],
) -> None:
    register = Register(limit=1000, per_address=3)
    held: list[tuple[str, Fake]] = []
    for address, due in arrivals:
        one = Fake(due)
        refusal = register.assign(one, address)
        others = [other for where, other in held if where == address and other.reason is None]
        held.append((address, one))
        if refusal is not None:
            assert all(math.isinf(other.due) for other in others if other.reason is None)
            register.unassign(one, address)
            one.reason = refusal
        open_ones = [other for where, other in held if where == address and other.reason is None]
        assert len(open_ones) <= 3
    assert not any(
        math.isinf(one.due) and one.reason is not None and one.reason.status != 429 for _, one in held
    )


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unknown", "unknown"),
    ],
)
def test_an_address_is_counted_as_what_one_customer_has(address: str, counted: str) -> None:
    assert counted_as(address) == counted


@hypothesis.settings(deadline=None)
@given(st.lists(st.binary(max_size=90_000), max_size=12))
def test_a_buffer_gives_back_what_it_took_and_what_was_written(pieces: list[bytes]) -> None:
    budget = Budget(600_000)
    buffer = Buffer(budget, Moving(), "a")
    kept = b""
    for piece in pieces:
        try:
            buffer.write(piece)
            kept += piece
        except BudgetSpent:
            assert len(kept) + len(piece) > budget.share_bytes
    assert b"".join(buffer.pieces()) == kept
    assert budget.taken_bytes == len(kept)
    buffer.close()
    assert budget.taken_bytes == 0


@pytest.mark.parametrize("buffer_mb", ["16", "39", "40", "256"])
def test_one_address_can_send_the_largest_body_whatever_the_budget_is(tmp_path: Path, buffer_mb: str) -> None:
    read = Configuration.read({"BUFFER_MB": buffer_mb, "BALLAST_DATA_DIR": str(tmp_path)})
    edge = Edge(read, "127.0.0.1")
    with contextlib.closing(Buffer(edge.budget, Moving(), "a")) as body:
        for _ in range(0, MAX_BODY_BYTES, 1 << 20):
            body.write(b"x" * (1 << 20))
        assert body.size == MAX_BODY_BYTES
        assert edge.budget.share_bytes == max(int(buffer_mb) * (1 << 20) // 4, MAX_BODY_BYTES)


def test_a_budget_that_no_body_fits_into_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="BUFFER_MB is '15'"):
        Configuration.read({"BUFFER_MB": "15"})
    with pytest.raises(ValueError, match="does not fit"):
        Budget(MAX_BODY_BYTES - 1, MAX_BODY_BYTES)


def test_the_slowest_whom_nobody_works_for_gives_way_and_never_to_one_that_is_slower() -> None:
    budget = Budget(400_000)
    holders = [Moving(due, pace) for due, pace in ((9.0, 500.0), (1.0, 900.0), (math.inf, 1.0), (2.0, 700.0))]
    for at, holder in enumerate(holders):
        Buffer(budget, holder, f"address {at % 2}").write(b"x" * 50_000)
    Buffer(budget, Moving(1.0, 1.0), "address 2").write(b"few")
    newcomer = Moving()
    assert budget.slowest(but=newcomer, address=None) is holders[0]
    assert budget.slowest(but=newcomer, address="address 1") is holders[3]
    assert budget.slowest(but=Moving(pace=400.0), address="address 1") is None
    with pytest.raises(BudgetSpent) as spent:
        Buffer(budget, newcomer, "address 1").write(b"x")
    assert spent.value.address == "address 1"


def test_only_the_spans_in_which_it_is_the_clients_turn_count_for_its_pace() -> None:
    moved, now = 0, 0.0
    pace = Pace(lambda: moved, lambda: now)
    now = 60.0  # The answer is made.
    assert pace.per_s(0.0) == math.inf
    pace.start()
    moved, now = 500, 62.0
    assert (pace.per_s(1.0), pace.per_s(2.0)) == (250.0, math.inf)
    pace.stop()
    moved, now = 900, 90.0  # More of it is made, and goes out meanwhile.
    assert pace.per_s(1.0) == 250.0
    pace.start()
    moved, now = 1_200, 92.0
    assert pace.per_s(1.0) == 200.0
    pace.forget()
    assert pace.per_s(0.0) == math.inf


def test_requests_that_do_not_wait_for_their_answers_give_way_to_those_that_do(tmp_path: Path) -> None:
    pool = Pool(tmp_path, processes=1, threads=4, queue_timeout_s=20)
    pool.processes[0].is_up = True
    at_once = {True: 0, False: 0}
    most, served = dict(at_once), list[bool]()

    async def ask(is_patient: bool) -> None:
        async with pool.thread("anybody", is_patient=is_patient):
            served.append(is_patient)
            at_once[is_patient] += 1
            most[is_patient] = max(most[is_patient], at_once[is_patient])
            await asyncio.sleep(0)
            at_once[is_patient] -= 1

    async def all_of_them() -> None:
        await asyncio.gather(*(ask(True) for _ in range(50)), *(ask(False) for _ in range(50)))

    asyncio.run(all_of_them())
    assert most == {True: 1, False: 4}
    assert sum(served[:52]) <= 3
    assert pool.processes[0].lent == 0


@pytest.mark.parametrize("seed", range(10))
def test_threads_are_lent_in_turn_by_address_and_all_come_back(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    pool = Pool(tmp_path, processes=2, threads=2, queue_timeout_s=20)
    for process in pool.processes:
        process.is_up = True
    served: list[str] = []

    async def ask(address: str) -> None:
        async with pool.thread(address):
            served.append(address)
            await asyncio.sleep(0)

    async def all_of_them() -> None:
        greedy = [asyncio.create_task(ask("greedy")) for _ in range(100)]
        await asyncio.sleep(0)
        await asyncio.gather(*(ask(f"other {draw.randrange(5)}") for _ in range(5)))
        for task in draw.sample(greedy, 50):
            task.cancel()
        await asyncio.gather(*greedy, return_exceptions=True)

    asyncio.run(all_of_them())
    last = max(at for at, address in enumerate(served) if address != "greedy")
    assert last < 40
    assert [process.lent for process in pool.processes] == [0, 0]


def test_who_waits_too_long_for_a_thread_is_told_so(tmp_path: Path) -> None:
    pool = Pool(tmp_path, processes=1, threads=1, queue_timeout_s=0)

    async def ask() -> Lease:
        async with pool.thread("anybody") as lease:
            return lease

    with pytest.raises(Unavailable, match="Every web thread is busy"):
        asyncio.run(ask())


def test_refusals_are_said_once_a_minute_with_their_number() -> None:
    now = [0.0]
    refusals = Refusals(clock=lambda: now[0])
    said: list[str] = []

    def log(name: str, words: str) -> None:
        record = logging.LogRecord(name, logging.ERROR, "", 0, words, None, (ValueError, ValueError(), None))
        if refusals.filter(record):
            said.append(record.getMessage())
            assert record.exc_info is None or not name.startswith("django.security")

    for number in range(1_000):
        log("django.security.DisallowedHost", f"host {number}")
    log("apps.slos", "something else")
    now[0] = 61.0
    log("django.security.DisallowedHost", "host again")
    assert said == ["host 0", "something else", "host again 999 more like it since the last such line."]
