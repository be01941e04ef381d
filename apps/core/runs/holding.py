"""Holding a run: one worker at a time, for a lease on the database's clock, with a token that each claim increases.

Errors::

    Stopped
    ├── LeaseLost    somebody else may hold the run now: change nothing more
    ├── Cancelled    a person asked to end it
    └── Paused       a person asked to stop it for now
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Self
from uuid import UUID

import structlog
from django.db import OperationalError, connection, transaction
from psycopg.errors import LockNotAvailable

from apps.core import instants
from apps.core.models import Run
from apps.core.runs import kinds, leases
from apps.core.runs.kinds import Kind, Parameters

logger = structlog.get_logger(__name__)

type Observe = Callable[[int, int], None]

BEAT_SECONDS = 1.0
"""How often the lease is renewed, the progress written, and a request to stop read."""

LOCK_TIMEOUT = "5s"
"""How long a claim waits for a transaction that changes the run, or that ends the one before it."""

_CLAIM = """
UPDATE core_run SET state = 'running', takes_more = false, attempts = attempts + 1, lease_token = lease_token + 1,
    lease_owner = %(owner)s, lease_until = %(until)s, message_id = '', not_before = NULL,
    started_at = coalesce(started_at, %(now)s)
WHERE id = %(id)s AND stop = '' AND attempts < max_attempts
    AND (dedupe_key = '' OR NOT EXISTS (
        SELECT 1 FROM core_run other WHERE other.kind = core_run.kind AND other.dedupe_key = core_run.dedupe_key
            AND other.state = 'running' AND other.id <> core_run.id))
"""
_BEAT = """
UPDATE core_run SET lease_until = %(until)s, progress_done = %(done)s, progress_total = %(total)s
WHERE id = %(id)s AND lease_token = %(token)s AND state = 'running' RETURNING stop
"""
# Attempts begin anew only where the work got further than ever before. Work that always dies at one place is given up.
_REMEMBER = """
UPDATE core_run SET
    position = %(position)s::jsonb
        || jsonb_build_object('furthest', greatest(%(done)s, coalesce((position->>'furthest')::bigint, 0))),
    attempts = CASE WHEN %(done)s > coalesce((position->>'furthest')::bigint, 0) THEN 1 ELSE attempts END
WHERE id = %(id)s AND lease_token = %(token)s AND state = 'running' RETURNING position, attempts
"""


class Stopped(Exception):
    """Root of the errors that stop the work."""


class LeaseLost(Stopped):
    """The lease ran out, or the run has ended. Somebody else may hold it, so nothing more may be committed."""


class Cancelled(Stopped):
    """A person asked to end the run."""


class Paused(Stopped):
    """A person asked to stop the run until it is resumed."""


def this_worker() -> str:
    """Return the name of the process and thread, which the page of a run shows."""
    return f"{socket.gethostname()}:{os.getpid()}:{threading.get_ident() % 100_000}"


def claim(run_id: UUID | str, *, owner: str = "") -> Holding | None:
    """Claim a run that waits, or whose lease has run out. Returns ``None`` if it cannot be claimed.

    The claim counts the attempt, before anything can go wrong in it. Of two simultaneous claims, one succeeds.
    """
    run = Run.objects.filter(pk=run_id).first()
    if run is None:
        return None
    kind = kinds.get(run.kind)
    now = instants.now()
    asked = time.monotonic()
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT set_config('lock_timeout', %s, true)", [LOCK_TIMEOUT])
            waits = Run.objects.select_for_update().filter(leases.waiting(now), pk=run.pk)
            if not waits.exists():
                return None
            if run.dedupe_key:
                leases.take_turns(run)
            given: dict[str, UUID | str | datetime] = {
                "id": run.pk,
                "owner": owner or this_worker(),
                "now": now,
                "until": now + kind.lease,
            }
            cursor.execute(_CLAIM, given)
            if cursor.rowcount != 1:
                return None
            run.refresh_from_db()
    except OperationalError as error:
        if not isinstance(error.__cause__, LockNotAvailable):
            raise
        logger.warning("run.not_claimed", run=str(run.pk), error=repr(error))
        return None
    return Holding(run, kind, asked)


class Holding:
    """A claimed run, held by the thread that works on it. Safe to share with the keeper's thread."""

    def __init__(self, run: Run, kind: Kind, asked: float) -> None:
        self.run = run
        self.kind = kind
        self.token = run.lease_token
        self.is_over = False
        self.is_kept = False
        """A keeper renews the lease, so the work need not."""
        self.observe: Observe | None = None
        self._lock = threading.Lock()
        self._renewed = asked
        self._stop = ""
        self._lost = False
        self._done, self._total = run.progress_done, run.progress_total

    def parameters[ParametersT: Parameters](self, model: type[ParametersT]) -> ParametersT:
        """The parameters of the work."""
        return model.model_validate(self.run.parameters)

    def progress(self, done: int, total: int) -> None:
        """Note the progress, and stop the work if it must stop. Cheap: it is written at most once a second."""
        with self._lock:
            self._done, self._total = done, total
        if self.observe is not None:
            self.observe(done, total)
        self.checkpoint()

    def checkpoint(self) -> None:
        """Return only if this is still the holder and nobody asked it to stop.

        Raises:
            LeaseLost, Cancelled, Paused: the work has to end here; what it has committed stays.
        """
        if not self.is_kept and time.monotonic() - self._renewed >= BEAT_SECONDS:
            self.beat()
        with self._lock:
            if self._lost or time.monotonic() - self._renewed > self.kind.lease.total_seconds():
                raise LeaseLost(f"The lease on {self.run} ran out.")
            if self._stop == Run.Stop.CANCEL:
                raise Cancelled(f"{self.run} was cancelled.")
            if self._stop == Run.Stop.PAUSE:
                raise Paused(f"{self.run} was paused.")

    def beat(self) -> None:
        """Renew the lease, write the progress, and read a request to stop."""
        with self._lock:
            done, total = self._done, self._total
        asked = time.monotonic()
        given: dict[str, UUID | int | datetime] = {
            "id": self.run.pk,
            "token": self.token,
            "done": done,
            "total": total,
            "until": instants.now() + self.kind.lease,
        }
        with connection.cursor() as cursor:
            cursor.execute(_BEAT, given)
            row = cursor.fetchone()
        with self._lock:
            if row is None:
                self._lost = True
            else:
                self._renewed = asked
                self._stop = row[0]

    def remember(self, done: int, position: Mapping[str, object]) -> None:
        """Keep where the work has got to, in the transaction of what it stores, for whoever takes it up from there.

        Where ``done`` is more than any attempt has kept, the attempts before this one no longer count.

        Raises:
            LeaseLost: everything in the transaction has to be undone.
        """
        given: dict[str, int | str | UUID] = {"id": self.run.pk, "token": self.token, "done": done}
        given["position"] = json.dumps(position)
        with connection.cursor() as cursor:
            cursor.execute(_REMEMBER, given)
            row = cursor.fetchone()
        if row is None:
            raise LeaseLost(f"The lease on {self.run} ran out.")
        self.run.position, self.run.attempts = json.loads(row[0]), row[1]

    @contextmanager
    def fenced(self) -> Iterator[Self]:
        """A transaction that commits only while this is the holder. A worker that slept longer than its lease cannot
        commit after another one has taken over.

        The check comes last, so that the row is not locked during the work.

        Raises:
            LeaseLost: everything inside the block is undone.
        """
        with transaction.atomic():
            yield self
            if not self.is_over:
                self.lock()

    def lock(self) -> Run:
        """Return the run's row, locked until the end of the transaction, or raise :class:`LeaseLost`."""
        run = (
            Run.objects.select_for_update(no_key=True)
            .filter(pk=self.run.pk, lease_token=self.token, state=Run.State.RUNNING)
            .first()
        )
        if run is None:
            raise LeaseLost(f"The lease on {self.run} ran out, and somebody else took it or ended it.")
        return run

    @property
    def progressed(self) -> tuple[int, int]:
        """How much is done, and the total."""
        with self._lock:
            return self._done, self._total
