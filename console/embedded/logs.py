"""Log files of the data folder: appended to, private, and cut over before they fill the disk."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

MAX_LOG_BYTES = 10 * 1024 * 1024


def log_path(data_dir: Path, name: str) -> Path:
    return data_dir / "logs" / f"{name}.log"


def open_log(data_dir: Path, name: str) -> BinaryIO:
    """Open the log ``name`` for appending; one that has grown past 10 MB is kept as ``.1`` and begun anew."""
    path = log_path(data_dir, name)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > MAX_LOG_BYTES:
        path.replace(path.with_suffix(".log.1"))
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab", buffering=0)


def last_words(data_dir: Path, name: str, *, since: int) -> str:
    """The last line that a server wrote after byte ``since`` that says why it stopped, or an empty string."""
    try:
        with log_path(data_dir, name).open("rb") as file:
            file.seek(since)
            lines = file.read()[-8_192:].decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    telling = [line for line in lines if any(word in line for word in ("FATAL", "PANIC", "rror", "No space"))]
    return (telling or lines or [""])[-1].strip()[:300]
