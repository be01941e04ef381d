"""How many pages a second the edge and its web processes give to 50 connections that ask without a pause, at 5,000
services, and how long each takes.

Prints figures, asserts on none. ``BENCH_SECONDS`` is how long each page is asked for, ``BENCH_SHAPES`` the shapes of
the server (processes x threads), and ``BENCH_CODE`` a checkout of other code with the same tables, to be compared with.
Bars are three times what the code gave before answers were remembered, on two processors: compare with that code on
the same machine before you read anything into them.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
from django.conf import settings
from django.db import connections
from django.test import Client

from apps.catalog.models import Service
from console.embedded.state import free_port
from console.healthcheck import answers
from tests.bench.conftest import SERVICES
from tests.bench.test_pages import recommend_all
from tests.slos.conftest import make_user

CONNECTIONS = 50
SECONDS = float(os.environ.get("BENCH_SECONDS", "10"))
SHAPES = os.environ.get("BENCH_SHAPES", "2x4").split(",")
CODE = Path(os.environ.get("BENCH_CODE", Path(__file__).resolve().parents[2]))
START_S = 60.0
# Page by name: its address, with the number of a service where it has one, and its bar in requests a second.
PAGES = {
    "overview": ("/", 189),
    "service": ("/services/service-{:04}/", 66),
    "recommendations": ("/recommendations/", None),
    "services": ("/services/", None),
}


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_fifty_connections_at_full_size(fleet: list[Service], tmp_path: Path) -> None:
    recommend_all(fleet)
    client = Client()
    client.force_login(make_user("sam", "sre_admin"))
    cookie = f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"
    print(f"\n{CONNECTIONS} connections for {SECONDS:g} s each, {SERVICES:,} services")
    for shape in SHAPES:
        processes, _, threads = shape.partition("x")
        with served(int(processes), int(threads), tmp_path) as port:
            for name, (path, bar) in PAGES.items():
                asyncio.run(
                    ask(port, path, cookie, min(2.0, SECONDS))
                )  # Each process compiles its templates.
                taken = sorted(asyncio.run(ask(port, path, cookie, SECONDS)))
                rate = len(taken) / SECONDS
                middle, tail = (taken[int(len(taken) * share)] * 1000 for share in (0.5, 0.95))
                print(
                    f"  {shape}  {name:<18}{rate:>8.0f}/s   p50 {middle:>7.0f} ms   p95 {tail:>7.0f} ms"
                    f"   bar {f'{bar}/s' if bar else '-'}"
                )


@contextmanager
def served(processes: int, threads: int, folder: Path) -> Iterator[int]:
    """Serve the database of this test from another program, as `make up` does; yields the edge's port."""
    port = free_port()
    environment = os.environ | {
        "PORT": str(port),
        "BALLAST_DATA_DIR": str(folder),
        "DATABASE_URL": _url("default"),
        "DATABASE_OWNER_URL": _url("owner"),
        "REDIS_URL": settings.REDIS_URL,
        "SECRET_KEY": settings.SECRET_KEY,
        "LOG_LEVEL": "ERROR",
        "WEB_PROCESSES": str(processes),
        "WEB_THREADS": str(threads),
        # All connections come from one address.
        "CONNECTIONS_PER_ADDRESS": str(2 * CONNECTIONS),
        # On a busy machine a page waits longer for its turn than anybody should.
        "WEB_QUEUE_TIMEOUT_S": "60",
    }
    with (folder / "web.log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "console.edge"], cwd=CODE, env=environment, stdout=log, stderr=log
        )
    try:
        deadline = time.monotonic() + START_S
        while not answers(port):
            if server.poll() is not None or time.monotonic() > deadline:
                pytest.fail((folder / "web.log").read_text())
            time.sleep(0.2)
        yield port
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=START_S)


def _url(alias: str) -> str:
    where = connections[alias].settings_dict
    who = f"{quote(where['USER'], safe='')}:{quote(where['PASSWORD'], safe='')}"
    return f"postgres://{who}@{where['HOST']}:{where['PORT']}/{where['NAME']}"


async def ask(port: int, path: str, cookie: str, seconds: float) -> list[float]:
    """Ask for a page on all connections for so long; return what each answer took, in seconds."""
    taken: list[float] = []
    numbers = itertools.cycle(range(SERVICES))
    end = time.perf_counter() + seconds

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while (begun := time.perf_counter()) < end:
            asked = path.format(next(numbers))
            writer.write(f"GET {asked} HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {cookie}\r\n\r\n".encode())
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            assert head.startswith(b"http/1.1 200"), head
            length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length))
            taken.append(time.perf_counter() - begun)
        writer.close()

    await asyncio.gather(*(one() for _ in range(CONNECTIONS)))
    return taken
