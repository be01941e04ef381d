"""The guard: a small process that keeps one embedded server for as long as somebody holds it.

Every user of the server holds a shared lock on one file. The guard asks the kernel for the exclusive lock and sleeps.
The kernel grants it as soon as the last holder is gone, even by ``kill -9``, and then the guard stops the server.
Nothing polls or counts. When the guard itself is killed, the server stops with it.

`console.embedded.ensure` runs it as ``python -m console.embedded.guard SERVICE DATA_DIR REPORT_FD``, with
``--not-durable`` where its caller asks for that.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import IO

from console.embedded.errors import EmbeddedError, os_errors_explained
from console.embedded.locks import guard_path, holders_path, ready_path
from console.embedded.postgres import PostgresServer
from console.embedded.redis_server import RedisServer
from console.embedded.server import Server

POLL_S = 0.02
# How long to wait for the last lines of a server that ended. Its own children may hold the log open for longer.
LAST_WORDS_S = 1.0
RESTART_DELAYS_S = (0.2, 1.0, 2.0, 5.0, 10.0)
"""Seconds before each restart of a server that died. The last one repeats."""

SERVICES: dict[str, Callable[..., Server]] = {
    "postgres": PostgresServer,
    "redis": RedisServer,
}


class _Wake(BaseException):
    """A signal woke the guard: the server died, or the guard is to end."""


class _ServerDiedError(_Wake):
    pass


class _StopError(_Wake):
    pass


def main(arguments: list[str]) -> int:
    service, folder, report_fd = arguments[:3]
    data_dir = Path(folder)
    report = os.fdopen(int(report_fd), "w")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _raise_stop)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with (
            guard_path(data_dir, service).open("a") as mine,
            holders_path(data_dir, service).open("a") as holders,
        ):
            fcntl.flock(mine, fcntl.LOCK_EX | fcntl.LOCK_NB)
            try:
                with os_errors_explained(data_dir):
                    server = SERVICES[service](data_dir, durable="--not-durable" not in arguments)
                    server.prepare()
                    process = start(server, choose_port=True)
            except EmbeddedError as error:
                _tell(report, error=str(error))
                return 1
            _tell(report)
            _keep(server, process, holders)
            # In this order, so that the next holder of the holders' lock finds the guard's lock free.
            fcntl.flock(mine, fcntl.LOCK_UN)
    except (_StopError, BlockingIOError):
        return 0
    return 0


def start(server: Server, *, choose_port: bool = False) -> subprocess.Popen[bytes]:
    """Start ``server`` and wait until it answers. Raises `EmbeddedError` with its last words where it does not."""
    if choose_port:
        server.choose_port()
    process = server.spawn()
    try:
        deadline = time.monotonic() + server.start_timeout_s
        while not server.is_ready(process):
            if process.poll() is not None:
                server.log.await_end(LAST_WORDS_S)
                words = server.log.last_words() or f"see {server.log.path}"
                raise EmbeddedError(f"Embedded {server.name} stopped while starting: {words}")
            if time.monotonic() > deadline:
                raise EmbeddedError(
                    f"Embedded {server.name} did not answer within {server.start_timeout_s:.0f} s; "
                    f"see {server.log.path}"
                )
            time.sleep(POLL_S)
        server.provision()
    except BaseException:
        server.stop(process)
        raise
    ready_path(server.data_dir, server.name).write_text(f"{os.getpid()} {process.pid}\n")
    return process


def _keep(server: Server, process: subprocess.Popen[bytes], holders: IO[str]) -> None:
    """Sleep until the last holder is gone, restart the server when it dies, and stop it at the end."""
    failures = 0
    running: subprocess.Popen[bytes] | None = process
    try:
        while True:
            try:
                if running is None:
                    running = start(server)
                    failures = 0
                signal.signal(signal.SIGCHLD, _raise_server_died)
                if running.poll() is not None:
                    raise _ServerDiedError
                fcntl.flock(holders, fcntl.LOCK_EX)
                return
            except (_ServerDiedError, EmbeddedError, OSError):
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                if running is not None and running.poll() is None:
                    continue
                running = None
                ready_path(server.data_dir, server.name).unlink(missing_ok=True)
                if _released_within(holders, RESTART_DELAYS_S[min(failures, len(RESTART_DELAYS_S) - 1)]):
                    return
                failures += 1
    except _StopError:
        return
    finally:
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL if number == signal.SIGCHLD else signal.SIG_IGN)
        with contextlib.suppress(OSError):
            ready_path(server.data_dir, server.name).unlink(missing_ok=True)
        if running is not None and running.poll() is None:
            server.stop(running)


def _released_within(holders: IO[str], seconds: float) -> bool:
    """Return whether the last holder lets go within ``seconds``. If so, this process has the exclusive lock."""
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(holders, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)


def _tell(report: IO[str], error: str = "") -> None:
    # The process that started the guard may be gone by now.
    with contextlib.suppress(OSError):
        report.write(json.dumps({"error": error}) + "\n")
        report.close()


def _raise_server_died(_signal: int, _frame: FrameType | None) -> None:
    raise _ServerDiedError


def _raise_stop(_signal: int, _frame: FrameType | None) -> None:
    raise _StopError


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
