"""How long pages and probes take while 200 hostile connections hold on. Prints figures, asserts on none.

The page is the one to sign in, which everybody is served without an account. Quiet and hostile rounds take turns, so
that what else the machine does falls on both.
"""

from __future__ import annotations

import http.client
import statistics
import tempfile
import time
from pathlib import Path

from tests.faults.hostile import KINDS, many
from tests.house.running import Running

COUNT = 200
ROUNDS, TIMES = 4, 25
MIXES = {
    "open bodies": ["silent_body"],
    "dripping bodies": ["dripping_body"],
    "slow forms": ["slow_form"],
    "the three, mixed": ["silent_body", "dripping_body", "slow_form"],
    # With some 20 clients among them that ask for 200 files each and take none: real work besides.
    "every kind": list(KINDS),
}
SOURCES = {"one address": ["127.0.0.1"], "eight addresses": [f"127.0.0.{number}" for number in range(20, 28)]}


def taken_ms(port: int, path: str) -> float:
    """One request on a connection of its own."""
    began = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    assert answer.status == 200, (path, answer.status)
    return (time.perf_counter() - began) * 1000


def p95(taken: list[float]) -> float:
    return statistics.quantiles(taken, n=20)[-1]


def test_pages_and_probes_under_slow_clients() -> None:
    with (
        tempfile.TemporaryDirectory(prefix="ballast-bench-") as folder,
        Running(Path(folder, "data"), CLIENT_BODY_TIMEOUT_S="60", CLIENT_HEADER_TIMEOUT_S="60") as console,
    ):
        console.await_ready()
        port = int(console.port)
        print(f"\n{COUNT} hostile connections; p95 in ms     page, quiet   page   ratio   healthz   ready")
        for mix, kinds in MIXES.items():
            for name, sources in SOURCES.items():
                figures = _measure(port, kinds, sources)
                quiet, page, live, ready = (p95(figures[key]) for key in ("quiet", "page", "live", "ready"))
                row = f"{quiet:>10.1f} {page:>8.1f} {page / quiet:>6.2f} {live:>9.1f} {ready:>8.1f}"
                print(f"  {mix + ', ' + name:<36} {row}")
        print("  bar                                                          2.00     100.0    100.0")


def _measure(port: int, kinds: list[str], sources: list[str]) -> dict[str, list[float]]:
    figures: dict[str, list[float]] = {"quiet": [], "page": [], "live": [], "ready": []}
    for seed in range(ROUNDS):
        figures["quiet"] += [taken_ms(port, "/sign-in/") for _ in range(TIMES)]
        with many(port, kinds, COUNT, seed=seed, sources=sources) as opened:
            for at in range(TIMES):
                if at % 5 == 0:
                    for one in opened:
                        one.drip()
                figures["page"].append(taken_ms(port, "/sign-in/"))
                figures["live"].append(taken_ms(port, "/-/healthz"))
                figures["ready"].append(taken_ms(port, "/-/ready"))
    return figures
