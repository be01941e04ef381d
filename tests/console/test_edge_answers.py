"""Answers of a web process that stalls, and clients that take their time: who is given up, and what that frees."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from apps.core.web.http import client_ip
from console.configuration import Configuration
from console.edge import probes as probes_module
from console.edge import server as server_module
from console.edge.heads import Head
from console.edge.probes import Probes
from console.edge.server import Edge
from console.edge.web import Pool

OK = b"HTTP/1.1 200 OK\r\n"
ASK = b"GET /page HTTP/1.1\r\nhost: x\r\n\r\n"
PATIENCE_S = 20

BEGINNINGS = {
    "the head": OK + b"content-length: 10\r\n\r\n",
    "half a body": OK + b"content-length: 10\r\n\r\nhalf",
    "the head of chunks": OK + b"transfer-encoding: chunked\r\n\r\n",
    "a chunk": OK + b"transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    "half a chunk": OK + b"transfer-encoding: chunked\r\n\r\n9\r\nhalf",
    "all but the end of a chunk": OK + b"transfer-encoding: chunked\r\n\r\n4\r\nhalf",
}
ENDS = {
    "the head": b"0123456789",
    "half a body": b"456789",
    "the head of chunks": b"0\r\n\r\n",
    "a chunk": b"0\r\n\r\n",
    "half a chunk": b"there\r\n0\r\n\r\n",
    "all but the end of a chunk": b"\r\n0\r\n\r\n",
}


class Web:
    """A web process in this one: it sends ``first``, and the ``rest`` when it is told to go on."""

    def __init__(self, first: bytes, rest: bytes = b"") -> None:
        self.first, self.rest = first, rest
        self.go_on = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(self.first)
            await writer.drain()
            await self.go_on.wait()
            writer.write(self.rest)
            await writer.drain()
            await reader.read()
        writer.close()


@contextlib.asynccontextmanager
async def edge_before(folder: Path, web: Web, **limits: Any) -> AsyncIterator[tuple[Edge, int]]:
    """An edge with one web thread, and the port on which it serves."""
    given = {"BALLAST_DATA_DIR": str(folder), "WEB_PROCESSES": "1", "WEB_THREADS": "1"}
    edge = Edge(replace(Configuration.read(given), **limits), "127.0.0.1")
    (process,) = edge.pool.processes
    process.socket.parent.mkdir(parents=True, exist_ok=True)
    behind = await asyncio.start_unix_server(web.serve, str(process.socket))
    process.is_up = True
    front = await asyncio.start_server(edge._welcome, "127.0.0.1", 0)
    sweeper = asyncio.create_task(edge._sweep())
    try:
        async with asyncio.timeout(PATIENCE_S):
            yield edge, front.sockets[0].getsockname()[1]
    finally:
        sweeper.cancel()
        web.go_on.set()
        front.close()
        behind.close()
        for task in list(edge._clients):
            task.cancel()
        edge.probes.close()


async def until(is_so: Callable[[], bool]) -> None:
    while not is_so():
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("begun", BEGINNINGS)
def test_a_stall_in_mid_answer_is_given_up_and_its_thread_is_free_only_when_it_ends(
    tmp_path: Path, begun: str
) -> None:
    async def run() -> None:
        web = Web(BEGINNINGS[begun], ENDS[begun])
        async with edge_before(tmp_path, web, web_answer_timeout_s=1) as (edge, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(ASK)
            assert (await reader.read()).startswith(b"HTTP/1.1 200")
            writer.close()
            await until(lambda: not edge._clients)
            assert edge.pool.processes[0].lent == 1
            web.go_on.set()
            await until(lambda: edge.pool.processes[0].lent == 0)

    asyncio.run(run())


@pytest.mark.parametrize("begun", BEGINNINGS)
def test_a_client_that_leaves_in_mid_answer_frees_no_thread_that_is_busy(tmp_path: Path, begun: str) -> None:
    async def run() -> None:
        web = Web(BEGINNINGS[begun], ENDS[begun])
        async with edge_before(tmp_path, web) as (edge, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(ASK)
            await reader.readuntil(b"\r\n\r\n")
            (client,) = edge._clients
            client.cancel()
            await until(lambda: not edge._clients)
            assert edge.pool.processes[0].lent == 1
            web.go_on.set()
            await until(lambda: edge.pool.processes[0].lent == 0)
            writer.close()

    asyncio.run(run())


def test_events_may_be_apart_for_longer_than_an_answer_may_take(tmp_path: Path) -> None:
    head = OK + b"content-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"

    async def run() -> None:
        web = Web(head, b"4\r\nlate\r\n0\r\n\r\n")
        async with edge_before(tmp_path, web, web_answer_timeout_s=1) as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(ASK)
            await reader.readuntil(b"\r\n\r\n")
            await asyncio.sleep(1.3)
            web.go_on.set()
            assert b"late" in await reader.readuntil(b"0\r\n\r\n")
            writer.close()

    asyncio.run(run())


@pytest.mark.parametrize("size", [8_000_000, 30_000_000])
def test_at_the_stop_an_answer_that_is_being_taken_is_taken_to_its_end(
    tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "DRAIN_SENDING_S", 0.2)

    async def run() -> None:
        web = Web(OK + b"content-length: %d\r\n\r\n" % size + b"x" * size)
        async with edge_before(tmp_path, web) as (edge, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            sending = (await asyncio.open_connection("127.0.0.1", port))[1]
            sending.write(b"POST /page HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nhalf")
            writer.write(ASK)
            await reader.readuntil(b"\r\n\r\n")
            await until(lambda: len(edge._clients) == 2)
            edge.is_draining = True
            drain = asyncio.create_task(edge._drain())
            await until(lambda: len(edge._clients) == 1)
            assert len(await reader.readexactly(size)) == size
            writer.close()
            sending.close()
            await drain

    asyncio.run(run())


HOPS = [
    "192.0.2.7", "192.0.2.7:5678", "[2001:db8::1]:443", "2001:db8::1", "fe80::1%eth0", "unknown", "_hidden",
    "1.2.3.4.5:6", "192.0.2.7:x", "", "a, 192.0.2.7:1", "192.0.2.7:1, b", "::ffff:192.0.2.7", "[::1", ",,", "0x7f.1",
]  # fmt: skip


@pytest.mark.parametrize("forwarded", HOPS)
@pytest.mark.parametrize("proxies", [1, 2])
def test_the_edge_counts_an_address_as_the_pages_read_it(
    tmp_path: Path, forwarded: str, proxies: int, rf: Any, settings: Any
) -> None:
    settings.TRUSTED_PROXY_COUNT = proxies
    given = {"BALLAST_DATA_DIR": str(tmp_path), "TRUSTED_PROXY_COUNT": str(proxies)}
    edge = Edge(Configuration.read(given), "127.0.0.1")
    head = Head(b"GET", b"/", [], 0, forwarded, has_credentials=False)
    read = client_ip(rf.get("/", REMOTE_ADDR="198.51.100.1", headers={"X-Forwarded-For": forwarded}))
    assert edge.client_of(head, "198.51.100.1") == (read or "198.51.100.1")
    edge.probes.close()


@pytest.mark.parametrize("was_ready", [True, False])
@pytest.mark.parametrize("age_s", [2.5, 60.0, 86_400.0])
def test_an_old_readiness_is_never_given_for_the_present(
    tmp_path: Path, was_ready: bool, age_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database now answers otherwise, and slower than a probe waits for a recent result."""

    async def run() -> tuple[bool, dict[str, str]]:
        probes = Probes(Pool(tmp_path, processes=1, threads=1, queue_timeout_s=1))
        release = threading.Event()

        def check() -> tuple[bool, dict[str, str]]:
            assert release.wait(PATIENCE_S)
            return not was_ready, {"postgresql": "now"}

        monkeypatch.setattr(probes_module, "_check", check)
        probes._found = (was_ready, {"postgresql": "then"})
        probes._found_at = asyncio.get_running_loop().time() - age_s
        asyncio.get_running_loop().call_later(3 * probes_module.READY_TIMEOUT_S, release.set)
        try:
            return await probes._readiness()
        finally:
            release.set()
            probes.close()

    assert asyncio.run(run()) == (not was_ready, {"postgresql": "now"})
