"""What the guard needs to know of a server that it keeps."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Protocol


class Server(Protocol):
    """One embedded server of one data folder."""

    name: str
    data_dir: Path
    start_timeout_s: float

    def prepare(self) -> None:
        """Make what the server needs before it starts, and end a server that a dead guard left behind."""

    def choose_port(self) -> None:
        """Keep the recorded port, or record another when somebody else listens there."""

    def spawn(self) -> subprocess.Popen[bytes]:
        """Start the server as a child that dies with this process."""

    def is_ready(self, process: subprocess.Popen[bytes]) -> bool:
        """Whether the server answers. Asked every few milliseconds while it starts."""

    def provision(self) -> None:
        """Bring users and databases to what they should be. Called once the server answers."""

    def stop(self, process: subprocess.Popen[bytes]) -> None:
        """Stop the server cleanly, or by force when it takes too long."""
