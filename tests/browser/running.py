"""A whole console, started as a newcomer starts it, for tests that look at it from outside."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
START_SECONDS = 180
ANNOUNCED = "Ballast is at"


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class RunningConsole:
    """The supervisor with its web, workers, relay and scheduler, on a data folder of its own."""

    data_dir: Path
    demo: bool = True
    environment: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def env(self) -> dict[str, str]:
        """Return the environment that the console and its commands run in."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name
            not in {
                "DATABASE_URL",
                "DATABASE_OWNER_URL",
                "REDIS_URL",
                "PROMETHEUS_URL",
                "SECRET_KEY",
                "LOG_LEVEL",
            }
        }
        return inherited | {
            "BALLAST_DATA_DIR": str(self.data_dir),
            "PORT": str(self.port),
            "DEMO": "1" if self.demo else "0",
            **self.environment,
        }

    def start(self) -> None:
        """Start it and return when it says where it is: the demo, if any, is loaded and computed then.

        Raises with its log when it does not.
        """
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self._log = (self.data_dir / "console.log").open("wb")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "console.supervisor"],
            cwd=ROOT,
            env=self.env(),
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            if ANNOUNCED in (self.data_dir / "console.log").read_text(errors="replace"):
                return
            time.sleep(0.2)
        log = (self.data_dir / "console.log").read_text(errors="replace")[-4000:]
        self.stop()
        raise RuntimeError(f"The console was not ready on {self.url} within {START_SECONDS} s:\n{log}")

    def stop(self) -> None:
        """Ask it to drain and stop; kill what does not."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(45)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(10)
        self._log.close()

    def manage(self, *arguments: str, stdin: str | None = None) -> str:
        """Run a management command beside it and return what it printed."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.env(),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(
                f"manage.py {' '.join(arguments)} ended with {done.returncode}:\n{done.stderr[-4000:]}"
            )
        return done.stdout

    def password_of(self, username: str) -> str:
        """Return the generated password of a demo user."""
        signins = json.loads((self.data_dir / "demo_signins.json").read_text())
        return str(signins[username])
