"""Management commands work by themselves, say their result on stdout and everything else on stderr."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from console.embedded.state import free_port, load_state, port_is_free
from tests.house.running import ROOT, environment


def manage(data_dir: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=environment(data_dir) | env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.long
def test_it_brings_its_database_and_takes_it_away(data_dir: Path) -> None:
    script = "from apps.accounts.models import User; print('users', User.objects.count())"
    done = manage(data_dir, "shell", "--no-imports", "-c", script)
    assert done.stdout == "users 0\n", done.stderr
    assert "pending migrations" in done.stderr
    assert port_is_free(load_state(data_dir).postgres_port)
    again = manage(data_dir, "shell", "--no-imports", "-c", script)
    assert (again.stdout, again.stderr) == ("users 0\n", "")


def test_help_starts_nothing(data_dir: Path) -> None:
    done = manage(data_dir, "migrate", "--help")
    assert done.returncode == 0
    assert not (data_dir / "postgres").exists()


def test_a_database_that_is_away_is_one_line(data_dir: Path) -> None:
    port = free_port()
    done = manage(
        data_dir,
        *("shell", "--no-imports", "-c", "from apps.accounts.models import User; User.objects.count()"),
        DATABASE_URL=f"postgresql://nobody:nothing@127.0.0.1:{port}/none",
        DATABASE_POOL_SIZE="0",
        SECRET_KEY="a secret that protects nothing, but long",
    )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(f"DATABASE_URL: no PostgreSQL answers at 127.0.0.1:{port}.")


def test_a_missing_secret_is_one_line(data_dir: Path) -> None:
    done = manage(data_dir, "check", DATABASE_URL="postgresql://nobody:nothing@127.0.0.1/none")
    assert done.returncode == 1
    assert "SECRET_KEY is not set" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_setup_names_a_python_that_is_too_old(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.11.2 && exit 0\nexit 1\n')
    old.chmod(0o755)
    done = subprocess.run(
        ["/bin/sh", str(ROOT / ".ci" / "setup"), "venv", ""],
        cwd=tmp_path,
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("ballast: Python 3.12 or newer is needed, and python3 is 3.11.2.")
    assert len(done.stderr.splitlines()) == 1


def test_setup_names_a_missing_python(tmp_path: Path) -> None:
    done = subprocess.run(
        ["/bin/sh", str(ROOT / ".ci" / "setup"), "venv", ""],
        cwd=tmp_path,
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "there is no python3 on the PATH" in done.stderr
    assert len(done.stderr.splitlines()) == 1
