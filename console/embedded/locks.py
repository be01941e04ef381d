"""The lock files of a data folder, which coordinate holders, guards and starters of a server (flock(2))."""

from __future__ import annotations

from pathlib import Path

from console.embedded.state import run_dir


def holders_path(data_dir: Path, service: str) -> Path:
    """Return the file on which every user of ``service`` holds a shared lock."""
    return run_dir(data_dir) / f"{service}.holders"


def guard_path(data_dir: Path, service: str) -> Path:
    """Return the file on which the guard of ``service`` holds an exclusive lock while it lives."""
    return run_dir(data_dir) / f"{service}.guard"


def ready_path(data_dir: Path, service: str) -> Path:
    """Return the file that exists while ``service`` answers. It holds the process ids of guard and server."""
    return run_dir(data_dir) / f"{service}.ready"


def start_path(data_dir: Path, service: str) -> Path:
    """Return the file on which a process holds an exclusive lock while it starts ``service``."""
    return run_dir(data_dir) / f"{service}.start"
