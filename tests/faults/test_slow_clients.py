"""Slow and broken clients cost a connection and never a web thread: pages and probes are answered all the while."""

from __future__ import annotations

import pytest

from tests.faults.conftest import PER_ADDRESS, ask
from tests.faults.hostile import KINDS, many
from tests.house.running import Running
from tests.house.waiting import until

COUNT = 200
ONE = ["127.0.0.1"]
SEVERAL = [f"127.0.0.{number}" for number in range(10, 18)]
MIXES = {
    "dripping bodies": ["dripping_body"],
    "open bodies": ["silent_body"],
    "slow forms": ["slow_form"],
    "all": list(KINDS),
}


@pytest.mark.parametrize("sources", [ONE, SEVERAL], ids=["one address", "several addresses"])
@pytest.mark.parametrize(("mix", "seed"), [(mix, seed) for seed, mix in enumerate(MIXES)])
def test_pages_and_probes_are_answered_while_hostile_clients_hold_on(
    console: Running, mix: str, seed: int, sources: list[str]
) -> None:
    with many(int(console.port), MIXES[mix], COUNT, seed=seed, sources=sources) as opened:
        for _ in range(3):
            for one in opened:
                one.drip()
            # From an address of its own, and from one that hostile clients share.
            for source in ("127.0.0.1", sources[0]):
                assert ask(console, "/sign-in/", source=source).status == 200
                assert ask(console, "/-/healthz", source=source).status == 200
                assert ask(console, "/-/ready", source=source).status == 200
        # As many as the limit allows were still there: the answers above did not come after they had gone.
        assert any(one.is_open() for one in opened)


def test_every_hostile_client_is_let_go_in_the_end(console: Running) -> None:
    with many(int(console.port), list(KINDS), 100, seed=7, sources=SEVERAL) as opened:
        said: dict[str, list[bytes]] = {}
        for one in opened:
            if one.kind == "slow_reader":
                until(one.was_cut_off, "a client that takes nothing is cut off")
            else:
                said.setdefault(one.kind, []).append(one.rest())
    assert set(said["silent"]) == {b""}
    for kind in ("silent_head", "dripping_head", "silent_body", "dripping_body", "slow_form"):
        assert {answer[:12] for answer in said[kind] if answer} == {b"HTTP/1.1 408"}, kind
        assert all(b"did not arrive in time" in answer for answer in said[kind] if answer)
    assert not any(answer.startswith((b"HTTP/1.1 2", b"HTTP/1.1 5")) for answer in said["garbage"])
    assert not any(answer.startswith((b"HTTP/1.1 2", b"HTTP/1.1 5")) for answer in said["half_closed"])


def test_an_address_with_too_many_connections_is_told_so_and_no_other_suffers(console: Running) -> None:
    greedy = "127.0.0.40"
    with many(int(console.port), ["silent_body"], PER_ADDRESS * 2, seed=1, sources=[greedy]) as opened:
        assert ask(console, "/sign-in/", source=greedy).status == 200
        until(lambda: sum(not one.is_open() for one in opened) >= PER_ADDRESS, "half of them are told to go")
        told = [one.rest() for one in opened if not one.is_open()]
    assert len([answer for answer in told if answer.startswith(b"HTTP/1.1 429")]) >= PER_ADDRESS
    assert all(b"more than 40 connections" in answer for answer in told if answer.startswith(b"HTTP/1.1 429"))
