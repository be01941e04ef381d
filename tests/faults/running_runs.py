"""A whole console, with a hand on its database, its Redis and its processes, and runs that stand still on demand."""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import psycopg
import redis

from console.embedded import embedded_urls
from tests.house.running import Running, is_alive
from tests.house.waiting import until

PATIENCE_S = 90.0
"""How long a test waits before it says that work has stopped for good. What it took is printed."""
# What this job does first needs this table: whoever holds it lets the work begin and go no further.
KIND, HELD = "schedule.core.purge", "core_idempotencykey"


class Console:
    """A running console."""

    def __init__(self, running: Running, data_dir: Path) -> None:
        self.running = running
        self.data_dir = data_dir
        self.urls = embedded_urls(data_dir)

    @classmethod
    @contextmanager
    def started(cls, **env: str) -> Iterator[Self]:
        """Start one on a data folder of its own, and remove both."""
        parent = Path(tempfile.mkdtemp(prefix="ballast-runs-"))
        parent.chmod(0o711)
        try:
            with Running(parent / "data", **env) as running:
                running.await_ready()
                yield cls(running, parent / "data")
        finally:
            shutil.rmtree(parent, ignore_errors=True)

    @contextmanager
    def database(self) -> Iterator[psycopg.Connection[Any]]:
        """A connection as the owner; commits by itself."""
        with psycopg.connect(self.urls.database_owner_url, autocommit=True) as connection:
            yield connection

    def flush_redis(self) -> None:
        """Lose all that Redis holds."""
        with redis.Redis.from_url(self.urls.redis_url) as client:
            client.flushall()

    def accept(self, count: int = 1, *, person_waits: bool = False) -> list[uuid.UUID]:
        """Have work accepted, as a request does: a row, and nothing but the row."""
        accepted = []
        with self.database() as database:
            for number in range(count):
                slot = f"2020-01-01T00:00:{number:02d}Z"
                row = database.execute(
                    "INSERT INTO core_run (kind, state, parameters, position, origin, requested_by_name, person_waits,"
                    " dedupe_key, takes_more, queue, attempts, max_attempts, progress_done, progress_total, summary,"
                    " warnings, errors, error_count, lease_owner, lease_token, message_id, stop, stop_asked_by)"
                    " VALUES (%s, 'pending', %s, '{}', '', 'a test', %s, '', false, 'bulk', 0, 5, 0, 0, '{}', '[]',"
                    " '[]', 0, '', 0, '', '', '') RETURNING id",
                    [KIND, json.dumps({"slot": slot}), person_waits],
                ).fetchone()
                assert row is not None
                accepted.append(row[0])
        return accepted

    def states(self, runs: list[uuid.UUID]) -> list[str]:
        """The states of these runs."""
        with self.database() as database:
            found = database.execute("SELECT state FROM core_run WHERE id = ANY(%s)", [runs]).fetchall()
        return [state for (state,) in found]

    def rung(self, runs: list[uuid.UUID]) -> bool:
        """Whether a message is on its way for each of these."""
        with self.database() as database:
            row = database.execute(
                "SELECT bool_and(message_id <> '') FROM core_run WHERE id = ANY(%s)", [runs]
            ).fetchone()
        return bool(row and row[0])

    def ends_told(self, runs: list[uuid.UUID]) -> list[int]:
        """How often an event tells the end of each of these."""
        with self.database() as database:
            return [
                int(row[0])
                for run in runs
                if (
                    row := database.execute(
                        "SELECT count(*) FROM core_outboxevent WHERE payload->>'run' = %s AND topic = 'core.run_ended'",
                        [str(run)],
                    ).fetchone()
                )
            ]

    def until_done(self, runs: list[uuid.UUID], what: str) -> float:
        """Wait for the end of these; prints and returns the seconds that it took."""
        began = time.monotonic()
        until(
            lambda: set(self.states(runs)) == {"completed"},
            f"{what}: {self.states(runs)}",
            deadline_s=PATIENCE_S,
        )
        took = time.monotonic() - began
        print(f"\n  {what}: {took:.1f} s")
        return took

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """Let work begin inside the block and go no further."""
        with psycopg.connect(self.urls.database_owner_url) as connection:
            connection.execute(f"LOCK TABLE {HELD} IN ACCESS EXCLUSIVE MODE")
            yield

    def workers(self) -> list[int]:
        """The process ids of the workers."""
        words = {
            pid: Path(f"/proc/{pid}/cmdline").read_text() for pid in self.running.children() if is_alive(pid)
        }
        return [pid for pid, command in words.items() if "console.workers" in command]

    def kill_workers(self) -> None:
        """End all workers where they stand."""
        for pid in self.workers():
            os.kill(pid, signal.SIGKILL)
