"""A supervisor in a process of its own, for tests that look at it from outside."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from console.embedded.state import free_port
from tests.house.waiting import until

ROOT = Path(__file__).resolve().parents[2]
READY_S = 90.0


class Running:
    """``python -m console.supervisor`` on a data folder; killed with all its children when the block ends."""

    def __init__(self, data_dir: Path, *, port: int | str = 0, **env: str) -> None:
        self.data_dir = data_dir
        self.port = port or free_port()
        self.said = ""
        """What it printed when everything ran; kept by :meth:`await_ready`."""
        # A file: a pipe that nobody empties would stop, once it is full, whoever has something to say.
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the process
        self.process = subprocess.Popen(
            [sys.executable, "-m", "console.supervisor"],
            cwd=ROOT,
            env=environment(data_dir) | {"PORT": str(self.port)} | env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=60)
        self.log.close()

    def answers(self, path: str = "/-/healthz") -> bool:
        """Whether the page is served."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    def await_ready(self) -> str:
        """Wait for what it prints when everything runs, and return it."""
        assert self.process.stdout is not None
        self.said = ""
        too_long = threading.Timer(READY_S, self.process.kill)
        too_long.start()
        try:
            for line in self.process.stdout:
                self.said += line
                if "Ctrl-C" in line:
                    return self.said
        finally:
            too_long.cancel()
        raise AssertionError(
            f"It ended instead of serving, or took {READY_S:.0f} s: {self.said}{self.logged()}"
        )

    def logged(self) -> str:
        """What it wrote on stderr."""
        self.log.seek(0)
        return self.log.read()

    def record(self) -> dict[str, Any]:
        """What it wrote down about itself and its children."""
        found: dict[str, Any] = json.loads((self.data_dir / "run" / "supervisor.json").read_text())
        return found

    def children(self) -> list[int]:
        """Process ids of web, workers, relay and scheduler."""
        return [int(pid) for pid in self.record()["children"]]

    def child(self, name: str) -> int:
        """Process id of the child whose command has the word ``name``."""
        for pid in self.children():
            if name in Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " "):
                return pid
        raise AssertionError(f"No child runs {name}.")

    def refusal(self) -> str:
        """What it says when it does not start."""
        said, _ = self.process.communicate(timeout=60)
        assert self.process.returncode == 1
        assert not said
        return self.logged().strip()


def environment(data_dir: Path) -> dict[str, str]:
    """This process's environment with a data folder of its own, and no demo."""
    return os.environ | {"BALLAST_DATA_DIR": str(data_dir), "DEMO": "0", "LOG_LEVEL": "INFO"}


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended but was not asked for its status does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until_gone(pids: list[int]) -> None:
    until(lambda: not any(map(is_alive, pids)), f"processes {pids} have ended")
