"""Every process ends with the one that started it: whenever that is killed, and even where it hears no signal."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from console.last_resort import GRACE_S
from tests.faults.test_web_processes import web_processes
from tests.house.running import ROOT, Running, is_alive, until_gone
from tests.house.waiting import until

KILLS = 8
# Each further one is started again later.
EDGES_KILLED = 4
LONGEST_S = 8.0
"""By then it serves, on an idle machine; on a busy one it is in the midst of its start."""
ENOUGH_S = GRACE_S + 20.0
NOBODY = "1"


@pytest.fixture
def data_dir() -> Iterator[Path]:
    parent = Path(tempfile.mkdtemp(prefix="ballast-dying-"))
    parent.chmod(0o711)
    yield parent / "data"
    shutil.rmtree(parent, ignore_errors=True)


def processes_of(data_dir: Path) -> list[int]:
    """Everything that runs for a data folder, by its command or its environment."""
    mark, found = os.fsencode(data_dir), []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            with suppress(OSError):
                if mark in (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes():
                    found.append(int(folder.name))
    return [pid for pid in found if is_alive(pid)]


def edges(running: Running) -> list[int]:
    """The edge, unless it is being started again."""
    words = {pid: Path(f"/proc/{pid}/cmdline") for pid in running.children() if is_alive(pid)}
    return [pid for pid, file in words.items() if "console.edge" in file.read_text().split("\0")]


def test_invariant_a_supervisor_killed_at_any_moment_leaves_nothing(data_dir: Path) -> None:
    draw = random.Random(20)
    for _ in range(KILLS):
        with Running(data_dir) as running:
            threading.Event().wait(draw.uniform(0.0, LONGEST_S))
            running.process.kill()
            running.process.wait(10)
            until(lambda: not processes_of(data_dir), "nothing of it runs", deadline_s=ENOUGH_S)


def test_invariant_an_edge_killed_at_any_moment_leaves_no_web_process(data_dir: Path) -> None:
    draw = random.Random(21)
    with Running(data_dir) as running:
        running.await_ready()
        for _ in range(EDGES_KILLED):
            until(lambda: edges(running), "an edge runs")
            threading.Event().wait(draw.uniform(0.0, 2.0))
            before = [*edges(running), *web_processes(running)]
            for pid in edges(running):
                os.kill(pid, signal.SIGKILL)
            until_gone(before)


def test_web_processes_that_hear_nothing_end_with_the_edge(data_dir: Path) -> None:
    with Running(data_dir) as running:
        running.await_ready()
        deaf = web_processes(running)
        for pid in deaf:
            os.kill(pid, signal.SIGSTOP)
        os.kill(running.child("console.edge"), signal.SIGKILL)
        until_gone(deaf)


def test_a_worker_of_granian_ends_with_granian(data_dir: Path) -> None:
    with Running(data_dir) as running:
        running.await_ready()
        both = web_processes(running)
        first = min(both)
        worker = [pid for pid in both if f"PPid:\t{first}\n" in Path(f"/proc/{pid}/status").read_text()]
        assert worker
        os.kill(first, signal.SIGKILL)
        until_gone(worker)


def test_a_child_that_hears_nothing_is_killed_after_a_while(data_dir: Path) -> None:
    with Running(data_dir) as running:
        running.await_ready()
        deaf = running.child("scheduler")
        os.kill(deaf, signal.SIGSTOP)
        running.process.kill()
        running.process.wait(10)
        until(lambda: not processes_of(data_dir), "nothing of it runs", deadline_s=ENOUGH_S)


def test_a_web_process_whose_edge_died_before_it_could_look_does_not_begin(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "console.edge.launch", str(tmp_path / "socket"), "1", NOBODY]
    assert subprocess.run(command, cwd=ROOT, timeout=60, check=False).returncode == 1
    assert not (tmp_path / "socket").exists()
