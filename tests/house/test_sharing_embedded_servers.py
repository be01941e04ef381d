"""Any number of processes share the embedded servers; the last one, however it goes, takes them down."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from console.embedded import embedded_urls, ensure
from console.embedded.locks import ready_path
from console.embedded.state import load_state, port_is_free
from tests.house.waiting import until, until_free

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def holder(data_dir: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.house.holder", str(data_dir)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def postgres_pid(data_dir: Path) -> int:
    return int(ready_path(data_dir, "postgres").read_text().split()[1])


def started_at(url: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT pg_postmaster_start_time()").fetchone()
    assert row is not None
    return row[0]


def test_a_second_holder_gets_the_same_server(kept_data_dir: Path) -> None:
    with ensure(kept_data_dir, durable=False) as first, ensure(kept_data_dir) as second:
        assert first.database_url == second.database_url
        assert started_at(first.database_url) == started_at(second.database_url)
        with holder(kept_data_dir) as other:
            assert said(other).split()[0] == first.database_url


def test_it_runs_until_the_last_holder_leaves(kept_data_dir: Path) -> None:
    first = ensure(kept_data_dir, durable=False)
    second = ensure(kept_data_dir)
    first.close()
    assert started_at(second.database_url)
    second.close()
    state = load_state(kept_data_dir)
    assert port_is_free(state.postgres_port)
    assert port_is_free(state.redis_port)


def test_it_stops_when_its_only_holder_is_killed(kept_data_dir: Path) -> None:
    with holder(kept_data_dir) as only:
        assert said(only)
        only.kill()
        only.wait()
        until_free(load_state(kept_data_dir).postgres_port)
        until_free(load_state(kept_data_dir).redis_port)


def test_a_killed_holder_takes_nothing_from_the_others(kept_data_dir: Path) -> None:
    with holder(kept_data_dir) as killed:
        url = said(killed).split()[0]
        with ensure(kept_data_dir) as survivor:
            before = started_at(url)
            killed.kill()
            killed.wait()
            assert started_at(survivor.database_url) == before


def test_processes_that_ask_at_once_start_one_server(kept_data_dir: Path) -> None:
    with holder(kept_data_dir) as first, holder(kept_data_dir) as second, holder(kept_data_dir) as third:
        found = {said(first), said(second), said(third)}
        pids = ready_path(kept_data_dir, "postgres").read_text().strip()
        assert found == {f"{embedded_urls(kept_data_dir).database_url} {pids}"}


def test_a_server_that_dies_is_brought_back(kept_data_dir: Path) -> None:
    with ensure(kept_data_dir, durable=False) as servers:
        dead = postgres_pid(kept_data_dir)
        subprocess.run(["kill", "-9", str(dead)], check=True)

        def is_back() -> bool:
            try:
                return postgres_pid(kept_data_dir) != dead and bool(started_at(servers.database_url))
            except (OSError, IndexError, psycopg.OperationalError):
                return False

        until(is_back, "PostgreSQL answers again")


def test_a_killed_guard_takes_its_server_along_and_is_replaced(kept_data_dir: Path) -> None:
    with ensure(kept_data_dir, durable=False) as servers:
        guard = ready_path(kept_data_dir, "postgres").read_text().split()[0]
        subprocess.run(["kill", "-9", guard], check=True)

        def is_replaced() -> bool:
            servers.revive()
            return ready_path(kept_data_dir, "postgres").read_text().split()[0] != guard

        until(is_replaced, "another guard keeps PostgreSQL")
        assert started_at(servers.database_url)
