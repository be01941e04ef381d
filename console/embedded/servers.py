"""Starting and sharing the embedded servers of a data folder."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from console.embedded.errors import EmbeddedError, os_errors_explained
from console.embedded.locks import guard_path, holders_path, ready_path, start_path
from console.embedded.logs import open_log
from console.embedded.state import Urls, load_state, make_data_dir, urls_of

START_TIMEOUT_S = 150.0
STOP_TIMEOUT_S = 40.0
# How long a guard may take to notice that it lost its last holder. The kernel wakes it.
NOTICE_S = 0.25
PROJECT = Path(__file__).resolve().parents[2]


def embedded_urls(data_dir: Path) -> Urls:
    """Return the addresses of the embedded servers of ``data_dir``. Chooses ports and passwords, starts nothing."""
    return urls_of(load_state(Path(data_dir)))


def ensure(data_dir: Path, *, postgres: bool = True, redis: bool = True, durable: bool = True) -> Servers:
    """Hold the embedded servers of ``data_dir``, starting those that do not run.

    The servers run until the last holder closes or dies. Any number of processes may call this at once.

    Parameters
    ----------
    data_dir : folder of data, logs, ports and passwords; made if it is not there
    postgres, redis : which servers are wanted
    durable : ``False`` trades survival of a power loss for speed; takes effect when a server starts

    Raises `EmbeddedError` with one line for the operator.
    """
    services = [name for name, wanted in (("postgres", postgres), ("redis", redis)) if wanted]
    data_dir = Path(data_dir).absolute()
    with os_errors_explained(data_dir):
        make_data_dir(data_dir)
        load_state(data_dir)
        servers = Servers(data_dir, services, durable=durable)
        try:
            servers.revive()
        except BaseException:
            servers.close()
            raise
        return servers


class Servers:
    """A hold on the embedded servers of a data folder. Use `ensure` to get one; also a context manager."""

    def __init__(self, data_dir: Path, services: Sequence[str], *, durable: bool) -> None:
        self.data_dir = data_dir
        self.services = tuple(services)
        self.durable = durable
        self._holds: dict[str, IO[str]] = {}

    @property
    def database_url(self) -> str:
        """The address for the application's role, which owns nothing."""
        return embedded_urls(self.data_dir).database_url

    @property
    def database_owner_url(self) -> str:
        """The address for the role that owns database, schema and tables."""
        return embedded_urls(self.data_dir).database_owner_url

    @property
    def redis_url(self) -> str:
        """The address of database 0 of the Redis server."""
        return embedded_urls(self.data_dir).redis_url

    def revive(self) -> None:
        """Hold every server, and start those that have no guard. Cheap when all is well."""
        with contextlib.ExitStack() as stack:
            starting = []
            for service in self.services:
                if service not in self._holds:
                    self._holds[service] = _hold(self.data_dir, service)
                lock = stack.enter_context(start_path(self.data_dir, service).open("a"))
                _lock(
                    lock,
                    fcntl.LOCK_EX,
                    f"Another process has been starting the embedded {service} for too long.",
                )
                if not _is_guarded(self.data_dir, service):
                    starting.append((service, *self._spawn_guard(service)))
            failures = []
            for service, process, report in starting:
                try:
                    with report:
                        _await_report(service, process, report)
                except EmbeddedError as error:
                    failures.append(error)
            if failures:
                raise failures[0]

    def close(self) -> None:
        """Release the servers. If nobody else holds them, they stop, and this returns when they have."""
        for hold in self._holds.values():
            hold.close()
        released, self._holds = list(self._holds), {}
        noticed_by = time.monotonic() + NOTICE_S
        stopped_by = time.monotonic() + STOP_TIMEOUT_S
        for service in released:
            # A guard that stops its server first removes the marker. If the marker stays, the server has other holders.
            while time.monotonic() < noticed_by and ready_path(self.data_dir, service).exists():
                time.sleep(0.01)
            if ready_path(self.data_dir, service).exists():
                continue
            while time.monotonic() < stopped_by and _is_guarded(self.data_dir, service):
                time.sleep(0.01)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _spawn_guard(self, service: str) -> tuple[subprocess.Popen[bytes], IO[str]]:
        ready_path(self.data_dir, service).unlink(missing_ok=True)
        reading, writing = os.pipe()
        command = [
            sys.executable,
            "-m",
            "console.embedded.guard",
            service,
            str(self.data_dir),
            str(writing),
        ]
        try:
            with open_log(self.data_dir, "embedded") as log:
                process = subprocess.Popen(
                    command + ([] if self.durable else ["--not-durable"]),
                    cwd=PROJECT,
                    env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=(writing,),
                    start_new_session=True,
                )
        finally:
            os.close(writing)
        return process, os.fdopen(reading)


def _hold(data_dir: Path, service: str) -> IO[str]:
    """Take the shared lock. Wait for a guard that is stopping the server."""
    file = holders_path(data_dir, service).open("a")
    try:
        _lock(
            file,
            fcntl.LOCK_SH,
            f"The embedded {service} of {data_dir} has been stopping for too long.",
        )
    except BaseException:
        file.close()
        raise
    return file


def _lock(file: IO[str], how: int, too_long: str) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(file, how | fcntl.LOCK_NB)
            return
        if time.monotonic() > deadline:
            raise EmbeddedError(too_long)
        time.sleep(0.02)


def _is_guarded(data_dir: Path, service: str) -> bool:
    with guard_path(data_dir, service).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _await_report(service: str, process: subprocess.Popen[bytes], report: IO[str]) -> None:
    """Wait for the line in which the guard reports how the start went."""
    readable, _, _ = select.select([report], [], [], START_TIMEOUT_S)
    line = report.readline() if readable else ""
    if not line:
        process.terminate()
        raise EmbeddedError(
            f"The guard of the embedded {service} ended without a report; see logs/embedded.log."
        )
    error = json.loads(line)["error"]
    if error:
        process.wait(timeout=10)
        raise EmbeddedError(error)
