"""A web process that is killed costs the requests that it had in hand, and nothing after them."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

from tests.faults.conftest import ask
from tests.house.running import Running
from tests.house.waiting import until


def web_processes(console: Running) -> list[int]:
    """Granian and its workers, by the sockets that their commands name."""
    mark = f"{console.data_dir}/run/web-"
    found = []
    for folder in Path("/proc").iterdir():
        with suppress(OSError):
            if folder.name.isdigit() and mark in (folder / "cmdline").read_text():
                found.append(int(folder.name))
    return found


def test_killed_web_processes_are_started_again_by_an_edge_that_stays(console: Running) -> None:
    edge = console.child("console.edge")
    before = web_processes(console)
    assert len(before) >= 4
    for pid in before:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert ask(console, "/sign-in/").status in (200, 503)
    until(lambda: ask(console, "/sign-in/").status == 200, "pages are answered again")
    until(lambda: '"web": "ok"' in ask(console, "/-/ready").text, "both processes serve again")
    assert console.child("console.edge") == edge
    assert not set(before) & set(web_processes(console))
