"""The interface between the guard and a server that it keeps."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Protocol

from console.embedded.logs import RotatingLog


class Server(Protocol):
    """One embedded server of one data folder."""

    name: str
    data_dir: Path
    log: RotatingLog
    start_timeout_s: float

    def prepare(self) -> None:
        """Make the files that the server needs, and end a server that a dead guard left behind."""

    def choose_port(self) -> None:
        """Keep the recorded port, or record another when another program listens there."""

    def spawn(self) -> subprocess.Popen[bytes]:
        """Start the server as a child that dies with this process."""

    def is_ready(self, process: subprocess.Popen[bytes]) -> bool:
        """Return whether the server answers. Called every few milliseconds while it starts."""

    def provision(self) -> None:
        """Create or correct users and databases. Called once the server answers."""

    def stop(self, process: subprocess.Popen[bytes]) -> None:
        """Stop the server cleanly, or by force when it takes too long."""
