"""One child of the supervisor: it is started, watched, restarted with growing pauses, and stopped in bounded time."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from console.embedded.identity import die_with_parent
from console.embedded.logs import MAX_LOG_BYTES, RotatingLog

RESTART_DELAYS_S = (0.2, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds before a child that ended by itself is restarted. The last one repeats."""
# After a child ran for this long, its next failure counts as the first.
STABLE_AFTER_S = 60.0
# How long to wait for an ended child's last lines. Its own children may hold the log open for longer.
LAST_WORDS_S = 0.3
PROJECT = Path(__file__).resolve().parent.parent


class Child:
    """A program that the supervisor keeps running.

    Parameters
    ----------
    name : of the child and of its log
    command : program with its arguments
    data_dir : the data folder with the log
    env : added to the supervisor's environment
    log_bytes : the longest that the log's file may get; it and the previous one are kept
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        data_dir: Path,
        env: Mapping[str, str],
        log_bytes: int = MAX_LOG_BYTES,
    ) -> None:
        self.name = name
        self.command = list(command)
        self.log = RotatingLog(data_dir, name, limit_bytes=log_bytes)
        self.env = dict(env)
        self.failures = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._start_again_at = 0.0

    @property
    def pid(self) -> int | None:
        """Its process id while it runs, which is also the id of its process group."""
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        parent = os.getpid()

        with os.fdopen(self.log.pipe(), "wb") as output:
            self._process = subprocess.Popen(
                self.command,
                cwd=PROJECT,
                env=os.environ | self.env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # In a new session, so that Ctrl-C reaches only the supervisor, which stops its children in order.
                start_new_session=True,
                preexec_fn=lambda: die_with_parent(signal.SIGTERM, parent),
            )
        self._started_at = time.monotonic()

    def look_after(self) -> str:
        """Note an end, and restart when it is time. Return a line for the operator when it ended."""
        now = time.monotonic()
        if self._process is None:
            if now >= self._start_again_at:
                self.start()
            return ""
        status = self._process.poll()
        if status is None:
            if now - self._started_at > STABLE_AFTER_S:
                self.failures = 0
            return ""
        self._end_group(signal.SIGKILL)
        pause = RESTART_DELAYS_S[min(self.failures, len(RESTART_DELAYS_S) - 1)]
        self.failures += 1
        self._process = None
        self._start_again_at = now + pause
        ended = f"exited with {status}" if status >= 0 else f"was ended by {signal.Signals(-status).name}"
        self.log.await_end(LAST_WORDS_S)
        words = self.log.last_words()
        return f"{self.name} {ended}, starting it again in {pause:g} s" + (f": {words}" if words else "")

    def ask_to_stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def has_stopped(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def kill(self) -> None:
        """End the child and its own children."""
        if self._process is not None:
            self._end_group(signal.SIGKILL)
            self._process.wait()
            self.log.await_end(LAST_WORDS_S)

    def _end_group(self, how: signal.Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, how)
