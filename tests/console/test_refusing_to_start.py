"""With a mistake in its environment nothing is started: `make up`, commands and workers say one line and end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from console.embedded.state import free_port
from tests.house.running import ROOT, environment

PROGRAMS = {
    "make up": ["-m", "console.supervisor"],
    "command": ["manage.py", "demo", "signins"],
    "worker": ["-m", "console.workers", "default"],
}


def start(data_dir: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment(data_dir) | env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("program", PROGRAMS)
def test_it_says_one_line_and_starts_nothing(program: str, tmp_path: Path) -> None:
    done = start(tmp_path / "data", *PROGRAMS[program], DEMO="maybe")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.removeprefix("ballast: ") == "DEMO is 'maybe'. Set it to 1 or 0.\n"
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("program", ["make up", "command"])
def test_a_database_that_is_away_is_said_before_anything_is_started(program: str, tmp_path: Path) -> None:
    url = f"postgres://nobody:hunter2@127.0.0.1:{free_port()}/none"
    done = start(tmp_path / "data", *PROGRAMS[program], DATABASE_URL=url, SECRET_KEY="x" * 50)
    assert done.returncode == 1
    assert done.stderr.removeprefix("ballast: ").startswith(
        "DATABASE_URL: no PostgreSQL answers at 127.0.0.1"
    )
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "data").exists()


def test_a_redis_that_is_away_is_said_before_anything_is_started(tmp_path: Path) -> None:
    done = start(tmp_path / "data", *PROGRAMS["make up"], REDIS_URL=f"redis://127.0.0.1:{free_port()}/0")
    assert done.stderr.startswith("ballast: REDIS_URL: no Redis answers at 127.0.0.1")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("program", ["make up", "command"])
def test_what_the_configuration_file_says_is_checked_first(program: str, tmp_path: Path) -> None:
    file = tmp_path / "ballast.toml"
    file.write_text("[telemetry]\ntimeout = 3\n")
    done = start(tmp_path / "data", *PROGRAMS[program], BALLAST_CONFIG=str(file))
    assert done.returncode == 1
    assert "telemetry.timeout" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "data").exists()


@pytest.fixture
def read_only() -> Path:
    """A folder in which nobody, root included, can make anything."""
    return Path("/proc/self")


@pytest.mark.parametrize("program", ["make up", "command"])
def test_a_folder_that_cannot_be_written_is_named_with_what_to_set(program: str, read_only: Path) -> None:
    done = start(read_only / "data", *PROGRAMS[program])
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "Set BALLAST_DATA_DIR to" in done.stderr
    assert "/data" in done.stderr


def test_a_web_process_says_it_too(tmp_path: Path) -> None:
    done = start(tmp_path / "data", "-c", "import console.wsgi", DEMO="maybe")
    assert (done.returncode, done.stderr) == (1, "ballast: DEMO is 'maybe'. Set it to 1 or 0.\n")


def test_a_relative_data_folder_means_the_same_to_every_process(tmp_path: Path) -> None:
    """The children run in the project's folder, whatever folder the supervisor was started in."""
    script = (
        "import console.supervisor as s, os, sys;"
        "s.Supervisor.run = lambda self: print(os.environ['BALLAST_DATA_DIR']) or 0;"
        "sys.exit(s.main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=environment(Path("data")) | {"PYTHONPATH": os.pathsep.join([str(ROOT)])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.strip() == str(tmp_path / "data"), done.stderr
