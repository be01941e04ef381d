"""What a person sees of `make up`: it serves, it stops, it comes back, and it says why it does not."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from console.embedded.state import free_port, load_state, port_is_free
from tests.house.running import Running, until_gone
from tests.house.waiting import until, until_free

pytestmark = pytest.mark.long

type Start = Callable[..., Running]


@pytest.fixture(scope="module")
def start(kept_data_dir: Path) -> Iterator[Start]:
    """Starts a console that knows itself by its public name, and stops it after the last test if that has not."""
    with ExitStack() as stack:

        def start(**more: Any) -> Running:
            found = stack.enter_context(Running(kept_data_dir, ALLOWED_HOSTS="ballast.example.org", **more))
            found.await_ready()
            return found

        yield start


@pytest.fixture(scope="module")
def consoles() -> list[Running]:
    """Those that were started so far. Only the last can still run."""
    return []


@pytest.fixture
def console(start: Start, consoles: list[Running]) -> Running:
    """A console that serves: that of the test before, unless it was stopped there."""
    if not consoles or consoles[-1].process.poll() is not None:
        consoles.append(start())
    return consoles[-1]


def test_it_says_where_it_is_and_knows_its_page_by_the_public_name_alone(console: Running) -> None:
    assert f"Ballast is at http://127.0.0.1:{console.port}" in console.said
    assert str(console.data_dir / "logs") in console.said
    assert "manage.py create_admin --username NAME" in console.said
    assert console.answers()
    assert "No directory at" not in (console.data_dir / "logs" / "web.log").read_text()
    assert len(console.children()) == 5


def test_sigterm_stops_every_child_and_frees_every_port(console: Running) -> None:
    children = console.children()
    console.process.terminate()
    assert console.process.wait(60) == 0
    until_gone(children)
    state = load_state(console.data_dir)
    assert port_is_free(int(console.port))
    assert port_is_free(state.postgres_port)
    assert port_is_free(state.redis_port)


def test_a_killed_supervisor_leaves_nothing_in_the_way(
    console: Running, start: Start, consoles: list[Running]
) -> None:
    children = console.children()
    console.process.kill()
    console.process.wait(10)
    consoles.append(start(port=console.port))
    assert consoles[-1].answers()
    until_gone(children)


def test_a_child_that_dies_is_started_again(console: Running) -> None:
    relay, web = console.child("relay"), console.child("console.edge")
    os.kill(relay, signal.SIGKILL)
    os.kill(web, signal.SIGKILL)
    until(lambda: relay not in console.children() and len(console.children()) == 5, "all children run again")
    until(console.answers, "the page answers again")
    assert web not in console.children()


def test_a_second_supervisor_names_the_first(console: Running) -> None:
    with Running(console.data_dir) as second:
        reason = second.refusal()
    assert f"http://127.0.0.1:{console.port}" in reason
    assert f"process {console.process.pid}" in reason
    assert console.answers()


def test_it_names_a_busy_port_and_another_to_take(data_dir: Path) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)), Running(data_dir, port=port) as console:
        reason = console.refusal()
    assert len(reason.splitlines()) == 1
    assert f"Port {port}" in reason
    assert f"PORT={port + 1}" in reason


def test_it_names_a_port_that_is_none(data_dir: Path) -> None:
    with Running(data_dir, port="web") as console:
        assert console.refusal() == "ballast: PORT is 'web'. Set it to a whole number from 1 to 65535."


def test_it_names_a_folder_that_cannot_be_used(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with Running(file) as console:
        reason = console.refusal()
    assert len(reason.splitlines()) == 1
    assert str(file) in reason


def test_it_stops_at_once_at_the_second_signal(console: Running) -> None:
    children = console.children()
    # A child that cannot react stands for one that is busy.
    os.kill(console.child("interactive"), signal.SIGSTOP)
    console.process.send_signal(signal.SIGINT)
    until(lambda: console.record()["is_stopping"], "it is stopping")
    console.process.send_signal(signal.SIGINT)
    assert console.process.wait(15) == 0
    until_gone(children)
    until_free(int(console.port))
