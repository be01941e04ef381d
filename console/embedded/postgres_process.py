"""Which process serves a cluster, and ending one that nobody looks after any more."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

from console.embedded.errors import EmbeddedError

STOP_TIMEOUT_S = 30.0


def postmaster(cluster: Path) -> tuple[int | None, str]:
    """Process id and status from ``postmaster.pid`` (the lines of PostgreSQL's pidfile.h)."""
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
        return int(lines[0]), lines[7].strip() if len(lines) > 7 else ""
    except (OSError, ValueError, IndexError):
        return None, ""


def is_postgres(pid: int, cluster: Path) -> bool:
    """Whether process ``pid`` lives and serves ``cluster``; its id may have gone to another since."""
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
    """End a server that outlived its guard, or wait for the end of one that is on its way."""
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
