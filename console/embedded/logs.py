"""Log files of the data folder: private and bounded in size."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
import threading
from pathlib import Path
from typing import BinaryIO

MAX_LOG_BYTES = 10 * 1024 * 1024
# How many bytes of the newest lines stay in memory, to say why a program ended.
TAIL_BYTES = 8_192
UNREAD_BYTES = 1024 * 1024


def log_path(data_dir: Path, name: str) -> Path:
    return data_dir / "logs" / f"{name}.log"


def open_log(data_dir: Path, name: str) -> BinaryIO:
    """Open the log ``name`` for appending. A log beyond 10 MB is kept as ``.1`` and a new one begins."""
    path = log_path(data_dir, name)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > MAX_LOG_BYTES:
        path.replace(path.with_suffix(".log.1"))
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab", buffering=0)


class RotatingLog:
    """The output of a running program, in the current file and the previous one: at most twice ``limit_bytes``.

    The program writes into a pipe, and a thread here writes the file, so that the file can change without the program's
    knowledge. On a full disk lines are dropped and counted. The program never waits for a disk.
    """

    def __init__(self, data_dir: Path, name: str, *, limit_bytes: int) -> None:
        self.path = log_path(data_dir, name)
        self.limit_bytes = limit_bytes
        self._file: BinaryIO | None = None
        self._size = 0
        self._dropped_bytes = 0
        self._tail = b""
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()

    def pipe(self) -> int:
        """Return the end of a new pipe that a program writes to. The pipe is read until its last holder closes it."""
        with self._lock:
            self._tail = b""
            with contextlib.suppress(OSError):
                self._open_once()
        reading, writing = os.pipe()
        thread = threading.Thread(
            target=self._pump, args=(reading,), name=f"log {self.path.stem}", daemon=True
        )
        thread.start()
        self._threads = [each for each in self._threads if each.is_alive()] + [thread]
        return writing

    def unhurried_pipe(self) -> int:
        """Return a new pipe on which a program never waits. What it says while a megabyte is unread is lost."""
        writing = self.pipe()
        os.set_blocking(writing, False)
        if sys.platform == "linux":
            with contextlib.suppress(OSError):  # beyond what the system allows
                fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, UNREAD_BYTES)
        return writing

    def await_end(self, timeout_s: float) -> None:
        """Wait until the output of ended programs is in the file, at most ``seconds``."""
        for thread in self._threads:
            thread.join(timeout_s)

    def last_words(self) -> str:
        """Return the line that says why the newest program stopped, or an empty string."""
        return telling(self._tail)

    def write(self, data: bytes) -> None:
        """Append. Begin a new file, at the end of a line, where this one would get too long."""
        with self._lock:
            self._tail = (self._tail + data)[-TAIL_BYTES:]
            try:
                self._append(data)
            except OSError:
                self._dropped_bytes += len(data)
                self._close()

    def _append(self, data: bytes) -> None:
        if self._dropped_bytes:
            note = f"log: {self._dropped_bytes:,} bytes could not be written and are lost\n".encode()
            self._dropped_bytes = 0
            data = note + data
        self._open_once()
        while self._size + len(data) > self.limit_bytes:
            room = self.limit_bytes - self._size
            # A line that is longer than a file is cut.
            cut = data.rfind(b"\n", 0, max(room, 0)) + 1 or (room if self._size == 0 else 0)
            self._put(data[:cut])
            data = data[cut:]
            self._rotate()
        self._put(data)

    def _put(self, data: bytes) -> None:
        assert self._file is not None
        while data:
            written = self._file.write(data)
            self._size += written
            data = data[written:]

    def _open_once(self) -> None:
        if self._file is not None:
            return
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._file = os.fdopen(descriptor, "ab", buffering=0)
        self._size = os.fstat(descriptor).st_size

    def _rotate(self) -> None:
        self._close()
        self.path.replace(self.path.with_suffix(".log.1"))
        self._open_once()

    def _close(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None

    def _pump(self, reading: int) -> None:
        with os.fdopen(reading, "rb", buffering=0) as pipe:
            while data := pipe.read(65_536):
                self.write(data)


def telling(text: bytes) -> str:
    """Return the last line that says why a program stopped, else the last line."""
    lines = text.decode("utf-8", "replace").splitlines()
    found = [line for line in lines if any(word in line for word in ("FATAL", "PANIC", "rror", "No space"))]
    return (found or lines or [""])[-1].strip()[:300]
