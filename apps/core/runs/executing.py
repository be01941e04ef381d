"""Executes a run, from its claim to its end, a pause or its next attempt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from uuid import UUID

import structlog
from django.db import DatabaseError
from django.utils.module_loading import import_string
from dramatiq.middleware import Shutdown, TimeLimitExceeded

from apps.core.errors import BallastError, Fault
from apps.core.models import Run
from apps.core.runs import ending
from apps.core.runs.holding import Cancelled, Holding, LeaseLost, Observe, Paused, claim
from apps.core.runs.keeping import kept
from apps.core.runs.kinds import Done, Work

logger = structlog.get_logger(__name__)


class Failed(Exception):
    """The work has failed, and a retry would not help.

    Parameters:
        reason: the sentence for a person.
        errors: each problem; without any, the reason is the only one.
        error_count: the number of problems if not all are listed.
        summary: what is stored with the run in addition.
    """

    def __init__(
        self,
        reason: str,
        *,
        errors: Sequence[Fault] = (),
        error_count: int | None = None,
        summary: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(reason)
        self.errors = list(errors) or [{"reason": reason}]
        self.error_count = len(self.errors) if error_count is None else error_count
        self.summary = {"failure": reason} if summary is None else summary


def execute(run_id: UUID | str, *, observe: Observe | None = None, raises: bool = False) -> Run | None:
    """Execute a run if it waits or its lease has run out. Returns it afterwards; ``None`` if there is nothing to do.

    ``observe`` is also called with the progress. May be called by anybody, at any time and any number of times. After
    an unexpected error the run is retried later, and fails after its last attempt. So only what stops the worker itself
    is raised, and with ``raises`` also the error of the work.
    """
    try:
        holding = claim(run_id)
        if holding is None:
            ending.settle(run_id)
            return None
        holding.observe = observe
        with kept(holding):
            _do(holding, raises)
    except LeaseLost as error:
        logger.warning("run.lease_lost", run=str(run_id), error=str(error))
        return None
    return Run.objects.get(pk=run_id)


def _do(holding: Holding, raises: bool) -> None:
    work: Work = import_string(holding.kind.work)
    try:
        done = work(holding) or Done()
    except LeaseLost:
        raise
    except Cancelled:
        ending.end(holding, "cancelled")
    except Paused:
        ending.rest(holding)
    except Shutdown:
        with suppress(DatabaseError):  # Without a release the lease runs out.
            ending.release(holding)
        raise
    except TimeLimitExceeded:
        reason = f"It took longer than the {holding.kind.time_limit.total_seconds() / 60:,.0f} minutes it may take."
        _fail(holding, Failed(reason))
    except Failed as error:
        _fail(holding, error)
        if raises:
            raise
    except BallastError as error:
        problems = error.extra.get("problems") or ()
        count = int(error.extra.get("error_count", max(1, len(problems))))
        _fail(holding, Failed(error.detail, errors=problems, error_count=count))
        if raises:
            raise
    except Exception as error:
        _broke(holding, error)
        if raises:
            raise
    else:
        if not holding.is_over:
            ending.end(holding, "completed", done=done)


def _fail(holding: Holding, error: Failed) -> None:
    logger.warning("run.failed", run=str(holding.run.pk), kind=holding.kind.name, reason=str(error))
    ending.end(holding, "failed", summary=error.summary, errors=error.errors, error_count=error.error_count)


def _broke(holding: Holding, error: Exception) -> None:
    run = holding.run
    logger.exception("run.broke", run=str(run.pk), kind=run.kind, attempts=run.attempts)
    if run.attempts < run.max_attempts:
        try:
            ending.postpone(holding)
        except DatabaseError:  # PostgreSQL is away: the lease runs out, and the next worker takes over.
            logger.warning("run.not_postponed", run=str(run.pk), exc_info=True)
        return
    times = f"Tried {run.attempts} times. " if run.attempts > 1 else ""
    reason = f"{times}{type(error).__name__}, an error in Ballast; the log has the details."
    _fail(holding, Failed(reason))
