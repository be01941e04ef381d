"""Find the process that serves a cluster, and end one that has lost its guard."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

from console.embedded.errors import EmbeddedError

STOP_TIMEOUT_S = 30.0


def postmaster(cluster: Path) -> tuple[int | None, str]:
    """Return process id and status from ``postmaster.pid`` (the lines of PostgreSQL's pidfile.h)."""
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
        return int(lines[0]), lines[7].strip() if len(lines) > 7 else ""
    except (OSError, ValueError, IndexError):
        return None, ""


def is_postgres(pid: int, cluster: Path) -> bool:
    """Return whether process ``pid`` lives and serves ``cluster``. Another process may have got its id since."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return False
    command = Path(f"/proc/{pid}/cmdline")
    if not command.parent.parent.joinpath("self").exists():
        return (cluster / "postmaster.pid").exists()
    try:
        words = command.read_bytes().split(b"\0")
    except OSError:
        return False
    return os.fsencode(cluster) in words


def stop_leftover(cluster: Path) -> None:
    """End a server that outlived its guard, or wait for one that is already stopping."""
    pid, _ = postmaster(cluster)
    if pid is None or not is_postgres(pid, cluster):
        return
    for how, timeout in ((signal.SIGINT, STOP_TIMEOUT_S), (signal.SIGQUIT, 5.0)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, how)
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if not is_postgres(pid, cluster):
                return
            time.sleep(0.02)
    raise EmbeddedError(
        f"An older PostgreSQL (process {pid}) holds {cluster} and does not stop. End it first."
    )
