"""An edge in this process, before a web process that counts: who is slow costs little, and who is fast gets in."""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from console.configuration import Configuration
from console.edge import client
from console.edge.buffers import Budget
from console.edge.server import Edge

GUARD_S = 60.0
ANSWER = b"x" * 36_000
"""As much as the style sheet has."""
PIPELINED = 200
CSV = b"y" * 600_000
CSV_MADE_FIRST = 500_000
BODY = 60_000
"""A little less than strangers may send."""


class Served:
    """The edge, its port, and how often each path was asked for behind it."""

    def __init__(self, edge: Edge) -> None:
        self.edge = edge
        self.port = 0
        self.asked: Counter[str] = Counter()
        self.is_made = asyncio.Event()
        """Set it to have the rest of ``/csv`` made."""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Be a web process with one connection."""
        with contextlib.suppress(EOFError, OSError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
                await reader.readexactly(int(length or 0))
                path = head.split(b" ")[1].decode()
                self.asked[path] += 1
                if path == "/csv":
                    await self._make_csv(writer)
                    continue
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(ANSWER), ANSWER))
                await writer.drain()

    async def _make_csv(self, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(CSV) + CSV[:CSV_MADE_FIRST])
        await self.is_made.wait()
        writer.write(CSV[CSV_MADE_FIRST:])
        await writer.drain()

    async def ask(self, path: str, *, source: str = "127.0.0.1", body: int = 0) -> int:
        """Be an honest client with one request; return the status."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, local_addr=(source, 0))
        writer.write(b"POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (path.encode(), body))
        writer.write(b"b" * body)
        head = await reader.readuntil(b"\r\n\r\n")
        writer.close()
        return int(head[9:12])

    async def slow(self, sent: bytes, *, source: str = "127.0.0.1") -> socket.socket:
        """Be a client that sends this and reads nothing."""
        one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        one.bind((source, 0))
        one.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(one, ("127.0.0.1", self.port))
        await loop.sock_sendall(one, sent)
        return one


@asynccontextmanager
async def served(folder: Path, budget_bytes: int) -> AsyncIterator[Served]:
    configuration = replace(Configuration.read(), data_dir=folder, web_processes=1, web_threads=4)
    edge = Edge(configuration, "127.0.0.1")
    edge.budget = Budget(budget_bytes)
    found = Served(edge)
    (process,) = edge.pool.processes
    process.is_up = True
    behind = await asyncio.start_unix_server(found.answer, str(process.socket))
    front = await asyncio.start_server(edge._welcome, "127.0.0.1", 0)
    found.port = front.sockets[0].getsockname()[1]
    yield found
    front.close()
    behind.close()
    while edge._clients:
        for one in edge.register.everybody():
            one.end(None)
        await asyncio.sleep(0.01)


def run(story: Coroutine[Any, Any, None]) -> None:
    async def guarded() -> None:
        async with asyncio.timeout(GUARD_S):
            await story

    asyncio.run(guarded())


def pipeline() -> bytes:
    return b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n" * PIPELINED


def test_who_reads_nothing_has_few_answers_made_however_many_are_asked_for(tmp_path: Path) -> None:
    async def story() -> None:
        async with served(tmp_path, 1 << 20) as edge:
            slow = [await edge.slow(pipeline()) for _ in range(5)]
            for _ in range(50):
                assert await edge.ask("/page") == 200
            assert 5 <= edge.asked["/slow"] <= 5 * 8
            for one in slow:
                one.close()

    run(story())


def test_who_reads_late_gets_every_answer_whole(tmp_path: Path) -> None:
    async def story() -> None:
        async with served(tmp_path, 1 << 20) as edge:
            slow = await edge.slow(pipeline())
            assert await edge.ask("/page") == 200
            reader, writer = await asyncio.open_connection(sock=slow)
            for _ in range(PIPELINED):
                assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
                assert await reader.readexactly(len(ANSWER)) == ANSWER
            assert edge.asked["/slow"] == PIPELINED
            writer.close()

    run(story())


@pytest.mark.parametrize("addresses", [1, 6])
def test_a_newcomer_who_is_fast_gets_room_from_those_who_are_slow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, addresses: int
) -> None:
    monkeypatch.setattr(client, "NEWCOMER_S", 0.0)

    async def story() -> None:
        async with served(tmp_path, 1 << 20) as edge:
            head = b"POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (BODY + 1)
            sources = [f"127.0.0.{number + 50}" for number in range(addresses)]
            slow = [await edge.slow(head + b"b" * BODY, source=sources[at % addresses]) for at in range(24)]
            for source in (sources[0], "127.0.0.40"):
                for _ in range(20):
                    assert await edge.ask("/page", source=source, body=BODY) == 200
            budget = edge.edge.budget
            assert budget.taken_bytes <= budget.limit_bytes
            assert max(budget._by_address.values()) <= budget.share_bytes
            assert edge.asked == Counter({"/page": 40})
            for one in slow:
                one.close()

    run(story())


def test_the_time_that_an_answer_takes_to_be_made_is_not_the_clients(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "NEWCOMER_S", 0.0)

    async def story() -> None:
        async with served(tmp_path, 1 << 22) as edge:
            slow = await edge.slow(b"GET /csv HTTP/1.1\r\nHost: a\r\n\r\n")
            while not edge.edge.budget.taken_bytes:
                await asyncio.sleep(0.01)
            (taker,) = edge.edge.register.everybody()
            assert isinstance(taker, client.Client)
            assert math.isinf(taker.pace)
            edge.is_made.set()
            while not taker.is_taking:
                await asyncio.sleep(0.01)
            reader, writer = await asyncio.open_connection(sock=slow, limit=1_024)
            await reader.readuntil(b"\r\n\r\n")
            # Less than what was written for it at once: it counts, too.
            await reader.readexactly(client.HELD_IN_MEMORY // 2)
            while not taker.pace:
                await asyncio.sleep(0.01)
            assert edge.edge.budget.taken_bytes
            await reader.readexactly(len(CSV) - client.HELD_IN_MEMORY // 2)
            writer.close()

    run(story())


def test_all_room_comes_back(tmp_path: Path) -> None:
    async def story() -> None:
        async with served(tmp_path, 1 << 20) as edge:
            head = b"POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (BODY + 1)
            slow = [await edge.slow(head + b"b" * BODY) for _ in range(3)]
            assert await edge.ask("/page", body=BODY) == 200
            for one in slow:
                one.close()
            while edge.edge.budget.taken_bytes:
                await asyncio.sleep(0.01)
            assert not edge.edge.budget._by_address

    run(story())
