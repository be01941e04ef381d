"""Become granian with one worker on a Unix socket: ``python -m console.edge.launch SOCKET THREADS EDGE_PID``."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from console.edge.web import GRANIAN, KILL_TIMEOUT_S
from console.embedded.identity import die_with_parent


def main(socket: str, threads: str, edge: str) -> None:
    """Replace this process by granian. It ends with the edge that started it, even when the edge is killed.

    By SIGKILL, because without the edge nobody gets its answers, and granian ignores SIGTERM while it loads. Its worker
    does the same in turn (`console.edge.application`).
    """
    die_with_parent(signal.SIGKILL, int(edge))
    os.environ[GRANIAN] = str(os.getpid())
    command = [str(Path(sys.executable).parent / "granian"), "--interface", "wsgi", "--uds", socket]
    command += ["--uds-permissions", "600", "--http", "1", "--no-ws", "--workers", "1"]
    command += [
        "--blocking-threads",
        threads,
        "--workers-kill-timeout",
        str(KILL_TIMEOUT_S),
        "--log-level",
        "warning",
    ]
    os.execv(command[0], [*command, "console.edge.application:application"])  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main(*sys.argv[1:])
