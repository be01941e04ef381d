"""Periodic work as runs: one kind for each job, one run for each slot.

The run's parameters have the slot, so it is started once, whichever scheduler leads. Only the newest slot counts: slots
that passed while no scheduler ran are skipped, and a new slot replaces one that still waits.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django.db import transaction
from django.utils.module_loading import import_string

from apps.core.actions import Actor
from apps.core.models import Run
from apps.core.rooms import modules
from apps.core.runs import kinds, starting
from apps.core.runs.holding import Holding
from apps.core.runs.kinds import Kind, Parameters
from apps.core.runs.levers import SYSTEM_PERMISSION, same_again
from apps.core.schedule import Job

PREFIX = "schedule."
KEPT = timedelta(days=7)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Slot(Parameters):
    """The slot of a job: the instant at which it begins."""

    slot: datetime


def jobs() -> list[Job]:
    """Every room's periodic jobs. Raises :class:`RuntimeError` where two have the same name."""
    found: dict[str, Job] = {}
    for module in modules("schedule"):
        for job in module.JOBS:
            if job.name in found:
                raise RuntimeError(f"Two periodic jobs are called {job.name}.")
            found[job.name] = job
    return list(found.values())


def register_jobs() -> None:
    """Register a kind of long work for each periodic job."""
    for job in jobs():
        kinds.register(kind_of(job))


def kind_of(job: Job) -> Kind:
    """Return the kind of long work for a job."""
    return Kind(
        name=f"{PREFIX}{job.name}",
        title=job.title or job.name,
        parameters=Slot,
        work="apps.core.runs.scheduled.work",
        queue=job.queue,
        time_limit=job.time_limit,
        permission=SYSTEM_PERMISSION,
        retried=same_again,
        merge=lambda waits, comes: max(waits, comes, key=lambda each: each.slot),
        label=_label,
        kept=KEPT,
    )


def _label(run: Run) -> str:
    return f"{Slot.model_validate(run.parameters).slot:%Y-%m-%d %H:%M} UTC"


def work(holding: Holding) -> None:
    """Call the job's function."""
    name = holding.kind.name.removeprefix(PREFIX)
    (job,) = [each for each in jobs() if each.name == name]
    import_string(job.actor)()


def current_slot(job: Job, now: datetime) -> datetime:
    """Start of the slot of ``job`` that ``now`` falls into; slots count from 1970, shifted by its offset."""
    return _EPOCH + job.offset + ((now - _EPOCH - job.offset) // job.every) * job.every


def start_due(job: Job, now: datetime) -> bool:
    """Start a run for the slot that is due, unless it has one. Returns whether it started one.

    A slot in the future, from before the clock was set back, does not delay others.
    """
    name = f"{PREFIX}{job.name}"
    slot = Slot(slot=current_slot(job, now))
    with transaction.atomic():
        starting.take_turns(name, job.name)
        begun = Run.objects.filter(kind=name, parameters__slot=slot.model_dump(mode="json")["slot"])
        if begun.exists():
            return False
        starting.start(name, slot, actor=Actor.system("schedule"), key=job.name)
    return True
