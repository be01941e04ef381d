"""Periodic work: an app declares it as a list of :class:`Job` named ``JOBS`` in its ``schedule.py``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Job:
    """Work that is done once in every slot of length ``every``. Each slot is a run.

    ``actor`` is the dotted path of a Dramatiq actor or function without arguments. ``title`` says what it does, in the
    list of runs. ``offset`` shifts the slots, so that hourly work can wait until the hour's data has arrived. ``queue``
    is the lane of workers. Work that takes longer than ``time_limit`` is stopped.
    """

    name: str
    every: timedelta
    actor: str
    offset: timedelta = timedelta(0)
    title: str = ""
    queue: str = "default"
    time_limit: timedelta = timedelta(minutes=10)


JOBS = [
    Job(
        "core.purge",
        every=timedelta(hours=1),
        actor="apps.core.tasks.purge",
        title="Delete what nobody asks about any more",
        offset=timedelta(minutes=40),
        queue="bulk",
    )
]
