"""Rings again after lost bells and dead holders. The scheduler's leader does it, so it needs neither Redis nor a worker
to notice them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import redis
import structlog
from django.db import DatabaseError, connection
from django.db.models import Exists, F, OuterRef, Q
from dramatiq.errors import BrokerError

from apps.core import instants
from apps.core.models import Run
from apps.core.runs import bells, kinds, leases
from apps.core.runs.ending import settle

logger = structlog.get_logger(__name__)

EVERY_SECONDS = 2.0
"""How often the scheduler calls :func:`reconcile`."""
GRACE = timedelta(seconds=15)
GRACE_WHERE_A_PERSON_WAITS = timedelta(seconds=4)
"""A bell that was rung this long ago, and whose message is not in Redis, is lost."""
OVERDUE = timedelta(minutes=1)
"""After this a message that a worker has fetched but not started is sent again. The worker may be busy, or dead with a
heartbeat from a clock that was ahead."""
AT_ONCE = 500
AWAY = (DatabaseError, BrokerError, redis.RedisError, OSError)
"""The errors of a server that is away. The next run would meet the same error."""


@dataclass(frozen=True, slots=True)
class Reconciled:
    """How many runs were rung for again, and how many were settled."""

    rung: int
    settled: int


def reconcile() -> Reconciled:
    """Ring for waiting runs without a live message; settle runs that nobody may claim any more.

    If that fails for one run, it is logged and the others go on. Raises when PostgreSQL or Redis is away; without
    Redis, the runs to settle are settled first.
    """
    now = instants.now()
    runs = list(
        Run.objects.filter(leases.waiting(now))
        .exclude(_follows(now))
        .order_by(F("person_waits").desc(), "created_at")[:AT_ONCE]
    )
    settled = {run.pk for run in runs if _is_stuck(run) and _settled(run)}
    known = {kind.name for kind in kinds.all_kinds()}
    due = [run for run in runs if run.pk not in settled and run.kind in known and _is_due(run, now)]
    there = bells.still_there([run for run in due if run.message_id])
    lost = [run for run in due if run.pk not in there]
    stuck = [run for run in due if run.pk in there and _is_overdue(run, now)]
    idle = bells.idle_queues({run.queue for run in stuck})
    lost += [run for run in stuck if run.queue in idle]
    return Reconciled(sum(_rung(run) for run in lost), len(settled))


def _settled(run: Run) -> bool:
    try:
        return settle(run.pk)
    except Exception:
        logger.exception("run.not_settled", run=str(run.pk), kind=run.kind)
        if not connection.is_usable():
            raise
        return False


def _rung(run: Run) -> bool:
    try:
        bells.ring(run)
    except AWAY:
        raise
    except Exception:
        logger.exception("run.not_rung", run=str(run.pk), kind=run.kind)
        return False
    logger.info("run.rung_again", run=str(run.pk), kind=run.kind, state=run.state, attempts=run.attempts)
    return True


def _follows(now: datetime) -> Q:
    """Return the condition for pending runs behind a held run with their key."""
    held = Run.objects.filter(
        kind=OuterRef("kind"), dedupe_key=OuterRef("dedupe_key"), state=Run.State.RUNNING
    ).exclude(leases.run_out(now))
    return Q(Exists(held), state=Run.State.PENDING) & ~Q(dedupe_key="")


def _is_stuck(run: Run) -> bool:
    return bool(run.stop) or run.attempts >= run.max_attempts


def _is_overdue(run: Run, now: datetime) -> bool:
    """Return whether a bell was rung so long ago that, with an empty queue, a dead worker may have it."""
    return run.rung_at is not None and not now - OVERDUE <= run.rung_at <= now


def _is_due(run: Run, now: datetime) -> bool:
    if run.rung_at is None:
        return True
    if run.state == Run.State.RUNNING and not run.message_id:
        return True  # Its holder took the last bell.
    grace = GRACE_WHERE_A_PERSON_WAITS if run.person_waits else GRACE
    return run.rung_at < now - grace or run.rung_at > now  # the clock was set back
