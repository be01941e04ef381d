"""What is dumped from one data folder can be restored into another, with PostgreSQL's own programs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from console.embedded import ensure
from tests.house.running import ROOT, environment


def embedded(data_dir: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "console.embedded", *arguments],
        cwd=ROOT,
        env=environment(data_dir) | env,
        capture_output=True,
        timeout=120,
        check=False,
    )


def manage(data_dir: Path, script: str) -> str:
    done = subprocess.run(
        [sys.executable, "manage.py", "shell", "--no-imports", "-c", script],
        cwd=ROOT,
        env=environment(data_dir) | {"PYTHONPATH": os.pathsep.join([str(ROOT)])},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.long
def test_a_dump_is_restored_with_roles_and_an_audit_trail_that_nobody_edits(data_dir: Path) -> None:
    dump = data_dir / "ballast.dump"
    fresh = data_dir.parent / "fresh"
    with ensure(data_dir, redis=False, durable=False):
        manage(data_dir, "from apps.accounts.models import User; User.objects.create_user('ada')")
        dumped = embedded(data_dir, "pg_dump", "-Fc", "-f", str(dump))
    assert dumped.returncode == 0, dumped.stderr
    script = """
from apps.accounts.models import User
from django.db import ProgrammingError, connection
print(User.objects.get().username)
try:
    connection.cursor().execute("DELETE FROM core_auditentry")
except ProgrammingError as error:
    print("permission denied" in str(error))
"""
    with ensure(fresh, redis=False, durable=False):
        restored = embedded(fresh, "pg_restore", "--exit-on-error", "-d", "ballast", str(dump))
        assert restored.returncode == 0, restored.stderr
        assert manage(fresh, script).split() == ["ada", "True"]


def test_another_database_is_left_to_its_own_programs(data_dir: Path) -> None:
    url = "postgres://nobody:nothing@127.0.0.1/none"
    done = embedded(data_dir, "pg_dump", DATABASE_URL=url, SECRET_KEY="x" * 50)
    assert done.returncode == 1
    assert done.stderr.startswith(b"ballast: DATABASE_URL is set")
    assert not data_dir.exists()


def test_it_says_which_programs_there_are(data_dir: Path) -> None:
    done = embedded(data_dir, "rm", "-rf")
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"pg_dump,pg_restore,psql" in done.stderr
