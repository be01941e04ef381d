"""What a person sees of `make up`: it serves, it stops, it comes back, and it says why it does not."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

from console.embedded.state import free_port, load_state, port_is_free
from tests.house.running import Running, until_gone
from tests.house.waiting import until, until_free


def test_sigterm_stops_every_child_and_frees_every_port(kept_data_dir: Path) -> None:
    with Running(kept_data_dir) as console:
        said = console.await_ready()
        assert f"http://127.0.0.1:{console.port}" in said
        assert str(kept_data_dir / "logs") in said
        assert "manage.py create_admin --username NAME" in said
        assert console.answers()
        assert "No directory at" not in (kept_data_dir / "logs" / "web.log").read_text()
        children = console.children()
        assert len(children) == 5
        console.process.terminate()
        assert console.process.wait(60) == 0
        until_gone(children)
        state = load_state(kept_data_dir)
        assert port_is_free(int(console.port))
        assert port_is_free(state.postgres_port)
        assert port_is_free(state.redis_port)


def test_a_killed_supervisor_leaves_nothing_in_the_way(kept_data_dir: Path) -> None:
    with Running(kept_data_dir) as killed:
        killed.await_ready()
        children = killed.children()
        killed.process.kill()
        killed.process.wait(10)
        with Running(kept_data_dir, port=killed.port) as console:
            console.await_ready()
            assert console.answers()
            until_gone(children)


def test_a_child_that_dies_is_started_again(kept_data_dir: Path) -> None:
    with Running(kept_data_dir) as console:
        console.await_ready()
        relay, web = console.child("relay"), console.child("console.edge")
        os.kill(relay, signal.SIGKILL)
        os.kill(web, signal.SIGKILL)
        until(
            lambda: relay not in console.children() and len(console.children()) == 5, "all children run again"
        )
        until(console.answers, "the page answers again")
        assert web not in console.children()


def test_a_second_supervisor_names_the_first(kept_data_dir: Path) -> None:
    with Running(kept_data_dir) as first:
        first.await_ready()
        with Running(kept_data_dir) as second:
            reason = second.refusal()
        assert f"http://127.0.0.1:{first.port}" in reason
        assert f"process {first.process.pid}" in reason
        assert first.answers()


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


def test_it_knows_its_page_by_the_public_name_alone(kept_data_dir: Path) -> None:
    with Running(kept_data_dir, ALLOWED_HOSTS="ballast.example.org") as console:
        assert "Ballast is at" in console.await_ready()


def test_it_stops_at_once_at_the_second_signal(kept_data_dir: Path) -> None:
    with Running(kept_data_dir) as console:
        console.await_ready()
        children = console.children()
        # A child that cannot react stands for one that is busy.
        os.kill(console.child("interactive"), signal.SIGSTOP)
        console.process.send_signal(signal.SIGINT)
        until(lambda: console.record()["is_stopping"], "it is stopping")
        console.process.send_signal(signal.SIGINT)
        assert console.process.wait(15) == 0
        until_gone(children)
        until_free(int(console.port))
