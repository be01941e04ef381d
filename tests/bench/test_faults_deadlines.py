"""How long people wait while a server that Ballast needs is frozen, and how soon all goes on."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import httpx
import pytest

from tests.faults.frozen_house import House
from tests.faults.frozen_source import HangingSource

ROUNDS = 5
TOGETHER = 16


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with House.started() as house:
        yield house


def timed(ask: Callable[[], httpx.Response]) -> tuple[float, int]:
    began = time.perf_counter()
    return (lambda answer: (time.perf_counter() - began, answer.status_code))(ask())


def row(what: str, seconds: list[float], bar: str) -> None:
    print(f"  {what:<58} median {statistics.median(seconds):6.2f} s  worst {max(seconds):6.2f} s  bar {bar}")


def test_frozen_servers(house: House) -> None:
    with closing(house.signed_in()) as browser, ThreadPoolExecutor(TOGETHER) as pool:
        print()
        usual = [timed(lambda: browser.get("/services/"))[0] for _ in range(20)]
        row("page, all well", usual, "")
        first, later, back, alive, ready = [], [], [], [], []
        for _ in range(ROUNDS):
            with house.frozen("postgres"):
                asked = [pool.submit(timed, lambda: browser.get("/services/")) for _ in range(TOGETHER)]
                alive.append(timed(lambda: browser.get("/-/healthz"))[0])
                ready.append(timed(lambda: browser.get("/-/ready"))[0])
                first += [one.result()[0] for one in asked]
                later += [timed(lambda: browser.get("/services/"))[0] for _ in range(20)]
            began = time.perf_counter()
            while browser.get("/services/").status_code != 200:
                time.sleep(0.05)
            back.append(time.perf_counter() - began)
        row(f"PostgreSQL frozen: 503 for the first {TOGETHER} at once", first, "5 s")
        row("PostgreSQL frozen: 503 afterwards", later, "5 s")
        row("PostgreSQL frozen: /-/healthz", alive, "0.1 s")
        row("PostgreSQL frozen: /-/ready", ready, "5 s")
        row("PostgreSQL goes on: until a page is served", back, "")
        cold, warm = [], []
        for _ in range(ROUNDS):
            with house.frozen("redis"):
                cold.append(timed(lambda: browser.get("/api/v1/actions"))[0])
                warm += [timed(lambda: browser.get("/api/v1/actions"))[0] for _ in range(20)]
            time.sleep(6)
        row("Redis frozen: the first call of the API", cold, "")
        row("Redis frozen: calls of the API afterwards", warm, "")


def test_hanging_prometheus(house: House) -> None:
    with (
        HangingSource(drips=True) as source,
        closing(house.signed_in()) as browser,
        ThreadPoolExecutor(TOGETHER) as pool,
    ):
        browser.post("/api/v1/actions/telemetry.connect", json={"url": source.url})
        asked = [
            pool.submit(timed, lambda: browser.get("/telemetry/check/?service=shop")) for _ in range(TOGETHER)
        ]
        pages = [timed(lambda: browser.get("/services/"))[0] for _ in range(20)]
        print()
        row(f"Prometheus hangs: its state, {TOGETHER} at once", [one.result()[0] for one in asked], "")
        row("Prometheus hangs: pages of others meanwhile", pages, "")
