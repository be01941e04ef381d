"""Periodic work: one leader, one row for each slot of each job, one message for each row.

The leader is whoever holds an advisory lock in PostgreSQL, on a connection of its own: with the connection
the leadership ends. The row (job, slot) is unique, so a slot runs once even if two leaders overlap. Only
the newest slot counts; slots that passed while nobody was there are not made up for, the jobs look at what
is there to do.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import redis
import structlog
from django.db import DatabaseError, IntegrityError, close_old_connections, connection, transaction
from django.utils import timezone
from django.utils.module_loading import import_string
from dramatiq import Actor
from dramatiq.errors import BrokerError

from apps.core.models import ScheduledRun
from apps.core.rooms import modules
from apps.core.runs.reconciling import EVERY_SECONDS, reconcile
from apps.core.schedule import Job

logger = structlog.get_logger(__name__)

LEADER_LOCK = 0x42414C4C
"""Key of the advisory lock; the letters BALL."""
TICK_S = 1.0
FOLLOWER_TICK_S = 5.0
# A run of which nothing was heard for this long, or twice its period, whichever is longer, is taken for
# lost: its message went down with Redis, or its worker with the machine.
LOST_AFTER = timedelta(minutes=30)
KEEP_RUNS = timedelta(days=30)
# The row comes before the message. Where it stays unmarked for this long, the sending was cut off in between.
SEND_WITHIN = timedelta(seconds=30)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def jobs() -> list[Job]:
    """Every room's periodic jobs. Raises :class:`RuntimeError` where two have the same name."""
    found: dict[str, Job] = {}
    for module in modules("schedule"):
        for job in module.JOBS:
            if job.name in found:
                raise RuntimeError(f"Two periodic jobs are called {job.name}.")
            found[job.name] = job
    return list(found.values())


def current_slot(job: Job, now: datetime) -> datetime:
    """Start of the slot of ``job`` that ``now`` falls into; slots count from 1970, shifted by its offset."""
    return _EPOCH + job.offset + ((now - _EPOCH - job.offset) // job.every) * job.every


def run_due(now: datetime, known: Sequence[Job] | None = None) -> list[str]:
    """Enqueue every job whose current slot has not run and whose previous run is over. Returns their names.

    A job whose message cannot be sent is taken back and tried again at the next tick; the error is raised
    when all other jobs had their turn.
    """
    started, failure = [], None
    for job in jobs() if known is None else known:
        try:
            if _start(job, current_slot(job, now), now):
                started.append(job.name)
        except (BrokerError, redis.RedisError, OSError) as error:
            failure = error
    if failure is not None:
        raise failure
    return started


def finish(run_id: int, *, error: str = "") -> None:
    """Record that the run is over, successfully where ``error`` is empty."""
    state = ScheduledRun.State.FAILED if error else ScheduledRun.State.DONE
    ScheduledRun.objects.filter(pk=run_id).update(state=state, finished_at=timezone.now(), error=error[:2000])


def forget_old_runs(now: datetime) -> int:
    """Delete the rows of runs that nobody asks about any more. Returns how many."""
    return ScheduledRun.objects.filter(created_at__lt=now - KEEP_RUNS).delete()[0]


def run(should_stop: Callable[[], bool], wait: Callable[[float], Any]) -> None:
    """Lead when nobody else does, until ``should_stop``; ``wait`` sleeps, but not beyond the stop.

    Survives the loss of PostgreSQL and of Redis: it says so once, tries again, and says when it goes on.
    """
    leadership: psycopg.Connection | None = None
    trouble = ""
    cleaned: datetime | None = None
    reconcile_at = 0.0
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
                if time.monotonic() >= reconcile_at:
                    reconcile()
                    reconcile_at = time.monotonic() + EVERY_SECONDS
                now = timezone.now()
                for name in run_due(now):
                    logger.info("schedule.enqueued", job=name)
                if cleaned is None or now - cleaned > timedelta(hours=1):
                    forget_old_runs(now)
                    cleaned = now
            if trouble:
                logger.info("schedule.resumed")
                trouble = ""
        except (psycopg.Error, DatabaseError, BrokerError, redis.RedisError, OSError) as error:
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


def _start(job: Job, slot: datetime, now: datetime) -> bool:
    newest = ScheduledRun.objects.filter(job=job.name).order_by("-slot").first()
    if newest is not None and _was_interrupted(newest, now):
        # It may have gone out all the same: an actor that runs twice does no harm, one that never runs does.
        logger.warning("schedule.sent_again", job=job.name, slot=newest.slot.isoformat())
        _send(job, newest)
        return True
    if newest is not None:
        if newest.slot >= slot:
            return False
        if newest.state == ScheduledRun.State.ENQUEUED:
            if now - newest.created_at < max(LOST_AFTER, 2 * job.every):
                return False
            finish(newest.pk, error="Nothing was heard of this run.")
            logger.warning("schedule.run_lost", job=job.name, slot=newest.slot.isoformat())
    try:
        with transaction.atomic():
            run = ScheduledRun.objects.create(job=job.name, slot=slot)
    except IntegrityError:
        return False
    try:
        _send(job, run)
    except (BrokerError, redis.RedisError, OSError):
        ScheduledRun.objects.filter(pk=run.pk).delete()
        raise
    return True


def _was_interrupted(run: ScheduledRun, now: datetime) -> bool:
    is_waiting = run.state == ScheduledRun.State.ENQUEUED and run.sent_at is None
    return is_waiting and now - run.created_at > SEND_WITHIN


def _send(job: Job, run: ScheduledRun) -> None:
    actor: Actor[[], Any] = import_string(job.actor)
    actor.send_with_options(scheduled_run=run.pk)
    ScheduledRun.objects.filter(pk=run.pk).update(sent_at=timezone.now())


def _try_to_lead() -> psycopg.Connection | None:
    """A connection that holds the leader's lock, or ``None`` while another process does."""
    parameters = {
        name: value
        for name, value in connection.get_connection_params().items()
        if name not in ("pool", "cursor_factory", "context")
    }
    candidate = psycopg.connect(**parameters, autocommit=True)
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
