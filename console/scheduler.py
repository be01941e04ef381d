"""The scheduler: one leader starts periodic work and rings lost bells again.

The leader holds an advisory lock in PostgreSQL, on its own connection. When the connection ends, the leadership ends.
Two leaders for a moment do no harm: a slot is begun once (:mod:`apps.core.runs.scheduled`), and a bell that rings twice
does nothing twice. The leader uses the database's clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

import psycopg
import redis
import structlog
from django.db import DatabaseError, close_old_connections, connection
from dramatiq.errors import BrokerError

from apps.core import instants
from apps.core.database import clocks
from apps.core.database.waiting import Patience, PatientConnection
from apps.core.runs.reconciling import EVERY_SECONDS, reconcile
from apps.core.runs.scheduled import jobs, start_due
from apps.core.schedule import Job

logger = structlog.get_logger(__name__)

LEADER_LOCK = 0x42414C4C
"""The key of the advisory lock: the letters BALL."""
AWAY = (psycopg.Error, DatabaseError, BrokerError, redis.RedisError, OSError)
"""What PostgreSQL or Redis raises when it is away."""
SILENCE_S = 10.0
"""A leader whose own connection is silent for longer than this gives up the leadership."""
TICK_S = 1.0
FOLLOWER_TICK_S = 5.0
CLOCK_WATCHED_EVERY_S = 60.0


def run_due(now: datetime, known: Sequence[Job] | None = None) -> list[str]:
    """Begin every job's current slot that has not begun. Return the names of the jobs.

    A job that cannot be begun is logged, and holds up no other.
    """
    begun = []
    for job in jobs() if known is None else known:
        with _alone("schedule.not_begun", job=job.name):
            if start_due(job, now):
                begun.append(job.name)
    return begun


@contextmanager
def _alone(event: str, **what: str) -> Iterator[None]:
    """Log what goes wrong inside the block, and go on. A server that is away is the caller's concern."""
    try:
        yield
    except AWAY:
        raise
    except Exception:
        logger.exception(event, **what)


def run(should_stop: Callable[[], bool], wait: Callable[[float], Any]) -> None:
    """Lead while nobody else does, until ``should_stop`` returns true. ``wait`` sleeps, but not beyond the stop.

    Survives the loss of PostgreSQL and of Redis: it logs that once, tries again, and logs when it goes on.
    """
    leadership: psycopg.Connection | None = None
    trouble = ""
    reconcile_at = watch_at = 0.0
    while not should_stop():
        pause = TICK_S
        try:
            close_old_connections()
            if leadership is None or leadership.closed:
                leadership = _try_to_lead()
            if leadership is None:
                pause = FOLLOWER_TICK_S
            else:
                leadership.execute("SELECT 1")
                for name in run_due(instants.now()):
                    logger.info("schedule.begun", job=name)
                if time.monotonic() >= watch_at:
                    clocks.watch()
                    watch_at = time.monotonic() + CLOCK_WATCHED_EVERY_S
                if time.monotonic() >= reconcile_at:
                    with _alone("schedule.not_reconciled"):
                        reconcile()
                    reconcile_at = time.monotonic() + EVERY_SECONDS
            if trouble:
                logger.info("schedule.resumed")
                trouble = ""
        except AWAY as error:
            if not trouble:
                logger.warning("schedule.interrupted", error=repr(error))
            trouble = repr(error)
            if isinstance(error, psycopg.Error | DatabaseError):
                _close(leadership)
                leadership = None
                connection.close()
                pause = FOLLOWER_TICK_S
        wait(pause)
    _close(leadership)


def _try_to_lead() -> psycopg.Connection | None:
    """Return a connection that holds the leader's lock, or ``None`` while another process does."""
    parameters = {
        name: value
        for name, value in connection.get_connection_params().items()
        if name not in ("pool", "cursor_factory", "context")
    }
    bounds = {"connect_timeout": 2, "keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3}
    bounds["tcp_user_timeout"] = int(SILENCE_S * 1000)
    candidate = PatientConnection.connect(**(parameters | bounds), autocommit=True)
    candidate.patience = Patience(SILENCE_S)
    try:
        row = candidate.execute("SELECT pg_try_advisory_lock(%s)", [LEADER_LOCK]).fetchone()
    except BaseException:
        candidate.close()
        raise
    if row is not None and row[0]:
        logger.info("schedule.leading")
        return candidate
    candidate.close()
    return None


def _close(leadership: psycopg.Connection | None) -> None:
    if leadership is not None:
        with suppress(psycopg.Error):
            leadership.close()
