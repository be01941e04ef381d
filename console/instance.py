"""Allow only one supervisor for a data folder, and record its children for the next one."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from console.embedded.state import run_dir, write_private

# How long a new supervisor waits for one that is stopping.
HANDOVER_TIMEOUT_S = 60.0
LEFTOVER_TIMEOUT_S = 3.0
PS_TIMEOUT_S = 5.0
PROC = Path("/proc")


class AlreadyRunningError(Exception):
    """Another supervisor serves this data folder. The message is one line for the operator."""


@dataclass
class Instance:
    """The lock on a data folder. The kernel releases it when this process ends, however it ends."""

    data_dir: Path
    address: str
    _lock: IO[str]

    @classmethod
    def claim(cls, data_dir: Path, address: str) -> Instance:
        """Take the lock. Wait for a supervisor that is stopping. Raises `AlreadyRunningError`."""
        lock = (run_dir(data_dir) / "supervisor.lock").open("a")
        deadline = time.monotonic() + HANDOVER_TIMEOUT_S
        while True:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return cls(data_dir, address, lock)
            other = _recorded(data_dir)
            if not other.get("is_stopping") or time.monotonic() > deadline:
                lock.close()
                raise AlreadyRunningError(
                    f"Ballast is already running at {other.get('address', 'an unknown address')} "
                    f"(process {other.get('pid', 'unknown')}, data in {data_dir})."
                )
            time.sleep(0.1)

    def record(self, children: Iterable[int], *, is_stopping: bool = False) -> None:
        """Record the supervisor and its children."""
        record = {
            "pid": os.getpid(),
            "address": self.address,
            "is_stopping": is_stopping,
            "children": {str(pid): _started(pid) for pid in children},
        }
        write_private(_record_path(self.data_dir), json.dumps(record) + "\n")

    def end_leftovers(self) -> None:
        """End the children of a killed supervisor, so that they hold neither port nor work."""
        groups = recorded_groups(self.data_dir)
        for how, timeout in ((signal.SIGTERM, LEFTOVER_TIMEOUT_S), (signal.SIGKILL, 2.0)):
            for group in groups:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(group, how)
            deadline = time.monotonic() + timeout
            while any(map(group_lives, groups)) and time.monotonic() < deadline:
                time.sleep(0.02)


def recorded_groups(data_dir: Path, supervisor: int | None = None) -> list[int]:
    """Return the process groups of the recorded children that still run: of this supervisor only, where it is given."""
    record = _recorded(data_dir)
    if supervisor is not None and record.get("pid") != supervisor:
        return []
    children = record.get("children", {}).items()
    return [int(pid) for pid, started in children if started and _started(int(pid)) == started]


def _record_path(data_dir: Path) -> Path:
    return run_dir(data_dir) / "supervisor.json"


def _recorded(data_dir: Path) -> dict[str, Any]:
    try:
        record = json.loads(_record_path(data_dir).read_text())
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _started(pid: int) -> str:
    """Return when a process started; empty where it does not run.

    It tells the process from a later one with the same id.
    """
    try:
        # In the kernel's count: field 22 of proc(5). The name before it is in brackets and may hold anything.
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return "" if (PROC / "self" / "stat").exists() else _started_by_ps(pid)


def _started_by_ps(pid: int) -> str:
    """Return the same to the second, where there is no proc(5), as on macOS."""
    try:
        answer = subprocess.run(
            ["ps", "-o", "lstart=", "-p", str(pid)],
            env=os.environ | {"LC_ALL": "C", "TZ": "UTC"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=PS_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.decode(errors="replace").strip()


def group_lives(group: int) -> bool:
    """Return whether any process of a group still runs."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
